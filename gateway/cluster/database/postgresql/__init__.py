"""The cluster's store in PostgreSQL, through asyncpg: for many receivers, and for members who read with SQL."""

import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import asyncpg

from gateway.cluster.database import Database, Dialect, Row, Work
from gateway.cluster.database.migrations import newest, statements, steps
from gateway.cluster.database.postgresql.months import provide
from gateway.cluster.database.postgresql.shut import check_server, shut
from gateway.errors import AwayError, StorageError, UnfitError

DIALECT = Dialect("postgresql", " FOR UPDATE")
SCHEMA = "aurora"
CONNECTIONS = 8
CONNECT_S = 10.0
PAGE = 1000
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the library raises; the last one, when the server said goodbye between two statements of a transaction."""
UNFIT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.RaiseError,
)
"""What says that a value is wrong, and not the server."""
AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
"""A server that stops, starts, recovers or is full: it passes."""
GONE = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "idle_in_transaction_session_timeout": "300000",
}
"""A client whose machine is gone without a word keeps its locks for a minute, one that stands still for five."""
MIGRATING = 7_263_541
"""Key of the advisory lock under which one process at a time changes the schema."""


class PostgresDatabase(Database):
    """`Database` on a server. Every transaction has a connection of its own, from a pool."""

    dialect = DIALECT

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", place: str, *, read_only: bool) -> None:
        self.place = place
        self._pool = pool
        self._read_only = read_only

    @classmethod
    async def open(cls, url: str, *, read_only: bool = False) -> "PostgresDatabase":
        """Connect; raises `StorageError`."""
        place = _shown(url)
        with _translated(place):
            pool = await asyncpg.create_pool(
                url,
                min_size=0,
                max_size=CONNECTIONS,
                timeout=CONNECT_S,
                server_settings={"search_path": SCHEMA, "application_name": "aurora-cluster", **GONE},
                init=_watch,
            )
        database = cls(pool, place, read_only=read_only)
        try:
            # The pool connects on need: whoever opens wants to know now.
            async with database.transaction(write=False) as work:
                if read_only:
                    await _check(work, place)
        except BaseException:
            pool.terminate()
            raise
        return database

    async def prepare(self, now_ms: int) -> None:
        """Migrate, shut what is new, and make the partitions of this month and the next."""
        async with self.transaction() as work:
            await check_server(work, self.place)
            await work.execute("SELECT pg_advisory_xact_lock($1)", MIGRATING)
            # A role that owns nothing may not even ask for what is there already.
            if not (await work.fetch("SELECT to_regclass('schema_version')"))[0][0]:
                await work.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                await work.execute("CREATE TABLE schema_version (version bigint NOT NULL)")
            found = await work.fetch("SELECT version FROM schema_version")
            version = int(found[0][0]) if found else 0
            for step in steps("postgresql", version):
                for statement in statements(step.sql):
                    await work.execute(statement)
                await work.execute("DELETE FROM schema_version")
                await work.execute("INSERT INTO schema_version VALUES ($1)", step.version)
            await _check(work, self.place)
            await shut(work)
            await provide(work, now_ms)

    @asynccontextmanager
    async def transaction(self, *, write: bool = True) -> AsyncIterator[Work]:
        """See `Database.transaction`."""
        if write and self._read_only:
            raise StorageError(f"{self.place} was opened to read", "open it to write")
        # Rows are locked before they are changed, so the newest state is wanted; a reader wants one view.
        level = "read_committed" if write else "repeatable_read"
        with _translated(self.place):
            connection = await self._pool.acquire()
        try:
            transaction = connection.transaction(isolation=level, readonly=not write)
            with _translated(self.place):
                await transaction.start()
            try:
                yield _Connection(connection, self.place)
            except BaseException:
                # What went wrong is the caller's to hear; a lost connection has rolled back by itself.
                with suppress(*FAILURES, OSError):
                    await transaction.rollback()
                raise
            with _translated(self.place):
                await transaction.commit()
        finally:
            with _translated(self.place):
                await self._pool.release(connection)

    async def close(self) -> None:
        """Close all connections."""
        with _translated(self.place):
            await self._pool.close()


class _Connection(Work):
    """A connection while a transaction is open on it."""

    dialect = DIALECT

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", place: str) -> None:
        self._connection = connection
        self._place = place

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        with _translated(self._place):
            found: list[Row] = await self._connection.fetch(sql, *values)
        return found

    async def fetch_each(self, sql: str, rows: Iterable[Sequence[object]]) -> list[Row]:
        given = list(rows)
        if not given:
            return []
        with _translated(self._place):
            found: list[Row] = await self._connection.fetchmany(sql, given)
        return found

    async def execute(self, sql: str, *values: object) -> None:
        with _translated(self._place):
            await self._connection.execute(sql, *values)

    async def execute_each(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        given = list(rows)
        if given:
            with _translated(self._place):
                await self._connection.executemany(sql, given)

    async def rows(self, sql: str, *values: object) -> AsyncIterator[Row]:
        with _translated(self._place):
            async for row in self._connection.cursor(sql, *values, prefetch=PAGE):
                yield row

    def several(self, values: Iterable[object]) -> object:
        return list(values)


async def _watch(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
    """Notice within a minute a server that is gone without a word; the library sets nothing for that."""
    found = connection._transport.get_extra_info("socket")
    if found is not None and found.family != socket.AF_UNIX:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, 30),
            (socket.TCP_KEEPINTVL, 10),
            (socket.TCP_KEEPCNT, 3),
            (socket.TCP_USER_TIMEOUT, 60_000),
        ):
            found.setsockopt(socket.IPPROTO_TCP, option, value)


async def _check(work: Work, place: str) -> None:
    known = newest("postgresql")
    found = await work.fetch("SELECT to_regclass('schema_version')")
    version = int((await work.fetch("SELECT version FROM schema_version"))[0][0]) if found[0][0] else 0
    if version != known:
        remedy = "run `aurora-cluster serve` once with this release" if version < known else "use a newer release"
        raise StorageError(f"{place} is of schema {version}, this program knows {known}", remedy)


def _shown(url: str) -> str:
    """An address without its password; raises `StorageError` where it is none."""
    try:
        parts = urlsplit(url)
        return f"PostgreSQL {parts.hostname or 'local socket'}:{parts.port or 5432}{parts.path}"
    except ValueError as error:
        # The words of the error could hold the address, and that a password.
        remedy = "write postgresql://user@host:5432/database"
        raise StorageError("the address of PostgreSQL cannot be read", remedy) from error


@contextmanager
def _translated(place: str) -> Iterator[None]:
    try:
        yield
    except UNFIT as error:
        words = re.sub(r"\s+", " ", str(error))
        raise UnfitError(f"{place}: {words}", "see which value it was given") from error
    except AWAY as error:
        words = re.sub(r"\s+", " ", str(error))
        raise AwayError(f"{place}: {words}", "wait, or look at the server's log") from error
    except FAILURES as error:
        words = re.sub(r"\s+", " ", str(error))
        raise StorageError(f"{place}: {words}", "look at the server's log") from error
    except ssl.SSLError as error:
        raise StorageError(f"{place}: not trusted ({error})", "look at certificates and sslmode") from error
    except (TimeoutError, OSError) as error:
        raise AwayError(f"{place}: not reached ({error})", "look at address, port and server") from error
    except ValueError as error:
        raise StorageError(f"{place}: not understood", "write postgresql://user@host:5432/database") from error
