"""One channel out of the scan stream for a chart: condensed, with every extreme, and every gap with its cause.

A report is computed of every sample (`gateway.report.collect`); a picture needs lowest and highest of each minute.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isnan, nan
from typing import NamedTuple

from firmware_interfaces.quality import BAD
from gateway.model import ClockClaim, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.report.samples import ABSENT, OFF, UNTIMED

__all__ = ["Run", "Strip", "gaps_of"]

MINUTE_MS = 60_000


class Run(NamedTuple):
    """Slots in a row with the same outcome: ``cause`` is empty where they have values. Due times are Unix ms."""

    due_ms: int
    slot: int
    slots: int
    period_ms: int
    phase_ms: int
    boot: bytes
    cause: str

    @property
    def end_ms(self) -> int:
        """When the slot after the last one is due."""
        return self.due_ms + self.slots * self.period_ms


class Gap(NamedTuple):
    """A stretch without values: from the first slot due to the next value, with its most frequent cause."""

    start_ms: int
    end_ms: int
    cause: str


@dataclass(slots=True)
class Strip:
    """Samples of one channel in the order of the journal. ``upto`` is the sequence of the next batch to add."""

    device: str
    channel: str
    upto: int = 0
    unit: str = ""
    decimals: int | None = None
    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    indicated: "array[float]" = field(default_factory=lambda: array("d"))
    quality: bytearray = field(default_factory=bytearray)
    runs: list[Run] = field(default_factory=list)
    untimed: bool = False
    """Whether there are records of a boot whose time is not known."""

    def add(self, clock: ClockClaim, layout: Layout, records: Iterable[Scan | Miss]) -> None:
        """Records that share a clock claim (of which the time may have been corrected)."""
        index = next((n for n, device in enumerate(layout.devices) if device.id == self.device), None)
        if index is None:
            return
        device = layout.devices[index]
        places = {(column.channel, column.role): n for n, column in enumerate(device.columns)}
        place = places.get((self.channel, "value"))
        mine = [record for record in records if record.device == index]
        if place is None or not mine:
            return
        self.unit, self.decimals = device.columns[place].unit, device.columns[place].decimals
        if clock.utc_ms is None:
            self.untimed = True
            return
        shift = clock.utc_ms - clock.boot_ms
        raw = places.get((self.channel, "indicated"))
        kept = _Minutes()
        for record in mine:
            if isinstance(record, Miss):
                self._run(device, shift, record.slot, record.count, boot=clock.boot, cause=_name(record.quality))
                continue
            quality, value = record.quality[place], record.values[place]
            if quality >= BAD or isnan(value):
                cause = _name(quality if quality >= BAD else Quality.NOT_STORED)
                self._run(device, shift, record.slot, 1, boot=clock.boot, cause=cause)
                kept.part()
                continue
            self._run(device, shift, record.slot, 1, boot=clock.boot, cause="")
            other = nan if raw is None or record.quality[raw] >= BAD else record.values[raw]
            kept.add((record.at_ms + shift, value, other, quality))
        for at, value, other, quality in kept.samples:
            self.times.append(at)
            self.values.append(value)
            self.indicated.append(other)
            self.quality.append(quality)

    def _run(self, device: DeviceLayout, shift: int, slot: int, slots: int, *, boot: bytes, cause: str) -> None:
        due = slot * device.period_ms + device.phase_ms + shift
        if self.runs:
            last = self.runs[-1]
            if (
                last.cause == cause
                and last.slot + last.slots == slot
                and last.due_ms + last.slots * last.period_ms == due
                and last.boot == boot
            ):
                self.runs[-1] = last._replace(slots=last.slots + slots)
                return
        self.runs.append(Run(due, slot, slots, device.period_ms, device.phase_ms, boot, cause))

    @property
    def size(self) -> int:
        """Bytes it takes, roughly."""
        return 25 * len(self.times) + 150 * len(self.runs) + 500


Sample = tuple[int, float, float, int]
"""Time, corrected value, indicated value, quality."""


class _Minutes:
    """Keeps of each minute the lowest and the highest sample, in order of time, for each quality apart."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._group: tuple[int, int] | None = None
        self._two = False

    def part(self) -> None:
        """What follows does not belong to what came before: there was no value between them."""
        self._group = None

    def add(self, sample: Sample) -> None:
        """The next sample."""
        group = sample[0] // MINUTE_MS, sample[3]
        if group != self._group:
            self._group, self._two = group, False
        elif not self._two:
            self._two = True
        else:
            early, late = self.samples[-2:]
            low, high = (early, late) if early[1] <= late[1] else (late, early)
            if low[1] <= sample[1] <= high[1]:
                return
            del self.samples[-2 if (low if sample[1] < low[1] else high) is early else -1]
        self.samples.append(sample)


def _name(quality: int) -> str:
    return Quality(quality).name.lower()


def gaps_of(runs: list[Run], start_ms: int, until_ms: int, *, untimed: bool) -> list[Gap]:
    """The gaps of a stretch, with what nobody recorded: between two runs, after the last, before the first."""
    gaps: list[Gap] = []
    slots: dict[str, int] = {}
    begun: int | None = None

    def close(at_ms: int) -> None:
        nonlocal begun
        if begun is not None and at_ms > start_ms and begun < until_ms:
            gaps.append(Gap(max(begun, start_ms), min(at_ms, until_ms), max(slots, key=lambda cause: slots[cause])))
        begun = None
        slots.clear()

    for run in _filled(runs, start_ms, until_ms, ABSENT if not untimed else UNTIMED):
        if not run.cause:
            close(run.due_ms)
            continue
        if begun is None:
            begun = run.due_ms
        slots[run.cause] = slots.get(run.cause, 0) + run.slots
    close(until_ms)
    return gaps


def _filled(runs: list[Run], start_ms: int, until_ms: int, why: str) -> Iterator[Run]:
    before: Run | None = None
    for run in runs:
        if before is None:
            if (count := (run.due_ms - start_ms) // run.period_ms) > 0:
                yield run._replace(due_ms=run.due_ms - count * run.period_ms, slots=count, cause=why)
        elif (hole := _between(before, run)) is not None:
            yield hole
        yield run
        before = run
    if before is not None and (count := -((before.end_ms - until_ms) // before.period_ms)) > 0:
        yield before._replace(due_ms=before.end_ms, slots=count, cause=why)


def _between(before: Run, after: Run) -> Run | None:
    """Slots that nobody recorded: by their numbers within one grid, by the time between two."""
    cause = ABSENT
    if (before.boot, before.period_ms, before.phase_ms) == (after.boot, after.period_ms, after.phase_ms):
        count = after.slot - before.slot - before.slots
    else:
        count = round((after.due_ms - before.end_ms) / before.period_ms)
        cause = OFF if before.boot != after.boot else ABSENT
    return before._replace(due_ms=before.end_ms, slots=count, cause=cause) if count > 0 else None
