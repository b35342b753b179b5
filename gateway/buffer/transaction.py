"""One commit: records into the tail or a batch, events into a batch, receipts into the state. All or nothing."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.buffer import memory, retention, slots, tail
from gateway.buffer.backlog import weight
from gateway.buffer.ledger import Acknowledgement, Book, Delivered, Filling, Ledger
from gateway.buffer.schema import CODES, ISSUER, KEY, STREAMS, on, page_limit
from gateway.buffer.tail import Group
from gateway.model import ClockClaim, Event, Head, Layout, Miss, Scan, Stream
from gateway.seal.batch import EVENT_TYPE, NO_PREVIOUS, REGISTRATION_TYPE, SCAN_TYPE, seal_batch
from gateway.seal.columns import encode_events, encode_summed, encode_tail, layout_cbor
from gateway.site import BufferSpec

MAX_VALUES: Final = 20_000
"""Values of a scan batch at most."""


@dataclass(slots=True)
class Tally:
    """What was done: sealed, receipts kept, delivered bodies that made room (``gone``), and undelivered ones."""

    batches: int = 0
    values: int = 0
    events: int = 0
    receipts: int = 0
    gone: int = 0
    forced_batches: int = 0
    forced_values: int = 0

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Transaction:
    """What is done between BEGIN and COMMIT on a connection, to a draft of the ledger; ``tally`` counts it."""

    def __init__(self, connection: sqlite3.Connection, draft: Ledger, book: Book, clock: ClockClaim) -> None:
        self.connection = connection
        self.draft = draft
        self.book = book
        self.clock = clock
        self.tally = Tally()
        self._forced: list[retention.Stripped] = []
        self._sealed_scans = False

    def register(self) -> None:
        """Write leaf 0 of each stream, the owner and the key, into a new journal."""
        for stream in STREAMS:
            if self.draft.heads[stream] is None:
                at = self.clock.boot_ms
                self._seal(stream, self.book.registration, REGISTRATION_TYPE, self.clock, (at, at, 0))
        self.set_meta(ISSUER, self.book.iss.encode())
        self.set_meta(KEY, self.book.signer.thumbprint)

    def know_layout(self) -> Event | None:
        """Keep the layout; the event to record when it is a new one."""
        known = self.connection.execute("SELECT 1 FROM layout WHERE hash = ?", (self.book.layout_id,)).fetchone()
        if known is not None:
            return None
        body = layout_cbor(self.book.layout)
        self.connection.execute("INSERT INTO layout(hash, body) VALUES(?, ?)", (self.book.layout_id, body))
        return Event("layout", self.clock.boot_ms, {"id": self.book.layout_id, "layout": body})

    def add_scans(self, records: list[Scan | Miss], *, close: bool) -> None:
        """Take records into the open batch, which is sealed when due or to be closed, else written to the tail."""
        filling = self.draft.filling
        everything = filling.records + records
        if not everything:
            return
        values = filling.values + sum(map(weight, records))
        since = filling.since_ms if filling.records else self._begin(records[0])
        if close or self._due(values, self.clock.boot_ms - since):
            for chunk in split(everything) if values > MAX_VALUES else (everything,):
                self.seal_scans(self.book.layout, chunk, self.clock)
            self.draft.filling = Filling()
            return
        fresh = records if filling.written else everything
        if fresh:
            previous = filling.previous if filling.written else {}
            place = self._write_tail(fresh, previous)
            previous = tail.newest_scans(previous, fresh)
            self.draft.filling = Filling(everything, values, since, place, previous)

    def _write_tail(self, records: list[Scan | Miss], previous: Mapping[int, Scan]) -> tail.Place:
        group = Group(self.clock, self.book.layout_id, encode_tail(self.book.layout, records, previous))
        return tail.append(self.connection, self.draft.filling.place, self.draft.next_seq("scan"), group)

    def seal_scans(self, layout: Layout, records: list[Scan | Miss], clock: ClockClaim) -> None:
        """Seal records of one layout and one boot as a batch."""
        payload, about = encode_summed(layout, records)
        self._seal("scan", payload, SCAN_TYPE, clock, (about.first_ms, about.last_ms, about.values))
        self.tally.values += about.values
        slots.advance(self.draft.slots, layout, clock.boot, records)
        self._sealed_scans = True

    def keep(self, memories: Mapping[str, bytes]) -> None:
        """Keep memories, and with them how far the batches have brought each device. After scans, before events."""
        if self._sealed_scans:
            newest = slots.to_bytes(self.draft.slots, self.clock.boot, self.draft.next_seq("scan") - 1)
            memories = {**memories, slots.MEMORY: newest}
        if memories:
            self.make_room(sum(map(len, memories.values())))
            memory.keep(self.connection, memories, sum(self.draft.next_seq(stream) for stream in STREAMS))

    def add_events(self, events: list[Event]) -> None:
        """Seal events, and those of forced deletions so far, as one batch. To be called last."""
        if not events and not self._forced:
            return
        # Room is made before the events are complete, because a deletion adds one.
        self.make_room(len(encode_events(events)) + 8192 if events else 8192)
        complete = events + [stripped.event(self.clock.boot_ms) for stripped in self._forced]
        times = [event.at_ms for event in complete]
        about = (min(times), max(times), len(complete))
        self._seal("event", encode_events(complete), EVENT_TYPE, self.clock, about)
        self.tally.events += len(complete)

    def acknowledge(self, receipts: Mapping[Stream, Acknowledgement]) -> None:
        """Keep the newest receipt of each stream."""
        for stream, (size, frontier, receipt) in receipts.items():
            code = CODES[stream]
            self.connection.execute(
                "INSERT OR REPLACE INTO stream_state VALUES(?, ?, ?, ?, ?)", (code, code, size, frontier, receipt)
            )
            self.draft.delivered[stream] = Delivered(size, frontier)
            self.tally.receipts += 1

    def set_meta(self, name: str, value: bytes) -> None:
        """Set one entry of table ``meta``."""
        self.connection.execute("DELETE FROM meta WHERE name = ?", (name,))
        self.connection.execute("INSERT INTO meta(name, value) VALUES(?, ?)", (name, value))

    def _begin(self, first: Scan | Miss) -> int:
        """When the oldest record of a batch came; no earlier than a window ago, whatever the record says."""
        now = self.clock.boot_ms
        earliest = now - self.book.spec.loss_window_ms
        return min(max(first.at_ms, earliest), now) if isinstance(first, Scan) else earliest

    def _due(self, values: int, age_ms: int) -> bool:
        spec = self.book.spec
        full = values >= spec.batch_values and age_ms >= spec.batch_min_age_s * 1000
        return full or values > MAX_VALUES or age_ms >= spec.batch_max_age_s * 1000

    def make_room(self, size: int) -> None:
        """Have room for ``size`` bytes of bodies below the byte cap; raises `StoreError` (``full``)."""
        limit = page_limit(self.book.spec.max_bytes)
        gone, forced = retention.make_room(self.connection, self.draft, size, limit)
        self._forced += forced
        self.tally.gone += gone
        self.tally.forced_batches += sum(len(stripped.leaves) for stripped in forced)
        self.tally.forced_values += sum(stripped.values for stripped in forced if stripped.stream == "scan")

    def _seal(
        self, stream: Stream, payload: bytes, content_type: str, clock: ClockClaim, about: tuple[int, int, int]
    ) -> None:
        seq = self.draft.next_seq(stream)
        head = self.draft.heads[stream]
        batch = seal_batch(
            self.book.signer,
            iss=self.book.iss,
            stream=stream,
            seq=seq,
            prev=NO_PREVIOUS if head is None else head.leaf,
            other=self.draft.heads["event" if stream == "scan" else "scan"],
            clock=clock,
            payload=payload,
            content_type=content_type,
        )
        if stream == "scan":
            self.make_room(len(batch.body))
        row = (seq, CODES[stream], batch.leaf, *about, clock.utc_ms, batch.body)
        self.connection.execute(on(stream, "INSERT INTO BATCH VALUES(?, ?, ?, ?, ?, ?, ?, ?)"), row)
        self.draft.heads[stream] = Head(seq, batch.leaf)
        self.tally.batches += 1


def due_ms(filling: Filling, spec: BufferSpec, clock: ClockClaim) -> int | None:
    """Milliseconds until the open batch is due if nothing is added to it; None when none is open."""
    if not filling.records:
        return None
    age = spec.batch_min_age_s if filling.values >= spec.batch_values else spec.batch_max_age_s
    return max(0, round(filling.since_ms + age * 1000 - clock.boot_ms))


def split(records: list[Scan | Miss]) -> Iterator[list[Scan | Miss]]:
    """Records in order, in parts of at most about `MAX_VALUES` values."""
    part: list[Scan | Miss] = []
    values = 0
    for record in records:
        part.append(record)
        values += weight(record)
        if values >= MAX_VALUES:
            yield part
            part, values = [], 0
    if part:
        yield part
