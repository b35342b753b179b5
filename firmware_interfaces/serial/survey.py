"""What is on a serial port: listen first, and ask only where nobody speaks.

A line on which anything is heard that nobody asked for has a master, or an instrument that speaks by itself: on it
nothing is ever sent. On a silent line the questions are those that change nothing: who are you, one register.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from pymodbus.framer import FramerRTU

from firmware_interfaces.errors import BusError
from firmware_interfaces.serial.framing import LineFramer
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.mbus import ACK, MbusFramer, request_data, reset_link
from firmware_interfaces.serial.port import LineSettings
from firmware_interfaces.serial.recognise import Guess, modbus_frames, recognise

__all__ = ["LISTENED", "Heard", "Question", "ask_port", "listen_port", "questions"]

LISTENED: tuple[LineSettings, ...] = (
    LineSettings(9600),
    LineSettings(19200, "E"),
    LineSettings(115200),
    LineSettings(19200),
    LineSettings(4800),
    LineSettings(38400),
    LineSettings(57600),
    LineSettings(2400, "E"),
    LineSettings(9600, "E"),
)
"""Speeds at which a line that speaks is listened to, the likely first."""
MOST = 8192
ENOUGH = 512
"""Bytes after which listening at one speed has heard enough."""
QUIET_S = 0.1
"""How long a line must be silent before each question."""
TEST_ADDRESS = 254
"""Every meter answers to it (EN 13757-2): of use where there is one."""


@dataclass(slots=True)
class Heard:
    """What was heard on a port. ``settings`` are those at which ``guess`` was understood."""

    settings: LineSettings
    data: bytes = b""
    guess: Guess | None = None
    tried: list[LineSettings] = field(default_factory=list)


async def listen_port(device: str, seconds: float, settings: Sequence[LineSettings] = LISTENED) -> Heard:
    """Listen for ``seconds``; when anything is heard, at other speeds as well, until it is understood.

    Nothing is sent. Raises `NotConnected`.
    """
    heard = Heard(settings[0])
    for one in settings:
        data = await _listen(device, one, seconds)
        heard.tried.append(one)
        heard.data = heard.data or data
        if not heard.data:
            break
        if (guess := recognise(data)) is not None:
            return Heard(one, data, guess, heard.tried)
    return heard


async def _listen(device: str, settings: LineSettings, seconds: float) -> bytes:
    line = SerialLine(device, settings)
    heard = bytearray()
    enough = asyncio.Event()

    class Everything:
        """Takes every piece as it comes."""

        pending = b""

        def clear(self) -> None:
            """Nothing is kept here."""

        def feed(self, data: bytes) -> list[bytes]:
            return [data]

    def take(data: bytes) -> None:
        heard.extend(data[: MOST - len(heard)])
        if len(heard) >= ENOUGH:
            enough.set()

    line.listen(Everything(), take)
    await line.open(0)
    try:
        async with asyncio.timeout(seconds):
            await enough.wait()
    except TimeoutError:
        pass
    finally:
        line.close()
    return bytes(heard)


@dataclass(frozen=True, slots=True)
class Question:
    """One harmless question at one speed."""

    protocol: str
    settings: LineSettings
    command: bytes


def questions() -> list[Question]:
    """What a silent line is asked, the likely first."""
    plain = [LineSettings(baud) for baud in (9600, 19200, 115200, 38400, 4800, 2400)]
    even = [LineSettings(baud, "E") for baud in (19200, 9600)]
    found = [
        Question("atlas", LineSettings(9600), b"i\r"),
        Question("mt-sics", LineSettings(9600), b"I4\r\n"),
        Question("mbus", LineSettings(2400, "E"), reset_link(TEST_ADDRESS)),
    ]
    found += [Question("modbus", settings, _one_register(1, 3)) for settings in (*plain[:2], *even)]
    found += [Question("mt-sics", settings, b"I4\r\n") for settings in plain[1:]]
    found += [Question("atlas", settings, b"i\r") for settings in plain[2:5]]
    found += [Question("modbus", settings, _one_register(1, 4)) for settings in (plain[0], even[0])]
    return found


def _one_register(unit: int, function: int) -> bytes:
    body = bytes((unit, function, 0, 0, 0, 1))
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


async def ask_port(
    device: str, asked: Sequence[Question], timeout_s: float
) -> AsyncIterator[tuple[Question, Guess | None]]:
    """Ask one question after another; each comes back with what answered it.

    Before each one the line is listened to for a moment: when somebody speaks, it ends with a question whose guess
    has the protocol ``busy``.
    """
    for question in asked:
        line = SerialLine(device, question.settings, limit_s=timeout_s)
        line.listen(LineFramer(b"\x00", longest=1), lambda _: None)
        await line.open(0)
        try:
            await asyncio.sleep(QUIET_S)
            if line.stats.bytes_received:
                yield question, Guess("busy", details="somebody speaks on this line")
                return
            guess = await _ask(line, question, timeout_s)
        finally:
            line.close()
        yield question, guess


async def _ask(line: SerialLine, question: Question, timeout_s: float) -> Guess | None:
    try:
        if question.protocol == "mbus":
            return await _meter(line, question, timeout_s)
        framer = LineFramer(b"\r" if question.protocol == "atlas" else b"\r\n")
        if question.protocol == "modbus":
            return await line.ask(0, question.command, _Pieces(question.command), _is_modbus, timeout_s)
        judge = _is_atlas if question.protocol == "atlas" else _is_scale
        return await line.ask(0, question.command, framer, judge, timeout_s)
    except BusError:
        return None


async def _meter(line: SerialLine, question: Question, timeout_s: float) -> Guess | None:
    acknowledged = MbusFramer()
    await line.ask(0, question.command, acknowledged, lambda frame: frame == ACK or None, timeout_s)

    def telegram(frame: bytes) -> Guess | None:
        return recognise(frame) if len(frame) > 5 else None

    return await line.ask(0, request_data(TEST_ADDRESS, toggle=True), MbusFramer(), telegram, timeout_s)


class _Pieces:
    """All that came since the question, without its echo: the checksum decides where the answer is."""

    def __init__(self, echo: bytes) -> None:
        self._echo = echo
        self.pending = b""

    def clear(self) -> None:
        self.pending = b""

    def feed(self, data: bytes) -> list[bytes]:
        self.pending = (self.pending + data)[:MOST]
        return [self.pending.removeprefix(self._echo)]


def _is_modbus(data: bytes) -> Guess | None:
    frames = [frame for frame in modbus_frames(data) if frame[0] == 1 and frame[1] & 0x7F in {3, 4}]
    if not frames:
        return None
    what = "an exception" if frames[0][1] & 0x80 else "a register"
    return Guess("modbus", "", f"unit 1 answers with {what}", (1,))


ATLAS = {b"pH": "ph", b"EC": "ec", b"DO": "do", b"D.O.": "do", b"RTD": "rtd", b"ORP": "orp"}


def _is_atlas(frame: bytes) -> Guess | None:
    kind, _, firmware = frame.strip(b"\n").removeprefix(b"?I,").partition(b",")
    if not frame.strip(b"\n").startswith(b"?I,") or kind not in ATLAS:
        return None
    return Guess("atlas", f"atlas-ezo-{ATLAS[kind]}", f"firmware {firmware.decode('ascii', 'replace')}")


def _is_scale(frame: bytes) -> Guess | None:
    if not frame.startswith(b'I4 A "') or not frame.endswith(b'"'):
        return None
    return Guess("mt-sics", "mt-sics", f"serial number {frame[6:-1].decode('ascii', 'replace')}")
