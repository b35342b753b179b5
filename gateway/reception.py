"""Puts the status page together with the running gateway; loaded when somebody first asks for it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway.access.register import Register
from gateway.board import BoardWatch
from gateway.control import ControlError
from gateway.metrics import Exposition
from gateway.site import Site
from gateway.status import Status
from gateway.viewing.trends import Trends, past
from gateway.web.desk import Desk, Trend
from gateway.web.pages import Pages
from gateway.web.place import Place, own_names
from gateway.web.server import WebServer

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["page_of"]


def _trends(gateway: "Gateway") -> Callable[[str], Trend | None]:
    """Begin to keep the last hours of every point, and read what was before in a thread."""
    if gateway.trends is None:
        trends: Trends = Trends(gateway.site.points, gateway.layout)
        gateway.trends = trends
        gateway.beside.feed("trends", lambda record: trends.take(record, gateway.site.points, gateway.layout))
        path, now = gateway.site.data_dir / "journal.db", gateway.clock.claim()
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(None, past, path, gateway.site.points, now)
        reading.add_done_callback(lambda done: None if done.cancelled() else trends.merge(done.result()))
    kept: Trends = gateway.trends

    def trend(point: str) -> Trend | None:
        ring = kept.rings.get(point)
        return None if ring is None else ring.trend(gateway.clock.now_ms())

    return trend


def _export(site: Site, point: str, start_ms: int, end_ms: int) -> Iterator[bytes]:
    """Every reading of a point's channel in a stretch, as CSV; raises `AuroraError` for a point that is none."""
    from gateway.viewing.export import point_csv

    return point_csv(site, point, start_ms, end_ms)


def page_of(gateway: "Gateway", place: Place, register: Register) -> WebServer:
    """The server of the page of a gateway at that place; its listening socket is there already."""
    site, spec = gateway.site, gateway.site.web
    assert spec is not None
    if gateway.board is None:
        gateway.board = BoardWatch(gateway.clock.now_ms)

    async def ask(order: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if gateway.people is None:
            raise ControlError("the gateway is just starting", "try again in a moment")
        answer: Mapping[str, Any] = await gateway.people.control.carry_out(order, request)
        return answer

    status, trends = Status(gateway), _trends(gateway)
    desk = Desk(
        door=register.door,
        register=register,
        status=status.snapshot,
        waiting=status.waiting,
        trend=trends,
        export=lambda *stretch: _export(gateway.site, *stretch),
        printed=lambda name: None if gateway.people is None else gateway.people.viewing.printed(name),
        metrics=Exposition(gateway).page,
        ask=ask,
        names=own_names() | set(spec.names),
        gateway=site.identity.gateway,
        language=site.language,
        zone=ZoneInfo(site.time_zone),
        open_view=spec.open_view,
    )
    return WebServer(Pages(desk), place.host, place.port, place.tls)
