"""The time of a satellite receiver that the gateway hears: how far it is to be believed, and how long.

A sentence of NMEA 0183 carries the time of its fix and comes later than that: by the receiver's own computing and
the serial line. So of the distances between its time and the boot clock the largest, that of the sentence that came
soonest, is nearest the truth, and the rest of the delay is inside the error that is stated.
"""

from collections import deque
from typing import NamedTuple

__all__ = ["GNSS", "Fix", "GnssWatch"]

GNSS = "gnss receiver"
"""The keeper of the clock that it is, by name."""
ERROR_S = 1.0
"""A receiver with one fix a second sends it before the next: a sentence is at most a second old. Without the pulse
of a PPS line nothing finer can be said.
"""
NEEDED = 5
"""Fixes in a row that have to agree before the first is believed."""
KEPT_S = 60.0
FRESH_S = 10.0
"""Without a new fix for so long the receiver is gone."""
DRIFT = 500e-6
"""How far the boot clock may run off, as a share of the time passed (as in `gateway.clock_sources`)."""


class Fix(NamedTuple):
    """Distance of universal time from the boot clock in nanoseconds, and its largest error in seconds."""

    offset_ns: int
    error_s: float


class GnssWatch:
    """Hears fixes; believes a receiver that agrees with itself."""

    def __init__(self) -> None:
        self._heard: deque[tuple[int, int]] = deque()

    def hear(self, utc_ns: int, boot_ns: int) -> None:
        """A fix of ``utc_ns`` (Unix nanoseconds) was heard at ``boot_ns``."""
        offset_ns = utc_ns - boot_ns
        if self._heard and abs(offset_ns - self._heard[-1][1]) > ERROR_S * 1e9:
            # It has corrected itself (leap seconds from the almanac), or it lies: believed anew, or not at all.
            self._heard.clear()
        while self._heard and boot_ns - self._heard[0][0] > KEPT_S * 1e9:
            self._heard.popleft()
        self._heard.append((boot_ns, offset_ns))

    def forget(self) -> None:
        """The machine slept, and how long is not known to the second: what was heard before says nothing now."""
        self._heard.clear()

    def read(self, boot_ns: int) -> Fix | None:
        """What holds at ``boot_ns``; None while no receiver is believed."""
        if len(self._heard) < NEEDED or boot_ns - self._heard[-1][0] > FRESH_S * 1e9:
            return None
        offset_ns = max(offset for _, offset in self._heard)
        passed_s = (boot_ns - self._heard[0][0]) / 1e9
        return Fix(offset_ns, ERROR_S + DRIFT * passed_s)
