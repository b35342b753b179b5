"""The queue on disk: ``notify.db``, a small SQLite file of its own, used by one thread.

Every change is one transaction with ``synchronous=FULL`` over a write-ahead log: what is in it survives a power
cut. A notice is ``held`` (its time has not come), ``waiting``, and then ``sent``, ``failed`` or ``cancelled``; its
key is unique, so that nothing is queued twice.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import StorageError
from gateway.notify.facts import Facts
from gateway.profile import Hours

__all__ = ["FILE", "Row", "Store", "Totals", "open_store"]

FILE: Final = "notify.db"
APPLICATION: Final = 0x4155524E
"""``PRAGMA application_id``: AURN."""
VERSION: Final = 1
FINISHED_KEPT: Final = 5000
ALARMS_KEPT: Final = 1000
"""Alarms that are over and nevertheless remembered, so that their next transition is understood."""
PRUNE_EVERY: Final = 200

SCRIPT: Final = """
    CREATE TABLE alarm(id TEXT PRIMARY KEY, speaks INTEGER NOT NULL, active INTEGER NOT NULL, facts TEXT NOT NULL,
        changed INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE notice(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, output TEXT NOT NULL,
        recipient TEXT NOT NULL, alarm TEXT NOT NULL, transition TEXT NOT NULL, rank INTEGER NOT NULL,
        state TEXT NOT NULL, delay INTEGER NOT NULL, times TEXT NOT NULL, told INTEGER NOT NULL, boot BLOB NOT NULL,
        accepted_ms INTEGER NOT NULL, accepted_utc_ms INTEGER, due_ms INTEGER NOT NULL, tries INTEGER NOT NULL,
        error TEXT NOT NULL, facts TEXT NOT NULL);
    CREATE INDEX notice_open ON notice(output, rank, id) WHERE state IN ('held', 'waiting');
    CREATE INDEX notice_alarm ON notice(alarm);
    CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
OPEN: Final = "state IN ('held', 'waiting')"
_COLUMNS: Final = (
    "id, key, output, recipient, alarm, transition, rank, state, delay, times, told, boot, accepted_ms,"
    " accepted_utc_ms, due_ms, tries, error, facts"
)


class Row(NamedTuple):
    """One notice for one recipient. ``due_ms`` and ``accepted_ms`` are boot time of ``boot``."""

    id: int
    key: str
    output: str
    recipient: str
    alarm: str
    transition: str
    rank: int
    state: str
    delay: bool
    times: tuple[Hours, ...]
    told: bool
    boot: bytes
    accepted_ms: int
    accepted_utc_ms: int | None
    due_ms: int
    tries: int
    error: str
    facts: Facts


class Totals(NamedTuple):
    """What an output has in its queue."""

    held: int
    waiting: int
    oldest_ms: int | None
    """Boot time at which the oldest of this boot was accepted."""


class Store:
    """The open file. Methods raise `StorageError`; use them from one thread at a time."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the file; None for a queue that lives in memory only, where the disk takes nothing."""
        self.path = path
        self._changes = 0
        try:
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, timeout=5.0, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise StorageError(
                f"{path} cannot be used ({error})", "see whether the disk is full or worn"
            ) from error

    def _prepare(self) -> None:
        db = self._db
        owner: int = db.execute("PRAGMA application_id").fetchone()[0]
        found: int = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and owner != APPLICATION:
            raise StorageError(f"{self.path} is a database of another program", "name another data directory")
        if found > VERSION:
            raise StorageError(
                f"{self.path} has version {found}, this program knows {VERSION}", "install the newer program again"
            )
        if self.path is not None:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA journal_size_limit=262144")
            db.execute("PRAGMA wal_autocheckpoint=64")
        if not tables:
            with self.change():
                for statement in SCRIPT.split(";"):
                    if statement.strip():
                        db.execute(statement)
                db.execute(f"PRAGMA application_id={APPLICATION}")
                db.execute(f"PRAGMA user_version={VERSION}")
        elif db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """All that happens inside is one transaction, or nothing."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StorageError(f"{self.path or 'the queue'}: {error}", "see whether the disk is full") from error

    # Alarms

    def alarm(self, name: str) -> Facts | None:
        """What was last known of an alarm."""
        found = self._db.execute("SELECT facts FROM alarm WHERE id = ?", (name,)).fetchone()
        return None if found is None else Facts.of_json(found[0])

    def alarms(self) -> list[Facts]:
        """All that are known, the newest change last."""
        rows = self._db.execute("SELECT facts FROM alarm ORDER BY changed, id").fetchall()
        return [Facts.of_json(text) for (text,) in rows]

    def put_alarm(self, facts: Facts) -> None:
        """Remember how an alarm stands."""
        self._db.execute(
            "INSERT INTO alarm(id, speaks, active, facts, changed)"
            " VALUES(?, ?, ?, ?, (SELECT coalesce(max(changed), 0) + 1 FROM alarm))"
            " ON CONFLICT(id) DO UPDATE SET speaks = excluded.speaks, active = excluded.active,"
            " facts = excluded.facts, changed = excluded.changed",
            (facts.alarm, facts.speaks, facts.active, facts.json()),
        )

    # Notices

    def add(self, row: Row) -> bool:
        """Queue a notice; False when its key was there before. The id of ``row`` is not used."""
        values = (
            row.key,
            row.output,
            row.recipient,
            row.alarm,
            row.transition,
            row.rank,
            row.state,
            row.delay,
            json.dumps([(sorted(window.days), window.start_min, window.end_min) for window in row.times]),
            row.told,
            row.boot,
            row.accepted_ms,
            row.accepted_utc_ms,
            row.due_ms,
            row.tries,
            row.error,
            row.facts.json(),
        )
        marks = ", ".join("?" * len(values))
        done = self._db.execute(
            f"INSERT OR IGNORE INTO notice({_COLUMNS.removeprefix('id, ')}) VALUES({marks})",
            values,
        )
        self._changes += 1
        return done.rowcount == 1

    def told(self, order: Row) -> bool:
        """Whether the recipient was, or is about to be, told that this occurrence was raised."""
        rows = self._db.execute(
            "SELECT facts FROM notice WHERE alarm = ? AND output = ? AND recipient = ?"
            " AND transition IN ('raised', 'escalated') AND (state IN ('waiting', 'sent')"
            " OR (state = 'held' AND NOT delay))",
            (order.alarm, order.output, order.recipient),
        )
        return any(Facts.of_json(text).same_occurrence(order.facts) for (text,) in rows)

    def held(self, output: str) -> list[Row]:
        """The notices of an output whose time has not come, in the order in which they came."""
        return sorted(self._rows("output = ? AND state = 'held'", (output,)))

    def due(self, output: str, boot_ms: int, most: int) -> list[Row]:
        """The notices of an output that are to be sent by now: the most urgent first, then the oldest."""
        return self._rows("output = ? AND state = 'waiting' AND due_ms <= ?", (output, boot_ms), most)

    def next_due(self, output: str, boot_ms: int) -> int | None:
        """Boot time at which the next one that was put off is due."""
        found: int | None = self._db.execute(
            "SELECT min(due_ms) FROM notice WHERE output = ? AND state = 'waiting' AND due_ms > ?",
            (output, boot_ms),
        ).fetchone()[0]
        return found

    def open_of(self, alarm: str) -> list[Row]:
        """The notices of an alarm that have not left yet."""
        return self._rows(f"alarm = ? AND {OPEN}", (alarm,))

    def count_open(self, output: str) -> int:
        """How many an output has before it."""
        found = self._db.execute(f"SELECT count(*) FROM notice WHERE output = ? AND {OPEN}", (output,))  # noqa: S608
        count: int = found.fetchone()[0]
        return count

    def _rows(self, where: str, values: Sequence[object], most: int = -1) -> list[Row]:
        query = f"SELECT {_COLUMNS} FROM notice WHERE {where} ORDER BY rank, id LIMIT {most}"  # noqa: S608 - our words
        found = []
        for row in self._db.execute(query, tuple(values)).fetchall():
            parts = list(row)
            parts[8], parts[10] = bool(parts[8]), bool(parts[10])
            parts[9] = tuple(
                Hours(days=frozenset(days), start_min=begin, end_min=end)
                for days, begin, end in json.loads(parts[9])
            )
            parts[17] = Facts.of_json(parts[17])
            found.append(Row(*parts))
        return found

    def mark(self, ids: Sequence[int], state: str, error: str = "") -> None:
        """The end of notices."""
        self._db.executemany(
            "UPDATE notice SET state = ?, error = ? WHERE id = ?", [(state, error, one) for one in ids]
        )
        self._changes += len(ids)

    def release(self, number: int, boot: bytes, boot_ms: int, utc_ms: int | None) -> None:
        """The end of being held: from now on it is to be sent, and its age counts."""
        self._db.execute(
            "UPDATE notice SET state = 'waiting', boot = ?, accepted_ms = ?, due_ms = ?, accepted_utc_ms = ?"
            " WHERE id = ?",
            (boot, boot_ms, boot_ms, utc_ms, number),
        )

    def postpone(self, ids: Sequence[int], due_ms: int, *, error: str = "", tried: bool = False) -> None:
        """Not before this time of the present boot; ``tried`` says that it was tried in vain."""
        self._db.executemany(
            "UPDATE notice SET due_ms = ?, tries = tries + ?, error = ? WHERE id = ?",
            [(due_ms, tried, error, one) for one in ids],
        )

    def begin_boot(self, boot: bytes) -> None:
        """Times of an earlier boot mean nothing now: what waited for one is due."""
        self._db.execute(f"UPDATE notice SET due_ms = 0 WHERE boot != ? AND {OPEN}", (boot,))  # noqa: S608

    def withdraw_unknown(self, outputs: Sequence[str]) -> list[Row]:
        """Notices for outputs that the site file names no longer end as failed; returns them."""
        marks = ", ".join("?" * len(outputs))
        rows = self._rows(f"output NOT IN ({marks}) AND {OPEN}", tuple(outputs))
        self.mark([row.id for row in rows], "failed", "the output is no longer in the site file")
        return rows

    def totals(self, output: str, boot: bytes) -> Totals:
        """Counts for metrics and the page."""
        held, waiting, oldest = self._db.execute(
            "SELECT coalesce(sum(state = 'held'), 0), coalesce(sum(state = 'waiting'), 0),"
            " min(iif(state = 'waiting' AND boot = ?, accepted_ms, NULL)) FROM notice"
            " WHERE output = ? AND state IN ('held', 'waiting')",
            (boot, output),
        ).fetchone()
        return Totals(held, waiting, oldest)

    # Anything else

    def get(self, name: str) -> str | None:
        """A remembered text."""
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def set(self, name: str, value: str) -> None:
        """Remember a text."""
        self._db.execute("INSERT OR REPLACE INTO meta(name, value) VALUES(?, ?)", (name, value))

    def forget(self, begin: str, but: Sequence[str]) -> None:
        """Texts whose name begins so, but for these."""
        marks = ", ".join("?" * len(but))
        self._db.execute(
            f"DELETE FROM meta WHERE substr(name, 1, ?) = ? AND name NOT IN ({marks})",  # noqa: S608 - question marks
            (len(begin), begin, *but),
        )

    def prune(self) -> None:
        """Forget the oldest of what is finished, now and then."""
        if self._changes < PRUNE_EVERY:
            return
        self._changes = 0
        self._db.execute(
            f"DELETE FROM notice WHERE NOT ({OPEN}) AND id <="  # noqa: S608
            f" (SELECT id FROM notice WHERE NOT ({OPEN}) ORDER BY id DESC LIMIT 1 OFFSET {FINISHED_KEPT})"
        )
        self._db.execute(
            "DELETE FROM alarm WHERE NOT speaks AND NOT active AND changed <= (SELECT changed FROM alarm"
            " WHERE NOT speaks AND NOT active ORDER BY changed DESC LIMIT 1 OFFSET ?)",
            (ALARMS_KEPT,),
        )

    def copy_into(self, other: "Store") -> None:
        """Everything that can be read, into another open store."""
        try:
            self._db.backup(other._db)
        except sqlite3.Error as error:
            raise StorageError(f"{self.path} cannot be read ({error})", "the queue in it is lost") from error


def open_store(folder: Path) -> tuple[Store, str]:
    """The queue of a data directory, and what had to be done to get one (empty: nothing).

    A damaged file is set aside and a new one begun; where the disk takes none, the queue lives in memory. Raises
    `StorageError` for a file of another or a newer program, which stays as it is.
    """
    path = folder / FILE
    try:
        return Store(path), ""
    except StorageError as error:
        cause, why = error.__cause__, str(error.__cause__)
        if not isinstance(cause, sqlite3.Error):
            raise
    if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
        try:
            aside = _set_aside(path)
            return Store(path), f"{FILE} is damaged ({why}): set aside as {aside.name}, a new one is begun"
        except (StorageError, OSError) as error:
            why = str(error)
    return Store(None), f"{why}: notices are queued in memory only, and would be lost at a restart"


def _set_aside(path: Path) -> Path:
    """Rename the file out of the way, with its log; the first free name is taken."""
    number = next(n for n in range(1, 10_000) if not path.with_name(f"{path.name}.damaged-{n}").exists())
    aside = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(aside)
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    return aside
