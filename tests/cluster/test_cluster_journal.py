"""The gateway's real journal at one end, the cluster's store at the other."""

from array import array
from hashlib import sha256
from pathlib import Path

from cluster_world import BOOT, IDENTITY, LAYOUT, NOW_MS, RECEIVER, Cluster, opened, running, until

from gateway.buffer.journal import Journal
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.model import ClockClaim, ClockState, Event, Scan
from gateway.seal.batch import registration_payload
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec
from gateway.sync.uplink import Uplink


async def test_from_the_journal_to_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "gateway.key")
    async with opened(cluster.where) as database:
        await enrol(database, Enrolment(IDENTITY, signer.public), NOW_MS)
    claim = ClockClaim(BOOT, 1_000_000, NOW_MS, 12, ClockState.TRUSTED)
    journal = await Journal.open(
        tmp_path / "journal.db",
        signer=signer,
        iss=IDENTITY.urn,
        layout=LAYOUT,
        spec=BufferSpec(batch_values=100, batch_min_age_s=0.0, loss_window_ms=20),
        clock=lambda: claim,
        registration=registration_payload(
            signer.public, IDENTITY, config_digest=sha256(b"x").digest(), storage="file", software="test"
        ),
    )
    settings = cluster.broker.settings(tmp_path)
    up = Uplink(settings, IDENTITY, journal, cluster.signer.public, clock=lambda: claim, on_event=journal.put_event)
    async with cluster.serving(), running(journal.run(), up.run()):
        for slot in range(100):
            journal.put(Scan(0, slot, slot * 1000 + 5, array("d", [slot / 10] * 10), bytes(10)))
        await journal.put_event(Event("alarm", 5, {"point": "room"}))
        assert await journal.flush()
        await until(lambda: all(journal.delivered(s)[0] == journal.head(s).seq + 1 for s in ("event", "scan")))
        delivered = journal.delivered("scan")
    await journal.close()
    state = cluster.store.state(cluster.store.gateway(IDENTITY.client).id, "scan")
    assert (state.values, state.frontier.to_bytes()) == (1000, delivered[1])
    assert RECEIVER not in {client for client, _ in cluster.refusals()}
