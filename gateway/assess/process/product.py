"""Product temperature simulated from air temperature: the exact response of a first-order lag, for any spacing of
samples."""

from math import exp
from typing import ClassVar

from gateway.assess.process.calculation import COMMON, Calculation, Sample, Unusable, max_gap
from gateway.assess.process.outcome import Result
from gateway.assess.process.parameters import Parameter, ParameterProblem

__all__ = ["Product"]

SETTLED_TAUS = 5.0
"""After so many time constants less than 0.7 % of a wrong start is left."""


class Product(Calculation):
    """T_product += (1 - exp(-dt/tau)) (T_air - T_product). The result is a simulation, and says so."""

    name = "product"
    title = "simulated product temperature: first-order response to the air temperature"
    shortest = 1
    parameters = (
        *COMMON,
        max_gap(900.0),
        Parameter(
            name="tau_min",
            kind="number",
            unit="min",
            words="time constant",
            required=True,
            low=0.01,
            high=100000,
            example=60.0,
        ),
        Parameter(
            name="start_c",
            kind="number",
            unit="degC",
            words="product at the start (default: the first air value)",
            low=-100,
            high=300,
        ),
        Parameter(
            name="hold",
            kind="text",
            words='air between samples: "new" (the newer value for the whole interval) or "ramp" (a straight line)',
            default="new",
            choices=lambda: ("new", "ramp"),
        ),
        Parameter(
            name="limit_c",
            kind="number",
            unit="degC",
            words="simulated temperature that must not be exceeded",
            low=-100,
            high=300,
        ),
    )
    fields: ClassVar[tuple[str, ...]] = (
        *Calculation.fields,
        "celsius",
        "air_c",
        "lowest_c",
        "highest_c",
        "unbroken_s",
        "broken",
    )

    def prepare(self) -> list[ParameterProblem]:
        """Only the names."""
        self.formula = f"product/first-order-{self.p['hold']}"
        self.source = "Newton's law of cooling, exact discrete response alpha = 1 - exp(-dt/tau); tau as configured"
        self.tau_s = self.p["tau_min"] * 60
        return []

    @property
    def criterion(self) -> bool:
        """With a limit."""
        return self.p["limit_c"] is not None

    def start(self) -> None:
        """No product yet."""
        self.celsius: float | None = None
        self.air_c: float | None = None
        self.lowest_c: float | None = None
        self.highest_c: float | None = None
        self.unbroken_s = 0.0
        self.broken = False

    def gap(self) -> None:
        """What the air did is not known: the simulation begins anew, and has no result until it has settled."""
        self.celsius = None
        self.unbroken_s = 0.0
        self.broken = True

    def step(self, sample: Sample) -> None:
        """Let the product follow."""
        if self.celsius is None or sample.dt is None or self.air_c is None:
            given = self.p["start_c"] if not self.broken else None
            self.celsius = given if given is not None else sample.value
        else:
            decay = exp(-sample.dt / self.tau_s)
            if self.p["hold"] == "new":
                self.celsius = sample.value + (self.celsius - sample.value) * decay
            else:
                lag = self.tau_s * (sample.value - self.air_c) / sample.dt
                self.celsius = sample.value - lag + (self.celsius - self.air_c + lag) * decay
            self.unbroken_s += sample.dt
        self.air_c = sample.value
        if self.broken and self.unbroken_s < SETTLED_TAUS * self.tau_s:
            return
        self.lowest_c = self.celsius if self.lowest_c is None else min(self.celsius, self.lowest_c)
        self.highest_c = self.celsius if self.highest_c is None else max(self.celsius, self.highest_c)
        if self.p["limit_c"] is not None and self.celsius > self.p["limit_c"]:
            self.settled = False

    def answer(self, now: float, ended: bool) -> Result:
        """The simulated temperature at the newest sample."""
        assert self.celsius is not None
        if self.broken and self.unbroken_s < SETTLED_TAUS * self.tau_s:
            left = SETTLED_TAUS * self.tau_s - self.unbroken_s
            words = f"after a gap in the air temperature the simulation settles for another {left / 60:.0f} min"
            raise Unusable("gap", words, "wait; the air temperature itself is not affected")
        limit = self.p["limit_c"]
        passed = self.settled if limit is None or self.settled is False or not ended else True
        u = self.u or 0.0
        return self.made(
            self.celsius,
            "degC",
            f"simulated product {self.celsius:.2f} degC (not measured), air {self.air_c:.2f} degC",
            now,
            passed=passed,
            probe=(self.celsius - u, self.celsius + u),
            values={
                "simulated": True,
                "air_c": self.air_c,
                "lowest_c": self.lowest_c,
                "highest_c": self.highest_c,
                "tau_min": self.p["tau_min"],
                "start_left": exp(-self.unbroken_s / self.tau_s),
                "limit_c": limit,
            },
        )
