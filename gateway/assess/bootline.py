"""Where times that a restart brought along lie on the line of this boot.

In the boot in which they were noted they hold as they are. In another boot the moment of the memory becomes boot
time 0, so that carried times are 0 or less and elapsed time goes on; the time for which the machine was off is
added to it as soon as the wall clock is trusted on both sides. Until then, or without, that time does not count.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.model import ClockClaim

__all__ = ["BootLine", "Move", "moved_time"]

Move = Callable[[int | None], int | None]
"""What a time becomes; None stays None."""


def moved_time(move: Move, at_ms: int) -> int:
    """A time that is there, moved."""
    after = move(at_ms)
    return at_ms if after is None else after


class BootLine:
    """Follows one restart. ``begun_ms`` is the first sign of time in this process, None before it."""

    def __init__(self) -> None:
        self.begun_ms: int | None = None
        self.rebooted = False
        """Whether this is another boot than that of the memory."""
        self.off_ms: int | None = None
        """How long the machine was off, once that is known."""
        self.claim: ClockClaim | None = None
        self._saved: tuple[str, int, int | None] | None = None
        self._utc_at_zero: int | None = None

    @property
    def waits(self) -> bool:
        """The time off may still become known."""
        return self._utc_at_zero is not None

    def load(self, head: Mapping[str, Any]) -> None:
        """Take what `head` gave; raises KeyError, TypeError or ValueError for anything else."""
        utc, before = head["utc"], head["before"]
        self._saved = str(head["boot"]), int(head["at"]), None if utc is None else int(utc)
        self._utc_at_zero = None if before is None else int(before)

    def begin(self, boot: bytes | None, at_ms: int) -> Move | None:
        """The first sign of time; how carried times move. Without a boot id, time that went back is a new boot."""
        self.begun_ms = at_ms
        if self._saved is None:
            return None
        of_boot, saved_ms, saved_utc = self._saved
        self._saved = None
        if at_ms >= saved_ms if boot is None else boot.hex() == of_boot:
            return None
        self.rebooted, self._utc_at_zero = True, saved_utc
        return lambda at: None if at is None else at - saved_ms

    def clock(self, claim: ClockClaim) -> Move | None:
        """Take note of the clock; how carried times move when that tells how long the machine was off."""
        self.claim = claim
        if self._utc_at_zero is None or claim.utc_ms is None:
            return None
        off_ms = claim.utc_ms - claim.boot_ms - self._utc_at_zero
        self._utc_at_zero = None
        if off_ms < 0:
            return None  # one of the two clocks was wrong: nothing is added
        self.off_ms = off_ms
        return lambda at: at - off_ms if at is not None and at <= 0 else at

    def head(self, newest_ms: int) -> dict[str, Any]:
        """What a memory must say of time; ``newest_ms`` is the newest record in it."""
        claim = self.claim
        at_ms = newest_ms if claim is None else max(newest_ms, claim.boot_ms)
        return {
            "boot": "" if claim is None else claim.boot.hex(),
            "at": at_ms,
            "utc": None if claim is None else claim.utc_at(at_ms),
            "before": self._utc_at_zero,
        }
