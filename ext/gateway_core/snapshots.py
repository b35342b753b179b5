"""Snapshots of banks (a head, a row for each channel, a CRC-32): some rows of one are put into another one."""

import struct
import zlib
from collections.abc import Mapping

__all__ = ["carried"]

FIXED = 8
"""Bytes of the head that say what the rows are; the number of channels follows, and what else there is."""


def carried(fresh: bytes, kept: bytes, rows: Mapping[int, int], *, head: int, kind: slice = slice(0)) -> bytes:
    """``fresh`` with the rows of ``kept`` in the places that ``rows`` says (row in ``fresh`` to row in ``kept``).

    ``head`` is the size of the head. A row whose bytes ``kind`` differ is left as it is in ``fresh``. Raises
    `ValueError` for a damaged ``kept``, or one of another kind.
    """
    if len(kept) < head + 4 or struct.unpack("<I", kept[-4:])[0] != zlib.crc32(kept[:-4]):
        raise ValueError("the snapshot is damaged")
    if kept[:FIXED] != fresh[:FIXED] or kept[FIXED + 4 : head] != fresh[FIXED + 4 : head]:
        raise ValueError("the snapshot is of another version or other settings")
    (channels,) = struct.unpack_from("<I", kept, FIXED)
    size, rest = divmod(len(kept) - head - 4, max(1, channels))
    if rest or not all(0 <= old < channels for old in rows.values()):
        raise ValueError("the snapshot holds other channels than it says")
    body = bytearray(fresh[:-4])
    for new, old in rows.items():
        row = kept[head + old * size : head + (old + 1) * size]
        at = head + new * size
        if row[kind] == body[at : at + size][kind]:
            body[at : at + size] = row
    return bytes(body) + struct.pack("<I", zlib.crc32(body))
