"""The gateway's own drivers read the simulated plant, and see each fault for what it is."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firmware_interfaces.errors import BadFrame, DeviceRefused, NoAnswer, NotConnected
from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.link import Link
from firmware_interfaces.modbus.model import load_model
from firmware_interfaces.modbus.rtu import SerialLink
from firmware_interfaces.modbus.tcp import TcpLink
from firmware_interfaces.quality import Quality
from gateway.demo.facility import BAUD, Plant
from gateway.demo.modbus_server import Bus, TcpEndpoint
from gateway.demo.serial_port import PtyPort

TIMEOUT_S = 0.5


class Wired:
    """A plant behind its ports, and a connected link to each."""

    def __init__(self, folder: Path) -> None:
        self.plant = Plant(1)
        self.tcp = TcpEndpoint(Bus(self.plant.units["tcp"]), "127.0.0.1", 0)
        self.rtu = PtyPort(Bus(self.plant.units["rtu"]), folder / "line", baud=BAUD)
        self.links: dict[str, Link] = {}

    async def open(self) -> None:
        await self.tcp.open()
        await self.rtu.open()
        self.links["tcp"] = TcpLink("127.0.0.1", self.tcp.port)
        self.links["rtu"] = SerialLink(str(self.rtu.path), baud=BAUD, parity="N", stop_bits=1)
        for link in self.links.values():
            await link.open(1.0)

    async def close(self) -> None:
        for link in self.links.values():
            link.close()
        await self.tcp.close()
        await self.rtu.close()

    def device(self, bus: str, unit: int) -> ModbusDevice:
        return ModbusDevice(self.links[bus], unit, load_model(self.plant.units[bus][unit].model))

    async def read(self, bus: str, unit: int) -> dict[str, tuple[float, Quality]]:
        """Value and quality of every channel, by its key."""
        device = self.device(bus, unit)
        answer = await device.poll(TIMEOUT_S)
        return {
            channel.key: (value, Quality(quality))
            for channel, value, quality in zip(device.channels, answer.values, answer.quality, strict=True)
        }


@pytest.fixture
async def wired(tmp_path: Path) -> AsyncIterator[Wired]:
    subject = Wired(tmp_path)
    await subject.open()
    yield subject
    await subject.close()


async def test_every_unit_answers_every_channel_of_its_model(wired: Wired) -> None:
    for bus, units in wired.plant.units.items():
        for unit in units:
            for key, (value, quality) in (await wired.read(bus, unit)).items():
                empty = (bus, unit, key) in {("tcp", 3, "pb3"), ("rtu", 3, "t7"), ("rtu", 3, "t8")}
                assert quality is (Quality.SENSOR_FAULT if empty else Quality.GOOD), (bus, unit, key)
                assert math.isnan(value) is empty


async def test_the_values_are_those_of_the_plant(wired: Wired) -> None:
    room, freezer, line = wired.plant.rooms["room1"], wired.plant.rooms["freezer"], wired.plant.pasteuriser
    assert (await wired.read("tcp", 1))["air"][0] == pytest.approx(room.air_c, abs=0.3)
    assert (await wired.read("tcp", 3))["pb1"][0] == pytest.approx(freezer.air_c, abs=0.3)
    assert (await wired.read("rtu", 1))["humidity"][0] == pytest.approx(room.humidity, abs=3)
    assert (await wired.read("rtu", 4))["t2"][0] == pytest.approx(line.holding_c, abs=0.3)
    assert (await wired.read("rtu", 5))["di1"][0] == float(line.forward)


async def test_a_broken_probe_is_a_sensor_fault_and_the_others_go_on(wired: Wired) -> None:
    for bus, unit, index, key, expected in (
        ("tcp", 1, 0, "s3", Quality.SENSOR_FAULT),
        ("tcp", 3, 0, "pb1", Quality.SENSOR_FAULT),
        ("rtu", 3, 1, "t2", Quality.SENSOR_FAULT),
        ("rtu", 4, 1, "t2", Quality.OUT_OF_RANGE),
    ):
        wired.plant.units[bus][unit].probes[index].probe.broken = True
        seen = await wired.read(bus, unit)
        assert seen[key][1] is expected
        assert sum(quality is Quality.GOOD for _, quality in seen.values()) >= 3


@pytest.mark.parametrize(("bus", "unit"), [("tcp", 10), ("rtu", 3)])
async def test_faults_of_the_line_have_their_names(wired: Wired, bus: str, unit: int) -> None:
    port = {"tcp": wired.tcp, "rtu": wired.rtu}[bus]
    fault = port.bus.fault(unit)
    fault.mute = True
    with pytest.raises(NoAnswer):
        await wired.device(bus, unit).poll(0.1)
    link = wired.links[bus]
    await asyncio.sleep(max(0.0, link.ready_at(unit) - link.time()))
    fault.mute, fault.exception = False, 6
    answer = await wired.device(bus, unit).poll(TIMEOUT_S)
    assert set(answer.quality) == {Quality.DEVICE_EXCEPTION}
    fault.exception = None
    await port.close()
    with pytest.raises((NotConnected, NoAnswer)):
        await wired.device(bus, unit).poll(0.1)
    await port.open()
    await link.open(1.0)
    await asyncio.sleep(max(0.0, link.ready_at(unit) - link.time()))
    await wired.read(bus, unit)


async def test_damaged_answers_never_become_values(wired: Wired) -> None:
    wired.rtu.bus.fault(4).garble = True
    for _ in range(10):
        with pytest.raises((BadFrame, NoAnswer, DeviceRefused)):
            await wired.device("rtu", 4).poll(0.15)
    wired.tcp.bus.fault(10).garble = True
    with pytest.raises(BadFrame):
        await wired.device("tcp", 10).poll(0.15)
