"""What the tests of the whole share."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from gateway.app import STREAMS, Gateway
from gateway.buffer.reader import Reader
from gateway.clock import Clock
from gateway.model import Event, Quality
from gateway.records import Archive
from gateway.site import BufferSpec, BusSpec, DeviceSpec, Identity, PointSpec, Site
from gateway.status import Status

ROOT = Path(__file__).parents[2]


class Ran(NamedTuple):
    """A demonstration that has ended."""

    folder: Path
    output: str
    status: int


def command(*words: str | Path, limit_s: float = 50.0) -> subprocess.CompletedProcess[str]:
    """Run `aurora-gateway` as its user does."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )


class Unit:
    """A Modbus TCP unit on loopback that holds the same word in every register."""

    def __init__(self, word: int = 0) -> None:
        self.port = 0
        self._word = word.to_bytes(2, "big")
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                request = await reader.readexactly(12)
                body = bytes((request[6], request[7], 2 * request[11])) + self._word * request[11]
                writer.write(request[:4] + len(body).to_bytes(2, "big") + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def site_of(folder: Path, port: int, **changes: Any) -> Site:
    """A site with one device, ``a``, polled ten times a second."""
    site = Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=folder,
        buses=(BusSpec(id="up", kind="modbus-tcp", host="127.0.0.1", port=port),),
        devices=(DeviceSpec(id="a", bus="up", model="generic-registers-20", unit=1, period_ms=100),),
        points=(PointSpec(id="p", name="P", device="a", channel="r0"),),
        buffer=BufferSpec(loss_window_ms=50),
        web=None,
        digest="00" * 32,
    )
    return replace(site, **changes)


@asynccontextmanager
async def running(site: Site, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """A gateway in this process, stopped in order at the end."""
    gateway, stop = Gateway(site, clock or Clock(site.clock)), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    try:
        await until(lambda: task.done() or hasattr(gateway, "journal"))
        yield gateway
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for a condition, looking at it often; fails when it does not come true."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def scans(gateway: Gateway) -> int:
    return gateway.acquire.pollers[0].stats.scans


async def more_scans(gateway: Gateway, count: int) -> None:
    goal = scans(gateway) + count
    await until(lambda: scans(gateway) >= goal)


def health(gateway: Gateway, name: str) -> dict[str, Any]:
    (fact,) = (fact for fact in Status(gateway).snapshot()["health"] if fact["name"] == name)
    return dict(fact)


class Record(NamedTuple):
    """What a journal holds: its events in order, and the slots of each device as (first, count, quality)."""

    events: list[Event]
    slots: dict[str, list[tuple[int, int, Quality]]]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def one(self, kind: str) -> Event:
        (event,) = (event for event in self.events if event.kind == kind)
        return event

    def count(self, device: str) -> int:
        """How many slots of a device are on record; fails when one is missing or doubled."""
        expected = self.slots[device][0][0]
        for slot, count, _ in self.slots[device]:
            assert slot == expected, f"{device}: slot {expected} is missing or doubled"
            expected += count
        return expected - self.slots[device][0][0]


def record_of(site: Site) -> Record:
    """Read the journal of a gateway that has stopped."""
    with closing(Reader(site.data_dir / "journal.db")) as reader:
        archive = Archive()
        bodies = {
            stream: [batch.body for batch in reader.batches(stream, 0, 10_000) if batch.body is not None]
            for stream in STREAMS
        }
        events = [stored.event for stored in archive.add_events(bodies["event"])]
        slots: dict[str, dict[int, tuple[int, Quality]]] = {}
        for reading in archive.readings(bodies["scan"]):
            slots.setdefault(reading.device, {})[reading.slot] = (reading.slots, reading.quality)
    return Record(
        events,
        {device: [(slot, *rest) for slot, rest in sorted(found.items())] for device, found in slots.items()},
    )
