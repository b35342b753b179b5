"""Nobody can rewrite history unseen: an administrator of the database, with the cluster's key, tries."""

from pathlib import Path
from typing import Any

import pytest
from cluster_world import NOW_MS, Plant
from proof_world import DAY_MS, NORTH, NUMBER, ORIGIN, OTHER, Store
from test_proof_gateway_witness import offered, witness

from gateway.cluster.proof.audit import Given, Recomputed, verify_checkpoints
from gateway.cluster.proof.cosigned import collect
from gateway.cluster.proof.log import Stored, checkpoint
from gateway.seal.batch import subject
from gateway.seal.keys import FileSigner
from gateway.seal.note import COSIGNATURE, NoteKey, cosign_line, read_note
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier, leaf_hash


class Years:
    """A cluster with two gateways and three days of checkpoints, of which an auditor has kept each."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.plants = {NORTH.client: store.plant(), OTHER.client: store.plant(OTHER)}
        self.kept: list[Stored] = []

    async def live(self, days: int = 3) -> None:
        witnesses = {client: witness(plant, self.store.signer) for client, plant in self.plants.items()}
        for number in range(days):
            for plant in self.plants.values():
                plant.scans(4)
                plant.event("note", day=number)
            await self.store.deliver(*self.plants.values())
            made = await checkpoint(self.store.database, self.store.signer, NOW_MS + number * DAY_MS, origin=ORIGIN)
            assert made is not None
            self.kept.append(made)
            for client, payload in (await offered(self.store)).items():
                await witnesses[client].take(payload)
            await self.store.deliver(*self.plants.values())
            await collect(self.store.database)

    async def verify(self, *, outside: bool = False, **options: Any) -> tuple[list[str], Recomputed]:
        given = [Given(f"kept-{one.size}.txt", one.note.encode()) for one in self.kept] if outside else []
        found: list[str] = []
        result = None
        async for one in verify_checkpoints(
            self.store.database, origin=ORIGIN, key=self.store.signer.public, given=given, **options
        ):
            if isinstance(one, Recomputed):
                result = one
            else:
                found.append(str(one))
        assert result is not None
        return found, result

    async def rewrite(self, client: str, plant: Plant, *, forget: bool = False) -> None:
        """Put another gateway's history in the place of one: bodies, trees, receipts, key."""
        gateway = self.store.gateways[client]
        changes: list[tuple[object, ...]] = [
            ("UPDATE term SET public = $1 WHERE gateway = $2", plant.signer.public.pem().decode(), gateway),
        ]
        for stream in ("event", "scan"):
            frontier = Frontier.of(batch.leaf for batch in plant.batches[stream])
            receipt = issue_receipt(
                self.store.signer,
                iss=ORIGIN,
                sub=subject(plant.identity.urn, stream),  # type: ignore[arg-type]
                frontier=frontier,
                iat=NOW_MS // 1000,
            )
            number = NUMBER[stream]
            for batch in plant.batches[stream]:
                changes.append(
                    ("UPDATE batch SET body = $1, leaf = $2 WHERE gateway = $3 AND stream = $4 AND seq = $5",
                     batch.body, batch.leaf, gateway, number, batch.seq)
                )  # fmt: skip
            changes.append(
                (
                    "DELETE FROM batch WHERE gateway = $1 AND stream = $2 AND seq >= $3",
                    gateway,
                    number,
                    frontier.size,
                )
            )
            changes.append(
                ("UPDATE stream SET size = $1, frontier = $2, receipt = $3 WHERE gateway = $4 AND stream = $5",
                 frontier.size, frontier.to_bytes(), receipt, gateway, number)
            )  # fmt: skip
        await self.store.sql(*changes)
        if forget:
            await self.store.sql(
                ("DELETE FROM log_leaf",),
                ("DELETE FROM log_node",),
                ("DELETE FROM checkpoint",),
                ("DELETE FROM cosignature",),
            )


@pytest.fixture
async def years(store: Store) -> Years:
    years = Years(store)
    await years.live()
    return years


def forged(years: Years, tmp_path: Path) -> Plant:
    """A whole history of NORTH as it might have been, as long as the true one, under a key of the forger."""
    true, false = years.plants[NORTH.client], Plant(tmp_path / "forger", NORTH)
    while len(false.batches["scan"]) < len(true.batches["scan"]):
        false.scans(1, rows=2)
    while len(false.batches["event"]) < len(true.batches["event"]):
        false.event("note", forged=True)
    return false


async def test_what_nobody_touched_holds(years: Years) -> None:
    found, result = await years.verify(outside=True)
    assert found == []
    # Four streams of two gateways, and what each says afterwards; each has cosigned three times, and said so.
    assert result == Recomputed(12, 3, 3, 6, 6)


class TestRows:
    async def test_an_altered_body(self, years: Years) -> None:
        ((body,),) = await years.store.rows("SELECT body FROM batch WHERE gateway = 1 AND stream = 1 AND seq = 6")
        assert isinstance(body, bytes)
        altered = body[:-80] + bytes([body[-80] ^ 1]) + body[-79:]
        await years.store.sql(("UPDATE batch SET body = $1 WHERE gateway = 1 AND stream = 1 AND seq = 6", altered))
        found, _ = await years.verify()
        assert "dairy.gw-1 scan batch 6: the bytes are not those that were received" in found

    async def test_an_altered_body_with_its_leaf_tree_and_receipt(self, years: Years) -> None:
        """The forger has the cluster's key, but not that of the gateway."""
        plant = years.plants[NORTH.client]
        body = plant.batches["scan"][6].body
        altered = body[:-80] + bytes([body[-80] ^ 1]) + body[-79:]
        leaves = [batch.leaf for batch in plant.batches["scan"]]
        leaves[6] = leaf_hash(altered)
        frontier = Frontier.of(leaves)
        receipt = issue_receipt(
            years.store.signer, iss=ORIGIN, sub=subject(NORTH.urn, "scan"), frontier=frontier, iat=1
        )
        await years.store.sql(
            ("UPDATE batch SET body = $1, leaf = $2 WHERE gateway = 1 AND stream = 1 AND seq = 6",
             altered, leaves[6]),
            ("UPDATE stream SET frontier = $1, receipt = $2 WHERE gateway = 1 AND stream = 1",
             frontier.to_bytes(), receipt),
        )  # fmt: skip
        found, _ = await years.verify()
        assert found == [
            "dairy.gw-1 scan batch 7: does not continue the batch before it",
            "dairy.gw-1 scan: batches 5 to 8 are not those whose tree is leaf 5 of the log; up to 5 they are",
            "dairy.gw-1 scan batch 6: is not signed by a key of its gateway",
        ]

    async def test_a_deleted_row(self, years: Years) -> None:
        await years.store.sql(("DELETE FROM batch WHERE gateway = 1 AND stream = 1 AND seq = 6",))
        found, _ = await years.verify()
        assert "dairy.gw-1 scan batch 6: is missing" in found

    async def test_a_shortened_stream(self, years: Years) -> None:
        frontier = Frontier.of(batch.leaf for batch in years.plants[NORTH.client].batches["scan"][:7])
        await years.store.sql(
            ("DELETE FROM batch WHERE gateway = 1 AND stream = 1 AND seq >= 7",),
            ("UPDATE stream SET size = 7, frontier = $1 WHERE gateway = 1 AND stream = 1", frontier.to_bytes()),
        )
        found, _ = await years.verify()
        assert found == ["dairy.gw-1 scan: 13 batches are in the log (leaf 9), 7 are here"]

    async def test_an_altered_leaf_of_the_log(self, years: Years) -> None:
        await years.store.sql(("UPDATE log_leaf SET root = $1 WHERE place = 5", bytes(32)))
        found, _ = await years.verify()
        assert any(one.startswith("log leaf 5: is not that of") for one in found)
        await years.store.sql(("DELETE FROM log_leaf WHERE place = 5",))
        found, _ = await years.verify()
        assert "log leaf 5: is missing" in found

    async def test_an_altered_checkpoint_and_cosignature(self, years: Years) -> None:
        await years.store.sql(
            ("UPDATE checkpoint SET root = $1 WHERE size = 4", bytes(32)),
            ("UPDATE checkpoint SET note = $1 WHERE size = 8", years.kept[1].note.replace("\n8\n", "\n9\n")),
            ("UPDATE cosignature SET line = replace(line, '=', '') WHERE size = 12 AND witness = $1", NORTH.urn),
        )
        found, _ = await years.verify()
        assert "checkpoint 4: its row and its note say different things" in found
        assert any(one.startswith("checkpoint 8: does not hold") for one in found)
        assert any(one.startswith(f"cosignature of {NORTH.urn} for 12: does not hold") for one in found)


class TestWholeHistories:
    async def test_a_stream_rewritten_with_tree_receipt_and_key(self, years: Years, tmp_path: Path) -> None:
        await years.rewrite(NORTH.client, forged(years, tmp_path))
        found, _ = await years.verify()
        assert "dairy.gw-1 scan: batches 0 to 4 are not those whose tree is leaf 1 of the log; " \
            "no earlier size is in the log" in found  # fmt: skip

    async def test_the_log_rewritten_as_well_is_found_by_the_word_of_another_gateway(
        self, years: Years, tmp_path: Path
    ) -> None:
        await years.rewrite(NORTH.client, forged(years, tmp_path), forget=True)
        # The forger signs a new log with the cluster's key: one of the same sizes, day by day.
        await relog(years)
        found, result = await years.verify()
        assert result.stored == 3
        said = [one for one in found if one.startswith("bakery.gw-9 event batch")]
        assert len(said) == 3
        assert "the log here has another root for 4 leaves: of the leaves 0 to 3, about urn:aurora:dairy" in said[0]

    async def test_all_gateways_rewritten_is_found_by_a_checkpoint_that_was_kept_elsewhere(
        self, years: Years, tmp_path: Path
    ) -> None:
        for client, plant in years.plants.items():
            false = Plant(tmp_path / f"forger-{client}", plant.identity)
            while len(false.batches["scan"]) < len(plant.batches["scan"]):
                false.scans(1, rows=2)
            while len(false.batches["event"]) < len(plant.batches["event"]):
                false.event("note", forged=True)
            await years.rewrite(client, false, forget=True)
        await relog(years)
        found, _ = await years.verify()
        assert found == [], "by itself such a store is without a fault: that is why checkpoints are kept elsewhere"
        found, result = await years.verify(outside=True)
        assert result.given == 3
        assert [one.split(":")[0] for one in found] == ["kept-4.txt", "kept-8.txt", "kept-12.txt"]

    async def test_a_log_that_was_shortened(self, years: Years) -> None:
        await years.store.sql(
            ("DELETE FROM log_leaf WHERE place >= 8",),
            ("DELETE FROM checkpoint WHERE size > 8",),
            ("DELETE FROM cosignature WHERE size > 8",),
        )
        found, _ = await years.verify(outside=True)
        assert "kept-12.txt: is of 12 leaves; the log here has 8" in found


async def relog(years: Years) -> None:
    """Make the log anew, with the checkpoints at the sizes they had, from the trees as they are stored now."""
    store = years.store
    sizes = {"event": (2, 4, 6), "scan": (5, 9, 13)}
    for number in range(3):
        for gateway in store.gateways.values():
            for stream, due in sizes.items():
                rows = await store.rows(
                    "SELECT leaf FROM batch WHERE gateway = $1 AND stream = $2 AND seq < $3 ORDER BY seq",
                    *(gateway, NUMBER[stream], due[number]),
                )
                frontier = Frontier.of(bytes(row[0]) for row in rows)  # type: ignore[arg-type]
                await store.sql(
                    ("UPDATE stream SET size = $1, frontier = $2 WHERE gateway = $3 AND stream = $4",
                     frontier.size, frontier.to_bytes(), gateway, NUMBER[stream])
                )  # fmt: skip
        await checkpoint(store.database, store.signer, NOW_MS + number * DAY_MS, origin=ORIGIN)


class TestGiven:
    async def test_what_is_no_checkpoint_of_this_log_is_named(self, years: Years, tmp_path: Path) -> None:
        years.kept = [years.kept[0]._replace(note="nonsense")]
        found, result = await years.verify(outside=True)
        assert result.given == 0
        assert found[0].startswith("kept-4.txt: is no checkpoint of urn:aurora:cluster:test")

    async def test_a_witness_that_is_no_gateway_has_to_be_named(self, years: Years, tmp_path: Path) -> None:
        auditor = FileSigner.create(tmp_path / "auditor.key")
        line = cosign_line(read_note(years.kept[0].note.encode()).text, "auditor.example", auditor, 7)
        await years.store.sql(("INSERT INTO cosignature VALUES (4, $1, $2, 7000)", line.name, str(line)))
        found, _ = await years.verify()
        (words,) = found
        assert words.startswith(f"cosignature of auditor.example for 4: its key {line.id.hex()} is not known here")
        key = NoteKey("auditor.example", COSIGNATURE, auditor.public)
        assert (await years.verify(witnesses=[key]))[0] == []
