"""What the adapters heard lately: the last advertisements of the site's own sensors, and, while somebody looks, all
sensors that there are in the air. Nothing of it becomes a value."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.sensors import News, Sensors

__all__ = ["Advert", "Ear"]

KEPT = 32
"""Advertisements of one sensor."""
LOOK_S = 600.0
"""So long after somebody last looked everything in the air is still decoded."""


class Advert(NamedTuple):
    """One advertisement as it was reported; ``at`` is the event loop's time in seconds."""

    at: float
    adapter: str
    rssi: int | None
    manufacturer: dict[int, bytes]
    service: dict[str, bytes]


class Ear:
    """Beside the sensors of one bus. ``own`` are the addresses of those that the site file names."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        self.reports = 0
        """Since the looking began."""
        self.recent: dict[str, deque[Advert]] = {address: deque(maxlen=KEPT) for address in own}
        self.since: float | None = None
        """When the looking began (loop time); None while nobody looks."""
        self.everything: Sensors | None = None
        self._until = 0.0

    def look(self, now: float) -> Sensors:
        """Decode everything from now on, for `LOOK_S` more: who is in the air, own and unknown."""
        if self.everything is None:
            self.everything, self.since, self.reports = Sensors(_nothing), now, 0
        self._until = now + LOOK_S
        return self.everything

    def over(self, now: float) -> bool:
        """Whether nobody has looked for so long."""
        return now > self._until

    def report(self, report: Report, now: float) -> None:
        """Take in one report; as `Sensors.report`."""
        kept = self.recent.get(report.address)
        if kept is not None:
            kept.append(
                Advert(
                    now, report.adapter, report.rssi, dict(report.manufacturer or {}), dict(report.service or {})
                )
            )
        if self.everything is None:
            return
        if self.over(now):
            self.everything = self.since = None
            return
        self.reports += 1
        self.everything.report(report, now)


def _nothing(_: News) -> None:
    """What is only looked at is no news."""
