"""After a gap the sensor's memory is read: into the record beside the misses, never as a scan."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256

import pytest
from bluez_standin import StandIn
from gatt_standin import Char, Peripheral, peripheral
from test_ble_asked import Record
from test_ble_asked import now_ms as boot_ms

from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.logs.nordic import NOTIFY, SERVICE, WRITE
from firmware_interfaces.ble.models import MODELS
from gateway.acquire.airpoller import AirPoller
from gateway.acquire.backfill import BackfillDesk
from gateway.model import Event
from gateway.seal.backfill import BACKFILL, Backfill, read_backfill
from gateway.site import BusSpec, Calibration, DeviceSpec

TAG = "CB:B8:33:4C:88:4F"
PERIOD_MS = 60_000
END = b"\x3a\x3a\x10" + b"\xff" * 8


def now_ms() -> int:
    """A machine that has been up for at least ten days."""
    return boot_ms() + 864_000_000


@dataclass
class Tag:
    """A RuuviTag with a log: what it kept by age in seconds, and how it behaves."""

    kept: list[tuple[int, int]] = field(default_factory=list)
    """Age in seconds, hundredths of a degree."""
    ends: bool = True
    hangs_up: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    tx: Char = field(default_factory=lambda: Char(NOTIFY, flags=("notify",)))
    peripheral: Peripheral | None = None
    _answering: asyncio.Task[None] | None = None

    def requested(self, data: bytes) -> None:
        assert data[:3] == b"\x3a\x3a\x11"
        now, since = int.from_bytes(data[3:7], "big"), int.from_bytes(data[7:], "big")
        self.asked.append((now, since))
        self._answering = asyncio.create_task(self._answer(now, since))

    async def _answer(self, now: int, since: int) -> None:
        for number, (age, hundredths) in enumerate(self.kept):
            if now - age >= since:
                self.send(0x30, now - age, hundredths)
                self.send(0x31, now - age, 5000)
            if number % 20 == 19:
                await asyncio.sleep(0.001)  # as a radio has its pace, and a socket its size
        if self.hangs_up:
            assert self.peripheral is not None
            self.peripheral.disconnect()
        elif self.ends:
            self.sent.append(END)
            self.tx.send(END)

    def send(self, endpoint: int, time_s: int, raw: int) -> None:
        frame = bytes((0x3A, endpoint, 0x10)) + time_s.to_bytes(4, "big") + raw.to_bytes(4, "big", signed=True)
        self.sent.append(frame)
        self.tx.send(frame)


def tag_at(standin: StandIn, kept: Iterable[tuple[int, int]], **behaviour: bool) -> Tag:
    tag = Tag(list(kept), **behaviour)
    rx = Char(WRITE, flags=("write",), on_write=tag.requested)
    tag.peripheral = peripheral(standin, TAG, {SERVICE: [tag.tx, rx]})
    standin.adapters["hci0"].discovering = 1
    assert standin.heard(TAG)
    return tag


def poller_of(**changes: object) -> AirPoller:
    spec = {
        "id": "chiller",
        "bus": "air",
        "model": "ruuvi-tag",
        "unit": 0,
        "period_ms": PERIOD_MS,
        "channels": ("temperature", "rssi"),
        "address": TAG,
    } | changes
    return AirPoller(0, DeviceSpec(**spec), MODELS["ruuvi-tag"])  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def desk_of(record: Record, poller: AirPoller, *pauses_s: float) -> AsyncIterator[BackfillDesk]:
    central = Central()
    bus = BusSpec(id="air", kind="ble")
    desk = BackfillDesk(bus, [poller], sink=record, now_ms=now_ms, central=central, pauses_s=pauses_s or (30.0,))
    task = asyncio.create_task(desk.run())
    try:
        yield desk
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        central.close()


def gap(desk: BackfillDesk, poller: AirPoller, slots: int = 30, ago: int = 5) -> tuple[int, int]:
    """Slots missed, the last of them so many slots ago; then a value came. The slots of the gap."""
    last = poller.grid.slot_at(now_ms()) - ago
    desk.missed(poller, last - slots + 1, slots)
    desk.answered(poller)
    return last - slots + 1, last


def of_kind(record: Record, kind: str) -> list[Event]:
    return [event for event in record.events if event.kind == kind]


def backfills(record: Record) -> list[Backfill]:
    return [read_backfill(event.data) for event in of_kind(record, BACKFILL)]


class TestDownload:
    async def test_what_was_kept_fills_missed_slots_and_no_others(self, bluez: StandIn) -> None:
        tag = tag_at(bluez, [(age, -1876 + age) for age in range(4200, 0, -300)])
        record, poller = Record(), poller_of()
        async with desk_of(record, poller) as desk:
            first, last = gap(desk, poller)
            await record.until(lambda: of_kind(record, "backfill.done"))
        (found,) = backfills(record)
        assert found.slots
        assert all(first <= slot <= last for slot in found.slots)
        assert 5 <= len(found.slots) <= 7, "thirty minutes at five minutes each"
        for row in found.rows:
            age_s = (tag.asked[0][0] - int.from_bytes(row.raw[3:7], "big")) or 0
            assert row.values == ((-1876 + age_s) / 100,)
            assert row.raw[:11] in tag.sent, "the bytes from the sensor are there"
            assert 2000 <= row.error_ms < 30_000
        assert [column.channel for column in found.columns] == ["temperature"]
        assert found.sha256 == sha256(b"".join(tag.sent)).hexdigest()
        assert record.scans == []
        assert record.misses == []

    async def test_it_is_told_what_was_missing_and_what_came(self, bluez: StandIn) -> None:
        tag_at(bluez, [(age, 400) for age in range(4200, 0, -300)])
        record, poller = Record(), poller_of()
        async with desk_of(record, poller) as desk:
            first, last = gap(desk, poller)
            await record.until(lambda: of_kind(record, "backfill.done"))
        (done,) = of_kind(record, "backfill.done")
        assert done.data["runs"] == [[first, last - first + 1]]
        assert (done.data["slots"], done.data["filled"]) == (30, len(backfills(record)[0].slots))
        assert done.data["whole"] is True

    async def test_many_are_several_events_of_one_download(self, bluez: StandIn) -> None:
        tag_at(bluez, [(age, age % 1000) for age in range(90_000, 600, -60)])
        record, poller = Record(), poller_of()
        async with desk_of(record, poller) as desk:
            gap(desk, poller, slots=1400)
            await record.until(lambda: of_kind(record, "backfill.done"))
        found = backfills(record)
        assert [one.part for one in found] == list(range(1, len(found) + 1))
        assert len({one.sha256 for one in found}) == 1
        slots = [slot for one in found for slot in one.slots]
        assert slots == sorted(slots)
        assert len(slots) >= 1390

    async def test_calibration_holds_for_what_was_kept_as_well(self, bluez: StandIn) -> None:
        tag_at(bluez, [(1200, 400)])
        record = Record()
        certificate = Calibration(certificate="K-1", valid_until=date(2027, 1, 1), points=((0.0, 0.5),))
        poller = poller_of(calibration={"temperature": certificate})
        async with desk_of(record, poller) as desk:
            gap(desk, poller)
            await record.until(lambda: of_kind(record, "backfill.done"))
        (found,) = backfills(record)
        assert [column.role for column in found.columns] == ["value", "indicated"]
        assert [row.values for row in found.rows] == [(4.5, 4.0)]


class TestWhenAndWhenNot:
    async def test_a_gap_shorter_than_the_sensors_interval_has_nothing_to_fill_it(self, bluez: StandIn) -> None:
        tag = tag_at(bluez, [(age, 400) for age in range(4200, 0, -300)])
        record, poller = Record(), poller_of()
        async with desk_of(record, poller) as desk:
            gap(desk, poller, slots=4, ago=50)
            first, last = gap(desk, poller)
            await record.until(lambda: of_kind(record, "backfill.done"))
        assert of_kind(record, "backfill.done")[0].data["runs"] == [[first, last - first + 1]]
        assert len(tag.asked) == 1

    async def test_while_the_sensor_is_silent_nobody_calls_it(self, bluez: StandIn) -> None:
        tag = tag_at(bluez, [(age, 400) for age in range(4200, 0, -300)])
        record, poller = Record(), poller_of()
        async with desk_of(record, poller) as desk:
            slot = poller.grid.slot_at(now_ms()) - 40
            desk.missed(poller, slot, 20)
            desk.missed(poller, slot + 20, 10)
            for _ in range(20):
                await asyncio.sleep(0)
            assert tag.asked == []
            desk.answered(poller)
            await record.until(lambda: of_kind(record, "backfill.done"))
        assert of_kind(record, "backfill.done")[0].data["runs"] == [[slot, 30]]

    async def test_a_site_may_not_want_it(self, bluez: StandIn) -> None:
        tag = tag_at(bluez, [(1200, 400)])
        record, poller = Record(), poller_of(backfill=False)
        async with desk_of(record, poller) as desk:
            gap(desk, poller)
            await asyncio.sleep(0)
        assert tag.asked == []
        assert record.events == []


class TestFailures:
    async def test_one_that_breaks_off_is_asked_again(self, bluez: StandIn) -> None:
        tag = tag_at(bluez, [(age, 400) for age in range(4200, 0, -300)], hangs_up=True)
        record, poller = Record(), poller_of()
        async with desk_of(record, poller, 0.05, 0.05) as desk:
            gap(desk, poller)
            async with asyncio.timeout(20):
                while not tag.asked:
                    await asyncio.sleep(0.01)
            tag.hangs_up = False
            await record.until(lambda: of_kind(record, "backfill.done"))
        assert len(tag.asked) >= 2
        assert of_kind(record, "backfill.failed") == []

    async def test_in_the_end_what_came_is_entered_and_the_failure_said(self, bluez: StandIn) -> None:
        tag_at(bluez, [(age, 400) for age in range(4200, 0, -300)], hangs_up=True)
        record, poller = Record(), poller_of()
        async with desk_of(record, poller, 0.01) as desk:
            gap(desk, poller)
            await record.until(lambda: of_kind(record, "backfill.failed"))
        (failed,) = of_kind(record, "backfill.failed")
        assert "broke off" in failed.data["why"]
        assert failed.data["whole"] is False
        assert failed.data["filled"] == len(backfills(record)[0].slots) > 0

    async def test_a_tag_without_a_log(self, bluez: StandIn) -> None:
        peripheral(bluez, TAG, {})
        bluez.adapters["hci0"].discovering = 1
        assert bluez.heard(TAG)
        record, poller = Record(), poller_of()
        async with desk_of(record, poller, 0.01) as desk:
            gap(desk, poller)
            await record.until(lambda: of_kind(record, "backfill.failed"))
        (failed,) = of_kind(record, "backfill.failed")
        assert "no UART service" in failed.data["why"]
        assert failed.data["filled"] == 0

    async def test_a_defect_over_one_download_is_a_failure_of_it(
        self, bluez: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tag_at(bluez, [(1200, 400)])
        monkeypatch.setattr("firmware_interfaces.ble.logs.ruuvi.take_apart", None)
        record, poller = Record(), poller_of()
        async with desk_of(record, poller, 0.01) as desk:
            gap(desk, poller)
            await record.until(lambda: of_kind(record, "backfill.failed"))
        assert "TypeError" in of_kind(record, "backfill.failed")[0].data["why"]
