"""Sensors on the grid: every slot exactly once, no value twice, none older than its slot. The clock is a number."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.models import MODELS
from firmware_interfaces.ble.scanner import RadioState
from gateway.acquire.air import AirWorker, read_key
from gateway.acquire.airpoller import AirPoller
from gateway.acquire.metronome import Metronome
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import BusSpec, Calibration, DeviceSpec

TAG = "CB:B8:33:4C:88:4F"
OTHER = "CB:B8:33:4C:88:50"


def ruuvi(sequence: int, temperature: int = 0x12FC) -> dict[int, bytes]:
    frame = bytearray.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")
    frame[1:3] = temperature.to_bytes(2, "big", signed=True) if temperature < 0x8000 else b"\x80\x00"
    frame[16:18] = sequence.to_bytes(2, "big")
    return {0x0499: bytes(frame)}


class Radio:
    """A scanner that does nothing but remember whom to tell."""

    def __init__(self, on_report: Any, **callbacks: Any) -> None:
        self.on_report = on_report
        self.on_state = callbacks["on_state"]
        self.on_step = callbacks["on_step"]
        self.adapter = callbacks["adapter"]
        self.state = RadioState.IDLE

    def say(self, state: RadioState, words: str = "") -> None:
        self.state = state
        self.on_state(state, words)


class World:
    """One ble bus under a clock that is set by hand."""

    def __init__(self, *devices: DeviceSpec, adapters: Sequence[str] = ("hci0",), keys: Any = None) -> None:
        self.now = 0
        self.records: list[Scan | Miss] = []
        self.events: list[Event] = []
        self.pollers = [AirPoller(index, spec, MODELS[spec.model]) for index, spec in enumerate(devices)]
        self.worker = AirWorker(
            BusSpec(id="air", kind="ble", adapters=tuple(adapters)),
            self.pollers,
            sink=self,
            now_ms=lambda: self.now,
            metronome=Metronome(),
            keys=keys,
            make_scanner=Radio,  # type: ignore[arg-type]
        )
        self.radios: list[Radio] = self.worker.scanners  # type: ignore[assignment]

    scan = miss = lambda self, record: self.records.append(record)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def start(self, at: int = 0, resume: dict[str, int] | None = None) -> None:
        self.now = at
        self.worker.start(resume or {}, at)
        for radio in self.radios:
            radio.say(RadioState.SCANNING)

    def hear(
        self,
        manufacturer: dict[int, bytes] | None = None,
        *,
        at: int,
        address: str = TAG,
        rssi: int = -60,
        **service: bytes,
    ) -> None:
        self.serve(at - 1)
        self.now = at
        data = {full_uuid(int(uuid[1:], 16)): value for uuid, value in service.items()} or None
        self.radios[0].on_report(Report("hci0", address, rssi, None, manufacturer, data), at / 1000)

    def serve(self, until: int) -> None:
        """Let time pass: every slot is served when it is due."""
        while True:
            due = min(poller.grid.due_ms(poller.next_slot) for poller in self.pollers)
            if due > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, due)
            for poller in self.pollers:
                self.worker._serve(poller, self.now)

    def of(self, device: int = 0) -> list[Scan | Miss]:
        return [record for record in self.records if record.device == device]

    def assert_accounted(self) -> None:
        for device in range(len(self.pollers)):
            records = self.of(device)
            if records:
                expected = records[0].slot
                for record in records:
                    assert record.slot == expected
                    expected += record.count if isinstance(record, Miss) else 1
                assert expected == self.pollers[device].next_slot


def tag(period_ms: int = 60_000, phase_ms: int = 0, **changes: Any) -> DeviceSpec:
    options: dict[str, Any] = {"channels": ("temperature", "humidity", "rssi"), "address": TAG} | changes
    return DeviceSpec(
        id=options.pop("id", "chiller"),
        bus="air",
        model=options.pop("model", "ruuvi-tag"),
        unit=0,
        period_ms=period_ms,
        phase_ms=phase_ms,
        **options,
    )


def test_a_slot_is_answered_by_the_newest_of_its_time_with_that_time() -> None:
    world = World(tag())
    world.start()
    world.hear(ruuvi(1, 1000), at=10_000)
    world.hear(ruuvi(2, 2000), at=40_000, rssi=-71)
    world.serve(60_000)
    (scan,) = world.of()
    assert isinstance(scan, Scan)
    assert (scan.slot, scan.at_ms, list(scan.values), scan.quality) == (1, 40_000, [10.0, 53.49, -71.0], bytes(3))
    assert scan.raw is None


def test_a_slot_without_news_is_a_miss_and_the_last_value_is_not_used_again() -> None:
    world = World(tag())
    world.start()
    world.hear(ruuvi(1), at=10_000)
    world.serve(180_000)
    assert [type(record) for record in world.of()] == [Scan, Miss, Miss]
    assert {record.quality for record in world.of()[1:]} == {Quality.STALE}
    world.assert_accounted()


def test_a_repeated_measurement_is_no_news() -> None:
    world = World(tag())
    world.start()
    for at in range(10_000, 170_000, 10_000):
        world.hear(ruuvi(1), at=at)
    world.serve(180_000)
    assert [type(record) for record in world.of()] == [Scan, Miss, Miss]


def test_what_is_heard_exactly_when_a_slot_is_due_belongs_to_it() -> None:
    world = World(tag(phase_ms=500))
    world.start()
    world.hear(ruuvi(1), at=60_500)
    world.serve(60_500)
    world.hear(ruuvi(2), at=60_501)
    world.serve(120_500)
    assert [(record.slot, getattr(record, "at_ms", None)) for record in world.of()] == [
        (0, None),
        (1, 60_500),
        (2, 60_501),
    ]


def test_markers_of_no_value_have_their_quality_and_the_bytes_stay() -> None:
    world = World(tag())
    world.start()
    world.hear(ruuvi(1, 0x8000), at=1_000)
    world.serve(60_000)
    (scan,) = world.of()
    assert isinstance(scan, Scan)
    assert math.isnan(scan.values[0])
    assert scan.quality == bytes([Quality.SENSOR_FAULT, 0, 0])
    assert scan.raw == ruuvi(1, 0x8000)[0x0499]


def test_a_channel_that_was_not_sent_has_no_value() -> None:
    world = World(tag(model="bthome", channels=("temperature", "battery", "rssi")))
    world.start()
    world.hear(at=1_000, xFCD2=bytes.fromhex("400001" + "02ca09"))
    world.serve(60_000)
    (scan,) = world.of()
    assert isinstance(scan, Scan)
    assert scan.quality == bytes([0, Quality.STALE, 0])
    assert scan.values[0] == 25.06


def test_bad_frames_are_misses_with_their_bytes() -> None:
    world = World(tag())
    world.start()
    world.hear({0x0499: b"\x05\x00\x01"}, at=1_000)
    world.serve(60_000)
    (miss,) = world.of()
    assert isinstance(miss, Miss)
    assert (miss.quality, miss.raw) == (Quality.BAD_FRAME, b"\x05\x00\x01")
    assert "ends before" in world.pollers[0].stats.last_fault


def test_frames_of_another_make_are_not_this_sensor() -> None:
    world = World(tag(model="bthome", channels=("temperature",)))
    world.start()
    world.hear(ruuvi(1), at=1_000)
    world.serve(60_000)
    assert [record.quality for record in world.of()] == [Quality.STALE]


def test_without_an_adapter_the_bus_is_down_and_that_is_said_once() -> None:
    world = World(tag(), adapters=("hci0", "hci1"))
    world.start()
    world.radios[0].say(RadioState.NO_ADAPTER, "hci0 went away")
    world.serve(60_000)
    world.radios[1].say(RadioState.POWERED_OFF)
    world.serve(120_000)
    world.radios[1].say(RadioState.SCANNING)
    world.serve(180_000)
    assert [record.quality for record in world.of()] == [Quality.STALE, Quality.BUS_DOWN, Quality.STALE]
    assert [event.kind for event in world.events] == ["bus.lost", "bus.back"]
    assert world.worker.stats.lost == 1


def test_an_adapter_that_never_came_is_said() -> None:
    world = World(tag())
    world.worker.start({}, 0)
    world.radios[0].say(RadioState.NO_DBUS, "no socket")
    assert [event.kind for event in world.events] == ["bus.lost"]
    assert not world.worker.stats.connected


def test_calibrated_channels_have_both_columns() -> None:
    from datetime import date

    points = ((0.0, 0.5), (50.0, 50.5))
    calibration = {"temperature": Calibration(certificate="K", valid_until=date(2030, 1, 1), points=points)}
    world = World(tag(channels=("temperature", "rssi"), calibration=calibration))
    world.start()
    world.hear(ruuvi(1, 1000), at=1_000)
    world.serve(60_000)
    (scan,) = world.of()
    assert isinstance(scan, Scan)
    assert list(scan.values) == [5.5, 5.0, -60.0]
    assert [(column.channel, column.role) for column in world.pollers[0].layout.columns] == [
        ("temperature", "value"),
        ("temperature", "indicated"),
        ("rssi", "value"),
    ]


def test_a_stopped_gateway_owes_its_slots_and_the_end_accounts_for_the_rest() -> None:
    world = World(tag())
    world.start(300_000, {"chiller": 2})
    (miss,) = world.of()
    assert isinstance(miss, Miss)
    assert (miss.slot, miss.count, miss.quality) == (3, 3, Quality.GATEWAY_DOWN)
    world.hear(ruuvi(1), at=310_000)
    world.now = 500_000
    world.worker.account(500_000)
    assert [type(record) for record in world.of()[1:]] == [Scan, Miss]
    assert world.of()[-1].quality == Quality.GATEWAY_DOWN
    world.assert_accounted()


def test_two_devices_may_listen_to_one_sensor() -> None:
    world = World(tag(), tag(id="chiller-slow", period_ms=600_000, channels=("battery_voltage",)))
    world.start()
    for number in range(10):
        world.hear(ruuvi(number), at=60_000 * number + 30_000)
    world.serve(600_000)
    assert len(world.of(0)) == 10
    (slow,) = world.of(1)
    assert isinstance(slow, Scan)
    assert list(slow.values) == [2.977]


async def test_a_defect_over_one_sensor_does_not_touch_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tag(), tag(id="other", address=OTHER))
    world.start()
    first, second = world.pollers
    monkeypatch.setattr(first, "answer", lambda slot: 1 / 0)
    world.hear(ruuvi(1), at=1_000, address=OTHER)
    world.now = 120_000
    task = asyncio.create_task(world.worker._serve_slots())
    await asyncio.sleep(0)
    task.cancel()
    assert [(record.slot, record.quality) for record in world.of(0)] == [(1, Quality.GATEWAY_FAULT)]
    assert [type(record) for record in world.of(1)] == [Scan, Miss]
    assert [event.kind for event in world.events] == ["device.fault"]
    assert (first.stats.defects, second.stats.defects) == (1, 0)
    world.assert_accounted()


def test_a_defect_over_one_advertisement_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tag())
    world.start()
    monkeypatch.setattr(world.worker.sensors, "report", lambda report, now: 1 / 0)
    for at in (1_000, 2_000):
        world.hear(ruuvi(at), at=at)
    assert [event.kind for event in world.events] == ["bus.fault"]
    assert world.worker.defects == 2


def test_keys_come_from_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "key"
    assert read_key(tag()) is None
    for content in ("zz", "1234", None):
        if content is not None:
            path.write_text(content)
        else:
            path.unlink()
        assert read_key(tag(key_file=path)) is None
        assert "chiller" in caplog.text
        caplog.clear()
    path.write_text("231d39c1d7cc1ab1aee224cd096db932\n")
    assert read_key(tag(key_file=path)) == bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")


Heard = st.lists(st.tuples(st.integers(1, 40_000), st.integers(0, 5), st.sampled_from([TAG, OTHER])), max_size=40)


@given(Heard, st.integers(1_000, 90_000), st.integers(0, 999), st.integers(0, 500_000), st.booleans())
def test_every_slot_exactly_once_and_no_value_twice(
    heard: list[tuple[int, int, str]], period: int, phase: int, begin: int, resumed: bool
) -> None:
    world = World(tag(period, phase), tag(period * 2, phase, id="other", address=OTHER))
    world.start(begin, {"chiller": 0} if resumed and begin > 2 * period else None)
    at = begin
    for after, sequence, address in heard:
        at += after
        world.hear(ruuvi(sequence), at=at, address=address)
    world.serve(at + 3 * period)
    world.worker.account(world.now)
    world.assert_accounted()
    for device, poller in enumerate(world.pollers):
        scans = [record for record in world.of(device) if isinstance(record, Scan)]
        assert len({scan.at_ms for scan in scans}) == len(scans)
        for scan in scans:
            assert poller.grid.due_ms(scan.slot - 1) < scan.at_ms <= poller.grid.due_ms(scan.slot)
        assert poller.stats.scans == len(scans)
        assert not poller._heard or min(poller._heard) >= poller.next_slot


def test_a_value_that_is_three_intervals_old_when_its_slot_is_due_is_overdue() -> None:
    world = World(tag(interval_s=10.0))
    world.start()
    world.hear(ruuvi(1), at=10_000)
    world.hear(ruuvi(2), at=80_000)
    world.hear(ruuvi(3), at=110_000)
    world.serve(130_000)
    first, second = (record for record in world.of() if isinstance(record, Scan))
    assert (first.at_ms, first.quality[0]) == (10_000, Quality.OVERDUE)
    assert first.values[0] == 24.3, "it is the newest that came, and stays a value"
    assert (second.at_ms, second.quality[0]) == (110_000, Quality.GOOD)
