"""The words in which the scan codec speaks: codes of arrays, plans, and scans taken apart into series.

A *block* is the scans of one device in slot order. A *series* is one column of a block, or the times of its
scans: offsets in ms from the moment at which the slot was due. Every series has a kind: the code of the array
that holds its first element in the low four bits, the code of the array that holds the rest in the high four
(0: nothing there). The rest of an integer series are differences of neighbours; a series whose elements are all
equal has no rest. A series may go on from an earlier scan: then it has no first element, unless a fresh one is
narrower than the step from that scan.
"""

import sys
from array import array
from collections.abc import Sequence
from typing import NamedTuple, Protocol

LIMIT = 2**53
"""Largest magnitude of a time in ms and of a count: up to here doubles hold every integer."""

BAD = 0x80
"""Qualities from here on mean that there is no value."""

FLOAT32, FLOAT64 = 6, 7
"""Codes of the arrays that hold binary floating point."""

TYPECODES = {1: "b", 2: "h", 3: "i", 4: "q", 5: "H", FLOAT32: "f", FLOAT64: "d"}
"""Code of an array to its element type, as the array module names it."""

WIDTHS = {1: 1, 2: 2, 3: 4, 4: 8, 5: 2, FLOAT32: 4, FLOAT64: 8}
"""Bytes per element."""

RANGES = {
    1: (-(2**7), 2**7 - 1),
    2: (-(2**15), 2**15 - 1),
    3: (-(2**31), 2**31 - 1),
    4: (-(2**63), 2**63 - 1),
    5: (0, 2**16 - 1),
}
"""Smallest and largest element of the integer arrays."""

FIRST_CODES = (5, 2, 3, 4)
"""Arrays for first elements, in order of preference: few kinds in use compress better than narrow elements."""

REST_CODES = (1, 2, 3, 4)
"""Arrays for differences, in order of preference."""


UNSIGNED = ((2**8, 64, "B"), (2**16, 69, "H"), (2**32, 70, "I"), (2**64, 71, "Q"))
SIGNED = ((2**7, 72, "b"), (2**15, 77, "h"), (2**31, 78, "i"), (2**63, 79, "q"))
"""Integer arrays of RFC 8746, little-endian: end of the range, tag, element type."""


class ScanLike(Protocol):
    """What is read of a scan (`gateway.model.Scan`)."""

    device: int
    slot: int
    at_ms: int
    values: "array[float]"
    quality: bytes
    raw: bytes | None


class Plan(NamedTuple):
    """What coding needs to know of a device.

    ``scales`` holds 10**decimals for each column (0 for binary floating point); slot k is due at
    k * ``period`` + ``phase`` ms.
    """

    scales: "array[float]"
    period: int
    phase: int


Narrow = tuple[int, bytes]
"""Integers as the narrowest typed array of RFC 8746: its tag and its elements, little-endian."""


class Packed(NamedTuple):
    """The scans of a batch as series.

    ``devices``: for each block the devices skipped since the one before. ``rows``: its scans. ``slots``: its first
    slot, counted from `base_slot`. ``steps``: slots skipped before each further row (empty: none anywhere).
    ``run_lengths``, ``run_qualities``: the qualities of all cells, block by block, column by column, row by row.
    ``kinds``: one byte per series, the times of a block before its columns. ``firsts``, ``rests``: elements by
    array code (little-endian, codes ascending, empty ones left out). ``raws``: row, raw bytes, row, raw bytes ...
    ``context``: for each block the slot of the scan that it goes on from, or -1. ``cells``: all of them;
    ``values``: those that hold a value.
    """

    devices: Narrow
    rows: Narrow
    slots: Narrow
    steps: Narrow
    run_lengths: Narrow
    run_qualities: bytes
    kinds: bytes
    firsts: dict[int, bytes]
    rests: dict[int, bytes]
    raws: list[int | bytes]
    context: "array[int]"
    first_ms: int
    last_ms: int
    cells: int
    values: int


class Series(NamedTuple):
    """The series of a batch to be read: as in `Packed`, with the quality of each cell written out."""

    first_ms: int
    steps: "array[int]"
    qualities: bytes
    kinds: bytes
    firsts: dict[int, bytes]
    rests: dict[int, bytes]


Shape = tuple[int, Plan, int, int, ScanLike | None]
"""Device index, its plan, number of rows, first slot from `base_slot`, and the earlier scan to go on from."""


def narrow(values: Sequence[int]) -> Narrow:
    """Integers as a typed array: unsigned unless one is negative; raises OverflowError beyond 64 bits."""
    try:
        return 64, bytes(list(values))
    except ValueError:
        low, high = min(values), max(values)
    fits = [(tag, code) for end, tag, code in (SIGNED if low < 0 else UNSIGNED) if -end <= low and high < end]
    if not fits:
        raise OverflowError("an integer of more than 64 bits")
    tag, typecode = fits[0]
    elements = array(typecode, values)
    if sys.byteorder == "big":
        elements.byteswap()
    return tag, elements.tobytes()


def base_slot(plan: Plan, first_ms: int) -> int:
    """The slot from which a batch that begins at ``first_ms`` counts; negative where that is before the phase."""
    return (first_ms - plan.phase) // plan.period


def due_ms(plan: Plan, slot: int) -> int:
    """Boot time at which a slot is due; refuses one that no clock will reach."""
    if not 0 <= slot <= (LIMIT - plan.phase) // plan.period:
        raise ValueError(f"slot {slot} is outside the schedule")
    return slot * plan.period + plan.phase


def offset_ms(plan: Plan, slot: int, at_ms: int) -> int:
    """How late a scan is; refuses times that are not on the boot clock."""
    due = due_ms(plan, slot)
    if not 0 <= at_ms <= LIMIT:
        raise ValueError(f"time {at_ms} ms is not on the boot clock")
    return at_ms - due


def to_count(value: float, scale: float) -> int | None:
    """The integer that stands for a value, None where no integer gives back exactly this double."""
    scaled = value * scale
    if not -LIMIT <= scaled <= LIMIT:
        return None
    count = round(scaled)
    return count if count / scale == value else None


def count_before(previous: ScanLike | None, column: int, scale: float) -> int | None:
    """The count from which a column continues, None where it has to start anew."""
    if previous is None or scale == 0 or previous.quality[column] >= BAD:
        return None
    return to_count(previous.values[column], scale)


def check_scan(scan: ScanLike, columns: int) -> None:
    """Refuse a scan that does not have the columns of its device."""
    if not isinstance(scan.values, array) or not isinstance(scan.quality, bytes):
        raise TypeError("a scan has an array of doubles as values and bytes as quality")
    if scan.values.typecode != "d" or len(scan.values) != columns or len(scan.quality) != columns:
        raise ValueError(f"a scan of this device has {columns} doubles and as many qualities")
