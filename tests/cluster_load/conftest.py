"""A server of PostgreSQL and a whole cluster for each test: some of them kill it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from load_world import World
from postgres_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def world(tmp_path: Path, server: Server) -> Iterator[World]:
    world = World(tmp_path, server)
    yield world
    world.close()
