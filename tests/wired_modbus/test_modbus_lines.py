"""Lines with particular wants: few clients, direction control; and a peer that we did not write."""

import asyncio
import errno
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from modbus_peers import bare_pty, free_port, holding, plant_of, slave, slave_program, wire

from firmware_interfaces.errors import NotConnected
from firmware_interfaces.modbus.links import open_link
from firmware_interfaces.modbus.rs485 import LAYOUT, TIOCGRS485, TIOCSRS485, Rs485, apply_rs485
from firmware_interfaces.modbus.tcp import TcpLink


def rest(port: int, after_s: float = 0.02) -> TcpLink:
    return TcpLink("127.0.0.1", port, rest_after_s=after_s)


async def until(condition: Any, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


class TestFewClients:
    async def test_a_connection_is_given_back_and_taken_again(self) -> None:
        async with plant_of({1: holding({0: 7})}) as plant:
            link = rest(plant.port)
            await link.open(5.0)
            for _ in range(3):
                assert await link.read(1, 3, 0, 1, 5.0) == b"\x00\x07"
                await until(lambda: not plant.clients)
                assert link.connected
            assert (plant.connects, link.stats.connects) == (3, 3)
            link.close()
            assert not link.connected

    async def test_one_poll_takes_one_connection(self) -> None:
        async with plant_of({1: holding({0: 7})}) as plant:
            link = rest(plant.port, 10.0)
            await link.open(5.0)
            for _ in range(5):
                await link.read(1, 3, 0, 1, 5.0)
            assert plant.connects == 1
            link.close()

    async def test_two_gateways_share_a_device_that_allows_one(self) -> None:
        async with plant_of({1: holding({0: 7})}) as plant:
            plant.most_clients = 1
            first, second = rest(plant.port), rest(plant.port)
            await first.open(5.0)
            await first.read(1, 3, 0, 1, 5.0)
            await until(lambda: not plant.clients)
            await second.open(5.0)
            await second.read(1, 3, 0, 1, 5.0)
            await until(lambda: not plant.clients)
            assert await first.read(1, 3, 0, 1, 5.0) == b"\x00\x07"
            assert plant.refused == 0
            first.close()
            second.close()

    async def test_a_place_that_is_taken_is_a_lost_connection_and_no_value(self) -> None:
        async with plant_of({1: holding({0: 7})}) as plant:
            link = rest(plant.port)
            await link.open(5.0)
            await link.read(1, 3, 0, 1, 5.0)
            await until(lambda: not plant.clients)
            plant.most_clients = 0
            with pytest.raises(NotConnected):
                await link.read(1, 3, 0, 1, 5.0)
            await until(lambda: not link.connected)
            plant.most_clients = 1
            await link.open(5.0)
            assert await link.read(1, 3, 0, 1, 5.0) == b"\x00\x07"
            link.close()

    async def test_a_connection_that_is_kept_stays(self) -> None:
        async with plant_of({1: holding({0: 7})}) as plant:
            link = TcpLink("127.0.0.1", plant.port)
            await link.open(5.0)
            await link.read(1, 3, 0, 1, 5.0)
            assert link._rest_timer is None
            link.close()


class Driver:
    """A serial driver as far as direction control goes: what it is set to, less what it does not do."""

    def __init__(self, lacks: int = 0, longest_ms: int = 100, refuses: int = 0) -> None:
        self.state = bytes(LAYOUT.size)
        self.lacks, self.longest_ms, self.refuses = lacks, longest_ms, refuses

    def __call__(self, descriptor: int, request: int, argument: bytes) -> bytes:
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        if request == TIOCSRS485:
            flags, before, after, *rest = LAYOUT.unpack(argument)
            kept = (flags & ~self.lacks, min(before, self.longest_ms), min(after, self.longest_ms), *rest)
            self.state = LAYOUT.pack(*kept)
        else:
            assert request == TIOCGRS485
        return self.state


class TestDirectionControl:
    def test_what_the_kernel_is_given(self) -> None:
        driver = Driver()
        assert apply_rs485(3, Rs485(rts_on_send=True, delay_before_ms=2, delay_after_ms=5), driver) == ""
        # struct serial_rs485 of linux/serial.h: flags (enabled 1, rts on send 2), delays, five words of padding.
        assert driver.state.hex() == "03000000" + "02000000" + "05000000" + "00" * 20

    def test_inverted_with_everything(self) -> None:
        wanted = Rs485(rts_on_send=False, rts_after_send=True, rx_during_tx=True, terminate=True)
        assert wanted.flags == 0b110101

    def test_what_a_driver_does_not_take_is_said(self) -> None:
        words = apply_rs485(3, Rs485(rx_during_tx=True, delay_after_ms=90), Driver(lacks=16, longest_ms=50))
        assert words == "the driver did not take: rx_during_tx, delays (0 ms before, 50 ms after)"

    @pytest.mark.parametrize("number", [errno.ENOTTY, errno.EINVAL])
    def test_a_port_without_it_is_used_all_the_same(self, number: int) -> None:
        assert "no direction control" in apply_rs485(3, Rs485(), Driver(refuses=number))

    def test_a_port_that_is_gone_is_an_error(self) -> None:
        with pytest.raises(OSError, match="Input/output"):
            apply_rs485(3, Rs485(), Driver(refuses=errno.EIO))

    async def test_a_real_port_that_has_none(self, caplog: pytest.LogCaptureFixture) -> None:
        with bare_pty() as device:
            link = open_link("modbus-rtu", device=device, baud=9600, parity="N", stop_bits=1, rs485=Rs485())
            await link.open(5.0)
            link.close()
            await link.open(5.0)
            link.close()
        said = [record for record in caplog.records if "no direction control" in record.getMessage()]
        assert len(said) == 1


class TestLibmodbus:
    """A slave on libmodbus, which knows nothing of us."""

    async def test_over_tcp(self, tmp_path: Path) -> None:
        port = free_port()
        with slave(slave_program(tmp_path), "tcp", str(port)):
            link = TcpLink("127.0.0.1", port, rest_after_s=0.02)
            await link.open(5.0)
            assert await link.read(7, 3, 10, 2, 5.0) == bytes.fromhex("006e006f")
            await link.write(7, bytes.fromhex("06000a0db9"), 5.0)
            assert await link.read(7, 3, 10, 2, 5.0) == bytes.fromhex("0db9006f")
            await link.write(7, bytes.fromhex("10000b0002041234abcd"), 5.0)
            assert await link.read(7, 3, 10, 3, 5.0) == bytes.fromhex("0db91234abcd")
            await link.write(7, bytes.fromhex("050003ff00"), 5.0)
            assert await link.read(7, 1, 0, 8, 5.0) == b"\x08"
            await link.write(7, bytes.fromhex("0f000300010100"), 5.0)
            assert await link.read(7, 1, 0, 8, 5.0) == b"\x00"
            link.close()

    async def test_over_a_serial_line(self, tmp_path: Path) -> None:
        with wire() as (ours, theirs), slave(slave_program(tmp_path), "rtu", theirs, "115200"):
            link = open_link("modbus-rtu", device=ours, baud=115200, parity="N", stop_bits=1)
            await link.open(5.0)
            assert await link.read(7, 4, 0, 3, 5.0) == bytes.fromhex("006400650066")
            await link.write(7, bytes.fromhex("06000a0db9"), 5.0)
            assert await link.read(7, 3, 10, 1, 5.0) == bytes.fromhex("0db9")
            link.close()


async def mbpoll(port: int, unit: int, register: int) -> str:
    """What mbpoll, another master, reads from a holding register (its references count from 1)."""
    words = ("-m", "tcp", "-a", str(unit), "-r", str(register + 1), "-c", "1", "-t", "4", "-1", "-o", "10")
    program = shutil.which("mbpoll")
    assert program, "mbpoll is missing: run scripts/install-system-packages test"
    process = await asyncio.create_subprocess_exec(
        program, *words, "-p", str(port), "127.0.0.1", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()


class TestMbpoll:
    """Another master beside ours."""

    async def test_it_reads_what_we_have_written(self, tmp_path: Path) -> None:
        port = free_port()
        with slave(slave_program(tmp_path), "tcp", str(port)):
            link = TcpLink("127.0.0.1", port)
            await link.open(5.0)
            await link.write(7, bytes.fromhex("06000a0db9"), 5.0)
            link.close()
            assert re.search(r"\[11\]:\s+3513", await mbpoll(port, 7, 10))

    async def test_it_finds_a_place_at_a_device_that_allows_one_client(self) -> None:
        async with plant_of({1: holding({0: 4711})}) as plant:
            plant.most_clients = 1
            link = rest(plant.port)
            await link.open(5.0)
            for _ in range(3):
                assert await link.read(1, 3, 0, 1, 5.0) == b"\x12\x67"
                await until(lambda: not plant.clients)
                assert re.search(r"\[1\]:\s+4711", await mbpoll(plant.port, 1, 0))
                await until(lambda: not plant.clients)
            assert plant.refused == 0
            link.close()
