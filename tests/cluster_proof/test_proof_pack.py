"""Evidence packs: a lot over two sites, proven offline; whatever is altered in one is found and named."""

import json
import subprocess
import sys
from array import array
from math import nan
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cluster_world import LAYOUT, NOW_MS, Plant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proof_world import DAY_MS, NORTH, ORIGIN, OTHER, SOUTH, Store
from test_proof_gateway_witness import offered, witness

from gateway.cluster.identity.keys import cut_off
from gateway.cluster.identity.rows import Staff
from gateway.cluster.proof.certify import certify
from gateway.cluster.proof.cosigned import collect
from gateway.cluster.proof.log import checkpoint
from gateway.cluster.proof.pack import Wanted, build_pack
from gateway.cluster.proof.stored import Point, gateway_of, scans_of
from gateway.errors import OperatorError, SealError
from gateway.model import ClockState, Miss, Quality, Scan
from gateway.seal.batch import SCAN_TYPE
from gateway.seal.certificate import read_certificate
from gateway.seal.columns import encode_scans
from gateway.seal.keys import FileSigner
from gateway.seal.layout import layout_cbor, layout_id
from gateway.seal.pack import CHECKPOINT, PackReport, verify_pack
from gateway.seal.packfile import MANIFEST, open_pack, pack_bytes, read_pack, sign_manifest
from gateway.seal.packwords import pack_words
from gateway.seal.statement import Statement, read_statement, write_statement

LOT = "L-4711"
START = NOW_MS - 1000
"""When boot time 0 of the plants was."""


class Chain:
    """A member with two sites, and a stranger; a lot goes from one site to the other."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.plants = [store.plant(NORTH), store.plant(SOUTH), store.plant(OTHER)]

    async def live(self) -> None:
        for number, plant in enumerate(self.plants):
            plant.event("layout", id=layout_id(LAYOUT), layout=layout_cbor(LAYOUT))
            plant.event("note", words="a secret of the house")
            plant.scans(3, rows=20)
            lot(plant, "in" if number != 1 else "out", LOT if number < 2 else "L-1")
            rows: list[Scan | Miss] = [Miss(0, 60, 5, Quality.TIMEOUT), bad(65)]
            plant.seal("scan", encode_scans(LAYOUT, rows), SCAN_TYPE)
            plant.slots = 66
            plant.now_ms = NOW_MS + 100_000
            plant.scans(2, rows=20)
        await self.store.deliver(*self.plants)
        await checkpoint(self.store.database, self.store.signer, NOW_MS, origin=ORIGIN)
        for plant, payload in zip(self.plants, (await offered(self.store)).values(), strict=True):
            await witness(plant, self.store.signer).take(payload)
        await self.store.deliver(*self.plants)
        await collect(self.store.database)
        for plant in self.plants:
            gateway = self.store.gateways[plant.identity.client]
            await self.store.sql(
                (
                    "INSERT INTO point (member, gateway, point, name, device, channel, critical, settings) "
                    "SELECT member, id, 'cold-room', 'Cold room', 'room', 't0', 1, '{}' FROM gateway WHERE id = $1",
                    gateway,
                )
            )

    async def pack(self, **options: Any) -> dict[str, bytes]:
        wanted = {"clients": [NORTH.client, SOUTH.client], "from_ms": START, "to_ms": START + 100_000, "lot": LOT}
        async with self.store.database.transaction(write=False) as work:
            return await build_pack(
                work,
                self.store.signer,
                Wanted(**(wanted | options)),  # type: ignore[arg-type]
                origin=ORIGIN,
                now_ms=NOW_MS + DAY_MS,
            )

    def verify(self, files: dict[str, bytes], **options: Any) -> PackReport:
        """With the keys of the gateways and the cluster from a trusted source."""
        keys = [plant.signer.public for plant in self.plants[:2]]
        return verify_pack(files, gateway_keys=keys, cluster_keys=[self.store.signer.public], **options)


def lot(plant: Plant, direction: str, number: str) -> None:
    plant.event(
        "record.lot", record="R1-123456", person="A. Baker", lot=number, direction=direction, point="cold-room",
        gtin=None, serial=None, sscc=None, code=None, quantity=500, unit="KGM",
    )  # fmt: skip


def bad(slot: int) -> Scan:
    values = array("d", [nan] * 10)
    return Scan(0, slot, slot * 1000 + 7, values, bytes([Quality.SENSOR_FAULT] * 10), b"\x80\x00")


@pytest.fixture
async def chain(store: Store) -> Chain:
    chain = Chain(store)
    await chain.live()
    return chain


@pytest.fixture
async def files(chain: Chain) -> dict[str, bytes]:
    return await chain.pack()


def errors(report: PackReport) -> list[str]:
    return [str(finding) for finding in report.findings if finding.severity == "error"]


async def test_a_lot_over_two_sites_is_proven_offline(chain: Chain, files: dict[str, bytes]) -> None:
    report = chain.verify(files)
    assert [str(finding) for finding in report.findings] == []
    assert report.ok
    assert [(iss, event.data["direction"]) for iss, event in report.lots] == [(NORTH.urn, "in"), (SOUTH.urn, "out")]
    assert report.witnesses == [NORTH.urn, SOUTH.urn, OTHER.urn]
    assert [one.point for one in report.certificates] == ["cold-room", "cold-room"]
    figures = report.certificates[0].account
    assert [figures[name] for name in ("due", "good", "bad", "missed", "untimed")] == [100, 94, 1, 5, 0]
    assert figures["gaps"] == [
        [START + 60_000, START + 65_000, 5, "timeout"],
        [START + 65_000, START + 66_000, 1, "sensor_fault"],
    ]
    # Of the events, only what is needed: registration, layout, lot.
    events = [path for path in files if path.startswith(f"gateways/{NORTH.client}/event/")]
    assert [path[-13:-5] for path in sorted(events)] == ["00000000", "00000001", "00000003"]
    assert not any(b"secret of the house" in content for content in files.values())
    assert json.loads(files["pack.json"])["lot_records"][1]["client"] == SOUTH.client


async def test_without_trusted_keys_it_is_said_what_it_is_worth(files: dict[str, bytes]) -> None:
    report = verify_pack(files)
    assert report.ok
    assert [finding.kind for finding in report.findings] == ["unanchored"]


async def test_other_keys_prove_nothing(chain: Chain, files: dict[str, bytes], tmp_path: Path) -> None:
    stranger = FileSigner.create(tmp_path / "stranger.key").public
    found = errors(verify_pack(files, gateway_keys=[chain.plants[0].signer.public], cluster_keys=[stranger]))
    assert any("MANIFEST.txt: is not signed" in one for one in found)
    assert any(one.startswith("error unsigned: checkpoint.txt") for one in found)
    found = errors(verify_pack(files, gateway_keys=[stranger], cluster_keys=[chain.store.signer.public]))
    assert sum(one.startswith("error unanchored") for one in found) == 2


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(seed=st.integers(0, 2**32))
async def test_every_byte_of_every_file_is_under_guard(chain: Chain, files: dict[str, bytes], seed: int) -> None:
    """In each file a byte at a random place; each time the file is named."""
    random = Random(seed)
    for path, content in files.items():
        if not content:
            continue
        altered = bytearray(content)
        altered[random.randrange(len(content))] ^= random.randrange(1, 256)
        report = chain.verify({**files, path: bytes(altered)})
        assert not report.ok
        assert any(finding.file == path for finding in report.findings), path


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_files_taken_away_or_put_in_are_named(chain: Chain, files: dict[str, bytes]) -> None:
    for path in files:
        report = chain.verify({name: content for name, content in files.items() if name != path})
        assert not report.ok
        assert any(finding.file == path for finding in report.findings), path
    report = chain.verify({**files, "gateways/dairy.gw-1/scan/more.txt": b"x"})
    assert any("more.txt: is not in the list" in one for one in errors(report))


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
class TestWithTheKeyOfTheCluster:
    """The cluster itself alters the pack, and signs the list of files anew."""

    def resign(self, chain: Chain, files: dict[str, bytes], **changes: bytes | None) -> list[str]:
        altered = {path: content for path, content in files.items() if changes.get(path, b"") is not None}
        altered |= {path: content for path, content in changes.items() if content is not None}
        altered[MANIFEST] = sign_manifest(altered, chain.store.signer, ORIGIN)
        return errors(chain.verify(altered))

    async def test_any_byte_of_a_batch(self, chain: Chain, files: dict[str, bytes]) -> None:
        path = f"gateways/{NORTH.client}/scan/00000002.cose"
        for place in range(0, len(files[path]), 7):
            altered = bytearray(files[path])
            altered[place] ^= 1
            found = self.resign(chain, files, **{path: bytes(altered)})
            assert any(path in one for one in found), place

    async def test_a_batch_left_out(self, chain: Chain, files: dict[str, bytes]) -> None:
        found = self.resign(chain, files, **{f"gateways/{NORTH.client}/scan/00000002.cose": None})
        assert any("missing" in one and "batch 2" in one for one in found)
        assert any("wrong-figure" in one and "due" in one for one in found)

    async def test_a_layout_left_out(self, chain: Chain, files: dict[str, bytes]) -> None:
        found = self.resign(chain, files, **{f"gateways/{NORTH.client}/event/00000001.cose": None})
        assert any("cannot be computed again" in one for one in found)

    async def test_a_certificate_that_says_more_than_the_batches(
        self, chain: Chain, files: dict[str, bytes]
    ) -> None:
        from dataclasses import replace

        from gateway.seal.certificate import write_certificate

        (path, other) = [name for name in sorted(files) if name.startswith("certificates/")]
        certificate = read_certificate(files[path], chain.store.signer.public)
        better = replace(certificate, account={**certificate.account, "good": 100, "missed": 0, "gaps": []})
        found = self.resign(chain, files, **{path: write_certificate(chain.store.signer, better)})
        assert [one.split(": ")[2] for one in found if "wrong-figure" in one] == ["gaps", "good", "missed"]
        empty = replace(certificate, account={"device": 7, "to_ms": "soon"})
        altered = {**files, path: write_certificate(chain.store.signer, empty)}
        assert not chain.verify(altered).ok
        assert "the pack is NOT whole" in list(pack_words(chain.verify(altered)))
        ground = certificate.grounds["scan"]._replace(size=99)
        wrong = replace(certificate, grounds={**certificate.grounds, "scan": ground})
        found = self.resign(chain, files, **{path: write_certificate(chain.store.signer, wrong)})
        assert any("rests on another scan stream" in one for one in found)
        assert other

    async def test_any_byte_of_the_proofs(self, chain: Chain, files: dict[str, bytes]) -> None:
        path = f"gateways/{SOUTH.client}/proofs.cbor"
        folder = f"gateways/{SOUTH.client}/"
        for place in range(0, len(files[path]), 31):
            altered = bytearray(files[path])
            altered[place] ^= 1
            assert any(folder in one for one in self.resign(chain, files, **{path: bytes(altered)})), place

    async def test_another_checkpoint(self, chain: Chain, files: dict[str, bytes], tmp_path: Path) -> None:
        other = Chain(Store(chain.store.database, chain.store.signer, tmp_path / "other"))
        assert other.plants
        altered = files[CHECKPOINT].replace(b"\n6\n", b"\n7\n")
        assert any(CHECKPOINT in one for one in self.resign(chain, files, **{CHECKPOINT: altered}))


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
class TestArchive:
    async def test_it_has_one_form(self, files: dict[str, bytes], tmp_path: Path) -> None:
        (tmp_path / "pack.zip").write_bytes(pack_bytes(files))
        assert read_pack(tmp_path / "pack.zip") == files
        assert pack_bytes(dict(reversed(files.items()))) == pack_bytes(files)

    async def test_no_byte_of_it_can_change_unseen(self, chain: Chain, files: dict[str, bytes]) -> None:
        data = pack_bytes(files)
        random = Random(7)
        for place in [*range(64), *range(len(data) - 300, len(data)), *random.sample(range(len(data)), 300)]:
            altered = bytearray(data)
            altered[place] ^= random.randrange(1, 256)
            with pytest.raises(SealError, match="bad-pack"):
                open_pack(bytes(altered))
        for end in (0, 1, 100, len(data) - 1):
            with pytest.raises(SealError, match="bad-pack"):
                open_pack(data[:end])
        with pytest.raises(SealError, match="bad-pack"):
            open_pack(data + b"\0")

    async def test_the_reader_in_it_reads_it(self, files: dict[str, bytes], tmp_path: Path) -> None:
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        command = [sys.executable, str(tmp_path / "read_pack.py"), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert {line["gateway"] for line in lines} == {NORTH.client, SOUTH.client}
        assert sum(1 for line in lines if line["content"] and LOT in json.dumps(line["content"])) == 2
        victim = tmp_path / f"gateways/{NORTH.client}/scan/00000002.cose"
        victim.write_bytes(victim.read_bytes()[:-1] + b"x")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0
        assert "00000002.cose has been altered" in done.stderr


class TestKeysThatStaffDoNotBelieve:
    """A key was copied: what it signed is in the tree, and the pack says from where on nobody should believe it."""

    def said(self, chain: Chain, **changes: Any) -> bytes:
        plant = chain.plants[0]
        about = {
            "what": "cut-off", "sub": NORTH.urn, "place": 0, "at_ms": NOW_MS, "by": "ole", "why": "card copied",
            "key": plant.signer.thumbprint, "event": 9, "scan": 7, "doubted_scan": 2,
        }  # fmt: skip
        return write_statement(chain.store.signer, Statement(**(about | changes)))  # type: ignore[arg-type]

    async def pack(self, chain: Chain, *statements: bytes) -> dict[str, bytes]:
        gateway = chain.store.gateways[NORTH.client]
        for place, statement in enumerate(statements):
            row = (gateway, place, "cut-off", NOW_MS, statement)
            columns = "gateway, place, what, at_ms, statement"
            await chain.store.sql((f"INSERT INTO key_statement ({columns}) VALUES ($1, $2, $3, $4, $5)", *row))
        return await chain.pack()

    async def test_each_batch_that_is_not_to_be_believed_is_named(self, chain: Chain, tmp_path: Path) -> None:
        await self.pack(chain, self.said(chain, what="enrolled", why="", event=0))
        staff = Staff("ole", NOW_MS, chain.store.signer)
        await cut_off(chain.store.database, NORTH.client, staff, event=None, scan=2, why="card copied")
        files = await chain.pack()
        report = chain.verify(files)
        held = sorted(path for path in files if path.startswith(f"gateways/{NORTH.client}/scan/0"))
        doubted = [finding for finding in report.findings if finding.kind == "doubted"]
        assert [finding.file for finding in doubted] == [path for path in held if int(path[-13:-5]) >= 2]
        assert len(doubted) < len(held), "what it signed before is what it was"
        assert "ole cut off the key (card copied; doubted: scan 2 to " in str(doubted[0])
        assert not report.ok
        words = list(pack_words(report))
        key = chain.plants[0].signer.thumbprint.hex()[:16]
        assert f"key {key} of {NORTH.urn}: enrolled at 2026-11-22T15:06:40Z by ole" in words
        assert f"key {key} of {NORTH.urn}: cut-off at 2026-11-22T15:06:40Z by ole: card copied" in "".join(words)
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        command = [sys.executable, str(tmp_path / "read_pack.py"), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        told = [json.loads(line) for line in done.stdout.splitlines() if "statement" in json.loads(line)]
        assert [one["statement"]["doubted_scan"] for one in told] == [2, 2]

    async def test_a_key_that_was_cut_off_later_is_believed(self, chain: Chain) -> None:
        report = chain.verify(await self.pack(chain, self.said(chain, doubted_scan=None)))
        assert errors(report) == []
        assert [one.what for one in report.statements] == ["cut-off"]

    async def test_doubted_batches_are_named_whoever_signed_them(self, chain: Chain) -> None:
        """Whoever copied the key has named another one with it: the statement is about that."""
        other = chain.plants[1].signer.thumbprint
        report = chain.verify(await self.pack(chain, self.said(chain, key=other)))
        assert {finding.seq for finding in report.findings if finding.kind == "doubted"} >= {2, 3, 4}

    async def test_the_successor_is_believed(self, chain: Chain) -> None:
        other = chain.plants[1].signer.thumbprint
        said = self.said(chain, key=other, event=0, scan=0, doubted_scan=None)
        assert errors(chain.verify(await self.pack(chain, said))) == []

    async def test_what_is_left_out_forged_or_of_another_gateway_is_named(
        self, chain: Chain, tmp_path: Path
    ) -> None:
        files = await self.pack(chain, self.said(chain), self.said(chain, place=1))
        first, second = sorted(path for path in files if "/statements/" in path)
        stranger = FileSigner.create(tmp_path / "stranger.key")
        forged = write_statement(stranger, read_statement(files[first], chain.store.signer.public))
        for path, content, words in (
            (first, None, "is statement 1 about urn:aurora:dairy:gw-1, not 0"),
            (first, files[second], "is statement 1 about"),
            (first, self.said(chain, sub=SOUTH.urn), "about urn:aurora:dairy:gw-2, not 0"),
            (first, forged, "bad-signature"),
            (second, b"", "not-cose"),
        ):
            altered = {name: data for name, data in files.items() if name != path}
            altered |= {} if content is None else {path: content}
            altered[MANIFEST] = sign_manifest(altered, chain.store.signer, ORIGIN)
            found = [one for one in errors(chain.verify(altered)) if "doubted" not in one]
            assert found
            assert words in found[0]


class TestWhatCannotBeProven:
    async def test_is_said(self, chain: Chain) -> None:
        for options, words in (
            ({"clients": ["nobody.gw"]}, "no gateway nobody.gw"),
            ({"lot": "L-0"}, "none of these gateways has a record of lot L-0"),
            ({"points": {NORTH.client: ["attic"]}}, "has no point attic"),
        ):
            with pytest.raises(OperatorError, match=words):
                await chain.pack(**options)
        await chain.store.sql(("DELETE FROM checkpoint",))
        with pytest.raises(OperatorError, match="no checkpoint"):
            await chain.pack()

    async def test_batches_newer_than_the_checkpoint_are_said_to_be(self, chain: Chain) -> None:
        plant = chain.plants[0]
        plant.now_ms = NOW_MS + 200_000
        plant.scans(2, rows=30)
        await chain.store.deliver(plant)
        report = chain.verify(await chain.pack(to_ms=START + 160_000))
        assert errors(report) == []
        assert [finding.kind for finding in report.findings] == ["uncovered"]
        assert report.ok


async def test_a_certificate_alone(chain: Chain) -> None:
    async with chain.store.database.transaction(write=False) as work:
        source = await gateway_of(work, NORTH.client)
        data = await certify(
            work, chain.store.signer, source, Point("cold-room", "room", "t3"),
            origin=ORIGIN, from_ms=START, to_ms=START + 50_000, now_ms=NOW_MS,
        )  # fmt: skip
    found = read_certificate(data, chain.store.signer.public)
    assert (found.sub, found.forks, found.account["due"], found.account["gaps"]) == (
        f"{NORTH.urn}:cold-room",
        0,
        50,
        [],
    )
    assert found.grounds["scan"].size == len(chain.plants[0].batches["scan"])
    for place in range(0, len(data), 11):
        altered = bytearray(data)
        altered[place] ^= 4
        with pytest.raises(SealError):
            read_certificate(bytes(altered), chain.store.signer.public)


async def test_batches_without_a_trusted_clock_are_part_of_the_period_that_their_neighbours_enclose(
    store: Store,
) -> None:
    plant = store.plant(NORTH)
    plant.scans(1)
    known = plant.clock
    plant.now_ms = NOW_MS + 10_000
    plant.clock = lambda: known()._replace(utc_ms=None, error_ms=None, state=ClockState.UNTRUSTED)  # type: ignore[method-assign]
    plant.scans(6)
    plant.clock = known  # type: ignore[method-assign]
    plant.now_ms = NOW_MS + 100_000
    plant.scans(1)
    await store.deliver(plant)
    async with store.database.transaction(write=False) as work:
        source = await gateway_of(work, NORTH.client)
        held = await scans_of(work, source, NOW_MS + 40_000, NOW_MS + 50_000)
    assert set(range(2, 8)) <= {one.batch.seq for one in held}
