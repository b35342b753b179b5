"""The cluster's store in one SQLite file: write-ahead log, every commit synchronised to the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from gateway.cluster.store import Entry, Fork, KeyTerm, Member, Rejected, StreamState
from gateway.errors import StorageError
from gateway.model import Stream
from gateway.seal.cose import PublicKey
from gateway.seal.tree import Frontier
from gateway.site import Identity

SCHEMA_VERSION = 1
BUSY_S = 10.0
MAX_FORKS = 100
"""Contradicting batches kept of one gateway."""
MAX_REJECTED = 10_000
"""Rows of rejections; more clients than that share the row of client ``*``."""

SCHEMA = """
CREATE TABLE member (
    id INTEGER PRIMARY KEY, member TEXT NOT NULL, site TEXT NOT NULL, gateway TEXT NOT NULL,
    client TEXT NOT NULL UNIQUE, enrolled_ms INTEGER NOT NULL, UNIQUE (member, gateway)) STRICT;
CREATE TABLE term (
    member INTEGER NOT NULL REFERENCES member, place INTEGER NOT NULL, public TEXT NOT NULL,
    origin TEXT NOT NULL, since_ms INTEGER NOT NULL,
    event_first INTEGER NOT NULL, event_end INTEGER, scan_first INTEGER NOT NULL, scan_end INTEGER,
    PRIMARY KEY (member, place)) WITHOUT ROWID, STRICT;
CREATE TABLE stream (
    member INTEGER NOT NULL REFERENCES member, stream TEXT NOT NULL, frontier BLOB NOT NULL,
    held INTEGER NOT NULL, announced INTEGER NOT NULL, "values" INTEGER NOT NULL, volume INTEGER NOT NULL,
    duplicates INTEGER NOT NULL, deleted INTEGER NOT NULL, unreadable INTEGER NOT NULL,
    late INTEGER NOT NULL, late_max_ms INTEGER NOT NULL,
    clock_state INTEGER, clock_error_ms INTEGER, clock_ahead_ms INTEGER NOT NULL,
    sealed_ms INTEGER, received_ms INTEGER, receipt BLOB, receipt_ms INTEGER,
    PRIMARY KEY (member, stream)) WITHOUT ROWID, STRICT;
CREATE TABLE batch (
    member INTEGER NOT NULL REFERENCES member, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    leaf BLOB NOT NULL, sealed_ms INTEGER, received_ms INTEGER NOT NULL, body BLOB,
    PRIMARY KEY (member, stream, seq)) STRICT;
CREATE TABLE fork (
    member INTEGER NOT NULL REFERENCES member, stream TEXT NOT NULL, seq INTEGER NOT NULL, leaf BLOB NOT NULL,
    why TEXT NOT NULL, received_ms INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (member, stream, seq, leaf)) STRICT;
CREATE TABLE rejected (
    client TEXT NOT NULL, stream TEXT NOT NULL, reason TEXT NOT NULL, times INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, seq INTEGER, what TEXT NOT NULL,
    PRIMARY KEY (client, stream, reason)) WITHOUT ROWID, STRICT;
"""

_COLUMNS = tuple(item.name for item in fields(StreamState))
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_SAVE_STATE = (
    f"INSERT INTO stream (member, stream, {_NAMES}) VALUES (?, ?{', ?' * len(_COLUMNS)}) "  # noqa: S608
    "ON CONFLICT (member, stream) DO UPDATE SET " + ", ".join(f'"{name}" = excluded."{name}"' for name in _COLUMNS)
)
_LOAD_STATE = f"SELECT {_NAMES} FROM stream WHERE member = ? AND stream = ?"  # noqa: S608  # names of our own
_ENTRY = "SELECT seq, leaf, body, sealed_ms, received_ms FROM batch WHERE member = ? AND stream = ?"


class SqliteStore:
    """`gateway.cluster.store.Store` in a file. One object belongs to one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._version = -1
        with _translated(path):
            if read_only:
                self._db = sqlite3.connect(
                    f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, check_same_thread=False
                )
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
            self._db.isolation_level = None
            try:
                self._prepare(read_only)
            except BaseException:
                self._db.close()
                raise

    def _prepare(self, read_only: bool) -> None:
        self._db.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            if self._user_version() == 0:
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._db.execute("COMMIT")
        if self._user_version() != SCHEMA_VERSION:
            raise StorageError(
                f"{self.path} is of schema {self._user_version()}, this program knows {SCHEMA_VERSION}",
                "use the release that wrote it",
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _user_version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[bool]:
        with _translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                version = int(self._db.execute("PRAGMA data_version").fetchone()[0])
                changed, self._version = version != self._version, version
                yield changed
                self._db.execute("COMMIT")
            except BaseException:
                # The next transaction has to look at everything anew.
                self._version = -1
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def member(self, client: str) -> Member | None:
        found = self._rows("SELECT id, member, site, gateway, enrolled_ms FROM member WHERE client = ?", client)
        return _member(found[0]) if found else None

    def members(self) -> list[Member]:
        query = "SELECT id, member, site, gateway, enrolled_ms FROM member ORDER BY member, gateway"
        return [_member(row) for row in self._rows(query)]

    def enrol(self, identity: Identity, at_ms: int) -> Member:
        self._write(
            "INSERT INTO member (member, site, gateway, client, enrolled_ms) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (client) DO UPDATE SET site = excluded.site",
            (identity.member, identity.site, identity.gateway, identity.client, at_ms),
        )
        found = self.member(identity.client)
        if found is None or found.identity.urn != identity.urn:
            raise StorageError(f"{identity.client} is the MQTT client of another gateway", "choose another name")
        return found

    def terms(self, member: int) -> list[KeyTerm]:
        query = (
            "SELECT public, origin, since_ms, event_first, event_end, scan_first, scan_end "
            "FROM term WHERE member = ? ORDER BY place"
        )
        return [
            KeyTerm(
                PublicKey.from_pem(public.encode()),
                origin,
                since_ms,
                {"event": event_first, "scan": scan_first},
                {"event": event_end, "scan": scan_end},
            )
            for public, origin, since_ms, event_first, event_end, scan_first, scan_end in self._rows(query, member)
        ]

    def save_terms(self, member: int, terms: list[KeyTerm]) -> None:
        self._write("DELETE FROM term WHERE member = ?", (member,))
        for place, term in enumerate(terms):
            row = (
                member,
                place,
                term.public.pem().decode(),
                term.origin,
                term.since_ms,
                term.first["event"],
                term.end["event"],
                term.first["scan"],
                term.end["scan"],
            )
            self._write("INSERT INTO term VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def state(self, member: int, stream: Stream) -> StreamState:
        found = self._rows(_LOAD_STATE, member, stream)
        if not found:
            return StreamState()
        values: dict[str, Any] = dict(zip(_COLUMNS, found[0], strict=True))
        values["frontier"] = Frontier.from_bytes(values["frontier"])
        return StreamState(**values)

    def save_state(self, member: int, stream: Stream, state: StreamState) -> None:
        values = [getattr(state, name) for name in _COLUMNS]
        values[_COLUMNS.index("frontier")] = state.frontier.to_bytes()
        self._write(_SAVE_STATE, (member, stream, *values))

    def add(self, member: int, stream: Stream, entry: Entry) -> None:
        self._write(
            "INSERT INTO batch (member, stream, seq, leaf, body, sealed_ms, received_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (member, stream, *entry),
        )

    def find(self, member: int, stream: Stream, seq: int) -> Entry | None:
        found = self._rows(f"{_ENTRY} AND seq = ?", member, stream, seq)
        return Entry(*found[0]) if found else None

    def fill(self, member: int, stream: Stream, entry: Entry) -> None:
        self._write(
            "UPDATE batch SET body = ?, sealed_ms = ?, received_ms = ? "
            "WHERE member = ? AND stream = ? AND seq = ? AND leaf = ? AND body IS NULL",
            (entry.body, entry.sealed_ms, entry.received_ms, member, stream, entry.seq, entry.leaf),
        )

    def drop(self, member: int, stream: Stream, seq: int) -> None:
        self._write("DELETE FROM batch WHERE member = ? AND stream = ? AND seq = ?", (member, stream, seq))

    def entries(self, member: int, stream: Stream, first: int = 0) -> Iterator[Entry]:
        with _translated(self.path):
            for row in self._db.execute(f"{_ENTRY} AND seq >= ? ORDER BY seq", (member, stream, first)):
                yield Entry(*row)

    def held(self, member: int, stream: Stream, size: int) -> list[int]:
        query = "SELECT seq FROM batch WHERE member = ? AND stream = ? AND seq >= ? ORDER BY seq"
        return [seq for (seq,) in self._rows(query, member, stream, size)]

    def add_fork(self, fork: Fork) -> bool:
        count = self._rows("SELECT count(*) FROM fork WHERE member = ?", fork.member)[0][0]
        if count >= MAX_FORKS:
            return False
        return self._write("INSERT OR IGNORE INTO fork VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(fork)) > 0

    def forks(self, member: int) -> list[Fork]:
        query = (
            "SELECT member, stream, seq, leaf, why, received_ms, body FROM fork "
            "WHERE member = ? ORDER BY stream, seq, received_ms"
        )
        return [Fork(*row) for row in self._rows(query, member)]

    def reject(self, one: Rejected) -> None:
        update = (
            "UPDATE rejected SET times = times + 1, last_ms = ?, seq = ?, what = ? "
            "WHERE client = ? AND stream = ? AND reason = ?"
        )
        news = (one.last_ms, one.seq, one.what)
        if self._write(update, (*news, one.client, one.stream, one.reason)):
            return
        if self._rows("SELECT count(*) FROM rejected")[0][0] >= MAX_REJECTED:
            one = one._replace(client="*", stream="*")
            if self._write(update, (*news, one.client, one.stream, one.reason)):
                return
        self._write("INSERT INTO rejected VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tuple(one))

    def rejected(self) -> list[Rejected]:
        query = (
            "SELECT client, stream, reason, times, first_ms, last_ms, seq, what FROM rejected "
            "ORDER BY client, stream, reason"
        )
        return [Rejected(*row) for row in self._rows(query)]

    def _rows(self, query: str, *values: object) -> list[Any]:
        with _translated(self.path):
            return self._db.execute(query, values).fetchall()

    def _write(self, query: str, values: tuple[object, ...]) -> int:
        with _translated(self.path):
            return self._db.execute(query, values).rowcount


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {error}", "look at the disk's space and health") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}", "look at the folder's owner and mode") from error


def _member(row: tuple[int, str, str, str, int]) -> Member:
    number, member, site, gateway, enrolled_ms = row
    return Member(number, Identity(member=member, site=site, gateway=gateway), enrolled_ms)
