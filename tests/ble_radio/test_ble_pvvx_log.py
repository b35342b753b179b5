"""The log of a thermometer with pvvx's firmware: records, which clock is believed, a download over a real D-Bus."""

import struct
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from bluez_standin import StandIn
from gatt_standin import Char, peripheral
from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.logs.nouns import Download, NoLog
from firmware_interfaces.ble.logs.pvvx import (
    COMMAND,
    SERVICE,
    SOURCE,
    PvvxLog,
    Record,
    request,
    sort_out,
    take_apart,
)
from firmware_interfaces.errors import BadFrame

THERMOMETER = "A4:C1:38:01:02:03"
PACE_S = 1800


def frame(number: int, time_s: int, celsius: float = -18.76, humidity: float = 55.0, volts: float = 2.95) -> bytes:
    values = struct.pack("<IhHH", time_s, round(celsius * 100), round(humidity * 100), round(volts * 1000))
    return b"\x35" + number.to_bytes(2, "little") + values


def record(number: int, time_s: int, **values: float) -> Record:
    found = take_apart(frame(number, time_s, **values))
    assert found is not None
    return found


class TestRecords:
    def test_one(self) -> None:
        data = bytes.fromhex("35 0100 00e1f565 acf8 7c15 860b")
        assert take_apart(data) == Record(1, 1710612736, -1876, 5500, 2950, data)

    def test_requests_and_the_end(self) -> None:
        assert request(0xFFFF) == b"\x35\xff\xff"
        assert request(0) == b"\x35\x00\x00"
        assert take_apart(b"\x35\x00\x00") is None

    @given(st.binary(max_size=24))
    def test_any_bytes(self, data: bytes) -> None:
        try:
            found = take_apart(data)
        except BadFrame:
            return
        assert found is None or (len(data) == 13 and data[0] == 0x35 and found.number)


def sorted_out(records: list[Record], now_s: int = 100_000, oldest_s: float = 1e6) -> Download:
    download = Download(SOURCE, PvvxLog.fields, 0.0)
    sort_out(records, download, now_s, oldest_s, 40)
    return download


class TestBelief:
    def test_age_is_by_the_devices_clock_and_the_error_counts_the_mean(self) -> None:
        found = sorted_out([record(n, 99_500 - (n - 1) * PACE_S) for n in range(1, 5)])
        assert [kept.age_ms for kept in found.kept] == [5_900_000, 4_100_000, 2_300_000, 500_000]
        assert found.kept[0].values == {"temperature": -18.76, "humidity": 55.0, "battery_voltage": 2.95}
        assert found.kept[-1].error_ms == 2000 + PACE_S * 1000 + 40 + round(500_000 * 2048e-6)
        assert found.dropped == {}

    @pytest.mark.parametrize("step", [PACE_S + 5, PACE_S - 600, PACE_S + 86_400, -3600], ids=str)
    def test_before_a_lost_battery_or_a_clock_that_was_set_nothing_is_believed(self, step: int) -> None:
        times = [99_500 - n * PACE_S for n in range(4)]
        times += [times[-1] - step - n * PACE_S for n in range(3)]
        found = sorted_out([record(n, time) for n, time in enumerate(times, 1)])
        assert [kept.age_ms for kept in found.kept] == [(500 + n * PACE_S) * 1000 for n in (3, 2, 1, 0)]
        assert found.dropped == {"before the clock was changed": 3}

    def test_what_does_not_show_a_pace(self) -> None:
        assert sorted_out([record(1, 99_500), record(2, 97_700)]).dropped == {"too few to show a pace": 2}
        close = [record(n, 99_990 - 10 * n) for n in range(1, 5)]
        assert sorted_out(close).dropped == {"too close to show a pace": 4}

    def test_a_record_that_is_missing_ends_what_can_be_believed(self) -> None:
        records = [record(n, 99_500 - n * PACE_S) for n in (1, 2, 3, 5, 6)]
        found = sorted_out(records)
        assert len(found.kept) == 3
        assert found.dropped == {"out of order": 2}

    def test_values_that_cannot_be_and_times_not_asked_for(self) -> None:
        records = [record(n, 99_500 - (n - 1) * PACE_S) for n in range(1, 6)]
        records[1] = record(2, 97_700, celsius=-300.0, humidity=655.35)
        records[2] = record(3, 95_900, celsius=-300.0)
        found = sorted_out(records, oldest_s=6000.0)
        assert found.dropped == {"no value": 1, "earlier than asked for": 1}
        assert found.kept[1].values == {"humidity": 55.0, "battery_voltage": 2.95}

    @given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2**32 - 1)), max_size=12))
    def test_whatever_is_kept_came_at_one_pace(self, raw: list[tuple[int, int]]) -> None:
        found = sorted_out([record(number, time) for number, time in raw], now_s=2**31, oldest_s=2.0**33)
        ages = [kept.age_ms for kept in found.kept]
        assert len(found.kept) + sum(found.dropped.values()) == len(raw)
        steps = {a - b for a, b in pairwise(ages) if a and b}
        assert not steps or (min(steps) >= 58_000 and max(steps) - min(steps) <= 4000)


@dataclass
class Thermometer:
    """A device with a clock and a log, newest first."""

    clock_s: int = 50_000
    times: list[int] = field(default_factory=list)
    speaks_otherwise: bool = False
    written: list[bytes] = field(default_factory=list)
    out: Char = field(default_factory=lambda: Char(COMMAND, flags=("notify", "write", "write-without-response")))

    def asked(self, data: bytes) -> None:
        self.written.append(data)
        if data == b"\x23":
            if self.speaks_otherwise:
                self.out.send(b"\x33" + bytes(10))
            self.out.send(b"\x23" + self.clock_s.to_bytes(4, "little") + bytes(4))
        elif data[:1] == b"\x35" and data != request(0):
            for number, time_s in enumerate(self.times, 1):
                self.out.send(frame(number, time_s))
            self.out.send(b"\x35\x00\x00")


def thermometer_at(standin: StandIn, **facts: object) -> Thermometer:
    made = Thermometer(**facts)  # type: ignore[arg-type]
    made.out.on_write = made.asked
    peripheral(standin, THERMOMETER, {SERVICE: [made.out]})
    standin.adapters["hci0"].discovering = 1
    assert standin.heard(THERMOMETER)
    return made


async def read(reader: PvvxLog, at_s: float, oldest_s: float = 20_000.0) -> Download:
    central = Central()
    try:
        async with central.linked(THERMOMETER, wait_s=10.0, connect_s=10.0) as link:
            return await reader.read(link, oldest_s, lambda: at_s)
    finally:
        central.close()


class TestDownload:
    async def test_a_record_must_have_been_written_while_the_clock_was_watched(self, bluez: StandIn) -> None:
        device = thermometer_at(bluez, times=[49_900 - n * PACE_S for n in range(5)], speaks_otherwise=True)
        reader = PvvxLog()
        for passed_s in (0, 60):
            device.clock_s = 50_000 + passed_s
            with pytest.raises(NoLog, match="since its clock is watched"):
                await read(reader, 1000.0 + passed_s)
        device.clock_s = 50_000 + PACE_S
        device.times.insert(0, 49_900 + PACE_S)
        found = await read(reader, 1000.0 + PACE_S)
        assert found.whole
        assert [kept.age_ms for kept in found.kept] == [(100 + n * PACE_S) * 1000 for n in (5, 4, 3, 2, 1, 0)]
        assert all(len(data) in {1, 3} for data in device.written), "its clock is never set"

    async def test_a_battery_that_was_lost_while_nobody_looked(self, bluez: StandIn) -> None:
        """Three days without a battery: the clock goes on five seconds after the newest record."""
        device = thermometer_at(bluez, times=[49_900 - n * PACE_S for n in range(5)])
        reader = PvvxLog()
        with pytest.raises(NoLog):
            await read(reader, 1000.0)
        device.clock_s = 49_905 + 60
        with pytest.raises(NoLog, match="since its clock is watched"):
            await read(reader, 1000.0 + 3 * 86_400)
        device.clock_s += PACE_S
        device.times.insert(0, 49_905 + PACE_S)
        found = await read(reader, 1000.0 + 3 * 86_400 + PACE_S)
        assert len(found.kept) == 1, "only what was written since is believed"
        assert found.dropped == {"before the clock was changed": 5}

    async def test_only_so_much_is_read_as_is_wanted(self, bluez: StandIn) -> None:
        device = thermometer_at(bluez, times=[49_900 - n * PACE_S for n in range(20)])
        reader = PvvxLog()
        with pytest.raises(NoLog):
            await read(reader, 1000.0)
        device.clock_s += PACE_S
        device.times.insert(0, 49_900 + PACE_S)
        found = await read(reader, 1000.0 + PACE_S, oldest_s=3 * PACE_S)
        assert len(found.kept) == 3
        assert device.written[-1] == request(0), "the rest is waved off"

    async def test_other_firmware(self, bluez: StandIn) -> None:
        peripheral(bluez, THERMOMETER, {})
        bluez.adapters["hci0"].discovering = 1
        assert bluez.heard(THERMOMETER)
        with pytest.raises(NoLog, match="no commands"):
            await read(PvvxLog(), 0.0)
