"""The nine bytes of a 1-wire thermometer: what they say, and when they say nothing."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sysfs_tree import POWER_ON, printed, scratchpad

from firmware_interfaces.errors import BadFrame, NoAnswer
from firmware_interfaces.onewire.address import family_of, kernel_name
from firmware_interfaces.onewire.scratchpad import crc8, decode
from firmware_interfaces.onewire.w1file import scratchpad_of
from firmware_interfaces.quality import Quality

DS18B20, DS18S20, MAX31850 = 0x28, 0x10, 0x3B


def sealed(data: bytes) -> bytes:
    return data + bytes((crc8(data),))


class TestDs18b20:
    # Table "Temperature/Data Relationship" of the data sheet.
    @pytest.mark.parametrize(
        ("raw", "celsius"),
        [
            (0x07D0, 125.0),
            (0x0191, 25.0625),
            (0x00A2, 10.125),
            (0x0008, 0.5),
            (0x0000, 0.0),
            (0xFFF8, -0.5),
            (0xFF5E, -10.125),
            (0xFE6F, -25.0625),
            (0xFC90, -55.0),
        ],
    )
    def test_the_table_of_the_data_sheet(self, raw: int, celsius: float) -> None:
        pad = sealed(struct.pack("<H", raw) + bytes((0x4B, 0x46, 0x7F, 0xFF, 0x06, 0x10)))
        assert decode(DS18B20, pad)[0] == (celsius, Quality.GOOD, "")

    def test_85_after_a_conversion_is_85(self) -> None:
        assert decode(DS18B20, scratchpad(85.0))[0].celsius == 85.0

    def test_85_after_power_on_is_no_value(self) -> None:
        found = decode(DS18B20, POWER_ON)[0]
        assert (found.celsius, found.quality) == (None, Quality.SENSOR_FAULT)
        assert "did not convert" in found.words

    def test_too_little_power_is_no_value(self) -> None:
        pad = sealed(bytes.fromhex("ff074b467fff0c10"))
        found = decode(DS18B20, pad)[0]
        assert (found.celsius, found.quality) == (None, Quality.SENSOR_FAULT)
        assert "power" in found.words

    def test_a_line_shorted_to_ground_reads_nine_zeros_with_a_right_checksum(self) -> None:
        assert crc8(bytes(9)) == 0
        for family in (DS18B20, DS18S20, 0x22, 0x42, MAX31850):
            assert decode(family, bytes(9))[0].quality == Quality.BAD_FRAME

    def test_an_open_line_reads_ones(self) -> None:
        assert decode(DS18B20, b"\xff" * 9)[0].quality == Quality.BAD_FRAME

    @pytest.mark.parametrize(("config", "celsius"), [(0x1F, 10.5), (0x3F, 10.75), (0x5F, 10.875), (0x7F, 10.9375)])
    def test_bits_below_the_resolution_are_undefined_and_dropped(self, config: int, celsius: float) -> None:
        assert decode(DS18B20, scratchpad(10.9375, config=config))[0].celsius == celsius

    def test_a_temperature_beyond_the_sensor_is_none(self) -> None:
        assert decode(DS18B20, scratchpad(125.0625))[0].quality == Quality.OUT_OF_RANGE
        assert decode(0x42, scratchpad(100))[0].quality == Quality.OUT_OF_RANGE

    def test_a_family_that_is_no_thermometer(self) -> None:
        assert decode(0x26, scratchpad(20))[0].quality == Quality.BAD_FRAME

    @settings(deadline=None)
    @given(st.binary(min_size=0, max_size=12), st.sampled_from([0x10, 0x22, 0x28, 0x3B, 0x42, 0x26]))
    def test_no_bytes_without_a_right_checksum_give_a_value(self, data: bytes, family: int) -> None:
        found, cold = decode(family, data)
        if len(data) != 9 or crc8(data):
            assert (found.celsius, found.quality, cold) == (None, Quality.BAD_FRAME, None)

    @settings(deadline=None)
    @given(st.binary(min_size=8, max_size=8), st.sampled_from([0x10, 0x22, 0x28, 0x3B, 0x42]))
    def test_a_value_is_there_exactly_where_the_quality_is_good(self, data: bytes, family: int) -> None:
        for found in decode(family, sealed(data)):
            if found is not None:
                assert (found.celsius is None) == found.quality.bad
                assert (found.words == "") == (found.quality == Quality.GOOD)

    @settings(deadline=None)
    @given(st.integers(-55 * 16, 125 * 16), st.integers(0, 71), st.integers(1, 255))
    def test_one_flipped_bit_or_byte_never_gives_a_value(self, sixteenths: int, bit: int, mask: int) -> None:
        pad = bytearray(scratchpad(sixteenths / 16))
        pad[bit // 8] ^= mask
        assert decode(DS18B20, bytes(pad))[0].celsius is None


class TestOthers:
    # Table "Temperature/Data Relationship" of the DS18S20; the counts refine it (equation 1).
    @pytest.mark.parametrize(
        ("raw", "remain", "celsius"),
        [(0x0032, 12, 25.0), (0x0032, 4, 25.5), (0x0001, 16, -0.25), (0xFFCE, 12, -25.0), (0x0000, 8, 0.25)],
    )
    def test_the_ds18s20_counts(self, raw: int, remain: int, celsius: float) -> None:
        pad = sealed(struct.pack("<H", raw) + bytes((0x4B, 0x46, 0xFF, 0xFF, remain, 0x10)))
        assert decode(DS18S20, pad)[0].celsius == celsius

    def test_a_count_of_zero_degrees_is_a_damaged_sensor_and_no_zero(self) -> None:
        pad = sealed(bytes((0x32, 0, 0x4B, 0x46, 0xFF, 0xFF, 0, 0)))
        assert decode(DS18S20, pad)[0].quality == Quality.BAD_FRAME

    def test_85_of_a_ds18s20_after_power_on(self) -> None:
        pad = sealed(bytes((0xAA, 0, 0x4B, 0x46, 0xFF, 0xFF, 0x0C, 0x10)))
        assert decode(DS18S20, pad)[0].quality == Quality.SENSOR_FAULT

    @pytest.mark.parametrize(
        ("bits", "words"), [(1, "open circuit"), (2, "short to ground"), (4, "short to supply"), (0, "fault")]
    )
    def test_a_broken_thermocouple_has_no_value_but_a_cold_junction(self, bits: int, words: str) -> None:
        pad = sealed(bytes((0x01, 0x05, bits, 0x19, 0xF0, 0xFF, 0xFF, 0xFF)))
        hot, cold = decode(MAX31850, pad)
        assert (hot.celsius, hot.quality) == (None, Quality.SENSOR_FAULT)
        assert words in hot.words
        assert cold is not None
        assert cold.celsius == 25.0

    def test_a_thermocouple_in_a_fryer(self) -> None:
        pad = sealed(struct.pack("<HH", 0x0B54, 0x1910) + bytes((0xF0, 0xFF, 0xFF, 0xFF)))
        hot, cold = decode(MAX31850, pad)
        assert hot.celsius == 181.25
        assert cold is not None
        assert cold.celsius == 25.0625

    def test_a_ds1825_shares_the_family(self) -> None:
        assert decode(MAX31850, scratchpad(21.5, config=0x75)) == ((21.5, Quality.GOOD, ""), None)


class TestWhatTheKernelPrints:
    def test_a_good_reading(self) -> None:
        pad = scratchpad(-18.5)
        assert scratchpad_of(printed(pad)) == pad

    def test_the_retained_value_behind_a_bad_checksum_is_never_read(self) -> None:
        good, damaged = scratchpad(23.125), bytearray(scratchpad(23.125))
        damaged[0] ^= 4
        text = printed(bytes(damaged), good)
        assert "t=23125" in text
        with pytest.raises(BadFrame, match="checksum"):
            scratchpad_of(text)

    def test_an_empty_file_is_a_conversion_under_way(self) -> None:
        with pytest.raises(NoAnswer, match="conversion"):
            scratchpad_of("")

    @pytest.mark.parametrize("cut", [5, 30, 38, 40, 60, 68])
    def test_half_a_text_is_no_reading(self, cut: int) -> None:
        with pytest.raises((BadFrame, NoAnswer)):
            scratchpad_of(printed(scratchpad(4.0))[:cut])

    def test_lines_that_do_not_agree(self) -> None:
        text = printed(scratchpad(4.0)).splitlines()[0] + "\n" + printed(scratchpad(5.0)).splitlines()[1]
        with pytest.raises(BadFrame, match="agree"):
            scratchpad_of(text)

    @settings(deadline=None)
    @given(st.text(max_size=120))
    def test_no_other_text_is_a_reading(self, text: str) -> None:
        with pytest.raises((BadFrame, NoAnswer)):
            scratchpad_of(text)


class TestAddresses:
    def test_the_kernels_own_form(self) -> None:
        assert kernel_name("28-0316A2794BFF") == "28-0316a2794bff"
        assert family_of("28-0316a2794bff") == 0x28

    def test_all_eight_bytes_in_the_order_of_the_wire(self) -> None:
        rom = sealed(bytes.fromhex("28ff4b79a21603"))
        assert kernel_name(rom.hex()) == "28-0316a2794bff"
        assert kernel_name(rom.hex(":").upper()) == "28-0316a2794bff"

    def test_a_mistyped_digit_is_told_by_the_checksum(self) -> None:
        rom = bytearray(sealed(bytes.fromhex("28ff4b79a21603")))
        rom[3] ^= 1
        assert kernel_name(rom.hex()) is None

    @pytest.mark.parametrize("written", ["", "28-", "26-0316a2794bff", "28-000000000000", "CB:B8:33:4C:88:4F", "x"])
    def test_what_is_no_address_of_a_thermometer(self, written: str) -> None:
        assert kernel_name(written) is None
