"""The demonstration, run once: a plant, a broker, a gateway that is killed and restarted, a cluster."""

from pathlib import Path

import pytest
from app_tools import Ran, command


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Fourteen seconds of the whole path over Mosquitto, with a kill -9 of the gateway in the middle."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    done = command("demo", "--seconds", "14", "--kill-at", "7", "--port", "0", "--dir", folder)
    return Ran(folder, done.stdout + done.stderr, done.returncode)


@pytest.fixture(scope="session")
def evidence(demo: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The signed batches, receipts and keys of that demonstration."""
    folder = tmp_path_factory.mktemp("evidence")
    done = command("export", demo.folder / "site.toml", "--format", "batches", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder
