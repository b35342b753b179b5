"""Barcode scanners: what is scanned at a door becomes a lot record in the signed stream, or a refusal on record."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pty_tools import Wire, cuts

from gateway.app import Gateway
from gateway.buffer.reader import Reader
from gateway.clock import Clock
from gateway.config import explain
from gateway.config.check import check_site
from gateway.metrics import Exposition
from gateway.records import Archive
from gateway.scanners import ScanFramer
from gateway.site import BufferSpec, BusSpec, DeviceSpec, Identity, PointSpec, ScannerSpec, Site
from gateway.status import Status

LABEL = b"]C101095060001343521726093010ABC123"
"""GS1-128: GTIN 09506000134352, best before 2026-09-30, lot ABC123."""


def site_of(folder: Path, wire: Wire, **scanner: Any) -> Site:
    options = {"direction": "in", "person": "store staff", **scanner}
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=folder,
        buses=(BusSpec(id="up", kind="modbus-tcp", host="127.0.0.1", port=1),),
        devices=(DeviceSpec(id="a", bus="up", model="generic-registers-20", unit=1, period_ms=200),),
        points=(PointSpec(id="store", name="Store", device="a", channel="r0"),),
        buffer=BufferSpec(loss_window_ms=50),
        scanners=(ScannerSpec(id="door", device=str(wire.path), point="store", **options),),
        web=None,
        digest="00" * 32,
    )


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Gateway]:
    gateway, stop = Gateway(site, Clock(site.clock)), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    try:
        await until(lambda: task.done() or _ready(gateway))
        yield gateway
    finally:
        stop.set()
        await task


def _ready(gateway: Gateway) -> bool:
    people = gateway.people
    return people is not None and people.records.requests is not None and people.scanners[0].line.connected


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.01)


def recorded(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The data of the events of a kind in the signed record."""
    with closing(Reader(folder / "journal.db")) as reader:
        bodies = [batch.body for batch in reader.batches("event", 0, 10_000) if batch.body is not None]
    return [stored.event.data for stored in Archive().add_events(bodies) if stored.event.kind == kind]


class TestInTheGateway:
    async def test_a_label_brings_its_lot_into_the_zone(self, wire: Wire, tmp_path: Path) -> None:
        async with running(site_of(tmp_path, wire)) as gateway:
            (scanner,) = gateway.people.scanners
            wire.send(LABEL + b"\r\n")
            await until(lambda: scanner.scanned == 1)
            wire.send(LABEL + b"\r")
            await until(lambda: scanner.repeated == 1)
        (lot,) = recorded(tmp_path, "record.lot")
        assert lot["lot"] == "ABC123"
        assert lot["gtin"] == "09506000134352"
        assert (lot["direction"], lot["point"]) == ("in", "store")
        assert (lot["person"], lot["source"]) == ("store staff", "scanner")

    async def test_what_is_no_label_is_refused_on_record_with_its_line(self, wire: Wire, tmp_path: Path) -> None:
        async with running(site_of(tmp_path, wire)) as gateway:
            (scanner,) = gateway.people.scanners
            wire.send(b"HELLO\n\xff\xfe\x80\n")
            await until(lambda: scanner.refused == 2)
        first, second = recorded(tmp_path, "scanner.refused")
        assert (first["scanner"], first["point"], first["line"]) == ("door", "store", "HELLO")
        assert "symbology" in first["why"]
        assert "speed and parity" in second["why"]

    async def test_a_plain_scanner_reads_lot_numbers_and_a_lot_goes_out(self, wire: Wire, tmp_path: Path) -> None:
        for direction in ("in", "out"):
            async with running(site_of(tmp_path, wire, plain=True, direction=direction)) as gateway:
                (scanner,) = gateway.people.scanners
                wire.send(b"L-4711\n")
                await until(lambda scanner=scanner: scanner.scanned + scanner.refused == 1)
        moves = [(lot["lot"], lot["direction"]) for lot in recorded(tmp_path, "record.lot")]
        assert moves == [("L-4711", "in"), ("L-4711", "out")]

    async def test_unplugged_and_plugged_in_again(self, wire: Wire, tmp_path: Path) -> None:
        async with running(site_of(tmp_path, wire)) as gateway:
            (scanner,) = gateway.people.scanners
            wire.send(LABEL[:9])
            await until(lambda: scanner.line.stats.bytes_received == 9)
            wire.unplug()
            await until(lambda: not scanner.line.connected)
            wire.plug()
            await until(lambda: scanner.line.connected)
            wire.send(LABEL + b"\r\n")
            await until(lambda: scanner.scanned == 1)
            assert scanner.refused == 0
            found = {(name, labels): value for name, labels, value in Exposition(gateway)._scanners()}
            assert found["aurora_scanner_up", ("door",)] == 1
            assert found["aurora_scanner_lines_total", ("door", "scanned")] == 1
            facts = {fact["name"]: fact["words"] for fact in Status(gateway).snapshot()["health"]}
            assert facts["Scanner door"] == "ready"
        assert "unplugged" in recorded(tmp_path, "scanner.lost")[0]["why"]
        assert len(recorded(tmp_path, "scanner.back")) == 1


@given(st.lists(st.binary(max_size=12), max_size=5), st.lists(st.integers(0, 500), max_size=10))
def test_lines_end_with_any_of_the_usual_ends_however_they_are_cut(lines: list[bytes], places: list[int]) -> None:
    plain = [line.replace(b"\r", b"").replace(b"\n", b"") for line in lines]
    for end in (b"\r", b"\n", b"\r\n"):
        framer = ScanFramer()
        data = b"".join(line + end for line in plain)
        assert [x for piece in cuts(data, places) for x in framer.feed(piece)] == [x for x in plain if x]


HEAD = """
[gateway]
member = "m"
site = "s"
id = "g"

[[bus]]
id = "line"
type = "modbus-rtu"
device = "/dev/ttyUSB0"

[[device]]
id = "probe"
bus = "line"
model = "xy-md02"
unit = 1
period_s = 10

[[point]]
id = "store"
name = "Store"
channel = "probe.temperature"
"""
SCANNER = """
[[scanner]]
id = "door"
device = "/dev/ttyACM0"
point = "store"
direction = "in"
person = "store staff"
repeat = "5s"
"""


class TestInTheSiteFile:
    def test_a_right_one(self) -> None:
        site, problems = check_site(HEAD + SCANNER, "site.toml", Path("/srv"))
        assert problems == []
        assert site is not None
        (scanner,) = site.scanners
        assert (scanner.point, scanner.direction, scanner.repeat_s, scanner.baud) == ("store", "in", 5.0, 9600)
        assert "scanner door: lots into store, /dev/ttyACM0" in explain(site)

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (
                'point = "store"\ndir',
                'point = "stoer"\ndir',
                "scanner[1].point: there is no point 'stoer'; did you",
            ),
            ('"in"', '"up"', "scanner[1].direction: \"up\" is not allowed; use 'in' or 'out'"),
            ('person = "store staff"\n', "", "scanner[1].person: is missing"),
            ("ttyACM0", "ttyUSB0", "scanner[1].device: is the port of bus 'line' as well"),
            ('repeat = "5s"', "baud = 9601", "scanner[1].baud: 9601 is not a speed of serial ports"),
            ('repeat = "5s"', "speed = 1", "scanner[1].speed: is not a setting of [[scanner]]"),
            ('repeat = "5s"\n', SCANNER, "scanner[2].id: 'door' is the id of another scanner"),
            ('repeat = "5s"\n', SCANNER, "scanner[2].device: is the port of scanner 'door' as well"),
        ],
    )
    def test_each_mistake_has_its_place(self, old: str, new: str, expected: str) -> None:
        text = HEAD + SCANNER.replace(old, new)
        _, problems = check_site(text, "site.toml", Path("/srv"))
        found = [f"{problem.path}: {problem.what}; {problem.remedy}" for problem in problems]
        assert any(problem.startswith(expected) for problem in found), found
