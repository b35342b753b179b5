"""What the two ends believe of each other, and what they do not: forgeries, forks, strangers, losses."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cluster_world import CLUSTER, IDENTITY, NOW_MS, OTHER, RECEIVER, Broker, Cluster, Plant, running, until, uplink

from gateway.mqtt import Link, LinkError, connect
from gateway.seal.batch import subject
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import issue_receipt, refusal
from gateway.seal.tree import Frontier


@asynccontextmanager
async def impostor(broker: Broker) -> AsyncIterator[Link]:
    """Somebody with the receiver's certificate, who reads everything and answers what he likes."""
    async with connect(broker.endpoint(RECEIVER)) as link:
        await link.subscribe("aurora/v1/+/scan", "aurora/v1/+/event")
        yield link


def receipt(signer: FileSigner, leaves: list[bytes], stream: str = "scan", iat: int = NOW_MS // 1000) -> bytes:
    name = subject(IDENTITY.urn, stream)
    return issue_receipt(signer, iss=CLUSTER, sub=name, frontier=Frontier.of(leaves), iat=iat)


ANSWERS = f"aurora/v1/{IDENTITY.client}/receipt"


async def test_a_forged_receipt_acknowledges_nothing(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    forger = FileSigner.create(tmp_path / "forger.key")
    plant.scans(3)
    leaves = [batch.leaf for batch in plant.batches["scan"]]
    good = receipt(cluster.signer, leaves)
    altered = bytearray(good)
    altered[-1] ^= 1
    up = uplink(plant, cluster, tmp_path)
    async with impostor(cluster.broker) as link, running(up.run()):
        await link.receive(1)
        for payload in (receipt(forger, leaves), bytes(altered), b"", b"\xa0", good[:-1], b"\xd2" * 9000):
            link.send(ANSWERS, payload)
        link.send(ANSWERS, receipt(cluster.signer, leaves, "scan").replace(b"gw-1", b"gw-2"))
        await until(lambda: sum(up.stats.bad_answers.values()) >= 7)
        assert plant.acknowledged["scan"] == (0, b"")
        assert up.stats.forks == 0
        link.send(ANSWERS, good)
        await until(lambda: plant.acknowledged["scan"][0] == 4)
    assert {"wrong-key", "bad-signature", "foreign-answer"} <= set(up.stats.bad_answers)


async def test_a_signed_receipt_for_another_history_stops_the_stream_and_only_it(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    plant.scans(3)
    leaves = [batch.leaf for batch in plant.batches["scan"]]
    up = uplink(plant, cluster, tmp_path)
    async with impostor(cluster.broker) as link, running(up.run()):
        await link.receive(1)
        link.send(ANSWERS, receipt(cluster.signer, [leaves[0], bytes(32), *leaves[2:]]))
        await until(lambda: up.stats.forks == 1)
        sent = up.stats.published["scan"]
        plant.scans(2)
        plant.event("alarm")
        events = [batch.leaf for batch in plant.batches["event"]]
        link.send(ANSWERS, receipt(cluster.signer, events, "event"))
        await until(lambda: plant.done("event"))
        assert up.stats.published["scan"] == sent
    assert plant.acknowledged["scan"] == (0, b"")
    assert plant.events[0].kind == "fork"
    assert plant.events[0].data["proven"]
    assert plant.events[0].data["stream"] == "scan"


async def test_a_cloned_gateway_becomes_a_visible_fork_at_both_ends(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    plant.scans(3)
    twin = Plant(tmp_path / "twin")
    shutil.copy(plant.folder / "gateway.key", twin.folder / "gateway.key")
    twin.signer = FileSigner.load(twin.folder / "gateway.key")
    twin.batches = {stream: list(done) for stream, done in plant.batches.items()}
    plant.scans(2)
    twin.now_ms += 1
    theirs = twin.scans(2)
    async with cluster.serving():
        async with running(uplink(plant, cluster, tmp_path).run()):
            await until(plant.done)
        up = uplink(twin, cluster, tmp_path)
        async with running(up.run()):
            await until(lambda: up.stats.forks == 1)
            twin.event("alarm")
            await until(lambda: twin.done("event"))
    assert twin.events[0].kind == "fork"
    assert not twin.events[0].data["proven"]
    forks = cluster.store.forks(cluster.store.gateway(IDENTITY.client).id)
    assert forks[0].body == theirs[0].body
    assert cluster.bodies(plant, "scan") == [batch.body for batch in plant.batches["scan"]]


async def test_a_refusal_is_only_advice(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    name = subject(IDENTITY.urn, "scan")
    plant.scans(3)
    up = uplink(plant, cluster, tmp_path)
    async with running(up.run()):
        async with impostor(cluster.broker) as link:
            await link.receive(1)
            link.send(ANSWERS, refusal(name, 0, "unknown-gateway"))
            link.send(ANSWERS, refusal(name, 0, "gap", 2**40))
            await until(lambda: up.stats.refused["unknown-gateway"] == 1 and up.stats.refused["gap"] == 1)
            assert plant.acknowledged["scan"] == (0, b"")
        async with cluster.serving():
            await until(plant.done)
    assert [event.kind for event in plant.events] == ["sync.refused"]


async def test_an_unknown_gateway_is_refused_until_it_is_enrolled(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    plant.scans(5)
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        await until(lambda: up.stats.refused["unknown-gateway"] > 0)
        assert plant.delivered("scan") == (0, b"")
        # In a thread: the receiver's transaction may be open in this loop.
        await asyncio.to_thread(cluster.enrol, plant)
        await until(plant.done)
    assert cluster.slots(plant) == list(range(25))
    assert cluster.refusals()[IDENTITY.client, "unknown-gateway"] >= 1


async def test_a_cluster_that_lost_its_newest_batches_gets_them_again(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    plant.scans(10)
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        await until(plant.done)
    backup = shutil.copy(cluster.path, tmp_path / "backup.db")
    plant.scans(10)
    async with cluster.serving(), running(uplink(plant, cluster, tmp_path).run()):
        await until(plant.done)
    for path in cluster.folder.glob("cluster.db*"):
        path.unlink()
    shutil.copy(backup, cluster.path)
    cluster.clock.ms += 5000
    plant.scans(1)
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        await until(lambda: plant.done() and cluster.size(plant, "scan") == 22)
    assert [event.data["has"] for event in plant.events if event.kind == "sync.lost"] == [11]
    assert cluster.slots(plant) == list(range(plant.slots))


async def test_a_cluster_that_lost_everything_gets_what_is_left_and_the_leaves_of_the_rest(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    plant.scans(20)
    async with cluster.serving(), running(uplink(plant, cluster, tmp_path).run()):
        await until(plant.done)
    for path in cluster.folder.glob("cluster.db*"):
        path.unlink()
    cluster.enrol(plant)
    cluster.clock.ms += 5000
    plant.gone |= {("scan", seq) for seq in range(3, 9)}
    plant.scans(1)
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        await until(lambda: plant.done() and cluster.size(plant, "scan") == 22, timeout=25)
    assert {"sync.lost", "deleted"} <= {event.kind for event in plant.events}
    assert [seq for seq, body in enumerate(cluster.bodies(plant, "scan")) if body is None] == list(range(3, 9))


async def test_hostile_messages_are_named_and_change_nothing(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    stranger = Plant(tmp_path / "stranger", OTHER)
    cluster.enrol(stranger)
    plant.scans(4)
    good = plant.batches["scan"][1].body
    bit = bytearray(good)
    bit[len(bit) // 2] ^= 1
    client = IDENTITY.client
    scan, event = f"aurora/v1/{client}/scan", f"aurora/v1/{client}/event"
    async with cluster.serving(), connect(cluster.broker.endpoint(client)) as link:
        for topic, payload in (
            (scan, bytes(bit)),
            (scan, b""),
            (scan, b"\xd2\x84" + bytes(100)),
            (scan, bytes(4 * 1024 * 1024 + 1)),
            (event, good),
            (scan, stranger.batches["scan"][0].body),
        ):
            link.send(topic, payload)
        await until(lambda: sum(cluster.refusals().values()) == 6)
        reasons = {reason for at, reason in cluster.refusals() if at == client}
        assert {"not-cose", "too-large", "wrong-stream", "wrong-issuer"} <= reasons
        assert cluster.size(plant, "scan") == 0
        for batch in (*plant.batches["event"], *plant.batches["scan"]):
            link.send(scan if batch.stream == "scan" else event, batch.body)
        await until(lambda: cluster.size(plant, "scan") == 5)
    assert cluster.slots(plant) == list(range(20))


async def test_an_oversized_packet_does_not_reach_the_receiver(cluster: Cluster, plant: Plant) -> None:
    cluster.enrol(plant)
    async with cluster.serving() as receiver:
        async with connect(cluster.broker.endpoint(IDENTITY.client)) as link:
            await link.subscribe(ANSWERS)
            link.send(f"aurora/v1/{IDENTITY.client}/scan", bytes(6 * 1024 * 1024))
            with pytest.raises(LinkError):
                await link.receive(1)
        assert receiver.stats.messages == 0
        assert receiver.stats.connects == 1


async def test_a_gateway_cannot_write_or_read_for_another(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    codes: list[int] = []
    thief = cluster.broker.endpoint(OTHER.client)
    async with cluster.serving():
        async with connect(thief, on_puback=lambda _, code: codes.append(code)) as link:
            link.send(f"aurora/v1/{IDENTITY.client}/scan", plant.batches["scan"][0].body)
            await until(lambda: codes == [135])
        assert cluster.size(plant, "scan") == 0
