"""Gateways as witnesses: what they cosign, what they refuse and put on record, and how the cluster hears of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_world import NOW_MS, Broker, Plant, running, until
from hypothesis import given
from hypothesis import strategies as st
from proof_world import DAY_MS, NORTH, ORIGIN, OTHER, Store, leaves_of

from gateway.cluster.database import Work
from gateway.cluster.proof import cosigned
from gateway.cluster.proof.cosigned import collect, gateway_keys, lines_of
from gateway.cluster.proof.log import Stored, checkpoint, newest
from gateway.cluster.proof.notary import Notary, offers
from gateway.errors import SealError, UnfitError
from gateway.model import ClockClaim, ClockState
from gateway.mqtt import connect
from gateway.seal.batch import subject
from gateway.seal.checkpoint import Checkpoint, StreamHead, sign_checkpoint
from gateway.seal.cose import ESP256
from gateway.seal.keys import FileSigner
from gateway.seal.note import P256_COSIGNATURE, NoteKey, read_note
from gateway.seal.offer import Offer, Proven, read_offer, write_offer
from gateway.seal.tree import Frontier, consistency_path, inclusion_path, root_hash
from gateway.seal.witness import Request, Seen, write_request
from gateway.sync.uplink import Uplink
from gateway.sync.witness import Memory, Witness


def witness(plant: Plant, signer: FileSigner, memory: bytes | None = None, **options: Any) -> Witness:
    kept: list[bytes] = []
    made = Witness(
        plant.identity,
        lambda: plant.signer,
        plant,
        signer.public,
        clock=options.get("clock", plant.clock),
        on_event=plant.record,
        recall=memory,
        keep=kept.append,
    )
    made.kept = kept  # type: ignore[attr-defined]
    return made


async def day(store: Store, number: int) -> Stored:
    made = await checkpoint(store.database, store.signer, NOW_MS + number * DAY_MS, origin=ORIGIN)
    assert made is not None
    return made


async def offered(store: Store) -> dict[str, bytes]:
    return {client: payload async for client, _, _, payload in offers(store.database)}


async def test_a_gateway_cosigns_what_goes_on_and_the_cluster_keeps_it(store: Store) -> None:
    plant, other = store.plant(), store.plant(OTHER)
    plant.scans(3)
    await store.deliver(plant, other)
    one = witness(plant, store.signer)
    for number in range(3):
        made = await day(store, number)
        payload = (await offered(store))[NORTH.client]
        assert await one.take(payload) == "witnessed"
        assert await one.take(payload) == "known"
        assert one.memory.seen == Seen(made.size, made.root)
        assert plant.events[-1].kind == "checkpoint.witnessed"
        plant.scans(1)
        await store.deliver(plant)
        assert await collect(store.database) == 1
        assert await collect(store.database) == 0
        async with store.database.transaction(write=False) as work:
            keys = await gateway_keys(work, store.gateways[NORTH.client])
            lines = await lines_of(work, made.size)
        assert read_note(made.note.encode())._replace(lines=tuple(lines)).signed_by(keys) == keys
        assert NORTH.client not in await offered(store)
    # After a restart it goes on from what was kept.
    again = witness(plant, store.signer, one.kept[-1])  # type: ignore[attr-defined]
    assert again.memory == one.memory
    await day(store, 3)
    assert await again.take((await offered(store))[NORTH.client]) == "witnessed"


async def test_a_key_that_was_changed_cosigns_and_one_of_a_chip_too(store: Store) -> None:
    plant = store.plant()
    plant.signer = FileSigner.create(store.folder / "chip.key", ESP256)
    plant.batches = {"event": [], "scan": []}
    again = Plant(store.folder / "again", NORTH)
    again.signer, again.batches = plant.signer, {"event": [], "scan": []}
    from gateway.seal.batch import REGISTRATION_TYPE, registration_payload

    registration = registration_payload(
        again.signer.public, NORTH, config_digest=bytes(32), storage="file", software="test"
    )
    for stream in ("event", "scan"):
        again.seal(stream, registration, REGISTRATION_TYPE)
    await store.deliver(again)
    made = await day(store, 0)
    await witness(again, store.signer).take((await offered(store))[NORTH.client])
    await store.deliver(again)
    assert await collect(store.database) == 1
    async with store.database.transaction(write=False) as work:
        (key,) = await gateway_keys(work, store.gateways[NORTH.client])
        (line,) = await lines_of(work, made.size)
    assert key.kind == P256_COSIGNATURE
    assert (line.name, line.id) == (NORTH.urn, key.id)


async def test_without_a_trusted_clock_the_event_alone_vouches(store: Store) -> None:
    plant = store.plant()
    await store.deliver(plant)
    await day(store, 0)

    def untrusted() -> ClockClaim:
        return plant.clock()._replace(utc_ms=None, error_ms=None, state=ClockState.UNTRUSTED)

    one = witness(plant, store.signer, clock=untrusted)
    assert await one.take((await offered(store))[NORTH.client]) == "witnessed"
    assert plant.events[-1].data["line"] is None
    await store.deliver(plant)
    assert await collect(store.database) == 0
    assert await offered(store) == {}


async def test_a_gateway_and_a_cluster_that_disagree_where_to_begin_find_together(store: Store) -> None:
    plant = store.plant()
    await store.deliver(plant)
    await day(store, 0)
    one = witness(plant, store.signer)
    await one.take((await offered(store))[NORTH.client])
    early = one.kept[-1]  # type: ignore[attr-defined]
    await store.deliver(plant)
    await collect(store.database)
    plant.scans(1)
    await store.deliver(plant)
    await day(store, 1)
    await one.take((await offered(store))[NORTH.client])
    await store.deliver(plant)
    await collect(store.database)
    plant.scans(1)
    await store.deliver(plant)
    await day(store, 2)
    # A memory from before the second checkpoint: the proof that is offered begins later than it can use.
    old = witness(plant, store.signer, early)
    payload = (await offered(store))[NORTH.client]
    assert [await old.take(payload), await old.take(payload)] == ["awaited", "awaited"]
    assert [event.kind for event in plant.events].count("checkpoint.awaited") == 1
    await store.deliver(plant)
    await collect(store.database)
    assert await old.take((await offered(store))[NORTH.client]) == "witnessed"
    # A gateway whose memory is lost has nothing to compare with but its own record.
    assert await witness(plant, store.signer).take((await offered(store))[NORTH.client]) == "witnessed"


class Log:
    """A log made by hand, honest or not, for one gateway."""

    def __init__(self, plant: Plant, signer: FileSigner) -> None:
        self.plant, self.signer = plant, signer
        self.leaves: list[bytes] = []
        self.origin = ORIGIN

    def head(self, stream: str, *, size: int | None = None, root: bytes | None = None) -> StreamHead:
        leaves = list(leaves_of(self.plant, stream))[:size]
        return StreamHead(
            subject(self.plant.identity.urn, stream),  # type: ignore[arg-type]
            len(leaves) if size is None else size,
            root or Frontier.of(leaves).root(),
        )

    def offer(self, old: int, *heads: StreamHead, proof: list[bytes] | None = None) -> bytes:
        places = []
        for head in heads:
            places.append(len(self.leaves))
            self.leaves.append(head.leaf)
        size = len(self.leaves)
        note = str(sign_checkpoint(Checkpoint(self.origin, size, root_hash(self.leaves)), self.signer)).encode()
        path = consistency_path(self.leaves, old, size) if old and proof is None else proof or []
        proven = tuple(
            Proven(head, place, tuple(inclusion_path(self.leaves, place, size)))
            for head, place in zip(heads, places, strict=True)
        )
        return write_offer(Offer(write_request(Request(old, tuple(path), note)), proven))


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    plant = Plant(tmp_path / "plant")
    plant.scans(4)
    return plant


@pytest.fixture
def ledger(plant: Plant, tmp_path: Path) -> Log:
    return Log(plant, FileSigner.create(tmp_path / "cluster.key"))


async def refused(one: Witness, payload: bytes, plant: Plant) -> str:
    before = one.memory
    for _ in range(2):
        with pytest.raises(SealError) as caught:
            await one.take(payload)
    assert one.memory is before
    told = [event for event in plant.events if event.kind == "checkpoint.refused"]
    assert [event.data["reason"] for event in told] == [caught.value.kind]
    assert read_note(told[0].data["note"].encode())
    return caught.value.kind


class TestRewriting:
    async def begin(self, ledger: Log, plant: Plant) -> Witness:
        one = witness(plant, ledger.signer)
        assert await one.take(ledger.offer(0, ledger.head("event"), ledger.head("scan"))) == "witnessed"
        return one

    async def test_another_history_of_its_own_stream(self, ledger: Log, plant: Plant) -> None:
        one = await self.begin(ledger, plant)
        plant.scans(2)
        payload = ledger.offer(2, ledger.head("event"), ledger.head("scan", root=bytes(32)))
        assert await refused(one, payload, plant) == "own-stream"

    async def test_more_batches_than_were_made(self, ledger: Log, plant: Plant) -> None:
        one = await self.begin(ledger, plant)
        payload = ledger.offer(2, ledger.head("event"), ledger.head("scan", size=99))
        assert await refused(one, payload, plant) == "own-stream"

    async def test_fewer_batches_than_before(self, ledger: Log, plant: Plant) -> None:
        one = await self.begin(ledger, plant)
        payload = ledger.offer(2, ledger.head("event"), ledger.head("scan", size=2))
        assert await refused(one, payload, plant) == "went-back"

    async def test_a_stream_that_is_no_longer_named(self, ledger: Log, plant: Plant) -> None:
        one = await self.begin(ledger, plant)
        assert await refused(one, ledger.offer(2, ledger.head("event")), plant) == "went-back"

    async def test_a_log_of_which_the_beginning_was_changed(self, ledger: Log, plant: Plant) -> None:
        one = await self.begin(ledger, plant)
        ledger.leaves[1] = bytes(32)
        assert await refused(one, ledger.offer(2, ledger.head("event"), ledger.head("scan")), plant) == "bad-proof"

    async def test_the_same_size_with_another_root(self, ledger: Log, plant: Plant) -> None:
        one = await self.begin(ledger, plant)
        ledger.leaves.clear()
        assert await refused(one, ledger.offer(0, ledger.head("scan"), ledger.head("event")), plant) == "other-root"

    async def test_a_second_log_of_the_same_cluster(self, ledger: Log, plant: Plant) -> None:
        one = await self.begin(ledger, plant)
        ledger.origin = "urn:aurora:cluster:second"
        assert await refused(one, ledger.offer(2, ledger.head("event"), ledger.head("scan")), plant) == "other-log"

    async def test_nothing_follows_from_what_the_cluster_did_not_sign(
        self, ledger: Log, plant: Plant, tmp_path: Path
    ) -> None:
        one = await self.begin(ledger, plant)
        stranger = Log(plant, FileSigner.create(tmp_path / "stranger.key"))
        other = ledger.head("scan")._replace(sub="urn:aurora:bakery:gw-9:scan")
        for payload, kind in (
            (stranger.offer(0, stranger.head("event"), stranger.head("scan")), "unsigned"),
            (b"", "bad-offer"),
            (b"\xa0", "bad-offer"),
            (ledger.offer(2, ledger.head("event"), other), "bad-offer"),
        ):
            with pytest.raises(SealError, match=kind):
                await one.take(payload)
        assert [event.kind for event in plant.events] == ["checkpoint.witnessed"]

    async def test_an_older_checkpoint_that_comes_late_says_nothing_new(self, ledger: Log, plant: Plant) -> None:
        one = witness(plant, ledger.signer)
        first = ledger.offer(0, ledger.head("event"), ledger.head("scan"))
        await one.take(first)
        plant.scans(1)
        await one.take(ledger.offer(2, ledger.head("event"), ledger.head("scan")))
        assert await one.take(first) == "known"


async def test_what_one_gateway_says_does_not_keep_the_others_from_being_heard(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, other = store.plant(), store.plant(OTHER)
    await store.deliver(plant, other)
    await day(store, 0)
    payloads = await offered(store)
    for one in (plant, other):
        assert await witness(one, store.signer).take(payloads[one.identity.client]) == "witnessed"
    await store.deliver(plant, other)
    harmful, good = store.gateways[NORTH.client], cosigned.gateway_keys

    async def unfit(work: Work, gateway: int) -> list[NoteKey]:
        if gateway == harmful:
            raise UnfitError("a number without end", "see which value it was given")
        return await good(work, gateway)

    monkeypatch.setattr(cosigned, "gateway_keys", unfit)
    assert await collect(store.database) == 1
    assert await collect(store.database) == 0


def test_a_damaged_memory_is_refused() -> None:
    good = Memory(ORIGIN, Seen(3, bytes(32)), "text", {"scan": Frontier()})
    assert Memory.from_bytes(good.to_bytes()) == good
    for data in (b"", b"\x80", good.to_bytes()[:-1], good.to_bytes().replace(b"scan", b"scam")):
        with pytest.raises(SealError):
            Memory.from_bytes(data)


@given(st.binary(max_size=200))
def test_what_is_no_offer_is_refused(data: bytes) -> None:
    with pytest.raises(SealError):
        read_offer(data)


async def test_over_the_broker_a_gateway_sees_its_own_offers_alone(
    store: Store, broker: Broker, tmp_path: Path
) -> None:
    plant, other = store.plant(), store.plant(OTHER)
    await store.deliver(plant, other)
    clock: Callable[[], int] = lambda: NOW_MS + 5 * DAY_MS  # noqa: E731
    notary = Notary(
        broker.endpoint("aurora-notary"), store.database, store.signer, origin=ORIGIN, utc_ms=clock, every_s=0.05
    )
    one = witness(plant, store.signer)
    settings = broker.settings(tmp_path, NORTH)
    async with running(notary.run()):
        await until(lambda: notary.published == 2, what="both gateways are offered the checkpoint")
        # Offers wait for a gateway that was not there.
        uplink = Uplink(
            settings, NORTH, plant, store.signer.public, clock=plant.clock, on_event=plant.record, witness=one
        )
        async with connect(broker.endpoint(OTHER.client)) as link, running(uplink.run()):
            await until(lambda: uplink.stats.witnessed, what="the gateway has cosigned")
            await link.subscribe("aurora/v1/+/checkpoint", f"aurora/v1/{NORTH.client}/checkpoint")
            (seen,) = await link.receive(10)
            assert seen.topic == f"aurora/v1/{OTHER.client}/checkpoint"
            assert await witness(other, store.signer).take(seen.payload) == "witnessed"
            await store.deliver(plant, other)
            await until(lambda: notary.collected == 2, what="both cosignatures are collected")
    async with store.database.transaction(write=False) as work:
        stored = await newest(work)
        assert stored is not None
        assert {line.name for line in await lines_of(work, stored.size)} == {NORTH.urn, OTHER.urn}


async def test_a_refusal_is_seen_at_the_uplink(ledger: Log, plant: Plant, broker: Broker, tmp_path: Path) -> None:
    one = witness(plant, ledger.signer)
    uplink = Uplink(
        broker.settings(tmp_path, NORTH), NORTH, plant, ledger.signer.public,
        clock=plant.clock, on_event=plant.record, witness=one,
    )  # fmt: skip
    topic = f"aurora/v1/{NORTH.client}/checkpoint"
    async with connect(broker.endpoint("aurora-notary")) as notary, running(uplink.run()):
        notary.send(topic, ledger.offer(0, ledger.head("event"), ledger.head("scan")), retain=True)
        await until(lambda: uplink.stats.witnessed == 2)
        notary.send(topic, b"nonsense")
        await until(lambda: uplink.stats.bad_answers)
        ledger.leaves[0] = bytes(32)
        notary.send(topic, ledger.offer(2, ledger.head("event"), ledger.head("scan")))
        await until(lambda: uplink.stats.forks == 1)
    assert "refused" in uplink.stats.last_error
    assert plant.events[-1].kind == "checkpoint.refused"
