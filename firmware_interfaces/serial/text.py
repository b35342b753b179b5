"""Lines of text in, readings or named faults out. Nothing is kept from one line to the next."""

import re
from array import array
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from math import nan
from typing import NamedTuple

from firmware_interfaces.quality import BAD, Quality
from firmware_interfaces.serial.nouns import IGNORED, Poll, TextChannel, TextModel

__all__ = ["Said", "TextReading", "Understood", "read_channels", "value_of"]

NUMBER = re.compile(r"([+-]?) *(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
"""A number as instruments write it: padded, with blanks between sign and digits."""


class Said(NamedTuple):
    """What a line was: the groups of an answer, or a fault that the instrument names."""

    groups: Mapping[str, str | None] | None
    fault: Quality
    raw: bytes


class TextReading(NamedTuple):
    """One poll, see `firmware_interfaces.asked.Reading`; ``lines`` as they came."""

    values: "array[float]"
    quality: bytes
    lines: tuple[bytes, ...]
    slowest_s: float = 0.0
    silent: bool = False

    def raw(self) -> bytes:
        """The lines, each with a line feed."""
        return b"".join(line + b"\n" for line in self.lines)


class Understood:
    """What one unit of a model says (None: any): decides over each line what it is."""

    def __init__(self, model: TextModel, unit: int | None = None) -> None:
        self.model = model
        addressed = unit is not None and model.line.address
        self._address = model.line.address.format(unit=unit) if addressed else None

    def of_poll(self, poll: Poll, frame: bytes) -> Said | None:
        """The answer to a poll, or a fault; None for a line that is neither."""
        return self._said(poll.pattern, frame)

    def of_fact(self, pattern: re.Pattern[str], frame: bytes) -> Said | None:
        """The same for a question about the instrument."""
        return self._said(pattern, frame)

    def _said(self, pattern: re.Pattern[str], frame: bytes) -> Said | None:
        try:
            text = frame.decode(self.model.line.encoding).strip("\r\n")
        except UnicodeDecodeError:
            return None
        if (match := pattern.fullmatch(text)) is not None:
            groups = match.groupdict()
            # On a line with several, an answer counts only for the one that was asked.
            if self._address is not None and groups.get("address", self._address) != self._address:
                return None
            return Said(groups, Quality.GOOD, frame)
        for reply in self.model.replies:
            if reply.pattern.fullmatch(text):
                return None if reply.means is IGNORED else Said(None, reply.means, frame)
        return None

    def ignorable(self, frame: bytes) -> bool:
        """Whether a line that is no answer is one that the model knows to mean nothing."""
        try:
            text = frame.decode(self.model.line.encoding).strip("\r\n")
        except UnicodeDecodeError:
            return False
        return any(reply.means is IGNORED and reply.pattern.fullmatch(text) for reply in self.model.replies)


def read_channels(channels: Sequence[TextChannel], said: Sequence[Said | Quality]) -> "tuple[array[float], bytes]":
    """A double and a `Quality` byte per channel. ``said`` is what each poll brought, or why it brought nothing."""
    values = array("d")
    marks = bytearray()
    for channel in channels:
        value, quality = nan, Quality.NOT_SUPPORTED
        for one in said:
            if isinstance(one, Quality):
                quality = one
            elif one.groups is None:
                quality = one.fault
            elif one.groups.get(channel.group) is not None:
                value, quality = value_of(channel, one.groups)
                break
        values.append(value)
        marks.append(quality)
    return values, bytes(marks)


def value_of(channel: TextChannel, groups: Mapping[str, str | None]) -> tuple[float, Quality]:
    """Value and quality of a channel from the groups of an answer; NaN exactly where the quality is bad."""
    text = (groups.get(channel.group) or "").strip()
    if (fault := channel.invalid.get(text)) is not None:
        return nan, fault
    number = channel.values.get(text) if channel.values is not None else _number(text)
    if number is None:
        return nan, Quality.BAD_FRAME
    if any(_same(number, invalid) for invalid in channel.invalid):
        return nan, next(fault for invalid, fault in channel.invalid.items() if _same(number, invalid))
    scale = channel.scale
    if channel.units is not None:
        unit = channel.units.get((groups.get(channel.unit_group) or "").strip())
        if unit is None:
            return nan, Quality.NOT_SUPPORTED
        scale *= unit
    quality = Quality.GOOD
    for mark in channel.marks:
        quality = max(quality, mark.meaning.get((groups.get(mark.group) or "").strip(), mark.otherwise))
    if quality >= BAD:
        return nan, quality
    exact = number * scale + channel.offset
    value = float(exact if channel.decimals is None else round(exact, channel.decimals)) + 0.0
    if (channel.low is not None and value < channel.low) or (channel.high is not None and value > channel.high):
        return nan, Quality.OUT_OF_RANGE
    return value, quality


def _number(text: str) -> Decimal | None:
    match = NUMBER.fullmatch(text)
    if match is None or len(text) > 40:
        return None
    return Decimal(f"{match[1]}{match[2]}e{match[3] or 0}")


def _same(number: Decimal, written: str) -> bool:
    """Whether a text that means "no value" is this number, however many zeros it was sent with."""
    try:
        return number == Decimal(written)
    except InvalidOperation:
        return False
