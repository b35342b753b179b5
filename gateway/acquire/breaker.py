"""Per-device breakers: a unit that does not answer must not cost the others of its bus their period.

A device that is silent is probed with one short request at growing intervals. All probes of a bus draw on one
budget: a probe that cost t seconds of bus time pays for itself by t / share seconds without probes, so that dead
units together never take more than that share of the bus, however many they are.
"""

from dataclasses import dataclass, replace

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 5.0
FLAPPING_S = 60.0
"""A device that falls silent again so soon pays for it from the bus's budget, and is left alone longer."""
BAD_FRAMES_IN_A_ROW = 3
"""Damaged answers before a device counts as silent: noise passes, a wrong baud rate does not."""


class ProbeBudget:
    """Bus time that may be spent on units that do not answer: at most ``share`` of the whole."""

    def __init__(self, share: float = 0.04) -> None:
        self.share = share
        self._free_at = 0.0
        self._waiting: dict[object, float] = {}
        """When each of the silent devices was last asked: the one that has waited longest is next."""

    def enter(self, who: object, now: float) -> None:
        """``who`` was asked at ``now`` and was silent."""
        self._waiting[who] = now

    def leave(self, who: object) -> None:
        """``who`` answers again."""
        self._waiting.pop(who, None)

    def allows(self, who: object, now: float) -> bool:
        """Whether ``who`` may be probed at ``now`` (seconds of the loop)."""
        return now >= self._free_at and self._waiting.get(who, 0.0) <= min(self._waiting.values(), default=0.0)

    def spend(self, now: float, cost_s: float) -> None:
        """Account for a probe that ended at ``now`` and held the bus for ``cost_s``."""
        self._free_at = now + cost_s / self.share


@dataclass(slots=True, eq=False)
class Breaker:
    """State of one device: closed (asked at every slot) or open (probed now and then)."""

    budget: ProbeBudget
    open: bool = False
    opened: int = 0
    _pause_s: float = FIRST_PAUSE_S
    _next_probe: float = 0.0
    _bad_frames: int = 0
    _opened_at: float = float("-inf")

    def may_ask(self, now: float) -> bool:
        """Whether the device may be asked at ``now``; while open, that is a probe."""
        return not self.open or (now >= self._next_probe and self.budget.allows(self, now))

    def silent(self, now: float, cost_s: float) -> None:
        """The device did not answer and held the bus for ``cost_s``."""
        if self.open or now - self._opened_at < FLAPPING_S:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self.budget.spend(now, cost_s)
        else:
            self._pause_s = FIRST_PAUSE_S
        if not self.open:
            self.open = True
            self.opened += 1
            self._opened_at = now
        self.budget.enter(self, now)
        self._next_probe = now + self._pause_s

    def damaged(self, now: float, cost_s: float) -> None:
        """The device answered with a damaged frame."""
        self._bad_frames += 1
        if self.open or self._bad_frames >= BAD_FRAMES_IN_A_ROW:
            self.silent(now, cost_s)

    def moved(self, budget: ProbeBudget) -> "Breaker":
        """The same state on a bus that was begun anew, whose budget this is."""
        breaker = replace(self, budget=budget)
        if breaker.open:
            budget.enter(breaker, self._next_probe - self._pause_s)
        return breaker

    def answered(self) -> None:
        """The device answered, if only with an exception."""
        if self.open:
            self.open = False
            self.budget.leave(self)
        self._bad_frames = 0


class Patience:
    """How long to wait for a device: from its own slowest answers, within the limit that the site sets.

    Three times the slowest answer seen (which is forgotten slowly), at least ``FLOOR_S``, at most the limit. An
    answer that came too late counts as well, so a device that has become slow is lost once, not for ever.
    """

    FLOOR_S = 0.25
    PROBE_FLOOR_S = 0.05
    MARGIN = 3.0
    FADE = 0.999

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.timeout_s = limit_s
        """Time limit for the next full poll."""
        self.probe_s = limit_s
        """Time limit for a probe: shorter, since a late answer to it is noticed all the same."""
        self._slowest: float | None = None

    def heard(self, took_s: float) -> None:
        """An answer came ``took_s`` after its request."""
        old = self._slowest
        self._slowest = slowest = took_s if old is None or took_s > old else took_s + (old - took_s) * self.FADE
        patient = self.MARGIN * slowest
        self.timeout_s = self._bounded(patient, self.FLOOR_S)
        self.probe_s = self._bounded(patient, self.PROBE_FLOOR_S)

    def _bounded(self, patient: float, floor: float) -> float:
        patient = max(patient, floor)
        return self.limit_s if patient > self.limit_s else patient
