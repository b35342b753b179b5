"""An integral over time of a rate that depends on temperature, with what probe and sampling leave open. O(1)
memory."""

from collections.abc import Callable
from typing import ClassVar

from gateway.assess.process.calculation import Unusable
from gateway.assess.process.memory import Remembers

__all__ = ["Integral"]


class Integral(Remembers):
    """``value`` by the trapezoid rule, in units of rate times seconds.

    ``low`` and ``high`` take the smaller and the larger rate of each interval's two ends: between them lies the
    truth as long as the temperature did not leave the range of its two neighbours. ``probe_low`` and ``probe_high``
    are the trapezoid with every reading wrong by ``u`` kelvin in the one or the other direction; ``sure_low`` and
    ``sure_high`` have both.
    """

    fields: ClassVar[tuple[str, ...]] = (
        "value",
        "low",
        "high",
        "probe_low",
        "probe_high",
        "sure_low",
        "sure_high",
        "before",
    )

    def __init__(self, rate: Callable[[float], float], u: float | None) -> None:
        self._rate = rate
        self._u = u
        self.value = self.low = self.high = 0.0
        self.probe_low = self.probe_high = 0.0
        self.sure_low = self.sure_high = 0.0
        self.before: list[float] | None = None
        """Rate at the sample before: as read, the least and the most that the probe allows."""

    def step(self, dt: float | None, celsius: float) -> None:
        """One more value; without ``dt`` nothing is added. Raises `Unusable` where there is no rate."""
        rate = self._rate(celsius)
        least = most = rate
        if self._u:
            shifted = [rate, self._shifted(celsius - self._u, rate), self._shifted(celsius + self._u, rate)]
            least, most = min(shifted), max(shifted)
        before, self.before = self.before, [rate, least, most]
        if dt is None or before is None:
            return
        self.value += dt * (rate + before[0]) / 2
        self.low += dt * min(rate, before[0])
        self.high += dt * max(rate, before[0])
        self.probe_low += dt * (least + before[1]) / 2
        self.probe_high += dt * (most + before[2]) / 2
        self.sure_low += dt * min(least, before[1])
        self.sure_high += dt * max(most, before[2])

    def _shifted(self, celsius: float, rate: float) -> float:
        """The rate that a wrong probe would hide; where that lies outside the formula's domain, the rate as
        read."""
        try:
            return self._rate(celsius)
        except Unusable:
            return rate

    def scaled(self, factor: float) -> "Scaled":
        """All figures in another unit."""
        return Scaled(
            self.value * factor,
            (self.low * factor, self.high * factor),
            (self.probe_low * factor, self.probe_high * factor),
            self.sure_low * factor,
            self.sure_high * factor,
        )


class Scaled:
    """The figures of an integral in the unit of its result."""

    __slots__ = ("probe", "sampling", "sure_high", "sure_low", "value")

    def __init__(
        self,
        value: float,
        sampling: tuple[float, float],
        probe: tuple[float, float],
        sure_low: float,
        sure_high: float,
    ) -> None:
        self.value = value
        self.sampling = sampling
        self.probe = probe
        self.sure_low = sure_low
        self.sure_high = sure_high
