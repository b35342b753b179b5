"""Bluetooth sensors on the grid: heard by the adapters of a bus. What a sensor repeats with the same number is not
new.
"""

import asyncio
import heapq
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from firmware_interfaces.asked import Model
from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.decoders.cipher import KEY_BYTES
from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.ladder import Step
from firmware_interfaces.ble.models import MODELS, BleModel
from firmware_interfaces.ble.resetting import resetter
from firmware_interfaces.ble.scanner import RadioState, Scanner
from firmware_interfaces.ble.sensors import Allow, News, Sensors
from gateway.acquire.airpoller import AirPoller
from gateway.acquire.asked import AskedPoller, AskedSensors
from gateway.acquire.backfill import BackfillDesk
from gateway.acquire.ear import Ear
from gateway.acquire.families import Common
from gateway.acquire.heard import HeardWorker
from gateway.acquire.keeper import BusStats, Keeper
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Sink
from gateway.model import Event, Quality, Scan
from gateway.site import BusSpec, DeviceSpec

__all__ = ["AirWorker", "load", "read_key", "serve"]

log = logging.getLogger(__name__)


class AirWorker(HeardWorker[AirPoller]):
    """All sensors of one ``ble`` bus: heard by its adapters, or asked over connections of theirs."""

    def __init__(
        self,
        bus: BusSpec,
        pollers: Sequence[AirPoller],
        *,
        sink: Sink,
        now_ms: Callable[[], int],
        metronome: Metronome,
        keys: Mapping[str, bytes] | None = None,
        keep: Callable[[str, bytes], None] | None = None,
        boot: bytes = b"",
        make_scanner: Callable[..., Scanner] = Scanner,
    ) -> None:
        stats = BusStats(bus.id, bus.kind)
        super().__init__(stats, pollers, sink=sink, now_ms=now_ms, metronome=metronome)
        self._up: bool | None = None
        self.heard = [poller for poller in self.pollers if not isinstance(poller, AskedPoller)]
        self._strength: dict[str, tuple[int, int]] = {}
        """Newest signal strength of the sensors that are asked, and the boot time at which it was heard."""
        self.central = Central(bus.connections)
        self.asked = AskedSensors(
            bus,
            [poller for poller in self.pollers if isinstance(poller, AskedPoller)],
            sink=sink,
            now_ms=now_ms,
            metronome=metronome,
            strength=self._strength_since,
            alive=self._alive,
            central=self.central,
        )
        self.backfill = BackfillDesk(
            bus, self.heard, sink=sink, now_ms=now_ms, central=self.central, keep=keep, boot=boot
        )
        self.defects = 0
        """Advertisements that a defect of the gateway kept from being read."""
        self._by_address: dict[str, list[AirPoller]] = {}
        for poller in pollers:
            self._by_address.setdefault(poller.spec.address, []).append(poller)
        self.ear = Ear(self._by_address)
        """What was heard lately, for people who look."""
        allow = Allow(addresses=frozenset(self._by_address))
        self.keys = dict(keys or {})
        self.sensors = Sensors(self._news, allow, keys)
        self.scanners = [
            make_scanner(
                self._report,
                adapter=adapter,
                mode=bus.scan,
                everybody=bool(self.asked.pollers),
                on_state=self._stated(adapter or "first"),
                on_step=self._stepped(adapter or "first"),
                reset=resetter(os.environ),
            )
            for adapter in bus.adapters or (None,)
        ]

    async def run(self) -> None:
        """Listen for ever. Cancel to stop."""
        async with asyncio.TaskGroup() as group:
            for scanner in self.scanners:
                group.create_task(scanner.run(), name=f"adapter {scanner.adapter or 'first'}")
            if self.heard:
                group.create_task(self._serve_slots(), name=f"slots of {self.stats.id}")
            group.create_task(self.asked.run(), name=f"sensors asked on {self.stats.id}")
            group.create_task(self.backfill.run(), name=f"backfill on {self.stats.id}")

    def follow(self, old: "Keeper[AirPoller]") -> None:
        """What the memories of its sensors owe is still owed."""
        if isinstance(old, AirWorker):
            self.backfill.follow(old.backfill)

    def start(self, resume: Mapping[str, int], now: int, cause: int = Quality.GATEWAY_DOWN) -> None:
        """Those that are asked keep their own time."""
        super().start(resume, now, cause)
        self._queue = [entry for entry in self._queue if not isinstance(entry[2], AskedPoller)]
        heapq.heapify(self._queue)

    def account(self, now: int, late: int = Quality.GATEWAY_DOWN) -> None:
        """Hand over the slots that are due at ``now``: the worker has ended (``late``: where silent)."""
        for poller in self.heard:
            self._serve(poller, now, silence=late)
        self.asked.account(now, late)

    def close(self) -> None:
        """Give up what is held open between runs."""
        self.central.close()

    def _scanned(self, poller: AirPoller, scan: Scan) -> None:
        super()._scanned(poller, scan)
        self.backfill.answered(poller)

    def _missed(self, poller: AirPoller, count: int, cause: int, raw: bytes | None = None) -> None:
        self.backfill.missed(poller, poller.next_slot, count)
        super()._missed(poller, count, cause, raw)

    # what the adapters say

    def _report(self, report: Report, now: float) -> None:
        if report.rssi is not None and report.address in self._by_address:
            self._strength[report.address] = report.rssi, self._now_ms()
        try:
            self.ear.report(report, now)
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
                    self._came_back()
            else:
                self._went_down(self.stats.last_fault)

        return stated

    def _stepped(self, adapter: str) -> Callable[[Step, str], None]:
        def stepped(step: Step, words: str) -> None:
            log.warning(
                "bus %s: nothing heard; %s of %s%s", self.stats.id, step.value, adapter, words and f": {words}"
            )
            data = {"bus": self.stats.id, "adapter": adapter, "step": step.value, "failed": words}
            self._sink.event(Event("bus.recovery", self._now_ms(), data))

        return stepped


def load(name: str) -> BleModel:
    """The model of a sensor."""
    return MODELS[name]


def serve(bus: BusSpec, mine: Mapping[int, DeviceSpec], models: Mapping[str, Model], common: Common) -> AirWorker:
    """The worker of a ``ble`` bus."""
    pollers: list[AirPoller] = []
    for index, spec in mine.items():
        model = cast(BleModel, models[spec.model])
        pollers.append((AirPoller if model.reader is None else AskedPoller)(index, spec, model))
    keys = {spec.address: key for spec in mine.values() if (key := read_key(spec)) is not None}
    return AirWorker(
        bus,
        pollers,
        sink=common.sink,
        now_ms=common.now_ms,
        metronome=common.metronome,
        keys=keys,
        keep=common.keep,
        boot=common.boot,
    )


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
