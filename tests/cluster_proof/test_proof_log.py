"""The log: what a checkpoint covers, that a day has one, proofs from stored nodes, several processes at once."""

import asyncio
from base64 import b64decode

import pytest
from cluster_world import NOW_MS
from proof_world import DAY_MS, NORTH, ORIGIN, OTHER, Store

from gateway.cluster.database import open_database
from gateway.cluster.proof.log import checkpoint, consistency, daily, inclusion, root_of
from gateway.errors import SealError
from gateway.seal.batch import subject
from gateway.seal.checkpoint import StreamHead, open_checkpoint
from gateway.seal.tree import root_hash, verify_consistency, verify_inclusion


async def test_a_day_has_one_checkpoint_and_a_leaf_for_each_stream_that_grew(store: Store) -> None:
    assert await daily(store.database, store.signer, NOW_MS, origin=ORIGIN) is None
    plant = store.plant()
    plant.scans(3)
    await store.deliver(plant)
    first = await daily(store.database, store.signer, NOW_MS, origin=ORIGIN)
    assert first is not None
    assert (first.size, first.leaves) == (2, 2)
    heads = [StreamHead(subject(NORTH.urn, stream), len(plant.batches[stream]), plant.root(stream)) for stream in
             ("event", "scan")]  # fmt: skip
    assert first.root == root_hash([head.leaf for head in heads])
    said, _ = open_checkpoint(first.note.encode(), [store.log_key])
    assert (said.origin, said.size, said.root) == (ORIGIN, 2, first.root)
    assert b64decode(first.note.split("\n")[2]) == first.root

    plant.scans(2)
    await store.deliver(plant)
    assert await daily(store.database, store.signer, NOW_MS + 1000, origin=ORIGIN) == first
    second = await daily(store.database, store.signer, NOW_MS + DAY_MS, origin=ORIGIN)
    assert second is not None
    assert (second.size, second.leaves) == (3, 1)
    assert await checkpoint(store.database, store.signer, NOW_MS + 2 * DAY_MS, origin=ORIGIN) == second


async def test_the_log_keeps_its_name(store: Store) -> None:
    await store.deliver(store.plant())
    await checkpoint(store.database, store.signer, NOW_MS, origin=ORIGIN)
    with pytest.raises(SealError, match="wrong-log"):
        await checkpoint(store.database, store.signer, NOW_MS, origin="another")


async def test_a_name_that_no_note_can_carry_is_refused_and_nothing_is_stored(store: Store) -> None:
    await store.deliver(store.plant())
    with pytest.raises(SealError, match="no name of a key"):
        await checkpoint(store.database, store.signer, NOW_MS, origin="north cluster")
    assert await store.rows("SELECT * FROM log_leaf") == []


async def test_proofs_come_from_stored_nodes(store: Store) -> None:
    plants = [store.plant(), store.plant(OTHER)]
    roots = {}
    for day in range(5):
        for plant in plants[: 1 + day % 2]:
            plant.scans(1, rows=1)
            plant.event("note", day=day)
        await store.deliver(*plants)
        made = await checkpoint(store.database, store.signer, NOW_MS + day * DAY_MS, origin=ORIGIN)
        assert made is not None
        roots[made.size] = made.root
    leaves = [bytes(row[0]) for row in await store.rows("SELECT leaf FROM log_leaf ORDER BY place")]
    sizes = sorted(roots)
    async with store.database.transaction(write=False) as work:
        for size in sizes:
            assert roots[size] == root_hash(leaves[:size]) == await root_of(work, size)
            for index in range(size):
                path = await inclusion(work, index, size)
                assert verify_inclusion(leaves[index], index, size, path) == roots[size]
            for first in (known for known in sizes if known <= size):
                verify_consistency(first, size, roots[first], roots[size], await consistency(work, first, size))
        assert await consistency(work, 0, sizes[-1]) == []


async def test_several_processes_make_one_checkpoint(store: Store, place: str) -> None:
    await store.deliver(store.plant(), store.plant(OTHER))
    others = [await open_database(place) for _ in range(4)]
    try:
        made = await asyncio.gather(
            *(daily(one, store.signer, NOW_MS + n, origin=ORIGIN) for n, one in enumerate(others))
        )
    finally:
        for one in others:
            await one.close()
    assert len({one.note for one in made if one is not None}) == 1
    assert await store.rows("SELECT count(*) FROM log_leaf") == [(4,)]
    assert await store.rows("SELECT count(*) FROM checkpoint") == [(1,)]


async def test_a_caller_that_is_cancelled_leaves_no_transaction_open(store: Store) -> None:
    for patience in range(40):
        task = asyncio.ensure_future(daily(store.database, store.signer, NOW_MS, origin=ORIGIN))
        for _ in range(patience):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await daily(store.database, store.signer, NOW_MS, origin=ORIGIN) is None
