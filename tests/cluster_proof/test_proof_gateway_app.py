"""The whole gateway as a witness: it cosigns, remembers over a restart, and raises the alarm of a change."""

from pathlib import Path

from app_tools import Unit, running, site_of, until
from cluster_world import Broker

from gateway.app import Gateway
from gateway.model import AlarmState
from gateway.mqtt import connect
from gateway.seal.batch import subject
from gateway.seal.checkpoint import Checkpoint, StreamHead, sign_checkpoint
from gateway.seal.keys import FileSigner
from gateway.seal.offer import Offer, Proven, write_offer
from gateway.seal.tree import Frontier, consistency_path, inclusion_path, root_hash
from gateway.seal.witness import Request, write_request
from gateway.site import ClusterSpec, Identity

IDENTITY = Identity(member="m", site="s", gateway="g")


class Log:
    """The log of a cluster that has what the gateway has, or says so."""

    def __init__(self, signer: FileSigner) -> None:
        self.signer = signer
        self.leaves: list[bytes] = []

    async def offer(self, gateway: Gateway, old: int) -> bytes:
        head = gateway.journal.head("event")
        assert head is not None
        root = Frontier.of(await gateway.journal.leaves("event", 0, head.seq + 1)).root()
        mine = StreamHead(subject(IDENTITY.urn, "event"), head.seq + 1, root)
        self.leaves.append(mine.leaf)
        size = len(self.leaves)
        note = str(sign_checkpoint(Checkpoint("log", size, root_hash(self.leaves)), self.signer)).encode()
        proof = tuple(consistency_path(self.leaves, old, size)) if old else ()
        path = tuple(inclusion_path(self.leaves, size - 1, size))
        return write_offer(Offer(write_request(Request(old, proof, note)), (Proven(mine, size - 1, path),)))


async def test_a_gateway_witnesses_over_restarts_and_raises_the_alarm(broker: Broker, tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "cluster.key")
    (tmp_path / "cluster.pem").write_bytes(signer.public.pem())
    (tmp_path / "data").mkdir()
    certificate = broker.pki.client(IDENTITY.client)
    cluster = ClusterSpec(
        host="127.0.0.1",
        port=broker.port,
        receipt_key=tmp_path / "cluster.pem",
        ca=certificate.ca,
        certificate=certificate.certificate,
        key=certificate.key,
    )
    ledger, topic = Log(signer), f"aurora/v1/{IDENTITY.client}/checkpoint"
    async with Unit() as unit, connect(broker.endpoint("aurora-notary")) as notary:
        site = site_of(tmp_path / "data", unit.port, cluster=cluster)
        async with running(site) as gateway:
            await until(lambda: gateway.uplink is not None and gateway.uplink.stats.connected)
            await gateway.journal.flush(seal=True)
            notary.send(topic, await ledger.offer(gateway, 0))
            await until(lambda: gateway.uplink.stats.witnessed == 1)
        async with running(site) as gateway:
            await until(lambda: gateway.uplink is not None and gateway.uplink.stats.connected)
            # Only who remembers the first can follow a proof that begins there.
            notary.send(topic, await ledger.offer(gateway, 1))
            await until(lambda: gateway.uplink.stats.witnessed == 2)
            assert gateway.uplink.stats.forks == 0
            ledger.leaves[0] = bytes(32)
            notary.send(topic, await ledger.offer(gateway, 2))
            await until(lambda: any(alarm.id == "gateway/history-rewritten" for alarm in gateway.assess.alarms))
            (alarm,) = (one for one in gateway.assess.alarms if one.id == "gateway/history-rewritten")
            assert alarm.state is AlarmState.RETURNED
            assert gateway.uplink.stats.forks == 1
            gateway.assess.acknowledge("gateway/history-rewritten", "A. Baker")
