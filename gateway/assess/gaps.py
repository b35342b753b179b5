"""Gaps: stretches of schedule without a good value, opened and closed as events.

Each missed slot stands in the scan stream anyway. The event is for people: it comes when a device has been silent
long enough to matter, and once more when it is back, with the causes counted.
"""

from dataclasses import dataclass, field
from typing import Any

from gateway.model import Event, Quality

__all__ = ["GapTracker"]

SLOTS_TO_OPEN = 3
"""Missed slots in a row that open a gap: one lost answer is no event."""
SHORTEST_MS = 3000
LONGEST_MS = 60_000
"""A gap is opened after so long at the earliest and at the latest, however short or long the period."""


@dataclass(slots=True)
class _Run:
    first: int = 0
    count: int = 0
    opened: bool = False
    causes: dict[int, int] = field(default_factory=dict)
    boot: str = ""
    """Boot id (hexadecimal) where the gap began in an earlier boot: ``first`` is a slot of that one."""


class GapTracker:
    """Follows the slots of one device. ``period_ms`` is its poll period."""

    def __init__(self, device: str, period_ms: int) -> None:
        self._device = device
        slots = max(SLOTS_TO_OPEN, SHORTEST_MS // period_ms)
        self._needed = max(1, min(slots, LONGEST_MS // period_ms))
        self._run = _Run()

    @property
    def open_since(self) -> int | None:
        """First slot of the open gap, None when there is none."""
        return self._run.first if self._run.opened else None

    @property
    def cause(self) -> Quality | None:
        """The most frequent cause of the open gap."""
        if not self._run.opened:
            return None
        return Quality(max(self._run.causes, key=lambda cause: self._run.causes[cause]))

    def save(self, boot: str) -> list[Any] | None:
        """The open gap for a restart, None when there is none; ``boot`` is the present one."""
        run = self._run
        return [run.boot or boot, run.first, run.count, sorted(run.causes.items())] if run.opened else None

    def load(self, saved: list[Any], boot: str) -> None:
        """Go on with a gap that an earlier process had opened; raises ValueError or TypeError for anything else."""
        of_boot, first, count, causes = saved
        counted = {int(Quality(cause)): int(times) for cause, times in causes}
        if not counted:
            raise ValueError("a gap without a cause")
        self._run = _Run(int(first), int(count), True, counted, "" if of_boot == boot else str(of_boot))

    def missed(self, slot: int, count: int, cause: int, at_ms: int) -> Event | None:
        """``count`` slots from ``slot`` on brought no value; returns the event when that opens a gap."""
        run = self._run
        if run.count == 0:
            run.first = slot
        run.count += count
        run.causes[cause] = run.causes.get(cause, 0) + count
        if run.opened or run.count < self._needed:
            return None
        run.opened = True
        words = Quality(cause).words
        return Event(
            "gap.opened",
            at_ms,
            {"device": self._device, "slot": run.first, "cause": cause, "words": words},
        )

    def answered(self, at_ms: int, why: str = "") -> Event | None:
        """A value came, or nobody waits any more (``why``); returns the event when that closes a gap."""
        run = self._run
        if run.count == 0:
            return None
        self._run = _Run()
        if not run.opened:
            return None
        causes = {str(cause): count for cause, count in sorted(run.causes.items())}
        data = {"device": self._device, "slot": run.first, "count": run.count, "causes": causes}
        if run.boot:
            data["boot"] = bytes.fromhex(run.boot)
        if why:
            data["words"] = why
        return Event("gap.closed", at_ms, data)
