"""Values for the outputs that take them: a bounded queue for each, filled by the path, emptied in the output's
thread.

The path only appends to a queue. A full queue loses its oldest, which is counted and said: the record has them in
any case. What could not be given when it was new is marked as stored. How far it came is kept on disk, and what an
earlier process did not give is read from the journal: each value is given at least once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import islice
from math import isnan
from typing import NamedTuple

from gateway.api import DeviceInfo, Output, OutputError, Reading, Value
from gateway.errors import AuroraError, StorageError
from gateway.model import ClockClaim, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.notify.lane import SETTLE_S, Lane
from gateway.notify.mark import Mark, Recall, last_slot
from gateway.notify.stats import FeedStats
from gateway.site import PointSpec

__all__ = ["Feed", "infos"]

log = logging.getLogger(__name__)

MOST = 20_000
"""Records that may wait: at 20 devices and 10 s nearly three hours, and a few megabytes."""
AT_ONCE = 500
LINGER_S = 0.2
"""How long to gather before giving: a call for each scan would wake a thread each time."""
LONGEST_REST_S = 60.0
KEEP_S = 120.0
"""How often the mark is written: what was given since then is given once more after a crash."""

SLOW_MS = 60_000
"""A record is put at most so long after its own time. The mark's time counts only for devices of which nothing has
been given yet, so an earlier one gives nothing twice."""


class _Entry(NamedTuple):
    """A record that waits. ``clock`` is that of an earlier boot, None for the present one."""

    number: int
    put_ms: int
    record: Scan | Miss
    device: DeviceLayout
    clock: ClockClaim | None = None


class Memory(NamedTuple):
    """What lets a feed go on where an earlier process ended: its mark, how to keep one, the way to the journal."""

    mark: Mark | None
    keep: Callable[[str], Awaitable[None]]
    recall: Recall


def infos(layout: Layout) -> tuple[DeviceInfo, ...]:
    """The devices as outputs know them."""
    return tuple(
        DeviceInfo(
            device.id,
            device.model,
            device.period_ms / 1000,
            {column.channel: column.unit for column in device.columns if column.role == "value"},
        )
        for device in layout.devices
    )


class Feed:
    """The queue of one output, and the task that empties it. Without ``again``, what failed is not given again;
    without ``memory``, what was not given is not given by the next process either.
    """

    def __init__(
        self,
        lane: Lane,
        layout: Layout,
        points: Sequence[PointSpec],
        clock: Callable[[], ClockClaim],
        *,
        rest_s: float = 5.0,
        most: int = MOST,
        longest_s: float = LONGEST_REST_S,
        again: bool = True,
        memory: Memory | None = None,
    ) -> None:
        self.spec = lane.spec
        self.stats = lane.stats.values = FeedStats()
        self._lane = lane
        self._layout = layout
        self._clock = clock
        self._rest_s, self._most, self._longest_s, self._again = rest_s, most, longest_s, again
        self._memory = memory
        self._recalled = memory is None
        self._given = dict(memory.mark.slots) if memory is not None and memory.mark is not None else {}
        self._first: dict[str, int] = {}
        """The first slot of each device that came by itself: what is read from the journal ends before it."""
        self._kept_s = -KEEP_S
        self._giving: asyncio.Future[float | None] | None = None
        self._queue: deque[_Entry] = deque()
        self._number = 0
        self._live_from = 0
        """Records with a lower number are stored ones: they were new while the output failed."""
        self._failing = self._losing = False
        self._arrived = asyncio.Event()
        self._points: dict[tuple[str, str], tuple[str, ...]] = {}
        for point in points:
            key = point.device, point.channel
            self._points[key] = (*self._points.get(key, ()), point.id)

    def put(self, record: Scan | Miss) -> None:
        """Queue a record; never waits."""
        if len(self._queue) >= self._most:
            self._queue.popleft()
            self.stats.dropped += 1
            if not self._losing:
                self._losing = True
                log.warning("output %s takes values too slowly: the oldest are not given", self.spec.id)
        self._number += 1
        device = self._layout.devices[record.device]
        self._first.setdefault(device.id, record.slot)
        self._queue.append(_Entry(self._number, self._clock().boot_ms, record, device))
        self.stats.queued = len(self._queue)
        self._arrived.set()

    async def run(self) -> None:
        """Give what waits, until cancelled."""
        if not self._recalled:
            await self._remember()
        rests = 0
        while True:
            await self._arrived.wait()
            await asyncio.sleep(LINGER_S)
            # A stop must not come between the output's taking and the note of it.
            self._giving = asyncio.ensure_future(self._give())
            rest_s = await asyncio.shield(self._giving)
            if asyncio.get_running_loop().time() - self._kept_s >= KEEP_S:
                await self._keep()
            if rest_s is None:
                rests = 0
                continue
            await asyncio.sleep(max(rest_s, min(self._longest_s, self._rest_s * 2.0 ** min(rests, 10))))
            rests += 1

    async def close(self) -> None:
        """After `run` was cancelled: let what is under way be taken, for a moment, and keep how far it came."""
        if self._giving is not None and not self._giving.done():
            await asyncio.wait([self._giving], timeout=SETTLE_S)
            self._giving.cancel()
        await self._keep()

    async def _remember(self) -> None:
        """Queue what an earlier process did not give, before what has come since."""
        assert self._memory is not None
        if (mark := self._memory.mark) is not None:
            try:
                found, whole = await self._memory.recall(mark, self._most)
            except AuroraError as error:
                log.error("output %s: what was not given before the start cannot be read: %s", self.spec.id, error)
                found, whole = [], True
            claim, present = self._clock(), {device.id: device for device in self._layout.devices}
            missed = []
            for clock, device, record in found:
                if clock.boot == claim.boot and record.slot >= self._first.get(device.id, record.slot + 1):
                    continue  # It has come by itself.
                if present.get(device.id) == device:
                    missed.append((record, device, None if clock.boot == claim.boot else clock))
            room = max(0, self._most - len(self._queue))
            left, missed = len(missed) - room, missed[max(0, len(missed) - room) :]
            if left > 0 or not whole:
                self.stats.dropped += max(0, left)
                log.warning("output %s: the oldest of what waits for it is not given", self.spec.id)
            # Numbered before the first that came by itself, and so told as stored ones.
            entries = [
                _Entry(n - len(missed) + 1, _at_ms(record, device), record, device, clock)
                for n, (record, device, clock) in enumerate(missed)
            ]
            self._queue.extendleft(reversed(entries))
            self._live_from = max(self._live_from, 1)
            self.stats.queued = len(self._queue)
            if entries:
                log.info("output %s is given %d records of before the start", self.spec.id, len(entries))
                self._arrived.set()
        self._recalled = True
        await self._keep()

    async def _keep(self) -> None:
        """Write down how far it came; before the journal was read that still stands as it is."""
        if self._memory is None or not self._recalled:
            return
        claim = self._clock()
        at_ms = (self._queue[0].put_ms if self._queue else claim.boot_ms) - SLOW_MS
        if self._queue and self._queue[0].number < 1:
            # Of what an earlier process left something waits: its mark holds, but for the slots that were given.
            assert self._memory.mark is not None
            mark = Mark(self._memory.mark.boot, self._memory.mark.at_ms, self._given)
        else:
            mark = Mark(claim.boot, at_ms, self._given)
        self._kept_s = asyncio.get_running_loop().time()
        # A queue that cannot be written is said by whoever keeps it; the values are given all the same.
        with suppress(StorageError):
            await self._memory.keep(mark.text())

    async def _give(self) -> float | None:
        """Give one batch; None when it was taken, else the least seconds to wait."""
        batch = list(islice(self._queue, AT_ONCE))
        if not batch:
            self._arrived.clear()
            return None
        live_from = self._number + 1 if self._failing else self._live_from
        claim = self._clock()

        async def take(output: Output) -> None:
            await output.take(
                [self._reading(entry, entry.clock or claim, stored=entry.number < live_from) for entry in batch]
            )

        failure: OutputError | None = None
        try:
            await self._lane.cell.call(take)
        except OutputError as error:
            failure = error
        again = failure is not None and failure.retry and self._again
        done = min(len(batch), max(0, failure.taken)) if again and failure is not None else len(batch)
        self._leave(batch[:done])
        if failure is None:
            self.stats.taken += done
            self._recovered(live_from)
            return None
        self._failing = True
        self._lane.failed(failure)
        if again:
            self.stats.taken += done
        else:
            self.stats.refused += done
        return failure.after_s

    def _leave(self, done: Sequence[_Entry]) -> None:
        """Take from the queue what is done; a full queue may have lost some of it meanwhile."""
        if done:
            last = done[-1].number
            while self._queue and self._queue[0].number <= last:
                self._queue.popleft()
            if self._memory is not None:
                boot = self._clock().boot
                for entry in done:
                    boot_of = boot if entry.clock is None else entry.clock.boot
                    self._given[entry.device.id] = boot_of, last_slot(entry.record)
        if not self._queue:
            self._arrived.clear()
            if self._losing:
                self._losing = False
                log.info(
                    "output %s takes values in time again; %d were not given", self.spec.id, self.stats.dropped
                )
        self.stats.queued = len(self._queue)

    def _recovered(self, live_from: int) -> None:
        self._lane.succeeded()
        self._failing, self._live_from = False, live_from

    # records as plugins see them; in the output's thread

    def _reading(self, entry: _Entry, claim: ClockClaim, *, stored: bool) -> Reading:
        device, record, at_ms = entry.device, entry.record, entry.put_ms
        if isinstance(record, Scan):
            at_ms, count, answered = record.at_ms, 1, True
            values = self._values(device, record)
        else:
            count, answered = record.count, False
            quality = Quality(record.quality)
            values = [
                self._value(device, position, None, quality)
                for position, column in enumerate(device.columns)
                if column.role == "value"
            ]
        utc_ms = claim.utc_at(at_ms)
        return Reading(device.id, record.slot, count, at_ms, utc_ms, answered, stored, tuple(values))

    def _values(self, device: DeviceLayout, scan: Scan) -> list[Value]:
        found = []
        for position, column in enumerate(device.columns):
            if column.role == "value":
                quality, value = Quality(scan.quality[position]), scan.values[position]
                found.append(self._value(device, position, None if quality.bad or isnan(value) else value, quality))
        return found

    def _value(self, device: DeviceLayout, position: int, value: float | None, quality: Quality) -> Value:
        column = device.columns[position]
        return Value(
            column.channel,
            value,
            column.unit,
            column.decimals,
            quality.severity,
            quality.name.lower(),
            self._points.get((device.id, column.channel), ()),
        )


def _at_ms(record: Scan | Miss, device: DeviceLayout) -> int:
    """When a record of the journal was over, as its boot counts."""
    if isinstance(record, Scan):
        return record.at_ms
    return last_slot(record) * device.period_ms + device.phase_ms
