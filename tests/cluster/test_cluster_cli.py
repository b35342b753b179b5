"""``aurora-cluster`` as an operator meets it: settings, enrolment, ledger, and the audit that finds tampering."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cluster_world import CLUSTER, IDENTITY, NOW_MS, Plant, opened

from gateway.cluster.cli import cluster_signer, main
from gateway.cluster.enrolment import Enrolment, read_enrolment
from gateway.cluster.opening import Message
from gateway.cluster.register import Register
from gateway.cluster.settings import load_settings
from gateway.errors import ConfigError
from gateway.seal.cose import PublicKey


@pytest.fixture
def data(tmp_path: Path, plant: Plant, capsys: pytest.CaptureFixture[str]) -> Path:
    """A cluster with one enrolled gateway, a few batches, and a proven hole."""
    folder = tmp_path / "data"
    file = tmp_path / "gateway.json"
    file.write_text(Enrolment(plant.identity, plant.signer.public).to_json())
    assert main(["enrol", str(file), "--data", str(folder)]) == 0
    assert plant.signer.thumbprint.hex() in capsys.readouterr().out
    plant.scans(4)
    plant.delete("scan", 2, 2)
    plant.rotate()
    plant.scans(1)
    batches = [b for done in plant.batches.values() for b in done if (b.stream, b.seq) != ("scan", 2)]

    async def deliver() -> None:
        async with opened(folder / "cluster.db") as database:
            register = Register(database, cluster_signer(folder), iss=CLUSTER)
            await register.take([Message(IDENTITY.client, b.stream, b.body) for b in batches], NOW_MS)

    asyncio.run(deliver())
    return folder


def test_keys_prints_one_and_the_same_public_key(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "--data", str(data)]) == 0
    printed = capsys.readouterr().out
    assert PublicKey.from_pem(printed.encode()) == cluster_signer(data).public
    assert (data / "cluster.key").stat().st_mode & 0o077 == 0


def test_the_ledger_as_text_and_as_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "--data", str(data)]) == 0
    text = capsys.readouterr().out
    assert "dairy.gw-1  site north" in text
    assert "scan: 6 batches without a hole, 200 values" in text
    assert "1 deleted by the gateway" in text
    assert main(["ledger", "--json", "--data", str(data)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["gateways"][0]["streams"]["scan"]["size"] == 6


def test_what_is_stored_verifies(data: Path, plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--data", str(data)]) == 0
    assert f"scan: 6 batches, root {plant.root('scan').hex()}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (
            "UPDATE batch SET body = CAST(substr(body, 1, 99) || x'00' || substr(body, 101) AS BLOB) WHERE seq = 3",
            "altered",
        ),
        ("DELETE FROM batch WHERE stream = 1 AND seq = 3", "scan 3: is missing"),
        ("DELETE FROM batch WHERE stream = 1 AND seq = 5", "another root"),
        ("UPDATE batch SET body = NULL WHERE stream = 1 AND seq = 3", "no signed event says"),
        ("UPDATE batch SET leaf = zeroblob(32) WHERE stream = 1 AND seq = 2", "does not continue"),
        ("UPDATE batch SET leaf = zeroblob(32) WHERE stream = 1 AND seq = 2", "the event of its deletion"),
        ("UPDATE term SET scan_end = 9, event_end = 9 WHERE place = 0", None),
        ("UPDATE term SET scan_first = 6 WHERE place = 1", "superseded-key"),
        ("UPDATE stream SET frontier = zeroblob(40) WHERE stream = 0", "bad-frontier"),
        (
            "UPDATE batch SET body = b.body, leaf = b.leaf FROM batch b "
            "WHERE batch.seq = 3 AND batch.stream = 1 AND b.seq = 1 AND b.stream = 1",
            "another batch than its place",
        ),
    ],
)
def test_tampering_with_the_store_is_found(
    data: Path, change: str, finding: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(data / "cluster.db")) as db:
        assert db.execute(change).rowcount > 0
        db.commit()
    assert main(["verify", "--data", str(data)]) == (0 if finding is None else 1)
    assert finding is None or finding in capsys.readouterr().out


def test_every_mistake_in_an_enrolment_file_is_named(plant: Plant) -> None:
    good = json.loads(Enrolment(plant.identity, plant.signer.public).to_json())
    assert read_enrolment(json.dumps(good), "x") == Enrolment(plant.identity, plant.signer.public)
    bad = {**good, "member": "dai.ry", "gateway": "gw+", "thumbprint": "00"}
    with pytest.raises(ConfigError) as caught:
        read_enrolment(json.dumps(bad), "x")
    assert [problem.path for problem in caught.value.problems] == ["member", "gateway", "thumbprint"]
    for text in ("", "[]", "{}", json.dumps({**good, "public_key_pem": "none"})):
        with pytest.raises(ConfigError):
            read_enrolment(text, "x")


def test_settings_come_from_the_file_and_flags_win(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('name = "urn:x"\ndata_dir = "data"\nopener = true\n[broker]\nhost = "b"\nport = 1\nca="ca.pem"')
    found = load_settings(file, {"port": 2, "host": None})
    assert found.name == "urn:x"
    assert found.data_dir == tmp_path / "data"
    assert (found.broker.host, found.broker.port, found.broker.ca) == ("b", 2, tmp_path / "ca.pem")
    assert found.broker.client == "aurora-receiver"
    assert found.opener
    assert not load_settings(None, {}).opener
    assert load_settings(None, {"opener": True}).opener


def test_every_mistake_in_the_settings_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('nam = "x"\ndata_dir = 1\nopener = 1\n[broker]\nport = "8883"\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(file, {})
    assert [problem.path for problem in caught.value.problems] == ["nam", "data_dir", "opener", "broker.port"]
    assert main(["keys", "--config", str(tmp_path / "none.toml")]) == 2


def test_a_receiver_loads_nothing_of_the_page_and_the_outputs() -> None:
    heavy = ("starlette", "uvicorn", "jinja2", "pydantic", "pyarrow", "asyncpg", "prometheus_client")
    code = f"import sys; import gateway.cluster.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
