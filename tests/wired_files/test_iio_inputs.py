"""Inputs of chips: what the kernel's numbers mean, what a 4-20 mA loop says and when it says nothing."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sysfs_tree import Sysfs

from firmware_interfaces.errors import BadFrame, NoAnswer
from firmware_interfaces.fileline import FileLine
from firmware_interfaces.iio.board import read_board
from firmware_interfaces.iio.device import BoardDevice, InputsDevice, InputsLine, inputs_model, parse_inputs
from firmware_interfaces.iio.inputs import Sample, kind_of, list_inputs, read_input
from firmware_interfaces.iio.signal import Span, scaled
from firmware_interfaces.iio.tree import find, list_chips
from firmware_interfaces.quality import Quality

PRESSURE = (
    '{"pressure": {"input": "voltage0", "shunt_ohm": 100, "signal": "4-20mA", "span": [0, 10], "unit": "bar"}}'
)


def loop(milliamperes: str, at: tuple[int, int] = (0, 10)) -> Sample:
    span = Span(
        low=Decimal(4), high=Decimal(20), at_low=Decimal(at[0]), at_high=Decimal(at[1]), decimals=3, loop=True
    )
    return scaled(Sample(Decimal(milliamperes), Quality.GOOD, "raw"), span)


class TestLiveZero:
    @pytest.mark.parametrize(
        ("milliamperes", "bar"),
        [("4", "0"), ("12", "5"), ("20", "10"), ("3.8", "-0.125"), ("20.5", "10.312"), ("7.2", "2")],
    )
    def test_a_measuring_loop(self, milliamperes: str, bar: str) -> None:
        assert loop(milliamperes).value == Decimal(bar)

    @pytest.mark.parametrize("milliamperes", ["0", "-0.01", "3.5", "3.6", "21", "21.5", "25"])
    def test_a_failed_loop_has_no_value(self, milliamperes: str) -> None:
        found = loop(milliamperes)
        assert (found.value, found.quality) == (None, Quality.SENSOR_FAULT)

    @pytest.mark.parametrize("milliamperes", ["3.61", "3.79", "20.51", "20.99"])
    def test_between_the_bands_a_loop_says_nothing(self, milliamperes: str) -> None:
        found = loop(milliamperes)
        assert (found.value, found.quality) == (None, Quality.OUT_OF_RANGE)

    @settings(deadline=None)
    @given(st.decimals(-30, 60, places=4, allow_nan=False))
    def test_a_value_exactly_between_3_8_and_20_5(self, milliamperes: Decimal) -> None:
        assert (loop(str(milliamperes)).value is not None) == (Decimal("3.8") <= milliamperes <= Decimal("20.5"))

    def test_a_falling_span(self) -> None:
        assert loop("8", at=(100, 0)).value == 75


class TestKernelNumbers:
    def test_raw_scale_and_offset(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="17600", in_voltage_scale="0.125")
        sysfs.iio(1, "mcp3422", "1-0068", in_voltage1_raw="-5", in_voltage1_scale="1.5", in_voltage1_offset="25")
        first, second = list_chips("iio", sysfs.root / "bus/iio/devices")
        assert read_input("iio", first, "voltage0").value == Decimal("2.2")
        assert read_input("iio", second, "voltage1").value == Decimal("0.03")
        assert "in_voltage1_raw=-5" in read_input("iio", second, "voltage1").raw

    def test_a_processed_number(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "bme280", "1-0076", in_temp_input="21370", in_humidityrelative_input="54120")
        (chip,) = list_chips("iio", sysfs.root / "bus/iio/devices")
        assert list_inputs("iio", chip) == ["humidityrelative", "temp"]
        assert read_input("iio", chip, "temp").value == Decimal("21.37")
        assert read_input("iio", chip, "humidityrelative").value == Decimal("54.12")

    def test_differential_inputs_share_their_own_scale(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", **{"in_voltage0-voltage1_raw": "100", "in_voltage-voltage_scale": "0.5"})
        (chip,) = list_chips("iio", sysfs.root / "bus/iio/devices")
        assert read_input("iio", chip, "voltage0-voltage1").value == Decimal("0.05")

    def test_a_number_without_scale_means_nothing(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="17600")
        (chip,) = list_chips("iio", sysfs.root / "bus/iio/devices")
        with pytest.raises(BadFrame, match="no scale"):
            read_input("iio", chip, "voltage0")

    @pytest.mark.parametrize("text", ["", "-", "1e5", "0x10", "12 34", "nan", "\uff19"])
    def test_what_is_no_number(self, sysfs: Sysfs, text: str) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw=text, in_voltage_scale="1")
        (chip,) = list_chips("iio", sysfs.root / "bus/iio/devices")
        with pytest.raises(BadFrame, match="not a number"):
            read_input("iio", chip, "voltage0")

    def test_a_faulty_hwmon_sensor_has_no_value(self, sysfs: Sysfs) -> None:
        sysfs.hwmon(0, "lm75", "1-0049", temp1_input="21500", temp1_fault="0")
        sysfs.hwmon(1, "max6639", "1-002c", temp1_input="0", temp1_fault="1")
        root = sysfs.root / "class/hwmon"
        assert read_input("hwmon", find("hwmon", "1-0049", root), "temp1").value == Decimal("21.5")
        broken = read_input("hwmon", find("hwmon", "1-002c", root), "temp1")
        assert (broken.value, broken.quality) == (None, Quality.SENSOR_FAULT)

    @pytest.mark.parametrize("name", ["voltage", "in0", "temp1x", "", "voltage0/../x"])
    def test_names_that_are_no_hwmon_input(self, name: str) -> None:
        assert kind_of("hwmon", name) is None or name == "in0"


class TestChips:
    def test_a_chip_by_place_kind_or_label(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", label="brine")
        root = sysfs.root / "bus/iio/devices"
        assert {find("iio", name, root).place for name in ("1-0048", "ads1115", "brine")} == {"1-0048"}

    def test_two_of_a_kind_want_their_places(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048")
        sysfs.iio(1, "ads1115", "1-0049")
        with pytest.raises(NoAnswer, match=r"2 times: name it by its place \(1-0048, 1-0049\)"):
            find("iio", "ads1115", sysfs.root / "bus/iio/devices")

    def test_one_that_is_not_there_is_named_with_those_that_are(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048")
        with pytest.raises(NoAnswer, match=r"the kernel shows 1-0048 \(ads1115\)"):
            find("iio", "1-0047", sysfs.root / "bus/iio/devices")


class TestDevice:
    async def test_a_loop_over_a_shunt(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="9600", in_voltage_scale="0.125")
        device, line = await opened(sysfs, PRESSURE)
        reading = await device.poll(5.0)
        assert list(reading.values) == [5.0]
        assert reading.raw() == b"in_voltage0_raw=9600 scale=0.125"
        line.close()

    async def test_a_broken_wire_is_no_lower_end_of_the_span(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="3", in_voltage_scale="0.125")
        device, line = await opened(sysfs, PRESSURE)
        reading = await device.poll(5.0)
        assert reading.quality == bytes((Quality.SENSOR_FAULT,))
        assert reading.values[0] != reading.values[0]
        line.close()

    async def test_one_input_fails_and_the_other_keeps_its_value(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="8", in_voltage_scale="0.125")
        device, line = await opened(sysfs, '{"a": {"input": "voltage0"}, "b": {"input": "voltage3"}}')
        reading = await device.poll(5.0)
        assert (reading.values[0], reading.quality) == (0.001, bytes((Quality.GOOD, Quality.NOT_SUPPORTED)))
        line.close()

    async def test_a_chip_that_is_gone_does_not_answer(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="8", in_voltage_scale="0.125")
        device, line = await opened(sysfs, PRESSURE, address="1-0049")
        with pytest.raises(NoAnswer):
            await device.poll(5.0)
        with pytest.raises(NoAnswer):
            await device.probe(5.0)
        line.close()

    async def test_a_chip_keeps_its_readings_when_the_numbers_change(self, sysfs: Sysfs) -> None:
        path = sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="8", in_voltage_scale="0.125")
        device, line = await opened(sysfs, '{"a": {"input": "voltage0"}}')
        assert (await device.poll(5.0)).values[0] == 0.001
        (sysfs.root / "bus/iio/devices/iio:device0").unlink()
        path.rename(path.with_name("iio:device7"))
        (sysfs.root / "bus/iio/devices/iio:device7").symlink_to(path.with_name("iio:device7"))
        sysfs.iio(0, "other", "1-0050", in_voltage0_raw="9999", in_voltage_scale="1")
        assert (await device.poll(5.0)).values[0] == 0.001
        line.close()

    def test_the_description_is_part_of_the_models_hash(self) -> None:
        other = PRESSURE.replace("[0, 10]", "[0, 16]")
        assert inputs_model("iio", PRESSURE).sha256 != inputs_model("iio", other).sha256
        assert inputs_model("iio", PRESSURE).channels["pressure"].unit == "bar"


async def opened(sysfs: Sysfs, text: str, address: str = "1-0048") -> tuple[InputsDevice, InputsLine]:
    line = InputsLine("iio", sysfs.root / "bus/iio/devices")
    await line.open(5.0)
    model = inputs_model("iio", text)
    return InputsDevice(line, address, model, parse_inputs("iio", text)), line


class TestBoard:
    def test_a_board_that_is_well(self, sysfs: Sysfs) -> None:
        model = sysfs.raspberry(celsius=51.1)
        health = read_board(sysfs.root, model)
        assert (health.model, health.soc_temperature) == ("Raspberry Pi 4 Model B", 51.1)
        assert health.flags == dict.fromkeys(
            ("undervoltage", "frequency_capped", "throttled", "soft_temperature_limit"), False
        )

    def test_bits_of_the_present_count_and_those_of_the_past_do_not(self, sysfs: Sysfs) -> None:
        model = sysfs.raspberry(throttled="50005")
        health = read_board(sysfs.root, model)
        assert health.flags == {
            "undervoltage": True,
            "frequency_capped": False,
            "throttled": True,
            "soft_temperature_limit": False,
        }
        sysfs.raspberry(throttled="50000")
        assert not any((read_board(sysfs.root, model).flags or {}).values())

    def test_the_voltage_driver_alone(self, sysfs: Sysfs, tmp_path: object) -> None:
        sysfs.hwmon(3, "rpi_volt", "soc", in0_lcrit_alarm="1")
        health = read_board(sysfs.root, sysfs.root / "none")
        assert (health.flags or {})["undervoltage"] is True
        assert (health.flags or {})["throttled"] is None

    def test_a_zero_has_no_detector(self, sysfs: Sysfs) -> None:
        model = sysfs.raspberry(name="Raspberry Pi Zero 2 W Rev 1.0")
        assert (read_board(sysfs.root, model).flags or {})["undervoltage"] is None

    def test_another_machine_tells_nothing(self, sysfs: Sysfs) -> None:
        health = read_board(sysfs.root, sysfs.root / "none")
        assert not health.known
        assert set((health.flags or {}).values()) == {None}

    @pytest.mark.parametrize("text", ["", "0x", "xyz", "123456789", "-1", "\n\n"])
    def test_a_number_that_is_none_is_unknown_and_not_well(self, sysfs: Sysfs, text: str) -> None:
        model = sysfs.raspberry(throttled=text)
        assert (read_board(sysfs.root, model).flags or {})["undervoltage"] is None

    async def test_as_a_device(self, sysfs: Sysfs) -> None:
        model = sysfs.raspberry(throttled="1")
        line = FileLine("hwmon", "board", lambda: None)
        await line.open(5.0)
        reading = await BoardDevice(line, (), sysfs.root, model).poll(5.0)
        assert list(reading.values) == [48.3, 1.0, 0.0, 0.0, 0.0]
        partly = await BoardDevice(line, ("undervoltage",), sysfs.root, model).poll(5.0)
        assert partly.raw() == b"get_throttled=1 thermal=48300"
        with pytest.raises(NoAnswer, match="no Raspberry Pi"):
            await BoardDevice(line, (), sysfs.root / "other", model).poll(5.0)
        line.close()
