"""One configured process calculation and the run that it is in: when runs begin and end, and what is told of
them."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gateway.assess.judge import Finding
from gateway.assess.process.calculation import NOTHING, SAME_S, Calculation
from gateway.assess.process.catalogue import make
from gateway.assess.process.memory import Remembers
from gateway.assess.process.outcome import Outcome, Refusal, Result
from gateway.errors import StorageError
from gateway.model import Condition, Event, Tier
from gateway.site import ProcessSpec

__all__ = ["Process"]


class Process(Remembers):
    """Follows one `ProcessSpec`. Times are boot milliseconds; what is kept is elapsed time since the run's first
    value."""

    fields: ClassVar[tuple[str, ...]] = (
        "before",
        "run_ms",
        "run_seen",
        "beyond_ms",
        "told",
        "refused",
        "active",
        "since_ms",
    )

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.calculation: Calculation | None = None
        self.forget()

    def forget(self) -> None:
        """As if nothing had come yet."""
        self.calculation = None
        self.changed = False
        """Whether the run that goes on was begun by other parameters than the present ones."""
        self.before: float | None = None
        """The newest value, to see a crossing."""
        self.run_ms: int | None = None
        """Start of the run that goes on; None between runs."""
        self.run_seen = False
        """Whether its start was seen as a crossing."""
        self.beyond_ms: int | None = None
        """Since when the value has been where the run ends."""
        self.told: bool | None = None
        """Which decision of the criterion was told."""
        self.refused = ""
        """Which refusal was told."""
        self.active = False
        """Whether the condition is raised."""
        self.since_ms = 0

    # state

    def save(self) -> list[Any]:
        """The fields, and the calculation's own state."""
        state = self.calculation.state().hex() if self.calculation is not None else None
        return [*super().save(), state]

    def load(self, saved: Any) -> None:
        """Take back what `save` gave. Raises `StorageError`."""
        *fields, state = saved if isinstance(saved, list) and saved else [None]
        super().load(fields)
        self.calculation = None
        if state is not None:
            self.calculation = make(self.spec.calculation, self.spec.parameters)
            try:
                self.calculation.restore(bytes.fromhex(state))
            except StorageError:
                self.changed = True

    def move(self, by_ms: int) -> None:
        """The boot clock began anew: instants of the old one are ``by_ms`` later in the new one (usually
        negative)."""
        for name in ("run_ms", "beyond_ms"):
            if (value := getattr(self, name)) is not None:
                setattr(self, name, value + by_ms)
        self.since_ms += by_ms

    def lose(self, at_ms: int) -> list[Finding]:
        """A run that was going on before a restart ends as one that cannot be told: the time away is not known, or
        the calculation is another one now."""
        if self.calculation is None:
            return []
        reason = "restart"
        words = "the gateway restarted and its clock is not trusted, so the time that passed is not known"
        if self.changed:
            reason, words = "changed", "the calculation or its parameters were changed while a run was going on"
        self.changed = False
        remedy = "judge the batch by other records"
        refusal = self.calculation.refusal(reason, words, remedy, None)
        self.run_ms = self.since_ms = at_ms
        found = [self._event("process.refused", at_ms, refusal, True)]
        return [*found, *self._finish(refusal, at_ms)]

    # input

    def value(self, at_ms: int, value: float, more: Mapping[str, float | None] = NOTHING) -> list[Finding]:
        """One usable value in the channel's unit."""
        found: list[Finding] = []
        if self.calculation is None and self._starts(value):
            found += self._start(at_ms)
        if self.calculation is not None:
            found += self._take(at_ms, value, more)
            if self._ends(at_ms, value):
                found += self._end(at_ms)
                if self.spec.start_above is None and self.spec.start_below is None:
                    # The next run begins with the value that ended this one, so that no time falls between them.
                    found += [*self._start(at_ms), *self._take(at_ms, value, more)]
        self.before = value
        return found

    def _take(self, at_ms: int, value: float, more: Mapping[str, float | None]) -> list[Finding]:
        self._feed(at_ms, value, "", more)
        return self._tell(at_ms)

    def nothing(self, at_ms: int, reason: str) -> list[Finding]:
        """A sample without a value."""
        if self.calculation is None:
            return []
        self._feed(at_ms, None, reason, NOTHING)
        return self._tell(at_ms)

    def time(self, at_ms: int) -> list[Finding]:
        """Time has passed: deadlines and silences. A run that lasts long enough ends with a value, or in
        silence."""
        if self.calculation is None:
            return []
        found = self._tell(at_ms)
        if self.refused and self._lasted(at_ms):
            found += self._end(at_ms)
        return found

    def outcome(self, at_ms: int) -> Outcome | None:
        """Where the run stands, for pages; None between runs."""
        if self.calculation is None or self.run_ms is None:
            return None
        return self.calculation.result((at_ms - self.run_ms) / 1000)

    # runs

    def _starts(self, value: float) -> bool:
        above, below = self.spec.start_above, self.spec.start_below
        if above is not None:
            self.run_seen = self.before is not None and self.before < above
            return value >= above and (self.before is None or self.before < above)
        if below is not None:
            self.run_seen = self.before is not None and self.before > below
            return value <= below and (self.before is None or self.before > below)
        self.run_seen = True
        return True

    def _start(self, at_ms: int) -> list[Finding]:
        found: list[Finding] = []
        if self.active:
            self.active = False
            words = f"{self.spec.id}: a new run begins"
            found.append(self._condition(False, at_ms, None, words, {}))
        self.calculation = make(self.spec.calculation, self.spec.parameters)
        self.run_ms, self.beyond_ms, self.told, self.refused = at_ms, None, None, ""
        data = self._who() | {
            "formula": self.calculation.formula,
            "source": self.calculation.source,
            "parameters": dict(self.spec.parameters),
            "start_seen": self.run_seen,
            "words": f"{self.spec.id}: {self.spec.calculation} begins",
        }
        found.append(Event("process.started", at_ms, data))
        return found

    def _feed(self, at_ms: int, value: float | None, reason: str, more: Mapping[str, float | None]) -> None:
        assert self.calculation is not None
        assert self.run_ms is not None
        t, last = (at_ms - self.run_ms) / 1000, self.calculation.watch.last_s
        if last is None or t > last:
            self.calculation.feed(t, value, reason, more)

    def _ends(self, at_ms: int, value: float) -> bool:
        above, below = self.spec.end_above, self.spec.end_below
        beyond = (below is not None and value < below) or (above is not None and value > above)
        if not beyond:
            self.beyond_ms = None
            return self._lasted(at_ms)
        if self.beyond_ms is None:
            self.beyond_ms = at_ms
        return at_ms - self.beyond_ms >= self.spec.hold_s * 1000 or self._lasted(at_ms)

    def _lasted(self, at_ms: int) -> bool:
        after = self.spec.end_after_s
        return after is not None and self.run_ms is not None and at_ms - self.run_ms >= after * 1000

    def _end(self, at_ms: int) -> list[Finding]:
        assert self.calculation is not None
        assert self.run_ms is not None
        outcome = self.calculation.result((at_ms - self.run_ms) / 1000, ended=True)
        kind = "process.refused" if isinstance(outcome, Refusal) else "process.result"
        found: list[Finding] = [self._event(kind, at_ms, outcome, True)]
        return [*found, *self._finish(outcome, at_ms)]

    def _finish(self, outcome: Outcome, at_ms: int) -> list[Finding]:
        """After the last event of a run: a failed one keeps its condition until the next begins."""
        assert self.calculation is not None
        found: list[Finding] = []
        failed = self._failed(outcome)
        if failed != self.active:
            self.active = failed
            self.since_ms = self.run_ms if self.run_ms is not None else at_ms
            found.append(self._condition(failed, at_ms, outcome, outcome.words, {"ended": True}))
        self.calculation, self.run_ms, self.beyond_ms = None, None, None
        return found

    def _failed(self, outcome: Outcome) -> bool:
        """Not shown to be right is not right: a refusal fails a criterion that was not decided before."""
        if self.calculation is None or not self.calculation.criterion:
            return False
        if isinstance(outcome, Refusal):
            return outcome.settled is not True
        return outcome.passed is False

    # telling

    def _tell(self, at_ms: int) -> list[Finding]:
        """Events for a decision or a refusal, once each; the condition as long as it is so."""
        calculation = self.calculation
        assert calculation is not None
        assert self.run_ms is not None
        now = (at_ms - self.run_ms) / 1000
        good = calculation.watch.good_s if calculation.watch.good_s is not None else calculation.watch.first_s
        silent = good is not None and now - good > calculation.watch.max_gap_s + SAME_S
        calculation.passing(now)
        found: list[Finding] = []
        if (
            self.refused
            and not silent
            and calculation.refused is None
            and isinstance(calculation.result(now), Result)
        ):
            self.refused = ""
        if (silent or calculation.refused is not None) and not self.refused:
            outcome = calculation.result(now)
            if isinstance(outcome, Refusal):
                self.refused = outcome.reason
                found.append(self._event("process.refused", at_ms, outcome, False))
                if self._failed(outcome) and not self.active:
                    found.append(self._raise(at_ms, outcome))
        if calculation.settled is not None and self.told != calculation.settled:
            self.told = calculation.settled
            outcome = calculation.result(now)
            kind = "process.refused" if isinstance(outcome, Refusal) else "process.result"
            found.append(self._event(kind, at_ms, outcome, False))
        failing = calculation.failing or bool(
            self.refused and calculation.criterion and calculation.settled is not True
        )
        if failing and not self.active:
            found.append(self._raise(at_ms, calculation.result(now)))
        elif self.active and not failing:
            self.active = False
            found.append(self._condition(False, at_ms, None, f"{self.spec.id}: right again", {}))
        return found

    def _raise(self, at_ms: int, outcome: Outcome) -> Condition:
        self.active = True
        self.since_ms = self.run_ms if self.run_ms is not None else at_ms
        return self._condition(True, at_ms, outcome, outcome.words, {"ended": False})

    def _who(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "process": spec.id,
            "point": spec.point,
            "device": spec.device,
            "channel": spec.channel,
            "calculation": spec.calculation,
        }

    def _event(self, kind: str, at_ms: int, outcome: Outcome, ended: bool) -> Event:
        data = self._who() | {"ended": ended, "start_seen": self.run_seen, "started_ms": self.run_ms}
        return Event(kind, at_ms, data | outcome.as_dict())

    def _condition(
        self, active: bool, at_ms: int, outcome: Outcome | None, words: str, detail: Mapping[str, Any]
    ) -> Condition:
        spec = self.spec
        result = outcome if isinstance(outcome, Result) else None
        told: dict[str, Any] = {"process": spec.id, "calculation": spec.calculation, **detail}
        if outcome is not None:
            told |= {"formula": outcome.formula, "source": outcome.source}
        if isinstance(outcome, Refusal):
            told |= {"refused": outcome.reason, "remedy": outcome.remedy}
        subject: str = spec.point if spec.point is not None else spec.device
        return Condition(
            alarm=f"{subject}/process-{spec.id}",
            active=active,
            at_ms=at_ms,
            since_ms=self.since_ms if active else at_ms,
            rule=f"process-{spec.id}",
            tier=Tier(spec.tier),
            point=spec.point,
            device=spec.device,
            value=result.value if result is not None else None,
            unit=result.unit if result is not None else "",
            words=words if words.startswith(spec.id) else f"{spec.id}: {words}",
            detail=told,
        )
