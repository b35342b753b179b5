"""From the gateway's real journal over the broker to the cluster's store, and back as a witness."""

import asyncio
from array import array
from hashlib import sha256
from pathlib import Path

import pytest
from cluster_world import BOOT, CLUSTER, IDENTITY, LAYOUT, NOW_MS, Broker, Cluster, opened, running, until

from gateway.buffer.journal import Journal
from gateway.cluster.database import Database
from gateway.cluster.derive.follower import Follower
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.cluster.proof.audit import Recomputed, verify_checkpoints
from gateway.cluster.proof.notary import Notary
from gateway.model import ClockClaim, ClockState, Event, Scan
from gateway.seal.batch import registration_payload
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec
from gateway.sync.uplink import Uplink
from gateway.sync.witness import Witness

DAY_MS = 86_400_000


class Gateway:
    """A gateway's journal, uplink and witness, as `gateway.beside` puts them together."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.signer = FileSigner.create(folder / "gateway.key")
        self.claim = ClockClaim(BOOT, 1_000_000, NOW_MS, 12, ClockState.TRUSTED)
        self.slot = 0

    async def open(self) -> None:
        registration = registration_payload(
            self.signer.public, IDENTITY, config_digest=sha256(b"x").digest(), storage="file", software="test"
        )
        self.journal = await Journal.open(
            self.folder / "journal.db",
            signer=self.signer,
            iss=IDENTITY.urn,
            layout=LAYOUT,
            spec=BufferSpec(batch_values=100, batch_min_age_s=0.0, loss_window_ms=20),
            clock=lambda: self.claim,
            registration=registration,
        )
        key = self.cluster.signer.public
        self.witness = Witness(
            IDENTITY, lambda: self.signer, self.journal, key, clock=lambda: self.claim,
            on_event=self.journal.put_event, recall=self.journal.kept().get("witness"),
            keep=lambda memory: self.journal.keep("witness", memory),
        )  # fmt: skip
        self.uplink = Uplink(
            self.cluster.broker.settings(self.folder), IDENTITY, self.journal, key, clock=lambda: self.claim,
            on_event=self.journal.put_event, witness=self.witness,
        )  # fmt: skip

    async def measure(self) -> None:
        for _ in range(20):
            self.journal.put(Scan(0, self.slot, self.slot * 1000 + 5, array("d", [self.slot / 10] * 10), bytes(10)))
            self.slot += 1
        await self.journal.put_event(Event("note", 5, {"slot": self.slot}))
        assert await self.journal.flush(seal=True)

    def delivered(self) -> bool:
        heads = {stream: self.journal.head(stream) for stream in ("event", "scan")}
        return all(head and self.journal.delivered(stream)[0] == head.seq + 1 for stream, head in heads.items())


async def test_days_of_witnessing_survive_a_restart(place: str, broker: Broker, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster", broker, place)
    (tmp_path / "gateway").mkdir()
    gateway = Gateway(tmp_path / "gateway", cluster)
    async with opened(place) as database:
        await enrol(database, Enrolment(IDENTITY, gateway.signer.public), NOW_MS)
        now_ms, follower = NOW_MS, Follower(database)
        notary = Notary(
            broker.endpoint("aurora-notary"), database, cluster.signer,
            origin=CLUSTER, utc_ms=lambda: now_ms, every_s=0.05,
        )  # fmt: skip
        async with cluster.serving():
            for day in range(3):
                await gateway.open()
                async with running(gateway.journal.run(), gateway.uplink.run()):
                    await gateway.measure()
                    await until(gateway.delivered, what="everything is delivered")
                    now_ms = NOW_MS + day * DAY_MS
                    async with running(notary.run()):
                        before = gateway.witness.memory.seen.size
                        await until(lambda before=before: gateway.witness.memory.seen.size > before)
                        async with asyncio.timeout(20):
                            # Its word comes by the way of all events, and is found where the follower notes it.
                            while notary.collected <= day:
                                await follower.catch_up(now_ms)
                                await asyncio.sleep(0.05)
                        await until(gateway.delivered, what="its word is delivered")
                await gateway.journal.close()
        kinds = [kind async for kind in words(database)]
        assert kinds == ["checkpoint.witnessed"] * 3
        found = [one async for one in verify_checkpoints(database, origin=CLUSTER, key=cluster.signer.public)]
    assert found == [Recomputed(6, 3, 0, 3, 3)]


async def words(database: Database):  # type: ignore[no-untyped-def]
    async with database.transaction(write=False) as work:
        for (kind,) in await work.fetch("SELECT kind FROM event WHERE kind LIKE 'checkpoint.%' ORDER BY seq"):
            yield kind


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_a_witness_that_cannot_read_its_memory_says_so(place: str, broker: Broker, tmp_path: Path) -> None:
    from gateway.errors import SealError

    cluster = Cluster(tmp_path / "cluster", broker, place)
    (tmp_path / "gateway").mkdir()
    gateway = Gateway(tmp_path / "gateway", cluster)
    await gateway.open()
    with pytest.raises(SealError, match="bad-memory"):
        Witness(
            IDENTITY, lambda: gateway.signer, gateway.journal, cluster.signer.public, clock=lambda: gateway.claim,
            on_event=gateway.journal.put_event, recall=b"\x80", keep=lambda memory: None,
        )  # fmt: skip
    await gateway.journal.close()
