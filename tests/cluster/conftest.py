"""One CA for the run; a broker and a cluster for each test that asks for them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cluster_world import Broker, Cluster, Pki, Plant
from postgres_server import Server

from gateway.demo.pki import Authority


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Authority(tmp_path_factory.mktemp("pki"), datetime.now(UTC))
    return Pki(authority, authority.server("broker"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store, once on each engine."""
    if request.param == "sqlite":
        return str(tmp_path / "cluster.db")
    server: Server = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def broker(tmp_path: Path, pki: Pki) -> Iterator[Broker]:
    broker = Broker(tmp_path, pki)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def cluster(tmp_path: Path, broker: Broker) -> Cluster:
    return Cluster(tmp_path / "cluster", broker)


@pytest.fixture
def any_cluster(tmp_path: Path, broker: Broker, where: str) -> Cluster:
    """A cluster on each engine."""
    return Cluster(tmp_path / "cluster", broker, where)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path / "plant")
