"""The facility as a process: ports, faults on command and on schedule, a clean end."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from demo_tools import Start, needs, until

from gateway.demo.control import Control
from gateway.demo.facility import Clockwork, Plant, serve
from gateway.demo.modbus_server import Bus, TcpEndpoint, crc16
from gateway.demo.serial_port import PtyPort


class Site:
    """A plant behind its ports in this process, without a clock."""

    def __init__(self, folder: Path) -> None:
        self.plant = Plant(1)
        self.tcp = TcpEndpoint(Bus(self.plant.units["tcp"]), "127.0.0.1", 0)
        self.rtu = PtyPort(Bus(self.plant.units["rtu"]), folder / "line")
        self.control = Control(
            {"tcp": self.tcp, "rtu": self.rtu}, self.plant.rooms, self.plant.pasteuriser, self.plant.status
        )


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    subject = Site(tmp_path)
    await subject.tcp.open()
    await subject.rtu.open()
    yield subject
    subject.control.close()
    await subject.tcp.close()
    await subject.rtu.close()


async def test_faults_are_set_and_cleared(site: Site) -> None:
    for command in ("mute tcp 2", "garble rtu 1", "exception tcp 1 6", "delay rtu 3 1.5", "break rtu 3 2"):
        assert await site.control.run(command) == "ok"
    assert site.tcp.bus.fault(2).mute
    assert site.rtu.bus.fault(1).garble
    assert site.tcp.bus.reply(1, bytes.fromhex("0300630001")) == b"\x83\x06"
    assert site.rtu.bus.delay(3) == 1.5
    assert [probe.broken for probe, _ in site.plant.units["rtu"][3].probes] == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    assert await site.control.run("clear tcp 2") == "ok"
    assert not site.tcp.bus.fault(2).mute
    assert site.rtu.bus.fault(1).garble
    assert await site.control.run("clear") == "ok"
    assert not site.rtu.bus.garbles(1)
    assert not any(probe.broken for probe, _ in site.plant.units["rtu"][3].probes)


async def test_a_fault_ends_by_itself(site: Site) -> None:
    await site.control.run("mute tcp 2 for 0.05")
    await site.control.run("break rtu 3 for 0.05")
    await site.control.run("delay tcp 1 3 for 0.05")
    assert site.tcp.bus.fault(2).mute
    await until(lambda: not site.tcp.bus.fault(2).mute)
    await until(lambda: not site.plant.units["rtu"][3].probes[0].probe.broken)
    await until(lambda: site.tcp.bus.delay(1) == 0.0)


async def test_the_newest_command_decides_when_a_fault_ends(site: Site) -> None:
    await site.control.run("mute tcp 2 for 0.02")
    await site.control.run("mute tcp 2")
    await site.control.run("mute tcp 1 for 0.04")
    await until(lambda: not site.tcp.bus.fault(1).mute)
    assert site.tcp.bus.fault(2).mute


async def test_a_bus_goes_and_comes_back(site: Site) -> None:
    await site.control.run("disconnect rtu for 0.05")
    await site.control.run("disconnect tcp")
    assert not site.rtu.path.is_symlink()
    await until(site.rtu.path.is_symlink)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", site.tcp.port)
    await site.control.run("clear tcp")
    _, writer = await asyncio.open_connection("127.0.0.1", site.tcp.port)
    writer.close()


async def test_the_plant_obeys(site: Site) -> None:
    for command in ("door room1 60", "defrost freezer", "fail room1", "steam 120"):
        assert await site.control.run(command) == "ok"
    for _ in range(60):
        site.plant.step()
    status = json.loads((await site.control.run("status")).removeprefix("ok "))
    assert status["rooms"]["freezer"]["mode"] == "defrost"
    assert status["rooms"]["room1"]["health"] < 1
    assert site.plant.pasteuriser.steam < 1
    await site.control.run("repair room1")
    assert site.plant.rooms["room1"].health == 1.0


@pytest.mark.parametrize(
    "command",
    [
        "",
        "mute",
        "mute tcp",
        "mute usb 1",
        "mute tcp 77",
        "mute tcp one",
        "mute tcp ²",
        "mute tcp 1 2",
        "exception tcp 1",
        "exception tcp 1 0",
        "delay tcp 1 soon",
        "delay tcp 1 -1",
        "delay tcp 1 nan",
        "mute tcp 1 for ever",
        "break tcp 10",
        "break rtu 3 9",
        "door cellar 5",
        "door room1 5 for 5",
        "disconnect",
        "disconnect usb",
        "clear tcp 1 2",
        "reboot",
    ],
)
async def test_a_wrong_command_says_what_is_wrong(site: Site, command: str) -> None:
    assert (await site.control.run(command)).startswith("error ")


async def test_time_runs_at_the_speed_asked_for() -> None:
    plant = Plant(1)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    running = asyncio.ensure_future(Clockwork(plant, 100.0).run())
    await until(lambda: plant.time_s >= 50)
    assert loop.time() - begun >= 0.45
    running.cancel()


async def test_scheduled_commands_are_carried_out(tmp_path: Path) -> None:
    plant = Plant(1)
    schedule = [(0.1, "fail room1"), (0.05, "break rtu 3 1")]
    running = asyncio.ensure_future(
        serve(plant, tcp=("127.0.0.1", 0), rtu=tmp_path / "line", speed=100.0, schedule=schedule)
    )
    await until(lambda: plant.rooms["room1"].health < 1.0 and plant.units["rtu"][3].probes[0].probe.broken)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not (tmp_path / "line").is_symlink()


@needs("mbpoll")
async def test_the_process_serves_both_buses_and_ends_cleanly(start: Start, tmp_path: Path) -> None:
    line = tmp_path / "line"
    process = await start(
        "gateway.demo.facility", "--tcp", "127.0.0.1:0", "--rtu", str(line), "--control", "0", "--speed", "50"
    )
    assert process.stdout is not None
    ready = (await process.stdout.readline()).decode().split()
    assert ready[:3] == ["facility", "ready:", "tcp"]
    ports = [int(word.rpartition(":")[2]) for word in (ready[3], ready[7])]
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
    writer.write(bytes.fromhex("000100000006 01 0309e10001"))
    assert (await reader.readexactly(11))[:9] == bytes.fromhex("000100000005010302")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[1])
    writer.write(b"mute tcp 1\nstatus\nnonsense\n")
    assert await reader.readline() == b"ok\n"
    assert json.loads((await reader.readline()).removeprefix(b"ok "))["rooms"].keys() == {
        "room1",
        "room2",
        "freezer",
    }
    assert (await reader.readline()).startswith(b"error ")
    writer.write(b"x" * 5000 + b"\n")
    assert await reader.read() == b""
    writer.close()
    mbpoll = await asyncio.create_subprocess_exec(
        *("mbpoll", "-1", "-q", "-0", "-m", "rtu", "-b", "9600", "-P", "none", "-s", "1"),
        *("-a", "3", "-t", "4", "-r", "0", "-c", "8", str(line)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await mbpoll.communicate()
    assert mbpoll.returncode == 0
    assert b"[7]: \t32768" in out
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert not line.is_symlink()


@pytest.mark.parametrize(
    "words", [["--tcp", "nowhere"], ["--speed", "0"], ["--speed", "x"], ["--at", "x", "mute tcp 1"]]
)
async def test_a_wrong_command_line_is_refused(start: Start, tmp_path: Path, words: list[str]) -> None:
    process = await start("gateway.demo.facility", "--rtu", str(tmp_path / "line"), *words)
    assert await process.wait() != 0


def test_the_checksum_of_an_empty_frame() -> None:
    assert crc16(b"") == 0xFFFF
