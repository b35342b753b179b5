"""Filling a new journal with the rows of a damaged one, in whatever order they come.

Batches prove themselves: one is taken over as it is when its body has the hash that its row names, and is a
batch of this gateway and of that sequence. A batch whose body is lost keeps its leaf where that is known.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from gateway.buffer import memory, tail
from gateway.buffer.carve import Row
from gateway.buffer.ledger import NOTHING_DELIVERED, Delivered, Ledger
from gateway.buffer.schema import CODES, STREAMS, on
from gateway.buffer.tail import BEGINNING, Group
from gateway.errors import SealError
from gateway.model import Head, Stream
from gateway.seal.batch import OpenBatch, open_batch
from gateway.seal.columns import decode_events
from gateway.seal.tree import Frontier, leaf_hash

_RUNS: Final = 128
"""Runs of lost sequences that the event names for each stream."""
_COMMIT: Final = 500
"""Rows in one transaction."""
_TAKE: Final = (
    "INSERT INTO BATCH VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(seq) DO UPDATE SET leaf = excluded.leaf, "
    "first_ms = excluded.first_ms, last_ms = excluded.last_ms, values_n = excluded.values_n, "
    "sealed_utc_ms = excluded.sealed_utc_ms, body = excluded.body WHERE body IS NULL AND excluded.body IS NOT NULL"
)
_BODY: Final = "SELECT body FROM BATCH WHERE seq = ?"
_NEWEST: Final = "SELECT coalesce(max(seq), -1) FROM BATCH"
_GAPS: Final = (
    "SELECT before + 1, seq - 1 FROM (SELECT seq, lag(seq, 1, -1) OVER (ORDER BY seq) AS before FROM BATCH) "
    "WHERE seq > before + 1"
)


@dataclass(slots=True)
class _Harvest:
    """What has been found so far."""

    states: dict[Stream, tuple[Delivered, bytes | None]] = field(default_factory=dict)
    heads: dict[Stream, Head] = field(default_factory=dict)
    """Newest heads that batches of the other stream speak of."""
    segments: dict[int, bytes] = field(default_factory=dict)
    memories: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """By name, the newest sound one: its age and bytes."""


class Builder:
    """Fills the new journal from rows in any order."""

    def __init__(self, connection: sqlite3.Connection, iss: str, known: Ledger | None) -> None:
        self.connection = connection
        self.iss = iss
        self.known = known
        self.harvest = _Harvest()
        self.damaged: dict[Stream, set[int]] = {stream: set() for stream in STREAMS}

    def survey(self, rows: Iterable[Row]) -> None:
        """Learn what has been delivered, before any batch is taken."""
        for row in rows:
            self._state(row)

    def take(self, rows: Iterable[Row], *, lean: bool) -> None:
        """Take over every row that proves itself. ``lean``: no body of what has been delivered."""
        self.connection.execute("BEGIN IMMEDIATE")
        for count, row in enumerate(rows, 1):
            kinds = (self._state, self._segment, self._layout, self._memory)
            self._batch(row, lean) or any(take(row) for take in kinds)
            if count % _COMMIT == 0:
                self.connection.execute("COMMIT")
                self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("COMMIT")

    def complete(self) -> dict[str, Any]:
        """Mend what can be mended from the neighbours; returns what the event has to say."""
        self.connection.execute("BEGIN IMMEDIATE")
        if self.known is not None:
            for stream, delivered in self.known.delivered.items():
                if delivered.size > self._delivered(stream).size:
                    self.harvest.states[stream] = (delivered, None)
        for stream, (delivered, receipt) in self.harvest.states.items():
            row = (CODES[stream], CODES[stream], *delivered, receipt)
            self.connection.execute("INSERT INTO stream_state VALUES(?, ?, ?, ?, ?)", row)
        self._layouts_from_events()
        for name, (age, body) in self.harvest.memories.items():
            memory.keep(self.connection, {name: body}, age)
        report: dict[str, Any] = {"rows": {}, "lost": {}, "head_lost": []}
        for stream in STREAMS:
            if self._mend_head(stream):
                report["head_lost"].append(stream)
            runs = self._lost(stream)
            (rows,) = self.connection.execute(
                on(stream, "SELECT count(*) FROM BATCH WHERE body IS NOT NULL")
            ).fetchone()
            report["rows"][stream] = rows
            report["lost"][stream] = [list(run) for run in runs[:_RUNS]]
            report[f"lost_{stream}"] = sum(last - first + 1 for first, last in runs)
        report["tail_groups"] = self._mend_tail() if self.known is None else 0
        self.connection.execute("COMMIT")
        return report

    def _delivered(self, stream: Stream) -> Delivered:
        return self.harvest.states.get(stream, (NOTHING_DELIVERED, None))[0]

    def _batch(self, row: Row, lean: bool) -> bool:
        match row.values:
            case (None, int(code), bytes(leaf), int(first), int(last), int(values), int() | None as utc, body):
                pass
            case _:
                return False
        if code not in {0, 1} or len(leaf) != 32 or row.rowid < 0 or not isinstance(body, bytes | None):
            return False
        stream = STREAMS[code]
        had_body = body is not None or not row.whole
        batch = self._proven(stream, row.rowid, leaf, body) if row.whole and body is not None else None
        if batch is not None:
            if batch.other is not None:
                self._note_head(STREAMS[1 - code], batch.other)
            if lean and row.rowid < self._delivered(stream).size:
                batch = None
        elif not had_body:
            self.damaged[stream].discard(row.rowid)  # it was stripped on purpose; the damaged row was an old one
        elif not self._stripped(stream, row.rowid):
            self.damaged[stream].add(row.rowid)
        self.connection.execute(
            on(stream, _TAKE),
            (row.rowid, code, leaf, first, last, values, utc, None if batch is None else body),
        )
        return True

    def _stripped(self, stream: Stream, seq: int) -> bool:
        if seq in self.damaged[stream]:
            return False
        found = self.connection.execute(on(stream, _BODY), (seq,)).fetchone()
        return bool(found == (None,))

    def _proven(self, stream: Stream, seq: int, leaf: bytes, body: bytes) -> OpenBatch | None:
        if leaf_hash(body) != leaf:
            return None
        try:
            batch = open_batch(body)
        except SealError:
            return None
        return batch if (batch.iss, batch.stream, batch.seq) == (self.iss, stream, seq) else None

    def _note_head(self, stream: Stream, head: Head) -> None:
        best = self.harvest.heads.get(stream)
        if best is None or head.seq > best.seq:
            self.harvest.heads[stream] = head

    def _state(self, row: Row) -> bool:
        match row.values:
            case (None, int(code), int(size), bytes(frontier), bytes() | None as receipt) if code in {0, 1}:
                pass
            case _:
                return False
        try:
            sound = Frontier.from_bytes(frontier).size == size and row.whole
        except SealError:
            return False
        stream = STREAMS[code]
        if sound and size > self._delivered(stream).size:
            self.harvest.states[stream] = (Delivered(size, frontier), receipt)
        return sound

    def _segment(self, row: Row) -> bool:
        match row.values:
            case (None, bytes(blob)) if row.whole and len(blob) >= tail.SEGMENT:
                self.harvest.segments[row.rowid] = blob
                return True
        return False

    def _layout(self, row: Row) -> bool:
        match row.values:
            case (None, bytes(name), bytes(body)) if row.whole:
                return self._add_layout(name, body)
        return False

    def _memory(self, row: Row) -> bool:
        match row.values:
            case (None, str(name), bytes(value)) if row.whole:
                found = memory.opened(name, value)
            case _:
                return False
        if found is not None and found[0] >= self.harvest.memories.get(name, (-1, b""))[0]:
            self.harvest.memories[name] = found
        return found is not None

    def _add_layout(self, name: object, body: object) -> bool:
        if not isinstance(body, bytes) or sha256(body).digest()[:8] != name:
            return False
        if self.connection.execute("SELECT 1 FROM layout WHERE hash = ?", (name,)).fetchone() is None:
            self.connection.execute("INSERT INTO layout(hash, body) VALUES(?, ?)", (name, body))
        return True

    def _layouts_from_events(self) -> None:
        """Layouts stand in the event stream as well."""
        bodies = self.connection.execute(
            "SELECT body FROM event_batch WHERE seq > 0 AND body IS NOT NULL"
        ).fetchall()
        for (body,) in bodies:
            try:
                events = decode_events(open_batch(body).payload)
            except SealError:
                continue
            for event in events:
                if event.kind == "layout":
                    self._add_layout(event.data.get("id"), event.data.get("layout"))

    def _mend_head(self, stream: Stream) -> bool:
        """Have a row for the newest batch that anything speaks of; whether that batch itself was lost."""
        newest: int = self.connection.execute(on(stream, _NEWEST)).fetchone()[0]
        heads = [self.harvest.heads.get(stream), None if self.known is None else self.known.heads[stream]]
        size, frontier = self._delivered(stream)
        if size:
            heads.append(Head(size - 1, Frontier.from_bytes(frontier).hashes[0]))
        best = max((head for head in heads if head is not None), default=None)
        if best is None or best.seq <= newest:
            return newest in self.damaged[stream]
        self.damaged[stream].update(range(newest + 1, best.seq + 1))
        self._add_leaf(stream, best.seq, best.leaf)
        return True

    def _add_leaf(self, stream: Stream, seq: int, leaf: bytes) -> None:
        row = (seq, CODES[stream], leaf)
        self.connection.execute(on(stream, "INSERT OR IGNORE INTO BATCH VALUES(?, ?, ?, 0, 0, 0, NULL, NULL)"), row)

    def _lost(self, stream: Stream) -> list[tuple[int, int]]:
        """Runs of sequences that cannot be read any more; the last leaf before a readable batch is put back."""
        gaps: list[tuple[int, int]] = self.connection.execute(on(stream, _GAPS)).fetchall()
        for _, last in gaps:
            self._leaf_from_next(stream, last)
        for seq in sorted(self.damaged[stream]):
            row = self.connection.execute(on(stream, _BODY), (seq,)).fetchone()
            if row is None or row[0] is None:
                gaps.append((seq, seq))
                self._leaf_from_next(stream, seq)
        return _joined(gaps)

    def _leaf_from_next(self, stream: Stream, seq: int) -> None:
        """Put the leaf of a lost batch where the next batch, which names it, can be read."""
        row = self.connection.execute(on(stream, _BODY), (seq + 1,)).fetchone()
        if row is not None and row[0] is not None:
            leaf = open_batch(row[0]).prev
            self._add_leaf(stream, seq, leaf)
            self.connection.execute(on(stream, "UPDATE BATCH SET leaf = ? WHERE seq = ?"), (leaf, seq))

    def _mend_tail(self) -> int:
        """Put the groups that are in no batch yet behind the head; returns how many."""
        newest: int = self.connection.execute(on("scan", _NEWEST)).fetchone()[0]
        owner = max((tail.owner(segment) for segment in self.harvest.segments.values()), default=0)
        if owner <= newest:
            return 0
        groups: list[Group] = []
        for _, segment in sorted(self.harvest.segments.items()):
            groups += tail.groups_of(segment, owner)
        place = BEGINNING
        for group in groups:
            place = tail.append(self.connection, place, newest + 1, group)
        return len(groups)


def _joined(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
