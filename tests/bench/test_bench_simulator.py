"""The Modbus simulator: every read has its number, and units can be taken away."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from bench.build import program
from bench.stage import helper, obeyed, read_records

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
UNITS = 3


@dataclass
class Simulator:
    port: int
    control: int
    tty: str
    folder: Path

    def tell(self, line: str) -> str:
        return obeyed(self.control, line)

    def dump(self) -> list[tuple[int, int]]:
        file = self.folder / "reads.bin"
        self.tell(f"dump {file}")
        reads = read_records(file.read_bytes())
        assert sorted(read.at_ns for read in reads) == [read.at_ns for read in reads]
        return [(read.unit, read.number) for read in reads]


def start(folder: Path, *options: str) -> Iterator[Simulator]:
    with ExitStack() as stack:
        command = [program("modbus_sim"), "--units", str(UNITS), *options]
        _, line = helper(stack, command, folder / "simulator.log")
        yield Simulator(**json.loads(line), folder=folder)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    yield from start(tmp_path)


@pytest.fixture
def serial_simulator(tmp_path: Path) -> Iterator[Simulator]:
    yield from start(tmp_path, "--pty", str(tmp_path / "tty"), "--baud", "115200")


async def client_at(address: str, port: int, timeout: float = 3) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient(address, port=port, timeout=timeout, retries=0)
    assert await client.connect()
    return client


async def test_registers_0_and_1_count_the_reads_of_register_0(simulator: Simulator) -> None:
    client = await client_at("127.0.0.1", simulator.port)
    for expected in (1, 2, 3):
        answer = await client.read_holding_registers(0, count=20, device_id=2)
        assert answer.registers[:2] == [expected, 0]
        assert len(answer.registers) == 20
    await client.read_holding_registers(2, count=5, device_id=2)
    await client.read_input_registers(0, count=1, device_id=1)
    client.close()
    assert simulator.dump() == [(2, 1), (2, 2), (2, 3), (1, 1)]


async def test_other_registers_change_with_each_counted_read_and_only_then(simulator: Simulator) -> None:
    client = await client_at("127.0.0.1", simulator.port)
    first = (await client.read_holding_registers(0, count=125, device_id=1)).registers[2:]
    again = (await client.read_holding_registers(2, count=123, device_id=1)).registers
    second = (await client.read_holding_registers(0, count=125, device_id=1)).registers[2:]
    client.close()
    assert again == first
    assert second != first
    assert all(abs(a - b) <= 16 for a, b in zip(first, second, strict=True))


async def test_a_unit_answers_on_its_own_address_and_no_other_unit_does(simulator: Simulator) -> None:
    own = await client_at("127.0.1.2", simulator.port, timeout=0.2)
    assert (await own.read_holding_registers(0, count=2, device_id=2)).registers == [1, 0]
    with pytest.raises(ModbusIOException):
        await own.read_holding_registers(0, count=2, device_id=3)
    own.close()


async def test_a_muted_unit_is_silent_and_its_neighbours_are_not(simulator: Simulator) -> None:
    client = await client_at("127.0.0.1", simulator.port, timeout=0.2)
    simulator.tell("mute 1")
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(0, count=2, device_id=1)
    client.close()
    client = await client_at("127.0.0.1", simulator.port)
    assert not (await client.read_holding_registers(0, count=2, device_id=2)).isError()
    simulator.tell("unmute 1")
    assert (await client.read_holding_registers(0, count=2, device_id=1)).registers == [1, 0]
    client.close()
    assert simulator.dump() == [(2, 1), (1, 1)]
    stats = json.loads(simulator.tell("stats"))
    assert (stats["requests"], stats["reads"], stats["unanswered"], stats["connections"]) == (3, 2, 1, 2)


@pytest.mark.parametrize(
    ("address", "count", "told", "code"),
    [(100, 30, "", 2), (0, 2, "exception 1 4", 4), (0, 2, "exception all 6", 6)],
)
async def test_exceptions(simulator: Simulator, address: int, count: int, told: str, code: int) -> None:
    if told:
        simulator.tell(told)
    client = await client_at("127.0.0.1", simulator.port)
    answer = await client.read_holding_registers(address, count=count, device_id=1)
    client.close()
    assert answer.exception_code == code
    assert simulator.dump() == []


async def test_what_is_no_modbus_ends_the_connection(simulator: Simulator) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert await reader.read() == b""
    writer.close()


def test_a_command_that_is_not_understood_is_refused(simulator: Simulator) -> None:
    for line in ("dance", "mute 0", "mute 999", "dump /no/such/folder/file"):
        with pytest.raises(RuntimeError, match="not understood"):
            simulator.tell(line)


async def test_rtu_counts_the_same_and_survives_noise_on_the_line(serial_simulator: Simulator) -> None:
    client = AsyncModbusSerialClient(serial_simulator.tty, baudrate=115200, timeout=2, retries=0)
    assert await client.connect()
    assert (await client.read_holding_registers(0, count=20, device_id=1)).registers[:2] == [1, 0]
    client.ctx.transport.write(b"\xff\x00\x13")
    while json.loads(serial_simulator.tell("stats"))["damaged"] == 0:
        client.ctx.transport.write(b"\xff")
        await asyncio.sleep(0.03)
    await asyncio.sleep(0.03)
    assert (await client.read_holding_registers(0, count=20, device_id=3)).registers[:2] == [1, 0]
    assert (await client.read_holding_registers(0, count=20, device_id=1)).registers[:2] == [2, 0]
    client.close()
    assert serial_simulator.dump() == [(1, 1), (3, 1), (1, 2)]
