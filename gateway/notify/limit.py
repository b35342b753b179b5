"""How many notices a recipient gets: so many in so long a time, and what is beyond that comes together in one."""

__all__ = ["Limit"]


class Limit:
    """A bucket of ``count`` places, which fill up again evenly within ``per_s`` seconds (monotonic time)."""

    __slots__ = ("_at_s", "_count", "_left", "_per_s")

    def __init__(self, count: int, per_s: float) -> None:
        self._count = count
        self._per_s = per_s
        self._left = float(count)
        self._at_s: float | None = None

    def left(self, now_s: float) -> int:
        """Places that are free now."""
        if self._at_s is None:
            self._at_s = now_s
        elif now_s > self._at_s:
            gained = (now_s - self._at_s) * self._count / self._per_s
            self._left = min(float(self._count), self._left + gained)
            self._at_s = now_s
        return int(self._left + 1e-9)

    def take(self, now_s: float) -> None:
        """Use one place."""
        self.left(now_s)
        self._left = max(0.0, self._left - 1.0)

    def wait_s(self, now_s: float) -> float:
        """Seconds until a place is free, 0 when one is."""
        if self.left(now_s) >= 1:
            return 0.0
        return (1.0 - self._left) * self._per_s / self._count
