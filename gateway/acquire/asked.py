"""Sensors that are asked over a Bluetooth connection: each at its own slots, a few connections at a time.

A slot is answered by what the sensor said over a connection that was made for it. A sensor that does not answer is
left alone for a while, as a silent unit on a line is; its neighbours wait for a free connection at most.
"""

import asyncio
import logging
from array import array
from collections.abc import Callable, Sequence
from math import nan

from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.gatt.link import Link
from firmware_interfaces.ble.gatt.readers import identity
from firmware_interfaces.ble.models import RSSI, BleModel
from firmware_interfaces.errors import BadFrame, BusError, NoAnswer, NotConnected
from gateway.acquire.airpoller import AirPoller
from gateway.acquire.breaker import Breaker, ProbeBudget
from gateway.acquire.heard import HeardPoller
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Sink
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import BusSpec, DeviceSpec

__all__ = ["AskedPoller", "AskedSensors"]

log = logging.getLogger(__name__)

CONNECT_S = 15.0
"""Longest that a connection may take: a sensor that wakes every few seconds has to hear the call."""
SHORTEST_READ_S, LONGEST_READ_S = 10.0, 60.0
PROBE_SHARE = 0.2
"""Share of one connection that sensors which do not answer may take; the others have two more."""
IDENTITY_S = 3600.0
"""How often a sensor is asked who it is: its firmware may be changed while it hangs on the wall."""


class AskedPoller(AirPoller):
    """One sensor: its grid, its breaker, its reader, what it said of itself."""

    def __init__(self, index: int, spec: DeviceSpec, model: BleModel) -> None:
        super().__init__(index, spec, model)
        assert model.reader is not None
        self.reader = model.reader()
        self.identity: dict[str, object] = {}
        """What the record says of it."""
        self.identified_at = float("-inf")
        self.read_s = max(SHORTEST_READ_S, min(spec.period_ms / 2000, LONGEST_READ_S))

    @property
    def longest_s(self) -> float:
        """How long a slot may be due while everything is well: until a connection is free, made, and used."""
        return self.spec.period_ms / 1000 + 2 * CONNECT_S + 2 * self.read_s

    def follow(self, old: HeardPoller, *, same_line: bool) -> None:
        """As of all sensors; whether it is silent and what it said of itself stay with one that is as it was."""
        super().follow(old, same_line=same_line)
        if same_line and isinstance(old, AskedPoller) and self.spec == old.spec:
            self.breaker = old.breaker.moved(self.breaker.budget)
            self.identity, self.identified_at = old.identity, old.identified_at

    async def read(self, link: Link, slot: int, now_ms: Callable[[], int], rssi: int | None) -> Scan:
        """The scan of a slot; raises `BusError`."""
        try:
            async with asyncio.timeout(self.read_s):
                decoded, raw = await self.reader.read(link, self.keys)
        except TimeoutError as error:
            raise NoAnswer(f"{link.address} sent nothing within {self.read_s:g} s") from error
        found = {
            field.key: (value, mark)
            for field, value, mark in zip(decoded.fields, decoded.values, decoded.quality, strict=True)
        }
        found[RSSI.key] = (nan, int(Quality.STALE)) if rssi is None else (float(rssi), int(Quality.GOOD))
        wanted = [found.get(key, (nan, int(Quality.NOT_SUPPORTED))) for key in self.keys]
        marks = bytes(mark for _, mark in wanted)
        return self.scan(slot, now_ms(), array("d", [value for value, _ in wanted]), marks, raw)


class AskedSensors:
    """The sensors of one bus that are asked. ``strength`` tells how strongly one was heard since a boot time."""

    def __init__(
        self,
        bus: BusSpec,
        pollers: Sequence[AskedPoller],
        *,
        sink: Sink,
        now_ms: Callable[[], int],
        metronome: Metronome,
        strength: Callable[[str, int], int | None],
        alive: Callable[[str], None],
        central: Central,
    ) -> None:
        self.pollers = list(pollers)
        self.central = central
        self._bus = bus
        self._sink = sink
        self._now_ms = now_ms
        self._metronome = metronome
        self._strength = strength
        self._alive = alive
        budget = ProbeBudget(PROBE_SHARE)
        for poller in pollers:
            poller.breaker = Breaker(budget)

    async def run(self) -> None:
        """Ask for ever. Cancel to stop."""
        async with asyncio.TaskGroup() as group:
            for poller in self.pollers:
                group.create_task(self._attend(poller), name=f"sensor {poller.spec.id}")

    def account(self, now: int, late: int = Quality.GATEWAY_DOWN) -> None:
        """Hand over the slots that are due at ``now``: nobody asks any more, because of ``late``."""
        for poller in self.pollers:
            self._missed(poller, poller.grid.slot_at(now) + 1 - poller.next_slot, late)

    async def _attend(self, poller: AskedPoller) -> None:
        while True:
            due, now = poller.grid.due_ms(poller.next_slot), self._now_ms()
            if due > now:
                await self._metronome.until(due, (due - now) / 1000)
                continue
            try:
                await self._serve(poller, now)
            except Exception as error:  # noqa: BLE001 - a sensor's border: its defect is recorded, the others go on
                self._defect(poller, error)

    async def _serve(self, poller: AskedPoller, now: int) -> None:
        """Account for all slots up to ``now``, and ask for the newest."""
        loop = asyncio.get_running_loop()
        slot = poller.grid.slot_at(now)
        passed = Quality.BACKED_OFF if poller.breaker.open else Quality.LATE
        self._missed(poller, slot - poller.next_slot, passed)
        poller.stats.begun((now - poller.grid.due_ms(slot)) / 1000)
        began = loop.time()
        if not poller.breaker.may_ask(began):
            self._missed(poller, 1, Quality.BACKED_OFF)
            return
        try:
            scan = await self._ask(poller, slot)
        except NotConnected as error:
            self._failed(poller, error)
        except BadFrame as error:
            poller.breaker.damaged(loop.time(), loop.time() - began)
            self._failed(poller, error, error.raw)
        except NoAnswer as error:
            if not poller.breaker.open:
                log.warning("%s: %s; it is asked now and then until it is back", poller.spec.id, error)
            poller.breaker.silent(loop.time(), loop.time() - began)
            self._failed(poller, error)
        except BusError as error:
            self._failed(poller, error)
        else:
            if poller.breaker.open:
                log.info("%s: answers again", poller.spec.id)
            poller.breaker.answered()
            poller.stats.answered(loop.time() - began, scan.at_ms)
            poller.next_slot = slot + 1
            self._sink.scan(scan)

    async def _ask(self, poller: AskedPoller, slot: int) -> Scan:
        """One connection: the measurement first, then who the sensor is."""
        spec, loop = poller.spec, asyncio.get_running_loop()
        wait_s = spec.period_ms / 1000
        async with self.central.linked(
            spec.address, self._bus.adapters, wait_s=wait_s, connect_s=CONNECT_S
        ) as link:
            self._alive(link.adapter)
            rssi = self._strength(spec.address, poller.grid.due_ms(slot - 1))
            scan = await poller.read(link, slot, self._now_ms, rssi)
            if poller.breaker.open or loop.time() - poller.identified_at >= IDENTITY_S:
                await self._identify(poller, link, loop.time())
        return scan

    async def _identify(self, poller: AskedPoller, link: Link, now: float) -> None:
        """Firmware, hardware and serial number into the record, where they are new or have changed."""
        try:
            async with asyncio.timeout(poller.read_s):
                told = await identity(link)
        except (BusError, TimeoutError) as error:
            log.info("%s: its identity could not be read: %s", poller.spec.id, error)
            return
        poller.identified_at = now
        found = {"registers": dict(told), "measuring": dict(poller.reader.facts)}
        if found != poller.identity and any(found.values()):
            poller.identity = dict(found)
            data = {"device": poller.spec.id, "model": poller.model.id, **found}
            self._sink.event(Event("device.identity", self._now_ms(), data))

    def _defect(self, poller: AskedPoller, error: Exception) -> None:
        """Something of ours broke over one sensor: it is left alone for a while."""
        if not poller.stats.defects:
            log.error("%s: a defect prevented the reading", poller.spec.id, exc_info=error)
            data = {"device": poller.spec.id, "why": repr(error)}
            self._sink.event(Event("device.fault", self._now_ms(), data))
        poller.breaker.silent(asyncio.get_running_loop().time(), 0.0)
        poller.stats.defects += 1
        poller.stats.last_fault = repr(error)
        if poller.grid.due_ms(poller.next_slot) <= self._now_ms():
            self._missed(poller, 1, Quality.GATEWAY_FAULT)

    def _failed(self, poller: AskedPoller, error: BusError, raw: bytes | None = None) -> None:
        poller.stats.last_fault = str(error)
        self._missed(poller, 1, error.quality, raw)

    def _missed(self, poller: AskedPoller, count: int, cause: int, raw: bytes | None = None) -> None:
        if count <= 0:
            return
        poller.stats.missed[cause] = poller.stats.missed.get(cause, 0) + count
        miss = Miss(poller.index, poller.next_slot, count, cause, raw)
        poller.next_slot += count
        self._sink.miss(miss)
