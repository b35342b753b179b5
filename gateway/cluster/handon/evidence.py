"""Readings of a gateway in a stretch of time, out of its signed batches, with all that a batch says of them.

The derived tables say where layouts and the time of boots are; the values come from the evidence itself, so that
each can name the batch it stands in. One batch is in memory at a time.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

from gateway.cluster.database import Work
from gateway.errors import RecordError, SealError
from gateway.records import Archive, Reading
from gateway.seal.backfill import BACKFILL
from gateway.seal.columns import layout_from_cbor

__all__ = ["Left", "Source", "readings"]

SLACK_MS = 7 * 86_400_000
"""A batch is sealed minutes after its first value, by the clock of the same boot: no later one is opened."""
EVENT, SCAN = 0, 1


@dataclass(frozen=True, slots=True)
class Source:
    """A gateway, and the stretch ``from_ms`` <= time < ``to_ms`` (Unix ms)."""

    gateway: int
    name: str
    from_ms: int
    to_ms: int


@dataclass(slots=True)
class Left:
    """What an export cannot hold, counted."""

    timeless: int = 0
    """Readings of batches whose time is not known (yet)."""
    erased: int = 0
    """Batches whose body retention has taken."""
    unread: int = 0
    """Batches that the gateway's tables do not know yet, or that cannot be read."""
    names: set[str] = field(default_factory=set)
    """Units without a name in EPCIS."""

    def words(self) -> list[str]:
        """A line for each that is not zero."""
        lines = []
        if self.timeless:
            lines.append(f"{self.timeless} readings have no known time and are left out")
        if self.erased:
            lines.append(f"{self.erased} batches have no body any more (retention), and are left out")
        if self.unread:
            lines.append(f"{self.unread} batches could not be read yet, and are left out: see the ledger")
        if self.names:
            lines.append(f"units without a name in EPCIS are left out: {', '.join(sorted(self.names))}")
        return lines


async def readings(work: Work, source: Source, left: Left) -> AsyncIterator[list[Reading]]:
    """The readings batch by batch: scans in their order, then what was filled in later from sensors' memories.

    A run of missed slots belongs to the stretch when any of it does. Raises `RecordError` where the follower has
    not yet read the events of the gateway.
    """
    archive = await _archive(work, source)
    periods = {device.id: device.period_ms for known in archive.layouts.values() for device in known.devices}
    size = await _size(work, source.gateway, SCAN)
    scans = (
        "SELECT body FROM batch WHERE gateway = $1 AND stream = 1 AND seq < $2 "
        "AND (sealed_ms IS NULL OR (sealed_ms >= $3 AND sealed_ms < $4)) ORDER BY seq"
    )
    async for (body,) in work.rows(scans, source.gateway, size, source.from_ms, source.to_ms + SLACK_MS):
        if body is None:
            left.erased += 1
            continue
        try:
            found = list(archive.readings([bytes(body)]))
        except SealError:
            left.unread += 1
            continue
        if kept := list(_within(found, source, periods, left)):
            yield kept
    late = (
        "SELECT DISTINCT b.seq, b.body FROM event e JOIN batch b ON b.gateway = e.gateway AND b.stream = 0 "
        "AND b.seq = e.seq WHERE e.gateway = $1 AND e.kind = $2 AND b.body IS NOT NULL ORDER BY b.seq"
    )
    async for _, body in work.rows(late, source.gateway, BACKFILL):
        events = Archive(corrections=dict(archive.corrections))
        try:
            for _ in events.add_events([bytes(body)]):
                pass
            events.corrections |= archive.corrections
            found = list(events.backfilled())
        except SealError:
            left.unread += 1
            continue
        if kept := list(_within(found, source, periods, left)):
            yield kept


def _within(found: Iterable[Reading], source: Source, periods: dict[str, int], left: Left) -> Iterator[Reading]:
    for reading in found:
        if reading.utc_ms is None:
            left.timeless += reading.slots
            continue
        last_ms = reading.utc_ms + (reading.slots - 1) * periods.get(reading.device, 0)
        if reading.utc_ms < source.to_ms and last_ms >= source.from_ms:
            yield reading


async def _archive(work: Work, source: Source) -> Archive:
    found = await work.fetch("SELECT event_next FROM progress WHERE gateway = $1", source.gateway)
    if not found or int(found[0][0]) < await _size(work, source.gateway, EVENT):
        raise RecordError(
            f"the tables do not yet hold all events of {source.name}", "let `aurora-cluster derive` catch up"
        )
    layouts = await work.fetch("SELECT name, body FROM layout WHERE gateway = $1", source.gateway)
    boots = await work.fetch("SELECT boot, offset_ms, error_ms FROM boot WHERE gateway = $1", source.gateway)
    return Archive(
        layouts={bytes(name): layout_from_cbor(bytes(body)) for name, body in layouts},
        corrections={bytes(boot): (int(offset_ms), int(error_ms)) for boot, offset_ms, error_ms in boots},
    )


async def _size(work: Work, gateway: int, stream: int) -> int:
    found = await work.fetch("SELECT size FROM stream WHERE gateway = $1 AND stream = $2", gateway, stream)
    return int(found[0][0]) if found else 0
