"""First-out: alarms that follow from one cause point to the first of them, so that one failure is one alarm.

A deviation belongs with those of the same point, of points of the same declared group, and of the same device; a
silence (communication lost, point stale) with those of the same device and of the same bus. What follows keeps its
own state and record. No alarm follows one of a lesser tier: it would be less seen than it must be, and advice could
silence a limit.
"""

from collections.abc import Iterable

from gateway.assess.entry import Entry
from gateway.model import Layout, Tier
from gateway.site import Site

__all__ = ["Groups"]

GRAVITY = {tier: place for place, tier in enumerate(Tier)}
SILENCES = {"communication-loss", "stale"}


class Groups:
    """Knows which alarms can have one cause."""

    def __init__(self, site: Site, layout: Layout) -> None:
        self._bus = {device.id: device.bus for device in layout.devices}
        self._group = {point.id: point.group for point in site.points}

    def keys(self, entry: Entry) -> frozenset[tuple[str, str]]:
        """What an alarm may share with another of the same cause; nothing for alarms that stand alone."""
        condition = entry.condition
        device, point = condition.device, condition.point
        if condition.rule in SILENCES:
            keys = {("silent device", device), ("silent bus", self._bus.get(device or ""))}
        elif point is not None:
            keys = {("point", point), ("group", self._group.get(point)), ("device", device)}
        else:
            return frozenset()
        return frozenset((kind, name) for kind, name in keys if name)

    def leader(self, entry: Entry, others: Iterable[Entry], window_s: float) -> Entry | None:
        """The first-out that ``entry``, just raised, follows from; None where it is the first itself.

        A first-out must be visible and still active, and the newest alarm of its group no older than the window:
        what comes after it has returned to normal is an incident of its own.
        """
        mine = self.keys(entry)
        if not mine:
            return None
        earliest_ms = entry.raised_ms - window_s * 1000
        found: Entry | None = None
        for other in others:
            if (
                other is entry
                or not other.active
                or other.group is not None
                or other.hidden
                or other.newest_ms < earliest_ms
                or GRAVITY[other.condition.tier] > GRAVITY[entry.condition.tier]
                or not mine & self.keys(other)
            ):
                continue
            if found is None or other.raised_ms < found.raised_ms:
                found = other
        return found
