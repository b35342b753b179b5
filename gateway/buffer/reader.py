"""Reading the journal beside its writer: on a connection of its own that cannot write and disturbs no commit."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

from gateway.buffer import schema, tail
from gateway.buffer.faults import STORE_ERRORS, StoreError, fault_of
from gateway.buffer.schema import CODES, KEY, STREAMS, on
from gateway.buffer.slots import Newest, OnGrid, advance
from gateway.buffer.tail import Group
from gateway.errors import SealError, StorageError
from gateway.model import ClockClaim, Layout, Miss, Scan, StoredBatch, Stream
from gateway.seal.batch import EVENT_TYPE, open_batch
from gateway.seal.columns import decode_events, decode_scans, decode_tail, layout_from_cbor, peek_scans
from gateway.seal.tree import leaf_hash

AT_ONCE: Final = 4 << 20
"""Bytes of bodies that one answer of `Reader.batches` holds at most, but for its first batch."""
LOOK_BACK: Final = 512
"""Batches that are read at most to find the newest slots where a file does not keep them."""
LAST_WORDS: Final = 8
"""Event batches in which the end of a run is looked for: little is recorded after it."""

_BATCHES: Final = (
    "SELECT seq, leaf, body, first_ms, last_ms, values_n FROM BATCH WHERE seq >= ? ORDER BY seq LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class StreamState:
    """What the cluster has acknowledged of a stream, with its receipt."""

    size: int
    frontier: bytes
    receipt: bytes | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the file. ``stream`` and ``seq`` where it is a batch."""

    what: str
    stream: Stream | None = None
    seq: int | None = None


class Previous(NamedTuple):
    """How an earlier run ends on record: its clock, the boot time of its last record, whether it was stopped."""

    clock: ClockClaim
    last_ms: int
    orderly: bool


class Reader:
    """A read-only view of a journal, for one thread at a time (calls from others wait).

    Every method raises `StorageError` when the file cannot be read, `StoreError` with state ``corrupt`` when it
    is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        with self._lock:
            self._drop()

    def batches(self, stream: Stream, from_seq: int, limit: int) -> list[StoredBatch]:
        """Batches from a sequence on, in order, `AT_ONCE` bytes at most.

        A body that is not what its leaf says comes as None: such a batch can only be proven to be missing.
        """
        found: list[StoredBatch] = []
        size = 0
        with self._query() as connection:
            rows = connection.execute(
                on(stream, _BATCHES),
                (from_seq, limit),
            )
            for row in rows:
                batch = _stored(stream, row)
                size += len(batch.body or b"")
                if found and size > AT_ONCE:
                    break
                found.append(batch)
        return found

    def leaves(self, stream: Stream, from_seq: int, to_seq: int) -> list[bytes]:
        """Leaf hashes of the sequences ``from_seq`` up to but not including ``to_seq``.

        Raises `StorageError` when one of them is lost.
        """
        with self._query() as connection:
            rows = connection.execute(
                on(stream, "SELECT seq, leaf FROM BATCH WHERE seq >= ? AND seq < ? ORDER BY seq"),
                (from_seq, to_seq),
            ).fetchall()
        for expected, (seq, _) in enumerate(rows, from_seq):
            if seq != expected:
                raise StorageError(f"leaf {expected} of stream {stream} is lost", "see event storage.salvaged")
        if len(rows) != max(0, to_seq - from_seq):
            raise StorageError(f"leaf {from_seq + len(rows)} of stream {stream} is not there")
        return [leaf for _, leaf in rows]

    def bodiless(self, stream: Stream, from_seq: int, to_seq: int) -> set[int]:
        """Sequences ``from_seq`` to ``to_seq`` - 1 whose body retention or a deletion has taken."""
        with self._query() as connection:
            rows = connection.execute(
                on(stream, "SELECT seq FROM BATCH WHERE seq >= ? AND seq < ? AND body IS NULL"), (from_seq, to_seq)
            ).fetchall()
        return {seq for (seq,) in rows}

    def bounds(self, stream: Stream) -> tuple[int, int] | None:
        """First and last sequence of a stream in the file, None where there is no batch."""
        with self._query() as connection:
            row = connection.execute(on(stream, "SELECT min(seq), max(seq) FROM BATCH")).fetchone()
        return None if row[0] is None else (row[0], row[1])

    def state(self, stream: Stream) -> StreamState | None:
        """What has been acknowledged of a stream, None before the first receipt."""
        with self._query() as connection:
            row = connection.execute(
                "SELECT delivered_size, frontier, receipt FROM stream_state WHERE id = ?", (CODES[stream],)
            ).fetchone()
        return None if row is None else StreamState(*row)

    def layouts(self) -> dict[bytes, Layout]:
        """Every layout that batches of this journal were written with, by its id."""
        with self._query() as connection:
            return layouts(connection)

    def tail(self) -> list[tuple[ClockClaim, Layout, list[Scan | Miss]]]:
        """The readable commit groups that are not yet in a batch, in order."""
        return self.rest(None)[1]

    def rest(
        self, from_seq: int | None
    ) -> tuple[list[StoredBatch], list[tuple[ClockClaim, Layout, list[Scan | Miss]]]]:
        """The end of the scan stream as it was at one instant: batches from a sequence on (None: no batch), and the
        readable commit groups that are not yet in a batch.
        """
        with self._query() as connection:
            connection.execute("BEGIN")
            try:
                known = layouts(connection)
                newest = connection.execute("SELECT coalesce(max(seq), -1) FROM scan_batch").fetchone()[0]
                groups = tail.read(connection, newest + 1)
                first = newest + 1 if from_seq is None else from_seq
                rows = connection.execute(on("scan", _BATCHES), (first, max(0, newest + 1 - first))).fetchall()
            finally:
                connection.execute("COMMIT")
        return [_stored("scan", row) for row in rows], [
            (group.clock, known[group.layout], records)
            for group, records in decoded(groups, known)
            if records is not None
        ]

    def heads(self) -> dict[Stream, int]:
        """The newest sequence of each stream (-1: none), at one instant: none of them speaks of a later one."""
        with self._query() as connection:
            row = connection.execute(
                "SELECT (SELECT coalesce(max(seq), -1) FROM scan_batch), "
                "(SELECT coalesce(max(seq), -1) FROM event_batch)"
            ).fetchone()
        return dict(zip(STREAMS, row, strict=True))

    def key_in_force(self) -> bytes | None:
        """Thumbprint of the key that signs the next batch, None in a new journal."""
        with self._query() as connection:
            return meta(connection, KEY)

    def check(self) -> list[Finding]:
        """Read all of the file: SQLite's own check, bodies against leaves, batches against their neighbours."""
        findings: list[Finding] = []
        with self._query() as connection:
            for (line,) in connection.execute("PRAGMA integrity_check(20)"):
                if line != "ok":
                    findings.append(Finding(line))
            for stream in STREAMS:
                findings += _check_chain(connection, stream)
        return findings

    @contextmanager
    def _query(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = schema.connect_reader(self.path)
                yield self._connection
            except STORE_ERRORS as error:
                self._drop()
                raise fault_of(error) from error

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _stored(stream: Stream, row: Any) -> StoredBatch:
    seq, leaf, body, *about = row
    sound = body if isinstance(body, bytes) and leaf_hash(body) == leaf else None
    return StoredBatch(stream, seq, leaf, sound, *about)


def meta(connection: sqlite3.Connection, name: str) -> bytes | None:
    """One entry of table ``meta``."""
    row: tuple[bytes] | None = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def layouts(connection: sqlite3.Connection) -> dict[bytes, Layout]:
    """Every known layout by its id; raises `StoreError` (``corrupt``) for one that cannot be read."""
    try:
        return {name: layout_from_cbor(body) for name, body in connection.execute("SELECT hash, body FROM layout")}
    except (SealError, TypeError) as error:
        raise StoreError("corrupt", f"a layout cannot be read ({error})") from error


def decoded(
    groups: Iterable[Group], known: dict[bytes, Layout]
) -> Iterator[tuple[Group, list[Scan | Miss] | None]]:
    """Groups of the tail, in order, with their records; None for those that cannot be read."""
    previous: dict[int, Scan] = {}
    of: bytes | None = None
    for group in groups:
        layout = known.get(group.layout)
        if group.layout != of:
            previous, of = {}, group.layout
        try:
            records = None if layout is None else decode_tail(layout, group.records, previous)
        except SealError:
            records = None
        if records is not None:
            previous = tail.newest_scans(previous, records)
        yield group, records


def newest_issuer(connection: sqlite3.Connection, stream: Stream) -> str | None:
    """The gateway that the newest batch with a body names, None where there is none to be read."""
    row = connection.execute(
        on(stream, "SELECT body FROM BATCH WHERE body IS NOT NULL ORDER BY seq DESC LIMIT 1")
    ).fetchone()
    try:
        return None if row is None else open_batch(row[0]).iss
    except (SealError, TypeError):
        return None


def slots_since(connection: sqlite3.Connection, seq: int, known: dict[OnGrid, Newest]) -> dict[OnGrid, Newest]:
    """``known``, which holds for the batches up to ``seq``, brought up to date with the `LOOK_BACK` newest ones."""
    found = dict(known)
    layouts_known = layouts(connection)
    rows = connection.execute(
        "SELECT leaf, body FROM scan_batch WHERE seq > ? AND body IS NOT NULL ORDER BY seq DESC LIMIT ?",
        (max(seq, 0), LOOK_BACK),
    ).fetchall()
    for leaf, body in reversed(rows):
        if not isinstance(body, bytes) or leaf_hash(body) != leaf:
            continue
        try:
            batch = open_batch(body)
            layout = layouts_known.get(peek_scans(batch.payload).layout_id)
            records = [] if layout is None else decode_scans(layout, batch.payload)
        except SealError:
            continue
        if layout is not None:
            advance(found, layout, batch.clock.boot, records)
    return found


def newest_record(connection: sqlite3.Connection) -> Previous | None:
    """How the record ends: the newest scan batch's last record, and whether the newest event is an orderly end."""
    row = connection.execute(
        "SELECT body, last_ms FROM scan_batch WHERE seq > 0 AND body IS NOT NULL ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    try:
        clock = open_batch(row[0]).clock
    except SealError:
        return None
    return Previous(clock, row[1], orderly=_ended_in_order(connection))


def _ended_in_order(connection: sqlite3.Connection) -> bool:
    """Whether the newest start or end among the last event batches is an end."""
    rows = connection.execute(
        "SELECT body FROM event_batch WHERE seq > 0 AND body IS NOT NULL ORDER BY seq DESC LIMIT ?", (LAST_WORDS,)
    )
    for (body,) in rows:
        try:
            batch = open_batch(body)
            events = decode_events(batch.payload) if batch.content_type == EVENT_TYPE else []
        except SealError:
            continue
        for event in reversed(events):
            if event.kind in {"power_up", "power_down"}:
                return event.kind == "power_down"
    return False


def _check_chain(connection: sqlite3.Connection, stream: Stream) -> Iterator[Finding]:
    previous: tuple[int, Any] | None = None
    for seq, leaf, body in connection.execute(on(stream, "SELECT seq, leaf, body FROM BATCH ORDER BY seq")):
        if previous is None and seq != 0:
            yield Finding(f"batches 0 to {seq - 1} are missing", stream, seq)
        if previous is not None and seq != previous[0] + 1:
            yield Finding(f"batches {previous[0] + 1} to {seq - 1} are missing", stream, seq)
        if body is not None:
            yield from _check_batch(stream, seq, leaf, body, previous)
        previous = (seq, leaf)


def _check_batch(
    stream: Stream, seq: int, leaf: bytes, body: bytes, previous: tuple[int, bytes] | None
) -> Iterator[Finding]:
    if not isinstance(body, bytes) or leaf_hash(body) != leaf:
        yield Finding("the body does not have the hash of its leaf", stream, seq)
        return
    try:
        batch = open_batch(body)
    except SealError as error:
        yield Finding(f"the batch cannot be read ({error})", stream, seq)
        return
    if (batch.stream, batch.seq) != (stream, seq):
        yield Finding(f"the row holds batch {batch.seq} of stream {batch.stream}", stream, seq)
    if previous is not None and previous[0] == seq - 1 and batch.prev != previous[1]:
        yield Finding("the batch does not follow the one before it", stream, seq)
