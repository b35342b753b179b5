"""What the tests of this folder share: keys that are the same in every run, and a gateway in miniature."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import SealError
from gateway.model import (
    Batch,
    ClockClaim,
    ClockState,
    Column,
    DeviceLayout,
    Event,
    Head,
    Layout,
    Miss,
    Quality,
    Scan,
    Stream,
)
from gateway.seal.batch import (
    EVENT_TYPE,
    NO_PREVIOUS,
    REGISTRATION_TYPE,
    SCAN_TYPE,
    registration_payload,
    seal_batch,
)
from gateway.seal.columns import encode_events, encode_scans, layout_cbor, layout_id
from gateway.seal.cose import ED25519
from gateway.seal.keys import FileSigner, Rotation
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier
from gateway.site import Identity

IDENTITY = Identity(member="member-17", site="north", gateway="gw-0042")
BOOT = bytes(range(16))
CLOCK = ClockClaim(BOOT, 60_000, 1_795_360_000_123, 12, ClockState.TRUSTED)
CLUSTER = "https://cluster.example/log"


@dataclass
class Gateway:
    """Two growing streams of one gateway, signed with ``signer``."""

    signer: FileSigner
    identity: Identity = IDENTITY
    clock: ClockClaim = CLOCK
    streams: dict[Stream, list[Batch]] = field(default_factory=lambda: {"scan": [], "event": []})

    def __post_init__(self) -> None:
        registration = registration_payload(
            self.signer.public,
            self.identity,
            config_digest=sha256(b"site.toml").digest(),
            storage=self.signer.storage,
            software="1.0",
        )
        for stream in ("event", "scan"):
            self.seal(stream, registration, REGISTRATION_TYPE)

    def seal(
        self, stream: Stream, payload: bytes = b"", content_type: str = "", clock: ClockClaim | None = None
    ) -> Batch:
        """Append one batch; time goes on by one second."""
        done = self.streams[stream]
        others = self.streams["event" if stream == "scan" else "scan"]
        self.clock = clock or later(self.clock, 1000)
        batch = seal_batch(
            self.signer,
            iss=self.identity.urn,
            stream=stream,
            seq=len(done),
            prev=done[-1].leaf if done else NO_PREVIOUS,
            other=Head(others[-1].seq, others[-1].leaf) if others else None,
            clock=self.clock,
            payload=payload,
            content_type=content_type or (SCAN_TYPE if stream == "scan" else EVENT_TYPE),
        )
        done.append(batch)
        return batch

    def leaves(self, stream: Stream) -> list[bytes]:
        return [batch.leaf for batch in self.streams[stream]]

    def receipt(self, cluster: FileSigner, stream: Stream, size: int | None = None) -> bytes:
        """The cluster's receipt for the first ``size`` batches of a stream."""
        frontier = Frontier.of(self.leaves(stream)[:size])
        sub = f"{self.identity.urn}:{stream}"
        return issue_receipt(cluster, iss=CLUSTER, sub=sub, frontier=frontier, iat=1_795_360_100)


def later(clock: ClockClaim, ms: int) -> ClockClaim:
    """The same clock ``ms`` milliseconds later."""
    utc_ms = None if clock.utc_ms is None else clock.utc_ms + ms
    return clock._replace(boot_ms=clock.boot_ms + ms, utc_ms=utc_ms)


def fixed_signer(folder: Path, number: int, alg: int = ED25519) -> FileSigner:
    """A key that depends on ``number`` alone."""
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    if alg == ED25519:
        key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    else:
        key = ec.derive_private_key(0x1234567890ABCDEF + number, ec.SECP256R1())
    path = folder / f"key{number}{alg}.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return FileSigner.load(path)


def refused(call: Callable[[], object]) -> str | None:
    """The kind of `SealError` that a call raises, None when it raises nothing."""
    try:
        call()
    except SealError as error:
        return error.kind
    return None


LAYOUT = Layout(
    (
        DeviceLayout("cold-1", "line-1", "probe", "0" * 64, 1000, 0, (Column("temperature", "Cel", 1),)),
        DeviceLayout("cold-2", "line-1", "probe", "0" * 64, 1000, 500, (Column("temperature", "Cel", 1),)),
    )
)


def scans(first: int, count: int) -> list[Scan | Miss]:
    """``count`` slots of both devices; of the second every slot is missed."""
    records: list[Scan | Miss] = [
        Scan(0, slot, slot * 1000 + 7, array("d", [2.5 + slot % 3 / 10]), b"\0")
        for slot in range(first, first + count)
    ]
    return [*records, Miss(1, first, count, Quality.TIMEOUT)]


def event(kind: str, **data: Any) -> bytes:
    """The payload of an event batch with one event."""
    return encode_events([Event(kind, 60_000, data)])


def fill(gateway: Gateway, batches: int = 5) -> Gateway:
    """Seal the layout, then batches of ten slots, an event after every second."""
    gateway.seal("event", event("layout", id=layout_id(LAYOUT), layout=layout_cbor(LAYOUT)))
    for number in range(batches):
        gateway.seal("scan", encode_scans(LAYOUT, scans(100 + 10 * number, 10)))
        if number % 2:
            gateway.seal("event", event("gap.opened", device="cold-2", slot=100 + 10 * number, cause="timeout"))
    return gateway


def rotate(gateway: Gateway, new: FileSigner) -> None:
    """Seal the event of a change of key, and go on with the new one."""
    gateway.seal("event", encode_events([Event("key.rotated", 60_000, Rotation(gateway.signer, new).data)]))
    gateway.signer = new


def lay_out(folder: Path, gateway: Gateway, cluster: FileSigner | None = None) -> Path:
    """Write a gateway's evidence: one file a batch, its key, and with a cluster its key and newest receipts."""
    folder.mkdir(exist_ok=True)
    for stream, batches in gateway.streams.items():
        for batch in batches:
            (folder / f"{stream}-{batch.seq}.cose").write_bytes(batch.body)
        if cluster:
            (folder / f"{stream}.receipt").write_bytes(gateway.receipt(cluster, stream))
    (folder / "gateway.pem").write_bytes(gateway.signer.public.pem())
    if cluster:
        (folder / "cluster.pem").write_bytes(cluster.public.pem())
    return folder
