"""Time outside a temperature: longest stay and total above or below, budgets out of refrigeration."""

from typing import ClassVar

from gateway.assess.process.calculation import COMMON, SAME_S, Calculation, Sample, max_gap, to_celsius
from gateway.assess.process.memory import Remembers
from gateway.assess.process.outcome import Result
from gateway.assess.process.parameters import Parameter, ParameterProblem

__all__ = ["Budget", "Stay", "TimeOutside", "side"]


class Stay(Remembers):
    """Time spent outside: ``total_s`` counts every interval with an end outside (safe), ``least_s`` those with both
    ends, ``linear_s`` up to the straight line's crossing."""

    fields: ClassVar[tuple[str, ...]] = (
        "total_s",
        "least_s",
        "linear_s",
        "since_s",
        "longest_s",
        "before",
        "stays",
        "at_s",
    )

    def __init__(self) -> None:
        self.total_s = self.least_s = self.linear_s = 0.0
        self.since_s: float | None = None
        self.longest_s = 0.0
        self.before: float | None = None
        self.stays = 0
        self.at_s = 0.0

    def step(self, dt: float | None, t: float, beyond: float) -> None:
        """``beyond`` is by how much the value lies outside (positive), or inside."""
        was = self.before if dt is not None else None
        if dt is not None and was is not None:
            self._interval(dt, was, beyond)
        if beyond > 0 and self.since_s is None:
            self.stays += 1
            self.since_s = t if was is None or dt is None else t - dt
        if self.since_s is not None:
            self.longest_s = max(self.longest_s, t - self.since_s)
        if beyond <= 0:
            self.since_s = None
        self.before, self.at_s = beyond, t

    def _interval(self, dt: float, was: float, now: float) -> None:
        if was > 0 and now > 0:
            part = 1.0
            self.least_s += dt
        elif was > 0 or now > 0:
            part = max(was, now) / (abs(was) + abs(now))
        else:
            return
        self.total_s += dt
        self.linear_s += dt * part

    @property
    def current_s(self) -> float:
        """Length of the stay that goes on."""
        return 0.0 if self.since_s is None else self.at_s - self.since_s


def side(name: str) -> Parameter:
    return Parameter(
        name=name,
        kind="text",
        words='"above" or "below": which side of the limit is outside (strictly)',
        default="above",
        choices=lambda: ("above", "below"),
    )


SAFE = Parameter(
    name="safe_side", kind="flag", words="count each reading as further outside by probe_u", default=False
)


class TimeOutside(Calculation):
    """Longest single stay and total time beyond a temperature."""

    name = "time-outside"
    title = "time above or below a temperature: longest stay and total"
    parameters = (
        *COMMON,
        max_gap(900.0),
        Parameter(
            name="limit_c",
            kind="number",
            unit="degC",
            words="the temperature",
            required=True,
            low=-100,
            high=300,
            example=8.0,
        ),
        side("side"),
        Parameter(
            name="most_single_s",
            kind="number",
            unit="s",
            words="longest single stay allowed",
            low=0,
            example=14400.0,
        ),
        Parameter(name="most_total_s", kind="number", unit="s", words="total time allowed", low=0, example=14400.0),
        Parameter(
            name="counting",
            kind="text",
            words='"safe": every interval with an end outside; "linear": up to the crossing of a straight line; '
            '"least": intervals with both ends outside',
            default="safe",
            choices=lambda: ("safe", "linear", "least"),
        ),
        SAFE,
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "stay", "colder", "warmer")

    def prepare(self) -> list[ParameterProblem]:
        """Only the names."""
        self.formula = f"time-outside/{self.p['side']}"
        self.source = "sum of intervals, limit as configured (for example UK: one period below 4 h above 8 degC)"
        if self.p["safe_side"] and self.p["probe_u"] is None:
            return [ParameterProblem("probe_u", "is missing, and safe_side wants it", "add probe_u = 0.3")]
        return []

    @property
    def criterion(self) -> bool:
        """With an allowance."""
        return self.p["most_single_s"] is not None or self.p["most_total_s"] is not None

    def start(self) -> None:
        """Nothing outside."""
        self.stay = Stay()
        self.colder = Stay()
        self.warmer = Stay()

    def step(self, sample: Sample) -> None:
        """Count the interval; an allowance once used up stays so."""
        sign = 1 if self.p["side"] == "above" else -1
        beyond, u = sign * (sample.value - self.p["limit_c"]), self.u or 0.0
        self.stay.step(sample.dt, sample.t, beyond + (u if self.p["safe_side"] else 0.0))
        self.colder.step(sample.dt, sample.t, beyond - u)
        self.warmer.step(sample.dt, sample.t, beyond + u)
        single, total = self.p["most_single_s"], self.p["most_total_s"]
        over = (single is not None and self.stay.longest_s > single + SAME_S) or (
            total is not None and self._total() > total + SAME_S
        )
        if over and self.settled is None and self.refused is None:
            self.settled = False

    def _total(self, stay: Stay | None = None) -> float:
        stay = stay if stay is not None else self.stay
        return {"safe": stay.total_s, "linear": stay.linear_s, "least": stay.least_s}[self.p["counting"]]

    def answer(self, now: float, ended: bool) -> Result:
        """Total time outside."""
        stay, total = self.stay, self._total()
        passed = self.settled if self.settled is not None or not ended or not self.criterion else True
        words = f"{total / 60:.1f} min {self.p['side']} {self.p['limit_c']:g} degC in {stay.stays} stay(s)"
        words += f", the longest {stay.longest_s / 60:.1f} min"
        return self.made(
            total,
            "s",
            words,
            now,
            passed=passed,
            probe=(self._total(self.colder), self._total(self.warmer)),
            sampling=(stay.least_s, stay.total_s),
            values={
                "longest_s": stay.longest_s,
                "current_s": stay.current_s,
                "stays": stay.stays,
                "linear_s": stay.linear_s,
                "limit_c": self.p["limit_c"],
                "side": self.p["side"],
                "most_single_s": self.p["most_single_s"],
                "most_total_s": self.p["most_total_s"],
            },
        )


class Budget(Calculation):
    """Time out of refrigeration against budgets: for each temperature the time that may be spent above it in
    all."""

    name = "out-of-refrigeration"
    title = "time out of refrigeration against one or more budgets"
    parameters = (
        *COMMON,
        max_gap(900.0),
        Parameter(
            name="budgets",
            kind="rows",
            words="[temperature, seconds that may be spent above it in all] in the scale of unit, one row a budget",
            required=True,
            example=[[8.0, 14400], [25.0, 1800]],
        ),
        Parameter(
            name="spent_s",
            kind="number",
            unit="s",
            words="already spent of every budget before this run",
            default=0.0,
            low=0.0,
        ),
        SAFE,
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "stays")

    def prepare(self) -> list[ParameterProblem]:
        """Budgets must be times."""
        self.formula = "out-of-refrigeration/cumulative"
        self.source = "cumulative time above each temperature, safe side, budgets as configured"
        self.budgets = [(to_celsius(limit, self.p["unit"]), seconds) for limit, seconds in self.p["budgets"]]
        if any(seconds <= 0 for _, seconds in self.budgets):
            return [ParameterProblem("budgets", "has a budget that is no time", "write [degC, seconds]")]
        if self.p["safe_side"] and self.p["probe_u"] is None:
            return [ParameterProblem("probe_u", "is missing, and safe_side wants it", "add probe_u = 0.3")]
        return []

    @property
    def criterion(self) -> bool:
        """Always: the budgets."""
        return True

    def start(self) -> None:
        """Nothing spent."""
        self.stays = [Stay() for _ in self.budgets]

    def step(self, sample: Sample) -> None:
        """Spend; a budget once overspent stays so."""
        u = (self.u or 0.0) if self.p["safe_side"] else 0.0
        for (limit, seconds), stay in zip(self.budgets, self.stays, strict=True):
            stay.step(sample.dt, sample.t, sample.value + u - limit)
            if (
                stay.total_s + self.p["spent_s"] > seconds + SAME_S
                and self.settled is None
                and self.refused is None
            ):
                self.settled = False

    def answer(self, now: float, ended: bool) -> Result:
        """Seconds left of the scarcest budget."""
        rows = [
            {
                "above_c": limit,
                "budget_s": seconds,
                "spent_s": stay.total_s + self.p["spent_s"],
                "spent_least_s": stay.least_s + self.p["spent_s"],
                "left_s": seconds - stay.total_s - self.p["spent_s"],
                "longest_s": stay.longest_s,
            }
            for (limit, seconds), stay in zip(self.budgets, self.stays, strict=True)
        ]
        scarcest = min(rows, key=lambda row: row["left_s"])
        passed = self.settled if self.settled is not None or not ended else True
        words = f"{scarcest['left_s'] / 60:.1f} min left above {scarcest['above_c']:g} degC"
        most = scarcest["budget_s"] - scarcest["spent_least_s"]
        return self.made(
            scarcest["left_s"],
            "s",
            words,
            now,
            passed=passed,
            sampling=(scarcest["left_s"], most),
            values={"budgets": rows},
        )
