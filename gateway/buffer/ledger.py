"""What the writer knows by heart: heads, deliveries and the batch that is being filled.

A transaction works on a copy, which takes the original's place only when its COMMIT has succeeded.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.buffer.faults import StoreError
from gateway.buffer.schema import CODES, STREAMS, on
from gateway.buffer.slots import Newest, OnGrid
from gateway.buffer.tail import BEGINNING, Place
from gateway.errors import SealError
from gateway.model import Head, Layout, Miss, Scan, Stream
from gateway.seal.keys import Signer
from gateway.seal.tree import Frontier, leaf_hash
from gateway.site import BufferSpec


@dataclass(frozen=True, slots=True)
class Book:
    """Who writes, of what, and by which rules."""

    iss: str
    signer: Signer
    layout: Layout
    layout_id: bytes
    spec: BufferSpec
    registration: bytes
    """Payload of leaf 0."""


class Delivered(NamedTuple):
    """Tree size that the cluster has given a receipt for, and the serialised `Frontier` of that tree."""

    size: int
    frontier: bytes


class Acknowledgement(NamedTuple):
    """A receipt that holds: what is to be stored of it."""

    size: int
    frontier: bytes
    receipt: bytes


NOTHING_DELIVERED = Delivered(0, Frontier().to_bytes())


@dataclass(frozen=True, slots=True)
class Filling:
    """The scan batch that is being filled.

    ``place`` is where its next group goes in the tail, ``previous`` the newest scan there of each device, from
    which the next group's values continue. ``written`` tells whether its records are in the tail of the file.
    """

    records: list[Scan | Miss] = field(default_factory=list)
    values: int = 0
    since_ms: int = 0
    place: Place = BEGINNING
    previous: Mapping[int, Scan] = field(default_factory=dict)
    written: bool = True


@dataclass(slots=True)
class Ledger:
    """``bodies`` is, by stream, a sequence below which no batch but the registration has a body left; ``slots``
    the newest slot of each device that stands in a batch, on each of its grids.
    """

    heads: dict[Stream, Head | None]
    delivered: dict[Stream, Delivered]
    bodies: dict[Stream, int]
    filling: Filling = field(default_factory=Filling)
    slots: dict[OnGrid, Newest] = field(default_factory=dict)

    def copy(self) -> "Ledger":
        """A draft for one transaction."""
        return Ledger(dict(self.heads), dict(self.delivered), dict(self.bodies), self.filling, dict(self.slots))

    def unwritten(self) -> None:
        """Note that the records of the open batch are no longer in the file, because it is a new one."""
        self.filling = replace(self.filling, place=BEGINNING, previous={}, written=not self.filling.records)

    def next_seq(self, stream: Stream) -> int:
        """Sequence of the batch that comes next."""
        head = self.heads[stream]
        return 0 if head is None else head.seq + 1


def load(connection: sqlite3.Connection) -> Ledger:
    """Read the ledger from the file, and see in passing whether its newest rows are what they should be.

    Raises `StoreError` (``corrupt``) when they are not; the rest of the file is believed until it is read.
    """
    heads = {stream: _head(connection, stream) for stream in STREAMS}
    delivered = {stream: _delivered(connection, stream) for stream in STREAMS}
    for stream in STREAMS:
        head = heads[stream]
        if delivered[stream].size > (0 if head is None else head.seq + 1):
            raise StoreError("corrupt", f"batches of stream {stream} that were delivered are missing")
    return Ledger(heads, delivered, dict.fromkeys(STREAMS, 1))


def _head(connection: sqlite3.Connection, stream: Stream) -> Head | None:
    row = connection.execute(on(stream, "SELECT seq, leaf, body FROM BATCH ORDER BY seq DESC LIMIT 1")).fetchone()
    if row is None:
        return None
    seq, leaf, body = row
    sound = isinstance(leaf, bytes) and len(leaf) == 32
    if body is not None:
        sound = isinstance(body, bytes) and leaf_hash(body) == leaf
    if not sound:
        raise StoreError("corrupt", f"the newest batch of stream {stream} ({seq}) is damaged")
    return Head(seq, leaf)


def _delivered(connection: sqlite3.Connection, stream: Stream) -> Delivered:
    row = connection.execute(
        "SELECT delivered_size, frontier FROM stream_state WHERE id = ?", (CODES[stream],)
    ).fetchone()
    if row is None:
        return NOTHING_DELIVERED
    size, frontier = row
    try:
        if Frontier.from_bytes(frontier).size != size:
            raise StoreError("corrupt", f"the state of stream {stream} contradicts itself")
    except (SealError, TypeError) as error:
        raise StoreError("corrupt", f"the state of stream {stream} is damaged") from error
    return Delivered(size, frontier)
