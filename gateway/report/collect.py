"""From the scan stream to the samples of one channel: batch by batch, in the order in which they were sealed."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import pairwise
from math import nan
from typing import NamedTuple

from firmware_interfaces.quality import BAD
from gateway.model import ClockClaim, ClockState, Layout, Miss, Quality, Scan
from gateway.report.period import Period
from gateway.report.samples import ABSENT, OFF, UNTIMED, Gap, Place, Samples, Unplaced, clip

__all__ = ["Collector"]


class _Span(NamedTuple):
    """Dues of the slots of one batch that have a known time, and what it holds of slots that have none."""

    first_ms: int | None
    last_ms: int | None
    boot: bytes
    answered: int
    missed: int


class Collector:
    """Takes the scan stream in order, batch by batch, and gives the samples of one channel within one period."""

    def __init__(self, device: str, channel: str, period: Period) -> None:
        self._samples = Samples(device, channel, period)
        self._runs: list[Place] = []
        self._boots: dict[bytes, int] = {}
        self._spans: list[_Span] = []
        self._keys: list[tuple[int, int]] = []
        """Of each sample: number of its boot, and slot."""

    def add(
        self, clock: ClockClaim, layout: Layout, records: Iterable[Scan | Miss], batch: tuple[int, bytes] | None
    ) -> None:
        """The records of one batch (its sequence and leaf), or of what is not sealed yet (None).

        ``clock`` has the time of a later correction where the boot's own clock was not to be believed.
        """
        index = next((i for i, device in enumerate(layout.devices) if device.id == self._samples.device), None)
        if index is None:
            return
        device = layout.devices[index]
        columns = {(column.channel, column.role): i for i, column in enumerate(device.columns)}
        place = columns.get((self._samples.channel, "value"))
        mine = [record for record in records if record.device == index]
        if place is None or not mine:
            return
        self._samples.unit = device.columns[place].unit
        self._samples.decimals = device.columns[place].decimals
        self._boots.setdefault(clock.boot, len(self._boots))
        if clock.utc_ms is None:
            answered = sum(isinstance(record, Scan) for record in mine)
            missed = sum(record.count for record in mine if isinstance(record, Miss))
            self._spans.append(_Span(None, None, clock.boot, answered, missed))
            return
        offset = clock.utc_ms - clock.boot_ms
        zero = Place(offset + device.phase_ms, clock.boot, 0, 1, device.period_ms, device.phase_ms, "")
        used = self._sort_in(mine, zero, clock, place, columns.get((self._samples.channel, "indicated")))
        slots = [record.slot for record in mine]
        first, last = (zero.due_ms + slot * device.period_ms for slot in (min(slots), max(slots)))
        self._spans.append(_Span(first, last, clock.boot, 0, 0))
        if used and batch is not None:
            self._samples.batches[batch[0]] = batch[1]
        if used and (self._samples.error_ms is None or (clock.error_ms or 0) > self._samples.error_ms):
            self._samples.error_ms = clock.error_ms
        if batch is None:
            self._samples.unsealed += used

    def _sort_in(self, mine: list[Scan | Miss], zero: Place, clock: ClockClaim, place: int, raw: int | None) -> int:
        """Enter the records of one device, whose slot 0 is ``zero``; returns how many slots are in the period."""
        samples = self._samples
        period = samples.period
        offset = zero.due_ms - zero.phase_ms
        state = "corrected" if clock.state == ClockState.UNTRUSTED else clock.state.name.lower()
        boot, used = self._boots[clock.boot], 0
        for record in mine:
            due = zero.due_ms + record.slot * zero.period_ms
            if isinstance(record, Miss):
                cause = Quality(record.quality).name.lower()
                run = zero._replace(due_ms=due, slot=record.slot, slots=record.count, cause=cause)
                self._runs.append(run)
                used += sum(clipped.slots for clipped in _clip(run, period))
                continue
            self._extend(zero, due, record.slot)
            if not period.start_ms <= due < period.until_ms:
                continue
            quality = record.quality[place]
            samples.due.append(due)
            samples.at.append(record.at_ms + offset)
            samples.values.append(nan if quality >= BAD else record.values[place])
            samples.quality.append(quality)
            samples.weights.append(zero.period_ms)
            samples.indicated.append(nan if raw is None or record.quality[raw] >= BAD else record.values[raw])
            self._keys.append((boot, record.slot))
            samples.clock[state] = samples.clock.get(state, 0) + 1
            used += 1
        return used

    def _extend(self, zero: Place, due: int, slot: int) -> None:
        last = self._runs[-1] if self._runs else None
        if (
            last is not None
            and not last.cause
            and last.slot + last.slots == slot
            and last.due_ms + last.slots * last.period_ms == due
            and (last.boot, last.period_ms, last.phase_ms) == (zero.boot, zero.period_ms, zero.phase_ms)
        ):
            self._runs[-1] = last._replace(slots=last.slots + 1)
        else:
            self._runs.append(zero._replace(due_ms=due, slot=slot))

    def finish(self, known_from_ms: int | None = None, grid: tuple[int, int] | None = None) -> Samples:
        """The samples. ``known_from_ms`` is when the device was first set up, as far as that is known, ``grid`` the
        period and phase by which it is polled, for a period of which there is no record at all."""
        samples, period = self._samples, self._samples.period
        samples.scheduled_from_ms = min(max(period.start_ms, known_from_ms or period.start_ms), period.until_ms)
        samples.unplaced = self._unplaced()
        self._order()
        runs = self._filled(grid)
        holes = samples.holes = [clipped for run in runs if run.cause for clipped in _clip(run, period)]
        for hole in holes:
            samples.missed[hole.cause] = samples.missed.get(hole.cause, 0) + hole.slots
        if samples.due:
            samples.scheduled_from_ms = min(samples.scheduled_from_ms, samples.due[0])
        if holes:
            samples.scheduled_from_ms = min(samples.scheduled_from_ms, *(hole.due_ms for hole in holes))
        samples.scheduled_from_ms = max(samples.scheduled_from_ms, period.start_ms)
        used = (clipped for run in runs for clipped in _clip(run, period))
        samples.grids = list(dict.fromkeys((run.period_ms, run.phase_ms) for run in used))
        samples.gaps = _gaps(samples, holes)
        samples.digest = self._digest(holes)
        if all(value != value for value in samples.indicated):  # noqa: PLR0124 - NaN alone differs from itself
            samples.indicated = array("d")
        return samples

    def _order(self) -> None:
        """By due time; a journal is in that order unless the clock went back between two boots."""
        samples = self._samples
        if all(before <= after for before, after in pairwise(samples.due)):
            return
        order = sorted(range(len(samples.due)), key=lambda i: (samples.due[i], *self._keys[i]))
        for name in ("due", "at", "values", "indicated", "weights"):
            old = getattr(samples, name)
            setattr(samples, name, array(old.typecode, (old[i] for i in order)))
        samples.quality = bytearray(samples.quality[i] for i in order)
        self._keys = [self._keys[i] for i in order]

    def _unplaced(self) -> list[Unplaced]:
        """Boots without time that may lie in the period, by the known times of the batches around them."""
        period = self._samples.period
        later: list[int | None] = [None]
        for span in reversed(self._spans):
            held = later[-1]
            later.append(
                held if span.first_ms is None else span.first_ms if held is None else min(held, span.first_ms)
            )
        later.reverse()
        found: dict[bytes, Unplaced] = {}
        after: int | None = None
        for number, span in enumerate(self._spans):
            if span.last_ms is not None:
                after = span.last_ms if after is None else max(after, span.last_ms)
                continue
            before = later[number]
            if (after is not None and after >= period.until_ms) or (
                before is not None and before < period.start_ms
            ):
                continue
            held_there = found.get(span.boot, Unplaced(span.boot, 0, 0, after, before))
            found[span.boot] = held_there._replace(
                samples=held_there.samples + span.answered, missed=held_there.missed + span.missed, before_ms=before
            )
        return list(found.values())

    def _filled(self, grid: tuple[int, int] | None) -> list[Place]:
        """Recorded slots as runs, and the runs that are not recorded between, before and after them."""
        period, start = self._samples.period, self._samples.scheduled_from_ms
        runs = sorted(self._runs, key=lambda run: (self._boots[run.boot], run.due_ms, run.slot))
        if not runs:
            count = -((start - period.until_ms) // grid[0]) if grid is not None else 0
            return [Place(start, b"", 0, count, *grid, self._why_none())] if grid is not None and count > 0 else []
        found: list[Place] = []
        first, last = runs[0], runs[-1]
        if (count := (first.due_ms - start) // first.period_ms) > 0:
            due, slot = first.due_ms - count * first.period_ms, first.slot - count
            found.append(first._replace(due_ms=due, slot=slot, slots=count, cause=ABSENT))
        for before, after in pairwise(runs):
            found.append(before)
            found += self._between(before, after)
        found.append(last)
        end = last.due_ms + last.slots * last.period_ms
        if (count := -((end - period.until_ms) // last.period_ms)) > 0:
            found.append(
                last._replace(due_ms=end, slot=last.slot + last.slots, slots=count, cause=self._why_none())
            )
        return found

    def _why_none(self) -> str:
        return UNTIMED if self._samples.unplaced else ABSENT

    def _between(self, before: Place, after: Place) -> Iterator[Place]:
        """Slots that nobody recorded between two recorded runs."""
        due, slot = before.due_ms + before.slots * before.period_ms, before.slot + before.slots
        cause = ABSENT
        if (before.boot, before.period_ms, before.phase_ms) == (after.boot, after.period_ms, after.phase_ms):
            count = after.slot - slot
        else:
            # No clock ran through: as many slots as fit into the time, to the nearest.
            count = round((after.due_ms - due) / before.period_ms)
            if before.boot != after.boot:
                skipped = self._boots[after.boot] - self._boots[before.boot] > 1
                cause = UNTIMED if skipped else OFF
        if count > 0:
            yield before._replace(due_ms=due, slot=slot, slots=count, cause=cause)

    def _digest(self, holes: Iterable[Place]) -> str:
        """SHA-256 of lines ``boot,slot,slots,value,reason`` by due time: an export has columns of these names."""
        samples = self._samples
        names = {number: boot.hex() for boot, number in self._boots.items()}
        lines: list[tuple[int, str, int, str]] = []
        for due, (boot, slot), value, quality in zip(
            samples.due, self._keys, samples.values, samples.quality, strict=True
        ):
            if quality >= BAD:
                text = ""
            else:
                text = repr(value) if samples.decimals is None else f"{value:.{samples.decimals}f}"
            lines.append((due, names[boot], slot, f"1,{text},{Quality(quality).name.lower()}"))
        lines += [
            (hole.due_ms, hole.boot.hex(), hole.slot, f"{hole.slots},,{hole.cause}")
            for hole in holes
            if hole.cause not in {OFF, ABSENT, UNTIMED}
        ]
        hashed = sha256()
        for _, name, slot, rest in sorted(lines):
            hashed.update(f"{name},{slot},{rest}\n".encode())
        return hashed.hexdigest()


def _clip(place: Place, period: Period) -> Iterator[Place]:
    if (clipped := clip(place, period.start_ms, period.until_ms)) is not None:
        yield clipped


_BAD_RUN = re.compile(rb"[\x80-\xff]+")


def _gaps(samples: Samples, holes: Iterable[Place]) -> list[Gap]:
    """Maximal runs of slots without a value, in order of time."""
    pieces: list[tuple[int, int, int, dict[str, int]]] = []
    """Places of the answered samples before and after it, time of its first slot, slots by cause."""
    for hole in holes:
        place = bisect_left(samples.due, hole.due_ms)
        pieces.append((place, place, hole.due_ms, {hole.cause: hole.slots}))
    for match in _BAD_RUN.finditer(samples.quality):
        causes: dict[str, int] = {}
        for quality in match.group():
            name = Quality(quality).name.lower()
            causes[name] = causes.get(name, 0) + 1
        pieces.append((match.start(), match.end(), samples.due[match.start()], causes))
    gaps: list[Gap] = []
    reach = -1
    for first, last, due, causes in sorted(pieces, key=lambda piece: (piece[2], piece[0])):
        # Answers without a value can have missed slots between them: then all of it is one gap.
        joined = bool(gaps) and first <= reach
        reach = max(reach, last) if joined else last
        end = samples.due[reach] if reach < len(samples.due) else samples.period.until_ms
        if joined:
            before = gaps.pop()
            causes = {  # noqa: PLW2901 - the sum takes the place of the part
                name: before.causes.get(name, 0) + causes.get(name, 0) for name in {**before.causes, **causes}
            }
            due = before.start_ms  # noqa: PLW2901
        gaps.append(Gap(due, max(end, due), sum(causes.values()), causes))
    return gaps
