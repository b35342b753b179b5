"""NMEA 0183 sentences of a GNSS receiver: position, motion, and the time with its validity.

Every sentence stands on its own: nothing is kept from one to the next. A sentence without a right checksum is
none. Sources: NMEA 0183 as published by receiver makers (u-blox 8 / M8 Receiver Description, section 31; RMC, GGA,
ZDA).
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import reduce
from math import nan
from operator import xor
from typing import NamedTuple

from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.framing import LineFramer

__all__ = ["CHANNELS", "NmeaChannel", "Sentence", "checksum", "parse", "position", "sentence_framer", "utc"]

LONGEST = 250
"""Bytes; the standard says 82, and receivers of today exceed it."""
KMH_PER_KNOT = 1.852
BODY = re.compile(rb"([A-Z]{2})([A-Z]{3})((?:,[^,*$]*)*)\*([0-9A-Fa-f]{2})\r?")
NUMBER = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
ANGLE = re.compile(r"(\d{1,3})(\d{2}(?:\.\d*)?)", re.ASCII)
TIME = re.compile(r"(\d{2})(\d{2})(\d{2})(?:\.(\d{1,9}))?", re.ASCII)
DATE = re.compile(r"(\d{2})(\d{2})(\d{2})", re.ASCII)
BELIEVED = frozenset("ADFRP")
"""Modes of a fix that is measured: autonomous, differential, RTK, precise."""
ESTIMATED = "E"
QUALITY = {"1": Quality.GOOD, "2": Quality.GOOD, "3": Quality.GOOD, "4": Quality.GOOD, "5": Quality.GOOD} | {
    "6": Quality.DEVICE_UNCERTAIN
}
"""Of a GGA fix: measured; 6 dead reckoning. All others (none, by hand, simulated) are no position."""
FIRST_YEAR = 2025
"""A date before is that of a receiver whose week number has rolled over."""


class NmeaChannel(NamedTuple):
    """One quantity; ``decimals`` are the places it is recorded with."""

    key: str
    unit: str
    decimals: int


CHANNELS: Mapping[str, NmeaChannel] = {
    channel.key: channel
    for channel in (
        NmeaChannel("latitude", "deg", 7),
        NmeaChannel("longitude", "deg", 7),
        NmeaChannel("speed", "km/h", 3),
        NmeaChannel("course", "deg", 2),
        NmeaChannel("altitude", "m", 2),
        NmeaChannel("satellites", "", 0),
        NmeaChannel("hdop", "", 2),
    )
}


class Sentence(NamedTuple):
    """One sentence with a right checksum: who talks, what it is, its fields."""

    talker: str
    kind: str
    fields: tuple[str, ...]

    def field(self, number: int) -> str:
        """A field from 1; empty where the sentence is shorter."""
        return self.fields[number - 1] if number <= len(self.fields) else ""


def sentence_framer() -> LineFramer:
    """Cuts a stream into sentences, each from behind its $."""
    return LineFramer(b"\n", b"$", LONGEST)


def checksum(body: bytes) -> int:
    """Exclusive or of all bytes between $ and *."""
    return reduce(xor, body, 0)


def parse(frame: bytes) -> Sentence | None:
    """A sentence from its bytes without $; None where anything about it is wrong."""
    match = BODY.fullmatch(frame)
    if match is None or checksum(frame[: match.start(4) - 1]) != int(match[4], 16):
        return None
    try:
        fields = match[3].decode("ascii").split(",")[1:]
    except UnicodeDecodeError:
        return None
    return Sentence(match[1].decode(), match[2].decode(), tuple(fields))


def position(sentence: Sentence) -> dict[str, tuple[float, int]] | None:
    """Value and quality by channel of what a sentence says; None for one that says nothing of them."""
    reader = READERS.get(sentence.kind)
    return None if reader is None else reader(sentence)


def utc(sentence: Sentence) -> datetime | None:
    """The time of a fix that the receiver vouches for; None from any other sentence."""
    if sentence.kind != "RMC" or _rmc_quality(sentence) != Quality.GOOD:
        return None
    time, date = TIME.fullmatch(sentence.field(1)), DATE.fullmatch(sentence.field(9))
    if time is None or date is None or 2000 + int(date[3]) < FIRST_YEAR:
        return None
    micros = int((time[4] or "0").ljust(6, "0")[:6])
    try:
        return datetime(
            2000 + int(date[3]), int(date[2]), int(date[1]), int(time[1]), int(time[2]), int(time[3]), micros, UTC
        )
    except ValueError:  # a leap second's 60 is left out as well: it comes once in years
        return None


def _rmc_quality(sentence: Sentence) -> Quality:
    mode = sentence.field(12)
    if sentence.field(2) != "A":
        return Quality.SENSOR_FAULT
    if mode == ESTIMATED:
        return Quality.DEVICE_UNCERTAIN
    return Quality.GOOD if not mode or mode in BELIEVED else Quality.SENSOR_FAULT


def _rmc(sentence: Sentence) -> dict[str, tuple[float, int]]:
    quality = _rmc_quality(sentence)
    found = _place(sentence.fields[2:6], quality)
    found["speed"] = _number(sentence.field(7), quality, KMH_PER_KNOT, 3)
    # A receiver that stands still leaves the course out: there is none then, and that is no fault.
    if sentence.field(8) or quality == Quality.SENSOR_FAULT:
        found["course"] = _number(sentence.field(8), quality, 1.0, 2)
    return found


def _gga(sentence: Sentence) -> dict[str, tuple[float, int]]:
    quality = QUALITY.get(sentence.field(6), Quality.SENSOR_FAULT)
    found = _place(sentence.fields[1:5], quality)
    metres = quality if sentence.field(10) == "M" else Quality.SENSOR_FAULT
    found["altitude"] = _number(sentence.field(9).removeprefix("-"), metres, _sign(sentence.field(9)), 2)
    found["satellites"] = _number(sentence.field(7), Quality.GOOD, 1.0, 0)
    found["hdop"] = _number(sentence.field(8), quality, 1.0, 2)
    return found


READERS: Mapping[str, Callable[[Sentence], dict[str, tuple[float, int]]]] = {"RMC": _rmc, "GGA": _gga}


def _place(fields: tuple[str, ...], quality: Quality) -> dict[str, tuple[float, int]]:
    """Latitude and longitude from ddmm.mmm, N or S, dddmm.mmm, E or W; both or none."""
    if quality != Quality.SENSOR_FAULT and len(fields) == 4:
        latitude = _angle(fields[0], fields[1], "NS", 90)
        longitude = _angle(fields[2], fields[3], "EW", 180)
        if latitude is not None and longitude is not None:
            return {"latitude": (latitude, quality), "longitude": (longitude, quality)}
        quality = Quality.BAD_FRAME
    return {"latitude": (nan, quality), "longitude": (nan, quality)}


def _angle(text: str, side: str, sides: str, largest: int) -> float | None:
    match = ANGLE.fullmatch(text)
    if match is None or side not in sides or not side or float(match[2]) >= 60:
        return None
    degrees = int(match[1]) + float(match[2]) / 60
    return None if degrees > largest else round(-degrees if side == sides[1] else degrees, 7)


def _sign(text: str) -> float:
    return -1.0 if text.startswith("-") else 1.0


def _number(text: str, quality: Quality, scale: float, decimals: int) -> tuple[float, int]:
    if quality == Quality.SENSOR_FAULT:
        return nan, quality
    if not NUMBER.fullmatch(text):
        return nan, Quality.BAD_FRAME
    return round(float(text) * scale, decimals) + 0.0, quality
