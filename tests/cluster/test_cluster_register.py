"""The register: whatever the order, the repeats and the forgeries, the tree is the gateway's or does not grow."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from cluster_world import CLUSTER, IDENTITY, NOW_MS, OTHER, Asked, Plant, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cluster.database import open_database
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.cluster.ledger import as_text, ledger, missing_ranges
from gateway.cluster.nouns import Place, StreamState
from gateway.cluster.opening import Message
from gateway.cluster.register import Answer, Register
from gateway.cluster.store import MAX_FORKS, Store
from gateway.errors import ConfigError, StorageError
from gateway.model import Batch, ClockClaim, ClockState
from gateway.seal.batch import EVENT_TYPE, SCAN_TYPE
from gateway.seal.events import encode_events
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import Receipt, Refusal, check_receipt, parse_answer


class Desk:
    """A register over a store in memory, and what the tests ask of it."""

    def __init__(self, folder: Path, *plants: Plant, where: str | None = None) -> None:
        self.where = where or folder / "cluster.db"
        self.runner = asyncio.Runner()
        self.database = self.runner.run(open_database(self.where))
        self.runner.run(self.database.prepare(NOW_MS))
        self.store = Asked(self.where)
        key = folder / "cluster.key"
        self.signer = FileSigner.load(key) if key.exists() else FileSigner.create(key)
        self.register = Register(self.database, self.signer, iss=CLUSTER)
        for plant in plants:
            self.enrol(plant)

    def enrol(self, plant: Plant) -> None:
        self.runner.run(enrol(self.database, Enrolment(plant.identity, plant.signer.public), NOW_MS))

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()

    def take(self, *batches: Batch | bytes, plant: Plant, stream: str = "scan", now: int = NOW_MS) -> list[Answer]:
        messages = [
            Message(plant.identity.client, stream, one)
            if isinstance(one, bytes)
            else Message(plant.identity.client, one.stream, one.body)
            for one in batches
        ]
        return self.runner.run(self.register.take(messages, now))

    def state(self, plant: Plant, stream: str = "scan") -> StreamState:
        return self.store.state(self.store.gateway(plant.identity.client).id, stream)

    def everything(self) -> dict:
        return self.runner.run(ledger(self.database, NOW_MS))

    def ledger(self, plant: Plant) -> dict:
        found = self.everything()
        return next(one for one in found["gateways"] if one["client"] == plant.identity.client)


@pytest.fixture
def desk(tmp_path: Path, plant: Plant, where: str) -> Iterator[Desk]:
    desk = Desk(tmp_path, plant, where=where)
    yield desk
    desk.close()


def receipts(answers: list[Answer]) -> list[Receipt]:
    return [one for one in (parse_answer(answer.payload) for answer in answers) if isinstance(one, Receipt)]


def refusals(answers: list[Answer]) -> list[Refusal]:
    return [one for one in (parse_answer(answer.payload) for answer in answers) if isinstance(one, Refusal)]


def test_one_receipt_for_each_stream_that_a_group_touched(desk: Desk, plant: Plant) -> None:
    plant.scans(5)
    answers = desk.take(*plant.batches["scan"], *plant.batches["event"], plant=plant)
    assert [(one.sub.rsplit(":")[-1], one.tree_size) for one in receipts(answers)] == [("scan", 6), ("event", 1)]
    newest = receipts(answers)[0]
    assert newest.iat == NOW_MS // 1000
    check_receipt(newest, desk.signer.public, plant.batches["scan"][-1].leaf, plant.root("scan"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_any_order_with_repeats_gives_the_same_tree(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    plant = Plant(folder / "plant")
    desk = Desk(folder, plant)
    plant.scans(4, rows=1)
    plant.event("alarm")
    plant.scans(2, rows=1)
    plant.delete("scan", 2, 3)
    everything = [b for batches in plant.batches.values() for b in batches if (b.stream, b.seq) not in plant.gone]
    random = Random(seed)
    sent = everything + random.choices(everything, k=6)
    random.shuffle(sent)
    with closing(desk):
        while sent:
            group, sent = sent[: cuts[0]], sent[cuts[0] :]
            cuts = [*cuts[1:], cuts[0]]
            assert not [one for one in refusals(desk.take(*group, plant=plant)) if one.reason != "gap"]
        for stream in ("scan", "event"):
            assert desk.state(plant, stream).frontier.root() == plant.root(stream)
            assert desk.state(plant, stream).held == 0
        assert desk.state(plant).deleted == 2
        assert desk.state(plant).values == 40
        assert desk.ledger(plant)["streams"]["scan"]["missing"] == []


def test_a_larger_tree_never_has_an_older_receipt_whatever_the_receivers_clocks_say(
    desk: Desk, plant: Plant
) -> None:
    plant.scans(2)
    done = plant.batches["scan"]
    (ahead,) = receipts(desk.take(*done[:2], plant=plant, now=NOW_MS + 5000))
    (behind,) = receipts(desk.take(done[2], plant=plant, now=NOW_MS))
    assert [(one.tree_size, one.iat) for one in (ahead, behind)] == [
        (2, NOW_MS // 1000 + 5),
        (3, NOW_MS // 1000 + 5),
    ]
    (again,) = receipts(desk.take(done[0], plant=plant, now=NOW_MS + 9000))
    assert (again.tree_size, again.iat) == (3, NOW_MS // 1000 + 9)


def test_a_hole_is_asked_for_only_when_it_stays(desk: Desk, plant: Plant) -> None:
    desk.register = Register(desk.database, desk.signer, iss=CLUSTER, patience_ms=2000)
    plant.scans(4)
    done = plant.batches["scan"]
    assert not refusals(desk.take(done[0], done[2], plant=plant))
    assert not refusals(desk.take(done[3], plant=plant, now=NOW_MS + 1999))
    (advice,) = refusals(desk.take(done[4], plant=plant, now=NOW_MS + 2000))
    assert (advice.reason, advice.next_seq) == ("gap", 1)
    assert receipts(desk.take(done[1], plant=plant, now=NOW_MS + 2001))[0].tree_size == 5
    assert desk.state(plant).hole_ms is None


def test_what_comes_early_is_kept_and_the_hole_is_asked_for(desk: Desk, plant: Plant) -> None:
    plant.scans(5)
    done = plant.batches["scan"]
    (answer,) = desk.take(done[3], plant=plant)
    assert parse_answer(answer.payload) == Refusal(f"{IDENTITY.urn}:scan", 3, "gap", 0)
    advice = refusals(desk.take(done[0], done[5], plant=plant))
    assert [(one.seq, one.next_seq) for one in advice] == [(5, 1)]
    assert desk.ledger(plant)["streams"]["scan"]["missing"] == [(1, 2), (4, 4)]
    (one,) = receipts(desk.take(done[1], done[2], done[4], plant=plant))
    assert one.tree_size == 6


def test_every_bit_of_a_batch_counts(desk: Desk, plant: Plant) -> None:
    body = plant.batches["scan"][0].body
    for place in range(0, len(body) * 8, 29):
        altered = bytearray(body)
        altered[place // 8] ^= 1 << place % 8
        assert not receipts(desk.take(bytes(altered), plant=plant))
    assert desk.state(plant).size == 0
    assert sum(row.times for row in desk.store.rejected()) == len(range(0, len(body) * 8, 29))


def test_a_batch_of_another_gateway_is_not_taken_on_this_ones_topic(
    desk: Desk, plant: Plant, tmp_path: Path
) -> None:
    stranger = Plant(tmp_path / "stranger", OTHER)
    desk.enrol(stranger)
    (one,) = refusals(desk.take(stranger.batches["scan"][0], plant=plant))
    assert one.reason == "wrong-issuer"
    assert desk.ledger(plant)["rejected"][0]["reason"] == "wrong-issuer"


def test_a_batch_with_the_right_name_and_the_wrong_key(desk: Desk, plant: Plant, tmp_path: Path) -> None:
    impostor = Plant(tmp_path / "impostor", IDENTITY)
    (one,) = refusals(desk.take(impostor.batches["scan"][0], plant=plant))
    assert one.reason == "unknown-key"


def test_a_second_batch_for_a_sequence_is_a_fork_and_both_are_kept(desk: Desk, plant: Plant) -> None:
    plant.scans(1)
    desk.take(*plant.batches["scan"], plant=plant)
    first = plant.batches["scan"].pop()
    plant.now_ms += 1
    (second,) = plant.scans(1)
    answers = desk.take(second, plant=plant)
    assert [one.reason for one in refusals(answers)] == ["fork"]
    place = Place(1, "scan", 1)
    assert desk.store.find([place])[place].body == first.body
    (kept,) = desk.store.forks(1)
    assert kept.body == second.body
    assert desk.ledger(plant)["forks"] == [
        {"stream": "scan", "seq": 1, "why": "another batch with this sequence", "at_ms": NOW_MS}
    ]


def test_a_batch_that_does_not_continue_the_chain_is_a_fork(desk: Desk, plant: Plant) -> None:
    plant.scans(1)
    desk.take(*plant.batches["scan"], plant=plant)
    plant.batches["scan"].pop()
    plant.now_ms += 1
    _, other_second = plant.scans(2)
    assert [one.reason for one in refusals(desk.take(other_second, plant=plant))] == ["fork"]
    assert desk.state(plant).size == 2


def test_a_held_batch_that_turns_out_not_to_fit_is_taken_out(desk: Desk, plant: Plant) -> None:
    plant.scans(2)
    good = list(plant.batches["scan"])
    plant.batches["scan"] = good[:1]
    plant.now_ms += 1
    _, other_second = plant.scans(2)
    desk.take(good[0], other_second, plant=plant)
    assert desk.state(plant).held == 1
    desk.take(good[1], plant=plant)
    assert (desk.state(plant).size, desk.state(plant).held) == (2, 0)
    desk.take(good[2], plant=plant)
    assert desk.state(plant).size == 3
    assert desk.store.forks(1)[0].body == other_second.body


def test_evidence_of_forks_is_bounded(desk: Desk, plant: Plant) -> None:
    desk.take(*plant.batches["event"], plant=plant)
    beside = plant.batches["event"][:]
    for count in range(MAX_FORKS + 5):
        plant.batches["event"] = beside[:]
        plant.now_ms += 1
        desk.take(plant.event(f"alarm.{count}"), plant=plant)
    assert len(desk.store.forks(1)) == MAX_FORKS


def test_a_new_key_is_in_force_from_the_batches_after_its_event(desk: Desk, plant: Plant) -> None:
    old = plant.signer
    plant.scans(1)
    plant.rotate()
    plant.scans(1)
    event, scan = plant.batches["event"], plant.batches["scan"]
    assert [one.reason for one in refusals(desk.take(*scan, plant=plant))] == ["unknown-key"]
    assert receipts(desk.take(*event, *scan, plant=plant))[-1].tree_size == 3
    new, plant.signer = plant.signer, old
    forged = plant.scans(1)[0]
    assert [one.reason for one in refusals(desk.take(forged, plant=plant))] == ["superseded-key"]
    plant.batches["scan"].pop()
    plant.signer = new
    assert receipts(desk.take(*plant.scans(1), plant=plant))[0].tree_size == 4
    assert desk.ledger(plant)["key"] == new.thumbprint.hex()


def test_only_the_key_in_force_can_name_its_successor(desk: Desk, plant: Plant, tmp_path: Path) -> None:
    thief = FileSigner.create(tmp_path / "thief.key")
    data = {"old": bytes(32), "new": thief.thumbprint, "key": b"\xa0", "storage": "file"}
    plant.event("key.rotated", **data)
    desk.take(*plant.batches["event"], plant=plant)
    assert desk.state(plant, "event").size == 2
    assert desk.state(plant, "event").unreadable == 1
    assert len(desk.store.terms(1)) == 1


def test_a_hole_can_be_filled_after_all_but_only_with_the_same_batch(desk: Desk, plant: Plant) -> None:
    plant.scans(3)
    plant.delete("scan", 1, 1)
    desk.take(*plant.batches["event"], plant.batches["scan"][0], *plant.batches["scan"][2:], plant=plant)
    assert (desk.state(plant).size, desk.state(plant).deleted) == (4, 1)
    desk.take(plant.batches["scan"][1], plant=plant)
    assert (desk.state(plant).size, desk.state(plant).deleted, desk.state(plant).values) == (4, 0, 150)
    assert desk.state(plant).frontier.root() == plant.root("scan")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"stream": "scan", "first": 2**63, "last": 2**63, "leaves": [bytes(32)]},
        {"stream": "scan", "first": -1, "last": -1, "leaves": [bytes(32)]},
        {"stream": "video", "first": 1, "last": 1, "leaves": [bytes(32)]},
        {"stream": "scan", "first": 1, "last": 2, "leaves": [bytes(32)]},
        {"stream": "scan", "first": 1, "last": 1, "leaves": [bytes(31)]},
        {"stream": "scan", "first": 1, "last": 1, "leaves": "leaves"},
    ],
)
def test_a_deletion_that_makes_no_sense_is_counted(desk: Desk, plant: Plant, data: dict) -> None:
    plant.event("deleted", **data)
    desk.take(*plant.batches["event"], plant=plant)
    assert desk.state(plant, "event").size == 2
    assert desk.state(plant, "event").unreadable == 1
    assert desk.state(plant).held == 0


def test_a_signed_batch_that_cannot_be_read_has_its_place_all_the_same(desk: Desk, plant: Plant) -> None:
    plant.seal("scan", b"no zlib", SCAN_TYPE)
    plant.seal("event", b"no zlib", EVENT_TYPE)
    desk.take(*plant.batches["scan"], *plant.batches["event"], plant=plant)
    assert [desk.state(plant, stream).size for stream in ("scan", "event")] == [2, 2]
    assert [desk.state(plant, stream).unreadable for stream in ("scan", "event")] == [1, 1]


def test_a_registration_for_another_key_is_refused(desk: Desk, plant: Plant, tmp_path: Path) -> None:
    foreign = Plant(tmp_path / "foreign", OTHER)
    plant.batches["scan"].clear()
    from gateway.seal.batch import REGISTRATION_TYPE, open_batch

    payload = open_batch(foreign.batches["scan"][0].body).payload
    plant.seal("scan", payload, REGISTRATION_TYPE)
    (one,) = refusals(desk.take(*plant.batches["scan"], plant=plant))
    assert one.reason == "bad-registration"


def test_a_gateway_that_was_shut_out_is_refused_and_stays_in_the_record(desk: Desk, plant: Plant) -> None:
    plant.scans(2)
    done = plant.batches["scan"]
    desk.take(*done[:2], plant=plant)

    async def shut_out() -> None:
        async with desk.database.transaction() as work:
            await work.execute("UPDATE gateway SET revoked_ms = $1, version = version + 1", NOW_MS)

    desk.runner.run(shut_out())
    assert [one.reason for one in refusals(desk.take(done[2], plant=plant))] == ["revoked"]
    assert desk.state(plant).size == 2
    assert "! shut out" in as_text(desk.everything())


def test_too_far_ahead_is_not_kept(desk: Desk, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cluster.group.HOLD", 3)
    plant.scans(5)
    answers = desk.take(plant.batches["scan"][4], plant=plant)
    assert [(one.reason, one.next_seq) for one in refusals(answers)] == [("too-far-ahead", 0)]
    assert desk.state(plant).held == 0


def test_a_transaction_that_fails_leaves_no_trace_and_no_memory(
    desk: Desk, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.scans(3)
    desk.take(plant.batches["scan"][0], plant=plant)

    def full(*_: object) -> None:
        raise StorageError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save_states", full)
        with pytest.raises(StorageError):
            desk.take(*plant.batches["scan"], plant=plant)
    assert desk.state(plant).size == 1
    (one,) = receipts(desk.take(*plant.batches["scan"], plant=plant))
    assert one.tree_size == 4


def test_what_another_process_enrols_is_seen_at_once(desk: Desk, plant: Plant, tmp_path: Path) -> None:
    stranger = Plant(tmp_path / "stranger", OTHER)
    assert [one.reason for one in refusals(desk.take(*stranger.batches["scan"], plant=stranger))] == [
        "unknown-gateway"
    ]
    with closing(Desk(tmp_path, where=desk.where)) as elsewhere:
        elsewhere.enrol(stranger)
    assert receipts(desk.take(*stranger.batches["scan"], plant=stranger))[0].tree_size == 1


def test_a_flood_of_rejections_stays_small(desk: Desk, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cluster.store.MAX_REJECTED", 20)
    messages = [Message(f"stranger.{count}", "scan", b"\x1b[31m") for count in range(50)]
    assert desk.runner.run(desk.register.take(messages, NOW_MS)) == []
    rows = desk.store.rejected()
    assert len(rows) == 21
    assert sum(row.times for row in rows) == 50
    assert next(row for row in rows if row.client == "*").times == 30


def test_the_ledger_tells_what_is_late_ahead_and_still_to_come(desk: Desk, plant: Plant) -> None:
    plant.scans(3)
    plant.event("alarm")
    desk.take(*plant.batches["event"], plant.batches["scan"][0], plant=plant, now=NOW_MS + 7_200_000)
    content = desk.ledger(plant)["streams"]
    assert content["event"]["late"] == 2
    assert content["event"]["late_max_ms"] == 7_200_000
    assert content["scan"]["missing"] == [(1, 3)]
    text = as_text(desk.everything())
    assert "! scan: 3 missing: 1..3" in text
    plant.now_ms = NOW_MS + 60_000
    desk.take(plant.event("alarm"), plant=plant)
    assert desk.ledger(plant)["streams"]["event"]["clock_ahead_ms"] == 60_000 - 12
    assert "clock is 60 s ahead" in as_text(desk.everything())


def test_a_clock_that_is_not_trusted_is_named(desk: Desk, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    untrusted = ClockClaim(bytes(16), 5, None, None, ClockState.UNTRUSTED)
    monkeypatch.setattr(plant, "clock", lambda: untrusted)
    plant.seal("event", encode_events([]), EVENT_TYPE)
    desk.take(*plant.batches["event"], plant=plant)
    assert desk.ledger(plant)["streams"]["event"]["clock"] == "untrusted"


@given(
    size=st.integers(0, 20),
    held=st.sets(st.integers(0, 30)),
    announced=st.integers(0, 40),
)
def test_missing_ranges_are_what_is_known_and_not_there(size: int, held: set[int], announced: int) -> None:
    held = {seq for seq in held if seq > size}
    ranges = missing_ranges(size, sorted(held), announced)
    found = {seq for first, last in ranges for seq in range(first, last + 1)}
    end = max([size, announced, *(seq + 1 for seq in held)])
    assert found == {seq for seq in range(size, end) if seq not in held}


def test_a_name_has_one_key(desk: Desk, plant: Plant, tmp_path: Path) -> None:
    desk.enrol(plant)
    with pytest.raises(ConfigError, match="another key"):
        desk.enrol(Plant(tmp_path / "new"))


def test_a_store_of_a_later_release_is_not_touched(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "later.db")) as later:
        later.execute("PRAGMA user_version = 99")

    async def begin() -> None:
        async with opened(tmp_path / "later.db"):
            pass

    with pytest.raises(StorageError, match="schema 99"):
        asyncio.run(begin())
