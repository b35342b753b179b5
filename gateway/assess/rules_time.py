"""The rules that look at more than one value: time beyond a limit, stages, rates. `rules` has what they share."""

from collections import deque
from math import inf, nextafter
from typing import Any

from gateway.assess.bootline import Move, moved_time
from gateway.assess.rules import BEGAN, LimitState, RuleState
from gateway.profile import Profile, RateLimit, StageLimit, TimeLimit

__all__ = ["RateState", "StageState", "TimeState", "states_of"]


class TimeState(RuleState):
    """Time beyond a limit: in one stretch, together in a window, and how many stretches the window has."""

    __slots__ = ("_above", "beyond", "closed", "day_ms", "rule", "why")

    def __init__(self, rule: TimeLimit, period_ms: int) -> None:
        super().__init__(period_ms)
        self.rule: TimeLimit = rule
        self._above = rule.side == "above"
        self.closed: deque[tuple[int, int]] = deque()
        """Stretches beyond the limit that are over, oldest first, as far as the window reaches."""
        self.beyond = False
        self.day_ms: int | None = None
        """Boot time at which the site's calendar day began, None while the date is not known."""
        self.why = ""
        if self._above:
            self.high = rule.limit
        else:
            self.low = rule.limit

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self.active and not self.beyond

    @property
    def limit(self) -> float | None:
        """The limit beyond which time counts."""
        return self.rule.limit

    def feed(self, value: float, at_ms: int) -> int:
        """See `RuleState.feed`."""
        beyond = value > self.rule.limit if self._above else value < self.rule.limit
        if beyond:
            if not self.beyond:
                self.beyond, self.since, self.extreme = True, at_ms, value
            elif value > self.extreme if self._above else value < self.extreme:
                self.extreme = value
        elif self.beyond:
            self.beyond = False
            assert self.since is not None
            self.closed.append((self.since, at_ms))
            self._forget(self._window(at_ms))
        return self._judge(at_ms)

    def _judge(self, at_ms: int) -> int:
        """It ends with the value that is back. While a total is used up, the next value beyond begins it again."""
        if not self.beyond:
            self.why = ""
            return self.stop()
        if not self.active and (why := self._reason(at_ms)):
            self.active, self.why = True, why
            return BEGAN
        return 0

    def _reason(self, at_ms: int) -> str:
        rule = self.rule
        assert self.since is not None
        if rule.single_s is not None and self._over(self.since, at_ms, rule.single_s):
            return "single"
        if rule.periods is not None and self._over(self.since, at_ms, rule.brief_s):
            brief_ms = rule.brief_s * 1000
            from_ms = self._window(at_ms)
            before = sum(end - start >= brief_ms for start, end in self.closed if end > from_ms)
            if before >= rule.periods:
                return "periods"
        if rule.total_s is not None and self._total(at_ms) >= rule.total_s * 1000:
            return "total"
        return ""

    def _window(self, at_ms: int) -> int:
        if self.rule.window_s is not None:
            return at_ms - round(self.rule.window_s * 1000)
        return at_ms - 86_400_000 if self.day_ms is None else self.day_ms

    def _forget(self, before_ms: int) -> None:
        while self.closed and self.closed[0][1] <= before_ms:
            self.closed.popleft()

    def _total(self, at_ms: int) -> int:
        """Milliseconds beyond within the window."""
        from_ms = self._window(at_ms)
        self._forget(from_ms)
        total = sum(end - max(start, from_ms) for start, end in self.closed)
        return total + (at_ms - max(self.since, from_ms) if self.beyond and self.since is not None else 0)

    def total_ms(self, at_ms: int) -> int:
        """Time beyond the limit within the window, up to ``at_ms``."""
        return self._total(at_ms)

    def stop(self) -> int:
        """See `RuleState.stop`."""
        self.beyond = False
        return super().stop()

    def move(self, moved: Move) -> None:
        """See `RuleState.move`."""
        super().move(moved)
        self.closed = deque((moved_time(moved, start), moved_time(moved, end)) for start, end in self.closed)

    def save(self) -> list[Any]:
        """See `RuleState.save`."""
        return [*super().save(), self.beyond, self.why, [list(stretch) for stretch in self.closed]]

    def load(self, saved: list[Any]) -> None:
        """See `RuleState.load`."""
        *head, beyond, why, closed = saved
        super().load(head)
        self.beyond, self.why = bool(beyond), str(why)
        self.closed = deque((int(start), int(end)) for start, end in closed)


class StageState(RuleState):
    """From a start to a goal within a time. The clock starts at the last value at or before the start.

    A value back at the start is a new batch. A goal that is reached ends it, late or not.
    """

    __slots__ = ("armed_ms", "down", "rule")

    def __init__(self, rule: StageLimit, period_ms: int) -> None:
        super().__init__(period_ms)
        self.rule: StageLimit = rule
        self.down = rule.goal < rule.start
        self.armed_ms: int | None = None
        if self.down:
            self.high = nextafter(rule.start, -inf)
        else:
            self.low = nextafter(rule.start, inf)

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self.active and self.since is None and self.armed_ms is None

    @property
    def limit(self) -> float | None:
        """The goal."""
        return self.rule.goal

    def feed(self, value: float, at_ms: int) -> int:
        """See `RuleState.feed`."""
        rule = self.rule
        if value >= rule.start if self.down else value <= rule.start:
            ended = self.stop()
            self.armed_ms = at_ms
            return ended
        if self.since is None:
            if self.armed_ms is None:
                return 0
            self.since, self.armed_ms = self.armed_ms, None
        self.extreme = value
        if value <= rule.goal if self.down else value >= rule.goal:
            return self.stop()
        if not self.active and at_ms - self.since > rule.within_s * 1000:
            self.active = True
            return BEGAN
        return 0

    def move(self, moved: Move) -> None:
        """See `RuleState.move`."""
        super().move(moved)
        self.armed_ms = moved(self.armed_ms)

    def save(self) -> list[Any]:
        """See `RuleState.save`."""
        return [*super().save(), self.armed_ms]

    def load(self, saved: list[Any]) -> None:
        """See `RuleState.load`."""
        *head, armed_ms = saved
        super().load(head)
        self.armed_ms = None if armed_ms is None else int(armed_ms)


class RateState(RuleState):
    """Change per minute, from the value a window ago to the newest one."""

    __slots__ = ("_step_ms", "past", "rate", "rule")

    always = True
    STEPS = 16
    """Values that a window keeps: more would not tell more."""

    def __init__(self, rule: RateLimit, period_ms: int) -> None:
        super().__init__(period_ms)
        self.rule: RateLimit = rule
        self.past: deque[tuple[int, float]] = deque()
        self.rate = 0.0
        self._step_ms = rule.over_s * 1000 / self.STEPS

    @property
    def limit(self) -> float | None:
        """The rate per minute."""
        return self.rule.per_minute

    def feed(self, value: float, at_ms: int) -> int:
        """See `RuleState.feed`. No rate is taken over less than the window, nor over more than twice of it."""
        past, over_ms = self.past, self.rule.over_s * 1000
        while len(past) > 1 and at_ms - past[1][0] >= over_ms:
            past.popleft()
        if past and at_ms - past[0][0] > 2 * max(over_ms, self.period_ms):
            past.clear()
        found = 0
        if past and at_ms - past[0][0] >= over_ms:
            first_ms, first = past[0]
            self.rate = (value - first) / (at_ms - first_ms) * 60_000
            limit = self.rule.per_minute
            found = self._judge(self.rate > limit if limit > 0 else self.rate < limit, first_ms)
        if not past or at_ms - past[-1][0] >= self._step_ms:
            past.append((at_ms, value))
        return found

    def _judge(self, beyond: bool, first_ms: int) -> int:
        if beyond:
            self.extreme = max(self.extreme, self.rate, key=abs) if self.active else self.rate
            if self.active:
                return 0
            self.active, self.since = True, first_ms
            return BEGAN
        return self.stop()

    def move(self, moved: Move) -> None:
        """See `RuleState.move`."""
        super().move(moved)
        self.past = deque((moved_time(moved, at), value) for at, value in self.past)

    def save(self) -> list[Any]:
        """See `RuleState.save`."""
        return [*super().save(), [list(one) for one in self.past]]

    def load(self, saved: list[Any]) -> None:
        """See `RuleState.load`."""
        *head, past = saved
        super().load(head)
        self.past = deque((int(at), float(value)) for at, value in past)


def states_of(profile: Profile, period_ms: int) -> list[RuleState]:
    """Fresh states of all rules of a profile."""
    return [
        *(LimitState(rule, period_ms) for rule in profile.limits),
        *(TimeState(rule, period_ms) for rule in profile.times),
        *(StageState(rule, period_ms) for rule in profile.stages),
        *(RateState(rule, period_ms) for rule in profile.rates),
    ]
