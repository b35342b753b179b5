"""The hot loops of the scan codec in readable words: the twin of ``_columns.pyx``, which gives the same bytes.

Here scans become series of integers and back (`gateway_core.series` has the words); `gateway.seal.columns` puts
the series into CBOR and checks what does not cost time per value. Both twins raise ValueError (OverflowError for
integers beyond 64 bits) for what cannot be coded or decoded, in the words of the caller's mistake.
"""

import sys
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite, isnan, nan
from operator import attrgetter
from typing import Any

from gateway_core.series import (
    BAD,
    FIRST_CODES,
    FLOAT32,
    FLOAT64,
    LIMIT,
    RANGES,
    REST_CODES,
    TYPECODES,
    WIDTHS,
    Packed,
    Plan,
    ScanLike,
    Series,
    Shape,
    base_slot,
    check_scan,
    count_before,
    due_ms,
    narrow,
    offset_ms,
    to_count,
)

__all__ = ["Plan", "pack", "unpack"]


def pack(
    plans: Sequence[Plan], scans: Iterable[ScanLike], previous: Mapping[int, ScanLike], first_ms: int
) -> Packed:
    """Take scans, in any order, apart into series.

    ``plans`` are those of all devices, ``previous`` holds an earlier scan of any of them to go on from,
    ``first_ms`` is a time at or before which the batch begins in any case.
    """
    of_device: defaultdict[int, list[ScanLike]] = defaultdict(list)
    for scan in scans:
        if not 0 <= scan.device < len(plans):
            raise ValueError(f"device {scan.device} is not in the layout")
        of_device[scan.device].append(scan)
    writer = _Writer(first_ms)
    for device, rows in sorted(of_device.items()):
        writer.block(device, plans[device], sorted(rows, key=attrgetter("slot")), previous.get(device))
    return writer.packed()


def unpack(shapes: Iterable[Shape], series: Series, make: Callable[..., Any]) -> list[Any]:
    """Put scans together again: block by block, in slot order.

    ``make`` is called with device, slot, at_ms, values and quality. All of ``series`` must be used up.
    """
    reader = _Reader(series)
    scans: list[Any] = []
    for shape in shapes:
        scans += reader.block(shape, make)
    reader.finish()
    return scans


class _Writer:
    def __init__(self, first_ms: int) -> None:
        self.devices: list[int] = []
        self.rows: list[int] = []
        self.slots: list[tuple[Plan, int]] = []
        self.steps = array("q")
        self.run_lengths = array("q")
        self.run_qualities = bytearray()
        self.kinds = bytearray()
        self.firsts: dict[int, array[Any]] = {code: array(typecode) for code, typecode in TYPECODES.items()}
        self.rests: dict[int, array[Any]] = {code: array(typecode) for code, typecode in TYPECODES.items()}
        self.raws: list[int | bytes] = []
        self.context = array("q")
        self.first_ms = first_ms
        self.last_ms = 0
        self.cells = 0
        self.values = 0

    def packed(self) -> Packed:
        return Packed(
            narrow([device - before - 1 for before, device in pairwise([-1, *self.devices])]),
            narrow(self.rows),
            narrow([slot - base_slot(plan, self.first_ms) for plan, slot in self.slots]),
            narrow(self.steps if any(self.steps) else []),
            narrow(self.run_lengths),
            bytes(self.run_qualities),
            bytes(self.kinds),
            _used(self.firsts),
            _used(self.rests),
            self.raws,
            self.context,
            self.first_ms,
            self.last_ms,
            self.cells,
            self.values,
        )

    def block(self, device: int, plan: Plan, scans: Sequence[ScanLike], previous: ScanLike | None) -> None:
        for scan in scans if previous is None else (*scans, previous):
            check_scan(scan, len(plan.scales))
        offsets = [offset_ms(plan, scan.slot, scan.at_ms) for scan in scans]
        for row, scan in enumerate(scans, sum(self.rows)):
            if scan.raw is not None:
                self.raws += (row, scan.raw)
        self.devices.append(device)
        self.rows.append(len(scans))
        self.context.append(-1 if previous is None else previous.slot)
        self.cells += len(scans) * len(plan.scales)
        self.slots.append((plan, scans[0].slot))
        for earlier, later in pairwise(scans):
            if later.slot <= earlier.slot:
                raise ValueError(f"slot {later.slot} comes twice")
            self.steps.append(later.slot - earlier.slot - 1)
        self.first_ms = min(self.first_ms, *(scan.at_ms for scan in scans))
        self.last_ms = max(self.last_ms, *(scan.at_ms for scan in scans))
        self._integers(offsets, None if previous is None else offset_ms(plan, previous.slot, previous.at_ms))
        for column, scale in enumerate(plan.scales):
            self._column(scans, column, scale, previous)

    def _column(self, scans: Sequence[ScanLike], column: int, scale: float, previous: ScanLike | None) -> None:
        values = []
        for scan in scans:
            quality, value = scan.quality[column], scan.values[column]
            self._quality(quality)
            if quality >= BAD:
                if not isnan(value):
                    raise ValueError(f"slot {scan.slot}: a value of bad quality")
            elif isfinite(value):
                values.append(value)
            else:
                raise ValueError(f"slot {scan.slot}: no finite value, yet its quality is not bad")
        self.values += len(values)
        if not values:
            self.kinds.append(0)
            return
        counts = [to_count(value, scale) for value in values] if scale else [None]
        exact = [count for count in counts if count is not None]
        if len(exact) == len(values):
            self._integers(exact, count_before(previous, column, scale))
        else:
            self._floats([value + 0.0 for value in values] if scale else values)

    def _quality(self, quality: int) -> None:
        if self.run_qualities and self.run_qualities[-1] == quality:
            self.run_lengths[-1] += 1
        else:
            self.run_qualities.append(quality)
            self.run_lengths.append(1)

    def _integers(self, counts: list[int], before: int | None) -> None:
        kind, first = 0, _narrowest(FIRST_CODES, counts[0], counts[0])
        deltas = [later - earlier for earlier, later in pairwise(counts)]
        if before is not None and _jump_width(counts[0] - before) <= WIDTHS[first]:
            deltas.insert(0, counts[0] - before)
        else:
            kind = first
            self.firsts[kind].append(counts[0])
        if any(deltas):
            code = _narrowest(REST_CODES, min(deltas), max(deltas))
            self.rests[code].extend(deltas)
            kind |= code << 4
        self.kinds.append(kind)

    def _floats(self, values: list[float]) -> None:
        single = array("f", values)
        code, elements = (FLOAT32, single) if single.tolist() == values else (FLOAT64, array("d", values))
        if elements.tobytes() == elements[:1].tobytes() * len(elements):
            self.firsts[code].append(elements[0])
            self.kinds.append(code)
        else:
            self.rests[code].extend(elements)
            self.kinds.append(code << 4)


def _narrowest(codes: Sequence[int], low: int, high: int) -> int:
    return next(code for code in codes if RANGES[code][0] <= low and high <= RANGES[code][1])


def _jump_width(delta: int) -> int:
    return WIDTHS[_narrowest(REST_CODES, delta, delta)]


def _used(arrays: dict[int, "array[Any]"]) -> dict[int, bytes]:
    found = {}
    for code, elements in arrays.items():
        if elements:
            if sys.byteorder == "big":
                elements.byteswap()
            found[code] = elements.tobytes()
    return found


class _Stream:
    """Elements of one type, read once from front to back."""

    def __init__(self, code: int, data: bytes) -> None:
        self.elements: array[Any] = array(TYPECODES[code])
        if len(data) % self.elements.itemsize:
            raise ValueError("an array ends inside an element")
        self.elements.frombytes(data)
        if sys.byteorder == "big":
            self.elements.byteswap()
        self.at = 0

    def take(self, count: int) -> "array[Any]":
        if count > len(self.elements) - self.at:
            raise ValueError("an array is shorter than its series")
        self.at += count
        return self.elements[self.at - count : self.at]


class _Reader:
    def __init__(self, series: Series) -> None:
        self.first_ms, steps, qualities, kinds, firsts, rests = series
        self.steps = iter(steps)
        self.stepless = not steps
        self.qualities = qualities
        self.cell = 0
        self.kinds = iter(kinds)
        self.firsts = {code: _Stream(code, data) for code, data in firsts.items()}
        self.rests = {code: _Stream(code, data) for code, data in rests.items()}

    def finish(self) -> None:
        streams = (*self.firsts.values(), *self.rests.values())
        if any(stream.at != len(stream.elements) for stream in streams):
            raise ValueError("an array is longer than its series")
        if self.cell != len(self.qualities) or any(True for _ in self.kinds) or any(True for _ in self.steps):
            raise ValueError("more qualities, kinds or steps than the rows account for")

    def block(self, shape: Shape, make: Callable[..., Any]) -> list[Any]:
        device, plan, rows, slot, previous = shape
        columns = len(plan.scales)
        if rows < 1:
            raise ValueError("a block without rows")
        if previous is not None:
            check_scan(previous, columns)
        slots = self._slots(rows, base_slot(plan, self.first_ms) + slot)
        before = None if previous is None else offset_ms(plan, previous.slot, previous.at_ms)
        times = [
            due_ms(plan, slot) + offset
            for slot, offset in zip(slots, self._integers(self._kind(), rows, before), strict=True)
        ]
        if not all(0 <= at_ms <= LIMIT for at_ms in times):
            raise ValueError("a time is not on the boot clock")
        values = [array("d", [nan]) * columns for _ in range(rows)]
        start, self.cell = self.cell, self.cell + rows * columns
        if self.cell > len(self.qualities):
            raise ValueError("fewer qualities than the rows account for")
        for column, scale in enumerate(plan.scales):
            first = start + column * rows
            present = [row for row in range(rows) if self.qualities[first + row] < BAD]
            for row, value in zip(present, self._column(len(present), column, scale, previous), strict=True):
                values[row][column] = value
        return [
            make(device, slots[row], times[row], values[row], self.qualities[start + row : self.cell : rows])
            for row in range(rows)
        ]

    def _kind(self) -> int:
        kind = next(self.kinds, None)
        if kind is None:
            raise ValueError("fewer kinds than series")
        return kind

    def _slots(self, rows: int, slot: int) -> list[int]:
        slots = [slot]
        for _ in range(rows - 1):
            step = 0 if self.stepless else next(self.steps, -1)
            if not 0 <= step <= LIMIT or slot > LIMIT:
                raise ValueError("slots that do not rise, or are too few for the rows")
            slot += step + 1
            slots.append(slot)
        return slots

    def _column(self, count: int, column: int, scale: float, previous: ScanLike | None) -> Iterable[float]:
        kind = self._kind()
        if not count:
            if kind:
                raise ValueError("a kind where there is no value")
            return ()
        if kind in {FLOAT32, FLOAT64}:
            floats = self._take(self.firsts, kind, 1) * count
        elif kind in {FLOAT32 << 4, FLOAT64 << 4}:
            floats = self._take(self.rests, kind >> 4, count)
        elif scale:
            return [whole / scale for whole in self._integers(kind, count, count_before(previous, column, scale))]
        else:
            raise ValueError("integers in a column of binary floating point")
        if not all(isfinite(value) for value in floats):
            raise ValueError("an infinite value, or none where the quality says there is one")
        return floats

    def _integers(self, kind: int, count: int, before: int | None) -> list[int]:
        first, rest = kind & 15, kind >> 4
        counts = []
        if first:
            if first not in FIRST_CODES:
                raise ValueError(f"kind {kind} is not defined")
            counts = self._take(self.firsts, first, 1).tolist()
            count -= 1
        elif before is not None:
            counts = [before]
        else:
            raise ValueError("a series without a first element")
        if rest and rest not in REST_CODES:
            raise ValueError(f"kind {kind} is not defined")
        deltas = self._take(self.rests, rest, count) if rest else [0] * count
        for delta in deltas:
            if not (-LIMIT <= counts[-1] <= LIMIT and -2 * LIMIT <= delta <= 2 * LIMIT):
                break
            counts.append(counts[-1] + delta)
        if len(counts) <= count or not -LIMIT <= counts[-1] <= LIMIT:
            raise ValueError("a count beyond 2**53")
        return counts if first else counts[1:]

    @staticmethod
    def _take(streams: dict[int, _Stream], code: int, count: int) -> "array[Any]":
        if code not in streams:
            raise ValueError("an array is missing")
        return streams[code].take(count)
