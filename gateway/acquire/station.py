"""The acquire station: the workers of all buses as the site file says, each supervised."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from firmware_interfaces.asked import Model
from firmware_interfaces.modbus.limits import TimeLimits
from gateway.acquire.families import AnyPoller, Common, Worker, family
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Sink, device_layout
from gateway.acquire.worker import BusWorker
from gateway.model import Event, Layout
from gateway.site import Site

if TYPE_CHECKING:
    from gateway.acquire.air import AirWorker

__all__ = ["Acquire", "layout_of", "models_of"]

log = logging.getLogger(__name__)

RESTART_S = 1.0


def models_of(site: Site) -> dict[str, Model]:
    """The models that a site names. Raises `ModelError`."""
    kinds = {bus.id: bus.kind for bus in site.buses}
    found: dict[str, Model] = {}
    for device in site.devices:
        if device.model not in found:
            found[device.model] = family(kinds[device.bus]).load(device.model)
    return found


def layout_of(site: Site) -> Layout:
    """What the scans of a site's devices hold, as a gateway with this site file records them."""
    models = models_of(site)
    return Layout(tuple(device_layout(device, models[device.model]) for device in site.devices))


class Acquire:
    """All buses of a site. ``models`` maps a model's name in the site file to the loaded model."""

    def __init__(self, site: Site, models: Mapping[str, Model], sink: Sink, now_ms: Callable[[], int]) -> None:
        self.buses: list[Worker] = []
        """The workers of all buses that have devices."""
        self.ended_ms = 0
        """Boot time of the end of polling, once it has ended."""
        self._sink = sink
        self._now_ms = now_ms
        self._metronome = Metronome()
        common = Common(sink, now_ms, self._metronome, TimeLimits())
        for bus in site.buses:
            mine = {index: spec for index, spec in enumerate(site.devices) if spec.bus == bus.id}
            if mine:
                self.buses.append(family(bus.kind).serve(bus, mine, models, common))
        pollers: dict[int, AnyPoller] = {poller.index: poller for bus in self.buses for poller in bus.pollers}
        self.pollers = tuple(pollers[index] for index in sorted(pollers))
        self.layout = Layout(tuple(poller.layout for poller in self.pollers))

    @property
    def workers(self) -> list[BusWorker]:
        """The buses that are asked."""
        return [worker for worker in self.buses if isinstance(worker, BusWorker)]

    @property
    def air(self) -> "list[AirWorker]":
        """The buses that are listened to by radio."""
        return [cast("AirWorker", worker) for worker in self.buses if worker.stats.kind == "ble"]

    async def run(self, resume: Mapping[str, int], started_ms: int) -> None:
        """Poll from boot time ``started_ms`` until cancelled; account for every slot due up to ``ended_ms``."""
        for worker in self.buses:
            worker.start(resume, started_ms)
        try:
            if not self.buses:  # a new box, whose first sensor is still to come
                await asyncio.get_running_loop().create_future()
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

    async def _supervise(self, worker: Worker) -> None:
        """A worker that dies of a defect is recorded and started again; the other buses do not notice."""
        while True:
            try:
                await worker.run()
            except Exception as error:
                log.exception("bus %s: worker stopped", worker.stats.id)
                self._sink.event(Event("bus.fault", self._now_ms(), {"bus": worker.stats.id, "why": repr(error)}))
                worker.close()
                await asyncio.sleep(RESTART_S)
