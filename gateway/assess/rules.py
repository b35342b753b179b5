"""The state of one rule of a point: fed with every usable value, it says when a deviation begins and ends.

All comparisons are strict: a value equal to a limit keeps to it. Time is that of the values (boot milliseconds). A
stretch without values neither ends an excursion nor is taken out of its time: what was beyond the limit before and
is beyond it after counts as beyond in between.
"""

from math import inf
from typing import Any

from gateway.assess.bootline import Move
from gateway.profile import Limit, RateLimit, StageLimit, TimeLimit

__all__ = ["BEGAN", "ENDED", "LimitState", "RuleState"]

SLACK_MS = 2000
"""A delay is over when it lacks no more than this, nor a tenth of the poll period: samples come with jitter."""

BEGAN = 1
ENDED = -1


class RuleState:
    """What all rules have. ``low`` and ``high``: a value in this band says nothing to a rule that is `idle`."""

    __slots__ = ("active", "extreme", "high", "low", "period_ms", "since", "unseen")

    rule: Limit | TimeLimit | StageLimit | RateLimit
    always = False
    """Whether every value must be fed, whatever it is."""

    def __init__(self, period_ms: int) -> None:
        self.active = False
        self.since: int | None = None
        """When the excursion began (boot ms)."""
        self.extreme = 0.0
        """The value farthest beyond since then."""
        self.unseen = 0
        """What the point had seen nothing of when the excursion began (ms, a running sum of the point)."""
        self.low, self.high = -inf, inf
        self.period_ms = period_ms

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self.active and self.since is None

    @property
    def limit(self) -> float | None:
        """The limit that a condition names."""
        raise NotImplementedError

    def feed(self, value: float, at_ms: int) -> int:
        """Take a value: `BEGAN`, `ENDED`, or 0."""
        raise NotImplementedError

    def stop(self) -> int:
        """Forget what is under way (the rule is not judged now); `ENDED` where it was active."""
        was, self.active, self.since = self.active, False, None
        return ENDED if was else 0

    def move(self, moved: Move) -> None:
        """Move all times: the boot clock began anew, or the time that the machine was off has become known."""
        self.since = moved(self.since)

    def save(self) -> list[Any]:
        """Plain data for a restart."""
        return [self.active, self.since, self.extreme, self.unseen]

    def load(self, saved: list[Any]) -> None:
        """Take back what `save` gave; raises ValueError or TypeError for anything else."""
        active, since, extreme, unseen = saved
        self.active, self.extreme, self.unseen = bool(active), float(extreme), int(unseen)
        self.since = None if since is None else int(since)
        if self.active and self.since is None:
            raise ValueError("active since never")

    def _over(self, since_ms: int, at_ms: int, wanted_s: float) -> bool:
        slack = min(SLACK_MS, self.period_ms // 10)
        return at_ms - since_ms >= wanted_s * 1000 - slack


class LimitState(RuleState):
    """High or low: beyond for the delay, and at the n-th value in a row; back by the hysteresis."""

    __slots__ = ("_above", "_back", "back_since", "count", "rule")

    def __init__(self, rule: Limit, period_ms: int) -> None:
        super().__init__(period_ms)
        self.rule: Limit = rule
        self._above = rule.side == "above"
        self._back = rule.limit - rule.hysteresis if self._above else rule.limit + rule.hysteresis
        self.count = 0
        self.back_since: int | None = None
        if self._above:
            self.high = rule.limit
        else:
            self.low = rule.limit

    @property
    def limit(self) -> float | None:
        """The limit itself."""
        return self.rule.limit

    def feed(self, value: float, at_ms: int) -> int:
        """See `RuleState.feed`."""
        rule = self.rule
        beyond = value > rule.limit if self._above else value < rule.limit
        if self.active:
            return self._while_active(value, at_ms, beyond)
        if not beyond:
            self.since, self.count = None, 0
            return 0
        if self.since is None:
            self.since, self.count, self.extreme = at_ms, 0, value
        self.count += 1
        self._reach(value)
        if self.count >= rule.samples and self._over(self.since, at_ms, rule.delay_s):
            self.active, self.back_since = True, None
            return BEGAN
        return 0

    def _while_active(self, value: float, at_ms: int, beyond: bool) -> int:
        back = not beyond and (value <= self._back if self._above else value >= self._back)
        if not back:
            self.back_since = None
            self._reach(value)
            return 0
        if self.back_since is None:
            self.back_since = at_ms
        if self.rule.off_delay_s and not self._over(self.back_since, at_ms, self.rule.off_delay_s):
            return 0
        self.active, self.since, self.count, self.back_since = False, None, 0, None
        return ENDED

    def _reach(self, value: float) -> None:
        if value > self.extreme if self._above else value < self.extreme:
            self.extreme = value

    def stop(self) -> int:
        """See `RuleState.stop`."""
        self.count, self.back_since = 0, None
        return super().stop()

    def move(self, moved: Move) -> None:
        """See `RuleState.move`."""
        super().move(moved)
        self.back_since = moved(self.back_since)

    def save(self) -> list[Any]:
        """See `RuleState.save`."""
        return [*super().save(), self.count, self.back_since]

    def load(self, saved: list[Any]) -> None:
        """See `RuleState.load`."""
        *head, count, back_since = saved
        super().load(head)
        self.count, self.back_since = int(count), None if back_since is None else int(back_since)
