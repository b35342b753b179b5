"""Devices that speak when they like, brought onto the grid: a slot is answered by what was heard for it.

Slot k is due at k * period + phase. It is answered by the newest measurement heard after slot k - 1 was due and up
to its own time; the scan carries the time at which that was heard. A slot in which nothing new was heard is a miss:
no value ever stands for two slots.
"""

import heapq
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import TypeVar

from firmware_interfaces.asked import Model
from firmware_interfaces.quality import BAD
from gateway.acquire.breaker import Breaker, ProbeBudget
from gateway.acquire.calibration import Correction, corrected
from gateway.acquire.keeper import Keeper
from gateway.acquire.poller import DeviceStats, device_layout
from gateway.acquire.schedule import Grid
from gateway.model import Quality, Scan
from gateway.site import DeviceSpec

__all__ = ["HeardPoller", "HeardWorker"]


@dataclass(slots=True)
class _Slot:
    """What was heard for one slot: the newest reading of each channel, and the newest fault."""

    at_ms: int = 0
    values: dict[str, tuple[float, int]] = field(default_factory=dict)
    raw: bytes = b""
    fault: str = ""


class HeardPoller:
    """One device that is heard: its grid, what was heard for the slots to come, its counters."""

    unasked: frozenset[str] = frozenset()
    """Channels that the hearing itself brings (signal strength): alone they are no measurement."""

    def __init__(self, index: int, spec: DeviceSpec, model: Model) -> None:
        self.index = index
        self.spec = spec
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

    def follow(self, old: "HeardPoller", *, same_line: bool) -> None:  # noqa: ARG002 - hearing has no pace
        """Go on in place of ``old``: counters count on, and what was heard for the slots to come."""
        self.stats = old.stats
        if self.spec == old.spec:
            self._heard = old._heard

    def keep(self, values: Mapping[str, tuple[float, int]], raw: bytes, at_ms: int) -> None:
        """Keep a measurement (value and quality by channel) for the slot that is due next after ``at_ms``."""
        found = self._for(at_ms)
        found.at_ms = at_ms
        found.raw = raw
        found.values.update(values)

    def keep_fault(self, why: str, raw: bytes, at_ms: int) -> None:
        """Keep what was heard and could not be believed."""
        found = self._for(at_ms)
        found.fault = self.stats.last_fault = why
        found.raw = raw

    def _for(self, at_ms: int) -> _Slot:
        return self._heard.setdefault(max(self.grid.slot_at(at_ms - 1) + 1, self.next_slot), _Slot())

    def answer(self, slot: int) -> Scan | tuple[int, bytes | None]:
        """What slot ``slot`` is answered by: a scan, or the reason for a miss with the bytes of a bad frame."""
        found = self._heard.pop(slot, None)
        if found is None:
            return Quality.STALE, None
        wanted = [found.values.get(key) for key in self.keys]
        if not any(
            value is not None for key, value in zip(self.keys, wanted, strict=True) if key not in self.unasked
        ):
            return (Quality.BAD_FRAME, found.raw) if found.fault else (Quality.STALE, None)
        marks = bytes(Quality.STALE if value is None else value[1] for value in wanted)
        values: array[float] = array("d", [nan if value is None else value[0] for value in wanted])
        return self.scan(slot, found.at_ms, values, self.timely(slot, found.at_ms, marks), found.raw)

    def timely(self, slot: int, at_ms: int, marks: bytes) -> bytes:  # noqa: ARG002 - for those whose pace is known
        """The qualities of what was heard at ``at_ms``; a sensor of known pace may be overdue by the slot."""
        return marks

    def scan(self, slot: int, at_ms: int, values: "array[float]", marks: bytes, raw: bytes) -> Scan:
        """Values and qualities by channel as a scan; a calibrated channel gives the corrected and the indicated."""
        kept = raw if max(marks) >= BAD else None
        if any(correction is not None for correction in self._corrections):
            values, marks = corrected(values, marks, self._corrections)
        return Scan(self.index, slot, at_ms, values, marks, kept)

    def correction(self, key: str) -> Correction | None:
        """How a channel is corrected."""
        return self._corrections[self.keys.index(key)]


H = TypeVar("H", bound=HeardPoller)


class HeardWorker(Keeper[H]):
    """All devices of one bus that is listened to. Every slot of each leaves here exactly once."""

    FIRST = 1

    def account(self, now: int, late: int = Quality.GATEWAY_DOWN) -> None:
        """Hand over the slots that are due at ``now``: the worker has ended (``late``: where silent)."""
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
                owed = poller.grid.slot_at(now) + 1 - poller.next_slot
                self._broke(poller, error, owed, first=not poller.stats.defects)
            heapq.heapreplace(self._queue, (poller.grid.due_ms(poller.next_slot), poller.index, poller))

    def _serve(self, poller: H, now: int, *, silence: int = Quality.STALE) -> None:
        """Account for all slots of a sensor that are due at ``now``, each by what was heard for it; ``silence``
        is why nothing was.
        """
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
                self._scanned(poller, answer)
            else:
                self._missed(poller, 1, answer[0], answer[1])
        self._silent(poller, silent, silence)

    def _scanned(self, poller: H, scan: Scan) -> None:  # noqa: ARG002 - for workers that know more of it
        self._sink.scan(scan)

    def _silent(self, poller: H, count: int, cause: int) -> None:
        if count:
            self._missed(poller, count, cause if self.stats.connected else Quality.BUS_DOWN)
