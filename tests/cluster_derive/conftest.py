"""Both engines: a file, and a database of its own on a server of our own."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cluster"))

from derive_world import START_MS
from postgres_server import Server

from gateway.cluster.database import Database, open_database


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store is."""
    if request.param == "sqlite":
        return str(tmp_path / "cluster.db")
    return str(request.getfixturevalue("server").new_database())


@pytest.fixture
async def database(place: str) -> AsyncIterator[Database]:
    database = await open_database(place)
    await database.prepare(START_MS)
    yield database
    await database.close()
