"""Writes: within the model's limits, sent once, read back; what is not known is called unknown."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modbus_peers import Plant, holding, plant_of

from firmware_interfaces.errors import ModelError, NoAnswer
from firmware_interfaces.modbus.decode import Decoder
from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.encode import NotWritable, encode, write_request
from firmware_interfaces.modbus.model import DeviceModel, load_model
from firmware_interfaces.modbus.planner import Read
from firmware_interfaces.modbus.tcp import TcpLink
from firmware_interfaces.modbus.write import Written, before_write, write_once
from firmware_interfaces.quality import Quality

MODEL = """\
id = "cooler"
title = "A cooler"
maker = "Acme"
source = "Acme manual, page 3"

[link]
address_base = 0

[[channel]]
key = "setpoint"
function = 3
address = 99
type = "int16"
scale = 0.1
unit = "degC"
invalid = [0x8000]
writable = { limits = [-30, 10.5] }

[[channel]]
key = "ramp"
function = 3
address = 110
type = "float32"
word_order = "little"
writable = { limits = [0, 100] }

[[channel]]
key = "counter"
function = 3
address = 120
type = "bcd32"
writable = { limits = [0, 99999999], function = 16 }

[[channel]]
key = "light"
function = 1
address = 4
writable = { limits = [0, 1] }

[[channel]]
key = "air"
function = 3
address = 100
type = "int16"
scale = 0.1

[[test]]
title = "all"
holding = { 99 = 40, 100 = 41, 110 = [0, 0], 120 = [0, 0x42] }
coils = { 4 = 1 }
expect = { setpoint = 4.0, air = 4.1, ramp = 0, counter = 42, light = 1 }
"""


@pytest.fixture
def model(tmp_path: Path) -> DeviceModel:
    return model_of(tmp_path, MODEL)


def model_of(folder: Path, text: str) -> DeviceModel:
    path = folder / "cooler.toml"
    path.write_text(text)
    return load_model(path)


COOLER = {99: 40, 100: 41, 110: 0, 111: 0, 120: 0, 121: 0}


async def written(plant: Plant, model: DeviceModel, key: str, value: str, timeout_s: float = 5.0) -> Written:
    link = TcpLink("127.0.0.1", plant.port)
    await link.open(5.0)
    try:
        device, channel = ModbusDevice(link, 1, model), model.channels[key]
        before = await before_write(device, channel, 5.0)
        return await write_once(device, channel, Decimal(value), before, timeout_s)
    finally:
        link.close()


LOST = bytes((6 | 0x80, 11))
"""What a converter answers when the device behind it did not: the order may have arrived or not."""


class TestOutcome:
    @pytest.mark.parametrize(
        ("key", "value", "function"),
        [("setpoint", "-18.5", 6), ("ramp", "12.5", 16), ("counter", "12345678", 16), ("light", "1", 5)],
    )
    async def test_done_and_read_back(self, model: DeviceModel, key: str, value: str, function: int) -> None:
        async with plant_of({1: holding(COOLER, coils=8)}) as plant:
            outcome = await written(plant, model, key, value)
            assert (outcome.result, outcome.found) == ("done", float(value))
            assert len(plant.asked(function)) == 1

    async def test_refused_by_the_device(self, model: DeviceModel) -> None:
        async with plant_of({1: holding(COOLER, writable=False)}) as plant:
            outcome = await written(plant, model, "setpoint", "2")
            assert outcome.result == "refused"
            assert "exception 1" in outcome.words
            assert len(plant.asked(6)) == 1

    async def test_acknowledged_but_not_held(self, model: DeviceModel) -> None:
        """A device that clamps: what it holds is what counts."""
        async with plant_of({1: holding(COOLER)}) as plant:
            plant.meddle = lambda request, reply: (
                request[:5] if request[0] == 6 and plant.units[1].write(clamp_table(), 99, [15]) else reply
            )
            outcome = await written(plant, model, "setpoint", "2")
            assert (outcome.result, outcome.found) == ("differs", 1.5)

    async def test_a_lost_answer_is_settled_by_reading_back(self, model: DeviceModel) -> None:
        async with plant_of({1: holding(COOLER)}) as plant:
            plant.meddle = lambda request, reply: LOST if request[0] == 6 else reply
            outcome = await written(plant, model, "setpoint", "2")
            assert (outcome.result, outcome.found) == ("done", 2.0)
            assert "is silent" in outcome.words
            assert len(plant.asked(6)) == 1

    async def test_a_lost_order_is_found_undone(self, model: DeviceModel) -> None:
        async with plant_of({1: holding(COOLER)}) as plant:
            cells = plant.units[1].tables[clamp_table()]

            def lose(request: bytes, reply: bytes) -> bytes | None:
                if request[0] == 6:
                    cells[99] = 40
                    return LOST
                return reply

            plant.meddle = lose
            outcome = await written(plant, model, "setpoint", "2")
            assert (outcome.result, outcome.found) == ("not done", 4.0)
            assert len(plant.asked(6)) == 1

    async def test_what_cannot_be_read_back_is_unknown_and_never_tried_again(self, model: DeviceModel) -> None:
        async with plant_of({1: holding(COOLER)}) as plant:
            plant.meddle = lambda request, reply: None if plant.asked(6) else reply
            outcome = await written(plant, model, "setpoint", "2", timeout_s=0.1)
            assert (outcome.result, outcome.found) == ("unknown", None)
            assert "not known" in outcome.words
            assert len(plant.asked(6)) == 1

    async def test_a_connection_lost_in_the_middle(self, model: DeviceModel) -> None:
        async with plant_of({1: holding(COOLER)}) as plant:

            def cut(request: bytes, reply: bytes) -> bytes | None:
                if request[0] == 6:
                    plant.hang_up()
                    return None
                return reply

            plant.meddle = cut
            outcome = await written(plant, model, "setpoint", "2")
            assert (outcome.result, outcome.found) == ("done", 2.0)
            assert "connection lost" in outcome.words
            assert len(plant.asked(6)) == 1

    async def test_an_acknowledgement_of_something_else_is_not_believed(self, model: DeviceModel) -> None:
        async with plant_of({1: holding(COOLER)}) as plant:
            plant.meddle = lambda request, reply: reply[:-1] + b"\x77" if request[0] == 6 else reply
            outcome = await written(plant, model, "setpoint", "2")
            assert outcome.result == "done"
            assert "another write" in outcome.words

    async def test_a_device_that_cannot_be_read_is_not_written(self, model: DeviceModel) -> None:
        async with plant_of({1: holding(COOLER)}) as plant:
            plant.meddle = lambda request, reply: None
            link = TcpLink("127.0.0.1", plant.port)
            await link.open(5.0)
            with pytest.raises(NoAnswer):
                await before_write(ModbusDevice(link, 1, model), model.channels["setpoint"], 0.1)
            assert not plant.asked(6)
            link.close()


def clamp_table() -> object:
    from gateway.demo.modbus_server import Table

    return Table.HOLDING


class TestLimits:
    @pytest.mark.parametrize("value", ["-30.1", "10.6", "1000", "-1e9"])
    def test_beyond_the_models_limits(self, model: DeviceModel, value: str) -> None:
        with pytest.raises(NotWritable, match="outside what the model allows"):
            write_request(model.channels["setpoint"], Decimal(value))

    def test_between_the_steps_of_the_device(self, model: DeviceModel) -> None:
        with pytest.raises(NotWritable, match=r"between the steps of the device \(0.1\)"):
            write_request(model.channels["setpoint"], Decimal("4.05"))

    def test_a_channel_that_is_only_read(self, model: DeviceModel) -> None:
        with pytest.raises(NotWritable, match="not marked writable"):
            write_request(model.channels["air"], Decimal(4))

    @pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
    def test_what_is_no_number(self, model: DeviceModel, value: str) -> None:
        with pytest.raises(NotWritable):
            encode(model.channels["setpoint"], Decimal(value))

    def test_what_the_device_takes_for_no_value(self, model: DeviceModel) -> None:
        with pytest.raises(NotWritable, match="no value"):
            encode(model.channels["setpoint"], Decimal("-3276.8"))

    @settings(deadline=None)
    @given(value=st.decimals(-3276, 3276, places=1))
    def test_what_is_written_is_what_is_read(self, value: Decimal) -> None:
        channel = SETPOINT
        block = encode(channel, value)
        values, quality = Decoder((channel,), (Read(3, 99, 1),)).decode([block], [Quality.GOOD])
        assert (values[0], quality) == (float(value), b"\0")

    def test_published_frames(self, model: DeviceModel) -> None:
        """Modbus Application Protocol V1.1b3, sections 6.5, 6.6 and 6.12: shape of functions 5, 6, 16."""
        assert write_request(model.channels["light"], Decimal(1)).hex() == "050004ff00"
        assert write_request(model.channels["setpoint"], Decimal("-0.1")).hex() == "060063ffff"
        assert (
            write_request(model.channels["counter"], Decimal(1234)).hex() == "100078" + "0002" + "04" + "00001234"
        )
        assert write_request(model.channels["ramp"], Decimal("12.5")).hex() == "10006e" + "0002" + "04" + "00004148"


class TestModelFiles:
    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("{ limits = [-30, 10.5] }", "true", "has no limits"),
            ("{ limits = [-30, 10.5] }", "{ limits = [10, -30] }", "are not limits"),
            ("{ limits = [-30, 10.5] }", "{ limits = [-30] }", "are not limits"),
            ("{ limits = [-30, 10.5] }", "{ function = 6 }", "limits: is missing"),
            ("{ limits = [-30, 10.5] }", "{ limits = [-30, 10.55] }", "the limit 10.55 cannot be written"),
            ("{ limits = [-30, 10.5] }", "{ limits = [-30, 4000] }", "the limit 4000 cannot be written"),
            ("{ limits = [-30, 10.5] }", "{ limits = [-30, 10], function = 5 }", "does not write a int16"),
            ("{ limits = [-30, 10.5] }", "{ limits = [-30, 10], source = 1 }", "source: is not known here"),
            ("limits = [0, 100]", "limits = [0, 100], function = 6", "does not write a float32"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, old: str, new: str, words: str) -> None:
        assert old in MODEL
        with pytest.raises(ModelError) as caught:
            model_of(tmp_path, MODEL.replace(old, new, 1))
        assert words in str(caught.value)

    def test_what_an_input_register_holds_cannot_be_written(self, tmp_path: Path) -> None:
        text = MODEL.replace("function = 3\naddress = 99", "function = 4\naddress = 99")
        with pytest.raises(ModelError, match="function 4 reads cannot be written"):
            model_of(tmp_path, text)


def _setpoint() -> object:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return model_of(Path(folder), MODEL).channels["setpoint"]


SETPOINT = _setpoint()
