"""Serial buses in the acquire station: every slot accounted for, whatever happens to the port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pty_tools import Wire

from gateway.acquire.station import Acquire, models_of
from gateway.clock import boot_ms
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import BusSpec, DeviceSpec, Identity, Site

REPLUG_S = 2.0


class Memory:
    """Keeps what acquire brings."""

    def __init__(self) -> None:
        self.records: list[Scan | Miss] = []
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def scan(self, record: Scan | Miss) -> None:
        self.records.append(record)
        self._news.set()

    miss = scan

    def event(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    @property
    def scans(self) -> list[Scan]:
        return [record for record in self.records if isinstance(record, Scan)]

    @property
    def causes(self) -> set[int]:
        return {record.quality for record in self.records if isinstance(record, Miss)}

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def assert_accounted(self) -> None:
        expected = self.records[0].slot
        for record in self.records:
            assert record.slot == expected
            expected += record.count if isinstance(record, Miss) else 1


def site(wire: Wire, model: str, *channels: str, period_ms: int = 100, **bus: Any) -> Site:
    spec = BusSpec(id="line", kind="serial", device=str(wire.path), **{"timeout_s": 0.3, **bus})
    device = DeviceSpec(id="thing", bus="line", model=model, unit=0, period_ms=period_ms, channels=tuple(channels))
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=Path("/nonexistent"),
        buses=(spec,),
        devices=(device,),
    )


@asynccontextmanager
async def acquiring(of: Site) -> AsyncIterator[tuple[Acquire, Memory]]:
    memory = Memory()
    station = Acquire(of, models_of(of), memory, boot_ms)
    task = asyncio.create_task(station.run({}, boot_ms()))
    try:
        yield station, memory
    finally:
        task.cancel()
        await asyncio.wait([task])
        memory.assert_accounted()


def scale(request: bytes) -> bytes | None:
    return {
        b"SI\r\n": b"S S     100.00 g\r\n",
        b"I2\r\n": b'I2 A "Scale"\r\n',
        b"I3\r\n": b'I3 A "1.0"\r\n',
        b"I4\r\n": b'I4 A "123"\r\n',
    }.get(request)


class TestAsked:
    async def test_a_scale_is_read_at_its_slots_and_named(self, wire: Wire) -> None:
        wire.answer = scale
        async with acquiring(site(wire, "mt-sics", "weight", period_ms=400)) as (station, memory):
            await memory.until(lambda: len(memory.scans) >= 3 and "device.identity" in memory.kinds())
        assert {tuple(scan.values) for scan in memory.scans} == {(0.1,)}
        (identity,) = [event.data for event in memory.events if event.kind == "device.identity"]
        assert identity["registers"] == {"type": "Scale", "software": "1.0", "serial": "123"}
        assert station.layout.devices[0].columns[0].unit == "kg"

    async def test_it_is_in_use_again_soon_after_it_was_plugged_in(self, wire: Wire) -> None:
        wire.answer = scale
        async with acquiring(site(wire, "mt-sics", "weight")) as (_, memory):
            await memory.until(lambda: len(memory.scans) >= 3)
            wire.unplug()
            await memory.until(lambda: "bus.lost" in memory.kinds() and Quality.BUS_DOWN in memory.causes)
            wire.plug()
            before = len(memory.scans)
            await memory.until(lambda: len(memory.scans) >= before + 3 and "bus.back" in memory.kinds())
        assert memory.kinds().count("bus.lost") == memory.kinds().count("bus.back") == 1

    async def test_a_silent_instrument_is_backed_off_and_comes_back(self, wire: Wire) -> None:
        async with acquiring(site(wire, "mt-sics", "weight")) as (_, memory):
            await memory.until(lambda: {Quality.TIMEOUT, Quality.BACKED_OFF} <= memory.causes)
            wire.answer = scale
            await memory.until(lambda: len(memory.scans) >= 3)

    async def test_overload_is_on_record_with_the_line_that_said_so(self, wire: Wire) -> None:
        wire.answer = lambda _: b"S +\r\n"
        async with acquiring(site(wire, "mt-sics", "weight")) as (_, memory):
            await memory.until(lambda: bool(memory.scans))
        assert memory.scans[0].quality == bytes((Quality.OUT_OF_RANGE,))
        assert memory.scans[0].raw == b"S +\n"

    async def test_a_second_master_garbles_frames_but_no_value(self, wire: Wire) -> None:
        """Another program's question and its answer run into ours."""
        replies = iter([b"S S  10S S 9", b"9.00 g\r\nS S", b"\r\nSI\r\nS S 5.00 g\r\n"] * 1000)
        wire.answer = lambda _: next(replies)
        async with acquiring(site(wire, "mt-sics", "weight", period_ms=50)) as (_, memory):
            await memory.until(lambda: len(memory.scans) >= 2)
        assert {tuple(scan.values) for scan in memory.scans} == {(0.005,)}
        assert Quality.BAD_FRAME in memory.causes


RMC = b"$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091226,,,A*"


def sentence(body: bytes) -> bytes:
    from firmware_interfaces.serial.nmea import checksum

    return b"$" + body + b"*%02X\r\n" % checksum(body)


class TestHeard:
    async def test_a_receiver_of_position(self, wire: Wire) -> None:
        body = b"GPRMC,083559.00,A,4717.11437,N,00833.91522,E,10.000,77.52,091226,,,A"
        async with acquiring(site(wire, "nmea-gps", "latitude", "longitude", "speed")) as (station, memory):
            await memory.until(lambda: bool(memory.records))
            assert station.buses[0].stats.connected
            wire.send(sentence(body))
            await memory.until(lambda: bool(memory.scans))
        assert list(memory.scans[0].values) == [47.2852395, 8.5652537, 18.52]
        assert memory.scans[0].quality == bytes(3)

    async def test_one_sentence_answers_one_slot(self, wire: Wire) -> None:
        body = b"GPRMC,083559.00,A,4717.11437,N,00833.91522,E,10.000,77.52,091226,,,A"
        async with acquiring(site(wire, "nmea-gps", "speed")) as (_, memory):
            await memory.until(lambda: bool(memory.records))
            wire.send(sentence(body))
            await memory.until(lambda: bool(memory.scans))
            until = memory.scans[0].slot + 5
            await memory.until(lambda: memory.records[-1].slot >= until)
        assert len(memory.scans) == 1
        assert memory.causes <= {Quality.STALE, Quality.GATEWAY_DOWN}

    async def test_a_damaged_sentence_is_on_record(self, wire: Wire) -> None:
        async with acquiring(site(wire, "nmea-gps", "speed", period_ms=500)) as (_, memory):
            await memory.until(lambda: bool(memory.records))
            wire.send(b"$GPRMC,083559.00,A,4717.11437,N,00833.9*00\r\n")
            await memory.until(lambda: Quality.BAD_FRAME in memory.causes)
        (bad,) = [x for x in memory.records if isinstance(x, Miss) and x.quality == Quality.BAD_FRAME]
        assert bad.raw == b"GPRMC,083559.00,A,4717.11437,N,00833.9*00\r"

    async def test_no_fix_is_no_position(self, wire: Wire) -> None:
        body = b"GPRMC,083559.00,V,4717.11437,N,00833.91522,E,10.000,77.52,091226,,,N"
        async with acquiring(site(wire, "nmea-gps", "latitude")) as (_, memory):
            await memory.until(lambda: bool(memory.records))
            wire.send(sentence(body))
            await memory.until(lambda: bool(memory.scans))
        assert memory.scans[0].quality == bytes((Quality.SENSOR_FAULT,))

    async def test_a_scale_that_repeats_is_told_to_and_told_again_after_a_replug(self, wire: Wire) -> None:
        def speaks(request: bytes) -> bytes | None:
            return b"S S 1.00 kg\r\nS D 2.00 kg\r\n" if request == b"SIR\r\n" else None

        wire.answer = speaks
        async with acquiring(site(wire, "mt-sics-stream", "weight")) as (_, memory):
            await memory.until(lambda: bool(memory.scans))
            assert list(memory.scans[0].values) == [2.0]
            assert memory.scans[0].quality == bytes((Quality.DEVICE_UNCERTAIN,))
            wire.unplug()
            await memory.until(lambda: Quality.BUS_DOWN in memory.causes)
            wire.plug()
            await memory.until(lambda: len(memory.scans) >= 2)
        assert memory.kinds() == ["bus.lost", "bus.back"]

    async def test_a_port_that_is_not_there_is_a_bus_that_is_down(self, wire: Wire) -> None:
        wire.unplug()
        async with acquiring(site(wire, "nmea-gps", "speed")) as (_, memory):
            await memory.until(lambda: len(memory.records) >= 3)
            wire.plug()
            await memory.until(lambda: "bus.back" in memory.kinds())
        assert memory.causes >= {Quality.BUS_DOWN}


@pytest.mark.parametrize("model", ["mt-sics", "nmea-gps"])
async def test_two_gateways_do_not_share_a_port(wire: Wire, model: str) -> None:
    of = site(wire, model)
    wire.answer = scale
    async with acquiring(of) as (first, memory):
        await memory.until(lambda: first.buses[0].stats.connected and bool(memory.records))
        async with acquiring(of) as (second, other):
            await other.until(lambda: "bus.lost" in other.kinds() and bool(other.records))
            assert not second.buses[0].stats.connected
        assert other.events[0].data["why"].endswith("another program holds the port")


async def test_a_receiver_tells_the_time_of_its_fixes_and_of_nothing_else(wire: Wire) -> None:
    told: list[tuple[int, int]] = []
    of = site(wire, "nmea-gps", "speed")
    memory = Memory()
    station = Acquire(of, models_of(of), memory, boot_ms, lambda utc_ns, at_ns: told.append((utc_ns, at_ns)))
    task = asyncio.create_task(station.run({}, boot_ms()))
    await memory.until(lambda: bool(memory.records))
    for body in (
        b"GPRMC,083558.00,V,,,,,,,091226,,,N",
        b"GPZDA,083559.00,09,12,2026,00,00",
        b"GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.0,,090407,,,A",
        b"GPRMC,083559.25,A,4717.11437,N,00833.91522,E,0.0,,091226,,,A",
    ):
        wire.send(sentence(body))
    await memory.until(lambda: bool(memory.scans) and bool(told))
    task.cancel()
    await asyncio.wait([task])
    (utc_ns, at_ns) = told[0]
    assert len(told) == 1
    assert utc_ns == 1_796_805_359_250_000_000
    assert abs(at_ns / 1e6 - boot_ms()) < 60_000
