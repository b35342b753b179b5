"""Sirens: a Modbus coil on the simulated relay, and a GPIO line on a chip that keeps to the kernel's ABI."""

import ctypes
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from gateway_plugins import siren_gpio, siren_modbus
from notify_tools import alarm, notifying, output, rule, site_of, standing_alarm, until
from plugin_tools import made, notice, waiting

from gateway.api import Host, OutputError, Standing, load_output
from gateway.demo.modbus_server import Bus, Registers, Table, TcpEndpoint
from gateway.demo.serial_port import PtyPort
from gateway.model import AlarmState


def relay(*, writable: bool = True) -> Registers:
    coils = {Table.COIL: {0: 0, 3: 0}}
    return Registers(coils, writable=[(Table.COIL, 0), (Table.COIL, 3)] if writable else [])


@asynccontextmanager
async def relay_on_tcp(registers: Registers, unit: int = 1, port: int = 0) -> AsyncIterator[TcpEndpoint]:
    endpoint = TcpEndpoint(Bus({unit: registers}), "127.0.0.1", port)
    await endpoint.open()
    try:
        yield endpoint
    finally:
        await endpoint.close()


def coil(registers: Registers, number: int = 3) -> int:
    value = registers.tables[Table.COIL][number]
    assert isinstance(value, int)
    return value


async def test_the_coil_follows_what_stands_and_is_read_back() -> None:
    registers = relay()
    async with relay_on_tcp(registers) as endpoint:
        siren = made("siren-modbus", {"host": "127.0.0.1", "port": endpoint.port, "coil": 3})
        await siren.follow(waiting())
        assert coil(registers) == 1
        await siren.follow(waiting())
        await siren.follow(Standing(active=waiting().active))
        assert coil(registers) == 0, "acknowledged: it is quiet, though the alarm is still active"
        beacon = made("siren-modbus", {"host": "127.0.0.1", "port": endpoint.port, "coil": 3, "on": "standing"})
        await beacon.follow(Standing(active=waiting().active))
        assert coil(registers) == 1
        inverted = made("siren-modbus", {"host": "127.0.0.1", "port": endpoint.port, "coil": 0, "inverted": True})
        await inverted.follow(Standing())
        assert coil(registers, 0) == 1
        await inverted.test()
        assert coil(registers, 0) == 1


async def test_the_test_sounds_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siren_modbus, "TEST_S", 0.0)
    registers = relay()
    written: list[int] = []
    write = registers.write
    monkeypatch.setattr(registers, "write", lambda t, s, v: written.extend(v) or write(t, s, v))  # type: ignore[func-returns-value]
    async with relay_on_tcp(registers) as endpoint:
        await made("siren-modbus", {"host": "127.0.0.1", "port": endpoint.port, "coil": 3}).send(notice())
    assert written == [1, 0]


async def test_a_relay_that_refuses_lies_or_is_silent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siren_modbus, "ANSWER_S", 0.1)
    async with relay_on_tcp(relay(writable=False)) as endpoint:
        settings = {"host": "127.0.0.1", "port": endpoint.port, "coil": 3}
        with pytest.raises(OutputError, match=r"coil 3 of unit 1 on 127.0.0.1:.* refuses to switch"):
            await made("siren-modbus", settings).follow(waiting())
        with pytest.raises(OutputError, match=r"coil 9 .* cannot be read"):
            await made("siren-modbus", settings | {"coil": 9}).test()
    stuck = relay()
    stuck.write = lambda table, start, values: True  # type: ignore[method-assign]
    async with relay_on_tcp(stuck) as endpoint:
        settings["port"] = endpoint.port
        with pytest.raises(OutputError, match=r"says off after it was switched the other way"):
            await made("siren-modbus", settings).follow(waiting())
    with pytest.raises(OutputError, match=r"cannot be reached; check power"):
        await made("siren-modbus", settings).follow(waiting())
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings["port"] = deaf.getsockname()[1]
        monkey = made("siren-modbus", settings)
        with pytest.raises(OutputError, match=r"does not answer"):
            await monkey.test()


async def test_a_relay_on_a_serial_line(tmp_path: Path) -> None:
    registers = relay()
    port = PtyPort(Bus({5: registers}), tmp_path / "line")
    await port.open()
    try:
        siren = made("siren-modbus", {"device": str(port.path), "unit": 5, "coil": 3})
        await siren.follow(waiting())
        assert coil(registers) == 1
    finally:
        await port.close()


async def test_from_the_alarm_to_the_coil_over_a_restart(tmp_path: Path) -> None:
    registers = relay()
    async with relay_on_tcp(registers) as endpoint:
        settings = {"host": "127.0.0.1", "port": endpoint.port, "coil": 3}
        spec = output("siren", type="siren-modbus", settings=settings, to=(), sends=False, follows=True)
        site = site_of(tmp_path, [spec], [rule("siren", tiers=("critical",))])
        async with notifying(site) as world:
            world.notifier.alarm(alarm(alarm="room-2/high-alert", tier="alert"))
            world.notifier.alarm(alarm())
            await until(lambda: coil(registers) == 1)
        registers.tables[Table.COIL][3] = 0  # the relay lost its power
        async with notifying(site, alarms=[standing_alarm()]) as world:
            await until(lambda: coil(registers) == 1)
            registers.tables[Table.COIL][3] = 0  # somebody pressed its button: it is put right within the minute
            await until(lambda: coil(registers) == 1)
            world.notifier.alarm(alarm("acknowledged", state=AlarmState.ACKNOWLEDGED.value))
            await until(lambda: coil(registers) == 0)


# GPIO: the structures as linux/gpio.h has them, independent of the plugin's own


class LineAttribute(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint32), ("padding", ctypes.c_uint32), ("value", ctypes.c_uint64)]


class ConfigAttribute(ctypes.Structure):
    _fields_ = [("attr", LineAttribute), ("mask", ctypes.c_uint64)]


class LineConfig(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("num_attrs", ctypes.c_uint32),
        ("padding", ctypes.c_uint32 * 5),
        ("attrs", ConfigAttribute * 10),
    ]


class LineRequest(ctypes.Structure):
    _fields_ = [
        ("offsets", ctypes.c_uint32 * 64),
        ("consumer", ctypes.c_char * 32),
        ("config", LineConfig),
        ("num_lines", ctypes.c_uint32),
        ("event_buffer_size", ctypes.c_uint32),
        ("padding", ctypes.c_uint32 * 5),
        ("fd", ctypes.c_int32),
    ]


class ChipInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 32), ("label", ctypes.c_char * 32), ("lines", ctypes.c_uint32)]


class LineValues(ctypes.Structure):
    _fields_ = [("bits", ctypes.c_uint64), ("mask", ctypes.c_uint64)]


def number(direction: int, code: int, kind: type[ctypes.Structure]) -> int:
    return direction << 30 | ctypes.sizeof(kind) << 16 | 0xB4 << 8 | code


class Chip:
    """Answers the ioctls of two chips in a folder. ``lines`` are the levels on the wires, by chip and line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: dict[tuple[str, int], bool] = {}
        self.shorted = False
        self.busy = False
        self.held: dict[int, tuple[str, int, int]] = {}
        for name in ("gpiochip0", "gpiochip4"):
            (folder / name).touch()

    def __call__(self, descriptor: int, request: int, data: bytearray) -> int:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if request == number(2, 0x01, ChipInfo):
            info = ChipInfo.from_buffer(data)
            info.name, info.label, info.lines = name.encode(), f"pinctrl-{name[-1]}".encode(), 54
        elif request == number(3, 0x07, LineRequest):
            asked = LineRequest.from_buffer(data)
            if self.busy:
                raise OSError(16, "Device or resource busy")
            assert (asked.num_lines, asked.consumer, asked.config.num_attrs) == (1, b"aurora-gateway", 0)
            assert asked.config.flags & 1 << 3, "an output"
            asked.fd = os.open(self.folder / name, os.O_RDWR)
            self.held[asked.fd] = (name, asked.offsets[0], asked.config.flags)
            self.lines[name, asked.offsets[0]] = bool(asked.config.flags & 1 << 1)
        else:
            self._values(descriptor, request, data)
        return 0

    def _values(self, descriptor: int, request: int, data: bytearray) -> None:
        chip, line, flags = self.held[descriptor]
        values, low = LineValues.from_buffer(data), bool(flags & 1 << 1)
        assert values.mask == 1
        if request == number(3, 0x0F, LineValues):
            self.lines[chip, line] = bool(values.bits & 1) is not low
        elif request == number(3, 0x0E, LineValues):
            level = False if self.shorted else self.lines[chip, line]
            values.bits = int(level is not low)
        else:
            raise OSError(25, "Inappropriate ioctl for device")


def gpio(fake: Chip, **settings: object) -> siren_gpio.GpioSiren:
    kind = load_output("siren-gpio")
    assert issubclass(kind, siren_gpio.GpioSiren)
    made_of = {"chip": str(fake.folder / "gpiochip0"), "line": 17} | settings
    siren = kind(kind.Settings(**made_of), Host("out", "m", "s", "g", 5.0, made("siren-gpio", made_of).log), fake)
    siren.folder = fake.folder  # type: ignore[misc]
    return siren


async def test_a_line_follows_what_stands_and_is_given_back(tmp_path: Path) -> None:
    chip = Chip(tmp_path)
    siren = gpio(chip)
    await siren.follow(waiting())
    assert chip.lines["gpiochip0", 17] is True
    await siren.follow(Standing())
    assert chip.lines["gpiochip0", 17] is False
    assert len(chip.held) == 1, "the line is held, not asked for anew"
    await siren.test()
    await siren.close()
    assert not any(Path(f"/proc/self/fd/{descriptor}").exists() for descriptor in chip.held)


async def test_a_chip_is_found_by_its_label_and_a_line_may_be_active_low(tmp_path: Path) -> None:
    chip = Chip(tmp_path)
    siren = gpio(chip, chip="pinctrl-4", active_low=True)
    await siren.follow(Standing())
    assert chip.lines["gpiochip4", 17] is True
    await siren.follow(waiting())
    assert chip.lines["gpiochip4", 17] is False
    await siren.close()
    with pytest.raises(OutputError, match=r"no GPIO chip 'pinctrl-9'; use one of: pinctrl-0, pinctrl-4"):
        await gpio(chip, chip="pinctrl-9").test()


async def test_a_line_that_is_shorted_taken_or_missing_is_named(tmp_path: Path) -> None:
    chip = Chip(tmp_path)
    siren = gpio(chip)
    chip.shorted = True
    with pytest.raises(OutputError, match=r"line 17 of .*gpiochip0 stays off; see whether it is shorted"):
        await siren.follow(waiting())
    await siren.close()
    chip.busy = True
    with pytest.raises(
        OutputError, match=r"cannot be had \(Device or resource busy\); see whether another program"
    ):
        await gpio(chip).test()
    with pytest.raises(OutputError, match=r"cannot be had .No such file"):
        await gpio(chip, chip=str(tmp_path / "gpiochip7")).test()
    with pytest.raises(OutputError, match=r"cannot be had .Inappropriate ioctl"):  # a plain file is no chip
        await made("siren-gpio", {"chip": str(tmp_path / "gpiochip0"), "line": 1}).test()


async def test_the_test_of_a_line_sounds_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siren_gpio, "TEST_S", 0.0)
    chip = Chip(tmp_path)
    siren = gpio(chip)
    await siren.send(notice())
    assert chip.lines == {("gpiochip0", 17): False}
    await siren.close()
