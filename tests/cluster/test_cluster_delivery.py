"""Batches from a gateway through a real broker into a real store, and receipts back, in good and bad weather."""

import asyncio
import subprocess
from pathlib import Path

from cluster_world import Broker, Cluster, Plant, Process, Proxy, running, until, uplink


def nothing_lost_nothing_doubled(cluster: Cluster, plant: Plant) -> None:
    for stream in ("event", "scan"):
        assert cluster.bodies(plant, stream) == [batch.body for batch in plant.batches[stream]]
    assert cluster.slots(plant) == list(range(plant.slots))


async def test_every_batch_is_stored_once_and_acknowledged(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    plant.scans(50)
    plant.event("power_up", version="1")
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        await until(plant.done)
        plant.scans(3)
        await until(plant.done)
    nothing_lost_nothing_doubled(cluster, plant)
    assert up.stats.published["scan"] == 54
    assert up.stats.connects == 1
    assert up.stats.in_flight == 0
    assert not plant.events


async def test_an_event_overtakes_the_backlog(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    plant.scans(1200, rows=1)
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        await until(lambda: plant.acknowledged["scan"][0] > 50)
        plant.event("alarm")
        await until(lambda: plant.done("event"))
        assert plant.acknowledged["scan"][0] < 1000
        await until(plant.done)
    nothing_lost_nothing_doubled(cluster, plant)


async def test_the_uplink_starts_without_network_and_delivers_when_there_is_one(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    cluster.broker.kill()
    up = uplink(plant, cluster, tmp_path)
    async with running(up.run()):
        await until(lambda: "no connection" in up.stats.last_error)
        assert not up.stats.connected
        plant.scans(5)
        cluster.broker.start()
        async with cluster.serving():
            await until(plant.done)
            assert up.stats.connected
    nothing_lost_nothing_doubled(cluster, plant)


async def test_a_broker_killed_twice_while_draining_loses_nothing(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    plant.scans(600, rows=1)
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        for size in (50, 300):
            await until(lambda size=size: plant.acknowledged["scan"][0] > size)
            cluster.broker.kill()
            await until(lambda: not up.stats.connected)
            cluster.broker.start()
        await until(plant.done)
    assert up.stats.connects >= 3
    nothing_lost_nothing_doubled(cluster, plant)


async def test_a_silent_line_is_given_up_and_made_anew(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    async with Proxy(cluster.broker.port).open() as line:
        up = uplink(plant, cluster, tmp_path, port=line.port)
        async with cluster.serving(), running(up.run()):
            await until(plant.done)
            line.silent = True
            plant.scans(20)
            await until(lambda: "no answer from the broker" in up.stats.last_error)
            assert not plant.done()
            line.silent = False
            await until(plant.done, timeout=30)
    nothing_lost_nothing_doubled(cluster, plant)


async def test_an_idle_silent_line_is_seen_by_the_keepalive(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    async with Proxy(cluster.broker.port).open() as line:
        up = uplink(plant, cluster, tmp_path, port=line.port, keepalive_s=1)
        async with cluster.serving(), running(up.run()):
            await until(plant.done)
            line.silent = True
            await until(lambda: not up.stats.connected)


async def test_a_receiver_killed_while_draining_loses_nothing(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    plant.scans(1500, rows=1)
    receiver = Process(cluster.folder, cluster.broker)
    receiver.start()
    up = uplink(plant, cluster, tmp_path)
    try:
        async with running(up.run()):
            for size in (50, 300):
                await until(lambda size=size: plant.acknowledged["scan"][0] > size)
                receiver.kill()
                assert not plant.done()
                receiver.start()
            await until(plant.done, timeout=30)
        assert receiver.stop() == 0
    finally:
        receiver.kill()
    nothing_lost_nothing_doubled(cluster, plant)
    verified = await asyncio.to_thread(
        subprocess.run, receiver.command("verify"), capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"1501 batches, root {plant.root('scan').hex()}" in verified.stdout


async def test_with_no_receiver_connected_the_uplink_slows_down(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    plant.scans(30)
    up = uplink(plant, cluster, tmp_path)
    async with running(up.run()):
        await until(lambda: up.stats.refused["puback 16"] > 0)
        await until(lambda: "no receiver" in up.stats.last_error)
        window = up.stats.published["scan"]
        assert window <= 7
        began = asyncio.get_running_loop().time()
        await until(lambda: up.stats.published["scan"] >= window + 3)
        assert asyncio.get_running_loop().time() - began > 0.8
        assert plant.delivered("scan")[0] == 0
        async with cluster.serving():
            await until(plant.done)
    nothing_lost_nothing_doubled(cluster, plant)


async def test_a_gateway_without_rights_is_told_and_keeps_everything(tmp_path: Path, pki, plant: Plant) -> None:
    rules = "pattern read aurora/v1/%u/receipt\nuser aurora-receiver\ntopic read aurora/v1/+/scan\n"
    broker = Broker(tmp_path, pki, acl=rules)
    broker.start()
    try:
        cluster = Cluster(tmp_path / "cluster", broker)
        up = uplink(plant, cluster, tmp_path)
        async with running(up.run()):
            await until(lambda: up.stats.refused["puback 135"] > 0)
        assert plant.delivered("scan") == (0, b"")
    finally:
        broker.kill()


async def test_batches_that_the_gateway_had_to_delete_leave_a_proven_hole(
    cluster: Cluster, plant: Plant, tmp_path: Path
) -> None:
    cluster.enrol(plant)
    plant.scans(30)
    plant.delete("scan", 5, 14)
    plant.scans(2)
    up = uplink(plant, cluster, tmp_path)
    async with cluster.serving(), running(up.run()):
        await until(plant.done)
    bodies = cluster.bodies(plant, "scan")
    assert [seq for seq, body in enumerate(bodies) if body is None] == list(range(5, 15))
    assert cluster.size(plant, "scan") == len(plant.batches["scan"])


async def test_a_key_changes_in_mid_stream(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    up = uplink(plant, cluster, tmp_path)
    plant.scans(10)
    plant.rotate()
    plant.scans(10)
    plant.event("alarm")
    plant.rotate()
    plant.scans(1)
    async with cluster.serving(), running(up.run()):
        await until(plant.done)
    nothing_lost_nothing_doubled(cluster, plant)
    assert not cluster.refusals()
