"""A product beside the air: the exact response of a first-order lag. Always labelled as simulated.

Newton's law of cooling, dT/dt = (T_air - T) / tau, has for an air temperature that is constant over a step of dt
the exact solution T + (1 - exp(-dt / tau)) (T_air - T). It holds for any dt: uneven sampling and gaps need no care.
"""

from math import expm1

__all__ = ["FirstOrder"]


class FirstOrder:
    """One simulated temperature with time constant ``tau_s`` (seconds); it begins at the first value it is given.

    Over each step the input is taken to have been at its newest value: what happened in a gap is not known, and the
    product is taken to have been in the air that is there now.
    """

    __slots__ = ("at_ms", "tau_ms", "value")

    def __init__(self, tau_s: float) -> None:
        if not tau_s > 0:
            raise ValueError(f"a time constant of {tau_s} s is none: it must be above 0")
        self.tau_ms = tau_s * 1000.0
        self.value: float | None = None
        self.at_ms = 0

    def step(self, value: float, at_ms: int) -> float:
        """The simulated temperature at ``at_ms`` (boot milliseconds), the air being ``value``."""
        if self.value is None:
            self.value, self.at_ms = value, at_ms
        elif at_ms > self.at_ms:
            self.value -= expm1((self.at_ms - at_ms) / self.tau_ms) * (value - self.value)
            self.at_ms = at_ms
        return self.value
