"""What a fleet sends: chained batches with real signatures, made once and kept in a folder.

Each gateway has two streams: events (its registration, the layout of its devices, a calibration now and then) and
scans of one device with ten channels. The payloads come from a few plants that all gateways share, the signatures
do not: every batch is signed by its own gateway's key and names its predecessor.
"""

import json
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cluster.enrolment import Enrolment
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Head, Layout, Scan
from gateway.seal.batch import (
    EVENT_TYPE,
    NO_PREVIOUS,
    REGISTRATION_TYPE,
    SCAN_TYPE,
    registration_payload,
    seal_batch,
)
from gateway.seal.columns import encode_scans
from gateway.seal.cose import PublicKey
from gateway.seal.events import encode_events
from gateway.seal.layout import layout_cbor, layout_id
from gateway.seal.tree import Frontier, leaf_hash
from gateway.site import Identity

VERSION = 3
"""Of the content; a kept cargo of another version is made anew."""
CHANNELS = 10
ROWS = 50
VALUES = CHANNELS * ROWS
"""Values in one batch of scans."""
PERIOD_MS = 10_000
PLANTS = 16
STREAMS = ("event", "scan")
REPEATS, REVERSES = 1, 2
"""Flags of a gateway: sends everything twice; sends each window from its end."""
NOBODY = 0xFFFFFFFF

LAYOUT = Layout(
    (
        DeviceLayout(
            "room",
            "line",
            "probe",
            "0" * 16,
            PERIOD_MS,
            0,
            tuple(Column(f"t{n}", "degC", 1) for n in range(CHANNELS)),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Key:
    """An Ed25519 key in memory, as a signer of batches."""

    private: Ed25519PrivateKey
    public: PublicKey

    @classmethod
    def of(cls, seed: str) -> "Key":
        """The key that belongs to a name: a fleet is the same in each run."""
        private = Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest())
        return cls(private, PublicKey.of(private.public_key()))

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self.private.sign(data)


@dataclass(slots=True)
class Gateway:
    """One gateway of the fleet with all that it will ever send."""

    identity: Identity
    key: Key
    start_ms: int
    """When its first batch was sealed, Unix milliseconds."""
    bodies: dict[str, list[bytes]] = field(default_factory=lambda: {name: [] for name in STREAMS})
    leaves: dict[str, list[bytes]] = field(default_factory=lambda: {name: [] for name in STREAMS})
    flags: int = 0

    @property
    def client(self) -> str:
        """Its MQTT client."""
        return self.identity.client

    def seal(self, stream: str, payload: bytes, content_type: str) -> None:
        """Sign the next batch of a stream."""
        beside = self.leaves["scan" if stream == "event" else "event"]
        body = self.sealed(
            stream,
            len(self.bodies[stream]),
            self.leaves[stream][-1] if self.leaves[stream] else NO_PREVIOUS,
            payload,
            content_type,
            Head(len(beside) - 1, beside[-1]) if beside else None,
        )
        self.bodies[stream].append(body)
        self.leaves[stream].append(leaf_hash(body))

    def sealed(
        self, stream: str, seq: int, prev: bytes, payload: bytes, content_type: str, other: Head | None = None
    ) -> bytes:
        """A batch signed with this gateway's key, whatever it says."""
        at_ms = self.start_ms + seq * ROWS * PERIOD_MS
        clock = ClockClaim(self.boot(), at_ms - self.start_ms + 1000, at_ms, 12, ClockState.TRUSTED)
        return seal_batch(
            self.key,
            iss=self.identity.urn,
            stream="event" if stream == "event" else "scan",
            seq=seq,
            prev=prev,
            other=other,
            clock=clock,
            payload=payload,
            content_type=content_type,
        ).body

    def boot(self) -> bytes:
        """Its boot id."""
        return sha256(b"boot of " + self.client.encode()).digest()[:16]

    def root(self, stream: str, size: int | None = None) -> bytes:
        """The root of the tree over the first ``size`` batches, or over all."""
        return Frontier.of(self.leaves[stream][:size]).root()

    def enrolment(self) -> Enrolment:
        """What the cluster has to know of it."""
        return Enrolment(self.identity, self.key.public)


@dataclass(frozen=True, slots=True)
class Shout:
    """A message of a disturber, sent again and again once ``victim`` has receipts for ``least`` scan batches."""

    topic: str
    body: bytes
    victim: int = NOBODY
    least: int = 0


def identity_of(number: int, members: int) -> Identity:
    """Gateways are spread over members, and each has a site of its own."""
    return Identity(member=f"member-{number % members}", site=f"site-{number}", gateway=f"gw-{number}")


def plant_payloads(number: int, batches: int) -> Iterator[bytes]:
    """The scan payloads of a plant: ten rooms whose compressors come and go, measured to 0.1 K."""
    chance = Random(number)
    levels = [chance.uniform(-22.0, 6.0) for _ in range(CHANNELS)]
    cooling = [chance.random() < 0.5 for _ in range(CHANNELS)]
    drift = [0.0] * CHANNELS
    for first in range(0, batches * ROWS, ROWS):
        rows = []
        for slot in range(first, first + ROWS):
            values = []
            for room in range(CHANNELS):
                drift[room] += -0.03 if cooling[room] else 0.02
                if abs(drift[room]) > 1.2:
                    cooling[room] = drift[room] > 0
                values.append(round(levels[room] + drift[room] + chance.gauss(0, 0.05), 1))
            rows.append(Scan(0, slot, slot * PERIOD_MS + 7, array("d", values), bytes(CHANNELS)))
        yield encode_scans(LAYOUT, rows)


def make_fleet(count: int, batches: int, *, members: int = 10, start_ms: int) -> list[Gateway]:
    """Gateways with ``batches`` batches of scans each, and events beside them."""
    plants = [list(plant_payloads(number, batches)) for number in range(min(PLANTS, count))]
    layout = encode_events([Event("layout", 500, {"id": layout_id(LAYOUT), "layout": layout_cbor(LAYOUT)})])
    fleet = []
    for number in range(count):
        identity = identity_of(number, members)
        gateway = Gateway(identity, Key.of(identity.urn), start_ms)
        registration = registration_payload(
            gateway.key.public, identity, config_digest=sha256(b"").digest(), storage="file", software="fleet"
        )
        for stream in STREAMS:
            gateway.seal(stream, registration, REGISTRATION_TYPE)
        gateway.seal("event", layout, EVENT_TYPE)
        for payload in plants[number % len(plants)]:
            gateway.seal("scan", payload, SCAN_TYPE)
        fleet.append(gateway)
    return fleet


def write_cargo(
    path: Path, fleet: Sequence[Gateway], disturbers: Sequence[tuple[str, Sequence[Shout]]] = ()
) -> None:
    """Write the file that the simulator reads (format: fleet_cargo.c)."""
    with path.open("wb") as file:
        file.write(b"AURFLEET" + struct.pack("<I", len(fleet) + len(disturbers)))
        for gateway in fleet:
            counts = [len(gateway.bodies[stream]) for stream in STREAMS]
            file.write(_text(gateway.client) + _text(gateway.identity.urn))
            file.write(struct.pack("<4I", gateway.flags, *counts, 0))
            for stream in STREAMS:
                for body in gateway.bodies[stream]:
                    file.write(struct.pack("<I", len(body)) + body)
        for name, shouts in disturbers:
            file.write(_text(name) + _text("") + struct.pack("<4I", 0, 0, 0, len(shouts)))
            for shout in shouts:
                file.write(_text(shout.topic) + struct.pack("<3I", shout.victim, shout.least, len(shout.body)))
                file.write(shout.body)


def read_fleet(path: Path, members: int, start_ms: int) -> list[Gateway]:
    """The gateways of a file without disturbers, as `make_fleet` made them."""
    data = memoryview(path.read_bytes())
    (count,) = struct.unpack_from("<I", data, 8)
    at, fleet = 12, []
    for number in range(count):
        for _ in range(2):
            at += 2 + struct.unpack_from("<H", data, at)[0]
        flags, *counts, _ = struct.unpack_from("<4I", data, at)
        at += 16
        identity = identity_of(number, members)
        gateway = Gateway(identity, Key.of(identity.urn), start_ms, flags=flags)
        for stream, batches in zip(STREAMS, counts, strict=True):
            for _ in range(batches):
                (length,) = struct.unpack_from("<I", data, at)
                body = bytes(data[at + 4 : at + 4 + length])
                at += 4 + length
                gateway.bodies[stream].append(body)
                gateway.leaves[stream].append(leaf_hash(body))
        fleet.append(gateway)
    return fleet


def kept_fleet(
    folder: Path, count: int, batches: int, *, now_ms: int, members: int = 10
) -> tuple[Path, list[Gateway]]:
    """The fleet from ``folder``, made there first when it is not; the file and its gateways.

    Its last batches were sealed before ``now_ms`` of the day on which it was made.
    """
    path = folder / f"fleet-{count}-{batches}.cargo"
    about = path.with_suffix(".json")
    known = json.loads(about.read_text()) if path.exists() and about.exists() else {}
    if known.get("version") == VERSION:
        return path, read_fleet(path, members, known["start_ms"])
    folder.mkdir(parents=True, exist_ok=True)
    start_ms = now_ms - (batches + 1) * ROWS * PERIOD_MS
    fleet = make_fleet(count, batches, members=members, start_ms=start_ms)
    write_cargo(path, fleet)
    about.write_text(json.dumps({"version": VERSION, "start_ms": start_ms}))
    return path, fleet


def _text(words: str) -> bytes:
    data = words.encode()
    return struct.pack("<H", len(data)) + data
