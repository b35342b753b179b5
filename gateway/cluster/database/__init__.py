"""One narrow way to both engines: SQLite in a file (one host) and PostgreSQL (many receivers, many readers).

SQL is written once, in what both understand: values are ``$1``, ``$2`` ..., numbers are integers and doubles,
bytes are bytes, maps are JSON texts, times are Unix milliseconds. What differs stands in a `Dialect` and in the
migrations.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from gateway.errors import StorageError

__all__ = ["Database", "Dialect", "Row", "Work", "open_database"]

Row = Sequence[Any]
"""One row of a result: unpacks and indexes like a tuple."""

SqlType = Literal["bigint", "text", "bytea"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What SQL cannot say in one way for both engines."""

    engine: Literal["sqlite", "postgresql"]
    lock: str
    """Ends a SELECT whose rows are to stay as they are until the transaction ends."""

    def among(self, column: str, place: int, kind: SqlType) -> str:
        """The condition that ``column`` is one of a list, given as value ``$place`` by `Work.several`."""
        if self.engine == "postgresql":
            return f"{column} = ANY(${place}::{kind}[])"
        return f"{column} IN (SELECT value FROM json_each(${place}))"


class Work(Protocol):
    """What can be done within a transaction. Every method may raise `StorageError`."""

    dialect: Dialect

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        """All rows of a query."""

    async def fetch_each(self, sql: str, rows: Iterable[Sequence[object]]) -> list[Row]:
        """The rows of one query run for each row of values, in one journey to the server."""

    async def execute(self, sql: str, *values: object) -> None:
        """Run a statement."""

    async def execute_each(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each row of values, in one journey to the server."""

    def rows(self, sql: str, *values: object) -> AsyncIterator[Row]:
        """The rows of a query whose result may be larger than memory."""

    def several(self, values: Iterable[object]) -> object:
        """A list as the value that `Dialect.among` expects (integers and texts; bytes on PostgreSQL alone)."""


class Database(Protocol):
    """An open store. Transactions may run beside each other; SQLite lets one of them write at a time."""

    dialect: Dialect
    place: str
    """Where it is, for people; without a password."""

    def transaction(self, *, write: bool = True) -> AbstractAsyncContextManager[Work]:
        """All or nothing, on the disk when it ends without an error: a receipt is sent for it.

        Without ``write`` it is one unchanging view of the store.
        """

    async def prepare(self, now_ms: int) -> None:
        """Bring the schema to this program's version, and provide for the time to come (partitions)."""

    async def close(self) -> None:
        """Give connections and files back."""


async def open_database(where: str | Path, *, read_only: bool = False) -> Database:
    """A file, or ``postgresql://...``; raises `StorageError` when it cannot be reached or is of another version."""
    text = str(where)
    if text.startswith(("postgresql://", "postgres://")):
        try:
            from gateway.cluster.database.postgresql import PostgresDatabase
        except ImportError as error:
            raise StorageError(
                "PostgreSQL needs the package asyncpg", "install aurora-gateway[postgres]"
            ) from error
        return await PostgresDatabase.open(text, read_only=read_only)
    from gateway.cluster.database.sqlite import SqliteDatabase

    return await SqliteDatabase.open(Path(where), read_only=read_only)
