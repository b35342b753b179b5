"""Both engines: a file, and a database of its own on a server of our own; filled with what a gateway signed."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("cluster", "cluster_derive"))


from derive_world import START_MS
from postgres_server import Server

from gateway.cluster.database import Database, open_database


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store is."""
    if request.param == "sqlite":
        return str(tmp_path / "cluster.db")
    return str(request.getfixturevalue("server").new_database())


@pytest_asyncio.fixture
async def database(place: str) -> AsyncIterator[Database]:
    database = await open_database(place)
    await database.prepare(START_MS)
    yield database
    await database.close()
