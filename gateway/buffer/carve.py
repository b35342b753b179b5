"""Rows from a damaged SQLite file, page by page, without its b-trees and without SQLite.

Any page may be lost, the first ones included: each leaf page that is still whole gives its rows, each row its
overflow chain where that is whole. What a row is worth is for the caller to judge; a row of a page that was in
use long ago can come up as well. Layout of pages, cells, records and write-ahead log: sqlite.org/fileformat2.html.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.buffer.schema import PAGE_SIZE

Value = int | float | str | bytes | None

_LEAF: Final = 0x0D
_FIRST_PAGE_HEADER: Final = 100
_WAL_HEADER: Final = struct.Struct(">IIIIIIII")
_FRAME_HEADER: Final = struct.Struct(">IIIIII")
_WAL_MAGIC: Final = 0x377F0682
_MAX_PAYLOAD: Final = 16 << 20
_STRIDE: Final = 2048
"""Pages read at once."""


class Row(NamedTuple):
    """A row with its rowid; ``whole`` is False where its overflow chain breaks off: its last value is then None."""

    rowid: int
    values: tuple[Value, ...]
    whole: bool


class _Damaged(Exception):  # noqa: N818 - never leaves this module
    """A cell is not what it should be."""


class Carver:
    """The pages of a file and of its write-ahead log, the committed ones of the log first."""

    def __init__(self, path: Path, wal: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._count = os.fstat(self._file).st_size // PAGE_SIZE
        self._newer = _committed_pages(wal)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def rows(self) -> Iterator[Row]:
        """Every row of every leaf page of a table."""
        for number in range(1, self._count + 1, _STRIDE):
            for index, page in enumerate(self._read(number, min(_STRIDE, self._count + 1 - number)), number):
                if index not in self._newer:
                    yield from self._rows_of(page, index)
        for number, page in self._newer.items():
            yield from self._rows_of(page, number)

    def _read(self, number: int, count: int) -> list[bytes]:
        """Neighbouring pages; where the medium refuses, pages of zeros in place of the unreadable ones."""
        try:
            data = os.pread(self._file, count * PAGE_SIZE, (number - 1) * PAGE_SIZE)
        except OSError:
            if count == 1:
                return [bytes(PAGE_SIZE)]
            return [page for index in range(number, number + count) for page in self._read(index, 1)]
        return [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]

    def _page(self, number: int) -> bytes:
        newer = self._newer.get(number)
        if newer is not None:
            return newer
        if not 1 <= number <= self._count:
            raise _Damaged
        return self._read(number, 1)[0]

    def _rows_of(self, page: bytes, number: int) -> Iterator[Row]:
        header = _FIRST_PAGE_HEADER if number == 1 else 0
        if len(page) != PAGE_SIZE or page[header] != _LEAF:
            return
        count = int.from_bytes(page[header + 3 : header + 5], "big")
        pointers = header + 8
        if pointers + 2 * count > PAGE_SIZE:
            return
        for index in range(count):
            at = int.from_bytes(page[pointers + 2 * index : pointers + 2 * index + 2], "big")
            try:
                yield self._row(page, at)
            except (_Damaged, IndexError, UnicodeDecodeError, struct.error):
                continue

    def _row(self, page: bytes, at: int) -> Row:
        size, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if size > _MAX_PAYLOAD:
            raise _Damaged
        local = _local_size(size)
        payload = page[at : at + local]
        if len(payload) != local:
            raise _Damaged
        whole = True
        if local < size:
            try:
                payload += self._overflow(int.from_bytes(page[at + local : at + local + 4], "big"), size - local)
            except _Damaged:
                whole = False
        return Row(_signed(rowid), _record(payload, size, whole), whole)

    def _overflow(self, number: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            page = self._page(number)
            number = int.from_bytes(page[:4], "big")
            parts.append(page[4 : 4 + min(size, PAGE_SIZE - 4)])
            size -= PAGE_SIZE - 4
        return b"".join(parts)


def _local_size(size: int) -> int:
    """How much of a payload stays on the leaf page."""
    most = PAGE_SIZE - 35
    if size <= most:
        return size
    least = (PAGE_SIZE - 12) * 32 // 255 - 23
    local = least + (size - least) % (PAGE_SIZE - 4)
    return local if local <= most else least


def _record(payload: bytes, size: int, whole: bool) -> tuple[Value, ...]:
    """The values of a record. Of one that is not whole, the values that lie beyond its end are None."""
    end, at = _varint(payload, 0)
    if end > len(payload):
        raise _Damaged
    values: list[Value] = []
    position = end
    while at < end:
        kind, at = _varint(payload, at)
        length = _length(kind)
        if position + length > size:
            raise _Damaged
        data = payload[position : position + length]
        position += length
        values.append(_value(kind, data) if len(data) == length else None)
    if whole and position != size:
        raise _Damaged
    return tuple(values)


def _length(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in {10, 11}:
        raise _Damaged
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]


def _value(kind: int, data: bytes) -> Value:
    if kind == 0:
        return None
    if kind >= 12:
        return data.decode() if kind & 1 else data
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    return kind - 8 if kind in {8, 9} else int.from_bytes(data, "big", signed=True)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _committed_pages(wal: Path) -> dict[int, bytes]:
    """The newest image of each page in a write-ahead log, up to the last whole transaction."""
    try:
        data = wal.read_bytes()
    except OSError:
        return {}
    if len(data) < _WAL_HEADER.size:
        return {}
    magic, _, size, _, salt1, salt2, sum1, sum2 = _WAL_HEADER.unpack_from(data)
    if magic & ~1 != _WAL_MAGIC or size != PAGE_SIZE:
        return {}
    order = ">" if magic & 1 else "<"
    sums = _checksum(data[: _WAL_HEADER.size - 8], (0, 0), order)
    if sums != (sum1, sum2):
        return {}
    committed: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    step = _FRAME_HEADER.size + PAGE_SIZE
    for at in range(_WAL_HEADER.size, len(data) - step + 1, step):
        number, commit, frame1, frame2, sum1, sum2 = _FRAME_HEADER.unpack_from(data, at)
        page = data[at + _FRAME_HEADER.size : at + step]
        sums = _checksum(page, _checksum(data[at : at + 8], sums, order), order)
        if (frame1, frame2) != (salt1, salt2) or sums != (sum1, sum2):
            break
        pending[number] = page
        if commit:
            committed.update(pending)
            pending.clear()
    return committed


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
