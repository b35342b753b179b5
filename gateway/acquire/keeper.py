"""What every worker of a bus keeps: the place of its devices in the grid, and each slot leaving exactly once."""

import heapq
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import DeviceStats, Sink
from gateway.acquire.schedule import Grid
from gateway.model import Event, Miss, Quality
from gateway.site import DeviceSpec

__all__ = ["BusStats", "Keeper", "Scheduled"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class BusStats:
    """State of one bus."""

    id: str
    kind: str
    connected: bool = False
    connects: int = 0
    lost: int = 0
    last_fault: str = ""


class Scheduled(Protocol):
    """A device as its worker keeps it."""

    index: int
    spec: DeviceSpec
    grid: Grid
    stats: DeviceStats
    next_slot: int


P = TypeVar("P", bound=Scheduled)


class Keeper(Generic[P]):
    """The schedule of one bus: ``_queue`` holds the devices by the boot time at which their next slot is due."""

    FIRST = 0
    """The first slot of a device without a record, counted from the newest that is due at the start."""

    def __init__(
        self,
        stats: BusStats,
        pollers: Sequence[P],
        *,
        sink: Sink,
        now_ms: Callable[[], int],
        metronome: Metronome,
    ) -> None:
        self.pollers = list(pollers)
        self.stats = stats
        self._sink = sink
        self._now_ms = now_ms
        self._metronome = metronome
        self._queue: list[tuple[int, int, P]] = []

    def start(self, resume: Mapping[str, int], now: int, cause: int = Quality.GATEWAY_DOWN) -> None:
        """Put every device at its place in the grid at boot time ``now``. ``resume`` is the newest slot that the
        record holds for a device in this boot: the slots since then were missed for ``cause``.
        """
        self._queue.clear()
        for poller in self.pollers:
            slot = max(0, poller.grid.slot_at(now) + self.FIRST)
            newest = resume.get(poller.spec.id)
            if newest is None:
                poller.next_slot = slot
            else:
                poller.next_slot = newest + 1
                if slot > poller.next_slot:
                    self._missed(poller, slot - poller.next_slot, cause)
            self._queue.append((poller.grid.due_ms(poller.next_slot), poller.index, poller))
        heapq.heapify(self._queue)

    def follow(self, old: "Keeper[P]") -> None:
        """Go on in place of a worker of the same bus; what its devices keep, they take over themselves."""

    def renumber(self, indices: Mapping[str, int]) -> None:
        """The devices stand elsewhere in the layout from now on, in the same order among themselves."""
        for poller in self.pollers:
            poller.index = indices[poller.spec.id]
        # Of equal order, so that what is first stays so, even while it is being polled.
        self._queue[:] = [(due, poller.index, poller) for due, _, poller in self._queue]

    def _missed(self, poller: P, count: int, cause: int, raw: bytes | None = None) -> None:
        poller.stats.missed[cause] = poller.stats.missed.get(cause, 0) + count
        miss = Miss(poller.index, poller.next_slot, count, cause, raw)
        poller.next_slot += count
        self._sink.miss(miss)

    def _broke(self, poller: P, error: Exception, owed: int, *, first: bool) -> None:
        """Something of ours broke over one device: its ``owed`` slots are on record as such; said once."""
        if first:
            log.error("%s: a defect prevented the reading", poller.spec.id, exc_info=error)
            data = {"device": poller.spec.id, "why": repr(error)}
            self._sink.event(Event("device.fault", self._now_ms(), data))
        poller.stats.defects += 1
        poller.stats.last_fault = repr(error)
        if owed > 0:
            self._missed(poller, owed, Quality.GATEWAY_FAULT)

    def _went_down(self, why: str) -> None:
        """The bus was lost: one log line, one event."""
        self.stats.lost += 1
        self.stats.last_fault = why
        log.warning("bus %s: %s; the gateway keeps trying", self.stats.id, why)
        self._sink.event(Event("bus.lost", self._now_ms(), {"bus": self.stats.id, "why": why}))

    def _came_back(self) -> None:
        self._sink.event(Event("bus.back", self._now_ms(), {"bus": self.stats.id}))
