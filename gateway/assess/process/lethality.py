"""Lethality by the general method: F, F0, pasteurisation units, P-values. L = 10^((T - Tref) / z), F = integral of
L dt."""

from math import log10
from typing import Any, ClassVar

from gateway.assess.process.calculation import COMMON, Calculation, Sample, max_gap
from gateway.assess.process.integral import Integral
from gateway.assess.process.outcome import PointValue, Result
from gateway.assess.process.parameters import Parameter, ParameterProblem
from gateway.assess.process.tables import entries

__all__ = ["Lethality"]

SAME = 1e-9
"""A sum of many intervals may miss its target by so small a part."""
HOTTEST_C = 400.0
"""Beyond this no food process lies; it keeps the power finite."""


class Lethality(Calculation):
    """Heat treatment as equivalent time at a reference temperature."""

    name = "lethality"
    title = "lethality by the general method (F, F0, PU, P): equivalent time at a reference temperature"
    parameters = (
        *COMMON,
        max_gap(300.0),
        Parameter(
            name="definition",
            kind="text",
            words="a published definition; or give reference_c and z_k",
            choices=lambda: entries("heat", "definition"),
            example="f0",
        ),
        Parameter(name="reference_c", kind="number", unit="degC", words="reference temperature", low=-20, high=200),
        Parameter(
            name="z_k", kind="number", unit="K", words="rise in temperature for a tenfold rate", low=0.5, high=100
        ),
        Parameter(
            name="z_below_k",
            kind="number",
            unit="K",
            words="z below the reference, where it differs",
            low=0.5,
            high=100,
        ),
        Parameter(
            name="cutoff_c",
            kind="number",
            unit="degC",
            words="below this nothing is counted",
            low=-50,
            high=200,
            example=50.0,
        ),
        Parameter(
            name="target",
            kind="number",
            words="what must be reached, in the unit of the value",
            low=0.0,
            example=3.0,
        ),
        Parameter(
            name="safe_side",
            kind="flag",
            words="decide by the least value that samples and probe allow, not by the trapezoid",
            default=False,
        ),
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "integral")

    def prepare(self) -> list[ParameterProblem]:
        """A definition, or reference and z; never both."""
        p = self.p
        own = [name for name in ("reference_c", "z_k", "z_below_k") if p[name] is not None]
        if p["definition"] is not None and own:
            return [ParameterProblem(own[0], "is given beside a definition", "give one or the other")]
        if p["definition"] is None and (p["reference_c"] is None or p["z_k"] is None):
            known = ", ".join(entries("heat", "definition"))
            return [ParameterProblem("definition", "is missing", f"give reference_c and z_k, or one of: {known}")]
        if p["definition"] is not None:
            entry = entries("heat", "definition")[p["definition"]]
            self.formula, self.source = f"lethality/{entry['id']}", entry["source"]
            self.reference, self.unit, self.unit_s = entry["reference_c"], entry["unit"], float(entry["unit_s"])
            self.z = 1 / log10(entry["factor"]) if "factor" in entry else entry["z_k"]
            self.z_below = entry.get("z_below_k", self.z)
        else:
            self.formula, self.source = (
                "lethality/general",
                "general method (Bigelow 1920), reference and z as configured",
            )
            self.reference, self.unit, self.unit_s = p["reference_c"], "min", 60.0
            self.z = p["z_k"]
            self.z_below = p["z_below_k"] if p["z_below_k"] is not None else self.z
        return []

    @property
    def criterion(self) -> bool:
        """With a target."""
        return self.p["target"] is not None

    def start(self) -> None:
        """Nothing yet."""
        self.integral = Integral(self.rate, self.u)

    def rate(self, celsius: float) -> float:
        """Lethal rate at a temperature: equivalent seconds at the reference for each second."""
        cutoff = self.p["cutoff_c"]
        if cutoff is not None and celsius < cutoff:
            return 0.0
        z = self.z if celsius >= self.reference else self.z_below
        return float(10 ** ((min(celsius, HOTTEST_C) - self.reference) / z))

    def step(self, sample: Sample) -> None:
        """Add the interval; a target once reached stays reached."""
        self.integral.step(sample.dt, sample.value)
        target = self.p["target"]
        if (
            target is not None
            and self.settled is None
            and self.refused is None
            and self._decided() >= target * (1 - 1e-9)
        ):
            self.settled = True

    def _decided(self) -> float:
        got = self.integral.sure_low if self.p["safe_side"] else self.integral.value
        return got / self.unit_s

    def answer(self, now: float, ended: bool) -> Result:
        """F so far."""
        got = self.integral.scaled(1 / self.unit_s)
        target, decided = self.p["target"], self._decided()
        passed = self.settled if target is None or self.settled or not ended else False
        words = f"{decided:.4g} {self.unit} at {self.reference:g} degC"
        if target is not None:
            words += (
                f", {target:g} wanted: {'reached' if passed else 'not reached' if ended else 'not yet reached'}"
            )
        return self.made(
            decided,
            self.unit,
            words,
            now,
            passed=passed,
            probe=got.probe,
            sampling=got.sampling,
            values={
                "trapezoid": got.value,
                "least": got.sure_low,
                "most": got.sure_high,
                "target": target,
                "reference_c": self.reference,
                "z_k": self.z,
                "z_below_k": self.z_below,
                "cutoff_c": self.p["cutoff_c"],
                "rule": "safe side" if self.p["safe_side"] else "trapezoid",
            },
        )

    def evaluate(self, sample: Sample) -> PointValue:
        """Lethal rate, and the time for the target at this temperature."""
        rate = self.rate(sample.value)
        target = self.p["target"]
        extra: dict[str, Any] = {
            "reference_c": self.reference,
            "z_k": self.z if sample.value >= self.reference else self.z_below,
        }
        if target is not None and rate > 0:
            extra["seconds_for_target"] = target * self.unit_s / rate
        words = f"each minute at {sample.value:g} degC counts as {rate:.4g} min at {self.reference:g} degC"
        return self.point(sample.value, rate, "1", words, extra)
