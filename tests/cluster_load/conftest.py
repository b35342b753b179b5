"""A server of PostgreSQL for the run, and a whole cluster for each test that asks for one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for folder in (Path(__file__).parents[1] / "cluster", Path(__file__).parents[2]):
    sys.path.append(str(folder))

from load_world import World
from postgres_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for each test: some of them kill it."""
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def world(tmp_path: Path, server: Server) -> Iterator[World]:
    world = World(tmp_path, server)
    yield world
    world.close()
