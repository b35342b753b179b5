"""Heat treatment by a published table of temperature and time: FSIS Appendix A, Food Code, milk law and others.

Between rows the required time is interpolated log-linearly and rounded up where the table allows it; else the row
below counts. Below the first row there is no credit; above the last row its time stays. Two rules: "hold" (a row's
temperature was held without a break for its time) and "sum" (parts of the required time add up to one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log
from typing import Any, ClassVar

from gateway.assess.process.calculation import COMMON, SAME_S, Calculation, Sample, Unusable, max_gap, to_celsius
from gateway.assess.process.integral import Integral
from gateway.assess.process.memory import Remembers
from gateway.assess.process.outcome import PointValue, Result
from gateway.assess.process.parameters import Parameter, ParameterProblem
from gateway.assess.process.tables import entries

__all__ = ["HeatTable", "Knot", "RequiredTime"]

SAME_C = 1e-6
"""Temperatures that differ by less are one: a scale converted there and back."""
AT_ONCE_S = 1.0
"""What a row of 0 s counts as in a sum: the sources call it "less than one second" or instantaneous."""


@dataclass(frozen=True, slots=True)
class Knot:
    """``seconds`` are required from ``from_c`` to ``until_c``: a row, as printed on both scales."""

    from_c: float
    until_c: float
    seconds: float


class RequiredTime:
    """Seconds that a table requires at a temperature. Never rises with temperature."""

    def __init__(self, knots: Sequence[Knot], *, interpolate: bool, step_s: float) -> None:
        self.knots = tuple(knots)
        self._interpolate = interpolate
        self._step_s = step_s

    def exact(self, celsius: float) -> float | None:
        """Without rounding; None below the table."""
        below = None
        for knot in self.knots:
            if celsius < knot.from_c - SAME_C:
                break
            below = knot
        else:
            return self.knots[-1].seconds
        if below is None or celsius <= below.until_c + SAME_C or not self._interpolate:
            return below.seconds if below is not None else None
        if knot.seconds <= 0 or below.seconds <= 0:
            return below.seconds
        part = (celsius - below.until_c) / (knot.from_c - below.until_c)
        return exp(log(below.seconds) + part * (log(knot.seconds) - log(below.seconds)))

    def rounded(self, celsius: float) -> float | None:
        """Rounded up to the table's step between rows; a row itself stays as printed."""
        seconds = self.exact(celsius)
        if seconds is None or any(seconds == knot.seconds for knot in self.knots):
            return seconds
        return ceil(seconds / self._step_s - 1e-9) * self._step_s


class HoldClock(Remembers):
    """Longest unbroken time at or above one row."""

    fields: ClassVar[tuple[str, ...]] = ("since_s", "best_s", "seen")

    def __init__(self) -> None:
        self.since_s: float | None = None
        self.best_s = 0.0
        self.seen = False

    def step(self, dt: float | None, t: float, above: bool) -> None:
        """The time between two samples counts when both are above."""
        if not above:
            self.since_s = None
            return
        self.seen = True
        if self.since_s is None or dt is None:
            self.since_s = t
        self.best_s = max(self.best_s, t - self.since_s)


class HeatTable(Calculation):
    """Progress towards what a table requires."""

    name = "heat-table"
    title = "heat treatment by a published table of temperature and holding time"
    parameters = (
        *COMMON,
        max_gap(300.0),
        Parameter(
            name="table",
            kind="text",
            words="a published table; or give rows",
            choices=lambda: entries("heat", "table"),
            example="fsis-a-6.5log",
        ),
        Parameter(
            name="rows",
            kind="rows",
            words="a table of your own: [temperature, seconds] in the scale of unit, rising",
            example=[[60.0, 2700]],
        ),
        Parameter(
            name="rule",
            kind="text",
            words='"hold": a row held without a break; "sum": parts of the time add up; default as the table says',
            choices=lambda: ("hold", "sum"),
        ),
        Parameter(
            name="interpolate",
            kind="text",
            words='between rows "log" (log-linear, rounded up) or "none" (row below); default as the table says',
            choices=lambda: ("log", "none"),
        ),
        Parameter(
            name="fat_percent",
            kind="number",
            unit="%",
            words="fat of the milk product: from 10 % on some tables ask for more",
            low=0,
            high=100,
            example=3.5,
        ),
        Parameter(
            name="sweetened", kind="flag", words="whether the milk product has added sweeteners", default=False
        ),
        Parameter(name="safe_side", kind="flag", words="count each reading as lower by probe_u", default=False),
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "holds", "done")

    def prepare(self) -> list[ParameterProblem]:
        """Find the table and the rows that apply."""
        p = self.p
        if (p["table"] is None) == (p["rows"] is None):
            what = "is missing" if p["table"] is None else "is given beside rows"
            return [ParameterProblem("table", what, "give table = a published one, or rows of your own")]
        if p["safe_side"] and p["probe_u"] is None:
            return [ParameterProblem("probe_u", "is missing, and safe_side wants it", "add probe_u = 0.3")]
        if p["table"] is not None:
            entry = entries("heat", "table")[p["table"]]
        else:
            entry = {
                "id": "own",
                "source": "rows as configured",
                "rule": "hold",
                "interpolate": "none",
                "rows": [[to_celsius(at, p["unit"]), seconds] for at, seconds in p["rows"]],
            }
        rows = entry["rows"]
        if problem := _falling(rows):
            return [problem]
        self.formula, self.source = f"heat-table/{entry['id']}", entry["source"]
        self.rule = p["rule"] or entry["rule"]
        if p["table"] is not None and self.rule == "sum" and entry["rule"] == "hold":
            what = "adds parts up, and this table wants a temperature held without a break: it follows no single z"
            return [ParameterProblem("rule", what, 'write rule = "hold", or leave it out')]
        plus = (p["fat_percent"] or 0.0) >= 10 or p["sweetened"]
        if plus and "plus_c" not in entry:
            name = "sweetened" if p["sweetened"] else "fat_percent"
            return [ParameterProblem(name, "makes no difference to this table", "leave it out, or choose us-milk")]
        self.raised = entry["plus_c"] if plus else 0.0
        logarithmic = (p["interpolate"] or entry["interpolate"]) == "log"
        if p["table"] is not None and logarithmic and entry["interpolate"] == "none":
            return [ParameterProblem("interpolate", "is not allowed by this table", 'write interpolate = "none"')]
        knots = [
            _knot(row, p["unit"], logarithmic, entry if plus and number < entry["plus_rows"] else None)
            for number, row in enumerate(rows)
        ]
        self.required = RequiredTime(knots, interpolate=logarithmic, step_s=entry.get("step_s", 1))
        return []

    @property
    def criterion(self) -> bool:
        """Always: the table."""
        return True

    def start(self) -> None:
        """No time held, nothing added up."""
        self.holds = [HoldClock() for _ in self.required.knots]
        self.done = Integral(self._share_rate, self.u)

    def _share_rate(self, celsius: float) -> float:
        """Part of the required treatment that one second brings."""
        seconds = self.required.rounded(celsius)
        return 0.0 if seconds is None else 1 / (seconds or AT_ONCE_S)

    def step(self, sample: Sample) -> None:
        """Let the clocks run; what is reached stays reached."""
        self.done.step(sample.dt, sample.value)
        counted = sample.value - self.u if self.p["safe_side"] and self.u is not None else sample.value
        for knot, hold in zip(self.required.knots, self.holds, strict=True):
            hold.step(sample.dt, sample.t, counted >= knot.from_c - SAME_C)
        if self.refused is None and self.settled is None and self._share() >= 1:
            self.settled = True

    def _held(self) -> float:
        """How much of the best row's time was held: 1 is enough."""
        shares = [
            1.0 if hold.seen and hold.best_s >= knot.seconds - SAME_S else hold.best_s / (knot.seconds or 1.0)
            for knot, hold in zip(self.required.knots, self.holds, strict=True)
        ]
        return max(shares)

    def _share(self) -> float:
        held = self._held()
        if self.rule == "hold":
            return held
        return max(held, self.done.sure_low if self.p["safe_side"] else self.done.value)

    def answer(self, now: float, ended: bool) -> Result:
        """Part of the required treatment: a sum may come to more than 1, a hold is kept (1) or not."""
        share = self._share()
        passed = True if self.settled else (False if ended else None)
        sums = self.done.scaled(1.0)
        words = f"{share:.1%} of the required treatment{': reached' if passed else ''}"
        return self.made(
            share,
            "1",
            words,
            now,
            passed=passed,
            probe=sums.probe if self.rule == "sum" else None,
            sampling=sums.sampling if self.rule == "sum" else None,
            values={
                "rule": self.rule,
                "held": self._held(),
                "sum": sums.value,
                "holds": [
                    {"from_c": knot.from_c, "required_s": knot.seconds, "longest_s": hold.best_s}
                    for knot, hold in zip(self.required.knots, self.holds, strict=True)
                    if hold.seen
                ],
                "raised_k": self.raised,
            },
        )

    def evaluate(self, sample: Sample) -> PointValue:
        """Required holding time at a temperature, rounded to the safe side."""
        counted = sample.value - self.u if self.p["safe_side"] and self.u is not None else sample.value
        seconds = self.required.rounded(counted)
        if seconds is None:
            first = self.required.knots[0]
            words = f"{counted:.2f} degC lies below the table, which begins at {first.from_c:.2f} degC: no credit"
            raise Unusable("below-the-table", words, "heat further, or use a table that covers it")
        exact = self.required.exact(counted)
        words = "at once" if seconds == 0 else f"hold at least {seconds:g} s"
        extra: dict[str, Any] = {"minutes": seconds / 60, "before_rounding_s": exact, "raised_k": self.raised}
        return self.point(sample.value, seconds, "s", words, extra)


def _knot(row: Sequence[float], unit: str, logarithmic: bool, raise_by: Mapping[str, Any] | None) -> Knot:
    """A row on the scale that is measured; where times may be interpolated, both printed temperatures are the
    row's."""
    celsius = row[0] + (raise_by["plus_c"] if raise_by else 0.0)
    if len(row) < 3:
        return Knot(celsius, celsius, row[1])
    converted = (row[2] + (raise_by["plus_f"] if raise_by else 0.0) - 32) / 1.8
    if logarithmic:
        return Knot(min(celsius, converted), max(celsius, converted), row[1])
    one = converted if unit == "F" else celsius
    return Knot(one, one, row[1])


def _falling(rows: Sequence[Sequence[float]]) -> ParameterProblem | None:
    """Rows must rise in temperature and not in time, or the safe side has no meaning."""
    warmest, shortest = -inf, inf
    for number, row in enumerate(rows, 1):
        if row[0] <= warmest or row[1] > shortest or row[1] < 0:
            remedy = "list [degC, seconds] with rising temperature and times of 0 or more that do not rise"
            return ParameterProblem("rows", f"row {number} does not follow from the one before", remedy)
        warmest, shortest = row[0], row[1]
    return None
