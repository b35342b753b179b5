"""Secondary growth models: what gives the specific growth rate at a temperature, and where it may be asked.

Everything is brought to mu in 1/h with the natural logarithm: ``response`` tells what the formula itself gives (mu,
its square root, its logarithm), ``base`` whether that is a rate of ln N or of log10 N, ``per`` the unit of time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from gateway.assess.process.calculation import Unusable
from gateway.assess.process.formula import Formula, FormulaError
from gateway.assess.process.tables import entries

__all__ = ["FORMS", "LN2", "LN10", "GrowthModel", "ModelError", "built_in", "growth_model"]

LN2 = math.log(2)
LN10 = math.log(10)
EDGE = 1e-9
"""What rounding may do to a temperature at the edge of a domain."""

FORMS: Mapping[str, tuple[str, str]] = {
    "square-root": ("sqrt-mu", "b*(T-Tmin)"),
    "ratkowsky": ("sqrt-mu", "b*(T-Tmin)*(1-exp(c*(T-Tmax)))"),
    "ratkowsky-1983-mu": ("mu", "(b*(T-Tmin)*(1-exp(c*(T-Tmax))))^2"),
    "zwietering": ("mu", "a*(T-Tmin)^2*(1-exp(c*(T-Tmax)))"),
    "huang": ("sqrt-mu", "a*(T-Tmin)^0.75"),
    "huang-full": ("sqrt-mu", "a*(T-Tmin)^0.75*(1-exp(c*(T-Tmax)))^0.5"),
    "rosso": (
        "mu",
        "mu_opt*(T-Tmax)*(T-Tmin)^2/((Topt-Tmin)*((Topt-Tmin)*(T-Topt)-(Topt-Tmax)*(Topt+Tmin-2*T)))",
    ),
    "log-linear": ("ln-mu", "a+b*T"),
    "arrhenius": ("ln-mu", "log(mu_ref)-Ea/0.008314462618*(1/(T+273.15)-1/(T_ref+273.15))"),
    "cardinal-square": ("mu", "mu_ref*((T-Tmin)/(T_ref-Tmin))^2"),
}
"""Named forms: response and formula. T is in degC, Ea in kJ/mol."""

RESPONSES = {"mu": 1, "sqrt-mu": 2, "ln-mu": 3, "log10-mu": 4}
ALIASES = {"mumax": "mu", "Sqrmumax": "sqrt-mu", "lnmumax": "ln-mu", "sqrt_mu": "sqrt-mu", "ln_mu": "ln-mu"}
HOURS = {"h": 1.0, "d": 24.0, "min": 1 / 60, "s": 1 / 3600}


class ModelError(ValueError):
    """A model cannot be used: ``name`` is the setting at fault, ``what`` and ``remedy`` say it."""

    def __init__(self, name: str, what: str, remedy: str) -> None:
        self.name = name
        self.what = what
        self.remedy = remedy
        super().__init__(f"{name}: {what}; {remedy}")


@dataclass(frozen=True, slots=True)
class GrowthModel:
    """One published model. ``domain`` gives [low, high] for T and for every further variable."""

    id: str
    organism: str
    food: str
    source: str
    formula: Formula
    response: str
    base: str
    per: str
    domain: Mapping[str, tuple[float, float]]
    no_rate: str = ""
    """Why it cannot be taken as a rate of ln N; empty where it can."""

    def answer(self, celsius: float, conditions: Mapping[str, float]) -> float:
        """What the formula itself gives, in the unit it was published in. Raises `Unusable`."""
        values = {**conditions, "T": celsius}
        for name, (low, high) in self.domain.items():
            if name not in values:
                raise Unusable("condition-missing", f"{self.id} wants {name}", f"give conditions.{name}")
            if not low - EDGE <= values[name] <= high + EDGE:
                words = f"{name} = {values[name]:g} lies outside {low:g} to {high:g}, where {self.id} was made"
                raise Unusable("outside-domain", words, "use a model made for it; none may be stretched")
        value = self.formula(values)
        if value is None:
            raise Unusable("no-number", f"{self.id} has no real value at T = {celsius:g}", "use another model")
        return value

    def mu(self, celsius: float, conditions: Mapping[str, float]) -> float:
        """Specific growth rate, 1/h, of ln N; 0 where the published rate is not positive. Raises `Unusable`."""
        value = self.answer(celsius, conditions)
        if self.no_rate:
            words = f"{self.id} is filed as a growth rate, but {self.no_rate}"
            raise Unusable("not-a-growth-rate", words, "use another model")
        if self.response == "sqrt-mu":
            rate = max(0.0, value) ** 2
        elif self.response == "ln-mu":
            rate = math.exp(min(value, 700.0))
        elif self.response == "log10-mu":
            rate = 10.0 ** min(value, 300.0)
        else:
            rate = max(0.0, value)
        return rate * (LN10 if self.base == "log10" else 1.0) / HOURS[self.per]


def growth_model(entry: Mapping[str, Any]) -> GrowthModel:
    """A model from its table (see data/growth.toml). Raises `ModelError`."""
    text, response = entry.get("formula"), entry.get("response")
    if text is None:
        form = str(entry.get("form"))
        if form not in FORMS:
            raise ModelError("form", f"{form!r} is not a form of growth model", f"use one of: {', '.join(FORMS)}")
        response, text = FORMS[form]
    response = ALIASES.get(str(response), response)
    if response not in RESPONSES:
        raise ModelError("response", f"{response!r} is not a response", f"use one of: {', '.join(RESPONSES)}")
    base, per = entry.get("base", "ln"), entry.get("per", "h")
    if base not in {"ln", "log10"} or per not in HOURS:
        raise ModelError(
            "base", f"{base!r} per {per!r} is no rate", 'use "ln" or "log10", per "h", "d", "min" or "s"'
        )
    constants = {str(name): float(value) for name, value in entry.get("constants", {}).items()}
    domain = {str(name): (float(ends[0]), float(ends[1])) for name, ends in entry.get("domain", {}).items()}
    try:
        formula = Formula(text, constants)
    except FormulaError as error:
        raise ModelError("formula", str(error), "write it with + - * / ^ ( ) exp log log10 sqrt") from None
    unknown = sorted(set(formula.names) - set(domain))
    if unknown or "T" not in domain:
        lacking = ", ".join(unknown or ["T"])
        raise ModelError("domain", f"has no range for {lacking}", "give a constant, or the published [low, high]")
    if any(low >= high for low, high in domain.values()):
        raise ModelError("domain", "has a range that does not rise", "write [low, high]")
    return GrowthModel(
        id=str(entry.get("id", "own")),
        organism=str(entry.get("organism", "as configured")),
        food=str(entry.get("food", "as configured")),
        source=str(entry.get("source", "model as configured")),
        formula=formula,
        response=response,
        base=base,
        per=per,
        domain=domain,
        no_rate=str(entry.get("no_rate", "")),
    )


@cache
def built_in(name: str) -> GrowthModel:
    """A model of data/growth.toml by its id."""
    return growth_model(entries("growth", "model")[name])
