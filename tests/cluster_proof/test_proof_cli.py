"""The commands as people run them: a checkpoint, a witness, a pack, and both verifications."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_world import ROOT, Broker, free_port
from proof_world import NORTH, ORIGIN, SOUTH, Store
from test_proof_gateway_witness import offered, witness
from test_proof_pack import LOT, Chain

from gateway.cli import main as gateway_main
from gateway.cluster.cli import main
from gateway.cluster.proof.log import newest
from gateway.seal.checkpoint import open_checkpoint
from gateway.seal.note import NoteKey


class Desk:
    """A terminal: runs commands on the store of the test, and gives status and words."""

    def __init__(self, store: Store, place: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.store, self.place, self.capsys = store, place, capsys

    @property
    def where(self) -> list[str]:
        return ["--data", str(self.store.folder), "--store", self.place]

    async def run(self, *words: str | Path) -> tuple[int, str]:
        self.capsys.readouterr()
        status = await asyncio.to_thread(main, [*map(str, words)])
        said = self.capsys.readouterr()
        return status, said.out + said.err

    async def cluster(self, command: str, *words: str | Path) -> tuple[int, str]:
        return await self.run(command, *self.where, *words)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'ext'}"}
        command = [sys.executable, "-m", "gateway.cluster.cli", *words]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def stop(process: "subprocess.Popen[str]") -> int:
    """End it in order; its exit status."""
    process.send_signal(signal.SIGTERM)
    status = process.wait(20)
    assert process.stdout is not None
    process.stdout.close()
    return status


@pytest.fixture
def desk(store: Store, place: str, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(store, place, capsys)


async def test_checkpoint_and_verification(desk: Desk, tmp_path: Path) -> None:
    store = desk.store
    assert (await desk.cluster("checkpoint", "--name", ORIGIN))[0] == 1
    plant = store.plant()
    plant.scans(3)
    await store.deliver(plant)
    status, note = await desk.cluster("checkpoint", "--name", ORIGIN)
    assert status == 0
    assert open_checkpoint(note.encode(), [store.log_key])[0].size == 2
    assert await desk.cluster("checkpoint", "--name", ORIGIN) == (0, note)
    assert await desk.cluster("checkpoint", "--log-key", "--name", ORIGIN) == (0, store.log_key.vkey() + "\n")
    (tmp_path / "kept.txt").write_text(note)
    status, words = await desk.cluster("verify", "--name", ORIGIN, "--checkpoints", tmp_path / "kept.txt")
    assert status == 0, words
    assert "compared with 1 checkpoints stored and 1 given" in words
    await store.sql(("UPDATE batch SET body = $1 WHERE stream = 1 AND seq = 2", plant.batches["scan"][1].body))
    status, words = await desk.cluster("verify", "--name", ORIGIN, "--checkpoints")
    assert status == 1
    assert "! dairy.gw-1 scan batch 2: the bytes are not those that were received" in words
    status, words = await desk.cluster("verify", "--name", ORIGIN, "--checkpoints", tmp_path / "none.txt")
    assert (status, "none.txt cannot be read" in words) == (2, True)


async def test_an_auditor_cosigns(desk: Desk, tmp_path: Path) -> None:
    await desk.store.deliver(desk.store.plant())
    log = (await desk.cluster("checkpoint", "--log-key", "--name", ORIGIN))[1].strip()
    auditor = ["--data", str(tmp_path / "auditor"), "--witness-name", "auditor.example/1", "--log", log]
    status, key = await desk.run("witness", *auditor)
    assert status == 0
    port = free_port()
    process = desk.start("witness", *auditor, "--listen", f"127.0.0.1:{port}")
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == key
        words: list[str] = ["--name", ORIGIN, "--witness", f"http://127.0.0.1:{port}", "--witness-key", key.strip()]
        async with asyncio.timeout(20):
            while True:
                status, note = await desk.cluster("checkpoint", *words)
                if status == 0:
                    break
                assert "cannot be reached" in note
    finally:
        assert stop(process) == 0
    _, opened = open_checkpoint(note.encode(), [desk.store.log_key])
    assert opened.signed_by([NoteKey.from_vkey(key)]) == [NoteKey.from_vkey(key)]
    status, words_said = await desk.cluster(
        "verify", "--name", ORIGIN, "--checkpoints", "--witness-key", key.strip()
    )
    assert (status, "1 cosignatures" in words_said) == (0, True)
    # The same by a file, without a network.
    async with desk.store.database.transaction(write=False) as work:
        stored = await newest(work)
    assert stored is not None
    (tmp_path / "request.txt").write_text(f"old 2\n\n{stored.note}")
    status, answer = await desk.run("witness", *auditor, tmp_path / "request.txt")
    assert (status, answer.startswith("\u2014 auditor.example/1 ")) == (0, True)
    (tmp_path / "request.txt").write_text(f"old 0\n\n{stored.note}")
    assert await desk.run("witness", *auditor, tmp_path / "request.txt") == (1, "2\n")


async def test_a_pack_is_written_and_verified(desk: Desk, tmp_path: Path) -> None:
    chain = Chain(desk.store)
    await chain.live()
    out = tmp_path / "lot.zip"
    words = ["--name", ORIGIN, "--gateway", NORTH.client, "--gateway", SOUTH.client, "--lot", LOT]
    period = ["--from", "2026-11-22T15:06:39Z", "--to", "2026-11-22T15:08:19+00:00"]
    status, said = await desk.cluster("pack", *words, *period, str(out))
    assert status == 0, said
    keys: list[str] = ["--cluster-key", str(tmp_path / "cluster.pem")]
    (tmp_path / "cluster.pem").write_bytes(desk.store.signer.public.pem())
    for number, plant in enumerate(chain.plants[:2]):
        (tmp_path / f"{number}.pem").write_bytes(plant.signer.public.pem())
        keys += ["--key", str(tmp_path / f"{number}.pem")]
    status, said = await desk.run("verify-pack", str(out), *keys)
    assert status == 0, said
    assert f"lot {LOT}: in cold-room, recorded by {NORTH.urn}" in said
    assert "the pack is whole" in said
    desk.capsys.readouterr()
    assert await asyncio.to_thread(gateway_main, ["verify", str(out), *keys]) == 0
    assert "100 due, 94 good" in desk.capsys.readouterr().out
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 1
    out.write_bytes(data)
    assert (await desk.run("verify-pack", str(out)))[0] == 2
    assert await asyncio.to_thread(gateway_main, ["verify", str(out)]) == 2
    status, said = await desk.cluster("pack", *words[:-1], "L-0", *period, str(out))
    assert (status, "no" in said) == (2, True)


async def test_the_notary_runs_as_a_service(desk: Desk, broker: Broker) -> None:
    store = desk.store
    plant = store.plant()
    await store.deliver(plant)
    certificate = broker.pki.client("aurora-notary")
    process = desk.start(
        "notary", *desk.where, "--name", ORIGIN, "--host", "127.0.0.1", "--port", str(broker.port),
        "--ca", str(certificate.ca), "--certificate", str(certificate.certificate), "--key", str(certificate.key),
    )  # fmt: skip
    try:
        from gateway.mqtt import connect

        async with connect(broker.endpoint(NORTH.client)) as link:
            await link.subscribe(f"aurora/v1/{NORTH.client}/checkpoint")
            async with asyncio.timeout(30):
                (message,) = await link.receive(1)
        assert await witness(plant, store.signer).take(message.payload) == "witnessed"
    finally:
        assert stop(process) == 0
    await store.deliver(plant)
    assert NORTH.client in await offered(store), "until what it said has been collected"


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["checkpoint", "--witness", "http://x"], "each --witness needs its --witness-key"),
        (["checkpoint", "--witness", "http://x", "--witness-key", "nonsense"], "is not name+id+key"),
        (["witness", "--witness-name", "a", "--listen", "here"], "is no place to listen"),
        (["witness", "--witness-name", "a", "/none"], "cannot be read"),
        (["pack", "--gateway", "a.b", "--point", "c.d/e", "--from", "2026-01-01", "--to", "2026-01-02", "o.zip"],
         "is no point of a gateway named here"),
        (["pack", "--gateway", "a.b", "--from", "2026-01-01", "--to", "2026-01-02", "o.zip"], "no checkpoint"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said(desk: Desk, words: list[str], said: str) -> None:
    status, found = await desk.cluster(words[0], *words[1:])
    assert status == 2
    assert said in found


def test_a_time_is_iso_8601(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pack", "--gateway", "a.b", "--from", "yesterday", "--to", "2026-01-02", "o.zip"])
    assert "is no time" in capsys.readouterr().err
