"""What is spoken on a line, from bytes that were heard there. Only what a checksum or a whole line proves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pymodbus.framer import FramerRTU

from firmware_interfaces.serial.framing import LineFramer
from firmware_interfaces.serial.mbus import MbusFramer, parse_long
from firmware_interfaces.serial.mbus_records import VARIABLE, parse_telegram
from firmware_interfaces.serial.nmea import parse, sentence_framer

__all__ = ["Guess", "modbus_frames", "recognise"]

SHORTEST, LONGEST = 5, 256
REQUEST, EXCEPTION = 8, 5
READS, WRITES = frozenset({1, 2, 3, 4}), frozenset({5, 6, 15, 16})
PROOF = 2
"""Frames with a right CRC that make it Modbus: one in 65 536 pieces of noise has one."""
WEIGHT = re.compile(rb"S [SD] +-? *[0-9.]+ +[A-Za-z]+\r?")
SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Guess:
    """One language that was heard. ``model`` is what reads it, empty where it is not known or not ours to read;
    ``details`` are for people.
    """

    protocol: str
    model: str = ""
    details: str = ""
    units: tuple[int, ...] = field(default=())


def recognise(data: bytes) -> Guess | None:
    """The language of what was heard; None where nothing proves one."""
    if not data:
        return None
    sentences = [sentence for frame in sentence_framer().feed(data) if (sentence := parse(frame)) is not None]
    if sentences:
        kinds = ", ".join(sorted({sentence.talker + sentence.kind for sentence in sentences}))
        return Guess("nmea", "nmea-gps", kinds)
    lines = LineFramer(b"\n").feed(data)
    if any(WEIGHT.fullmatch(line) for line in lines):
        return Guess("mt-sics", "mt-sics-stream", _shown(lines))
    if (meters := _meters(data)) is not None:
        return meters
    frames = modbus_frames(data)
    if len(frames) >= PROOF:
        units = tuple(sorted({frame[0] for frame in frames}))
        return Guess("modbus", "", f"{len(frames)} frames with a right checksum", units)
    return _text(data)


def modbus_frames(data: bytes) -> list[bytes]:
    """RTU frames with a right CRC, requests and answers, wherever they begin in ``data``."""
    found = []
    at = 0
    while at + SHORTEST <= len(data):
        length = next((length for length in _lengths(data, at) if _sound(data[at : at + length], length)), 0)
        if length:
            found.append(data[at : at + length])
        at += length or 1
    return found


def _lengths(data: bytes, at: int) -> Sequence[int]:
    function = data[at + 1]
    if function & 0x80:
        return (EXCEPTION,)
    if function in READS:
        return (REQUEST, EXCEPTION + data[at + 2])
    if function in WRITES:
        return (REQUEST, 9 + data[at + 6]) if at + 6 < len(data) and function > 6 else (REQUEST,)
    return ()


def _sound(frame: bytes, length: int) -> bool:
    return (
        SHORTEST <= length <= LONGEST
        and len(frame) == length
        and frame[0] <= 247
        and FramerRTU.compute_CRC(frame[:-2]) == frame[-2] << 8 | frame[-1]
    )


def _meters(data: bytes) -> Guess | None:
    for frame in MbusFramer().feed(data):
        answer = parse_long(frame)
        if answer is None:
            continue
        telegram = parse_telegram(answer.data) if answer.is_answer and answer.information == VARIABLE else None
        if telegram is None:
            return Guess("mbus", "", "a long frame")
        header = telegram.header
        model = "mbus-water" if header.medium in {6, 7, 0x15, 0x16} else "mbus-heat"
        details = f"{header.maker} {header.serial}, {header.medium_words}"
        return Guess("mbus", model, details, (answer.address,))
    return None


def _text(data: bytes) -> Guess | None:
    """Lines of text: a scanner, a printer's output, an instrument that is not known."""
    whole = data[data.find(b"\n") + 1 :] if b"\n" in data[:-1] else data
    text = whole.replace(b"\r", b"").replace(b"\n", b"")
    ends = data.count(b"\r") + data.count(b"\n")
    if ends and len(text) >= 2 and text.isascii() and text.decode("ascii").isprintable():
        return Guess("text", "", _shown(re.split(rb"[\r\n]+", whole)))
    return None


def _shown(lines: Sequence[bytes]) -> str:
    samples = [line.decode("ascii", "replace").strip() for line in lines if line.strip()]
    return " | ".join(dict.fromkeys(samples[-SAMPLES:]))[:120]
