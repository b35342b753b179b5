"""A machine whose true time is known: its clocks drift, are set, sleep and are disciplined, as Linux does it."""

import random
import uuid

from gateway.clock_sources import UNSYNCHRONISED_US, Keeper, Reading

SECOND = 1_000_000_000
START_NS = 1_790_000_000 * SECOND


class Machine:
    """A `TimeSource`. All times in nanoseconds; ``drift`` is how fast its crystal runs off, as a share."""

    def __init__(self, *, wall_ns: int = START_NS, keeper: Keeper | None = "timesyncd", drift: float = 0.0) -> None:
        self.true_ns = START_NS
        self.drift = drift
        self.keeper: Keeper | None = keeper
        self.distance_s: float | None = None
        self.boots = 0
        self._left_ns = 0
        self._start(wall_ns)

    def _start(self, wall_ns: int) -> None:
        self.boots += 1
        self.boot_id = uuid.UUID(int=random.Random(self.boots).getrandbits(128)).bytes
        self._boot = 0
        self._slept = 0
        self._sleep_error = 0
        self._offset = wall_ns
        self._left_ns = 0
        self._error_us = UNSYNCHRONISED_US
        self.distance_s = None

    # What a Clock sees.

    def boot_ns(self) -> int:
        return self._boot

    def monotonic_ns(self) -> int:
        return self._boot - self._slept

    def read(self) -> Reading:
        error_us = min(self._error_us, UNSYNCHRONISED_US) + abs(self._left_ns) // 1000
        real = self._boot + self._offset
        return Reading(self._boot, self.monotonic_ns(), real, error_us, self.keeper, self.distance_s)

    async def measure(self) -> None:
        return

    # What can happen to it.

    @property
    def wall_ns(self) -> int:
        return self._boot + self._offset

    def advance(self, seconds: float) -> None:
        """Time passes: the crystal drifts, and what the kernel still has to correct is worked off at 500 ppm."""
        passed = round(seconds * SECOND)
        self.true_ns += passed
        worked = min(abs(self._left_ns), round(passed * 500e-6)) * (1 if self._left_ns >= 0 else -1)
        self._left_ns -= worked
        self._boot += round(passed * (1 + self.drift)) + worked
        if self._error_us < UNSYNCHRONISED_US:
            self._error_us += round(500 * seconds)

    def synchronise(self, server_error_s: float, distance_s: float | None) -> None:
        """timesyncd polls a server, wrong by up to ``distance_s``: small corrections slew, large ones step."""
        wanted = self.true_ns + round(server_error_s * SECOND)
        move = wanted - self.wall_ns
        if abs(move) < SECOND * 4 // 10:
            self._left_ns = move
        else:
            self._offset += move
            self._left_ns = 0
        self._error_us = 0
        self.distance_s = distance_s

    def set_by_hand(self, by_s: float) -> None:
        """settimeofday(2) steps the wall clock and makes the kernel forget its error bound (ntp_clear)."""
        self._offset += round(by_s * SECOND)
        self._error_us = UNSYNCHRONISED_US
        self._left_ns = 0

    def suspend(self, seconds: float, rtc_error_s: float) -> None:
        """Sleep, counted by an RTC that drifts like the crystal and whose steps are coarse; maxerror rests.

        The kernel keeps the sum of the rounding over all sleeps of a boot within a second to either side.
        """
        passed = round(seconds * SECOND)
        drifted = round(passed * (1 + self.drift))
        self.true_ns += passed
        counted = max(0, drifted + round(rtc_error_s * SECOND) - self._sleep_error)
        self._sleep_error += counted - drifted
        self._boot += counted
        self._slept += counted

    def reboot(self, wall_ns: int) -> None:
        """Everything begins anew; without a working RTC the wall clock stands where it was left."""
        self.true_ns += 30 * SECOND
        self._start(wall_ns)
