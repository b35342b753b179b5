"""Keys, a registered gateway and the oracle for the tests of this folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sealing import Gateway, fixed_signer

from gateway.seal.cose import ED25519, ESP256
from gateway.seal.keys import FileSigner

SETUP = Path(__file__).parent / "oracle/setup_oracle.sh"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def make_signer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FileSigner]:
    folder = tmp_path_factory.mktemp("keys")
    return lambda number, alg=ED25519: fixed_signer(folder, number, alg)


@pytest.fixture(scope="session", params=[ED25519, ESP256], ids=["ed25519", "p256"])
def signer(request: pytest.FixtureRequest, make_signer: Callable[..., FileSigner]) -> FileSigner:
    """The gateway's key, once of either kind."""
    return make_signer(1, request.param)


@pytest.fixture(scope="session")
def cluster(make_signer: Callable[..., FileSigner]) -> FileSigner:
    """The cluster's receipt key."""
    return make_signer(200)


@pytest.fixture
def gateway(make_signer: Callable[..., FileSigner]) -> Gateway:
    """A registered gateway with an Ed25519 key."""
    return Gateway(make_signer(1))


@pytest.fixture(scope="session")
def oracle_python() -> Path:
    """The interpreter of the oracle's environment, which is made when it is missing."""
    venv = Path(os.environ.get("AURORA_ORACLE_VENV", ROOT / ".venv-oracle"))
    python = venv / "bin/python"
    if not python.exists() or subprocess.run([python, "-c", "import cwt, cddl_verifier"], check=False).returncode:
        made = subprocess.run([SETUP, sys.executable], capture_output=True, text=True, timeout=300, check=False)
        assert made.returncode == 0, (
            f"the environment of the oracle cannot be made; run {SETUP} where packages can be "
            f"installed, or name a ready one in AURORA_ORACLE_VENV:\n{made.stderr}"
        )
    return python
