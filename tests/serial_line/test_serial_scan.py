"""`scan serial` finds out what is on a port, and never disturbs a line on which somebody speaks."""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pty_tools import Wire
from pymodbus.framer import FramerRTU
from test_serial_meters import KAMSTRUP, SENSUS, Slave

from firmware_interfaces.serial.holders import find_ports, holders
from firmware_interfaces.serial.nmea import checksum
from firmware_interfaces.serial.recognise import modbus_frames, recognise
from gateway.cli import main
from gateway.commands.scan_serial import Finding, site_lines, survey
from gateway.config.check import check_site

HEAD = '[gateway]\nmember = "m"\nsite = "s"\nid = "g"\n'


def rtu(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def sentence(body: bytes) -> bytes:
    return b"$" + body + b"*%02X\r\n" % checksum(body)


ASK = rtu(bytes((17, 3, 0, 0, 0, 2)))
ANSWER = rtu(bytes((17, 3, 4, 0, 219, 1, 2)))
REFUSAL = rtu(bytes((18, 0x83, 2)))
GGA = sentence(b"GPGGA,092725.00,4717.11399,N,00833.91590,E,1,08,1.01,499.6,M,48.0,M,,")


class Speaker:
    """Sends the same again and again while a scan runs."""

    def __init__(self, wire: Wire, data: bytes) -> None:
        self.wire, self.data = wire, data

    async def __aenter__(self) -> None:
        async def speak() -> None:
            while True:
                self.wire.send(self.data)
                await asyncio.sleep(0.02)

        self.task = asyncio.create_task(speak())

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


class TestALineThatSpeaks:
    @pytest.mark.parametrize(
        ("data", "protocol", "model"),
        [
            (ASK + ANSWER, "modbus", ""),
            (GGA, "nmea", "nmea-gps"),
            (b"S S     100.00 g\r\n", "mt-sics", "mt-sics-stream"),
            (KAMSTRUP, "mbus", "mbus-heat"),
            (b"04012345678901\r\n", "text", ""),
        ],
    )
    async def test_is_recognised_and_nothing_is_sent(
        self, wire: Wire, data: bytes, protocol: str, model: str
    ) -> None:
        async with Speaker(wire, data):
            finding = await survey(wire.path, 1.0, 0.1, ask=True)
        assert finding.state == "heard"
        assert finding.guess is not None
        assert (finding.guess.protocol, finding.guess.model) == (protocol, model)
        assert wire.came == b""

    async def test_that_is_not_understood_is_left_alone(self, wire: Wire) -> None:
        async with Speaker(wire, b"\x81\x92\xa3"):
            finding = await survey(wire.path, 0.2, 0.1, ask=True)
        assert finding.state == "not understood"
        assert wire.came == b""

    async def test_that_begins_while_asking_is_left_alone_from_then_on(self, wire: Wire) -> None:
        speaker = Speaker(wire, ASK + ANSWER)
        speaking: list[asyncio.Task[None]] = []

        def wakes(_: bytes) -> None:
            if not speaking:
                speaking.append(asyncio.create_task(speaker.__aenter__()))

        wire.answer = wakes
        finding = await survey(wire.path, 0.1, 0.3, ask=True)
        await speaker.__aexit__()
        assert (finding.state, finding.guess) == ("not understood", None)
        assert wire.came == b"i\r"


class TestASilentLine:
    async def test_a_scale_tells_who_it_is(self, wire: Wire) -> None:
        wire.answer = {b"I4\r\n": b'I4 A "B021002593"\r\n'}.get
        finding = await survey(wire.path, 0.1, 1.0, ask=True)
        assert finding.guess is not None
        assert (finding.state, finding.guess.model) == ("answered", "mt-sics")
        assert "B021002593" in finding.words

    async def test_an_electrode_tells_who_it_is(self, wire: Wire) -> None:
        wire.answer = {b"i\r": b"?I,D.O.,1.98\r*OK\r"}.get
        finding = await survey(wire.path, 0.1, 1.0, ask=True)
        assert finding.guess is not None
        assert finding.guess.model == "atlas-ezo-do"

    async def test_a_meter_tells_who_it_is(self, wire: Wire) -> None:
        slave = Slave([SENSUS], address=254)
        wire.answer = slave
        finding = await survey(wire.path, 0.1, 1.0, ask=True)
        assert finding.guess is not None
        assert (finding.guess.protocol, finding.guess.units) == ("mbus", (8,))
        assert "SPX 21050076" in finding.words

    async def test_a_modbus_unit_answers_if_only_with_an_exception(self, wire: Wire) -> None:
        asked = rtu(bytes((1, 3, 0, 0, 0, 1)))
        wire.answer = {asked: rtu(bytes((1, 0x83, 2)))}.get
        finding = await survey(wire.path, 0.1, 1.0, ask=True)
        assert finding.guess is not None
        assert (finding.guess.protocol, finding.guess.units) == ("modbus", (1,))

    async def test_an_echo_is_no_answer(self, wire: Wire) -> None:
        wire.answer = lambda request: request
        finding = await survey(wire.path, 0.1, 0.05, ask=True)
        assert finding.guess is None

    async def test_listening_only_sends_nothing(self, wire: Wire) -> None:
        finding = await survey(wire.path, 0.1, 0.05, ask=False)
        assert finding.state == "silent"
        assert wire.came == b""


class TestAPortThatIsInUse:
    @pytest.fixture
    def holder(self, wire: Wire) -> Iterator[subprocess.Popen[bytes]]:
        code = (
            "import sys, time; f = open(sys.argv[1], 'rb+', buffering=0); print('open', flush=True); time.sleep(60)"
        )
        process = subprocess.Popen([sys.executable, "-c", code, str(wire.path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield process
        process.kill()
        process.wait()
        process.stdout.close()

    async def test_is_not_touched(self, wire: Wire, holder: subprocess.Popen[bytes]) -> None:
        assert any(f"process {holder.pid}" in who for who in holders(wire.path))
        finding = await survey(wire.path, 0.1, 0.1, ask=True)
        assert finding.state == "held"
        assert wire.came == b""

    async def test_ourselves_do_not_count(self, wire: Wire) -> None:
        assert holders(wire.path) == []
        assert holders(Path("/nowhere")) == []


def found(data: bytes) -> Finding:
    from firmware_interfaces.serial.port import LineSettings

    return Finding("/dev/ttyUSB0", "heard", "", LineSettings(19200, "E"), recognise(data))


@pytest.mark.parametrize("data", [GGA, b"S S 1.0 g\r\n", KAMSTRUP], ids=["position", "scale", "meter"])
def test_what_is_printed_can_be_pasted(data: bytes) -> None:
    text = HEAD + "\n".join(site_lines(found(data), 1)) + "\n"
    site, problems = check_site(text, "site.toml", Path("/srv"))
    assert problems == []
    assert site is not None
    assert (site.buses[0].baud, site.buses[0].parity) == (19200, "E")


def test_a_modbus_line_is_printed_as_a_bus_with_the_units_that_speak() -> None:
    lines = site_lines(found((ASK + ANSWER) * 3 + REFUSAL), 1)
    assert 'type = "modbus-rtu"' in lines
    assert "# units that speak there: 17, 18" in lines


class TestModbusFrames:
    @given(st.binary(max_size=30), st.lists(st.sampled_from([ASK, ANSWER, REFUSAL]), min_size=1, max_size=4))
    def test_are_found_behind_noise(self, noise: bytes, frames: list[bytes]) -> None:
        assert set(modbus_frames(noise + b"\x00" * 2 + b"".join(frames))) & set(frames)

    @given(st.binary(max_size=200))
    def test_nothing_breaks_on_noise(self, noise: bytes) -> None:
        recognise(noise)

    @given(st.sampled_from([ASK, ANSWER, REFUSAL]), st.integers(0, 20), st.integers(1, 255))
    def test_a_flipped_bit_is_no_frame(self, frame: bytes, place: int, flip: int) -> None:
        bad = bytearray(frame)
        bad[place % len(bad)] ^= flip
        assert modbus_frames(bytes(bad)) == []


class TestPorts:
    def test_the_lasting_name_is_used_and_ports_without_a_chip_are_left_out(self, tmp_path: Path) -> None:
        dev, sys_ = tmp_path / "dev", tmp_path / "sys"
        (dev / "serial/by-id").mkdir(parents=True)
        for name in ("ttyUSB0", "ttyUSB1", "ttyS0", "ttyS1", "ttyAMA0"):
            (dev / name).write_bytes(b"")
        (dev / "serial/by-id/usb-FTDI_1").symlink_to("../../ttyUSB1")
        for name, kind in (("ttyS0", "4"), ("ttyS1", "0")):
            (sys_ / "class/tty" / name).mkdir(parents=True)
            (sys_ / "class/tty" / name / "type").write_text(kind)
        names = [str(port.relative_to(dev)) for port in find_ports(dev, sys_)]
        assert names == ["serial/by-id/usb-FTDI_1", "ttyAMA0", "ttyS0", "ttyUSB0"]


class TestTheCommand:
    def run(self, wire: Wire, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
        arguments = ["scan", "serial", str(wire.path), "--seconds", "0.1", "--timeout", "0.05", *options]
        status = main(arguments)
        return status, capsys.readouterr().out

    async def test_json_and_status(self, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
        run: Callable[..., Any] = asyncio.to_thread
        status, out = await run(self.run, wire, capsys, "--json", "--listen")
        assert status == 1
        (port,) = json.loads(out)
        assert (port["port"], port["state"], port["model"]) == (str(wire.path), "silent", None)

    async def test_words(self, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
        async with Speaker(wire, GGA):
            status, out = await asyncio.to_thread(self.run, wire, capsys)
        assert status == 0
        assert f"# {wire.path}: heard at 9600 8N1: nmea, GPGGA; nothing was sent" in out
        assert 'model = "nmea-gps"' in out

    def test_a_port_that_is_not_there(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert main(["scan", "serial", str(tmp_path / "gone"), "--seconds", "0.1"]) == 1
        assert "is not plugged in" in capsys.readouterr().out


class TestRead:
    def read(self, wire: Wire, *options: str) -> int:
        return main(["read", "--serial", str(wire.path), *options])

    async def test_a_scale(self, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
        replies = {
            b"SI\r\n": b"S S     100.00 g\r\n",
            b"I2\r\n": b'I2 A "Scale"\r\n',
            b"I3\r\n": b'I3 A "1.0"\r\n',
            b"I4\r\n": b'I4 A "123"\r\n',
        }
        wire.answer = replies.get
        assert await asyncio.to_thread(self.read, wire, "--model", "mt-sics") == 0
        out = capsys.readouterr().out
        assert "identity     serial               123" in out
        assert "weight                        0.1000000 kg     good" in out
        assert "received     'S S     100.00 g" in out

    async def test_a_meter_by_its_number(self, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
        wire.answer = Slave([SENSUS])
        status = await asyncio.to_thread(self.read, wire, "--model", "mbus-water", "--address", "21050076")
        assert status == 0
        assert "7998.92 m3" in capsys.readouterr().out

    async def test_a_receiver_is_listened_to(self, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
        rmc = sentence(b"GPRMC,083559.00,A,4717.11437,N,00833.91522,E,10.000,77.52,091226,,,A")
        async with Speaker(wire, GGA + rmc):
            status = await asyncio.to_thread(self.read, wire, "--model", "nmea-gps")
        assert status == 0
        assert "latitude                     47.2852" in capsys.readouterr().out

    def test_what_is_wrong_in_the_question(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["read", "--tcp", "127.0.0.1", "--model", "mt-sics"]) == 2
        assert "is read on a serial port" in capsys.readouterr().err
        assert main(["read", "--serial", "/dev/null", "--model", "mt-sics", "--address", "1"]) == 2


def test_no_ports_at_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.commands import scan_serial

    monkeypatch.setattr(scan_serial, "find_ports", list)
    assert scan_serial.scan_serial(argparse.Namespace(port=[])) == 2
    assert "no serial port" in capsys.readouterr().err
