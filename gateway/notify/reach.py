"""Whether an output reaches anybody: when it last did, and since when it does not."""

__all__ = ["Reach"]


class Reach:
    """Times in seconds, monotonic. As long as nothing was tried, nothing is known."""

    __slots__ = ("at_s", "failing_since_s", "known")

    def __init__(self) -> None:
        self.known = False
        self.at_s = float("-inf")
        """When something was tried last."""
        self.failing_since_s: float | None = None
        """Since when everything failed; None after a success."""

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.failing_since_s is not None

    def ok(self, now_s: float) -> None:
        """Somebody was reached, or could have been."""
        self.known, self.at_s, self.failing_since_s = True, now_s, None

    def fail(self, now_s: float) -> None:
        """An attempt failed."""
        self.known, self.at_s = True, now_s
        if self.failing_since_s is None:
            self.failing_since_s = now_s

    def failed_for_s(self, now_s: float) -> float:
        """For how long everything has failed; 0 after a success or while nothing is known."""
        return 0.0 if self.failing_since_s is None else now_s - self.failing_since_s
