"""Growth of pathogens and spoilers over a course of temperature: log10 units by a published secondary model, no
lag."""

from typing import Any, ClassVar

from gateway.assess.process.calculation import COMMON, Calculation, Sample, max_gap
from gateway.assess.process.integral import Integral
from gateway.assess.process.models import FORMS, LN2, LN10, ModelError, built_in, growth_model
from gateway.assess.process.outcome import PointValue, Result
from gateway.assess.process.parameters import Parameter, ParameterProblem
from gateway.assess.process.tables import entries

__all__ = ["Growth"]

OWN = ("form", "formula", "response", "base", "per", "constants", "low_c", "high_c")


class Growth(Calculation):
    """Growth potential: integral of mu dt / ln 10. Without a lag phase, so at most this much from exponential
    growth."""

    name = "growth"
    title = "growth potential in log10 by a published model of the growth rate"
    parameters = (
        *COMMON,
        max_gap(3600.0),
        Parameter(
            name="model",
            kind="text",
            words="a published model; or give form or formula with constants, low_c and high_c",
            choices=lambda: entries("growth", "model"),
            example="gropin-364",
        ),
        Parameter(name="form", kind="text", words="a named form for your constants", choices=lambda: FORMS),
        Parameter(
            name="formula",
            kind="text",
            words="a formula of T (degC) in GroPIN's notation",
            example="0.024*(T+2.32)",
        ),
        Parameter(
            name="response",
            kind="text",
            words="what the formula gives",
            choices=lambda: ("mu", "sqrt-mu", "ln-mu", "log10-mu", "mumax", "Sqrmumax", "lnmumax"),
        ),
        Parameter(
            name="base",
            kind="text",
            words="rate of ln N or of log10 N",
            choices=lambda: ("ln", "log10"),
            default="ln",
        ),
        Parameter(
            name="per",
            kind="text",
            words="unit of time of the rate",
            choices=lambda: ("h", "d", "min", "s"),
            default="h",
        ),
        Parameter(name="constants", kind="table", words="constants of the formula"),
        Parameter(
            name="low_c",
            kind="number",
            unit="degC",
            words="lowest temperature of the published domain",
            low=-30,
            high=120,
        ),
        Parameter(
            name="high_c",
            kind="number",
            unit="degC",
            words="highest temperature of the published domain",
            low=-30,
            high=120,
        ),
        Parameter(name="conditions", kind="table", words="further variables of the model (pH, aw, CO2 ...)"),
        Parameter(
            name="below",
            kind="text",
            words='temperatures below the domain: "refuse", or "bound" (counted at the rate of its lower end)',
            choices=lambda: ("refuse", "bound"),
            default="refuse",
        ),
        Parameter(
            name="limit",
            kind="number",
            unit="log10",
            words="growth that must not be exceeded",
            low=0.0,
            high=20.0,
            example=1.0,
        ),
        Parameter(
            name="safe_side", kind="flag", words="decide by the most that samples and probe allow", default=False
        ),
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "integral", "bounded_s")

    def prepare(self) -> list[ParameterProblem]:
        """Find or make the model."""
        p = self.p
        own = [name for name in OWN if p[name] is not None and name not in {"base", "per"}]
        if p["model"] is not None:
            if own:
                return [ParameterProblem(own[0], "is given beside a model", "give one or the other")]
            self.model = built_in(p["model"])
        else:
            problem = self._own()
            if problem is not None:
                return [problem]
        self.formula, self.source = f"growth/{self.model.id}", self.model.source
        self.conditions = p["conditions"] or {}
        missing = sorted(set(self.model.domain) - {"T"} - set(self.conditions))
        if missing:
            what = f"lacks {', '.join(missing)}, which the model wants"
            return [ParameterProblem("conditions", what, f"add conditions.{missing[0]}")]
        return []

    def _own(self) -> ParameterProblem | None:
        p = self.p
        if p["form"] is None and p["formula"] is None:
            return ParameterProblem(
                "model", "is missing", "give model = a published one, or form or formula of your own"
            )
        if p["low_c"] is None or p["high_c"] is None:
            return ParameterProblem(
                "low_c", "and high_c say where the model was made, and one is missing", "add both"
            )
        entry = {name: p[name] for name in ("form", "formula", "response", "base", "per") if p[name] is not None}
        if p["formula"] is not None and p["form"] is not None:
            return ParameterProblem("form", "is given beside a formula", "give one or the other")
        domain = {"T": [p["low_c"], p["high_c"]]}
        domain |= {name: [value - 1e-9, value + 1e-9] for name, value in (p["conditions"] or {}).items()}
        try:
            self.model = growth_model({**entry, "constants": p["constants"] or {}, "domain": domain})
        except ModelError as error:
            return ParameterProblem(error.name if error.name in p else "formula", error.what, error.remedy)
        return None

    @property
    def criterion(self) -> bool:
        """With a limit."""
        return self.p["limit"] is not None

    def start(self) -> None:
        """No growth yet."""
        self.integral = Integral(self._rate, self.u)
        self.bounded_s = 0.0

    def _rate(self, celsius: float) -> float:
        low = self.model.domain["T"][0]
        if self.p["below"] == "bound":
            celsius = max(celsius, low)
        return self.model.mu(celsius, self.conditions)

    def step(self, sample: Sample) -> None:
        """Add the interval; a limit once exceeded stays exceeded."""
        self.integral.step(sample.dt, sample.value)
        if sample.dt is not None and self.p["below"] == "bound" and sample.value < self.model.domain["T"][0]:
            self.bounded_s += sample.dt
        limit = self.p["limit"]
        if limit is not None and self.settled is None and self.refused is None and self._decided() > limit:
            self.settled = False

    def _decided(self) -> float:
        got = self.integral.sure_high if self.p["safe_side"] else self.integral.value
        return got / 3600 / LN10

    def answer(self, now: float, ended: bool) -> Result:
        """Growth so far."""
        got = self.integral.scaled(1 / 3600 / LN10)
        limit, decided = self.p["limit"], self._decided()
        passed = self.settled
        if passed is None and ended and limit is not None:
            passed = True
        at_most = "at most " if self.bounded_s or self.p["safe_side"] else ""
        words = f"{at_most}{decided:.3g} log10 of {self.model.organism} in {self.model.food}, lag not counted"
        values: dict[str, Any] = {
            "trapezoid": got.value,
            "least": got.sure_low,
            "most": got.sure_high,
            "limit": limit,
            "organism": self.model.organism,
            "food": self.model.food,
            "domain_c": list(self.model.domain["T"]),
            "bounded_s": self.bounded_s,
            "generations": decided * LN10 / LN2,
        }
        return self.made(
            decided, "log10", words, now, passed=passed, probe=got.probe, sampling=got.sampling, values=values
        )

    def evaluate(self, sample: Sample) -> PointValue:
        """Growth rate at a temperature: mu in 1/h (ln), and what the formula itself gives."""
        model = self.model
        formula_value = model.answer(sample.value, self.conditions)
        about = {
            "formula_value": formula_value,
            "response": model.response,
            "organism": model.organism,
            "food": model.food,
        }
        if model.no_rate:
            words = f"the formula gives {formula_value:.6g}; not to be summed up: {model.no_rate}"
            return self.point(sample.value, formula_value, "as published", words, about)
        mu = model.mu(sample.value, self.conditions)
        words = f"mu = {mu:.4g} 1/h; {mu / LN10:.4g} log10 an hour"
        extra = {**about, "log10_per_h": mu / LN10, "doubling_h": LN2 / mu if mu > 0 else None}
        return self.point(sample.value, mu, "1/h", words, extra)
