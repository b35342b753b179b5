"""Mean kinetic temperature: the constant temperature that would have done as much, by an Arrhenius rate."""

import math
from typing import ClassVar

from gateway.assess.process.calculation import COMMON, Calculation, Sample, Unusable, max_gap
from gateway.assess.process.memory import Remembers
from gateway.assess.process.outcome import Result
from gateway.assess.process.parameters import Parameter, ParameterProblem

__all__ = ["MeanKinetic"]

GAS = 8.3144e-3
"""kJ/(K mol), as in USP <1079>: with 83.144 kJ/mol the quotient is exactly 10 000 K."""
WEEK_S = 604800.0
MIDDLE_K = 298.15
"""Rates are taken relative to this, which keeps them near one and leaves the result as it is."""


class Mean(Remembers):
    """Weighted mean of the Arrhenius factor, by time or by count.

    By time a value stands for half of the interval before it and half of that after it; the first and the last
    stand for a whole interval, so that equal spacing gives every value the same weight, as in the USP's definition.
    """

    fields: ClassVar[tuple[str, ...]] = ("total", "weight", "before", "dt", "first", "low", "high")

    def __init__(self) -> None:
        self.total = 0.0
        self.weight = 0.0
        self.before: float | None = None
        self.dt: float | None = None
        self.first: list[float] | None = None
        self.low = 0.0
        self.high = 0.0

    def step(self, dt: float | None, factor: float, by_time: bool) -> None:
        """One more value."""
        if not by_time:
            self.total += factor
            self.weight += 1
        elif dt is not None and self.before is not None:
            if self.first is None:
                self.first = [self.before, dt]
            self.total += dt * (factor + self.before) / 2
            self.low += dt * min(factor, self.before)
            self.high += dt * max(factor, self.before)
            self.weight += dt
            self.dt = dt
        self.before = factor

    def mean(self) -> float:
        """The mean factor so far."""
        if self.first is None or self.dt is None or self.before is None:
            return self.total / self.weight
        ends = self.first[1] * self.first[0] / 2 + self.dt * self.before / 2
        return (self.total + ends) / (self.weight + self.first[1] / 2 + self.dt / 2)


class MeanKinetic(Calculation):
    """Tk = (dH/R) / -ln(mean of exp(-dH/(R T)))."""

    name = "mkt"
    title = "mean kinetic temperature"
    parameters = (
        *COMMON,
        max_gap(WEEK_S),
        Parameter(
            name="activation_kj",
            kind="number",
            unit="kJ/mol",
            words="activation energy",
            default=83.144,
            low=1.0,
            high=500.0,
        ),
        Parameter(
            name="weighting",
            kind="text",
            words='"time": each value by the time it stands for; "equal": a list of readings',
            default="time",
            choices=lambda: ("time", "equal"),
        ),
        Parameter(
            name="kelvin",
            kind="number",
            unit="K",
            words="what is added to degC: 273.15, or 273.1 as the USP prints it",
            default=273.15,
            low=273.0,
            high=273.2,
        ),
        Parameter(
            name="frozen_below_c",
            kind="number",
            unit="degC",
            words="the mean kinetic temperature has no meaning for frozen product: a value below this refuses it",
            default=0.0,
            low=-90.0,
            high=30.0,
        ),
        Parameter(
            name="limit_c",
            kind="number",
            unit="degC",
            words="what it must not exceed",
            low=-50,
            high=100,
            example=25.0,
        ),
    )
    shortest = 1
    fields: ClassVar[tuple[str, ...]] = (
        *Calculation.fields,
        "mean",
        "colder",
        "warmer",
        "lowest_c",
        "highest_c",
        "sum_c",
    )

    def prepare(self) -> list[ParameterProblem]:
        """Only the names."""
        self.formula = "mkt/usp-1079"
        self.source = "USP <1079>, <1079.2>: Haynes 1971; time weights for uneven spacing as in Tong and Lock 2015"
        self._quotient = self.p["activation_kj"] / GAS
        return []

    @property
    def criterion(self) -> bool:
        """With a limit."""
        return self.p["limit_c"] is not None

    def start(self) -> None:
        """Nothing weighed."""
        self.mean = Mean()
        self.colder = Mean()
        self.warmer = Mean()
        self.sum_c = Mean()
        self.lowest_c: float | None = None
        self.highest_c: float | None = None

    def _factor(self, celsius: float) -> float:
        return math.exp(-self._quotient * (1 / (celsius + self.p["kelvin"]) - 1 / MIDDLE_K))

    def _celsius(self, factor: float) -> float:
        return float(1 / (1 / MIDDLE_K - math.log(factor) / self._quotient) - self.p["kelvin"])

    def step(self, sample: Sample) -> None:
        """Weigh one value."""
        if sample.value < self.p["frozen_below_c"]:
            words = f"{sample.value:.2f} degC is below {self.p['frozen_below_c']:g} degC: not for frozen product"
            raise Unusable(
                "frozen", words, "judge frozen product by its limits; or set frozen_below_c on good grounds"
            )
        by_time = self.p["weighting"] == "time"
        self.mean.step(sample.dt, self._factor(sample.value), by_time)
        self.sum_c.step(sample.dt, sample.value, by_time)
        u = self.u or 0.0
        self.colder.step(sample.dt, self._factor(sample.value - u), by_time)
        self.warmer.step(sample.dt, self._factor(sample.value + u), by_time)
        self.lowest_c = sample.value if self.lowest_c is None else min(sample.value, self.lowest_c)
        self.highest_c = sample.value if self.highest_c is None else max(sample.value, self.highest_c)

    def answer(self, now: float, ended: bool) -> Result:
        """The mean so far."""
        if self.p["weighting"] == "time" and self.mean.weight == 0:
            raise Unusable("too-few", "one value is no course of time", "feed at least two values")
        value = self._celsius(self.mean.mean())
        sampling = None
        if self.p["weighting"] == "time":
            sampling = (
                self._celsius(self.mean.low / self.mean.weight),
                self._celsius(self.mean.high / self.mean.weight),
            )
        limit = self.p["limit_c"]
        passed = None if limit is None or not ended else value <= limit
        return self.made(
            value,
            "degC",
            f"mean kinetic temperature {value:.2f} degC",
            now,
            passed=passed,
            probe=(self._celsius(self.colder.mean()), self._celsius(self.warmer.mean())),
            sampling=sampling,
            values={
                "mean_c": self.sum_c.mean(),
                "lowest_c": self.lowest_c,
                "highest_c": self.highest_c,
                "activation_kj": self.p["activation_kj"],
                "weighting": self.p["weighting"],
                "limit_c": limit,
            },
        )
