"""The journal's file: its tables, one script per version, and how a connection to it is set up.

A new file is made from the scripts directly. A file of an older version is brought up to date by sqlite-utils,
which is imported only then, because it costs 4 MB and a tenth of a second.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.buffer.faults import StoreError
from gateway.errors import StorageError
from gateway.model import Stream

if TYPE_CHECKING:
    from sqlite_utils import Migrations
    from sqlite_utils.db import Database

APPLICATION: Final = 0x41555247
"""``PRAGMA application_id``: AURG."""
PAGE_SIZE: Final = 512
"""Least bytes written per value of 512, 1024, 2048 and 4096 (bench/journal_bytes.py)."""
STREAMS: Final[tuple[Stream, Stream]] = ("scan", "event")
CODES: Final[dict[Stream, int]] = {"scan": 0, "event": 1}
"""How a stream is written in a row. A row of a batch names its stream so that it can be recognised without
its table (see `carve`)."""

CACHE_KIB: Final = 512
"""Pages that a connection keeps in memory; what is read again soon is little, and the kernel caches, too."""

KEY: Final = "key"
ISSUER: Final = "iss"
SALVAGED: Final = "salvaged"
"""Names in table ``meta``: thumbprint of the key in force, whose journal it is, and the event that a salvage has
left for the first commit."""

SCRIPTS: Final = (
    """
    CREATE TABLE scan_batch(seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, leaf BLOB NOT NULL,
        first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, values_n INTEGER NOT NULL, sealed_utc_ms INTEGER,
        body BLOB);
    CREATE TABLE event_batch(seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, leaf BLOB NOT NULL,
        first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, values_n INTEGER NOT NULL, sealed_utc_ms INTEGER,
        body BLOB);
    CREATE TABLE tail(id INTEGER PRIMARY KEY, blob BLOB NOT NULL);
    CREATE TABLE layout(id INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL);
    CREATE TABLE stream_state(id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, delivered_size INTEGER NOT NULL,
        frontier BLOB NOT NULL, receipt BLOB);
    """,
    """
    CREATE TABLE meta(id INTEGER PRIMARY KEY, name TEXT NOT NULL, value BLOB NOT NULL);
    """,
    """
    CREATE TABLE memory(id INTEGER PRIMARY KEY, name TEXT NOT NULL, value BLOB NOT NULL);
    """,
)
"""Version n is what the first n scripts make. A script, once released, is never edited."""
VERSION: Final = len(SCRIPTS)


def on(stream: Stream, query: str) -> str:
    """A query on the batches of a stream, whose table it calls BATCH."""
    return query.replace("BATCH", f"{stream}_batch")


def connect(path: Path, *, max_bytes: int) -> sqlite3.Connection:
    """The writer's connection, made by the thread that will use it. Transactions are begun explicitly.

    ``max_bytes`` bounds the file with its write-ahead log: a page more is refused as SQLITE_FULL. Raises
    `StorageError` for a file of a newer program or of another one, which stays as it is.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        if version(connection) == 0:
            connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # must precede the first table
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise StorageError(
                f"{path} cannot use a write-ahead log", "put the data directory on a local file system"
            )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=OFF")  # Debian's default is on: it writes freed pages once more
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        wal = wal_bytes(max_bytes)
        connection.execute(f"PRAGMA wal_autocheckpoint={wal // (PAGE_SIZE + 24)}")
        connection.execute(f"PRAGMA journal_size_limit={wal}")
        connection.execute(f"PRAGMA max_page_count={page_limit(max_bytes)}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; it may be handed from thread to thread, used by one at a time."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
    connection.execute("PRAGMA query_only=ON")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    return connection


def wal_bytes(max_bytes: int) -> int:
    """Size of the write-ahead log at which it is copied into the file."""
    return min(1 << 20, max(64 << 10, max_bytes // 16))


def page_limit(max_bytes: int) -> int:
    """Pages that the file may have, so that file, log (which can pass its limit by a commit) and index fit."""
    return max(max_bytes - 3 * wal_bytes(max_bytes), 256 << 10) // PAGE_SIZE


def version(connection: sqlite3.Connection) -> int:
    """Version of the tables in a file, 0 for a new one; raises `StorageError` for one that is not for us to use."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if (tables or found) and owner != APPLICATION:
        if {"scan_batch", "event_batch"} <= tables:
            raise StoreError("corrupt", "the file does not say that it is a journal, but has its tables")
        raise StorageError("the file is a database of another program", "name another data directory")
    if found > VERSION:
        raise StorageError(
            f"the journal has version {found}, this program knows {VERSION}", "install the newer program again"
        )
    return found


def prepare(connection: sqlite3.Connection) -> int:
    """Make or update the tables; returns the version found. All of it happens, or nothing."""
    found = version(connection)
    if found == 0:
        _create(connection)
    elif found < VERSION:
        _migrate(connection, found)
    return found


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in SCRIPTS:
            _run(connection, script)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, found: int) -> None:
    from sqlite_utils.db import Database

    database = Database(connection)
    with database.atomic():
        migrations(found).apply(database)


def migrations(found: int) -> "Migrations":
    """What brings a file of version ``found`` to the present one, a migration for each version between."""
    from sqlite_utils import Migrations

    steps = Migrations("gateway.buffer")
    for number in range(found + 1, VERSION + 1):
        steps(name=f"version {number}")(_step(number))
    return steps


def _step(number: int) -> Callable[["Database"], None]:
    def update(database: "Database") -> None:
        _run(database.conn, SCRIPTS[number - 1])
        database.conn.execute(f"PRAGMA user_version={number}")

    return update


def _run(connection: sqlite3.Connection, script: str) -> None:
    # executescript() would commit the transaction that makes all of it happen or nothing.
    for statement in script.split(";"):
        if statement.strip():
            connection.execute(" ".join(statement.split()))
