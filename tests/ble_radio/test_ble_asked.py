"""Sensors that are asked, on the grid: every slot is answered once, whatever becomes of the connection."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from bluez_standin import StandIn
from dbus_fast import DBusError
from gatt_standin import BATTERY, ENVIRONMENTAL, INFORMATION, Char, Peripheral, peripheral

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.models import MODELS
from gateway.acquire.air import AirWorker
from gateway.acquire.asked import AskedPoller
from gateway.acquire.metronome import Metronome
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import BusSpec, DeviceSpec

PROBE, OTHER = "C2:11:22:33:44:66", "C2:11:22:33:44:77"
LIMIT_S = 60.0


@dataclass
class Record:
    """What acquire brought."""

    scans: list[Scan] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def scan(self, scan: Scan) -> None:
        self.scans.append(scan)
        self._news.set()

    def miss(self, miss: Miss) -> None:
        self.misses.append(miss)
        self._news.set()

    def event(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def slots(self, device: int = 0) -> list[int]:
        found = [scan.slot for scan in self.scans if scan.device == device]
        for miss in self.misses:
            found += range(miss.slot, miss.slot + miss.count) if miss.device == device else ()
        return sorted(found)

    def causes(self, device: int = 0) -> set[int]:
        return {miss.quality for miss in self.misses if miss.device == device}


def now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def worker_of(record: Record, *addresses: str, period_ms: int = 200, channels: tuple[str, ...] = ()) -> AirWorker:
    pollers = [
        AskedPoller(
            index,
            DeviceSpec(
                id=f"probe-{index}",
                bus="air",
                model="gatt-environmental",
                unit=0,
                period_ms=period_ms,
                channels=channels or ("temperature", "battery", "rssi"),
                address=address,
            ),
            MODELS["gatt-environmental"],
        )
        for index, address in enumerate(addresses)
    ]
    bus = BusSpec(id="air", kind="ble", connections=2)
    return AirWorker(bus, pollers, sink=record, now_ms=now_ms, metronome=Metronome())


@contextlib.asynccontextmanager
async def running(worker: AirWorker) -> AsyncIterator[None]:
    worker.start({}, now_ms())
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        worker.account(now_ms())
        worker.close()


def sensor(standin: StandIn, address: str = PROBE) -> Peripheral:
    return peripheral(
        standin,
        address,
        {
            ENVIRONMENTAL: [Char(full_uuid(0x2A6E), b"\xa9\x01")],
            BATTERY: [Char(full_uuid(0x2A19), b"\x51")],
            INFORMATION: [Char(full_uuid(0x2A26), b"1.2"), Char(full_uuid(0x2A25), b"0042")],
        },
    )


async def in_the_air(standin: StandIn, *addresses: str) -> None:
    """Let them be heard, as soon as somebody listens."""
    async with asyncio.timeout(LIMIT_S):
        for address in addresses:
            while not standin.heard(address, rssi=-63):
                await asyncio.sleep(0.01)


class TestGrid:
    async def test_a_slot_is_answered_by_its_own_connection(self, bluez: StandIn) -> None:
        made = sensor(bluez)
        record = Record()
        async with running(worker_of(record, PROBE)):
            await in_the_air(bluez, PROBE)
            await record.until(lambda: len(record.scans) >= 3)
        assert made.connects >= 3
        assert all(list(scan.values[:2]) == [4.25, 81.0] for scan in record.scans)
        assert len({scan.at_ms for scan in record.scans}) == len(record.scans)
        slots = record.slots()
        assert slots == list(range(slots[0], slots[-1] + 1))

    async def test_strength_is_that_of_its_own_interval_or_none(self, bluez: StandIn) -> None:
        sensor(bluez)
        record = Record()
        async with running(worker_of(record, PROBE)):
            await in_the_air(bluez, PROBE)
            await record.until(lambda: any(scan.quality[2] == Quality.STALE for scan in record.scans))
            before = len(record.scans)
            await record.until(
                lambda: (
                    bluez.heard(PROBE, rssi=-63) and any(scan.values[2] == -63 for scan in record.scans[before:])
                )
            )

    async def test_a_channel_that_it_does_not_have(self, bluez: StandIn) -> None:
        sensor(bluez)
        record = Record()
        async with running(worker_of(record, PROBE, channels=("temperature", "pressure"))):
            await in_the_air(bluez, PROBE)
            await record.until(lambda: record.scans)
        assert record.scans[0].quality == bytes((Quality.GOOD, Quality.NOT_SUPPORTED))

    async def test_who_it_is_comes_into_the_record_once_and_at_a_change(self, bluez: StandIn) -> None:
        made = sensor(bluez)
        record = Record()
        worker = worker_of(record, PROBE)

        def told() -> list[object]:
            return [e.data["registers"] for e in record.events if e.kind == "device.identity"]

        async with running(worker):
            await in_the_air(bluez, PROBE)
            await record.until(told)
            (poller,) = worker.asked.pollers
            before = len(record.scans)
            poller.identified_at = float("-inf")
            await record.until(lambda: len(record.scans) > before + 2)
            assert len(told()) == 1
            made.services[INFORMATION][0].answer = b"1.3"
            poller.identified_at = float("-inf")
            await record.until(lambda: len(told()) == 2)
        assert told() == [{"firmware": "1.2", "serial": "0042"}, {"firmware": "1.3", "serial": "0042"}]


class TestFailures:
    async def test_one_that_refuses_is_left_alone_and_costs_its_neighbour_nothing(self, bluez: StandIn) -> None:
        sensor(bluez)
        dead = sensor(bluez, OTHER)
        dead.refuses = DBusError("org.bluez.Error.Failed", "le-connection-abort-by-local")
        record = Record()
        async with running(worker_of(record, PROBE, OTHER)):
            await in_the_air(bluez, PROBE, OTHER)
            await record.until(lambda: Quality.BACKED_OFF in record.causes(1) and len(record.scans) >= 3)
            dead.refuses = None
            await record.until(lambda: any(scan.device == 1 for scan in record.scans))
        assert Quality.TIMEOUT in record.causes(1)
        assert record.causes(0) <= {Quality.TIMEOUT, Quality.BACKED_OFF, Quality.LATE, Quality.GATEWAY_DOWN}
        for device in (0, 1):
            slots = record.slots(device)
            assert slots == list(range(slots[0], slots[-1] + 1))

    async def test_a_damaged_answer_is_a_fault_of_its_channel_and_keeps_the_bytes(self, bluez: StandIn) -> None:
        made = sensor(bluez)
        made.services[ENVIRONMENTAL][0].answer = b"\xa9\x01\x00"
        record = Record()
        async with running(worker_of(record, PROBE)):
            await in_the_air(bluez, PROBE)
            await record.until(lambda: record.scans)
        scan = record.scans[0]
        assert scan.quality[0] == Quality.BAD_FRAME
        assert scan.raw is not None
        assert b"\xa9\x01\x00" in scan.raw

    async def test_without_bluetoothd_the_bus_is_down(self, bluez: StandIn) -> None:
        record = Record()
        await bluez.stop()
        async with running(worker_of(record, PROBE)):
            await record.until(record.causes)
        assert Quality.BUS_DOWN in record.causes()

    async def test_a_defect_over_one_is_recorded(self, bluez: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        sensor(bluez)
        record = Record()
        worker = worker_of(record, PROBE)
        monkeypatch.setattr(worker.asked.pollers[0], "scan", None)
        async with running(worker):
            await in_the_air(bluez, PROBE)
            await record.until(lambda: Quality.GATEWAY_FAULT in record.causes())
        assert any(event.kind == "device.fault" for event in record.events)
