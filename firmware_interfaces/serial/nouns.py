"""What a model of a serial instrument says, as checked and frozen nouns."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.port import LineSettings

__all__ = ["Fact", "LineFacts", "Marks", "Poll", "Reply", "TextChannel", "TextModel", "TextTest"]

IGNORED = Quality.GOOD
"""Meaning of a reply that is no answer and no fault either: an acknowledgement, a word of welcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFacts:
    """How the instrument talks. ``command_end`` is sent after each command, ``reply_end`` ends each of its lines,
    ``reply_start`` begins them where it is not empty. ``address`` is how it writes a unit id, with {unit}.
    """

    settings: LineSettings
    command_end: str
    reply_end: str
    reply_start: str = ""
    encoding: str = "ascii"
    address: str = ""
    timeout_ms: int | None = None
    min_gap_ms: int = 0
    listen: bool = False
    """Whether it speaks unasked; ``start`` is then the command that makes it do so, empty where it always does."""
    start: str = ""


@dataclass(frozen=True, slots=True)
class Poll:
    """One command and what its answer looks like: named groups are the texts of channels."""

    command: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Reply:
    """A line that is not the answer to a command, and what it means: a fault, or nothing (`IGNORED`)."""

    pattern: re.Pattern[str]
    means: Quality


@dataclass(frozen=True, slots=True)
class Marks:
    """What a group of the answer says of the value: quality by its text, ``otherwise`` for any other text."""

    group: str
    meaning: Mapping[str, Quality]
    otherwise: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChannel:
    """One quantity: the text of ``group`` times a scale, in ``unit``.

    ``units`` has the scale by the text of ``unit_group`` (a balance that can be switched from g to kg), ``values``
    numbers for words, ``invalid`` texts that mean "no value".
    """

    key: str
    title: str
    group: str
    unit: str = ""
    decimals: int | None = None
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    unit_group: str = ""
    units: Mapping[str, Decimal] | None = None
    values: Mapping[str, Decimal] | None = None
    invalid: Mapping[str, Quality]
    marks: tuple[Marks, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """A command whose answer says who the instrument is (``expect`` None) or how it is set up; the groups of its
    pattern are the names on record. ``expect`` are the texts that the model needs.
    """

    command: str
    pattern: re.Pattern[str]
    expect: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TextTest:
    """Lines as the instrument sends them, and what channels must become: a number, a quality, or both."""

    __test__ = False

    title: str
    replies: tuple[str, ...]
    expect: Mapping[str, tuple[float | None, Quality]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModel:
    """How one make of instrument with lines of text is spoken to."""

    id: str
    title: str
    maker: str
    source: str
    sha256: str
    line: LineFacts
    polls: tuple[Poll, ...]
    replies: tuple[Reply, ...]
    channels: Mapping[str, TextChannel]
    identity: tuple[Fact, ...] = ()
    audit: tuple[Fact, ...] = ()
    tests: tuple[TextTest, ...] = ()

    @property
    def listens(self) -> bool:
        """Whether it is heard, not asked."""
        return self.line.listen
