"""One PostgreSQL, one filled store for the run. What a test changes it takes back, or does in its own store."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.extend(
    str(Path(__file__).parents[1] / folder) for folder in ("cluster", "cluster_derive", "cluster_handon")
)

from member_world import MEMBERS, NOW_MS, full_name, populate
from postgres_server import Server

from gateway.cluster.database import Database, open_database
from gateway.cluster.members.password import verifier
from gateway.cluster.members.roles import make_member, make_service


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def url(server: Server) -> str:
    """A store with three members, their roles and the service's."""
    url = server.new_database()

    async def fill() -> None:
        database = await open_database(url)
        await database.prepare(NOW_MS)
        await populate(database)
        await make_service(database, None)
        for member in range(1, len(MEMBERS) + 1):
            await make_member(database, full_name(member), verifier("not used here", b"salt" * 4))
        await database.close()

    asyncio.run(fill())
    return url


@pytest_asyncio.fixture
async def filled(url: str) -> AsyncIterator[Database]:
    database = await open_database(url)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def own(server: Server) -> AsyncIterator[tuple[str, Database]]:
    """An empty store beside the other, and its address."""
    url = server.new_database()
    database = await open_database(url)
    await database.prepare(NOW_MS)
    yield url, database
    await database.close()
