"""One stream: what is sent next, what a receipt proves, and how long to rest."""

from pathlib import Path
from random import Random

import pytest
from cluster_world import CLUSTER, NOW_MS, Plant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import SealError
from gateway.mqtt import Backoff
from gateway.seal.batch import subject
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import issue_receipt, read_receipt
from gateway.seal.tree import Frontier
from gateway.sync.lane import Lane, Verdict

IAT = NOW_MS // 1000


@pytest.fixture
def signer(tmp_path: Path) -> FileSigner:
    return FileSigner.create(tmp_path / "cluster.key")


def lane_of(plant: Plant, stream: str = "scan") -> Lane:
    return Lane(stream, subject(plant.identity.urn, stream), plant, Random(1))


async def judge(lane: Lane, plant: Plant, signer: FileSigner, size: int, iat: int = IAT) -> Verdict:
    leaves = [batch.leaf for batch in plant.batches[lane.stream][:size]]
    data = issue_receipt(signer, iss=CLUSTER, sub=lane.subject, frontier=Frontier.of(leaves), iat=iat)
    return await lane.judge(read_receipt(data), data, signer.public)


async def send(lane: Lane, count: int) -> list[int]:
    sent = []
    for _ in range(count):
        batch = await lane.next()
        if batch is None:
            break
        lane.sent[batch.seq] = 0.0
        sent.append(batch.seq)
    return sent


async def test_batches_come_in_order_and_none_twice(plant: Plant) -> None:
    plant.scans(40, rows=1)
    lane = lane_of(plant)
    assert await send(lane, 100) == list(range(41))
    assert await lane.next() is None
    plant.scans(1)
    assert await send(lane, 2) == [41]


async def test_a_restart_begins_at_the_first_batch_without_a_receipt(plant: Plant, signer: FileSigner) -> None:
    plant.scans(9, rows=1)
    lane = lane_of(plant)
    await send(lane, 8)
    assert await judge(lane, plant, signer, 5) is Verdict.NEWS
    assert list(lane.sent) == [5, 6, 7]
    lane.restart()
    assert await send(lane, 3) == [5, 6, 7]
    again = lane_of(plant)
    assert (again.size, again.frontier) == (5, lane.frontier)
    assert await send(again, 2) == [5, 6]


async def test_a_receipt_may_vouch_for_more_than_was_sent_now(plant: Plant, signer: FileSigner) -> None:
    plant.scans(9, rows=1)
    lane = lane_of(plant)
    await send(lane, 2)
    assert await judge(lane, plant, signer, 7) is Verdict.NEWS
    assert await send(lane, 1) == [7]


async def test_a_receipt_for_more_than_there_is_proves_nothing(plant: Plant, signer: FileSigner) -> None:
    plant.scans(3, rows=1)
    lane = lane_of(plant)
    more = Plant(plant.folder / "more", plant.identity)
    more.scans(9, rows=1)
    with pytest.raises(SealError, match="ahead"):
        await judge(lane, more, signer, 8)
    assert lane.size == 0


async def test_an_older_receipt_is_not_a_loss(plant: Plant, signer: FileSigner) -> None:
    plant.scans(9, rows=1)
    lane = lane_of(plant)
    assert await judge(lane, plant, signer, 8) is Verdict.NEWS
    assert await judge(lane, plant, signer, 5) is Verdict.KNOWN
    assert await judge(lane, plant, signer, 5, IAT - 1) is Verdict.KNOWN
    assert await judge(lane, plant, signer, 8, IAT + 1) is Verdict.KNOWN
    assert lane.size == 8


async def test_a_newer_receipt_for_less_is_a_loss(plant: Plant, signer: FileSigner) -> None:
    plant.scans(9, rows=1)
    lane = lane_of(plant)
    await send(lane, 10)
    await judge(lane, plant, signer, 8)
    assert await judge(lane, plant, signer, 5, IAT + 1) is Verdict.LOST
    assert await send(lane, 2) == [5, 6]
    assert lane.vouched == 8


@pytest.mark.parametrize("size", [3, 9])
async def test_another_history_is_a_fork_whether_longer_or_shorter(
    plant: Plant, signer: FileSigner, size: int
) -> None:
    plant.scans(9, rows=1)
    lane = lane_of(plant)
    await judge(lane, plant, signer, 5)
    leaves = [batch.leaf for batch in plant.batches["scan"][:size]]
    leaves[1] = bytes(32)
    data = issue_receipt(signer, iss=CLUSTER, sub=lane.subject, frontier=Frontier.of(leaves), iat=IAT + 1)
    with pytest.raises(SealError, match="fork"):
        await lane.judge(read_receipt(data), data, signer.public)
    assert lane.size == 5


async def test_batches_without_a_body_are_passed_over(plant: Plant) -> None:
    plant.scans(5, rows=1)
    plant.gone |= {("scan", 2), ("scan", 3)}
    lane = lane_of(plant)
    assert await send(lane, 9) == [0, 1, 4, 5]
    assert not lane.missing


async def test_what_is_lost_there_and_gone_here_is_noted(plant: Plant, signer: FileSigner) -> None:
    plant.scans(5, rows=1)
    lane = lane_of(plant)
    await judge(lane, plant, signer, 6)
    plant.gone |= {("scan", 2), ("scan", 3)}
    await judge(lane, plant, signer, 1, IAT + 1)
    assert await send(lane, 9) == [1, 4, 5]
    assert [seq for seq, _ in lane.missing] == [2, 3]


async def test_a_resting_lane_sends_nothing_and_then_one_at_a_time(plant: Plant, signer: FileSigner) -> None:
    plant.scans(5, rows=1)
    lane = lane_of(plant)
    await send(lane, 3)
    lane.rest(100.0, Backoff(Random(1), 10.0, 10.0))
    assert not lane.sends(104.9, 0, 8)
    assert lane.sends(110.1, 0, 8)
    assert await send(lane, 1) == [0]
    assert not lane.sends(110.1, 1, 8)
    await judge(lane, plant, signer, 1)
    assert lane.sends(110.1, 1, 8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["send", "receipt", "rest", "restart", "rewind"]), st.integers(0, 9)))
)
async def test_the_tree_is_always_that_of_the_batches_vouched_for(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("lane")
    plant, signer = Plant(folder / "plant"), FileSigner.create(folder / "cluster.key")
    plant.scans(9, rows=1)
    lane = lane_of(plant)
    for iat, (step, number) in enumerate(steps, IAT):
        if step == "send":
            await send(lane, number)
        elif step == "receipt":
            await judge(lane, plant, signer, number + 1, iat)
        elif step == "rest":
            lane.rest(0.0, lane.patience)
        elif step == "restart":
            lane.restart()
        elif number <= lane.cursor:
            lane.rewind(number)
        assert lane.frontier == Frontier.of(batch.leaf for batch in plant.batches["scan"][: lane.size])
        assert list(lane.sent) == sorted(lane.sent)
        assert not lane.sent or lane.cursor > max(lane.sent)
    lane.restart()
    assert await send(lane, 99) == list(range(lane.size, 10))


def test_delays_double_up_to_the_last_and_begin_again() -> None:
    backoff = Backoff(Random(7), 0.1, 30.0)
    delays = [backoff.next() for _ in range(12)]
    for delay, full in zip(delays, [0.1 * 2**n for n in range(9)] + [30.0] * 3, strict=True):
        assert full / 2 <= delay <= full
    backoff.reset()
    assert backoff.next() <= 0.1
