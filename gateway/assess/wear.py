"""What wears out at a sensor, told before it fails: its battery and its signal, with a forecast or "unknown"."""

from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from gateway.assess.bootline import Move
from gateway.assess.sentences import quantity
from gateway.assess.trend import Forecast, Trend
from gateway.model import Column, Condition, DeviceLayout, Tier

__all__ = ["BATTERY_LOW", "WEAK_DBM", "Wear", "worn"]

BATTERY_LOW = 20.0
BATTERY_BACK = 25.0
"""Percent of charge below which a battery is low, and at which it is good again."""
BATTERY_EMPTY = 0.0
BATTERY_CHANGED = 20.0
"""So much more than before at once is another battery."""

SOON_DAYS = 14.0
"""What is forecast to end sooner is told, however much is left."""

WEAK_DBM = -90.0
STRONG_DBM = -85.0
"""Signal strength below which a sensor is heard weakly, and at which it is well again."""
LOST_DBM = -100.0
"""Below this usual adapters hear nothing."""
OF_VALUES = 15
"""Signal strength jumps from one advertisement to the next: the median of so many is looked at."""


class Wear:
    """One such column of a device. ``low`` and ``back`` are its limit and the end of the alarm, ``end`` what is
    forecast: the value at which it no longer works.
    """

    __slots__ = (
        "_recent",
        "_told",
        "at",
        "back",
        "column",
        "device",
        "end",
        "low",
        "name",
        "rule",
        "since_ms",
        "stirred",
        "trend",
    )

    def __init__(self, device: str, at: int, column: Column) -> None:
        self.device = device
        self.at = at
        self.column = column
        signal = column.unit == "dBm"
        self.rule, self.name = ("signal-weak", "signal") if signal else ("battery-low", "battery")
        self.low, self.back, self.end = (
            (WEAK_DBM, STRONG_DBM, LOST_DBM) if signal else (BATTERY_LOW, BATTERY_BACK, BATTERY_EMPTY)
        )
        self.trend = Trend(4.0 if signal else 2.0)
        self.since_ms: int | None = None
        """Since when it is low."""
        self.stirred = False
        """Whether there is something new that a restart should know."""
        self._recent: deque[float] = deque(maxlen=OF_VALUES if signal else 1)
        self._told: int | None = None
        """Days that the alarm which stands has told of."""

    def value(self, value: float, at_ms: int) -> Condition | None:
        """Take a value; the condition that it begins or ends, or whose forecast has become another."""
        recent = self._recent
        if self.rule == "battery-low" and recent and value - recent[-1] >= BATTERY_CHANGED:
            self.trend.restart()
        recent.append(value)
        fresh = self.trend.add(value, at_ms)
        self.stirred |= fresh
        if len(recent) < (recent.maxlen or 1):
            return None
        level = median(recent)
        if self.since_ms is None:
            if level >= self.low and not (fresh and self._soon()):
                return None
            self.since_ms = at_ms
            return self.condition(level, at_ms, active=True)
        if level >= self.back and not self._soon():
            condition = self.condition(level, at_ms, active=False)
            self.since_ms = None
            return condition
        if fresh and self._days(self.trend.forecast(self.end)) != self._told:
            return self.condition(level, at_ms, active=True)
        return None

    def _soon(self) -> bool:
        """Whether it is known to end within a short time, however good it looks now."""
        forecast = self.trend.forecast(self.end)
        return forecast is not None and forecast.days < SOON_DAYS

    @staticmethod
    def _days(forecast: Forecast | None) -> int | None:
        return None if forecast is None else round(forecast.days)

    def condition(self, level: float | None, at_ms: int, *, active: bool) -> Condition:
        """What is so now."""
        forecast = self.trend.forecast(self.end) if active else None
        self._told = self._days(forecast)
        words = f"{self.name} of {self.device} is {self._state(active=active)}"
        words += "" if level is None else f" at {quantity(level, self.column.unit)}"
        if active:
            words += "; how long it will last is not known"
            if forecast is not None:
                words = words.removesuffix("how long it will last is not known") + _span(forecast)
        return Condition(
            alarm=f"{self.device}.{self.column.channel}/{self.rule}",
            active=active,
            at_ms=at_ms,
            since_ms=self.since_ms if self.since_ms is not None else at_ms,
            rule=self.rule,
            tier=Tier.MAINTENANCE,
            device=self.device,
            value=level,
            limit=self.low,
            unit=self.column.unit,
            words=words,
            detail={
                "hysteresis": self.back - self.low,
                "days_left": None if forecast is None else round(forecast.days, 1),
                "days_soonest": None if forecast is None else round(forecast.soonest, 1),
                "days_latest": None if forecast is None else round(forecast.latest, 1),
            },
        )

    def _state(self, *, active: bool) -> str:
        return ("weak" if self.name == "signal" else "low") if active else "good again"

    def reconcile(self, standing: Mapping[str, Condition], at_ms: int) -> list[Condition]:
        """Take over what stands and is forgotten here; say again what is held here and does not stand."""
        stands = standing.get(f"{self.device}.{self.column.channel}/{self.rule}")
        if stands is not None and self.since_ms is None:
            self.since_ms = stands.since_ms
        elif stands is None and self.since_ms is not None:
            return [self.condition(None, at_ms, active=True)]
        return []

    def move(self, move: Move) -> None:
        """Move all times: see `RuleState.move`."""
        self.since_ms = move(self.since_ms)
        self.trend.move(move)

    def save(self) -> list[Any]:
        """Plain data for a restart."""
        return [self.since_ms, *self.trend.save()]

    def load(self, saved: Sequence[Any]) -> None:
        """Take back what `save` gave."""
        since_ms, *trend = saved
        self.since_ms = None if since_ms is None else int(since_ms)
        self.trend.load(trend)


def _span(forecast: Forecast) -> str:
    soonest, latest = round(forecast.soonest), round(forecast.latest)
    days = f"{soonest}" if soonest == latest else f"{soonest} to {latest}"
    return f"by its trend it will last about {round(forecast.days)} days ({days})"


def worn(device: DeviceLayout, watched: Sequence[str]) -> list[Wear]:
    """The columns of a device that wear, without those that a point watches. A voltage alone does not say when a
    battery is low.
    """
    taken, found = set(watched), []
    for index, column in enumerate(device.columns):
        battery = column.unit == "%" and "battery" in column.channel
        signal = column.unit == "dBm" and column.channel == "rssi"
        if column.role == "value" and (battery or signal) and column.channel not in taken:
            found.append(Wear(device.id, index, column))
    return found
