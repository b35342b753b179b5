"""What leaves the journal: bodies of batches, never their leaves, so that every hole stays proven.

Delivered batches lose their body when they are old, or when the byte cap asks for room. Undelivered ones lose
it only when nothing delivered is left to give, scans before events, oldest first, and an event says what went.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from gateway.buffer.faults import StoreError
from gateway.buffer.ledger import Ledger
from gateway.buffer.schema import PAGE_SIZE, STREAMS, on
from gateway.model import Event, Stream

CHUNK: Final = 64
"""Batches that are stripped at once; an event of kind ``deleted`` names at most so many leaves."""

_WITH_BODY: Final = (
    "SELECT seq, sealed_utc_ms FROM BATCH WHERE seq >= ? AND seq < ? AND body IS NOT NULL ORDER BY seq LIMIT ?"
)
_ALL_BUT_BODY: Final = (
    "SELECT seq, stream, leaf, first_ms, last_ms, values_n, sealed_utc_ms FROM BATCH "
    "WHERE seq BETWEEN ? AND ? AND body IS NOT NULL ORDER BY seq"
)


@dataclass(frozen=True, slots=True)
class Stripped:
    """A run of batches that lost their bodies."""

    stream: Stream
    leaves: list[bytes]
    first: int
    last: int
    values: int

    def event(self, at_ms: int) -> Event:
        """The record of a deletion of what nobody else has."""
        data: dict[str, Any] = {
            "stream": self.stream,
            "first": self.first,
            "last": self.last,
            "leaves": self.leaves,
            "values": self.values,
            "reason": "byte-cap",
        }
        return Event("deleted", at_ms, data)


def room(connection: sqlite3.Connection, limit: int) -> int:
    """Pages that can still be written before the file has ``limit`` pages; negative when it has more in use."""
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    count: int = connection.execute("PRAGMA page_count").fetchone()[0]
    return free + limit - count


def make_room(connection: sqlite3.Connection, ledger: Ledger, size: int, limit: int) -> tuple[int, list[Stripped]]:
    """Have room for ``size`` bytes of bodies in a file of ``limit`` pages, inside the open transaction.

    Returns how many delivered bodies went, and what undelivered ones. Raises `StoreError` (``full``) when there
    is nothing left to give.
    """
    held = max(64, limit // 64)  # for the tail, the state and the record of a deletion
    needed = size // (PAGE_SIZE - 16) + 16 + held
    if room(connection, limit) >= needed:
        return 0, []
    wanted = needed + held  # so that the next batches need not ask again
    delivered = 0
    forced: list[Stripped] = []
    for undelivered in (False, True):
        for stream in STREAMS:  # scans go before events
            end = ledger.next_seq(stream) if undelivered else ledger.delivered[stream].size
            while room(connection, limit) < wanted:
                stripped = _strip_oldest(connection, ledger, stream, end)
                if stripped is None:
                    break
                if undelivered:
                    forced.append(stripped)
                else:
                    delivered += len(stripped.leaves)
    if room(connection, limit) < needed:
        raise StoreError("full", "the journal has reached its byte cap and holds no body that could go")
    return delivered, forced


def expire(connection: sqlite3.Connection, ledger: Ledger, stream: Stream, before_ms: int) -> int:
    """Strip a chunk of delivered batches that were sealed before ``before_ms`` (UTC); returns how many.

    A batch that was sealed while the clock was untrusted is as old as the next one whose time is known.
    """
    end = ledger.delivered[stream].size
    first = start = ledger.bodies[stream]
    while True:
        rows = connection.execute(
            on(stream, _WITH_BODY),
            (start, end, CHUNK),
        ).fetchall()
        known = [(seq, sealed) for seq, sealed in rows if sealed is not None]
        if known or len(rows) < CHUNK:
            break
        start = rows[-1][0] + 1
    old = [seq for seq, sealed in known if sealed < before_ms]
    if not old or known[0][1] >= before_ms:
        return 0
    return len(strip(connection, ledger, stream, first, old[-1]).leaves)


def strip(connection: sqlite3.Connection, ledger: Ledger, stream: Stream, first: int, last: int) -> Stripped:
    """Take the bodies of batches ``first`` to ``last``.

    The rows are deleted and written anew without body, because only a deletion makes SQLite join pages that
    have become nearly empty.
    """
    rows = connection.execute(on(stream, _ALL_BUT_BODY), (first, last)).fetchall()
    connection.executemany(on(stream, "DELETE FROM BATCH WHERE seq = ?"), [(row[0],) for row in rows])
    connection.executemany(on(stream, "INSERT INTO BATCH VALUES(?, ?, ?, ?, ?, ?, ?, NULL)"), rows)
    ledger.bodies[stream] = max(ledger.bodies[stream], last + 1)
    return Stripped(stream, [row[2] for row in rows], rows[0][0], rows[-1][0], sum(row[5] for row in rows))


def _strip_oldest(connection: sqlite3.Connection, ledger: Ledger, stream: Stream, end: int) -> Stripped | None:
    """Strip the oldest run of neighbouring batches below ``end``, a chunk at most; None when none has a body."""
    seqs = [row[0] for row in connection.execute(on(stream, _WITH_BODY), (ledger.bodies[stream], end, CHUNK))]
    if not seqs:
        return None
    run = 1
    while run < len(seqs) and seqs[run] == seqs[0] + run:
        run += 1
    return strip(connection, ledger, stream, seqs[0], seqs[run - 1])


def shrink(connection: sqlite3.Connection, limit: int) -> None:
    """Give free pages back to the file system, outside a transaction, when the file has more than ``limit``."""
    count: int = connection.execute("PRAGMA page_count").fetchone()[0]
    if count > limit:
        # execute() would run one step, which frees a single page; executescript() runs it to the end.
        connection.executescript(f"PRAGMA incremental_vacuum({count - limit})")
    connection.execute(f"PRAGMA max_page_count={limit}")
