"""A rule: says when a point warms faster than it should, before any limit is reached."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.api import Finding, Mistake, Reading, Rule, RuleHost, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RiseRateSettings:
    """How many degrees in how many minutes are too many."""

    degrees: float = setting(2.0, example=2.0, least=0.1, most=100)
    minutes: float = setting(10.0, example=10.0, least=0.1, most=1440)


class RiseRate(Rule):
    """Looks at each of its points by itself. A value that is not there is left out, never guessed."""

    title = "a point warms too fast"
    Settings = RiseRateSettings
    settings: RiseRateSettings

    def __init__(self, settings: RiseRateSettings, host: RuleHost) -> None:
        super().__init__(settings, host)
        self._seen: dict[str, deque[tuple[int, float]]] = {point: deque() for point in host.points}

    @classmethod
    def check(cls, settings: RiseRateSettings) -> Iterable[Mistake]:
        """A rate that no sensor can tell from its own noise."""
        if settings.degrees / settings.minutes < 0.001:
            yield Mistake("is less than any sensor can tell", "ask for more degrees, or fewer minutes", "degrees")

    def take(self, readings: Sequence[Reading]) -> Iterator[Finding]:
        """One finding for each new value of each point; to say the same twice does no harm."""
        for reading in readings:
            for value in reading.values:
                for point in value.points:
                    if value.value is not None and point in self._seen:
                        yield self._judge(point, reading.boot_ms, value.value, value.unit)

    def _judge(self, point: str, at_ms: int, value: float, unit: str) -> Finding:
        seen = self._seen[point]
        seen.append((at_ms, value))
        while at_ms - seen[0][0] > self.settings.minutes * 60_000:
            seen.popleft()
        rise = value - min(old for _, old in seen)
        return Finding(
            key="rises",
            active=rise > self.settings.degrees,
            words=f"It rose by {rise:.1f} {unit} within {self.settings.minutes:g} min",
            point=point,
            value=value,
            limit=self.settings.degrees,
            unit=unit,
        )
