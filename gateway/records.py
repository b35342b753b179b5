"""From signed batches back to readings: the one way in which export, report and account read the record."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from firmware_interfaces.quality import BAD
from gateway.errors import SealError
from gateway.model import ClockClaim, Event, Layout, Miss, Quality, Scan
from gateway.seal.backfill import BACKFILL, read_backfill
from gateway.seal.batch import EVENT_TYPE, SCAN_TYPE, OpenBatch, open_batch
from gateway.seal.columns import decode_events, decode_scans, layout_from_cbor, peek_scans

if TYPE_CHECKING:
    from gateway.buffer.reader import Reader

__all__ = ["Archive", "Reading", "StoredEvent", "backwards"]

AT_ONCE = 50


class Reading(NamedTuple):
    """One value of one column at one time. ``utc_ms`` and ``error_ms`` are None where the time is not known.

    ``value`` is None exactly where the quality is bad. A missed slot has one reading per device, without channel.
    """

    utc_ms: int | None
    error_ms: int | None
    boot: bytes
    boot_ms: int
    slot: int
    slots: int
    """How many slots the row speaks for: 1, or the length of a missed run."""
    device: str
    channel: str
    role: str
    value: float | None
    decimals: int | None
    unit: str
    quality: Quality
    batch: int | None
    """Sequence of the scan batch that holds it (of a backfilled one, the event batch); None while it waits."""


class StoredEvent(NamedTuple):
    """One event with the wall-clock time it had, as far as that is known."""

    utc_ms: int | None
    boot: bytes
    event: Event
    batch: int


@dataclass(slots=True)
class Archive:
    """What the event stream says that is needed to read scans: layouts, and corrections of boots without time.

    Feed all event batches first (`add_events`), then read scan batches in any order (`readings`).
    """

    layouts: dict[bytes, Layout] = field(default_factory=dict)
    corrections: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Boot id to (UTC minus boot time, largest error), both in milliseconds."""
    _backfills: list[tuple[ClockClaim, Event, int]] = field(default_factory=list)

    def add_events(self, bodies: Iterable[bytes]) -> Iterator[StoredEvent]:
        """Yield the events of event batches, once all layouts and clock corrections in them are known."""
        found: list[tuple[OpenBatch, Event]] = []
        for body in bodies:
            batch = open_batch(body)
            if batch.content_type != EVENT_TYPE:
                continue
            for event in decode_events(batch.payload):
                self._note(event)
                if event.kind == BACKFILL:
                    self._backfills.append((batch.clock, event, batch.seq))
                found.append((batch, event))
        for batch, event in found:
            yield StoredEvent(self._time(batch.clock, event.at_ms)[0], batch.clock.boot, event, batch.seq)

    def _note(self, event: Event) -> None:
        data = event.data
        if event.kind == "layout":
            self.layouts[bytes(data["id"])] = layout_from_cbor(bytes(data["layout"]))
        elif event.kind == "clock.correction":
            self.corrections[bytes(data["boot"])] = int(data["offset_ms"]), int(data["error_ms"])

    def claim(self, clock: ClockClaim) -> ClockClaim:
        """The claim of a batch, with the time of a later correction where its own clock was untrusted."""
        if clock.utc_ms is None and (correction := self.corrections.get(clock.boot)) is not None:
            return clock._replace(utc_ms=clock.boot_ms + correction[0], error_ms=correction[1])
        return clock

    def _time(self, clock: ClockClaim, boot_ms: int) -> tuple[int | None, int | None]:
        known = self.claim(clock)
        return known.utc_at(boot_ms), known.error_ms

    def scans(self, body: bytes) -> tuple[OpenBatch, Layout, list[Scan | Miss]]:
        """The records of one scan batch; raises `SealError` ``no-layout`` when its layout is not on record."""
        batch = open_batch(body)
        if batch.content_type != SCAN_TYPE:
            return batch, Layout(()), []
        name = peek_scans(batch.payload).layout_id
        layout = self.layouts.get(name)
        if layout is None:
            raise SealError("no-layout", f"layout {name.hex()} of scan batch {batch.seq} is in no event batch")
        return batch, layout, decode_scans(layout, batch.payload)

    def readings(self, bodies: Iterable[bytes]) -> Iterator[Reading]:
        """Every value and every missed slot of scan batches, batch by batch, device by device, in slot order."""
        for body in bodies:
            batch, layout, records = self.scans(body)
            yield from self.rows(batch.clock, layout, records, batch.seq)

    def backfilled(self) -> Iterator[Reading]:
        """What was read later from sensors' own memories, of the events that were added; raises `SealError`.

        These are readings beside the missed slots, never in their place.
        """
        for clock, event, seq in self._backfills:
            backfill = read_backfill(event.data)
            for row, column, value in backfill.series():
                utc_ms, error_ms = self._time(clock, row.at_ms)
                yield Reading(
                    utc_ms,
                    None if error_ms is None else error_ms + row.error_ms,
                    clock.boot,
                    row.at_ms,
                    row.slot,
                    1,
                    backfill.device,
                    column.channel,
                    column.role,
                    value,
                    column.decimals,
                    column.unit,
                    Quality.BACKFILLED,
                    seq,
                )

    def rows(
        self, clock: ClockClaim, layout: Layout, records: Iterable[Scan | Miss], batch: int | None
    ) -> Iterator[Reading]:
        """The same for records that share a clock claim; ``batch`` is None for what is not sealed yet."""
        for record in records:
            device = layout.devices[record.device]
            if isinstance(record, Miss):
                due_ms = record.slot * device.period_ms + device.phase_ms
                utc_ms, error_ms = self._time(clock, due_ms)
                yield Reading(
                    utc_ms,
                    error_ms,
                    clock.boot,
                    due_ms,
                    record.slot,
                    record.count,
                    device.id,
                    "",
                    "",
                    None,
                    None,
                    "",
                    Quality(record.quality),
                    batch,
                )
                continue
            utc_ms, error_ms = self._time(clock, record.at_ms)
            for column, value, quality in zip(device.columns, record.values, record.quality, strict=True):
                yield Reading(
                    utc_ms,
                    error_ms,
                    clock.boot,
                    record.at_ms,
                    record.slot,
                    1,
                    device.id,
                    column.channel,
                    column.role,
                    None if quality >= BAD else value,
                    column.decimals,
                    column.unit,
                    Quality(quality),
                    batch,
                )


def backwards(reader: "Reader") -> Iterator[tuple[bytes, int]]:
    """Bodies of the scan batches that are still there, the newest first, each with the time of its last record."""
    bounds = reader.bounds("scan")
    upto = -1 if bounds is None else bounds[1]
    while upto > 0:
        batches = reader.batches("scan", max(1, upto - AT_ONCE + 1), min(AT_ONCE, upto))
        for batch in reversed(batches):
            if batch.body is not None and batch.seq <= upto:
                yield batch.body, batch.last_ms
        upto -= AT_ONCE
