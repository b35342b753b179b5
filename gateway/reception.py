"""Puts the status page together with the running gateway."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway.access import Door
from gateway.access.register import Register
from gateway.board import BoardWatch
from gateway.control import ControlError
from gateway.metrics import Exposition
from gateway.status import Status
from gateway.web.desk import Desk
from gateway.web.pages import Pages
from gateway.web.server import WebServer, own_names

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["open_page"]


def open_page(gateway: "Gateway") -> tuple[socket.socket, WebServer]:
    """The server of the page with its listening socket. Raises `AuroraError` where it cannot listen."""
    site, spec = gateway.site, gateway.site.web
    assert spec is not None
    if gateway.board is None:
        gateway.board = BoardWatch(gateway.clock.now_ms)

    async def ask(order: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if gateway.people is None:
            raise ControlError("the gateway is just starting", "try again in a moment")
        answer: Mapping[str, Any] = await gateway.people.control.carry_out(order, request)
        return answer

    if gateway.register is None:
        boot, now_ms = gateway.clock.boot.hex(), gateway.clock.now_ms
        gateway.register = Register(Door(site.data_dir, boot=boot, now_ms=now_ms, event=gateway.record))
    register: Register = gateway.register
    desk = Desk(
        door=register.door,
        register=register,
        status=Status(gateway).snapshot,
        metrics=Exposition(gateway).page,
        ask=ask,
        names=own_names() | set(spec.names),
        gateway=site.identity.gateway,
        language=site.language,
        zone=ZoneInfo(site.time_zone),
        open_view=spec.open_view,
    )
    tls: tuple[Path, Path] | None = None
    if spec.tls == "self":
        from gateway.access.certificate import own_certificate

        tls = own_certificate(site.data_dir, desk.names)
    elif spec.certificate is not None and spec.key is not None:
        tls = (spec.certificate, spec.key)
    server = WebServer(Pages(desk), spec.host, spec.port, tls)
    return server.bind(), server
