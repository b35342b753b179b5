"""The follower: one gateway after the other, from where the tables stand to where its evidence stands.

A step is one transaction: the derived rows and how far they go (``progress``) become durable together, so that a
follower may be killed at any moment. Several followers share the work: whoever works on a gateway holds its row of
``progress``, and others take another one. Nothing is asked of the order in which batches came in: a stream is read
only as far as its tree goes, and what waits for something (a layout, the time of a boot, a body) is noted in
``unread`` and read when that comes.
"""

import logging
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.cluster.database import Database
from gateway.cluster.derive.days import close_days, over, tidy
from gateway.cluster.derive.fold import Folded
from gateway.cluster.derive.plain import Offset, offset_of
from gateway.cluster.derive.progress import Stand, batch_bodies, claim, keep, ready, tree_sizes, waiting
from gateway.cluster.derive.scans import Readings
from gateway.cluster.derive.tables import EVENT, SCAN, Tables
from gateway.errors import SealError, StorageError
from gateway.model import Layout
from gateway.seal.batch import SCAN_TYPE, open_batch
from gateway.seal.columns import decode_scans, peek_scans

__all__ = ["Follower", "Options"]

log = logging.getLogger(__name__)

TURN = 50
"""Gateways between two looks."""
REST_MS = 60_000
"""How long a gateway is left alone whose tables could not be written."""
ABSENT = "no-body"
VALUE_COST = 10
"""What a row for a value takes of memory, as against a place in a column."""
ALL = 2**62
"""As if all events were known."""
LAYOUTS = 256
"""Layouts that are kept in memory."""


class Options(NamedTuple):
    """How to follow.

    ``values``: a row in ``value`` for each value, too. ``lag_ms``: how long scans may wait for more of their kind,
    since a round costs a row for each channel however few values it has; ``enough`` batches are not waited with.
    ``batches``: how many one transaction takes, ``cells`` after how many values it ends early.
    """

    values: bool = False
    lag_ms: int = 30_000
    enough: int = 64
    batches: int = 128
    cells: int = 2_000_000


@dataclass(slots=True)
class _Round:
    """What one step knows and gathers."""

    tables: Tables
    boots: dict[bytes, Offset]
    readings: Readings = field(default_factory=Readings)
    unread: list[tuple[int, str, bytes | None]] = field(default_factory=list)
    """Of the scan stream."""


class Follower:
    """Follows all gateways of a store."""

    def __init__(self, database: Database, options: Options | None = None) -> None:
        self._database = database
        self._options = options or Options()
        self._layouts: dict[tuple[int, bytes], Layout] = {}
        self._rest: dict[int, int] = {}
        """Gateways that are left alone, and since when."""

    async def step(self, now_ms: int) -> int:
        """Take gateways that have something new one step further, `TURN` at most; returns how many were.

        Then it is time to look again: an alarm does not wait until a backlog of others is done.
        """
        done = 0
        for gateway in await self._waiting(now_ms):
            if done >= TURN:
                break
            since_ms = self._rest.get(gateway)
            # A clock that was set back does not make the rest longer.
            if since_ms is not None and 0 <= now_ms - since_ms < REST_MS:
                continue
            try:
                done += await self._advance(gateway, now_ms)
            except Exception as error:
                # `StorageError`, `SealError` (a row of our own that cannot be read back), or a defect of ours.
                if since_ms is None:
                    defect = None if isinstance(error, StorageError | SealError) else error
                    log.warning("tables of gateway %d are not written: %s", gateway, error, exc_info=defect)
                self._rest[gateway] = now_ms
            else:
                if self._rest.pop(gateway, None) is not None:
                    log.info("tables of gateway %d are written again", gateway)
        return done

    async def catch_up(self, now_ms: int) -> None:
        """Step until nothing is left that can be done now."""
        while await self.step(now_ms):
            pass

    async def _waiting(self, now_ms: int) -> list[int]:
        async with self._database.transaction(write=False) as work:
            lag_ms, enough = self._options.lag_ms, self._options.enough
            return await waiting(work, now_ms=now_ms, lag_ms=lag_ms, enough=enough, day=over(now_ms))

    async def _advance(self, gateway: int, now_ms: int) -> bool:
        """One transaction for one gateway; whether it brought anything."""
        async with self._database.transaction() as work:
            stand = await claim(work, gateway)
            if stand is None:
                return False
            return await self._work(Tables(work, gateway, stand.member), stand, now_ms)

    async def _work(self, tables: Tables, stand: Stand, now_ms: int) -> bool:
        sizes = await tree_sizes(tables.work, tables.gateway)
        taking = _Round(tables, await tables.boots())
        event_next = await self._events(taking, stand.event_next, sizes[EVENT])
        scan_next, waits = stand.scan_next, sizes[SCAN] - stand.scan_next
        waited_ms = now_ms - stand.worked_ms
        due = waits >= self._options.enough or not 0 <= waited_ms < self._options.lag_ms
        if waits and due:
            scan_next = await self._scans(taking, stand.scan_next, event_next, sizes[SCAN])
        late, more = await self._late(taking)
        await tables.note_unread(SCAN, taking.unread)
        place, days = stand.round, list[int]()
        if taking.readings.cells:
            place += 1
            days = await tables.write_readings(taking.readings, place, values=self._options.values)
            await tidy(tables.work, tables.gateway, tables.member, place)
        open_days = [*days[:1], *([] if stand.open_day is None else [stand.open_day])]
        # While a backlog comes in, the day that it has come to is not over.
        coming = days[-1:] if scan_next < sizes[SCAN] else []
        limit = min([over(now_ms), *coming])
        closing = bool(open_days) and min(open_days) < limit
        open_day = min(open_days, default=None)
        if closing:
            open_day = await close_days(tables.work, tables.gateway, tables.member, limit)
        after = stand._replace(
            event_next=event_next,
            scan_next=scan_next,
            round=place,
            worked_ms=now_ms if waits and due else stand.worked_ms,
            open_day=open_day,
            late=int(more),
        )
        await keep(tables.work, tables.gateway, after)
        return closing or late > 0 or after._replace(worked_ms=0) != stand._replace(worked_ms=0)

    async def _events(self, taking: _Round, first: int, size: int) -> int:
        """Fold the next event batches; returns the sequence that follows."""
        end = min(size, first + self._options.batches)
        if first >= end:
            return first
        tables = taking.tables
        before = await tables.settings()
        folded = Folded(taking.boots, before)
        for seq, body in await batch_bodies(tables.work, tables.gateway, EVENT, range(first, end)):
            _fold(folded, seq, body)
        await self._take(taking, folded)
        await tables.write_events(folded, before)
        return end

    async def _take(self, taking: _Round, folded: Folded) -> None:
        """What sensors had kept goes among the readings, as soon as its time is known."""
        for late in folded.late:
            offset = offset_of(late.clock, taking.boots)
            if offset is None:
                await taking.tables.note_unread(
                    EVENT, [(late.seq, "no-time: of what is backfilled", late.clock.boot)]
                )
                continue
            try:
                await taking.tables.add_late(late)
                taking.readings.backfill(late.backfill, offset[0])
            except SealError as error:
                folded.unread.append((late.seq, str(error)))

    async def _scans(self, taking: _Round, first: int, event_next: int, size: int) -> int:
        """Read the next scan batches, as far as their layouts can be known; returns the sequence that follows."""
        end = min(size, first + self._options.batches)
        tables = taking.tables
        for seq, body in await batch_bodies(tables.work, tables.gateway, SCAN, range(first, end)):
            if not await self._scan(taking, seq, body, event_next):
                return seq
            if taking.readings.cells > self._options.cells // (VALUE_COST if self._options.values else 1):
                return seq + 1
        return end

    async def _scan(self, taking: _Round, seq: int, body: bytes | None, event_next: int) -> bool:
        """Read one batch, or note why not; False when its layout may come with events that are on their way."""
        if body is None:
            taking.unread.append((seq, ABSENT, None))
            return True
        try:
            batch = open_batch(body)
            if batch.content_type != SCAN_TYPE:
                return True
            name = peek_scans(batch.payload).layout_id
            layout = await self._layout(taking.tables, name)
            if layout is None:
                if batch.other is not None and batch.other.seq >= event_next:
                    return False
                taking.unread.append((seq, f"no-layout: {name.hex()} is in no event", name))
                return True
            offset = offset_of(batch.clock, taking.boots)
            if offset is None:
                taking.unread.append((seq, f"no-time: of boot {batch.clock.boot.hex()}", batch.clock.boot))
                return True
            taking.readings.add(layout, decode_scans(layout, batch.payload), offset[0])
        except SealError as error:
            taking.unread.append((seq, str(error), None))
        return True

    async def _layout(self, tables: Tables, name: bytes) -> Layout | None:
        key = tables.gateway, name
        layout = self._layouts.get(key)
        if layout is None:
            layout = await tables.layout(name)
            if layout is not None:
                if len(self._layouts) >= LAYOUTS:
                    del self._layouts[next(iter(self._layouts))]
                self._layouts[key] = layout
        return layout

    async def _late(self, taking: _Round) -> tuple[int, bool]:
        """Read what has waited, as far as what it waited for is there.

        Returns how many batches that were, and whether there can be more: events may be what others wait for.
        """
        tables = taking.tables
        found = await ready(tables.work, tables.gateway, self._options.batches)
        await self._late_events(taking, found[EVENT])
        for seq, body in await batch_bodies(tables.work, tables.gateway, SCAN, found[SCAN]):
            await tables.forget_unread(SCAN, [seq])
            await self._scan(taking, seq, body, ALL)
        count = sum(map(len, found.values()))
        return count, bool(found[EVENT]) or count >= self._options.batches

    async def _late_events(self, taking: _Round, seqs: list[int]) -> None:
        """Event batches whose values waited for the time, or whose body came after all."""
        tables = taking.tables
        for seq, body in await batch_bodies(tables.work, tables.gateway, EVENT, seqs):
            await tables.forget_unread(EVENT, [seq])
            folded = Folded(taking.boots, None)
            _fold(folded, seq, body)
            await self._take(taking, folded)
            if await tables.has_events(seq):
                await tables.note_unread(EVENT, ((at, why, None) for at, why in folded.unread))
                continue
            await tables.write_events(folded, None)
            await tables.fold_settings_again()


def _fold(folded: Folded, seq: int, body: bytes | None) -> None:
    if body is None:
        folded.unread.append((seq, ABSENT))
        return
    try:
        folded.add(open_batch(body))
    except SealError as error:
        folded.unread.append((seq, str(error)))
