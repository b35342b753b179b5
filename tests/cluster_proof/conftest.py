"""A store on each engine; one PostgreSQL for the run, a database of its own for each test."""

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))

from cluster_world import NOW_MS, Broker, Pki
from postgres_server import Server
from proof_world import Store

from gateway.cluster.database import open_database
from gateway.demo.pki import Authority
from gateway.seal.keys import FileSigner


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server("fsync = on")
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "cluster.db")
    address: str = request.getfixturevalue("server").new_database()
    return address


@pytest.fixture
async def store(place: str, tmp_path: Path) -> AsyncIterator[Store]:
    database = await open_database(place)
    await database.prepare(NOW_MS)
    yield Store(database, FileSigner.create(tmp_path / "cluster.key"), tmp_path)
    await database.close()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Authority(tmp_path_factory.mktemp("pki"), datetime.now(UTC))
    return Pki(authority, authority.server("broker"))


@pytest.fixture
def broker(tmp_path: Path, pki: Pki) -> Iterator[Broker]:
    broker = Broker(tmp_path, pki)
    broker.start()
    yield broker
    broker.kill()
