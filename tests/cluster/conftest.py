"""One CA for the run; a broker and a cluster for each test that asks for them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cluster_world import Broker, Cluster, Pki, Plant

from gateway.demo.pki import Authority


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


@pytest.fixture
def cluster(tmp_path: Path, broker: Broker) -> Cluster:
    return Cluster(tmp_path / "cluster", broker)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path / "plant")
