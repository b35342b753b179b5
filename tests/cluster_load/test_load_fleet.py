"""The simulator and its judges: they have to notice what they are there for."""

import asyncio
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from load_world import NOW_MS

from bench.build import program
from bench.fleet.cargo import LAYOUT, ROWS, VALUES, Gateway, kept_fleet, make_fleet, read_fleet, write_cargo
from bench.fleet.check import check_answers, enrol_all, look, read_times
from gateway.cluster.database import open_database
from gateway.cluster.opening import Message
from gateway.cluster.register import Register
from gateway.seal.batch import open_batch
from gateway.seal.columns import decode_scans, peek_scans
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier


@pytest.fixture(scope="module")
def fleet() -> list[Gateway]:
    return make_fleet(3, 2, members=2, start_ms=NOW_MS)


def test_batches_are_chained_signed_and_full(fleet: list[Gateway]) -> None:
    for gateway in fleet:
        for stream, bodies in gateway.bodies.items():
            for seq, body in enumerate(bodies):
                batch = open_batch(body)
                batch.verify(gateway.key.public)
                assert (batch.iss, batch.stream, batch.seq) == (gateway.identity.urn, stream, seq)
                assert seq == 0 or batch.prev == gateway.leaves[stream][seq - 1]
    payload = open_batch(fleet[0].bodies["scan"][2]).payload
    assert peek_scans(payload).values == VALUES
    assert [scan.slot for scan in decode_scans(LAYOUT, payload)] == list(range(ROWS, 2 * ROWS))


def test_a_cargo_is_read_as_it_was_written(fleet: list[Gateway], tmp_path: Path) -> None:
    write_cargo(tmp_path / "cargo", fleet)
    read = read_fleet(tmp_path / "cargo", 2, NOW_MS)
    assert [(one.client, one.bodies, one.leaves) for one in read] == [
        (one.client, one.bodies, one.leaves) for one in fleet
    ]


def test_a_cargo_is_made_once(tmp_path: Path) -> None:
    path, made = kept_fleet(tmp_path, 2, 1, now_ms=NOW_MS)
    written = path.stat().st_mtime_ns
    _, again = kept_fleet(tmp_path, 2, 1, now_ms=NOW_MS + 1)
    assert path.stat().st_mtime_ns == written
    assert [one.bodies for one in again] == [one.bodies for one in made]
    path.with_suffix(".json").write_text(json.dumps({"version": 0}))
    kept_fleet(tmp_path, 2, 1, now_ms=NOW_MS + 1)
    assert path.stat().st_mtime_ns != written


@pytest.mark.parametrize("cut", [4, 11, 30, 200, 1000])
def test_a_cargo_that_is_cut_short_is_refused(fleet: list[Gateway], tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cargo"
    write_cargo(path, fleet)
    path.write_bytes(path.read_bytes()[:cut])
    done = subprocess.run([program("fleet"), path], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "damaged" in done.stderr


@pytest.mark.parametrize("word", ["speed=9", "window", "=3"])
def test_an_option_that_is_not_known_is_refused(fleet: list[Gateway], tmp_path: Path, word: str) -> None:
    write_cargo(tmp_path / "cargo", fleet)
    command = [program("fleet"), tmp_path / "cargo", word]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert word in done.stderr


def answer(number: int, body: bytes) -> bytes:
    return struct.pack("<II", number, len(body)) + body


def receipt(signer: FileSigner, gateway: Gateway, size: int, leaves: list[bytes] | None = None) -> bytes:
    frontier = Frontier.of((leaves or gateway.leaves["scan"])[:size])
    return issue_receipt(signer, iss="urn:c", sub=f"{gateway.identity.urn}:scan", frontier=frontier, iat=1)


def test_receipts_are_checked_against_the_gateways_own_tree(fleet: list[Gateway], tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "cluster.key")
    other = FileSigner.create(tmp_path / "other.key")
    path = tmp_path / "receipts"
    path.write_bytes(answer(0, receipt(signer, fleet[0], 2)) + answer(1, receipt(signer, fleet[1], 3)))
    answers = check_answers(path, fleet, signer.public)
    assert not answers.findings
    assert answers.sizes == {(fleet[0].client, "scan"): 2, (fleet[1].client, "scan"): 3}
    bad = {
        "another tree": receipt(signer, fleet[0], 3, [*fleet[1].leaves["scan"][:2], fleet[0].leaves["scan"][2]]),
        "another key": receipt(other, fleet[0], 2),
        "another stream": receipt(signer, fleet[1], 2),
        "more than was signed": receipt(signer, fleet[0], 4, [*fleet[0].leaves["scan"], bytes(32)]),
        "no receipt": b"\xd2nonsense",
    }
    for what, body in bad.items():
        path.write_bytes(answer(0, body))
        assert check_answers(path, fleet, signer.public).findings, what


async def stored(where: str, fleet: list[Gateway], tmp_path: Path) -> None:
    await enrol_all(where, fleet, NOW_MS)
    database = await open_database(where)
    register = Register(database, FileSigner.create(tmp_path / "cluster.key"), iss="urn:c")
    messages = [
        Message(one.client, stream, body) for one in fleet for stream in one.bodies for body in one.bodies[stream]
    ]
    await register.take(messages, NOW_MS)
    await database.close()


SPOILED = {
    "is lost": "DELETE FROM batch WHERE gateway = 2 AND stream = 1 AND seq = 1",
    "is another one": "UPDATE batch SET body = x'00' WHERE gateway = 1 AND stream = 1 AND seq = 2",
    "was never signed": "INSERT INTO batch SELECT gateway, stream, 77, member, leaf, sealed_ms, received_ms, body "
    "FROM batch WHERE gateway = 1 AND stream = 0 AND seq = 1",
    "the tree has 1 batches of 3": "UPDATE stream SET size = 1 WHERE gateway = 3 AND stream = 1",
    "another root": "UPDATE stream SET frontier = (SELECT frontier FROM stream WHERE gateway = 1 AND stream = 1) "
    "WHERE gateway = 2 AND stream = 1",
}


@pytest.mark.parametrize("words", SPOILED)
async def test_every_difference_from_what_was_signed_is_found(
    fleet: list[Gateway], tmp_path: Path, words: str
) -> None:
    where = str(tmp_path / "cluster.db")
    await stored(where, fleet, tmp_path)
    assert not (await look(where, fleet)).findings
    database = await open_database(where)
    async with database.transaction() as work:
        await work.execute(SPOILED[words])
    await database.close()
    findings = (await look(where, fleet)).findings
    assert len(findings) == 1
    assert words in findings[0]


def test_times_without_a_receipt_do_not_count(tmp_path: Path) -> None:
    rows: list[Any] = [(0, 1, 1_000_000_000, 1_500_000_000), (0, 1, 1_000_000_000, 0), (1, 1, 0, 0)]
    rows += [(1, 1, 2_000_000_000, 4_000_000_000)]
    (tmp_path / "times").write_bytes(b"".join(struct.pack("<4Q", *row) for row in rows))
    times = read_times(tmp_path / "times")
    assert times.waits_s == [0.5, 2.0]
    assert times.last_s == [0.5, 3.0]
    assert times.wait_ms(0.5) == 2000


def test_a_store_is_enrolled_into_once(fleet: list[Gateway], tmp_path: Path) -> None:
    where = str(tmp_path / "cluster.db")
    asyncio.run(enrol_all(where, fleet, NOW_MS))
    asyncio.run(enrol_all(where, fleet, NOW_MS))
    # Of each gateway five batches are lost and both trees are empty.
    assert len(asyncio.run(look(where, fleet)).findings) == len(fleet) * (5 + 2)
