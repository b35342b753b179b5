"""One worker per bus: it alone talks on the bus, keeps the grid of its devices, and never stops for one of them."""

import asyncio
import heapq
import logging
import math
from collections.abc import Callable, Sequence

from firmware_interfaces.asked import Line
from firmware_interfaces.errors import BadFrame, BusError, NoAnswer, NotConnected
from gateway.acquire.guests import Guests
from gateway.acquire.keeper import BusStats, Keeper
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Poller, Sink
from gateway.model import Event, Quality

__all__ = ["BusWorker"]

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.2
CONNECT_LIMIT_S = 3.0
FULL_WAIT_EVERY = 8
"""Every so many probes a device that never answered gets the whole time limit, lest a slow one be never found."""
INTRODUCE_AFTER_S = 20.0
"""Identity registers are read in idle time; on a bus that is never idle, after this long."""
IDLE_ENOUGH_S = 0.15


class BusWorker(Keeper[Poller]):
    """Polls the devices of one bus at their slots.

    ``now_ms`` is the boot-time clock; the grid is kept on it. Every slot of every device leaves here exactly once,
    as a scan or within a miss.
    """

    def __init__(
        self,
        bus: str,
        link: Line,
        pollers: Sequence[Poller],
        *,
        sink: Sink,
        now_ms: Callable[[], int],
        metronome: Metronome,
    ) -> None:
        self.link = link
        super().__init__(BusStats(bus, link.kind), pollers, sink=sink, now_ms=now_ms, metronome=metronome)
        self._retry_s = FIRST_RETRY_S
        self._next_connect = 0.0
        self._down = False
        self._probes = 0
        self.lock = asyncio.Lock()
        """Held by whoever talks on the bus: this worker, or an order between two polls."""
        self._napping: int | None = None
        self.guests = Guests(self._wake)
        """Requests of people who look at the bus: served in its idle time alone."""
        link.on_late = self._late_answer

    async def run(self) -> None:
        """Poll for ever. Cancel to stop."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            if not self.link.connected:
                async with self.lock:
                    await self._connect(loop)
            due, _, poller = self._queue[0]
            now = self._now_ms()
            if due > now:
                await self._idle(due, (due - now) / 1000, loop.time() - started)
                continue
            try:
                async with self.lock:
                    await self._serve(poller, now, loop)
            except Exception as error:  # noqa: BLE001 - a device's border: its defect is recorded, the bus goes on
                self._defect(poller, error, loop.time())
            finally:
                heapq.heapreplace(self._queue, (poller.grid.due_ms(poller.next_slot), poller.index, poller))

    def close(self) -> None:
        """Give the bus up."""
        self.link.close()

    def account(self, now: int, late: int = Quality.GATEWAY_DOWN) -> None:
        """Hand over the slots that are due at ``now`` and will not be polled any more: the worker has ended. Those
        that it might still have come to are missed for ``late``.
        """
        for poller in self.pollers:
            owed = poller.grid.slot_at(now) + 1 - poller.next_slot
            if owed > 0:
                cause = self._cause(poller)
                self._missed(poller, owed, late if cause == Quality.LATE else cause)

    def _defect(self, poller: Poller, error: Exception, now: float) -> None:
        """Something of ours broke over one device: it is left alone for a while, its neighbours are not."""
        owed = int(poller.grid.due_ms(poller.next_slot) <= self._now_ms())
        first = not poller.breaker.open
        poller.breaker.silent(now, 0.0)
        self._broke(poller, error, owed, first=first)

    # waiting and connecting

    async def _idle(self, due_ms: int, wait_s: float, running_s: float) -> None:
        if not self.link.connected:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, min(wait_s, self._next_connect - loop.time())))
            return
        if wait_s >= IDLE_ENOUGH_S or running_s > INTRODUCE_AFTER_S:
            stranger = next((p for p in self.pollers if not p.introduced and p.stats.scans), None)
            if stranger is not None and not stranger.breaker.open:
                await self._introduce(stranger)
                return
        if self.guests.waiting and not self.lock.locked():
            async with self.lock:
                served = await self.guests.serve(wait_s, self._polled_in_s)
            if served:
                return
        self._napping = due_ms
        try:
            await self._metronome.until(due_ms, wait_s)
        finally:
            self._napping = None

    def _wake(self) -> None:
        if self._napping is not None:
            self._metronome.ring(self._napping)

    def _polled_in_s(self, unit: int) -> float:
        """Seconds until a unit's own next poll; infinite for one that is not polled."""
        now = self._now_ms()
        dues = (p.grid.due_ms(p.next_slot) - now for p in self.pollers if p.device.unit == unit)
        return min(dues, default=math.inf) / 1000

    async def _introduce(self, poller: Poller) -> None:
        def event(kind: str, data: dict[str, object]) -> None:
            self._sink.event(Event(kind, self._now_ms(), data))

        try:
            async with self.lock:
                await poller.introduce(event, poller.patience.timeout_s)
        except BusError as error:
            poller.introduced = True
            log.info("%s: identity registers could not be read: %s", poller.spec.id, error)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.stats.connected:
            self._lost(self.stats.last_fault or "connection lost")
        now = loop.time()
        if now < self._next_connect:
            return
        try:
            await self.link.open(CONNECT_LIMIT_S)
        except NotConnected as error:
            self.stats.last_fault = str(error)
            self._lost(str(error))
        else:
            self.stats.connected = True
            self.stats.connects += 1
            for poller in self.pollers:
                poller.device.forget_refusals()
                poller.introduced = False
        # An endpoint that accepts and hangs up is not there: only an answer makes the pauses short again.
        self._next_connect = loop.time() + self._retry_s
        self._retry_s = min(2 * self._retry_s, self.link.longest_retry_s)

    def _lost(self, why: str) -> None:
        self.stats.connected = False
        if self._down:
            return
        self._down = True
        self._went_down(why)

    def _proven(self) -> None:
        """A device of the bus has answered."""
        self._retry_s = FIRST_RETRY_S
        if self._down:
            self._down = False
            log.info("bus %s: back", self.stats.id)
            self._came_back()

    # one slot

    async def _serve(self, poller: Poller, now: int, loop: asyncio.AbstractEventLoop) -> None:
        """Account for all slots of a device up to ``now``, and poll the newest."""
        slot = poller.grid.slot_at(now)
        if slot > poller.next_slot:
            self._missed(poller, slot - poller.next_slot, self._cause(poller))
        poller.stats.begun((now - poller.grid.due_ms(slot)) / 1000)
        started = loop.time()
        if not self.link.connected:
            self._missed(poller, 1, Quality.BUS_DOWN)
        elif not poller.breaker.may_ask(started) or self.link.ready_at(poller.device.unit) > started:
            self._missed(poller, 1, Quality.BACKED_OFF)
        else:
            await self._poll(poller, slot, started, loop)

    async def _poll(self, poller: Poller, slot: int, started: float, loop: asyncio.AbstractEventLoop) -> None:
        breaker = poller.breaker
        try:
            if breaker.open:
                await poller.device.probe(self._probe_s(poller))
            answer = await poller.device.poll(poller.patience.timeout_s)
        except NoAnswer as error:
            now = loop.time()
            if not breaker.open:
                log.warning("%s: %s; it is probed until it is back", poller.spec.id, error)
            breaker.silent(now, now - started)
            self._failed(poller, error)
        except BadFrame as error:
            now = loop.time()
            breaker.damaged(now, now - started)
            self._failed(poller, error, error.raw)
        except NotConnected as error:
            self.stats.last_fault = str(error)
            self._failed(poller, error)
        else:
            self._proven()
            if breaker.open:
                log.info("%s: answers again", poller.spec.id)
                poller.introduced = False
                poller.device.forget_refusals()
            if answer.silent:
                breaker.silent(loop.time(), loop.time() - started)
            else:
                breaker.answered()
            poller.patience.heard(answer.slowest_s)
            scan = poller.scan(slot, self._now_ms(), answer)
            poller.stats.answered(loop.time() - started, scan.at_ms)
            poller.next_slot = slot + 1
            self._sink.scan(scan)

    def _probe_s(self, poller: Poller) -> float:
        """Time limit of a probe: short, by what this device needed, or its neighbours where it is a stranger."""
        if poller.stats.scans:
            return poller.patience.probe_s
        self._probes += 1
        if self._probes % FULL_WAIT_EVERY == 0:
            return poller.patience.limit_s
        return max(
            (other.patience.probe_s for other in self.pollers if other.stats.scans),
            default=poller.patience.limit_s,
        )

    def _failed(self, poller: Poller, error: BusError, raw: bytes | None = None) -> None:
        poller.stats.last_fault = str(error)
        self._missed(poller, 1, error.quality, raw)

    def _cause(self, poller: Poller) -> int:
        """Why slots passed that nobody polled."""
        if not self.link.connected:
            return Quality.BUS_DOWN
        return Quality.BACKED_OFF if poller.breaker.open else Quality.LATE

    def _late_answer(self, unit: int, took_s: float) -> None:
        for poller in self.pollers:
            if poller.device.unit == unit:
                poller.patience.heard(took_s)
