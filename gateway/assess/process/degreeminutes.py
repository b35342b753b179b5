"""Degree-minutes: the area of a course of temperature beyond a limit."""

from typing import ClassVar

from gateway.assess.process.calculation import COMMON, Calculation, Sample, max_gap
from gateway.assess.process.exposure import side
from gateway.assess.process.outcome import Result
from gateway.assess.process.parameters import Parameter, ParameterProblem

__all__ = ["DegreeMinutes", "excess"]


class DegreeMinutes(Calculation):
    """Area beyond a temperature, in K min."""

    name = "degree-minutes"
    title = "degree-minutes above or below a temperature"
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
        Parameter(name="most", kind="number", unit="K min", words="degree-minutes allowed", low=0, example=60.0),
        Parameter(
            name="safe_side", kind="flag", words="decide by the most that samples and probe allow", default=False
        ),
    )
    fields: ClassVar[tuple[str, ...]] = (
        *Calculation.fields,
        "before",
        "area",
        "low",
        "high",
        "colder",
        "warmer",
        "most",
    )

    def prepare(self) -> list[ParameterProblem]:
        """Only the names."""
        self.formula = f"degree-minutes/{self.p['side']}"
        self.source = "trapezoid of the excess over the limit, cut exactly where the straight line crosses it"
        return []

    @property
    def criterion(self) -> bool:
        """With an allowance."""
        return self.p["most"] is not None

    def start(self) -> None:
        """No area."""
        self.before: float | None = None
        self.area = self.low = self.high = self.colder = self.warmer = self.most = 0.0

    def step(self, sample: Sample) -> None:
        """Add the interval's area."""
        beyond = (sample.value - self.p["limit_c"]) * (1 if self.p["side"] == "above" else -1)
        was, self.before = self.before, beyond
        if sample.dt is None or was is None:
            return
        minutes, u = sample.dt / 60, self.u or 0.0
        self.area += minutes * excess(was, beyond)
        self.low += minutes * max(0.0, min(was, beyond))
        self.high += minutes * max(0.0, was, beyond)
        self.colder += minutes * excess(was - u, beyond - u)
        self.warmer += minutes * excess(was + u, beyond + u)
        self.most += minutes * max(0.0, was + u, beyond + u)
        if self.p["most"] is not None and self._decided() > self.p["most"] and self.refused is None:
            self.settled = False

    def _decided(self) -> float:
        return self.most if self.p["safe_side"] else self.area

    def answer(self, now: float, ended: bool) -> Result:
        """The area so far."""
        passed = self.settled if self.settled is not None or not ended or self.p["most"] is None else True
        words = f"{self._decided():.4g} K min {self.p['side']} {self.p['limit_c']:g} degC"
        return self.made(
            self._decided(),
            "K min",
            words,
            now,
            passed=passed,
            probe=(self.colder, self.warmer),
            sampling=(self.low, self.high),
            values={
                "trapezoid": self.area,
                "limit_c": self.p["limit_c"],
                "side": self.p["side"],
                "most": self.p["most"],
            },
        )


def excess(first: float, second: float) -> float:
    """Mean of the positive part of a straight line from ``first`` to ``second``."""
    if first >= 0 and second >= 0:
        return (first + second) / 2
    if first <= 0 and second <= 0:
        return 0.0
    top = max(first, second)
    return top * top / (2 * (top - min(first, second)))
