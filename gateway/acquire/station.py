"""The acquire station: links, devices and workers as the site file says, each worker supervised."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.limits import TimeLimits
from firmware_interfaces.modbus.link import RING, Link
from firmware_interfaces.modbus.links import open_link
from firmware_interfaces.modbus.model import DeviceModel, load_model
from gateway.acquire.breaker import ProbeBudget
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Poller, Sink, device_layout
from gateway.acquire.worker import BusWorker
from gateway.model import Event, Layout
from gateway.site import BusSpec, DeviceSpec, Site

if TYPE_CHECKING:
    from firmware_interfaces.ble.models import BleModel
    from gateway.acquire.air import AirWorker
    from gateway.acquire.heard import AirPoller

__all__ = ["Acquire", "AnyModel", "layout_of", "make_link", "models_of"]

AnyModel: TypeAlias = "DeviceModel | BleModel"

log = logging.getLogger(__name__)

RESTART_S = 1.0


def make_link(bus: BusSpec, gap_ms: float = 0.0, limits: TimeLimits | None = None, frames_kept: int = RING) -> Link:
    """The link of a bus, not yet connected; ``gap_ms`` is the rest its devices need between requests.

    Links that are given the same ``limits`` share one timer.
    """
    timing: dict[str, Any] = {
        "limits": limits,
        "frames_kept": frames_kept,
        "gap_s": (gap_ms if bus.gap_ms is None else bus.gap_ms) / 1000,
        "connect_pause_s": bus.connect_pause_ms / 1000,
    }
    if bus.kind != "modbus-tcp":
        timing["limit_s"] = bus.timeout_s
    if bus.kind == "modbus-rtu":
        line = {"baud": bus.baud, "parity": bus.parity, "stop_bits": bus.stop_bits}
        return open_link(bus.kind, device=bus.device, **line, **timing)
    return open_link(bus.kind, host=bus.host, port=bus.port, **timing)


def models_of(site: Site) -> "dict[str, AnyModel]":
    """The models that a site names: of sensors that are heard, and of devices that are asked. Raises `ModelError`.

    What Bluetooth needs (16 MB, a tenth of a second) is loaded only where a site has some.
    """
    kinds = {bus.id: bus.kind for bus in site.buses}
    found: dict[str, AnyModel] = {}
    for device in site.devices:
        if kinds.get(device.bus) == "ble":
            from firmware_interfaces.ble.models import MODELS

            found[device.model] = MODELS[device.model]
        elif device.model not in found:
            found[device.model] = load_model(device.model)
    return found


def layout_of(site: Site) -> Layout:
    """What the scans of a site's devices hold, as a gateway with this site file records them."""
    models = models_of(site)
    return Layout(tuple(device_layout(device, models[device.model]) for device in site.devices))


class Acquire:
    """All buses of a site. ``models`` maps a model's name in the site file to the loaded model."""

    def __init__(self, site: Site, models: Mapping[str, AnyModel], sink: Sink, now_ms: Callable[[], int]) -> None:
        self.workers: list[BusWorker] = []
        """The buses that are asked."""
        self.air: list[AirWorker] = []
        """The buses that are listened to."""
        self.ended_ms = 0
        """Boot time of the end of polling, once it has ended."""
        self._sink = sink
        self._now_ms = now_ms
        pollers: dict[int, Poller | AirPoller] = {}
        limits, metronome = TimeLimits(), Metronome()
        self._metronome = metronome
        for bus in site.buses:
            mine = [(i, spec) for i, spec in enumerate(site.devices) if spec.bus == bus.id]
            if not mine:
                continue
            if bus.kind == "ble":
                listened = self._listen(bus, mine, models)
                pollers.update({poller.index: poller for poller in listened})
                continue
            asked = {index: cast("DeviceModel", models[spec.model]) for index, spec in mine}
            link = make_link(bus, max(model.link.min_gap_ms for model in asked.values()), limits)
            budget = ProbeBudget()
            mine_pollers = []
            for index, spec in mine:
                device = ModbusDevice(link, spec.unit, asked[index], spec.channels)
                mine_pollers.append(Poller(index, spec, device, budget, bus.timeout_s))
            pollers.update({poller.index: poller for poller in mine_pollers})
            self.workers.append(
                BusWorker(bus.id, link, mine_pollers, sink=sink, now_ms=now_ms, metronome=metronome)
            )
        self.pollers: tuple[Poller | AirPoller, ...] = tuple(pollers[index] for index in sorted(pollers))
        self.layout = Layout(tuple(poller.layout for poller in self.pollers))

    def _listen(
        self, bus: BusSpec, mine: Sequence[tuple[int, DeviceSpec]], models: Mapping[str, AnyModel]
    ) -> "list[AirPoller]":
        from gateway.acquire.air import AirWorker, read_key
        from gateway.acquire.asked import AskedPoller
        from gateway.acquire.heard import AirPoller

        pollers: list[AirPoller] = []
        for index, spec in mine:
            model = cast("BleModel", models[spec.model])
            pollers.append((AirPoller if model.reader is None else AskedPoller)(index, spec, model))
        keys = {spec.address: key for _, spec in mine if (key := read_key(spec)) is not None}
        self.air.append(
            AirWorker(bus, pollers, sink=self._sink, now_ms=self._now_ms, metronome=self._metronome, keys=keys)
        )
        return pollers

    @property
    def buses(self) -> "list[BusWorker | AirWorker]":
        """All of them."""
        return [*self.workers, *self.air]

    async def run(self, resume: Mapping[str, int], started_ms: int) -> None:
        """Poll from boot time ``started_ms`` until cancelled; account for every slot due up to ``ended_ms``."""
        for worker in self.buses:
            worker.start(resume, started_ms)
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self.buses:
                    group.create_task(self._supervise(worker), name=f"bus {worker.stats.id}")
        finally:
            self.ended_ms = self._now_ms()
            for worker in self.buses:
                worker.account(self.ended_ms)
                worker.close()

    def awake(self) -> None:
        """The machine has slept; what became due meanwhile is looked at now."""
        self._metronome.ring_all()

    async def _supervise(self, worker: "BusWorker | AirWorker") -> None:
        """A worker that dies of a defect is recorded and started again; the other buses do not notice."""
        while True:
            try:
                await worker.run()
            except Exception as error:
                log.exception("bus %s: worker stopped", worker.stats.id)
                self._sink.event(Event("bus.fault", self._now_ms(), {"bus": worker.stats.id, "why": repr(error)}))
                worker.close()
                await asyncio.sleep(RESTART_S)
