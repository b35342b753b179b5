"""When a disk will be full: a straight line through what was used lately (least squares)."""

from collections import deque

__all__ = ["FullForecast"]

LEAST_S = 3600.0
"""A shorter stretch says nothing: the write-ahead log alone comes and goes by megabytes."""
FARTHEST_S = 10 * 365.25 * 86400.0


class FullForecast:
    """Takes a sample every ten minutes or so; keeps those of the last day."""

    def __init__(self, kept: int = 145) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=kept)

    def note(self, at_s: float, used_bytes: int) -> None:
        """At ``at_s`` (seconds, any clock that is not set) so much was used."""
        self._samples.append((at_s, used_bytes))

    @property
    def growth(self) -> float | None:
        """Bytes a second; None while too little is known."""
        samples = self._samples
        if len(samples) < 3 or samples[-1][0] - samples[0][0] < LEAST_S:
            return None
        count = len(samples)
        mean_t = sum(at_s for at_s, _ in samples) / count
        mean_b = sum(used for _, used in samples) / count
        spread = sum((at_s - mean_t) ** 2 for at_s, _ in samples)
        return sum((at_s - mean_t) * (used - mean_b) for at_s, used in samples) / spread

    def full_in_s(self, free_bytes: int) -> float | None:
        """Seconds until nothing is free; None while it is not filling, or not within ten years, or not known."""
        growth = self.growth
        if growth is None or growth <= 0 or free_bytes / growth > FARTHEST_S:
            return None
        return free_bytes / growth
