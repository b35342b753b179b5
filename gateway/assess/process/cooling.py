"""Cooling in stages: Food Code, FSIS Appendix B and their like, with the time that is left.

Crossings are placed on the safe side: a stage's clock starts at the last value at or above its upper limit and
stops at the first value at or below its lower one, so the time taken is never shorter than the true one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.assess.process.calculation import COMMON, SAME_S, Calculation, Sample, Unusable, max_gap, to_celsius
from gateway.assess.process.memory import Remembers
from gateway.assess.process.outcome import Result
from gateway.assess.process.parameters import Parameter, ParameterProblem
from gateway.assess.process.tables import entries

__all__ = ["Cooling", "Stage"]

SAME_C = 1e-6


@dataclass(frozen=True, slots=True)
class Stage:
    """From below ``from_c`` (None: from the first value) to ``to_c`` in ``max_s`` seconds."""

    from_c: float | None
    to_c: float
    max_s: float
    advice: bool

    @property
    def words(self) -> str:
        """As a person would say it."""
        start = "the start" if self.from_c is None else f"{self.from_c:.3g} degC"
        return f"{start} to {self.to_c:.3g} degC in {self.max_s / 3600:g} h"


class StageClock(Remembers):
    """One stage. ``start_s`` and ``end_s`` bound its time from above, ``inside_s`` and ``outside_s`` from below."""

    fields: ClassVar[tuple[str, ...]] = ("above_s", "start_s", "inside_s", "outside_s", "end_s", "unseen")

    def __init__(self) -> None:
        self.reset(None)

    def reset(self, above_s: float | None) -> None:
        """From the beginning; ``above_s`` is a moment at which the product is above the stage."""
        self.above_s = above_s
        self.start_s: float | None = None
        self.inside_s: float | None = None
        self.outside_s: float | None = None
        self.end_s: float | None = None
        self.unseen = False

    def step(self, stage: Stage, t: float, coldest: float, warmest: float, at_first: bool) -> None:
        """One value, as its coldest and warmest reading by the probe's uncertainty."""
        if self.end_s is not None:
            return
        if self.start_s is None and not self._begins(stage, t, coldest, at_first):
            return
        if warmest <= stage.to_c + SAME_C:
            self.end_s = t
        else:
            self.outside_s = t

    def _begins(self, stage: Stage, t: float, coldest: float, at_first: bool) -> bool:
        if stage.from_c is not None and coldest >= stage.from_c - SAME_C:
            self.above_s, self.unseen = t, False
            return False
        if stage.from_c is not None and self.above_s is None and not at_first:
            self.unseen = True
            return False
        self.start_s = self.above_s if self.above_s is not None else t
        self.inside_s = t
        return True

    def took_s(self, now: float) -> float | None:
        """Seconds since the start, at most; None before it."""
        return None if self.start_s is None else (self.end_s if self.end_s is not None else now) - self.start_s

    def took_least_s(self, now: float) -> float | None:
        """Seconds that the stage has taken for sure."""
        if self.inside_s is None:
            return None
        until = now if self.end_s is None else self.outside_s if self.outside_s is not None else self.inside_s
        return max(0.0, until - self.inside_s)

    def late(self, stage: Stage, now: float) -> bool:
        """Whether it took, or is taking, longer than allowed."""
        took = self.took_s(now)
        return took is not None and took > stage.max_s + SAME_S


class Cooling(Calculation):
    """Stage clocks of one batch."""

    name = "cooling"
    title = "cooling in stages, with the time left"
    shortest = 1
    parameters = (
        *COMMON,
        max_gap(900.0),
        Parameter(
            name="rule",
            kind="text",
            words="a published rule; or give stages",
            choices=lambda: entries("cooling", "rule"),
            example="food-code-two-stage",
        ),
        Parameter(
            name="stages",
            kind="rows",
            words="stages of your own: [from, to, seconds] in the scale of unit",
            example=[[57.0, 21.0, 7200], [57.0, 5.0, 21600]],
        ),
        Parameter(
            name="start_at_first",
            kind="flag",
            words="the run begins at the end of cooking: a clock whose upper limit lies above the first value"
            " starts there",
            default=False,
        ),
        Parameter(name="safe_side", kind="flag", words="widen each stage by probe_u on both sides", default=False),
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "clocks")

    def prepare(self) -> list[ParameterProblem]:
        """Find the stages."""
        p = self.p
        if (p["rule"] is None) == (p["stages"] is None):
            what = "is missing" if p["rule"] is None else "is given beside stages"
            return [ParameterProblem("rule", what, "give rule = a published one, or stages of your own")]
        if p["safe_side"] and p["probe_u"] is None:
            return [ParameterProblem("probe_u", "is missing, and safe_side wants it", "add probe_u = 0.3")]
        self.reheat_c: float | None = None
        if p["rule"] is not None:
            entry = entries("cooling", "rule")[p["rule"]]
            self.formula, self.source = f"cooling/{entry['id']}", entry["source"]
            self.reheat_c = entry.get("reheat_c")
            self.stages = [_stage(raw, p["unit"]) for raw in entry["stage"]]
            return []
        self.formula, self.source = "cooling/own", "stages as configured"
        self.stages = [
            Stage(to_celsius(start, p["unit"]), to_celsius(end, p["unit"]), seconds, False)
            for start, end, seconds in p["stages"]
        ]
        for number, stage in enumerate(self.stages, 1):
            if stage.max_s <= 0 or (stage.from_c is not None and stage.from_c <= stage.to_c):
                remedy = "write [from degC, to degC, seconds] with from above to"
                return [ParameterProblem("stages", f"row {number} is no cooling", remedy)]
        return []

    @property
    def criterion(self) -> bool:
        """Always: the stages."""
        return True

    def start(self) -> None:
        """Every stage waits."""
        self.clocks = [StageClock() for _ in self.stages]

    def step(self, sample: Sample) -> None:
        """One value for every clock."""
        u = (self.u or 0.0) if self.p["safe_side"] else 0.0
        if self.reheat_c is not None and sample.value - u >= self.reheat_c and self.settled is None:
            for clock in self.clocks:
                clock.reset(sample.t)
            return
        for stage, clock in zip(self.stages, self.clocks, strict=True):
            clock.step(stage, sample.t, sample.value - u, sample.value + u, self.p["start_at_first"])
        self._settle(sample.t)

    def passing(self, now: float) -> None:
        """A deadline may pass between two values, as long as those come."""
        good = self.watch.good_s
        if good is not None and now - good <= self.watch.max_gap_s + SAME_S:
            self._settle(now)

    def _settle(self, now: float) -> None:
        if self.refused is not None or self.settled is not None:
            return
        strict = [pair for pair in zip(self.stages, self.clocks, strict=True) if not pair[0].advice]
        if any(clock.late(stage, now) for stage, clock in strict):
            self.settled = False
        elif all(clock.end_s is not None for _, clock in strict):
            self.settled = True

    def answer(self, now: float, ended: bool) -> Result:
        """Where the batch stands."""
        if any(clock.unseen and clock.start_s is None for clock in self.clocks):
            words = "the product was below the upper limit from the first value on: since when is not known"
            raise Unusable("start-not-seen", words, "begin before the limit is crossed, or set start_at_first")
        passed = self.settled if self.settled is not None or not ended else False
        stages = [self._account(stage, clock, now) for stage, clock in zip(self.stages, self.clocks, strict=True)]
        starts = [clock.start_s for clock in self.clocks if clock.start_s is not None]
        ends = [clock.end_s for clock in self.clocks if clock.end_s is not None]
        until = max(ends) if len(ends) == len(self.clocks) else now
        took = until - min(starts) if starts else 0.0
        running = [stage for stage in stages if stage["state"] == "running"]
        words = "; ".join(f"{stage['words']}: {stage['says']}" for stage in stages)
        least = [clock.took_least_s(now) or 0.0 for clock in self.clocks]
        return self.made(
            took,
            "s",
            words,
            now,
            passed=passed,
            sampling=(max(least), max(took, *least)),
            values={"stages": stages, "left_s": min((stage["left_s"] for stage in running), default=None)},
        )

    def _account(self, stage: Stage, clock: StageClock, now: float) -> dict[str, Any]:
        took = clock.took_s(now)
        left = None if took is None or clock.end_s is not None else stage.max_s - took
        if took is None:
            state, says = ("unseen", "its start was not seen") if clock.unseen else ("waiting", "not yet begun")
        elif clock.late(stage, now):
            state = "exceeded" if stage.advice else "late"
            says = f"{took / 60:.1f} min, {(took - stage.max_s) / 60:.1f} min too long"
        elif clock.end_s is None:
            state, says = "running", f"{took / 60:.1f} min so far, {(stage.max_s - took) / 60:.1f} min left"
        else:
            state, says = "met", f"met in {took / 60:.1f} min"
        return {
            "words": stage.words,
            "says": says,
            "state": state,
            "from_c": stage.from_c,
            "to_c": stage.to_c,
            "max_s": stage.max_s,
            "took_s": took,
            "took_least_s": clock.took_least_s(now),
            "left_s": left,
            "advice": stage.advice,
        }


def _stage(raw: Mapping[str, Any], unit: str) -> Stage:
    """The stage on the scale that is measured; degF alone is converted exactly."""

    def limit(name: str) -> float | None:
        if f"{name}_c" in raw and (unit == "C" or f"{name}_f" not in raw):
            return float(raw[f"{name}_c"])
        return (raw[f"{name}_f"] - 32) / 1.8 if f"{name}_f" in raw else None

    to_c = limit("to")
    assert to_c is not None
    return Stage(limit("from"), to_c, raw["max_h"] * 3600, raw.get("advice", False))
