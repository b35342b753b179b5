"""The last hours of every point in coarse steps, kept in memory: what the overview draws beside each value."""

from array import array
from collections.abc import Sequence
from contextlib import closing
from math import isnan, nan
from pathlib import Path
from time import thread_time

from firmware_interfaces.quality import BAD
from gateway.buffer.reader import Reader
from gateway.errors import AuroraError, SealError
from gateway.model import ClockClaim, DeviceLayout, Layout, Miss, Scan
from gateway.records import Archive, backwards
from gateway.site import PointSpec
from gateway.web.desk import GAP, NOTHING, VALUE, Trend

__all__ = ["STEPS", "STEP_MS", "Ring", "Trends", "past"]

STEP_MS = 300_000
STEPS = 72
"""Six hours."""
CPU_S = 1.0
"""What looking back after a start may cost; what is not read by then is left blank, not shown as a gap."""


class Ring:
    """Lowest and highest value of each step. A step is numbered by boot time; older ones fall out."""

    __slots__ = ("high", "low", "marks", "newest", "version")

    def __init__(self) -> None:
        self.low = array("d", [nan]) * STEPS
        self.high = array("d", [nan]) * STEPS
        self.marks = bytearray(STEPS)
        self.newest = -(1 << 40)
        self.version = 0

    def _place(self, step: int) -> int | None:
        """Where a step is kept, None for one that has fallen out."""
        if step > self.newest:
            for gone in range(max(self.newest + 1, step - STEPS + 1), step + 1):
                place = gone % STEPS
                self.low[place] = self.high[place] = nan
                self.marks[place] = NOTHING
            self.newest = step
            self.version += 1
        return step % STEPS if step > self.newest - STEPS else None

    def value(self, step: int, low: float, high: float) -> None:
        """A value, or the ends of several, in a step."""
        if (place := self._place(step)) is None:
            return
        if self.marks[place] != VALUE:
            self.marks[place], self.low[place], self.high[place] = VALUE, low, high
            self.version += 1
            return
        self.low[place] = min(self.low[place], low)
        self.high[place] = max(self.high[place], high)

    def missing(self, first: int, last: int) -> None:
        """No value where there should have been one."""
        for step in range(max(first, last - STEPS + 1), last + 1):
            place = self._place(step)
            if place is not None and self.marks[place] == NOTHING:
                self.marks[place] = GAP
                self.version += 1

    def merge(self, other: "Ring") -> None:
        """Put in what another ring knows of the same time."""
        for step in range(other.newest - STEPS + 1, other.newest + 1):
            place = step % STEPS
            if other.marks[place] == VALUE:
                self.value(step, other.low[place], other.high[place])
            elif other.marks[place] == GAP:
                self.missing(step, step)

    def trend(self, now_ms: int) -> Trend:
        """From the oldest step to the present one; time that has brought nothing is blank."""
        self._place(now_ms // STEP_MS)
        order = [(self.newest + 1 + n) % STEPS for n in range(STEPS)]
        return Trend(
            version=self.version,
            step_ms=STEP_MS,
            low=[self.low[place] for place in order],
            high=[self.high[place] for place in order],
            marks=bytes(self.marks[place] for place in order),
        )


class Trends:
    """The rings of all points; `take` is given every scan and every miss."""

    def __init__(self, points: Sequence[PointSpec], layout: Layout) -> None:
        self.rings = {point.id: Ring() for point in points}
        self._points = points
        self._layout = layout
        self._of = self._sorted(layout)

    def adopt(self, points: Sequence[PointSpec], layout: Layout) -> None:
        """The site has changed: points that stay, fed by what fed them, keep what is known of them."""
        fed = {point.id: (point.device, point.channel) for point in self._points}
        self.rings = {
            point.id: self.rings[point.id] if fed.get(point.id) == (point.device, point.channel) else Ring()
            for point in points
        }
        self._points, self._layout = points, layout
        self._of = self._sorted(layout)

    def _sorted(self, layout: Layout) -> list[list[tuple[Ring, int]]]:
        """By device, its points' rings with the place of their value in a scan."""
        return [
            [
                (self.rings[point.id], place)
                for point in self._points
                if point.device == device.id and (place := _column(device, point.channel)) is not None
            ]
            for device in layout.devices
        ]

    def take(self, record: Scan | Miss, points: Sequence[PointSpec], layout: Layout) -> None:
        """One record of the path, of the present points and layout; nothing but arithmetic."""
        if layout is not self._layout or points is not self._points:
            self.adopt(points, layout)
        rings = self._of[record.device]
        if rings:
            _enter(rings, record, layout.devices[record.device], 0)

    def merge(self, other: "Trends") -> None:
        """What was read of the time before."""
        for name, ring in other.rings.items():
            if name in self.rings:
                self.rings[name].merge(ring)

    def add(self, clock: ClockClaim, layout: Layout, records: list[Scan | Miss], now: ClockClaim) -> None:
        """Records of the journal, also of an earlier boot whose time is known."""
        if clock.boot == now.boot:
            shift = 0
        elif clock.utc_ms is not None and now.utc_ms is not None:
            shift = (clock.utc_ms - clock.boot_ms) - (now.utc_ms - now.boot_ms)
        else:
            return
        rings = self._sorted(layout)
        for record in records:
            _enter(rings[record.device], record, layout.devices[record.device], shift)


def _enter(rings: list[tuple[Ring, int]], record: Scan | Miss, device: DeviceLayout, shift: int) -> None:
    if isinstance(record, Miss):
        first = record.slot * device.period_ms + device.phase_ms + shift
        last = first + (record.count - 1) * device.period_ms
        for ring, _ in rings:
            ring.missing(first // STEP_MS, last // STEP_MS)
        return
    step = (record.at_ms + shift) // STEP_MS
    for ring, place in rings:
        value = record.values[place]
        if record.quality[place] >= BAD or isnan(value):
            ring.missing(step, step)
        else:
            ring.value(step, value, value)


def _column(device: DeviceLayout, channel: str) -> int | None:
    return next((n for n, c in enumerate(device.columns) if (c.channel, c.role) == (channel, "value")), None)


def past(path: Path, points: Sequence[PointSpec], now: ClockClaim) -> Trends:
    """The last hours before the present, from the journal, newest first as far as `CPU_S` goes. For a thread."""
    found = Trends(points, Layout(()))
    if not path.exists():
        return found
    began, oldest = thread_time(), now.boot_ms - STEPS * STEP_MS
    try:
        with closing(Reader(path)) as reader:
            archive = Archive(layouts=reader.layouts())
            for clock, layout, records in reader.tail():
                found.add(archive.claim(clock), layout, records, now)
            for body, last_ms in backwards(reader):
                batch, layout, records = archive.scans(body)
                found.add(archive.claim(batch.clock), layout, records, now)
                over = batch.clock.boot == now.boot and last_ms < oldest
                if over or thread_time() - began > CPU_S:
                    break
    except (AuroraError, SealError):
        return found  # A journal that cannot be read says so elsewhere; a trend is not worth a word of its own.
    return found
