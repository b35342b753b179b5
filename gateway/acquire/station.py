"""The acquire station: the workers of all buses as the site file says, each supervised."""

import asyncio
import logging
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from firmware_interfaces.asked import Model
from firmware_interfaces.modbus.limits import TimeLimits
from gateway.acquire.families import AnyPoller, Common, Worker, family
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Sink, device_layout
from gateway.acquire.worker import BusWorker
from gateway.model import Event, Layout, Quality
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
    """All buses of a site, or ``only`` some that another station is to `take over` (it is ``beside`` this one).

    ``models`` maps a model's name in the site file to the loaded model; ``on_time`` is told what satellite
    receivers say (`Common.on_time`), ``keep`` what is to outlive the process (`Common.keep`).
    """

    def __init__(
        self,
        site: Site,
        models: Mapping[str, Model],
        sink: Sink,
        now_ms: Callable[[], int],
        on_time: Callable[[int, int], None] | None = None,
        *,
        only: Container[str] | None = None,
        beside: "Acquire | None" = None,
        keep: Callable[[str, bytes], None] | None = None,
        boot: bytes = b"",
    ) -> None:
        self.buses: list[Worker] = []
        """The workers of all buses that have devices."""
        self.ended_ms = 0
        """Boot time of the end of polling, once it has ended."""
        self._sink = sink
        self._now_ms = now_ms
        if beside is None:
            self._common = Common(sink, now_ms, Metronome(), TimeLimits(), on_time, keep, boot)
        else:
            self._common = beside._common
        self._lines = {bus.id: bus for bus in site.buses}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Worker, asyncio.Task[None]] = {}
        for bus in site.buses:
            if only is not None and bus.id not in only:
                continue
            mine = {index: spec for index, spec in enumerate(site.devices) if spec.bus == bus.id}
            if mine:
                self.buses.append(family(bus.kind).serve(bus, mine, models, self._common))
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

    def recall(self, kept: Mapping[str, bytes], resume: Mapping[str, int]) -> None:
        """Go on with what an earlier process kept by ``keep``; before `run`. ``resume`` as there."""
        for worker in self.air:
            worker.backfill.recall(kept, resume)

    def told(self) -> dict[str, bytes]:
        """What must be kept in the transaction of all events that were handed over up to now, by name."""
        return {name: body for worker in self.air for name, body in worker.backfill.told().items()}

    async def run(self, resume: Mapping[str, int], started_ms: int) -> None:
        """Poll from boot time ``started_ms`` until cancelled; account for every slot due up to ``ended_ms``."""
        for worker in self.buses:
            worker.start(resume, started_ms)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for worker in self.buses:
                    self._set_going(worker)
                # Buses come and go while it runs; it ends when it is cancelled.
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self.ended_ms = self._now_ms()
            for worker in self.buses:
                worker.account(self.ended_ms)
                worker.close()

    def _set_going(self, worker: Worker) -> None:
        assert self._group is not None
        self._tasks[worker] = self._group.create_task(self._supervise(worker), name=f"bus {worker.stats.id}")

    # changes while it runs

    async def halt(self, buses: Container[str]) -> None:
        """End the workers of some buses: their slots up to now are accounted for, and their lines are free."""
        halted = [worker for worker in self.buses if worker.stats.id in buses]
        tasks = [task for worker in halted if (task := self._tasks.pop(worker, None)) is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for worker in halted:
            if isinstance(worker, BusWorker):
                # An order of a person between two polls is brought to its end, and does not open the line again.
                async with worker.lock:
                    worker.close()
        now = self._now_ms()
        for worker in halted:
            worker.account(now, Quality.NOT_STARTED)
            worker.close()

    def go_on(self) -> None:
        """Begin again what `halt` has ended, because the change is not made after all."""
        now = self._now_ms()
        for worker in self.buses:
            if worker not in self._tasks:
                resume = {poller.spec.id: poller.next_slot - 1 for poller in worker.pollers}
                worker.start(resume, now, Quality.NOT_STARTED)
                self._set_going(worker)

    def abandon(self) -> None:
        """Let go of all buses as they are: what a next start accounts for is better than what is wrong."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks, self.buses = {}, []

    def take_over(self, other: "Acquire", devices: Sequence[str], newest: Mapping[str, int]) -> None:
        """Put the buses of ``other`` in the place of those that were halted, and begin with them.

        ``devices`` are all of the site now, in their order; ``newest`` is the newest slot on record by device.
        """
        indices = {device: index for index, device in enumerate(devices)}
        before = {poller.spec.id: poller for poller in self.pollers}
        kept = [worker for worker in self.buses if worker in self._tasks]
        ended = {worker.stats.id: worker for worker in self.buses if worker not in self._tasks}
        for worker in kept:
            worker.renumber(indices)
        self.buses = [*kept, *other.buses]
        found = [poller for worker in self.buses for poller in worker.pollers]
        self.pollers = tuple(sorted(found, key=lambda poller: poller.index))
        self.layout = Layout(tuple(poller.layout for poller in self.pollers))
        now = self._now_ms()
        lines, self._lines = self._lines, other._lines
        for worker in other.buses:
            same_line = lines.get(worker.stats.id) == self._lines[worker.stats.id]
            for poller in worker.pollers:
                old = before.get(poller.spec.id)
                if type(old) is type(poller):
                    poller.follow(cast(Any, old), same_line=same_line)
            if (was := ended.get(worker.stats.id)) is not None and type(was) is type(worker):
                worker.follow(cast(Any, was))
            worker.start(newest, now, Quality.NOT_STARTED)
            self._set_going(worker)

    def awake(self) -> None:
        """The machine has slept; what became due meanwhile is looked at now."""
        self._common.metronome.ring_all()

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
