"""The document on the format is true: its example, its reader and its CDDL are held against what is sealed."""

import json
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sealing import CLOCK, CLUSTER, Gateway, event, fill, later, lay_out, scans

from gateway.model import ClockClaim, ClockState, Event, Head, Miss
from gateway.seal import batch, cose, payload, receipt
from gateway.seal.batch import (
    EVENT_TYPE,
    NO_PREVIOUS,
    REGISTRATION_TYPE,
    open_batch,
    registration_payload,
    seal_batch,
)
from gateway.seal.columns import decode_events
from gateway.seal.cose import ESP256
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import issue_consistency, issue_receipt, refusal
from gateway.seal.tree import Frontier
from gateway.site import Identity

DOCS = Path(__file__).parents[2] / "docs"
CDDL = DOCS / "batch-format.cddl"
TEXT = (DOCS / "batch-format.md").read_text(encoding="utf-8")
IDENTITY = Identity(member="dairy-7", site="north", gateway="gw-1")
STREAM = IDENTITY.urn + ":event"

Signers = Callable[..., FileSigner]


def documented(name: str) -> bytes:
    """The bytes of a dump in the document, comments left out."""
    block = re.search(rf"```{name}\n(.*?)```", TEXT, re.DOTALL)
    assert block, f"no dump {name} in the document"
    return bytes.fromhex("".join(line.split(";")[0] for line in block[1].splitlines()))


def claim(boot_ms: int) -> ClockClaim:
    boot = bytes.fromhex("5c2f0d8e9a7b4c61b3d4e5f60718293a")
    return ClockClaim(boot, boot_ms, 1_795_359_958_123 + boot_ms, 12, ClockState.TRUSTED)


def example(make_signer: Signers) -> dict[str, bytes]:
    """The messages of the worked example, sealed anew. (Compression differs between zlibs: its bytes are given.)"""
    signer, cluster = make_signer(1), make_signer(2)
    registration = registration_payload(
        signer.public, IDENTITY, config_digest=sha256(b"site.toml").digest(), storage="file", software="1.0.0"
    )
    common: dict[str, Any] = {"iss": IDENTITY.urn, "stream": "event"}
    first = seal_batch(
        signer,
        **common,
        seq=0,
        prev=NO_PREVIOUS,
        other=None,
        clock=claim(42_000),
        payload=registration,
        content_type=REGISTRATION_TYPE,
    )
    second = seal_batch(
        signer,
        **common,
        seq=1,
        prev=first.leaf,
        other=Head(3, sha256(b"other").digest()),
        clock=claim(102_000),
        payload=open_batch(documented("batch-1")).payload,
        content_type=EVENT_TYPE,
    )
    frontier = Frontier.of([first.leaf, second.leaf])
    proof = issue_receipt(cluster, iss=CLUSTER, sub=STREAM, frontier=frontier, iat=1_795_360_062)
    return {"batch-0": first.body, "batch-1": second.body, "receipt": proof}


@pytest.mark.parametrize("name", ["batch-0", "batch-1", "receipt"])
def test_the_worked_example_is_what_is_sealed(make_signer: Signers, name: str) -> None:
    body = example(make_signer)[name]
    assert documented(name).hex() == body.hex()
    assert f"{len(body)} bytes" in TEXT


def test_the_hashes_of_the_worked_example_are_right(make_signer: Signers) -> None:
    leaves = [sha256(b"\0" + documented(name)).digest() for name in ("batch-0", "batch-1")]
    root = sha256(b"\1" + leaves[0] + leaves[1]).digest()
    thumbprints = [make_signer(number).thumbprint for number in (1, 2)]
    for known in (*leaves, root, *thumbprints):
        assert known.hex() in TEXT


def test_the_event_of_the_worked_example_is_as_told() -> None:
    packed = open_batch(documented("batch-1")).payload
    told = Event("gap.opened", 101_500, {"device": "cold-1", "slot": 101, "cause": "timeout"})
    assert decode_events(packed) == [told]
    assert '[[101500, "gap.opened", {"slot": 101, "cause": "timeout", "device": "cold-1"}]]' in TEXT


def test_the_numbers_in_the_document_are_those_of_the_code() -> None:
    assert str(batch.CHAIN) in TEXT
    assert str(receipt.TREE_SIZE) in TEXT
    assert f"{cose.MAX_MESSAGE // 2**20} MiB" in TEXT
    assert f"{payload.MAX_INFLATED // 2**20} MiB" in TEXT
    for content_type in (batch.SCAN_TYPE, batch.EVENT_TYPE, batch.REGISTRATION_TYPE):
        assert content_type in TEXT


# The reader of the document, run as an outsider would.


def read(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", DOCS / "read_batches.py", *paths],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(params=[-19, ESP256], ids=["ed25519", "p256"])
def folder(tmp_path: Path, make_signer: Signers, request: pytest.FixtureRequest) -> Path:
    return lay_out(tmp_path / "evidence", fill(Gateway(make_signer(1, request.param)), batches=2))


def in_order(folder: Path) -> list[Path]:
    return [folder / "gateway.pem", *sorted(folder.glob("event-*.cose")), *sorted(folder.glob("scan-*.cose"))]


def test_the_reader_prints_what_is_in_the_batches(folder: Path) -> None:
    done = read(*in_order(folder))
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["stream"].rpartition(":")[2], line["seq"]) for line in lines] == [
        ("event", 0),
        ("event", 1),
        ("event", 2),
        ("scan", 0),
        ("scan", 1),
        ("scan", 2),
    ]
    assert lines[0]["content"]["5"] == "gw-0042"
    assert lines[2]["content"] == [[60_000, "gap.opened", {"device": "cold-2", "slot": 110, "cause": "timeout"}]]
    expected = [
        ["cold-2", record.slot, record.count, record.quality]
        if isinstance(record, Miss)
        else ["cold-1", record.slot, record.at_ms, "temperature", "value", record.values[0], record.quality[0]]
        for record in scans(100, 10)
    ]
    assert lines[4]["content"] == expected
    assert lines[4]["utc"] == pytest.approx((CLOCK.utc_ms or 0) / 1000 + 4)


@pytest.mark.parametrize("place", [30, 120, 200, -70, -1])
def test_the_reader_stops_at_an_altered_batch(folder: Path, place: int) -> None:
    path = folder / "scan-1.cose"
    body = bytearray(path.read_bytes())
    body[place] ^= 1
    path.write_bytes(body)
    done = read(*in_order(folder))
    assert done.returncode != 0
    assert len(done.stdout.splitlines()) == 4


def test_the_reader_stops_at_a_missing_batch(folder: Path) -> None:
    (folder / "scan-1.cose").unlink()
    done = read(*in_order(folder))
    assert done.returncode != 0
    assert "batch 2" in done.stderr
    assert "does not follow" in done.stderr


def test_the_reader_stops_without_the_key(folder: Path, make_signer: Signers) -> None:
    (folder / "gateway.pem").write_bytes(make_signer(5).public.pem())
    done = read(*in_order(folder))
    assert done.returncode != 0
    assert "not signed by a key given" in done.stderr


# The CDDL, checked by a validator that is not ours.


def messages(make_signer: Signers) -> dict[str, list[bytes]]:
    """Messages and payloads of every kind, by the rule of the CDDL that they must fit."""
    gateway, cluster = fill(Gateway(make_signer(1)), 3), make_signer(2)
    untrusted = CLOCK._replace(utc_ms=None, error_ms=None, state=ClockState.UNTRUSTED)
    hardware = Gateway(make_signer(1, ESP256), clock=later(untrusted, 1))
    batches = [
        *gateway.streams["event"],
        *gateway.streams["scan"],
        *hardware.streams["scan"],
        hardware.seal("event", event("config", digest=bytes(32), nested={"a": [1, -2, 0.5, None, True]})),
    ]
    consistency = issue_consistency(cluster, iss=CLUSTER, sub=STREAM, first=1, leaves=gateway.leaves("scan"), iat=5)
    payloads = [open_batch(sealed.body).payload for sealed in gateway.streams["scan"]]
    return {
        "batch": [sealed.body for sealed in batches],
        "receipt": [gateway.receipt(cluster, "scan"), gateway.receipt(cluster, "event", 1)],
        "consistency-receipt": [consistency],
        "refusal": [refusal(STREAM, 5, "out of order", 3), refusal(STREAM, 5, "unknown", None)],
        "registration": [payloads[0]],
        "scan-payload": [zlib.decompress(packed) for packed in payloads[1:]],
        "event-payload": [zlib.decompress(open_batch(batches[1].body).payload)],
    }


def validates(oracle_python: Path, folder: Path, rule: str, data: bytes) -> bool:
    path = folder / "message.cbor"
    path.write_bytes(data)
    done = subprocess.run(
        [oracle_python, "-I", "-m", "cddl_verifier", "-t", rule, "--require-deterministic", CDDL, path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.timeout(300)
def test_every_kind_of_message_fits_the_cddl(oracle_python: Path, tmp_path: Path, make_signer: Signers) -> None:
    for rule, examples in messages(make_signer).items():
        for data in examples:
            assert validates(oracle_python, tmp_path, rule, data), (rule, data.hex())


@pytest.mark.timeout(300)
def test_the_cddl_refuses_what_is_no_message(oracle_python: Path, tmp_path: Path, make_signer: Signers) -> None:
    found = messages(make_signer)
    assert not validates(oracle_python, tmp_path, "batch", found["receipt"][0])
    assert not validates(oracle_python, tmp_path, "receipt", found["batch"][0])
    assert not validates(oracle_python, tmp_path, "registration", found["scan-payload"][0])
    assert not validates(oracle_python, tmp_path, "message", b"\xa0")
