"""The tail: commit groups that are on disk but not yet in a batch.

It is a log inside the database. A few long blobs ("segments") are allocated once and overwritten in place, so
that a commit dirties the two or three pages that hold the group, and neither b-tree nor free list. Each group
carries the sequence of the batch it will go into; once that batch exists the group is history, and nothing has
to be deleted. An outer checksum tells history and damage from groups.
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import ClockClaim, ClockState, Miss, Scan

SEGMENT: Final = 8192
"""Bytes of a segment. A group that is larger gets a segment of its own."""
START: Final = 64
"""Groups begin here. The first bytes of a long blob lie in the b-tree's own page, which is left alone."""
_FRAME: Final = struct.Struct("<QII")
"""Sequence of the batch, length of what follows, CRC-32 of both and of what follows."""
_ABOUT: Final = struct.Struct("<16s8sqqqB")
"""Boot id, layout id, and the clock claim: boot ms, UTC ms, error ms (both -1 when untrusted), state."""
_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class Group:
    """What one commit wrote: when and by which layout, and the records as `seal.columns.encode_tail` put them."""

    clock: ClockClaim
    layout: bytes
    records: bytes

    def to_bytes(self) -> bytes:
        """The group as it stands in the tail, without its frame."""
        clock = self.clock
        utc, error = (_NONE if value is None else value for value in (clock.utc_ms, clock.error_ms))
        return _ABOUT.pack(clock.boot, self.layout, clock.boot_ms, utc, error, clock.state) + self.records

    @classmethod
    def from_bytes(cls, data: bytes) -> "Group":
        """The inverse; raises ValueError."""
        if len(data) < _ABOUT.size:
            message = f"a group of {len(data)} bytes"
            raise ValueError(message)
        boot, layout, boot_ms, utc, error, state = _ABOUT.unpack_from(data)
        clock = ClockClaim(boot, boot_ms, _known(utc), _known(error), ClockState(state))
        return cls(clock, layout, data[_ABOUT.size :])


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next group goes."""

    segment: int = 1
    offset: int = START


BEGINNING: Final = Place()
"""Where the first group of a batch goes."""


def append(connection: sqlite3.Connection, place: Place, seq: int, group: Group) -> Place:
    """Write a group of batch ``seq`` inside the open transaction; returns where the next one goes."""
    data = group.to_bytes()
    framed = frame(seq, data)
    if place.offset > START and place.offset + len(framed) > SEGMENT:
        place = Place(place.segment + 1)
    end = place.offset + len(framed)
    if not _overwrite(connection, place, framed):
        # What a shorter segment held is history, or it would be this batch's own and long enough.
        size = max(SEGMENT, end)
        connection.execute("INSERT OR REPLACE INTO tail(id, blob) VALUES(?, zeroblob(?))", (place.segment, size))
        _overwrite(connection, place, framed)
    return Place(place.segment, end)


def read(connection: sqlite3.Connection, seq: int) -> list[Group]:
    """The groups of batch ``seq``, in order."""
    groups: list[Group] = []
    for (blob,) in connection.execute("SELECT blob FROM tail ORDER BY id"):
        found = list(groups_of(blob, seq))
        if not found:
            break
        groups += found
    return groups


def groups_of(segment: bytes, seq: int) -> Iterator[Group]:
    """The groups of batch ``seq`` in one segment."""
    offset = START
    while offset + _FRAME.size <= len(segment):
        owner, length, check = _FRAME.unpack_from(segment, offset)
        data = segment[offset + _FRAME.size : offset + _FRAME.size + length]
        if owner != seq or len(data) != length or check != _check(owner, data):
            return
        try:
            yield Group.from_bytes(data)
        except ValueError:
            return
        offset += _FRAME.size + length


def owner(segment: bytes) -> int:
    """The batch that the first group of a segment belongs to, 0 (which is no batch of records) for none."""
    if START + _FRAME.size > len(segment):
        return 0
    seq: int = _FRAME.unpack_from(segment, START)[0]
    return seq if next(groups_of(segment, seq), None) is not None else 0


def newest_scans(previous: Mapping[int, Scan], records: Iterable[Scan | Miss]) -> dict[int, Scan]:
    """The newest scan of each device once a group is written: what the values of the next group continue from."""
    newest: dict[int, Scan] = {}
    for record in records:
        if isinstance(record, Scan):
            other = newest.get(record.device)
            if other is None or record.slot > other.slot:
                newest[record.device] = record
    return {**previous, **newest}


def frame(seq: int, data: bytes) -> bytes:
    """A group's bytes with their frame."""
    return _FRAME.pack(seq, len(data), _check(seq, data)) + data


def _check(seq: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(struct.pack("<QI", seq, len(data))))


def _overwrite(connection: sqlite3.Connection, place: Place, data: bytes) -> bool:
    """Write into a segment; False when there is none, or it is too short."""
    try:
        blob = connection.blobopen("tail", "blob", place.segment)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return False
    with blob:
        if len(blob) < place.offset + len(data):
            return False
        blob.seek(place.offset)
        blob.write(data)
    return True


def _known(value: int) -> int | None:
    return None if value == _NONE else value
