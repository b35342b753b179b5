"""Sensors that speak when they like, brought onto the grid: a slot is answered by what was heard for it.

Slot k is due at k * period + phase. It is answered by the newest measurement heard after slot k - 1 was due and up
to its own time; the scan carries the time at which that was heard. A slot in which nothing new was heard is a miss:
no value ever stands for two slots. What a sensor repeats with the same number is not new.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable, Mapping, Sequence

from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.decoders.cipher import KEY_BYTES
from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.ladder import Step
from firmware_interfaces.ble.scanner import RadioState, Scanner
from firmware_interfaces.ble.sensors import Allow, News, Sensors
from gateway.acquire.asked import AskedPoller, AskedSensors
from gateway.acquire.backfill import BackfillDesk
from gateway.acquire.heard import AirPoller
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Sink
from gateway.acquire.worker import BusStats
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import BusSpec, DeviceSpec

__all__ = ["AirWorker", "read_key"]

log = logging.getLogger(__name__)


class AirWorker:
    """All sensors of one ``ble`` bus, heard by its adapters. Every slot of each leaves here exactly once."""

    def __init__(
        self,
        bus: BusSpec,
        pollers: Sequence[AirPoller],
        *,
        sink: Sink,
        now_ms: Callable[[], int],
        metronome: Metronome,
        keys: Mapping[str, bytes] | None = None,
        make_scanner: Callable[..., Scanner] = Scanner,
    ) -> None:
        self.pollers = list(pollers)
        self.heard = [poller for poller in pollers if not isinstance(poller, AskedPoller)]
        self.stats = BusStats(bus.id, bus.kind)
        self._sink = sink
        self._now_ms = now_ms
        self._metronome = metronome
        self._queue: list[tuple[int, int, AirPoller]] = []
        self._up: bool | None = None
        self._strength: dict[str, tuple[int, int]] = {}
        """Newest signal strength of the sensors that are asked, and the boot time at which it was heard."""
        self.central = Central(bus.connections)
        self.asked = AskedSensors(
            bus,
            [poller for poller in pollers if isinstance(poller, AskedPoller)],
            sink=sink,
            now_ms=now_ms,
            metronome=metronome,
            strength=self._strength_since,
            alive=self._alive,
            central=self.central,
        )
        self.backfill = BackfillDesk(bus, self.heard, sink=sink, now_ms=now_ms, central=self.central)
        self.defects = 0
        """Advertisements that a defect of the gateway kept from being read."""
        self._by_address: dict[str, list[AirPoller]] = {}
        for poller in pollers:
            self._by_address.setdefault(poller.spec.address, []).append(poller)
        allow = Allow(addresses=frozenset(self._by_address))
        self.sensors = Sensors(self._news, allow, keys)
        self.scanners = [
            make_scanner(
                self._report,
                adapter=adapter,
                mode=bus.scan,
                everybody=bool(self.asked.pollers),
                on_state=self._stated(adapter or "first"),
                on_step=self._stepped(adapter or "first"),
            )
            for adapter in bus.adapters or (None,)
        ]

    def start(self, resume: Mapping[str, int], now: int) -> None:
        """Put every sensor at its place in the grid at boot time ``now``, as `BusWorker.start` does."""
        self._queue.clear()
        for poller in self.pollers:
            slot = max(0, poller.grid.slot_at(now) + 1)
            newest = resume.get(poller.spec.id)
            if newest is None:
                poller.next_slot = slot
            else:
                poller.next_slot = newest + 1
                if slot > poller.next_slot:
                    self._missed(poller, slot - poller.next_slot, Quality.GATEWAY_DOWN)
            if not isinstance(poller, AskedPoller):
                self._queue.append((poller.grid.due_ms(poller.next_slot), poller.index, poller))
        heapq.heapify(self._queue)

    async def run(self) -> None:
        """Listen for ever. Cancel to stop."""
        async with asyncio.TaskGroup() as group:
            for scanner in self.scanners:
                group.create_task(scanner.run(), name=f"adapter {scanner.adapter or 'first'}")
            if self.heard:
                group.create_task(self._serve_slots(), name=f"slots of {self.stats.id}")
            group.create_task(self.asked.run(), name=f"sensors asked on {self.stats.id}")
            group.create_task(self.backfill.run(), name=f"backfill on {self.stats.id}")

    def close(self) -> None:
        """Give up what is held open between runs."""
        self.central.close()

    def account(self, now: int) -> None:
        """Hand over the slots that are due at ``now``: the worker has ended."""
        for poller in self.heard:
            self._serve(poller, now, ended=True)
        self.asked.account(now)

    async def _serve_slots(self) -> None:
        while True:
            due, _, poller = self._queue[0]
            now = self._now_ms()
            if due > now:
                await self._metronome.until(due, (due - now) / 1000)
                continue
            try:
                self._serve(poller, now)
            except Exception as error:  # noqa: BLE001 - a sensor's border: its defect is recorded, the others go on
                self._defect(poller, error, now)
            heapq.heapreplace(self._queue, (poller.grid.due_ms(poller.next_slot), poller.index, poller))

    def _defect(self, poller: AirPoller, error: Exception, now: int) -> None:
        """Something of ours broke over one sensor: its slots are on record as such."""
        if not poller.stats.defects:
            log.error("%s: a defect prevented the reading", poller.spec.id, exc_info=error)
            self._sink.event(Event("device.fault", now, {"device": poller.spec.id, "why": repr(error)}))
        poller.stats.defects += 1
        poller.stats.last_fault = repr(error)
        owed = poller.grid.slot_at(now) + 1 - poller.next_slot
        if owed > 0:
            self._missed(poller, owed, Quality.GATEWAY_FAULT)

    def _serve(self, poller: AirPoller, now: int, *, ended: bool = False) -> None:
        """Account for all slots of a sensor that are due at ``now``, each by what was heard for it."""
        newest = poller.grid.slot_at(now)
        if newest >= poller.next_slot:
            poller.stats.begun((now - poller.grid.due_ms(newest)) / 1000)
        silent = 0
        while poller.next_slot + silent <= newest:
            answer = poller.answer(poller.next_slot + silent)
            if isinstance(answer, tuple) and answer[0] == Quality.STALE:
                silent += 1
                continue
            self._silent(poller, silent, ended=ended)
            silent = 0
            if isinstance(answer, Scan):
                poller.stats.answered(0.0, answer.at_ms)
                poller.next_slot += 1
                self._sink.scan(answer)
                self.backfill.answered(poller)
            else:
                self._missed(poller, 1, answer[0], answer[1])
        self._silent(poller, silent, ended=ended)

    def _silent(self, poller: AirPoller, count: int, *, ended: bool) -> None:
        if count:
            cause = Quality.STALE if self.stats.connected else Quality.BUS_DOWN
            self._missed(poller, count, Quality.GATEWAY_DOWN if ended and cause == Quality.STALE else cause)

    def _missed(self, poller: AirPoller, count: int, cause: int, raw: bytes | None = None) -> None:
        poller.stats.missed[cause] = poller.stats.missed.get(cause, 0) + count
        miss = Miss(poller.index, poller.next_slot, count, cause, raw)
        self.backfill.missed(poller, poller.next_slot, count)
        poller.next_slot += count
        self._sink.miss(miss)

    # what the adapters say

    def _report(self, report: Report, now: float) -> None:
        if report.rssi is not None and report.address in self._by_address:
            self._strength[report.address] = report.rssi, self._now_ms()
        try:
            self.sensors.report(report, now)
        except Exception as error:
            if not self.defects:
                log.error("bus %s: a defect over what %s sent", self.stats.id, report.address, exc_info=error)
                data = {"bus": self.stats.id, "why": f"{report.address}: {error!r}"}
                self._sink.event(Event("bus.fault", self._now_ms(), data))
            self.defects += 1

    def _strength_since(self, address: str, since_ms: int) -> int | None:
        rssi, at_ms = self._strength.get(address, (0, -1))
        return rssi if at_ms >= since_ms else None

    def _alive(self, adapter: str) -> None:
        """A connection was made: an adapter that hears nothing else is not dead."""
        for scanner in self.scanners:
            if scanner.scanning_with == adapter:
                scanner.ladder.heard(asyncio.get_running_loop().time())

    def _news(self, news: News) -> None:
        now = self._now_ms()
        for poller in self._by_address.get(news.address, ()):
            if poller.model.sends(news.outcome.format):
                poller.heard(news, now)

    def _stated(self, adapter: str) -> Callable[[RadioState, str], None]:
        def stated(state: RadioState, words: str) -> None:
            up = any(scanner.state is RadioState.SCANNING for scanner in self.scanners)
            if state is not RadioState.SCANNING:
                self.stats.last_fault = f"{state.words} ({words})" if words else state.words
            if up is self._up:
                if state is not RadioState.SCANNING:
                    log.warning("bus %s: adapter %s: %s", self.stats.id, adapter, self.stats.last_fault)
                return
            before, self._up = self._up, up
            self.stats.connected = up
            if up:
                self.stats.connects += 1
                log.info("bus %s: scanning with %s", self.stats.id, words)
                if before is False:
                    self._sink.event(Event("bus.back", self._now_ms(), {"bus": self.stats.id}))
            else:
                self.stats.lost += 1
                log.warning("bus %s: %s; the gateway keeps trying", self.stats.id, self.stats.last_fault)
                data = {"bus": self.stats.id, "why": self.stats.last_fault}
                self._sink.event(Event("bus.lost", self._now_ms(), data))

        return stated

    def _stepped(self, adapter: str) -> Callable[[Step, str], None]:
        def stepped(step: Step, words: str) -> None:
            log.warning(
                "bus %s: nothing heard; %s of %s%s", self.stats.id, step.value, adapter, words and f": {words}"
            )
            data = {"bus": self.stats.id, "adapter": adapter, "step": step.value, "failed": words}
            self._sink.event(Event("bus.recovery", self._now_ms(), data))

        return stepped


def read_key(spec: DeviceSpec) -> bytes | None:
    """The key of a sensor; None where it has none, or where its file cannot be used, which is logged.

    Without its key nothing of an encrypted sensor is believed: its slots are bad frames until the file is right.
    """
    if spec.key_file is None:
        return None
    try:
        key = bytes.fromhex(spec.key_file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        log.error("%s: key file %s cannot be used: %s", spec.id, spec.key_file, error)
        return None
    if len(key) != KEY_BYTES:
        log.error("%s: key file %s holds %d bytes, not %d", spec.id, spec.key_file, len(key), KEY_BYTES)
        return None
    return key
