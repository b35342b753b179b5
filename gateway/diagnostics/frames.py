"""Frames as they were on a Modbus line, taken apart for the eye: who asked whom for what, and what came back.

Modbus Application Protocol V1.1b3, sections 4 to 7; Modbus over Serial Line V1.02, section 2.5.1; MODBUS Messaging
on TCP/IP V1.0b, section 3.1.3.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pymodbus.framer import FramerRTU

from firmware_interfaces.errors import EXCEPTION_WORDS
from firmware_interfaces.modbus.decode import Decoder
from firmware_interfaces.modbus.link import Frame
from firmware_interfaces.modbus.model import Channel, Span
from firmware_interfaces.modbus.planner import Read
from firmware_interfaces.quality import Quality
from gateway.commissioning.trial import FUNCTIONS, block_words, value_text

__all__ = ["Told", "plain", "take_apart"]

NAMES = {5: "write one coil", 6: "write one register", 15: "write coils", 16: "write registers"}
MBAP = 7
SHORTEST_RTU = 4


@dataclass(slots=True)
class Told:
    """One frame in words; ``unit`` None where it holds none, ``channels`` what an answer means by the model."""

    frame: Frame
    unit: int | None
    words: str
    wrong: bool = False
    channels: Sequence[str] = ()

    def data(self, now: float) -> dict[str, Any]:
        """As plain data; ``age_ms`` before ``now``, a loop time in seconds."""
        return {
            "sent": self.frame.sent,
            "age_ms": round((now - self.frame.at) * 1000, 1),
            "hex": self.frame.data.hex(" "),
            "unit": self.unit,
            "words": self.words,
            "wrong": self.wrong,
            "channels": list(self.channels),
        }


def take_apart(kind: str, frames: Iterable[Frame], channels: "dict[int, list[Channel]]") -> list[Told]:
    """Every frame of a link of a ``kind`` in words, oldest first; ``channels`` are those of the models by unit.

    What came in several pieces is put together where it follows one request.
    """
    told: list[Told] = []
    asked: bytes | None = None
    for frame in _joined(frames):
        unit, pdu, fault = _opened(kind, frame.data)
        if frame.sent:
            asked = frame.data if not fault else None
            told.append(Told(frame, unit, fault or _request(pdu), bool(fault)))
            continue
        if fault:
            told.append(Told(frame, unit, fault, wrong=True))
            continue
        request = b"" if asked is None else _opened(kind, asked)[1]
        mine = asked is not None and _opened(kind, asked)[0] == unit
        words, wrong = _answer(pdu, request if mine else b"")
        values = _values(pdu, request, channels.get(unit or 0, [])) if mine and not wrong else []
        told.append(Told(frame, unit, words, wrong, values))
    return told


def plain(frame: Frame) -> Told:
    """A frame of a line on which something else than Modbus is spoken: its letters, as far as it has some."""
    letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in frame.data)
    return Told(frame, None, letters or "nothing")


def _joined(frames: Iterable[Frame]) -> Iterable[Frame]:
    """Pieces of one answer as one frame; the time is that of its first piece."""
    pieces: Frame | None = None
    for frame in frames:
        if frame.sent:
            if pieces is not None:
                yield pieces
            pieces = None
            yield frame
        else:
            pieces = frame if pieces is None else pieces._replace(data=pieces.data + frame.data)
    if pieces is not None:
        yield pieces


def _opened(kind: str, data: bytes) -> tuple[int | None, bytes, str]:
    """Unit and PDU of a frame, or in words why it is none."""
    if kind == "tcp":
        if len(data) <= MBAP:
            return None, b"", f"{len(data)} bytes: shorter than any frame"
        if data[2:4] != b"\0\0":
            return None, b"", "not Modbus TCP: the protocol number is not 0"
        length = int.from_bytes(data[4:6], "big")
        if length != len(data) - 6:
            return data[6], data[MBAP:], f"the header says {length} bytes, and {len(data) - 6} are there"
        return data[6], data[MBAP:], ""
    if len(data) < SHORTEST_RTU:
        return None, b"", f"{len(data)} bytes: shorter than any frame, noise"
    if FramerRTU.compute_CRC(data[:-2]) != int.from_bytes(data[-2:], "big"):
        return data[0], data[1:-2], "the checksum is wrong: damaged, or two answers at once"
    return data[0], data[1:-2], ""


def _request(pdu: bytes) -> str:
    if pdu[0] in FUNCTIONS and len(pdu) == 5:
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        return f"asks for {FUNCTIONS[pdu[0]]} {_span(address, count)}"
    return NAMES.get(pdu[0], f"function {pdu[0]}")


def _span(address: int, count: int) -> str:
    return str(address) if count == 1 else f"{address} to {address + count - 1}"


def _answer(pdu: bytes, request: bytes) -> tuple[str, bool]:
    """What an answer says, and whether it is none to its request."""
    function = pdu[0]
    if function & 0x80:
        code = pdu[1] if len(pdu) > 1 else 0
        return (
            f"refuses {_function(function & 0x7F)}: {EXCEPTION_WORDS.get(code, 'unknown exception')} ({code})",
            True,
        )
    if request and function != request[0]:
        return f"answers {_function(function)} where {_function(request[0])} was asked", True
    if function not in FUNCTIONS:
        return f"did: {NAMES.get(function, f'function {function}')}", False
    if len(pdu) < 2 or pdu[1] != len(pdu) - 2:
        return f"says {pdu[1] if len(pdu) > 1 else 0} bytes, and {max(0, len(pdu) - 2)} are there", True
    if function in {3, 4} and pdu[1] % 2:
        return "an odd number of bytes for registers", True
    return f"{FUNCTIONS[function]}s: {block_words(function, pdu[2:])}", False


def _function(number: int) -> str:
    return f"reading {FUNCTIONS[number]}s" if number in FUNCTIONS else NAMES.get(number, f"function {number}")


def _values(pdu: bytes, request: bytes, channels: Sequence[Channel]) -> list[str]:
    """The channels that lie whole within what was read, with their values."""
    if len(request) != 5 or pdu[0] not in FUNCTIONS:
        return []
    read = Read(pdu[0], int.from_bytes(request[1:3], "big"), int.from_bytes(request[3:5], "big"))
    block = pdu[2:]
    expected = (read.count + 7) // 8 if read.function in {1, 2} else 2 * read.count
    mine = [one for one in channels if all(_within(span, read) for span in one.spans)]
    if len(block) != expected or not mine:
        return []
    values, quality = Decoder(mine, [read]).decode([block], [Quality.GOOD])
    return [
        f"{one.key} = {value_text(None if math.isnan(value) else value, one.decimals)} {one.unit}".rstrip()
        + ("" if mark == Quality.GOOD else f" ({Quality(mark).words})")
        for one, value, mark in zip(mine, values, quality, strict=True)
    ]


def _within(span: Span, read: Read) -> bool:
    return span.function == read.function and read.address <= span.address and span.end <= read.address + read.count
