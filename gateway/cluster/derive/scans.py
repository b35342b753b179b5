"""Scan batches as columns of values by channel. Pure."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import fsum, nan
from typing import NamedTuple

from gateway_core.series import BAD

from gateway.cluster.derive.plain import END_MS, clean
from gateway.cluster.derive.segment import HOUR_MS, Segment, joined, pieces
from gateway.errors import SealError
from gateway.model import DeviceLayout, Layout, Miss, Quality, Scan
from gateway.seal.backfill import Backfill

__all__ = ["Name", "Readings", "Roll", "hours_of"]

UNCERTAIN = 0x40
LONGEST_MS = 32 * 86_400_000
"""Between the first and the last time in a batch: each hour and each day of it costs rows."""
MOST_MISSED = 2**24
"""Missed values that one batch may account for: more would not fit into memory."""
MOST_VALUE = 1e300

Name = tuple[str, str, str]
"""Device, channel, role."""


class Roll(NamedTuple):
    """An hour of a channel; ``total`` is the sum of the values that are not bad."""

    hour: int
    good: int
    uncertain: int
    bad: int
    low: float | None
    high: float | None
    total: float


@dataclass(slots=True)
class _Columns:
    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    quality: bytearray = field(default_factory=bytearray)

    def segment(self) -> Segment:
        return joined([Segment(self.times, self.values, bytes(self.quality))])


class Readings:
    """Values of many batches by channel, each with its time in Unix ms."""

    def __init__(self) -> None:
        self._series: dict[Name, _Columns] = {}
        self.cells = 0
        """Values and missed values so far."""

    def segments(self) -> Iterable[tuple[Name, Segment]]:
        """What was gathered, by channel."""
        return ((name, columns.segment()) for name, columns in sorted(self._series.items()))

    def add(self, layout: Layout, records: Iterable[Scan | Miss], offset_ms: int) -> None:
        """Take the records of a batch whose boot time is ``offset_ms`` behind UTC; all of them or none.

        Raises `SealError` ``too-large``, ``bad-time`` or ``bad-value``.
        """
        scans: dict[int, list[Scan]] = {}
        misses: dict[int, list[Miss]] = {}
        for record in records:
            if isinstance(record, Scan):
                scans.setdefault(record.device, []).append(record)
            else:
                misses.setdefault(record.device, []).append(record)
        self._check(layout, scans, misses, offset_ms)
        for index, rows in scans.items():
            self._scans(layout.devices[index], rows, offset_ms)
        for index, runs in misses.items():
            for run in runs:
                self._miss(layout.devices[index], run, offset_ms)

    def backfill(self, backfill: Backfill, offset_ms: int) -> None:
        """Take what a sensor had kept: beside the slots that were missed, marked as backfilled."""
        found = [(row.at_ms + offset_ms, column, value) for row, column, value in backfill.series()]
        if not all(0 <= at_ms < END_MS for at_ms, _, _ in found):
            raise SealError("bad-time", "a time that no record can have")
        if any(abs(value) > MOST_VALUE for _, _, value in found):
            raise SealError("bad-value", "a value beyond all quantities")
        for at_ms, column, value in found:
            columns = self._columns(backfill.device, column.channel, column.role)
            columns.times.append(at_ms)
            columns.values.append(value)
            columns.quality.append(Quality.BACKFILLED)
        self.cells += len(found)

    def _check(
        self, layout: Layout, scans: dict[int, list[Scan]], misses: dict[int, list[Miss]], offset_ms: int
    ) -> None:
        missed = 0
        times = [scan.at_ms for rows in scans.values() for scan in rows]
        for index, runs in misses.items():
            device = layout.devices[index]
            missed += sum(run.count for run in runs) * len(device.columns)
            for run in runs:
                times += [_due(device, run.slot), _due(device, run.slot + run.count - 1)]
        if missed > MOST_MISSED:
            raise SealError("too-large", f"{missed} missed values in one batch")
        if times and max(times) - min(times) > LONGEST_MS:
            raise SealError("too-large", "one batch about more than a month")
        if times and not 0 <= min(times) + offset_ms <= max(times) + offset_ms < END_MS:
            raise SealError("bad-time", "a time that no record can have")
        if any(any(map(MOST_VALUE.__lt__, map(abs, scan.values))) for rows in scans.values() for scan in rows):
            raise SealError("bad-value", "a value beyond all quantities")

    def _columns(self, device: str, channel: str, role: str) -> _Columns:
        name = clean(device), clean(channel), role
        found = self._series.get(name)
        if found is None:
            found = self._series[name] = _Columns()
        return found

    def _scans(self, device: DeviceLayout, rows: Sequence[Scan], offset_ms: int) -> None:
        times = array("q", [scan.at_ms + offset_ms for scan in rows])
        marks = b"".join([scan.quality for scan in rows])
        width = len(device.columns)
        for place, (column, values) in enumerate(
            zip(device.columns, zip(*[scan.values for scan in rows], strict=True), strict=True)
        ):
            columns = self._columns(device.id, column.channel, column.role)
            columns.times += times
            columns.values.extend(values)
            columns.quality += marks[place::width]
        self.cells += width * len(rows)

    def _miss(self, device: DeviceLayout, run: Miss, offset_ms: int) -> None:
        first = _due(device, run.slot) + offset_ms
        times = array("q", range(first, first + run.count * device.period_ms, device.period_ms))
        for column in device.columns:
            columns = self._columns(device.id, column.channel, column.role)
            columns.times += times
            columns.values += array("d", [nan]) * run.count
            columns.quality += bytes([run.quality]) * run.count
        self.cells += run.count * len(device.columns)


def hours_of(segment: Segment) -> list[Roll]:
    """A segment by the hour."""
    return [_roll(hour, part) for hour, part in pieces(segment, HOUR_MS)]


def _roll(hour: int, part: Segment) -> Roll:
    if not any(part.quality):
        values: Sequence[float] = part.values
        good = len(values)
    else:
        values = [value for value, mark in zip(part.values, part.quality, strict=True) if mark < BAD]
        good = sum(mark < UNCERTAIN for mark in part.quality)
    bad = len(part.quality) - len(values)
    if not values:
        return Roll(hour, good, 0, bad, None, None, 0.0)
    return Roll(hour, good, len(values) - good, bad, min(values), max(values), fsum(values))


def _due(device: DeviceLayout, slot: int) -> int:
    return slot * device.period_ms + device.phase_ms
