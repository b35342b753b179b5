"""Remaining shelf life: relative rates of spoilage by temperature, phases add up as fractions of a life."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from gateway.assess.process.calculation import COMMON, Calculation, Sample, Unusable, max_gap
from gateway.assess.process.integral import Integral
from gateway.assess.process.outcome import PointValue, Result
from gateway.assess.process.parameters import Parameter, ParameterProblem
from gateway.assess.process.tables import entries

__all__ = ["ShelfLife"]

DAY_S = 86400.0
GAS = 8.314462618e-3
NEEDS = {"square-root": "t_min_c", "arrhenius": "ea_kj", "exponential": "a_per_k", "q10": "q10"}


class ShelfLife(Calculation):
    """Life fraction used and left, from the shelf life known at one temperature."""

    name = "shelf-life"
    title = "remaining shelf life by the relative rate of spoilage"
    parameters = (
        *COMMON,
        max_gap(21600.0),
        Parameter(
            name="product",
            kind="text",
            words="a published relative rate of spoilage; or give kind and its constant",
            choices=lambda: entries("spoilage", "product"),
            example="cold-smoked-salmon",
        ),
        Parameter(
            name="kind",
            kind="text",
            words="square-root (t_min_c), arrhenius (ea_kj), exponential (a_per_k) or q10 (q10)",
            choices=lambda: NEEDS,
        ),
        Parameter(
            name="t_min_c",
            kind="number",
            unit="degC",
            words="Tmin of the square-root model",
            low=-40,
            high=30,
            example=-10.0,
        ),
        Parameter(
            name="ea_kj", kind="number", unit="kJ/mol", words="activation energy", low=1, high=500, example=80.0
        ),
        Parameter(name="a_per_k", kind="number", unit="1/K", words="ln RRS = a T", low=0.001, high=2, example=0.12),
        Parameter(name="q10", kind="number", words="rate at T + 10 over rate at T", low=1.0, high=20, example=2.5),
        Parameter(
            name="known_c",
            kind="number",
            unit="degC",
            words="temperature at which the shelf life is known",
            required=True,
            low=-30,
            high=60,
            example=5.0,
        ),
        Parameter(
            name="known_days",
            kind="number",
            unit="d",
            words="shelf life there",
            required=True,
            low=0.01,
            high=5000,
            example=21.0,
        ),
        Parameter(
            name="later_c",
            kind="number",
            unit="degC",
            words="temperature of the time to come (default known_c)",
            low=-30,
            high=60,
        ),
        Parameter(
            name="low_c",
            kind="number",
            unit="degC",
            words="lowest temperature of the model's range",
            low=-40,
            high=60,
            example=0.0,
        ),
        Parameter(
            name="high_c",
            kind="number",
            unit="degC",
            words="highest temperature of the model's range",
            low=-40,
            high=60,
            example=25.0,
        ),
        Parameter(
            name="safe_side", kind="flag", words="decide by the most that samples and probe allow", default=False
        ),
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "used")

    def prepare(self) -> list[ParameterProblem]:
        """Find the rate and its range."""
        p = self.p
        if (p["product"] is None) == (p["kind"] is None):
            what = "is missing" if p["product"] is None else "is given beside kind"
            return [ParameterProblem("product", what, "give product = a published one, or kind and its constant")]
        if p["product"] is not None:
            entry: Mapping[str, Any] = entries("spoilage", "product")[p["product"]]
            self.kind, self.constant = entry["kind"], entry[NEEDS[entry["kind"]]]
            self.low, self.high = entry["low_c"], entry["high_c"]
            self.formula, self.source = f"shelf-life/{entry['id']}", entry["source"]
        else:
            self.kind = p["kind"]
            name = NEEDS[self.kind]
            if p[name] is None:
                return [ParameterProblem(name, f"is missing, and {self.kind} wants it", f"add {name}")]
            self.constant = p[name]
            self.low, self.high = p["low_c"], p["high_c"]
            self.formula = f"shelf-life/{self.kind}"
            self.source = "relative rate of spoilage (Dalgaard 2002; SSSP, DTU Aqua), constant as configured"
        if self.kind == "square-root" and p["known_c"] <= self.constant:
            return [ParameterProblem("known_c", "is not above t_min_c", "write a temperature at which it spoils")]
        found = []
        for name in ("known_c", "later_c"):
            try:
                if p[name] is not None:
                    self.rate(p[name])
            except Unusable as unusable:
                found.append(ParameterProblem(name, unusable.words, unusable.remedy))
        return found

    @property
    def criterion(self) -> bool:
        """Always: the life."""
        return True

    def start(self) -> None:
        """Nothing used."""
        self.used = Integral(self.rate, self.u)

    def rate(self, celsius: float) -> float:
        """Rate of spoilage relative to the one at known_c. Raises `Unusable`."""
        if (self.low is not None and celsius < self.low) or (self.high is not None and celsius > self.high):
            words = f"{celsius:.2f} degC lies outside the model's range ({_range(self.low, self.high)})"
            raise Unusable("outside-domain", words, "use a model made for it; none may be stretched")
        known = self.p["known_c"]
        if self.kind == "square-root":
            if celsius <= self.constant:
                raise Unusable("outside-domain", f"{celsius:.2f} degC is not above Tmin", "use another model")
            return float(((celsius - self.constant) / (known - self.constant)) ** 2)
        if self.kind == "arrhenius":
            return math.exp(-self.constant / GAS * (1 / (celsius + 273.15) - 1 / (known + 273.15)))
        if self.kind == "exponential":
            return math.exp(self.constant * (celsius - known))
        return float(self.constant ** ((celsius - known) / 10))

    def step(self, sample: Sample) -> None:
        """Use up some life; life once over stays over."""
        self.used.step(sample.dt, sample.value)
        if self.settled is None and self.refused is None and self._fraction() >= 1:
            self.settled = False

    def _fraction(self) -> float:
        used = self.used.sure_high if self.p["safe_side"] else self.used.value
        return float(used / (self.p["known_days"] * DAY_S))

    def answer(self, now: float, ended: bool) -> Result:
        """Days left at later_c."""
        p = self.p
        used, fraction = self.used.scaled(1 / (p["known_days"] * DAY_S)), self._fraction()
        later = p["later_c"] if p["later_c"] is not None else p["known_c"]
        life = p["known_days"] / self.rate(later)

        def left(part: float) -> float:
            return float(max(0.0, 1 - part) * life)

        passed = self.settled if self.settled is not None or not ended else True
        words = f"{fraction:.1%} of the shelf life is used; {left(fraction):.3g} days are left at {later:g} degC"
        if self.low is None and self.high is None:
            words += "; the model's range is not stated (low_c, high_c)"
        return self.made(
            left(fraction),
            "d",
            words,
            now,
            passed=passed,
            probe=(left(used.probe[1]), left(used.probe[0])),
            sampling=(left(used.sampling[1]), left(used.sampling[0])),
            values={"used": fraction, "later_c": later, "life_at_later_d": life, "known_c": p["known_c"]},
        )

    def evaluate(self, sample: Sample) -> PointValue:
        """Shelf life at a temperature."""
        rate = self.rate(sample.value)
        days = self.p["known_days"] / rate
        extra: dict[str, Any] = {"relative_rate": rate}
        try:
            extra["rrs_to_0_c"] = rate / self.rate(0.0)
        except Unusable:
            extra["rrs_to_0_c"] = None
        return self.point(sample.value, days, "d", f"shelf life {days:.3g} days at {sample.value:g} degC", extra)


def _range(low: float | None, high: float | None) -> str:
    return f"{'...' if low is None else f'{low:g}'} to {'...' if high is None else f'{high:g}'} degC"
