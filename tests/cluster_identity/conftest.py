"""Both engines for every test of the store: a file, and one PostgreSQL for the run with a database a test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from identity_world import NOW_MS, Asking, Desk
from postgres_server import Server

from gateway.cluster.database import Database, open_database


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    where: str | Path = tmp_path / "cluster.db"
    if request.param == "postgresql":
        where = request.getfixturevalue("server").new_database()
    database = await open_database(where)
    await database.prepare(NOW_MS)
    yield database
    await database.close()


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Desk:
    return Desk(tmp_path / "desk", database)


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    return Asking(tmp_path / "gateway")
