"""The grid: slot k of a device is due at boot time k * period + phase (all integers, milliseconds).

The grid belongs to the boot-time clock and not to the process, so it does not drift, does not restart when the
daemon does, and tells exactly which samples a stopped gateway owes.
"""

from typing import NamedTuple


class Grid(NamedTuple):
    """Period and phase of one device in milliseconds (period > 0, 0 <= phase < period)."""

    period_ms: int
    phase_ms: int = 0

    def due_ms(self, slot: int) -> int:
        """Boot time at which ``slot`` is due."""
        return slot * self.period_ms + self.phase_ms

    def slot_at(self, boot_ms: int) -> int:
        """The newest slot that is due at ``boot_ms`` (-1 before the first)."""
        return (boot_ms - self.phase_ms) // self.period_ms
