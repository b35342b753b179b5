"""The cluster's store in one SQLite file: write-ahead log, every commit synchronised to the disk."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from gateway.cluster.database import Database, Dialect, Row, Work
from gateway.cluster.database.migrations import newest, statements, steps
from gateway.errors import StorageError, UnfitError

DIALECT = Dialect("sqlite", "")
BUSY_S = 10.0
READERS = 4
PAGE = 1000
"""Rows fetched at once of a result that may be large."""

T = TypeVar("T")


class SqliteDatabase(Database):
    """`Database` in a file. Each connection belongs to one thread; one of them writes."""

    dialect = DIALECT

    def __init__(self, path: Path, writer: "_Connection | None") -> None:
        self.path = path
        self.place = str(path)
        self._writer = writer
        self._turn = asyncio.Lock()
        self._idle: list[_Connection] = []
        self._readers = asyncio.Semaphore(READERS)

    @classmethod
    async def open(cls, path: Path, *, read_only: bool = False) -> "SqliteDatabase":
        """Open a file, which is made unless ``read_only``; raises `StorageError`."""
        writer = None
        if not read_only:
            writer = _Connection(path, read_only=False)
            await writer.start()
        database = cls(path, writer)
        if read_only:
            async with database.transaction(write=False) as work:
                await _check(work, path)
        return database

    async def prepare(self, now_ms: int) -> None:
        """Migrate."""
        del now_ms
        async with self.transaction() as work:
            version = int((await work.fetch("PRAGMA user_version"))[0][0])
            for step in steps("sqlite", version):
                for statement in statements(step.sql):
                    await work.execute(statement)
                await work.execute(f"PRAGMA user_version = {step.version}")
            await _check(work, self.path)

    @asynccontextmanager
    async def transaction(self, *, write: bool = True) -> AsyncIterator[Work]:
        """See `Database.transaction`."""
        if write:
            if self._writer is None:
                raise StorageError(f"{self.place} was opened to read", "open it to write")
            async with self._turn, self._writer.transaction("BEGIN IMMEDIATE"):
                yield self._writer
            return
        async with self._readers:
            reader = self._idle.pop() if self._idle else await self._reader()
            try:
                async with reader.transaction("BEGIN"):
                    yield reader
            finally:
                self._idle.append(reader)

    async def _reader(self) -> "_Connection":
        reader = _Connection(self.path, read_only=True)
        await reader.start()
        return reader

    async def close(self) -> None:
        """Close all connections."""
        for connection in [*self._idle, *([self._writer] if self._writer is not None else [])]:
            await connection.stop()
        self._idle.clear()


class _Connection(Work):
    """One connection in a thread of its own."""

    dialect = DIALECT

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._thread = ThreadPoolExecutor(1, "aurora-cluster-db")
        self._db: sqlite3.Connection

    async def start(self) -> None:
        try:
            await self._call(self._open)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    async def stop(self) -> None:
        await self._call(self._db.close)
        self._thread.shutdown()

    def _open(self) -> None:
        if self._read_only:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")

    @asynccontextmanager
    async def transaction(self, begin: str) -> AsyncIterator[None]:
        try:
            # Within: a caller that is cancelled while the thread begins would leave a transaction open.
            await self.execute(begin)
            yield
            await self.execute("COMMIT")
        except BaseException:
            # A cancelled caller, too, leaves no transaction open.
            await asyncio.shield(self._call(self._roll_back))
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    async def _call(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with _translated(self._path):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, translated)

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        return await self._call(lambda: self._db.execute(sql, _named(values)).fetchall())

    async def fetch_each(self, sql: str, rows: Iterable[Sequence[object]]) -> list[Row]:
        def run() -> list[Row]:
            return [found for row in rows for found in self._db.execute(sql, _named(row)).fetchall()]

        return await self._call(run)

    async def execute(self, sql: str, *values: object) -> None:
        await self._call(lambda: self._db.execute(sql, _named(values)))

    async def execute_each(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        await self._call(lambda: self._db.executemany(sql, (_named(row) for row in rows)))

    async def rows(self, sql: str, *values: object) -> AsyncIterator[Row]:
        cursor = await self._call(lambda: self._db.execute(sql, _named(values)))
        try:
            while page := await self._call(partial(cursor.fetchmany, PAGE)):
                for row in page:
                    yield row
        finally:
            await asyncio.shield(self._call(cursor.close))

    def several(self, values: Iterable[object]) -> object:
        return json.dumps(list(values))


async def _check(work: Work, path: Path) -> None:
    version, known = int((await work.fetch("PRAGMA user_version"))[0][0]), newest("sqlite")
    if version != known:
        remedy = "run `aurora-cluster serve` once with this release" if version < known else "use a newer release"
        raise StorageError(f"{path} is of schema {version}, this program knows {known}", remedy)


@lru_cache(64)
def _names(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(1, count + 1))


def _named(values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(_names(len(values)), values, strict=True))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DataError, sqlite3.IntegrityError, OverflowError, UnicodeEncodeError) as error:
        raise UnfitError(f"{path}: {error}", "see which value it was given") from error
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {error}", "look at the disk's space and health") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}", "look at the folder's owner and mode") from error
