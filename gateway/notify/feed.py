"""Values for the outputs that take them: a bounded queue for each, filled by the path, emptied in the output's
thread.

The path only appends to a queue. A full queue loses its oldest, which is counted and said: the record has them in
any case. What could not be given when it was new is marked as stored.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from math import isnan

from gateway.api import DeviceInfo, Output, OutputError, Reading, Value
from gateway.model import ClockClaim, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.notify.lane import Lane
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
    """The queue of one output, and the task that empties it. Without ``again``, what failed is not given again."""

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
    ) -> None:
        self.spec = lane.spec
        self.stats = lane.stats.values = FeedStats()
        self._lane = lane
        self._layout = layout
        self._clock = clock
        self._rest_s, self._most, self._longest_s, self._again = rest_s, most, longest_s, again
        self._queue: deque[tuple[int, int, Scan | Miss]] = deque()
        """(number, boot time at which it was put, record)"""
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
        self._queue.append((self._number, self._clock().boot_ms, record))
        self.stats.queued = len(self._queue)
        self._arrived.set()

    async def run(self) -> None:
        """Give what waits, until cancelled."""
        rests = 0
        while True:
            await self._arrived.wait()
            await asyncio.sleep(LINGER_S)
            rest_s = await self._give()
            if rest_s is None:
                rests = 0
                continue
            await asyncio.sleep(max(rest_s, min(self._longest_s, self._rest_s * 2.0 ** min(rests, 10))))
            rests += 1

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
                [self._reading(number < live_from, at, record, claim) for number, at, record in batch]
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

    def _leave(self, done: Sequence[tuple[int, int, Scan | Miss]]) -> None:
        """Take from the queue what is done; a full queue may have lost some of it meanwhile."""
        if done:
            last = done[-1][0]
            while self._queue and self._queue[0][0] <= last:
                self._queue.popleft()
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

    def _reading(self, stored: bool, at_ms: int, record: Scan | Miss, claim: ClockClaim) -> Reading:
        device = self._layout.devices[record.device]
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
