"""The walk over a Modbus line: who is there, which make it is, and how sure that is."""

import struct
from itertools import pairwise
from pathlib import Path

import pytest
from modbus_peers import Plant, free_port, holding, plant_of, silence, slave, slave_program, wire

from firmware_interfaces.modbus.link import Link
from firmware_interfaces.modbus.links import open_link
from firmware_interfaces.modbus.model import load_model
from firmware_interfaces.modbus.planner import plan_reads
from firmware_interfaces.modbus.survey import Found, Survey, known_models
from firmware_interfaces.modbus.tcp import TcpLink
from gateway.commands.scan_options import parse_units
from gateway.commands.scan_wired import device_lines
from gateway.demo.modbus_server import Registers, Table


def xy_md02(unit: int) -> Registers:
    return Registers(
        {
            Table.INPUT: {1: 219, 2: 801},
            Table.HOLDING: {0x101: unit, 0x102: 9600, 0x103: 0, 0x104: 0},
        }
    )


def vaisala() -> Registers:
    words = struct.unpack(">2H", struct.pack(">f", -123.45))
    cells: dict[int, int] = dict.fromkeys((*range(70), *range(512, 530), *range(7936, 7945)), 0)
    cells |= {512: 1, 7936: 0x10000 - 12345, 7937: words[1], 7938: words[0]}
    return Registers({Table.HOLDING: cells})


def sdm120() -> Registers:
    model = load_model("eastron-sdm120")
    cells = {
        at: 0
        for read in plan_reads(model, model.channels.values())
        for at in range(read.address, read.address + read.count)
    }
    for at, value in ((0, 230.1), (6, 1.5), (12, 345.0), (0x46, 50.0), (0x48, 12.5), (0x156, 99.0)):
        cells[at], cells[at + 1] = struct.unpack(">2H", struct.pack(">f", value))
    return Registers({Table.INPUT: cells})


async def survey_of(plant: Plant, units: list[int], signs: int = 1) -> tuple[list[Found], Survey]:
    link = TcpLink("127.0.0.1", plant.port)
    await link.open(5.0)
    survey = Survey(link, timeout_s=20.0, pause_s=0.0)
    found = [unit async for unit in survey.walk(units, signs)]
    link.close()
    return found, survey


class TestRecognition:
    async def test_a_make_is_told_by_its_marks(self) -> None:
        async with plant_of({3: xy_md02(3), 9: vaisala()}) as plant:
            found, _ = await survey_of(plant, [1, 3, 9])
        assert [(unit.unit, unit.candidates[0].model.id, unit.certainty) for unit in found] == [
            (3, "xy-md02", "recognised"),
            (9, "vaisala-hmp", "recognised"),
        ]
        assert found[0].candidates[0].identity == {"unit_id": 3}

    async def test_a_mark_that_is_not_borne_rules_a_make_out(self) -> None:
        """The same registers, but the unit id in them is another one."""
        async with plant_of({4: xy_md02(3)}) as plant:
            (found,), _ = await survey_of(plant, [4])
        assert "xy-md02" not in [candidate.model.id for candidate in found.candidates]

    async def test_a_mark_that_is_not_there_speaks_neither_for_nor_against(self) -> None:
        bare = Registers({Table.INPUT: {1: 219, 2: 801}})
        async with plant_of({4: bare}) as plant:
            (found,), _ = await survey_of(plant, [4])
        assert found.candidates[0].model.id == "xy-md02"
        assert found.certainty != "recognised"

    async def test_of_a_family_the_one_whose_registers_it_has_is_likely(self) -> None:
        async with plant_of({2: sdm120()}) as plant:
            (found,), _ = await survey_of(plant, [2])
        assert found.candidates[0].model.id == "eastron-sdm120"
        assert found.certainty == "likely"
        assert "eastron-sdm630" not in [candidate.model.id for candidate in found.candidates]

    async def test_what_could_be_several_makes_is_called_so(self) -> None:
        generous = sdm120()
        generous.tables[Table.INPUT] = dict.fromkeys(range(0x200), 0) | generous.tables[Table.INPUT]
        async with plant_of({2: generous}) as plant:
            (found,), _ = await survey_of(plant, [2])
        assert found.certainty == "possible"
        assert "It could also be eastron-sdm" in "\n".join(device_lines(found, "line-1"))

    async def test_a_device_that_answers_everything_with_zero_is_unknown(self) -> None:
        zeros = Registers({Table.HOLDING: dict.fromkeys(range(0x10000), 0)})
        async with plant_of({5: zeros}) as plant:
            (found,), _ = await survey_of(plant, [5])
        assert found.certainty == "unknown"
        assert device_lines(found, "line-1")[1].startswith("# Unit 5 answers")

    async def test_values_that_a_make_cannot_have_refute_it(self) -> None:
        wild = Registers({Table.INPUT: {1: 30000, 2: 40000}, Table.HOLDING: {0x101: 6, 0x103: 0, 0x104: 0}})
        async with plant_of({6: wild}) as plant:
            (found,), _ = await survey_of(plant, [6])
        assert found.candidates[0].refuted == ("temperature", "humidity")
        assert found.certainty == "unknown"

    async def test_an_exception_is_a_sign_of_life(self) -> None:
        async with plant_of({8: holding({500: 1})}) as plant:
            (found,), _ = await survey_of(plant, [7, 8])
        assert (found.unit, found.certainty) == (8, "unknown")
        assert "illegal data address" in found.sign

    def test_benches_are_no_make(self) -> None:
        assert "generic-registers-20" not in [model.id for model in known_models()]


class TestManners:
    async def test_it_only_reads(self) -> None:
        async with plant_of({3: xy_md02(3), 9: vaisala(), 2: sdm120()}) as plant:
            await survey_of(plant, list(range(1, 12)), signs=4)
            assert {pdu[0] for _, pdu in plant.requests} <= {1, 2, 3, 4}

    async def test_one_request_at_a_time_and_none_twice(self) -> None:
        async with plant_of({3: xy_md02(3)}) as plant:
            _, survey = await survey_of(plant, [3])
            assert len(plant.requests) == survey.requests
            asked = [pdu for _, pdu in plant.requests[1:]]
            assert len(asked) == len(set(asked))

    async def test_a_device_that_is_silent_to_what_it_does_not_know(self) -> None:
        only_inputs = Registers({Table.INPUT: {0: 1, 1: 219, 2: 801}})
        async with plant_of({3: only_inputs}) as plant:
            plant.meddle = lambda request, reply: silence(request) if request[0] != 4 else reply
            quick, _ = await survey_of(plant, [3])
            thorough, _ = await survey_of(plant, [3], signs=4)
        assert quick == []
        assert thorough[0].sign == "function 4: answers"

    async def test_a_device_that_answers_to_every_unit_id_is_one(self) -> None:
        one = holding({0: 7, 0x30: 34, 0x31: 912})
        async with plant_of(dict.fromkeys(range(1, 248), one)) as plant:
            found, survey = await survey_of(plant, list(range(1, 248)))
        assert survey.every_unit
        assert [unit.unit for unit in found] == [1, 2, 3]

    async def test_three_devices_that_happen_to_show_the_same_are_three(self) -> None:
        twins = {unit: holding({0: 7, 1: 9}) for unit in (1, 2, 3, 4)}
        async with plant_of(twins) as plant:
            found, survey = await survey_of(plant, [1, 2, 3, 4, 5])
        assert not survey.every_unit
        assert [unit.unit for unit in found] == [1, 2, 3, 4]

    async def test_rests_between_requests(self) -> None:
        async with plant_of({}) as plant:
            link = TcpLink("127.0.0.1", plant.port)
            await link.open(5.0)
            survey = Survey(link, [], timeout_s=20.0, pause_s=0.02)
            assert [unit async for unit in survey.walk(range(1, 6))] == []
            times = [frame.at for frame in link.frames if frame.sent]
            assert all(later - before >= 0.02 for before, later in pairwise(times))
            link.close()


class TestAgainstLibmodbus:
    @pytest.mark.parametrize("way", ["tcp", "rtu"])
    async def test_unit_seven(self, tmp_path: Path, way: str) -> None:
        model = load_model("generic-registers-20")
        program = slave_program(tmp_path)
        if way == "tcp":
            port = free_port()
            with slave(program, "tcp", str(port)):
                found = await look(TcpLink("127.0.0.1", port), model)
        else:
            with wire() as (ours, theirs), slave(program, "rtu", theirs, "115200"):
                line = open_link("modbus-rtu", device=ours, baud=115200, parity="N", stop_bits=1, limit_s=20.0)
                found = await look(line, model)
        assert found.unit == 7
        assert found.sign.endswith("answers")
        assert found.candidates[0].registers == 20


async def look(link: Link, model: object) -> Found:
    await link.open(5.0)
    survey = Survey(link, [model], timeout_s=20.0, pause_s=0.0)  # type: ignore[list-item]
    found = [unit async for unit in survey.walk([7])]
    link.close()
    assert len(found) == 1
    return found[0]


class TestWords:
    def test_lists_of_units(self) -> None:
        assert parse_units("1-4, 9,9") == [1, 2, 3, 4, 9]

    @pytest.mark.parametrize("text", ["", "x", "4-1", "256", "-3", "1-300"])
    def test_what_is_no_list_of_units(self, text: str) -> None:
        with pytest.raises(Exception, match="unit id"):
            parse_units(text)
