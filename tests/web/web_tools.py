"""What the tests of the page share: a status made by hand, and the server really running on loopback."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from gateway.access import Door
from gateway.access.register import Register
from gateway.errors import OperatorError
from gateway.model import Event
from gateway.web.desk import Desk
from gateway.web.pages import Pages
from gateway.web.server import WebServer

PASSWORD = "three warm blankets"
FOLDER = tempfile.TemporaryDirectory(prefix="aurora-page-")


def channel(**changes: Any) -> dict[str, Any]:
    return {
        "name": "air",
        "value": -18.4,
        "decimals": 1,
        "unit": "°C",
        "quality": 0,
        "severity": "good",
        "words": "good",
        **changes,
    }


def status(**changes: Any) -> dict[str, Any]:
    """What `gateway.status.Status` returns, by hand."""
    point = {"id": "p", "name": "Freezer", "critical": True, "device": "d", "channel": "air", "age_s": 3.0}
    point |= {"under_way": None, "going_on": None, "alarm": None, "since_ms": 997_000}
    device = {
        "id": "d",
        "bus": "b",
        "model": "m",
        "period_s": 1.0,
        "state": "good",
        "words": "answers",
        "age_s": 1.0,
        "scans": 5,
        "missed": 0,
        "last_fault": "",
        "channels": [channel()],
    }
    return {
        "gateway": {"member": "dairy", "site": "plant", "id": "gw-1", "version": "1", "running_s": 5},
        "boot_ms": 1_000_000,
        "utc_ms": 1_795_413_600_000,
        "time_words": "2026-11-23 06:00:00 UTC",
        "health": [{"name": "Clock", "words": "within 1 s", "state": "good"}],
        "alarms": [],
        "points": [{**channel(), **point}],
        "devices": [device],
        **changes,
    }


@asynccontextmanager
async def serving(pages: Pages, port: int = 0) -> AsyncIterator[tuple[httpx.AsyncClient, "asyncio.Task[None]"]]:
    """The server on loopback, a client of it, and the task that serves."""
    server = WebServer(pages, "127.0.0.1", port)
    listener = server.bind()
    task = asyncio.create_task(server.run(listener))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
        yield client, task
        task.cancel()
        await asyncio.wait([task])


async def _metrics() -> tuple[bytes, str]:
    return b"up 1\n", "text/plain; version=0.0.4"


class House:
    """A door, and a desk whose orders are made by hand: ``asked`` has what was asked, ``answers`` the answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.now_ms = 1_000_000
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.answers: dict[str, Mapping[str, Any]] = {}
        self.door = Door(folder, boot="b1", now_ms=lambda: self.now_ms, event=self.events.append)
        self.register = Register(self.door)

    async def ask(self, order: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append((order, request))
        if order.startswith("people."):
            return await self.register.handlers()[order](request)
        if order not in self.answers:
            raise OperatorError(f"no answer to {order}", "make one in the test")
        return self.answers[order]

    def pages(self, snapshot: Callable[[], dict[str, Any]] = status, **changes: Any) -> Pages:
        desk = Desk(
            door=self.door,
            register=self.register,
            status=lambda _: snapshot(),
            metrics=_metrics,
            ask=self.ask,
            names=frozenset({"localhost", "gw-1.local"}),
            gateway="gw-1",
        )
        return Pages(replace(desk, **changes))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def pages_of(snapshot: Callable[[], dict[str, Any]] = status) -> Pages:
    """Pages that anyone may look at, over a status function."""
    return House(Path(tempfile.mkdtemp(dir=FOLDER.name))).pages(snapshot, open_view=True)


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for a condition, looking at it often; fails when it does not come true."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
