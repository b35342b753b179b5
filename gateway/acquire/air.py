"""Sensors that speak when they like, brought onto the grid: a slot is answered by what was heard for it.

Slot k is due at k * period + phase. It is answered by the newest measurement heard after slot k - 1 was due and up
to its own time; the scan carries the time at which that was heard. A slot in which nothing new was heard is a miss:
no value ever stands for two slots. What a sensor repeats with the same number is not new.
"""

import asyncio
import heapq
import logging
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.decoders.cipher import KEY_BYTES
from firmware_interfaces.ble.decoders.nouns import AdvertFault
from firmware_interfaces.ble.ladder import Step
from firmware_interfaces.ble.models import RSSI, BleModel
from firmware_interfaces.ble.scanner import RadioState, Scanner
from firmware_interfaces.ble.sensors import Allow, News, Sensors
from firmware_interfaces.quality import BAD
from gateway.acquire.breaker import Breaker, ProbeBudget
from gateway.acquire.calibration import Correction, corrected
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import DeviceStats, Sink, device_layout
from gateway.acquire.schedule import Grid
from gateway.acquire.worker import BusStats
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import BusSpec, DeviceSpec

__all__ = ["AirPoller", "AirWorker", "read_key"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Slot:
    """What was heard for one slot: the newest reading of each channel, and the newest fault."""

    at_ms: int = 0
    values: dict[str, tuple[float, int]] = field(default_factory=dict)
    raw: bytes = b""
    fault: str = ""


class AirPoller:
    """One sensor: its grid, what was heard for the slots to come, its counters."""

    def __init__(self, index: int, spec: DeviceSpec, model: BleModel) -> None:
        self.index = index
        self.spec = spec
        self.model = model
        self.grid = Grid(spec.period_ms, spec.phase_ms)
        self.stats = DeviceStats()
        self.layout = device_layout(spec, model)
        self.next_slot = 0
        self.breaker = Breaker(ProbeBudget())
        """Always closed: a sensor that is not asked cannot be asked less."""
        self.unexpected: dict[str, object] = {}
        self.keys = spec.channels or tuple(model.channels)
        self._corrections = [
            Correction(spec.calibration[key].points, model.channels[key].decimals)
            if key in spec.calibration
            else None
            for key in self.keys
        ]
        self._heard: dict[int, _Slot] = {}

    def follow(self, old: "AirPoller", *, same_line: bool) -> None:  # noqa: ARG002 - the air is one
        """Go on in place of ``old``: counters count on, and what was heard for the slots to come."""
        self.stats = old.stats
        if self.spec == old.spec:
            self._heard = old._heard

    def heard(self, news: News, at_ms: int) -> None:
        """Keep a measurement or a fault for the slot that is due next after ``at_ms``."""
        slot = max(self.grid.slot_at(at_ms - 1) + 1, self.next_slot)
        found = self._heard.setdefault(slot, _Slot())
        if isinstance(news.outcome, AdvertFault):
            found.fault = str(news.outcome)
            found.raw = news.raw
            self.stats.last_fault = found.fault
            return
        decoded = news.outcome
        found.at_ms = at_ms
        found.raw = news.raw
        for field_, value, mark in zip(decoded.fields, decoded.values, decoded.quality, strict=True):
            found.values[field_.key] = (value, mark)
        if news.rssi is not None:
            found.values[RSSI.key] = (float(news.rssi), Quality.GOOD)

    def answer(self, slot: int) -> Scan | tuple[int, bytes | None]:
        """What slot ``slot`` is answered by: a scan, or the reason for a miss with the bytes of a bad frame."""
        found = self._heard.pop(slot, None)
        if found is None:
            return Quality.STALE, None
        wanted = [found.values.get(key) for key in self.keys]
        if not any(value is not None for key, value in zip(self.keys, wanted, strict=True) if key != RSSI.key):
            return (Quality.BAD_FRAME, found.raw) if found.fault else (Quality.STALE, None)
        marks = bytes(Quality.STALE if value is None else value[1] for value in wanted)
        values: array[float] = array("d", [nan if value is None else value[0] for value in wanted])
        raw = found.raw if max(marks) >= BAD else None
        if any(correction is not None for correction in self._corrections):
            values, marks = corrected(values, marks, self._corrections)
        return Scan(self.index, slot, found.at_ms, values, marks, raw)


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
        self.stats = BusStats(bus.id, bus.kind)
        self._sink = sink
        self._now_ms = now_ms
        self._metronome = metronome
        self._queue: list[tuple[int, int, AirPoller]] = []
        self._up: bool | None = None
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
                on_state=self._stated(adapter or "first"),
                on_step=self._stepped(adapter or "first"),
            )
            for adapter in bus.adapters or (None,)
        ]

    def start(self, resume: Mapping[str, int], now: int, cause: int = Quality.GATEWAY_DOWN) -> None:
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
                    self._missed(poller, slot - poller.next_slot, cause)
            self._queue.append((poller.grid.due_ms(poller.next_slot), poller.index, poller))
        heapq.heapify(self._queue)

    async def run(self) -> None:
        """Listen for ever. Cancel to stop."""
        async with asyncio.TaskGroup() as group:
            for scanner in self.scanners:
                group.create_task(scanner.run(), name=f"adapter {scanner.adapter or 'first'}")
            group.create_task(self._serve_slots(), name=f"slots of {self.stats.id}")

    def close(self) -> None:
        """Nothing is held open between runs."""

    def renumber(self, indices: Mapping[str, int]) -> None:
        """The sensors stand elsewhere in the layout from now on, in the same order among themselves."""
        for poller in self.pollers:
            poller.index = indices[poller.spec.id]
        self._queue[:] = [(due, poller.index, poller) for due, _, poller in self._queue]

    def account(self, now: int, late: int = Quality.GATEWAY_DOWN) -> None:
        """Hand over the slots that are due at ``now``: the worker has ended, and what was silent is for ``late``."""
        for poller in self.pollers:
            self._serve(poller, now, silence=late)

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

    def _serve(self, poller: AirPoller, now: int, *, silence: int = Quality.STALE) -> None:
        """Account for all slots of a sensor that are due at ``now``, each by what was heard for it; ``silence`` is why
        nothing was."""
        newest = poller.grid.slot_at(now)
        if newest >= poller.next_slot:
            poller.stats.begun((now - poller.grid.due_ms(newest)) / 1000)
        silent = 0
        while poller.next_slot + silent <= newest:
            answer = poller.answer(poller.next_slot + silent)
            if isinstance(answer, tuple) and answer[0] == Quality.STALE:
                silent += 1
                continue
            self._silent(poller, silent, silence)
            silent = 0
            if isinstance(answer, Scan):
                poller.stats.answered(0.0, answer.at_ms)
                poller.next_slot += 1
                self._sink.scan(answer)
            else:
                self._missed(poller, 1, answer[0], answer[1])
        self._silent(poller, silent, silence)

    def _silent(self, poller: AirPoller, count: int, cause: int) -> None:
        if count:
            self._missed(poller, count, cause if self.stats.connected else Quality.BUS_DOWN)

    def _missed(self, poller: AirPoller, count: int, cause: int, raw: bytes | None = None) -> None:
        poller.stats.missed[cause] = poller.stats.missed.get(cause, 0) + count
        miss = Miss(poller.index, poller.next_slot, count, cause, raw)
        poller.next_slot += count
        self._sink.miss(miss)

    # what the adapters say

    def _report(self, report: Report, now: float) -> None:
        try:
            self.sensors.report(report, now)
        except Exception as error:
            if not self.defects:
                log.error("bus %s: a defect over what %s sent", self.stats.id, report.address, exc_info=error)
                data = {"bus": self.stats.id, "why": f"{report.address}: {error!r}"}
                self._sink.event(Event("bus.fault", self._now_ms(), data))
            self.defects += 1

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
