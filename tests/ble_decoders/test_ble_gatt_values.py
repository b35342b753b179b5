"""What characteristics mean, with every way in which they say that there is no value."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.gatt.values import (
    ENVIRONMENTAL,
    Stamp,
    battery_level,
    environmental,
    ieee_float,
    sampling,
    temperature_measurement,
    valid_range,
)
from firmware_interfaces.errors import BadFrame
from firmware_interfaces.quality import BAD, Quality

TEMPERATURE, HUMIDITY, PRESSURE, DEW_POINT = (
    ENVIRONMENTAL[full_uuid(short)] for short in (0x2A6E, 0x2A6F, 0x2A6D, 0x2A7B)
)


class TestEnvironmental:
    @pytest.mark.parametrize(
        ("row", "data", "value"),
        [
            (TEMPERATURE, "e7ff", -0.25),
            (TEMPERATURE, "a901", 4.25),
            (HUMIDITY, "8d15", 55.17),
            (PRESSURE, "02760f00", 101325.0),
            (DEW_POINT, "fb", -5.0),
        ],
    )
    def test_values(self, row: object, data: str, value: float) -> None:
        assert environmental(row, bytes.fromhex(data)) == (value, Quality.GOOD)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("row", "data"), [(TEMPERATURE, "0080"), (HUMIDITY, "ffff")])
    def test_not_known_is_a_fault_of_the_sensor(self, row: object, data: str) -> None:
        value, quality = environmental(row, bytes.fromhex(data))  # type: ignore[arg-type]
        assert math.isnan(value)
        assert quality is Quality.SENSOR_FAULT

    @pytest.mark.parametrize(("row", "data"), [(TEMPERATURE, "0180"), (HUMIDITY, "1127")])
    def test_what_cannot_be_has_no_value(self, row: object, data: str) -> None:
        value, quality = environmental(row, bytes.fromhex(data))  # type: ignore[arg-type]
        assert math.isnan(value)
        assert quality is Quality.OUT_OF_RANGE

    @settings(deadline=None)
    @given(st.sampled_from(list(ENVIRONMENTAL.values())), st.binary(max_size=8))
    def test_any_bytes(self, row: object, data: bytes) -> None:
        try:
            value, quality = environmental(row, data)  # type: ignore[arg-type]
        except BadFrame:
            assert len(data) != row.size  # type: ignore[attr-defined]
        else:
            assert math.isnan(value) is (quality >= BAD)

    def test_valid_range_bounds_what_is_believed(self) -> None:
        bounds = valid_range(TEMPERATURE, bytes.fromhex("60f0d007"))
        assert bounds == (-40.0, 20.0)
        assert environmental(TEMPERATURE, bytes.fromhex("d007"), bounds) == (20.0, Quality.GOOD)
        assert environmental(TEMPERATURE, bytes.fromhex("d107"), bounds)[1] is Quality.OUT_OF_RANGE

    @pytest.mark.parametrize("data", ["d00760f0", "60f0d0", ""])
    def test_a_range_that_is_none(self, data: str) -> None:
        with pytest.raises(BadFrame):
            valid_range(TEMPERATURE, bytes.fromhex(data))

    def test_how_it_measures(self) -> None:
        told = sampling(bytes.fromhex("0000023c00000a00000104"))
        assert told == {
            "function": "arithmetic mean",
            "period_s": 60,
            "interval_s": 10,
            "application": "air",
            "uncertainty_pct": 2.0,
        }
        silent = sampling(bytes.fromhex("00000000000000000000ff"))
        assert (silent["period_s"], silent["interval_s"], silent["uncertainty_pct"]) == (None, None, None)
        with pytest.raises(BadFrame):
            sampling(bytes(10))


class TestBattery:
    def test_values(self) -> None:
        assert battery_level(b"\x64") == (100.0, Quality.GOOD)
        assert battery_level(b"\x65")[1] is Quality.OUT_OF_RANGE
        with pytest.raises(BadFrame):
            battery_level(b"")


class TestFloat:
    @pytest.mark.parametrize(
        ("data", "value"),
        [("6c0100ff", 36.4), ("94feffff", -36.4), ("a40100fe", 4.2), ("01000002", 100.0), ("000000ff", 0.0)],
    )
    def test_values(self, data: str, value: float) -> None:
        assert ieee_float(bytes.fromhex(data)) == (value, Quality.GOOD)

    @pytest.mark.parametrize(
        ("data", "quality"),
        [
            ("ffff7f00", Quality.SENSOR_FAULT),  # not a number
            ("00008000", Quality.SENSOR_FAULT),  # not at this resolution
            ("01008000", Quality.SENSOR_FAULT),  # reserved
            ("feff7f00", Quality.OUT_OF_RANGE),  # plus infinity
            ("02008000", Quality.OUT_OF_RANGE),  # minus infinity
        ],
    )
    def test_special_values(self, data: str, quality: Quality) -> None:
        value, found = ieee_float(bytes.fromhex(data))
        assert math.isnan(value)
        assert found is quality

    @settings(deadline=None)
    @given(st.integers(-0x7FFFFE, 0x7FFFFD), st.integers(-128, 127).filter(bool))
    def test_it_is_the_nearest_double_of_the_decimal_number(self, mantissa: int, exponent: int) -> None:
        data = (mantissa & 0xFFFFFF).to_bytes(3, "little") + exponent.to_bytes(1, "little", signed=True)
        assert ieee_float(data) == (float(f"{mantissa}e{exponent}"), Quality.GOOD)


class TestTemperatureMeasurement:
    def test_plain(self) -> None:
        found = temperature_measurement(bytes.fromhex("00a40100fe"))
        assert found == (4.2, Quality.GOOD, None, None)

    def test_fahrenheit_stamp_and_type(self) -> None:
        found = temperature_measurement(bytes.fromhex("07d40300ffea070b180c1e0f02"))
        assert found.value == pytest.approx((98.0 - 32) * 5 / 9)
        assert found.stamp == Stamp(2026, 11, 24, 12, 30, 15)
        assert found.type == 2

    def test_a_fault_in_fahrenheit_is_no_value_either(self) -> None:
        found = temperature_measurement(bytes.fromhex("01ffff7f00"))
        assert math.isnan(found.value)
        assert found.quality is Quality.SENSOR_FAULT

    def test_below_absolute_zero(self) -> None:
        found = temperature_measurement(bytes.fromhex("0000feff00"))
        assert math.isnan(found.value)
        assert found.quality is Quality.OUT_OF_RANGE

    def test_a_stamp_that_is_not_known(self) -> None:
        assert temperature_measurement(bytes.fromhex("02a40100fe00000b180c1e0f")).stamp is None

    @pytest.mark.parametrize("data", ["", "00a40100", "00a40100fe00", "02a40100fe", "02a40100feea070d180c1e0f"])
    def test_damaged(self, data: str) -> None:
        with pytest.raises(BadFrame):
            temperature_measurement(bytes.fromhex(data))

    @settings(deadline=None)
    @given(st.binary(max_size=16))
    def test_any_bytes(self, data: bytes) -> None:
        try:
            found = temperature_measurement(data)
        except BadFrame:
            return
        assert math.isnan(found.value) is (found.quality >= BAD)
