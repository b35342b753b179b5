"""The samples of one channel out of the scan stream: every scheduled slot once, as a value or as a reason for none.

A slot belongs to the period in which it was due. What was recorded by no one (machine off, batches not here) is
found between the slots that were: within one boot by their numbers, which are exact, between boots by the time.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.language import N_
from gateway.model import Quality
from gateway.report.period import Period

__all__ = ["ABSENT", "OFF", "UNTIMED", "Gap", "Happening", "Samples", "Unplaced", "cause_words"]

OFF = "machine-off"
"""Cause of slots between two boots: no clock ran that could have counted them."""
ABSENT = "no-record"
"""Cause of slots that are neither a value nor a recorded miss: their batches are not here."""
UNTIMED = "time-not-known"
"""Cause of slots for which there may be values, in a boot whose time is not known."""


class Happening(NamedTuple):
    """One event of the record; ``utc_ms`` is None where its time is not known, ``batch`` the event batch."""

    utc_ms: int | None
    boot: bytes
    boot_ms: int
    kind: str
    data: Mapping[str, Any]
    batch: int

    def utc_at(self, boot_ms: object) -> int | None:
        """Unix milliseconds of another instant of the same boot."""
        if self.utc_ms is None or isinstance(boot_ms, bool) or not isinstance(boot_ms, int):
            return None
        return self.utc_ms + boot_ms - self.boot_ms


class Place(NamedTuple):
    """A run of recorded slots: of which boot, from which slot, how many, how far apart, first due at (Unix ms)."""

    due_ms: int
    boot: bytes
    slot: int
    slots: int
    period_ms: int
    phase_ms: int
    cause: str
    """Empty for samples, the quality's name for a miss."""


class Gap(NamedTuple):
    """Slots in a row without a value: from the first one due to the next value (or the end of the period)."""

    start_ms: int
    end_ms: int
    slots: int
    causes: Mapping[str, int]
    """Slots by cause: the name of a quality in lower case, `OFF` or `ABSENT`."""

    @property
    def cause(self) -> str:
        """The most frequent one."""
        return max(self.causes, key=lambda cause: self.causes[cause])


class Unplaced(NamedTuple):
    """Samples of a boot whose time is not known, and between which known times they must lie."""

    boot: bytes
    samples: int
    missed: int
    after_ms: int | None
    before_ms: int | None


@dataclass(slots=True)
class Samples:
    """The slots of one channel that were due in a period. The arrays have one entry for each answered slot."""

    device: str
    channel: str
    period: Period
    unit: str = ""
    decimals: int | None = None
    due: "array[int]" = field(default_factory=lambda: array("q"))
    at: "array[int]" = field(default_factory=lambda: array("q"))
    """When the answer was complete."""
    values: "array[float]" = field(default_factory=lambda: array("d"))
    indicated: "array[float]" = field(default_factory=lambda: array("d"))
    """As the device gave it; empty where the channel has no correction."""
    quality: bytearray = field(default_factory=bytearray)
    weights: "array[int]" = field(default_factory=lambda: array("q"))
    """The poll period at that time, ms: what one sample stands for."""
    missed: dict[str, int] = field(default_factory=dict)
    """Slots without an answer, by cause."""
    holes: list[Place] = field(default_factory=list)
    """Runs of slots without an answer, recorded as such or by nobody."""
    gaps: list[Gap] = field(default_factory=list)
    unplaced: list[Unplaced] = field(default_factory=list)
    unsealed: int = 0
    """Answered slots that are in no signed batch yet."""
    scheduled_from_ms: int = 0
    """The period's start, or later when the device was set up within it."""
    batches: dict[int, bytes] = field(default_factory=dict)
    """Sequence to leaf hash of the scan batches that hold slots of the period."""
    clock: dict[str, int] = field(default_factory=dict)
    """Answered slots by state of the clock: trusted, holdover, corrected."""
    error_ms: int | None = None
    """Largest error of any time in it."""
    digest: str = ""
    grids: list[tuple[int, int]] = field(default_factory=list)
    """(period, phase) in milliseconds by which slots were due, in the order of use."""

    @property
    def scheduled(self) -> int:
        """All slots that were due."""
        return len(self.due) + sum(self.missed.values())


def clip(place: Place, start_ms: int, end_ms: int) -> Place | None:
    """The part of a run that was due in ``start_ms`` <= time < ``end_ms``."""
    skip = max(0, -((place.due_ms - start_ms) // place.period_ms))
    slots = min(place.slots, -((place.due_ms - end_ms) // place.period_ms)) - skip
    if slots <= 0:
        return None
    return place._replace(due_ms=place.due_ms + skip * place.period_ms, slot=place.slot + skip, slots=slots)


def cause_words(cause: str) -> str:
    """A cause as an English sentence, which is the msgid of its translations."""
    if cause == OFF:
        return N_("machine was off")
    if cause == ABSENT:
        return N_("no record here")
    if cause == UNTIMED:
        return N_("values of that time have no known time")
    return Quality[cause.upper()].words
