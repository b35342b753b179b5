"""M-Bus telegrams. The frames were sent by meters (libmbus, test/test-frames, BSD; values as its XML has them)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pty_tools import Wire

from firmware_interfaces.errors import BadFrame, NoAnswer
from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.mbus import ACK, long_frame, parse_long, request_data, reset_link, select
from firmware_interfaces.serial.mbus_records import parse_telegram
from firmware_interfaces.serial.meter import METERS, Meter, secondary_address
from firmware_interfaces.serial.port import LineSettings

KAMSTRUP = bytes.fromhex(
    """
    68 F7 F7 68 08 11 72 17 58 85 06 2D 2C 08 04 04 00 00 00 0C 78 17 58 85 06 04 06 E7 91 00 00 04
    14 2C DB 00 00 04 22 D9 03 00 00 04 59 B9 27 00 00 04 5D 08 12 00 00 04 61 B1 15 00 00 04 2D 5B
    01 00 00 14 2D C0 01 00 00 04 3B 1F 02 00 00 14 3B 74 02 00 00 84 10 06 00 00 00 00 84 20 06 00
    00 00 00 84 40 14 00 00 00 00 84 80 40 14 00 00 00 00 84 C0 40 06 00 00 00 00 04 6D 1A 2F 65 11
    44 06 51 82 00 00 44 14 B2 C3 00 00 54 2D 26 02 00 00 54 3B 03 04 00 00 C4 10 06 00 00 00 00 C4
    20 06 00 00 00 00 C4 40 14 00 00 00 00 C4 80 40 14 00 00 00 00 C4 C0 40 06 00 00 00 00 42 6C 5F
    1C 0F 00 00 00 00 E7 E4 00 00 63 66 00 00 00 00 00 00 00 00 00 00 00 00 00 00 5B C9 A5 02 34 53
    00 00 E0 B2 03 00 89 9C 68 00 00 00 00 00 01 00 01 07 07 09 01 03 00 00 00 00 00 98 16
    """
)
SENSUS = bytes.fromhex(
    """
    68 42 42 68 08 08 72 76 00 05 21 18 4E 31 04 51 00 00 00 0C 07 64 08 00 00 0C 14 92 98 79 00 0C
    7B 02 03 00 00 0C 2C 58 54 00 00 0A 5A 55 07 0A 5E 94 05 0B 60 76 60 01 0C 78 76 00 05 21 0C FD
    10 76 00 05 21 1F B3 16
    """
)
SIEMENS = bytes.fromhex(
    """
    68 59 59 68 08 00 72 82 13 02 08 65 32 99 06 EB 00 00 00 0C 13 01 01 00 00 0B 22 52 09 02 04 6D
    38 08 6E 19 32 6C 00 00 0C 78 82 13 02 08 06 FD 0C 0A 00 01 00 FA 01 0D FD 0B 05 31 32 48 46 57
    01 FD 0E 00 0B 3B 00 00 00 0F 37 FD 17 00 00 00 00 00 00 00 00 02 7A 0D 00 02 78 0D 00 11 16
    """
)


def present(frame: bytes) -> Mapping[str, tuple[float | None, int]]:
    answer = parse_long(frame)
    assert answer is not None
    telegram = parse_telegram(answer.data)
    assert telegram is not None
    found: dict[str, tuple[float | None, int]] = {}
    for record in telegram.records:
        if record.is_present:
            value = None if record.value is None else float(record.value)
            found.setdefault(record.quantity, (value, record.quality))
    return found


def records(body: str) -> Mapping[str, tuple[float | None, int]]:
    """What a telegram with these records says."""
    header = bytes.fromhex("78563412") + bytes.fromhex("2D2C") + bytes((8, 4, 1, 0, 0, 0))
    return present(long_frame(8, 1, 0x72, header + bytes.fromhex(body)))


class TestTelegramsOfMeters:
    def test_a_heat_meter(self) -> None:
        answer = parse_long(KAMSTRUP)
        assert answer is not None
        assert answer.address == 17
        telegram = parse_telegram(answer.data)
        assert telegram is not None
        header = telegram.header
        assert (header.serial, header.maker, header.version) == ("06855817", "KAM", 8)
        assert header.medium_words == "heat (outlet)"
        assert not telegram.more
        assert {key: value for key, (value, _) in present(KAMSTRUP).items()} == {
            "energy": 37351.0,
            "volume": 561.08,
            "flow_temperature": 101.69,
            "return_temperature": 46.16,
            "temperature_difference": 55.53,
            "power": 34.7,
            "volume_flow": 0.543,
        }

    def test_a_meter_with_more_to_say(self) -> None:
        answer = parse_long(SENSUS)
        assert answer is not None
        telegram = parse_telegram(answer.data)
        assert telegram is not None
        assert telegram.more
        assert (telegram.header.serial, telegram.header.maker) == ("21050076", "SPX")
        assert {key: value for key, (value, _) in present(SENSUS).items()} == {
            "energy": 8640.0,
            "volume": 7998.92,
            "power": 54.58,
            "flow_temperature": 75.5,
            "return_temperature": 59.4,
            "temperature_difference": 16.076,
        }

    def test_a_water_meter(self) -> None:
        assert present(SIEMENS)["volume"] == (0.101, Quality.GOOD)
        assert present(SIEMENS)["volume_flow"] == (0.0, Quality.GOOD)


class TestRecords:
    @pytest.mark.parametrize(
        ("body", "key", "value"),
        [
            ("0403 40420F00", "energy", 1000.0),
            ("040E 40420F00", "energy", pytest.approx(277777.777777)),
            ("04FB0901000000", "energy", pytest.approx(277.7777777)),
            ("0254 0A00", "mass_flow", 100.0),
            ("025A F6FF", "flow_temperature", -1.0),
            ("0A5A 10F0", "flow_temperature", -1.0),
            ("055B 0000C841", "flow_temperature", 25.0),
            ("0268 D007", "pressure", 2.0),
            ("02FD48 E803", "voltage", 100.0),
            ("0283 74 6400", "energy", 0.001),
            ("0283 7D 6400", "energy", 100.0),
        ],
    )
    def test_units_become_those_of_the_channel(self, body: str, key: str, value: Any) -> None:
        assert records(body)[key][0] == value

    @pytest.mark.parametrize(
        "body",
        ["0A5A 1AC0", "055B 0000C07F", "025A 0080", "325A 1000", "02DA 15 1000", "055B 0000807F"],
        ids=["no digits", "no float", "invalid by the standard", "error state", "no data", "infinite"],
    )
    def test_what_is_no_value_is_a_fault(self, body: str) -> None:
        assert records(body)["flow_temperature"] == (None, Quality.SENSOR_FAULT)

    @pytest.mark.parametrize(
        "body",
        ["425A 1000", "125A 1000", "825A 10 1000", "02DA 7E 1000", "025A 10", "0DDA", "825A", "02"],
        ids=["stored", "maximum", "tariff", "unknown extension", "cut off", "text", "no end", "no unit"],
    )
    def test_what_is_another_value_or_broken_off_is_none(self, body: str) -> None:
        assert "flow_temperature" not in records(body)

    def test_a_permanent_error_of_the_meter_makes_its_values_doubtful(self) -> None:
        header = bytes.fromhex("78563412") + bytes.fromhex("2D2C") + bytes((8, 4, 1, 0x08, 0, 0))
        telegram = parse_telegram(header)
        assert telegram is not None
        assert telegram.header.quality == Quality.DEVICE_UNCERTAIN

    def test_an_encrypted_telegram_has_no_records(self) -> None:
        header = bytes.fromhex("78563412") + bytes.fromhex("2D2C") + bytes((8, 4, 1, 0, 0x10, 0x05))
        telegram = parse_telegram(header + bytes.fromhex("025A1000"))
        assert telegram is not None
        assert telegram.encrypted
        assert telegram.records == ()

    @given(st.binary(max_size=120))
    def test_no_bytes_break_the_reader(self, data: bytes) -> None:
        telegram = parse_telegram(data)
        for record in telegram.records if telegram is not None else ():
            assert (record.value is None) == (record.quality == Quality.SENSOR_FAULT)
            assert record.value is None or math.isfinite(record.value)


class Slave:
    """Meters on a level converter that echoes what is sent."""

    def __init__(self, telegrams: list[bytes], address: int = 8) -> None:
        self.telegrams = telegrams
        self.address = address
        self.at = 0
        self.toggle: int | None = None
        self.mute = False

    def __call__(self, request: bytes) -> bytes | None:
        if self.mute:
            return None
        if request in {reset_link(self.address), select(bytes.fromhex("76000521FFFFFFFF"))}:
            self.at, self.toggle = 0, None
            return request + ACK
        for toggle in (False, True):
            if request in {request_data(self.address, toggle), request_data(253, toggle)}:
                if self.toggle is not None and self.toggle != toggle:
                    self.at = (self.at + 1) % len(self.telegrams)
                self.toggle = toggle
                return request + self.telegrams[self.at]
        return request


SECOND = long_frame(8, 8, 0x72, SENSUS[7:19] + bytes.fromhex("02FD480A00"))


@pytest.fixture
def line(wire: Wire) -> SerialLine:
    return SerialLine(str(wire.path), LineSettings(2400), kind="mbus", limit_s=2.0)


class TestMeter:
    async def test_all_telegrams_are_asked_for_and_the_next_poll_begins_anew(
        self, wire: Wire, line: SerialLine
    ) -> None:
        wire.answer = Slave([SENSUS, SECOND])
        await line.open(1)
        meter = Meter(line, 8, METERS["mbus-meter"], ["energy", "voltage"])
        for _ in range(3):
            reading = await meter.poll(2.0)
            assert list(reading.values) == [8640.0, 1.0]
            assert reading.quality == bytes(2)
            assert reading.raw() == SENSUS + SECOND
        line.close()

    async def test_by_secondary_address(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = Slave([SENSUS])
        await line.open(1)
        meter = Meter(line, 0, METERS["mbus-heat"], ["energy"], secondary_address("21050076"))
        assert list((await meter.poll(2.0)).values) == [8640.0]
        (who,) = [introduction async for introduction in meter.introduce(2.0)]
        assert who.kind == "identity"
        assert who.found["serial"] == "21050076"
        assert who.found["maker"] == "SPX"
        line.close()

    async def test_what_the_meter_does_not_send_is_not_supported(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = Slave([SECOND])
        await line.open(1)
        reading = await Meter(line, 8, METERS["mbus-heat"], ["energy"]).poll(2.0)
        assert math.isnan(reading.values[0])
        assert reading.quality == bytes((Quality.NOT_SUPPORTED,))
        line.close()

    async def test_another_meters_answer_is_not_taken(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = lambda request: ACK if request[1] == 0x40 else KAMSTRUP
        await line.open(1)
        with pytest.raises(BadFrame):
            await Meter(line, 8, METERS["mbus-heat"]).poll(0.3)
        line.close()

    async def test_an_application_error_is_a_bad_frame(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = lambda request: ACK if request[1] == 0x40 else long_frame(8, 8, 0x70, b"\x08")
        await line.open(1)
        with pytest.raises(BadFrame, match="application error"):
            await Meter(line, 8, METERS["mbus-heat"]).poll(2.0)
        line.close()

    async def test_silence(self, wire: Wire, line: SerialLine) -> None:
        await line.open(1)
        with pytest.raises(NoAnswer):
            await Meter(line, 8, METERS["mbus-heat"]).probe(0.2)
        line.close()


def test_secondary_addresses() -> None:
    assert secondary_address("21050076") == bytes.fromhex("76000521FFFFFFFF")
    assert secondary_address("21050076184E3104") == bytes.fromhex("76000521184E3104")
    assert secondary_address("2105007") is None
    assert secondary_address("2105007x") is None


def test_every_meter_model_says_what_it_rests_on() -> None:
    for name, model in METERS.items():
        assert model.id == name
        assert model.source
        assert len(model.sha256) == 64
        assert Path(name).suffix == ""
