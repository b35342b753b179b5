"""Register blocks to values, driven by a table: the readable twin of ``_registers.pyx``.

A row says where a number lies in the blocks that the bus brought, how its bytes are ordered, what it means and
what would make it worthless. Both twins return the same bits for the same bytes.
"""

import math
import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from firmware_interfaces.quality import BAD, Quality
from gateway_core import compiled

__all__ = ["BCD", "BIT", "FLOAT", "SIGNED", "UNSIGNED", "Guard", "PureTable", "Row", "Table"]

BIT, UNSIGNED, SIGNED, FLOAT, BCD = range(5)


class Guard(NamedTuple):
    """A status that decides whether a row's number is to be believed.

    ``at`` counts bytes, or bits in a block of bits (``order`` is then empty). The field
    ``(register >> shift) & mask`` is looked up in ``states`` (the first that fits); what is not listed has the
    quality ``otherwise``.
    """

    block: int
    at: int
    order: tuple[int, ...]
    shift: int
    mask: int
    states: tuple[tuple[int, int], ...]
    otherwise: int


class Row(NamedTuple):
    """One number: ``kind`` (BIT, UNSIGNED, SIGNED, FLOAT, BCD), and where its bytes lie.

    ``at`` counts bytes, or bits for BIT; ``order`` gives the bytes from the most significant to the least, as
    distances from ``at``. A ``mask`` other than 0 picks the bit field ``(raw >> shift) & mask``.
    Whole numbers become ``(raw * multiplier + addend) / 10**places``, rounded once to the nearest double;
    floats ``raw * scale + offset``. ``invalid`` holds raw bit patterns without a value.
    """

    block: int
    at: int
    kind: int
    order: tuple[int, ...] = ()
    shift: int = 0
    mask: int = 0
    multiplier: int = 1
    addend: int = 0
    places: int = 0
    scale: float = 1.0
    offset: float = 0.0
    invalid: tuple[int, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    guards: tuple[Guard, ...] = ()


class PureTable:
    """Decodes blocks of the given sizes (bytes) by rows; holds no state between calls.

    Raises `ValueError` for a row that reaches beyond its block.
    """

    def __init__(self, sizes: Sequence[int], rows: Sequence[Row]) -> None:
        self._sizes = tuple(sizes)
        self._rows = tuple(rows)
        for row in self._rows:
            check_place(self._sizes, row)
            for guard in row.guards:
                check_place(self._sizes, guard)

    def decode(self, blocks: Sequence[bytes | None], qualities: Sequence[int]) -> "tuple[array[float], bytes]":
        """One double and one `Quality` byte per row; NaN exactly where the quality is bad.

        ``blocks`` holds the data of each read, None where it failed for the reason in ``qualities``. A block of
        another size than was asked for is a bad frame. Raises `ValueError` for a wrong number of blocks.
        """
        if len(blocks) != len(self._sizes) or len(qualities) != len(self._sizes):
            raise ValueError(f"{len(self._sizes)} blocks and qualities are needed")
        causes = [
            self._cause(block, size, quality)
            for block, size, quality in zip(blocks, self._sizes, qualities, strict=True)
        ]
        values = array("d")
        marks = bytearray()
        for row in self._rows:
            mark, value = _judge(row, blocks, causes)
            values.append(value)
            marks.append(mark)
        return values, bytes(marks)

    @staticmethod
    def _cause(block: bytes | None, size: int, quality: int) -> int:
        """Why a block has no data; 0 where it has."""
        if block is None:
            return quality if quality >= BAD else int(Quality.BAD_FRAME)
        return int(Quality.GOOD) if len(block) == size else int(Quality.BAD_FRAME)


def check_place(sizes: Sequence[int], place: Row | Guard) -> None:
    """Raise `ValueError` where a row or a guard lies outside its block."""
    if not 0 <= place.block < len(sizes):
        raise ValueError(f"there is no block {place.block}")
    last = place.at // 8 if not place.order else place.at + max(place.order)
    if place.at < 0 or min(place.order, default=0) < 0 or last >= sizes[place.block]:
        raise ValueError(f"place {place.at} is outside block {place.block}")


def _judge(row: Row, blocks: Sequence[bytes | None], causes: Sequence[int]) -> tuple[int, float]:
    """Quality and value of one row."""
    mark = causes[row.block] or (_guarded(row, blocks, causes) if row.guards else 0)
    if mark >= BAD:
        return mark, math.nan
    raw = _bits(blocks[row.block] or b"", row.at, row.order)
    if row.mask:
        raw = raw >> row.shift & row.mask
    if raw in row.invalid:
        return Quality.SENSOR_FAULT, math.nan
    value = _value(row, raw)
    if value is None:
        return Quality.SENSOR_FAULT, math.nan
    if not (math.isfinite(value) and row.low <= value <= row.high):
        return Quality.OUT_OF_RANGE, math.nan
    return mark, value


def _guarded(row: Row, blocks: Sequence[bytes | None], causes: Sequence[int]) -> int:
    """Worst quality that the guards of a row give; a guard that could not be read has its block's."""
    worst = 0
    for guard in row.guards:
        mark = causes[guard.block]
        if not mark:
            field = _bits(blocks[guard.block] or b"", guard.at, guard.order) >> guard.shift & guard.mask
            mark = next((mark for state, mark in guard.states if state == field), guard.otherwise)
        worst = max(worst, mark)
    return worst


def _bits(block: bytes, at: int, order: tuple[int, ...]) -> int:
    if not order:
        return block[at >> 3] >> (at & 7) & 1
    raw = 0
    for place in order:
        raw = raw << 8 | block[at + place]
    return raw


def _value(row: Row, raw: int) -> float | None:
    """The number that raw bits stand for; None where they stand for none."""
    if row.kind == FLOAT:
        size = len(row.order)
        number: float = struct.unpack(">f" if size == 4 else ">d", raw.to_bytes(size, "big"))[0]
        return number * row.scale + row.offset if math.isfinite(number) else None
    if row.kind == BCD:
        digits = f"{raw:x}"
        if not digits.isdecimal():
            return None
        raw = int(digits)
    elif row.kind == SIGNED:
        sign = 1 << (8 * len(row.order) - 1)
        raw = (raw ^ sign) - sign
    divisor: int = 10**row.places
    return (raw * row.multiplier + row.addend) / divisor


_core = compiled("_registers")
Table: type[PureTable] = PureTable if _core is None else _core.Table
"""The compiled table where there is one."""
