"""The recovery ladder of a Bluetooth adapter that has gone silent: what to try next, and when.

Adapters hang without an error: the scanner runs and nothing is heard. What brings them back is tried from the
cheapest to the dearest: the scanner is started anew, then the adapter loses power for a moment, then it is reset.
A room without any sender is as silent as a dead adapter; so the whole ladder is climbed again and again, with
pauses that grow, until something is heard.

Pure: the clock is a number that the caller passes (seconds, monotonic).
"""

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["LONGEST_PAUSE_S", "SILENCE_S", "Ladder", "Step"]

SILENCE_S = 90.0
"""Silence that is taken for a hang. Half of what BlueZ takes to forget a device (180 s), so that a hang is noticed
and mended before its memory is gone."""

LONGEST_PAUSE_S = 900.0


class Step(Enum):
    """One rung."""

    RESTART = "scanner-restart"
    POWER_CYCLE = "adapter-power-cycle"
    RESET = "adapter-reset"


RUNGS = (Step.RESTART, Step.POWER_CYCLE, Step.RESET)


@dataclass(slots=True)
class Ladder:
    """Where an adapter stands. Begins idle; `started` sets it going."""

    silence_s: float = SILENCE_S
    longest_s: float = LONGEST_PAUSE_S
    taken: dict[Step, int] = field(default_factory=lambda: dict.fromkeys(Step, 0))
    """How often each step has been taken."""
    _rung: int = 0
    _climbs: int = 0
    _quiet_since: float | None = None

    @property
    def rung(self) -> int:
        """0 while the adapter is heard; else how many steps have been taken in this silence's present climb."""
        return self._rung

    @property
    def patience_s(self) -> float:
        """How long silence may last before the next step: doubled by each climb that brought nothing."""
        pause: float = min(self.silence_s * 2.0 ** min(self._climbs, 16), max(self.longest_s, self.silence_s))
        return pause

    def started(self, now: float) -> None:
        """Scanning began at ``now``: from here on silence counts."""
        if self._quiet_since is None:
            self._quiet_since = now

    def stopped(self) -> None:
        """Scanning cannot go on for a known reason (no adapter, no bluetoothd): no silence to be mended."""
        self._quiet_since = None
        self._rung = 0
        self._climbs = 0

    def heard(self, now: float) -> None:
        """An advertisement came, from whomever."""
        self._quiet_since = now
        self._rung = 0
        self._climbs = 0

    def due_at(self) -> float | None:
        """When the next step is due if nothing is heard until then; None while idle."""
        return None if self._quiet_since is None else self._quiet_since + self.patience_s

    def next(self, now: float) -> Step | None:
        """The step to take at ``now``, counted as taken; None where it is not time yet."""
        due = self.due_at()
        if due is None or now < due:
            return None
        step = RUNGS[self._rung]
        self._rung += 1
        if self._rung == len(RUNGS):
            self._rung = 0
            self._climbs += 1
        self._quiet_since = now
        self.taken[step] += 1
        return step
