"""The simulated devices show the plant in the registers of their makes, and broken probes in their own ways."""

import struct
import tomllib
from pathlib import Path

import pytest

from gateway.demo.devices import Device
from gateway.demo.facility import Plant
from gateway.demo.modbus_server import CellError, Table


@pytest.fixture(scope="module")
def plant() -> Plant:
    subject = Plant(3)
    for _ in range(600):
        subject.step()
    return subject


MODELS = Path(__file__).parents[2] / "firmware_interfaces/modbus/models"
WORDS = {"bool": 1, "int16": 1, "uint16": 1, "float32": 2}


@pytest.mark.parametrize("bus", ["tcp", "rtu"])
def test_every_register_of_the_published_models_is_there(plant: Plant, bus: str) -> None:
    """The model files are read by the gateway; here they are only a list of addresses."""
    for unit, device in plant.units[bus].items():
        model = tomllib.loads((MODELS / f"{device.model}.toml").read_text())
        entries = [entry for kind in ("channel", "identity", "audit") for entry in model.get(kind, [])]
        entries += [fault for entry in entries for fault in entry.get("fault", [])]
        for entry in entries:
            count = WORDS[entry.get("type", "uint16")]
            assert device.read(Table(entry["function"]), entry["address"], count), f"unit {unit}: {entry}"
        for entry in model.get("audit", []):
            if "expect" in entry:
                assert device.read(Table(entry["function"]), entry["address"], 1) == [entry["expect"]]


def number(device: Device, table: Table, address: int) -> int:
    """One register as a signed number."""
    values = device.read(table, address, 1)
    assert values is not None
    return values[0] - 0x10000 if values[0] >= 0x8000 else values[0]


def test_ekc202d_shows_room_and_defrost_and_door(plant: Plant) -> None:
    ekc, room = plant.units["tcp"][1], plant.rooms["room1"]
    assert number(ekc, Table.HOLDING, 2529) / 10 == pytest.approx(room.air_c, abs=0.5)
    assert number(ekc, Table.HOLDING, 1010) / 10 == pytest.approx(room.coil_c, abs=1.5)
    assert number(ekc, Table.HOLDING, 99) == 20
    room.open_door(30)
    assert number(ekc, Table.HOLDING, 20006) == 1


def test_ekc202d_tells_a_broken_probe_by_its_error_register_only(plant: Plant) -> None:
    ekc = plant.units["tcp"][2]
    ekc.probes[1].probe.broken = True
    assert number(ekc, Table.HOLDING, 2530) == 0
    assert [number(ekc, Table.HOLDING, a) for a in (20001, 20002, 20003)] == [0, 1, 0]
    ekc.probes[1].probe.broken = False
    assert number(ekc, Table.HOLDING, 20002) == 0


def test_idplus_probes_stand_at_every_other_register(plant: Plant) -> None:
    eliwell, room = plant.units["tcp"][3], plant.rooms["freezer"]
    assert number(eliwell, Table.HOLDING, 295) / 10 == pytest.approx(room.air_c, abs=0.5)
    assert eliwell.read(Table.HOLDING, 295, 3) is None
    eliwell.probes[0].probe.broken = True
    assert eliwell.read(Table.HOLDING, 295, 1) == [0x8000]
    assert eliwell.read(Table.HOLDING, 32876, 2) == [0b10, 0]
    eliwell.probes[0].probe.broken = False
    room.open_door(10)
    assert eliwell.read(Table.HOLDING, 32896, 1) == [8]


def test_sdm120_gives_singles_that_agree(plant: Plant) -> None:
    meter = plant.units["tcp"][10]

    def single(address: int) -> float:
        words = meter.read(Table.INPUT, address, 2)
        assert words is not None
        return float(struct.unpack(">f", struct.pack(">HH", *words))[0])

    assert single(0) == pytest.approx(230, abs=10)
    assert single(0x46) == pytest.approx(50, abs=0.5)
    assert single(0) * single(6) * single(0x1E) == pytest.approx(single(0x0C), rel=1e-4)
    before = single(0x48)
    for _ in range(600):
        plant.step()
    assert single(0x48) > before


def test_r4dcb08_has_six_cores_and_two_empty_inputs(plant: Plant) -> None:
    cores = plant.units["rtu"][3].read(Table.HOLDING, 0, 16)
    assert cores is not None
    assert cores[6:8] == [0x8000, 0x8000]
    assert cores[8:16] == [0] * 8
    assert number(plant.units["rtu"][3], Table.HOLDING, 4) / 10 == pytest.approx(-20, abs=1)


def test_transmitters_and_inputs_of_the_pasteuriser(plant: Plant) -> None:
    temperatures, inputs = plant.units["rtu"][4], plant.units["rtu"][5]
    assert number(temperatures, Table.HOLDING, 1) / 10 == pytest.approx(plant.pasteuriser.holding_c, abs=1.0)
    # 74 degrees is 128.7 ohm (IEC 60751)
    assert number(temperatures, Table.HOLDING, 33) / 10 == pytest.approx(128.7, abs=1.0)
    assert inputs.read(Table.DISCRETE, 0, 3) == [
        int(plant.pasteuriser.forward),
        int(not plant.pasteuriser.forward),
        1,
    ]
    temperatures.probes[1].probe.broken = True
    assert number(temperatures, Table.HOLDING, 1) == 0x7FFF
    temperatures.probes[1].probe.broken = False


def test_xymd02_refuses_while_its_sensor_is_broken(plant: Plant) -> None:
    sensor = plant.units["rtu"][1]
    assert 40 < number(sensor, Table.INPUT, 2) / 10 < 100
    sensor.probes[0].probe.broken = True
    with pytest.raises(CellError) as seen:
        sensor.read(Table.INPUT, 1, 2)
    assert seen.value.code == 4
    sensor.probes[0].probe.broken = False
