"""One point under its rules: values go in, `Condition`s come out. The quiet case costs two comparisons."""

from collections.abc import Iterable, Mapping
from math import inf, isnan
from typing import Any

from gateway.assess.bootline import Move, moved_time
from gateway.assess.firstorder import FirstOrder
from gateway.assess.rules import LimitState, RuleState
from gateway.assess.rules_time import RateState, StageState, TimeState, states_of
from gateway.assess.sentences import duration, quantity
from gateway.model import Condition, Quality, Tier
from gateway.profile import Profile
from gateway.site import PointSpec

__all__ = ["STALE", "PointWatch"]

STALE = "stale"
"""Rule of every point that is judged: no good value for the profile's stale time."""


class PointWatch:
    """The rules of one point, fed by column ``index`` of its device, which is polled every ``period_ms``."""

    __slots__ = (
        "_alert_only_in_hours",
        "_always",
        "_stale_ms",
        "cause",
        "device",
        "high",
        "in_hours",
        "index",
        "low",
        "period_ms",
        "point",
        "profile",
        "quiet",
        "seen_ms",
        "simulated",
        "stale_since_ms",
        "states",
        "unseen_ms",
    )

    def __init__(self, point: PointSpec, profile: Profile, index: int, period_ms: int) -> None:
        self.point = point
        self.profile = profile
        self.device = point.device
        self.index = index
        self.period_ms = period_ms
        self.states = states_of(profile, period_ms)
        self.simulated = FirstOrder(point.product_tau_s) if point.product_tau_s else None
        self.seen_ms: int | None = None
        """When the newest usable value came."""
        self.unseen_ms = 0
        """Time without values, as a running sum: what an excursion has of it is in its record."""
        self.stale_since_ms: int | None = None
        self.cause = int(Quality.NOT_STARTED)
        self.in_hours = True
        self._stale_ms = profile.stale_s * 1000
        self._alert_only_in_hours = bool(point.alert_hours)
        self._always = self.simulated is not None or any(state.always for state in self.states)
        self.low = max((state.low for state in self.states), default=-inf)
        self.high = min((state.high for state in self.states), default=inf)
        self.quiet = False
        """Whether the next value may be passed over if it lies between ``low`` and ``high``."""
        self._settle()

    def _settle(self) -> None:
        self.quiet = not self._always and self.stale_since_ms is None and all(state.idle for state in self.states)

    def _on_product(self, state: RuleState) -> bool:
        return self.simulated is not None and state.rule.tier is Tier.ALERT and isinstance(state, LimitState)

    def value(self, value: float, at_ms: int, before_ms: int | None) -> list[Condition]:
        """Take a usable value; ``before_ms`` is when the one before it came."""
        found: list[Condition] = []
        if isnan(value):
            return found  # no value, whatever its quality says
        if before_ms is not None and at_ms - before_ms > 2.5 * self.period_ms:
            self.unseen_ms += at_ms - before_ms - self.period_ms
        if self.stale_since_ms is not None:
            found.append(self._fresh(at_ms))
        product = None if self.simulated is None else self.simulated.step(value, at_ms)
        for state in self.states:
            if not self.in_hours and state.rule.tier is Tier.ALERT:
                continue
            fed = value if product is None or not self._on_product(state) else product
            since, was = state.since, state.active
            change = state.feed(fed, at_ms)
            if since is None and state.since is not None:
                state.unseen = self.unseen_ms
            if change:
                found.append(self.condition(state, fed, at_ms, since if was else state.since))
        self._settle()
        return found

    def tick(self, now_ms: int, begun_ms: int) -> list[Condition]:
        """What time alone brings: staleness, from the start ``begun_ms`` on at the earliest."""
        found: list[Condition] = []
        seen_ms = begun_ms if self.seen_ms is None or self.seen_ms < begun_ms else self.seen_ms
        if self.stale_since_ms is None and now_ms - seen_ms > self._stale_ms:
            self.stale_since_ms = seen_ms if self.seen_ms is None else self.seen_ms
            self.quiet = False
            found.append(self.stale(now_ms, active=True))
        return found

    def due_ms(self, begun_ms: int) -> float:
        """Before this `tick` has nothing to say, if no value comes to put it off further."""
        if self.stale_since_ms is not None:
            return inf
        return max(begun_ms, self.seen_ms or begun_ms) + self._stale_ms

    def set_hours(self, minute: tuple[int, int] | None, now_ms: int) -> list[Condition]:
        """Whether alert limits are judged now: ``minute`` is (weekday, minute of the day), None when not known."""
        if not self._alert_only_in_hours:
            return []
        judged = minute is None or any(hours.hold(*minute) for hours in self.point.alert_hours)
        if judged == self.in_hours:
            return []
        self.in_hours = judged
        found: list[Condition] = []
        if not judged:
            for state in self.states:
                since = state.since
                if state.rule.tier is Tier.ALERT and state.stop():
                    found.append(self.condition(state, None, now_ms, since, "is not judged outside its hours"))
            self._settle()
        return found

    # words

    def condition(
        self, state: RuleState, value: float | None, at_ms: int, since_ms: int | None, words: str = ""
    ) -> Condition:
        """What a rule says now."""
        rule = state.rule
        unit = f"{self.profile.unit}/min" if isinstance(state, RateState) else self.profile.unit
        since = at_ms if since_ms is None else since_ms
        shown = state.rate if isinstance(state, RateState) else value
        return Condition(
            alarm=f"{self.point.id}/{rule.rule}",
            active=state.active,
            at_ms=at_ms,
            since_ms=since,
            rule=rule.rule,
            tier=rule.tier,
            point=self.point.id,
            device=self.device,
            value=shown,
            limit=state.limit,
            unit=unit,
            words=self._words(state, shown, at_ms - since, words),
            detail=self._detail(state, at_ms, since),
        )

    def _words(self, state: RuleState, value: float | None, lasted_ms: int, words: str) -> str:
        name, unit, limit = self.point.name, self.profile.unit, state.limit or 0.0
        what = f"{state.rule.tier.value} limit {state.rule.rule}"
        if words:
            return f"{name}: {what} {words}"
        if isinstance(state, RateState):
            now = f"changes by {quantity(state.rate, unit)} a minute"
            return f"{name} {now}, {'beyond' if state.active else 'within'} {quantity(limit, unit)} a minute"
        now = "" if value is None else f" is {'simulated at ' if self._on_product(state) else 'at '}"
        now += "" if value is None else quantity(value, unit)
        if isinstance(state, StageState):
            goal = f"{quantity(limit, unit)} within {duration(state.rule.within_s * 1000)}"
            if state.active:
                return f"{name}{now} after {duration(lasted_ms)}; it had to reach {goal}"
            return f"{name}{now} after {duration(lasted_ms)}; the stage ({goal}) is over"
        assert isinstance(state, LimitState | TimeState)
        side = state.rule.side
        worst = quantity(state.extreme, unit)
        if not state.active:
            farthest = f"{'highest' if side == 'above' else 'lowest'} {worst}"
            return f"{name}{now}, back after {duration(lasted_ms)} {side} {quantity(limit, unit)} ({farthest})"
        if isinstance(state, TimeState) and state.why == "periods":
            again = f"another period {side} {quantity(limit, unit)} within the window ({what})"
            return f"{name}{now}: {again}"
        if isinstance(state, TimeState) and state.why == "total":
            return f"{name}{now}: {side} {quantity(limit, unit)} for too long altogether ({what})"
        return f"{name}{now}, {side} {quantity(limit, unit)} for {duration(lasted_ms)} ({what})"

    def _detail(self, state: RuleState, at_ms: int, since_ms: int) -> dict[str, Any]:
        profile = self.profile
        detail: dict[str, Any] = {
            "profile": profile.id,
            "profile_hash": profile.digest,
            "source": profile.sources[0] if profile.sources else None,
            "critical_point": self.point.critical,
            "duration_ms": at_ms - since_ms,
            "unseen_ms": self.unseen_ms - state.unseen,
            "extreme": state.extreme,
            "simulated": self._on_product(state),
            "tau_s": self.point.product_tau_s if self._on_product(state) else None,
            "actions": list(profile.actions) if state.active else [],
        }
        if profile.reason:
            detail["reason"] = profile.reason
        if isinstance(state, LimitState):
            detail["delay_s"], detail["samples"] = state.rule.delay_s, state.rule.samples
            detail["hysteresis"], detail["off_delay_s"] = state.rule.hysteresis, state.rule.off_delay_s
        elif isinstance(state, TimeState):
            detail["single_s"], detail["total_s"] = state.rule.single_s, state.rule.total_s
            detail["periods"], detail["window_s"] = state.rule.periods, state.rule.window_s
            detail["why"], detail["total_ms"] = state.why, state.total_ms(at_ms)
        return detail

    def stale(self, at_ms: int, *, active: bool) -> Condition:
        """Whether the point has gone unwatched for the stale time of its profile."""
        since = self.stale_since_ms if self.stale_since_ms is not None else at_ms
        lasted = duration(at_ms - since)
        if active:
            why = Quality(self.cause).words if self.cause >= Quality.TIMEOUT else "no news from the device"
            words = f"{self.point.name} has had no usable value for {lasted} ({why})"
        else:
            words = f"{self.point.name} has values again after {lasted} without"
        return Condition(
            alarm=f"{self.point.id}/{STALE}",
            active=active,
            at_ms=at_ms,
            since_ms=since,
            rule=STALE,
            # A critical point that nobody watches is more than a matter of maintenance.
            tier=Tier.ALERT if self.point.critical else Tier.MAINTENANCE,
            point=self.point.id,
            device=self.device,
            words=words,
            detail={
                "profile": self.profile.id,
                "profile_hash": self.profile.digest,
                "stale_s": self.profile.stale_s,
                "critical_point": self.point.critical,
                "cause": self.cause,
            },
        )

    def _fresh(self, at_ms: int) -> Condition:
        condition = self.stale(at_ms, active=False)
        self.stale_since_ms = None
        return condition

    # catalogue and memory

    def catalogue(self, at_ms: int) -> Iterable[Condition]:
        """Every alarm that this point can raise, as inactive conditions."""
        for state in self.states:
            if not state.active:
                yield self.condition(state, None, at_ms, None, "is kept")
        if self.stale_since_ms is None:
            yield self.stale(at_ms, active=False)

    def active(self, at_ms: int) -> Iterable[Condition]:
        """What is active now."""
        for state in self.states:
            if state.active:
                yield self.condition(state, None, at_ms, state.since, "is exceeded since before the restart")
        if self.stale_since_ms is not None:
            yield self.stale(at_ms, active=True)

    def take_over(self, condition: Condition) -> None:
        """An alarm that stands although this watch has forgotten why: the next good values decide its end."""
        if condition.rule == STALE:
            self.stale_since_ms = condition.since_ms
        for state in self.states:
            if state.rule.rule == condition.rule and not state.active:
                state.active, state.since, state.unseen = True, condition.since_ms, self.unseen_ms
                if condition.value is not None:
                    state.extreme = condition.value
        self._settle()

    def move(self, moved: Move) -> None:
        """Move all times: see `RuleState.move`."""
        self.seen_ms, self.stale_since_ms = moved(self.seen_ms), moved(self.stale_since_ms)
        if self.simulated is not None:
            self.simulated.at_ms = moved_time(moved, self.simulated.at_ms)
        for state in self.states:
            state.move(moved)

    def save(self) -> dict[str, Any]:
        """Plain data for a restart."""
        saved: dict[str, Any] = {"seen": self.seen_ms, "unseen": self.unseen_ms, "stale": self.stale_since_ms}
        if self.simulated is not None and self.simulated.value is not None:
            saved["product"] = [self.simulated.value, self.simulated.at_ms, self.simulated.tau_ms]
        rules = {
            state.rule.rule: state.save()
            for state in self.states
            if not state.idle or state.always or (isinstance(state, TimeState) and state.closed)
        }
        return {**saved, "rules": rules} if rules else saved

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take back what `save` gave. Rules that are no longer there are left."""
        seen, stale = saved["seen"], saved["stale"]
        self.seen_ms = None if seen is None else int(seen)
        self.stale_since_ms = None if stale is None else int(stale)
        self.unseen_ms = int(saved["unseen"])
        rules = saved.get("rules", {})
        for state in self.states:
            if state.rule.rule in rules:
                state.load(rules[state.rule.rule])
        product = saved.get("product")
        if self.simulated is not None and product is not None and product[2] == self.simulated.tau_ms:
            self.simulated.value, self.simulated.at_ms = float(product[0]), int(product[1])
        self._settle()
