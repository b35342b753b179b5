"""The only reader of time. Durations come from the boot-time clock; the wall clock is a claim with an error bound.

The line of time inside a boot is CLOCK_BOOTTIME, named by the boot id. The wall clock is held as its distance
from that line, taken while it was known to be right: so between two looks at the kernel, and after the source of
time is lost, a clock set by hand changes no record. Rules of trust: docs/clock.md.
"""

import json
import logging
import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.clock_gnss import GNSS, Fix, GnssWatch
from gateway.clock_sources import DRIFT, UNSYNCHRONISED_US, KernelSource, Reading, TimeSource, boot_id, boot_ns
from gateway.model import ClockClaim, ClockState, Event
from gateway.site import ClockSpec

__all__ = ["Clock", "boot_id", "boot_ms", "boot_ns", "wall_ms"]

TIMESYNCD_DISTANCE_S = 5.0
"""systemd-timesyncd believes servers with a root distance up to this (RootDistanceMaxSec, timesyncd.conf(5))."""

SLEEP_ERROR_S = 2.0
"""What suspends can add: the kernel counts them with an RTC of whole seconds and holds the sum below this."""

NOISE_S = 0.01
"""Smallest movement of a clock that is worth an event."""

STEP_ALWAYS_S = 1.0
"""A step of this size is an event, however wide the error bound is."""

DECLARED = "declared by site file"

log = logging.getLogger(__name__)


def boot_ms() -> int:
    """Milliseconds of CLOCK_BOOTTIME."""
    return boot_ns() // 1_000_000


def wall_ms() -> int:
    """Unix milliseconds of this machine's wall clock as it stands, for a host whose clock is its owner's affair.

    The cluster dates its receipts with it; a gateway never does: it makes a `Clock.claim`.
    """
    return time.time_ns() // 1_000_000


class _Anchor(NamedTuple):
    """One instant at which the wall clock was known: its distance from the boot clock, and its error then."""

    boot_ns: int
    offset_ns: int
    error_s: float


class Clock:
    """Boot time for everything that lasts, and the claim about the wall clock that goes into each batch.

    ``memory`` is what `memory` returned to an earlier process: within the same boot it keeps holdover going
    over a restart. Until the first `refresh` the wall clock is untrusted, or in holdover from that memory.
    """

    def __init__(
        self, spec: ClockSpec | None = None, source: TimeSource | None = None, *, memory: bytes | None = None
    ) -> None:
        self._spec = spec or ClockSpec()
        self._source = source or KernelSource()
        self._gnss = GnssWatch()
        self._state = ClockState.UNTRUSTED
        self._keeper = ""
        self._anchor: _Anchor | None = None
        self._told_ns: int | None = None
        self._slept_told_ns = self._source.boot_ns() - self._source.monotonic_ns()
        # Whether the machine slept since its last synchronisation is not known yet: all of this boot counts.
        self._slept_ns = 0
        self._last_error_us = 0
        self._refreshed = False
        if memory is not None and self._spec.source == "auto":
            self._recall(memory)

    @property
    def boot(self) -> bytes:
        """The boot id (16 bytes)."""
        return self._source.boot_id

    @property
    def state(self) -> ClockState:
        """Trusted, holdover or untrusted, as of the last `refresh`."""
        return self._state

    @property
    def keeper(self) -> str:
        """Who keeps the clock right: ``chrony``, ``timesyncd``, ``declared by site file``, or empty."""
        return self._keeper

    def now_ms(self) -> int:
        """Boot time in milliseconds."""
        return self._source.boot_ns() // 1_000_000

    def claim(self) -> ClockClaim:
        """What can be said about time at this instant. Two clock reads, no system state."""
        now_ns = self._source.boot_ns()
        now_ms = now_ns // 1_000_000
        anchor = self._anchor
        if anchor is None:
            return ClockClaim(self._source.boot_id, now_ms, None, None, ClockState.UNTRUSTED)
        # One millisecond covers that both times are cut to whole milliseconds.
        error_ms = math.ceil(self._error_s(anchor, now_ns, self._source.monotonic_ns()) * 1000) + 1
        return ClockClaim(self._source.boot_id, now_ms, _utc_ms(anchor, now_ms), error_ms, self._state)

    def utc_ms(self, boot_ms: int) -> int | None:
        """Unix milliseconds of an instant of this boot; None while the wall clock is untrusted."""
        return None if self._anchor is None else _utc_ms(self._anchor, boot_ms)

    def memory(self) -> bytes | None:
        """What a later process of the same boot needs to hold over; None while there is nothing to hold.

        Write it where it survives a restart of the gateway, at each event of the clock and now and then.
        """
        if self._anchor is None or self._spec.source == "host":
            return None
        data = {**self._anchor._asdict(), "slept_ns": self._slept_ns, "boot": self._source.boot_id.hex()}
        return json.dumps(data).encode()

    def hear_gnss(self, utc_ns: int, boot_ns: int) -> None:
        """A satellite receiver said ``utc_ns`` (Unix nanoseconds), heard at ``boot_ns``. Believed at the next
        `refresh`, where the machine's own clock is kept by nobody.
        """
        self._gnss.hear(utc_ns, boot_ns)

    async def update(self) -> list[Event]:
        """`refresh`, after asking the time daemon for its own error bound where that is due."""
        if self._spec.source == "auto":
            await self._source.measure()
        return self.refresh()

    def refresh(self) -> list[Event]:
        """Look at the machine's clocks and judge them anew; the events that this gives rise to, in order.

        Call it every few seconds. Kinds: ``clock.step``, ``clock.suspend``, ``clock.correction``,
        ``clock.trusted``, ``clock.holdover``, ``clock.untrusted``.
        """
        reading = self._source.read()
        events = self._suspended(reading)
        events += self._stepped(reading)
        if self._spec.source == "host":
            bound, keeper = self._spec.error_s, DECLARED
        else:
            bound, keeper = _bound_s(reading), reading.keeper or ""
        if bound is not None:
            events += self._trust(reading, bound, keeper, reading.real_ns - reading.boot_ns)
        elif self._spec.source == "auto" and (fix := self._gnss.read(reading.boot_ns)) is not None:
            events += self._trust_gnss(reading, fix)
        elif self._state is ClockState.TRUSTED or not self._refreshed:
            events.append(self._distrust(reading))
        self._refreshed = True
        self._last_error_us = reading.max_error_us
        return events

    def _error_s(self, anchor: _Anchor, now_ns: int, monotonic_ns: int) -> float:
        error_s = anchor.error_s + DRIFT * (now_ns - anchor.boot_ns) / 1e9
        slept_s = (now_ns - monotonic_ns - self._slept_ns) / 1e9
        # The kernel's own bound does not grow while the machine sleeps.
        return error_s + SLEEP_ERROR_S + DRIFT * slept_s if slept_s > NOISE_S else error_s

    def _suspended(self, reading: Reading) -> list[Event]:
        slept_ns = reading.boot_ns - reading.monotonic_ns
        grown_ns = slept_ns - self._slept_told_ns
        if grown_ns > NOISE_S * 1e9:
            self._slept_told_ns = slept_ns
            self._gnss.forget()
            data = {"suspended_ms": grown_ns // 1_000_000, "total_ms": slept_ns // 1_000_000}
            return [self._event("clock.suspend", reading, data)]
        # A bound that has fallen comes from a new synchronisation, which makes good what suspends did before.
        if reading.max_error_us < self._last_error_us:
            self._slept_ns = slept_ns
        return []

    def _stepped(self, reading: Reading) -> list[Event]:
        offset_ns = reading.real_ns - reading.boot_ns
        if self._told_ns is None:
            self._told_ns = offset_ns
        moved_ns = offset_ns - self._told_ns
        limit_s = STEP_ALWAYS_S
        if self._anchor is not None:
            limit_s = min(limit_s, self._error_s(self._anchor, reading.boot_ns, reading.monotonic_ns))
        if abs(moved_ns) <= max(NOISE_S, limit_s) * 1e9:
            return []
        data = {
            "from_ms": (reading.real_ns - moved_ns) // 1_000_000,
            "to_ms": reading.real_ns // 1_000_000,
            "by_ms": round(moved_ns / 1e6),
            "source": reading.keeper,
        }
        self._told_ns = offset_ns
        return [self._event("clock.step", reading, data)]

    def _trust_gnss(self, reading: Reading, fix: Fix) -> list[Event]:
        """The receiver's time, not that of the machine's clock, which is left as it is."""
        self._slept_ns = reading.boot_ns - reading.monotonic_ns
        return self._trust(reading, fix.error_s, GNSS, fix.offset_ns)

    def _trust(self, reading: Reading, bound_s: float, keeper: str, offset_ns: int) -> list[Event]:
        before, known = self._state, self._anchor is not None
        self._anchor = _Anchor(reading.boot_ns, offset_ns, bound_s)
        if before is ClockState.TRUSTED and keeper == self._keeper:
            return []
        self._state, self._keeper = ClockState.TRUSTED, keeper
        if keeper != GNSS:
            self._told_ns = offset_ns
        error_s = self._error_s(self._anchor, reading.boot_ns, reading.monotonic_ns)
        data = {"offset_ms": offset_ns // 1_000_000, "error_ms": math.ceil(error_s * 1000) + 1, "source": keeper}
        log.info("wall clock is trusted (%s), within %d ms", keeper, data["error_ms"])
        utc_ms = (reading.boot_ns + offset_ns) // 1_000_000
        events = [self._event("clock.trusted", reading, {"utc_ms": utc_ms, **data})]
        if not known:
            correction = {**data, "drift_ppm": round(DRIFT * 1e6)}
            events.insert(0, self._event("clock.correction", reading, correction))
        return events

    def _distrust(self, reading: Reading) -> Event:
        if self._keeper == GNSS:
            why = "the satellite receiver has no fix any more, or is silent"
        elif reading.keeper is None:
            why = "no time service is running"
        else:
            why = f"{reading.keeper} is not synchronised, or the clock was set by hand"
        anchor = self._anchor
        if anchor is None:
            log.warning("wall clock is untrusted: %s", why)
            return self._event("clock.untrusted", reading, {"reason": why})
        self._state, self._keeper = ClockState.HOLDOVER, ""
        error_ms = math.ceil(self._error_s(anchor, reading.boot_ns, reading.monotonic_ns) * 1000) + 1
        log.warning("wall clock is in holdover, within %d ms: %s", error_ms, why)
        data = {
            "reason": why,
            "since_ms": anchor.boot_ns // 1_000_000,
            "offset_ms": anchor.offset_ns // 1_000_000,
            "error_ms": error_ms,
        }
        return self._event("clock.holdover", reading, data)

    def _event(self, kind: str, reading: Reading, data: Mapping[str, Any]) -> Event:
        return Event(kind, reading.boot_ns // 1_000_000, {"boot": self._source.boot_id, **data})

    def _recall(self, memory: bytes) -> None:
        """Take over the anchor of an earlier process; anything but a sound memory of this very boot is left."""
        try:
            data = json.loads(memory)
            if data["boot"] != self._source.boot_id.hex():
                return
            anchor = _Anchor(int(data["boot_ns"]), int(data["offset_ns"]), float(data["error_s"]))
            slept_ns = int(data["slept_ns"])
        except (ValueError, TypeError, KeyError, OverflowError):
            log.warning("what was kept about the clock is damaged: it is left aside")
            return
        if not 0 <= anchor.boot_ns <= self._source.boot_ns() or not 0 <= anchor.error_s < 1e6:
            log.warning("what was kept about the clock makes no sense: it is left aside")
            return
        self._anchor, self._slept_ns, self._told_ns = anchor, slept_ns, anchor.offset_ns
        self._state = ClockState.HOLDOVER


def _utc_ms(anchor: _Anchor, boot_ms: int) -> int:
    return (boot_ms * 1_000_000 + anchor.offset_ns) // 1_000_000


def _bound_s(reading: Reading) -> float | None:
    """The largest error of a disciplined wall clock in seconds; None when it is not known to be disciplined.

    STA_UNSYNC is not asked: chronyd clears it only with ``rtcsync``, and systemd-timedated ignores it too.
    """
    if reading.keeper is None or reading.max_error_us >= UNSYNCHRONISED_US:
        return None
    kernel_s = reading.max_error_us / 1e6
    if reading.keeper == "chrony":
        return max(kernel_s, reading.distance_s or 0.0)
    return kernel_s + (TIMESYNCD_DISTANCE_S if reading.distance_s is None else reading.distance_s)
