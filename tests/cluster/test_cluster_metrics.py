"""A receiver's metrics, scraped from a running one and held against its table in the guide."""

import asyncio
import re
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from cluster_world import IDENTITY, ROOT, Cluster, Plant, running, until, uplink
from prometheus_client.parser import text_string_to_metric_families

from gateway.cluster.metrics import serve_metrics
from gateway.cluster.receiver import ReceiverStats
from gateway.errors import ConfigError
from gateway.mqtt import connect


async def test_what_a_receiver_does_can_be_scraped(cluster: Cluster, plant: Plant, tmp_path: Path) -> None:
    cluster.enrol(plant)
    plant.scans(5)
    async with cluster.serving() as receiver:
        port = serve_metrics(receiver.stats, "127.0.0.1:0")
        async with running(uplink(plant, cluster, tmp_path).run()):
            await until(plant.done)
        async with connect(cluster.broker.endpoint(IDENTITY.client)) as link:
            link.send(f"aurora/v1/{IDENTITY.client}/scan", b"\x00")
            await until(lambda: receiver.stats.refusals["not-cose"] == 1)
        text = await asyncio.to_thread(
            lambda: urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        )
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert samples["aurora_cluster_connected",] == 1
    assert samples["aurora_cluster_messages_total",] == 8
    assert samples["aurora_cluster_refusals_total", "not-cose"] == 1
    assert samples["aurora_cluster_answers_total",] >= 2
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    guide = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(aurora_cluster_\w+)`", guide))
    assert {name for name, *_ in samples} | {"aurora_cluster_answers_refused_total"} == told


@pytest.mark.parametrize("listen", ["here", "127.0.0.1:x", "127.0.0.1:99999", "192.0.2.1:9464"])
def test_where_it_cannot_listen_it_says_so(listen: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        serve_metrics(ReceiverStats(), listen)
