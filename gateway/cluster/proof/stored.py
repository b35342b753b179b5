"""Batches of one gateway out of the store, as certificates and packs need them: never more than they need."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.cluster.database import Work
from gateway.cluster.proof.log import NUMBERS, name_of, stream_name
from gateway.errors import OperatorError, SealError
from gateway.model import Event, Stream
from gateway.seal.backfill import BACKFILL
from gateway.seal.batch import EVENT_TYPE, OpenBatch, open_batch
from gateway.seal.certificate import Ground
from gateway.seal.cose import MessageSigner, PublicKey
from gateway.seal.events import decode_events
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier
from gateway.site import Identity

__all__ = ["Held", "Point", "Source", "events_needed", "gateway_of", "point_of", "scans_of"]

ALWAYS = frozenset({"layout", "key.rotated", "clock.correction", "deleted", "config.changed"})
"""Kinds of events without which scans cannot be read or judged: their batches are always taken along."""
BEFORE, AFTER = 2, 3
"""Scan batches that are taken along on both sides of a period: a scan may end after the batch is closed."""


class Held(NamedTuple):
    """A batch as it is stored, and taken apart."""

    body: bytes
    batch: OpenBatch
    events: Sequence[Event] = ()


class Point(NamedTuple):
    """A point, and the channel that feeds it."""

    name: str
    device: str
    channel: str


class Source(NamedTuple):
    """A gateway in the store: its number, names, keys, and how far both streams have come."""

    id: int
    identity: Identity
    keys: tuple[PublicKey, ...]
    frontiers: dict[Stream, Frontier]

    def ground(self, stream: Stream, signer: MessageSigner, origin: str, now_ms: int) -> Ground:
        """What the cluster vouches for of a stream, newly signed."""
        frontier = self.frontiers[stream]
        sub = stream_name(self.identity, NUMBERS.index(stream))
        receipt = issue_receipt(signer, iss=origin, sub=sub, frontier=frontier, iat=now_ms // 1000)
        return Ground(frontier.size, frontier.root(), receipt)


async def gateway_of(work: Work, client: str) -> Source:
    """The gateway of an MQTT client (``member.gateway``); raises `OperatorError`."""
    rows = await work.fetch(
        "SELECT gateway.id, member.name, gateway.site, gateway.name FROM gateway "
        "JOIN member ON member.id = gateway.member WHERE gateway.client = $1",
        client,
    )
    if not rows:
        raise OperatorError(f"no gateway {client} is enrolled", "write it as MEMBER.GATEWAY, as `ledger` lists it")
    number = int(rows[0][0])
    terms = await work.fetch("SELECT public FROM term WHERE gateway = $1 ORDER BY place", number)
    streams = await work.fetch("SELECT stream, frontier FROM stream WHERE gateway = $1", number)
    frontiers = {NUMBERS[int(stream)]: Frontier.from_bytes(bytes(data)) for stream, data in streams}
    if not all(stream in frontiers and frontiers[stream].size for stream in NUMBERS):
        raise OperatorError(f"{client} has not delivered both of its streams yet", "wait for its first batches")
    keys = tuple(PublicKey.from_pem(str(row[0]).encode()) for row in terms)
    return Source(number, name_of(*rows[0][1:4]), keys, frontiers)


async def point_of(work: Work, source: Source, name: str) -> Point:
    """A point of a gateway; raises `OperatorError`."""
    rows = await work.fetch("SELECT device, channel FROM point WHERE gateway = $1 AND point = $2", source.id, name)
    if not rows:
        raise OperatorError(
            f"{source.identity.client} has no point {name}", "look at its site, or wait until its events are read"
        )
    return Point(name, str(rows[0][0]), str(rows[0][1]))


async def events_needed(
    work: Work, source: Source, *, devices: Sequence[str] = (), lot: str | None = None
) -> list[Held]:
    """The event batches that are needed to read scans, those of a lot, and backfills of some devices; in order."""
    found = []
    async for (body,) in work.rows(
        "SELECT body FROM batch WHERE gateway = $1 AND stream = 0 AND seq < $2 AND body IS NOT NULL ORDER BY seq",
        *(source.id, source.frontiers["event"].size),
    ):
        held = _held(bytes(body))
        if held.batch.seq == 0 or any(_needed(event, devices, lot) for event in held.events):
            found.append(held)
    return found


def _needed(event: Event, devices: Sequence[str], lot: str | None) -> bool:
    if event.kind == BACKFILL:
        return event.data.get("device") in devices
    return event.kind in ALWAYS or is_of_lot(event, lot)


def is_of_lot(event: Event, lot: str | None) -> bool:
    """Whether an event records something of a lot, under its number or as its code is written."""
    return (
        lot is not None
        and event.kind == "record.lot"
        and lot in (event.data.get(name) for name in ("lot", "code", "sscc", "serial"))
    )


async def scans_of(work: Work, source: Source, from_ms: int, to_ms: int) -> list[Held]:
    """The scan batches that can hold slots of a period, with a few more on both sides."""
    size = source.frontiers["scan"].size
    first, last = await _seqs(work, source.id, from_ms, to_ms, size)
    found = []
    async for (body,) in work.rows(
        "SELECT body FROM batch WHERE gateway = $1 AND stream = 1 AND seq >= $2 AND seq <= $3 "
        "AND body IS NOT NULL ORDER BY seq",
        *(source.id, max(0, first - BEFORE), min(size - 1, last + AFTER)),
    ):
        found.append(_held(bytes(body)))
    return found


async def _seqs(work: Work, gateway: int, from_ms: int, to_ms: int, size: int) -> tuple[int, int]:
    """From behind the last batch sealed before the period to the first one sealed after it.

    What lies between may have been sealed without a trusted clock: then only its correction says when it was.
    """
    ((within, before, last, after),) = await work.fetch(
        "SELECT (SELECT min(seq) FROM batch WHERE gateway = $1 AND stream = 1 AND sealed_ms >= $2), "
        "(SELECT max(seq) FROM batch WHERE gateway = $1 AND stream = 1 AND sealed_ms < $2), "
        "(SELECT max(seq) FROM batch WHERE gateway = $1 AND stream = 1 AND sealed_ms < $3), "
        "(SELECT min(seq) FROM batch WHERE gateway = $1 AND stream = 1 AND sealed_ms >= $3)",
        *(gateway, from_ms, to_ms),
    )
    first = 0 if before is None else int(before) + 1
    return (
        first if within is None else min(first, int(within)),
        size - 1 if after is None else max(int(after), last or 0),
    )


def _held(body: bytes) -> Held:
    batch = open_batch(body)
    events: list[Event] = []
    if batch.content_type == EVENT_TYPE:
        try:
            events = decode_events(batch.payload)
        except SealError:
            # It is signed and has its place in the tree; nobody can say what is in it.
            events = []
    return Held(body, batch, events)
