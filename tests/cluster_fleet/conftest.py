"""Every test of the store runs on both engines: a PostgreSQL for the run, a database or a file for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fleet_tools import NOW_MS
from postgres_server import Server

from gateway.cluster.database import Database, open_database


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    server = Server("fsync = off", "jit = off")
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        where: str | Path = tmp_path / "cluster.db"
    else:
        server: Server = request.getfixturevalue("postgres")
        where = await asyncio.to_thread(server.new_database)
    database = await open_database(where)
    await database.prepare(NOW_MS)
    yield database
    await database.close()
