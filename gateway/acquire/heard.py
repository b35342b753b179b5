"""One sensor that speaks when it likes: what was heard of it, slot by slot, becomes scans."""

from array import array
from dataclasses import dataclass, field
from math import nan

from firmware_interfaces.ble.decoders.nouns import AdvertFault
from firmware_interfaces.ble.models import RSSI, BleModel
from firmware_interfaces.ble.sensors import News
from firmware_interfaces.quality import BAD
from gateway.acquire.breaker import Breaker, ProbeBudget
from gateway.acquire.calibration import Correction, corrected
from gateway.acquire.interval import Interval
from gateway.acquire.poller import DeviceStats, device_layout
from gateway.acquire.schedule import Grid
from gateway.model import Quality, Scan
from gateway.site import DeviceSpec

__all__ = ["AirPoller"]


LATER = bytes((Quality.OVERDUE, *range(1, 256)))
"""Turns good into overdue: the value is the newest that came, and one newer should have."""


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
        self.interval = Interval(spec.interval_s)
        self.keys = spec.channels or tuple(model.channels)
        self._corrections = [
            Correction(spec.calibration[key].points, model.channels[key].decimals)
            if key in spec.calibration
            else None
            for key in self.keys
        ]
        self._heard: dict[int, _Slot] = {}

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
        self.interval.heard(news.at, decoded.sequence)
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
        if self.interval.overdue((self.grid.due_ms(slot) - found.at_ms) / 1000):
            marks = marks.translate(LATER)
        return self.scan(slot, found.at_ms, values, marks, found.raw)

    def correction(self, key: str) -> Correction | None:
        """How a channel is corrected."""
        return self._corrections[self.keys.index(key)]

    def scan(self, slot: int, at_ms: int, values: "array[float]", marks: bytes, raw: bytes) -> Scan:
        """Values and qualities by channel as a scan; a calibrated channel gives the corrected and the indicated."""
        kept = raw if max(marks) >= BAD else None
        if any(correction is not None for correction in self._corrections):
            values, marks = corrected(values, marks, self._corrections)
        return Scan(self.index, slot, at_ms, values, marks, kept)
