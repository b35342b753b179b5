"""One configured device as the acquire station sees it: its grid, its breaker, its corrections, its counters."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from firmware_interfaces.asked import AskedDevice, Model, Reading
from firmware_interfaces.quality import BAD
from gateway.acquire.breaker import Breaker, Patience, ProbeBudget
from gateway.acquire.calibration import Correction, corrected
from gateway.acquire.schedule import Grid
from gateway.model import Column, DeviceLayout, Event, Miss, Quality, Scan
from gateway.site import DeviceSpec

DOUBTED = bytes((Quality.DEVICE_UNCERTAIN, *range(1, 256)))
"""Turns good into uncertain: the device is set up otherwise than its model needs."""

__all__ = ["DURATION_BUCKETS_S", "DeviceStats", "Poller", "Sink", "device_layout"]

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Sink(Protocol):
    """Where acquire leaves what it brings."""

    def scan(self, scan: Scan) -> None:
        """One answered poll."""

    def miss(self, miss: Miss) -> None:
        """Slots without an answer."""

    def event(self, event: Event) -> None:
        """Something worth keeping as evidence."""


@dataclass(slots=True)
class DeviceStats:
    """Counters of one device since the start of the process; times in seconds."""

    scans: int = 0
    missed: dict[int, int] = field(default_factory=dict)
    """Slots without an answer by `Quality`."""
    served: int = 0
    """Slots that the worker came to, answered or not."""
    poll_s: float = 0.0
    poll_last_s: float = 0.0
    late_s: float = 0.0
    late_max_s: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS_S) + 1))
    last_answer_ms: int | None = None
    last_fault: str = ""
    defects: int = 0
    """Times that a defect of the gateway, not of the device, prevented the reading."""

    def begun(self, late_s: float) -> None:
        """A poll begins ``late_s`` after its slot was due."""
        self.served += 1
        self.late_s += late_s
        self.late_max_s = max(self.late_max_s, late_s)

    def answered(self, took_s: float, at_ms: int) -> None:
        """A poll brought an answer after ``took_s``."""
        self.scans += 1
        self.poll_s += took_s
        self.poll_last_s = took_s
        self.buckets[bisect_left(DURATION_BUCKETS_S, took_s)] += 1
        self.last_answer_ms = at_ms


def _decimals(correction: Correction | None, decimals: int | None) -> int | None:
    return decimals if correction is None else correction.decimals


def device_layout(spec: DeviceSpec, model: Model) -> DeviceLayout:
    """What the scans of a device hold: a column per channel, and one more for each calibrated channel."""
    columns: list[Column] = []
    for key in spec.channels or tuple(model.channels):
        channel = model.channels[key]
        calibration = spec.calibration.get(key)
        correction = Correction(calibration.points, channel.decimals) if calibration else None
        columns.append(Column(key, channel.unit, _decimals(correction, channel.decimals)))
        if calibration is not None:
            columns.append(Column(key, channel.unit, channel.decimals, "indicated"))
    return DeviceLayout(
        id=spec.id,
        bus=spec.bus,
        model=model.id,
        model_hash=model.sha256,
        period_ms=spec.period_ms,
        phase_ms=spec.phase_ms,
        columns=tuple(columns),
        calibration={
            channel: {
                "certificate": calibration.certificate,
                "valid_until": calibration.valid_until.isoformat(),
                "points": [list(point) for point in calibration.points],
            }
            for channel, calibration in sorted(spec.calibration.items())
        },
    )


class Poller:
    """Turns the answers of one device into scans. All times of breakers are the loop's seconds."""

    def __init__(
        self, index: int, spec: DeviceSpec, device: AskedDevice, budget: ProbeBudget, limit_s: float
    ) -> None:
        self.index = index
        self.spec = spec
        self.device = device
        self.grid = Grid(spec.period_ms, spec.phase_ms)
        self.breaker = Breaker(budget)
        self.patience = Patience(limit_s)
        self.stats = DeviceStats()
        self.layout = device_layout(spec, device.model)
        self.next_slot = 0
        self.introduced = False
        self.unexpected: dict[str, object] = {}
        """Settings of the device that are not what its model needs (a unit register: Celsius), and what that is."""
        self._corrections = [
            Correction(spec.calibration[channel.key].points, channel.decimals)
            if channel.key in spec.calibration
            else None
            for channel in device.channels
        ]
        self._all_good = bytes(len(device.channels))
        self._calibrated = any(correction is not None for correction in self._corrections)

    def follow(self, old: "Poller", *, same_line: bool) -> None:
        """Go on in place of ``old``: counters count on, and where nothing of device and line was changed, so does
        what was learned of its pace, and whether it is silent."""
        self.stats = old.stats
        if same_line and self.spec == old.spec:
            self.patience = old.patience
            self.breaker = old.breaker.moved(self.breaker.budget)

    def scan(self, slot: int, at_ms: int, answer: Reading) -> Scan:
        """The answer as a scan, with corrected and indicated values where a channel is calibrated."""
        values, quality = answer.values, answer.quality
        raw = None
        if quality != self._all_good and max(quality) >= BAD:
            raw = answer.raw()
        if self.unexpected:
            quality = quality.translate(DOUBTED)
        if self._calibrated:
            values, quality = corrected(values, quality, self._corrections)
        return Scan(self.index, slot, at_ms, values, quality, raw)

    async def introduce(self, event: Callable[[str, dict[str, object]], None], timeout_s: float) -> None:
        """Ask the device who it is and how it is set up, and hand that over as events; a `BusError` ends the
        attempt.
        """
        async for kind, found, unexpected in self.device.introduce(timeout_s):
            data: dict[str, object] = {
                "device": self.spec.id,
                "model": self.device.model.id,
                "registers": dict(found),
            }
            if kind == "audit":
                self.unexpected = dict(unexpected)
                data["unexpected"] = self.unexpected
            event(f"device.{kind}", data)
        self.introduced = True
