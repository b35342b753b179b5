"""Instruments on a real terminal device: answers are taken only if they are answers, and nothing is invented."""

import asyncio
import math
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pty_tools import Wire

from firmware_interfaces.errors import BadFrame, NoAnswer, NotConnected
from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.framing import LineFramer
from firmware_interfaces.serial.instrument import TextInstrument
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.models import load_serial_model
from firmware_interfaces.serial.nouns import TextModel
from firmware_interfaces.serial.port import LineSettings, PortBusy, open_port

SCALE = {
    b"SI\r\n": b"S S     100.00 g\r\n",
    b"I2\r\n": b'I2 A "WMS404C-L WMS-Bridge 410.0090 g"\r\n',
    b"I3\r\n": b'I3 A "1.10 10.28.0.493.142"\r\n',
    b"I4\r\n": b'I4 A "B021002593"\r\n',
}


def model(name: str) -> TextModel:
    found = load_serial_model(name)
    assert isinstance(found, TextModel)
    return found


@pytest_asyncio.fixture
async def line(wire: Wire) -> AsyncIterator[SerialLine]:
    made = SerialLine(str(wire.path), LineSettings(9600), limit_s=0.5)
    await made.open(1)
    yield made
    made.close()


class TestAScale:
    async def test_answers_become_values(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = SCALE.get
        reading = await TextInstrument(line, 0, model("mt-sics")).poll(2.0)
        assert list(reading.values) == [0.1, 1.0]
        assert reading.quality == bytes(2)
        assert reading.raw() == b"S S     100.00 g\n"

    async def test_its_identity(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = SCALE.get
        scale = TextInstrument(line, 0, model("mt-sics"))
        (who,) = [introduction async for introduction in scale.introduce(2.0)]
        assert who.kind == "identity"
        assert who.found == {
            "type": "WMS404C-L WMS-Bridge 410.0090 g",
            "software": "1.10 10.28.0.493.142",
            "serial": "B021002593",
        }

    async def test_what_it_refuses_to_say_is_none(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = {**SCALE, b"I4\r\n": b"ES\r\n"}.get
        scale = TextInstrument(line, 0, model("mt-sics"))
        (who,) = [introduction async for introduction in scale.introduce(2.0)]
        assert who.found["serial"] is None

    @pytest.mark.parametrize(
        ("reply", "quality"),
        [
            (b"S +\r\n", Quality.OUT_OF_RANGE),
            (b"S -\r\n", Quality.OUT_OF_RANGE),
            (b"S I\r\n", Quality.DEVICE_EXCEPTION),
            (b"ES\r\n", Quality.DEVICE_EXCEPTION),
            (b"ET\r\n", Quality.DEVICE_EXCEPTION),
            (b"EL\r\n", Quality.DEVICE_EXCEPTION),
        ],
    )
    async def test_what_is_no_weight_has_its_quality_and_its_bytes(
        self, wire: Wire, line: SerialLine, reply: bytes, quality: Quality
    ) -> None:
        wire.answer = {b"SI\r\n": reply}.get
        reading = await TextInstrument(line, 0, model("mt-sics"), ["weight"]).poll(2.0)
        assert math.isnan(reading.values[0])
        assert reading.quality == bytes((quality,))
        assert reading.raw() == reply.replace(b"\r", b"")

    @pytest.mark.parametrize(
        "reply",
        [b"S S  1x.00 g\r\n", b"\xff\xfeS S 100.00 g\r\n", b"S S 100.00", b"S S\r\n", b"\x00" * 40],
        ids=["digits", "noise before", "half a frame", "empty", "zeros"],
    )
    async def test_garbage_is_a_bad_frame_with_its_bytes(self, wire: Wire, line: SerialLine, reply: bytes) -> None:
        wire.answer = {b"SI\r\n": reply}.get
        with pytest.raises(BadFrame) as caught:
            await TextInstrument(line, 0, model("mt-sics")).poll(0.3)
        assert caught.value.raw

    async def test_garbage_in_a_line_of_its_own_does_not_spoil_the_answer(
        self, wire: Wire, line: SerialLine
    ) -> None:
        wire.answer = {b"SI\r\n": b"\xff\x00#\r\nS S 5.00 kg\r\n"}.get
        assert (await TextInstrument(line, 0, model("mt-sics"), ["weight"]).poll(2.0)).values[0] == 5.0


class TestLateAnswers:
    async def test_a_late_answer_is_not_taken_for_the_next(self, wire: Wire, line: SerialLine) -> None:
        scale = TextInstrument(line, 0, model("mt-sics"), ["weight"])
        late: list[tuple[int, float]] = []
        line.on_late = lambda unit, took: late.append((unit, took))
        with pytest.raises(NoAnswer):
            await scale.poll(0.1)
        with pytest.raises(NoAnswer, match="not asked"):
            await scale.poll(0.1)
        assert line.stats.requests == 1
        wire.send(b"S S 111.00 g\r\n")
        await wire.until(lambda: bool(late))
        wire.answer = {b"SI\r\n": b"S S 222.00 g\r\n"}.get
        assert (await scale.poll(2.0)).values[0] == 0.222
        assert line.stats.late_answers == 1

    async def test_what_lay_about_before_the_request_is_not_its_answer(self, wire: Wire, line: SerialLine) -> None:
        wire.send(b"S S 111.00 g\r\nS S 33")
        await wire.until(lambda: line.stats.bytes_received == 20)
        wire.answer = {b"SI\r\n": b"3.00 g\r\nS S 222.00 g\r\n"}.get
        assert (await TextInstrument(line, 0, model("mt-sics"), ["weight"]).poll(2.0)).values[0] == 0.222


class TestElectrodes:
    async def test_an_acknowledgement_is_never_a_value(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = {b"R\r": b"*OK\r"}.get
        with pytest.raises(BadFrame):
            await TextInstrument(line, 0, model("atlas-ezo-ph")).poll(0.3)

    async def test_the_acknowledgement_of_the_last_reading_does_no_harm(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = {b"R\r": b"8.520\r*OK\r"}.get
        electrode = TextInstrument(line, 0, model("atlas-ezo-ph"))
        for _ in range(3):
            assert list((await electrode.poll(2.0)).values) == [8.52]

    async def test_a_scale_of_fahrenheit_is_noticed(self, wire: Wire, line: SerialLine) -> None:
        replies = {
            b"i\r": b"?I,RTD,2.01\r*OK\r",
            b"Status\r": b"?Status,P,5.038\r*OK\r",
            b"S,?\r": b"?S,f\r*OK\r",
        }
        wire.answer = replies.get
        electrode = TextInstrument(line, 0, model("atlas-ezo-rtd"))
        who, how = [introduction async for introduction in electrode.introduce(2.0)]
        assert who.found == {
            "type": "RTD",
            "firmware": "2.01",
            "last_restart": "P",
            "supply_voltage": "5.038",
        }
        assert how.kind == "audit"
        assert how.unexpected == {"scale": "c"}


class TestThePort:
    async def test_it_is_ours_alone(self, wire: Wire, line: SerialLine) -> None:
        with pytest.raises(PortBusy):
            open_port(str(wire.path), LineSettings())
        other = SerialLine(str(wire.path), LineSettings())
        with pytest.raises(NotConnected, match="another program holds the port"):
            await other.open(1)
        line.close()
        await other.open(1)
        other.close()

    async def test_what_is_no_port_or_not_there_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(NotConnected, match="is no serial port"):
            await SerialLine(str(tmp_path / "file"), LineSettings()).open(1)
        with pytest.raises(NotConnected, match="is not plugged in"):
            await SerialLine(str(tmp_path / "gone"), LineSettings()).open(1)
        with pytest.raises(NotConnected, match="is not a speed"):
            await SerialLine("/dev/null", LineSettings(9601)).open(1)

    async def test_unplugged_in_the_middle_of_a_frame(self, wire: Wire, line: SerialLine) -> None:
        asking = asyncio.create_task(TextInstrument(line, 0, model("mt-sics")).poll(20.0))
        await wire.until(lambda: wire.came == b"SI\r\n")
        wire.send(b"S S  1")
        await wire.until(lambda: line.stats.bytes_received == 6)
        wire.unplug()
        with pytest.raises(NotConnected):
            await asking
        assert not line.connected

    async def test_plugged_in_again_half_a_frame_from_before_is_gone(self, wire: Wire, line: SerialLine) -> None:
        wire.send(b"S S  1")
        await wire.until(lambda: line.stats.bytes_received == 6)
        wire.unplug()
        await wire.until(lambda: not line.connected)
        wire.plug()
        wire.answer = SCALE.get
        await line.open(1)
        assert list((await TextInstrument(line, 0, model("mt-sics")).poll(2.0)).values) == [0.1, 1.0]

    async def test_the_last_frames_are_there_for_the_engineer(self, wire: Wire, line: SerialLine) -> None:
        wire.answer = SCALE.get
        scale = TextInstrument(line, 0, model("mt-sics"))
        for _ in range(50):
            await scale.poll(2.0)
        frames = line.frames
        assert len(frames) == 64
        assert {frame.data for frame in frames if frame.sent} == {b"SI\r\n"}
        assert frames == sorted(frames, key=lambda frame: frame.at)

    async def test_a_pair_of_ports_as_another_program_makes_them(self, tmp_path: Path) -> None:
        ends = [tmp_path / "a", tmp_path / "b"]
        socat = subprocess.Popen(["socat", *(f"PTY,link={end},raw,echo=0" for end in ends)])
        try:
            async with asyncio.timeout(20):
                while not all(end.exists() for end in ends):
                    await asyncio.sleep(0.01)
            scale, gateway = (SerialLine(str(end), LineSettings(19200, "E", 1)) for end in ends)
            await scale.open(1)
            await gateway.open(1)
            scale.listen(LineFramer(b"\r\n"), lambda _: scale.say(b"S S 7.00 kg\r\n"))
            reading = await TextInstrument(gateway, 0, model("mt-sics"), ["weight"]).poll(5.0)
            assert reading.values[0] == 7.0
            scale.close()
            gateway.close()
        finally:
            socat.terminate()
            socat.wait()


class TestAddresses:
    async def test_another_units_answer_is_not_taken(self, wire: Wire, line: SerialLine, tmp_path: Path) -> None:
        (tmp_path / "bus.toml").write_text(ADDRESSED)
        of = load_serial_model(str(tmp_path / "bus.toml"))
        assert isinstance(of, TextModel)
        wire.answer = {b"#0C\r": b">0B+001.00\r>0C+002.50\r"}.get
        reading = await TextInstrument(line, 12, of).poll(2.0)
        assert list(reading.values) == [2.5]


ADDRESSED = r"""
id = "bus"
title = "Something with addresses"
maker = "nobody"
source = "this test"

[line]
command_end = "\r"
reply_end = "\r"
address = "{unit:02X}"

[[poll]]
command = "#{unit:02X}"
pattern = '>(?P<address>[0-9A-F]{2})(?P<level>[+-][0-9.]+)'

[[channel]]
key = "level"
unit = "m"

[[test]]
replies = [">01+001.00"]
expect = { level = 1 }
"""


def test_the_class_that_asks_is_what_the_gateway_polls() -> None:
    from firmware_interfaces.asked import AskedDevice

    device: AskedDevice = TextInstrument(SerialLine("/dev/null", LineSettings()), 0, model("mt-sics"))
    assert device.unit == 0
