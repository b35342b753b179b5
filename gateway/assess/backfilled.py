"""What a sensor kept while nobody heard it, under the limits of its points: findings about the past.

Values from a memory never reach the judges of what is now: nothing of theirs begins, goes on or ends by them. They
are judged by rules of the same profile with a memory of their own, and what is found is told as what it is: a
deviation in the past, known only now. Somebody has to take note, so it is an alarm that is over when it is raised.
"""

from dataclasses import replace

from gateway.assess.sentences import duration, quantity
from gateway.assess.watch import PointWatch
from gateway.model import Condition, DeviceLayout, Event, Layout
from gateway.seal.backfill import Backfill, read_backfill
from gateway.site import Site

__all__ = ["JUDGE", "PastJudge", "over"]

JUDGE = "backfill"
"""Owner of its alarms."""


class PastJudge:
    """Judges events of kind ``backfill.values``. The parts of one download are judged as one."""

    def __init__(self, site: Site, layout: Layout) -> None:
        self._points = [point for point in site.points if point.profile is not None]
        self._devices: dict[str, DeviceLayout] = {device.id: device for device in layout.devices}
        self._download = ("", "")
        self._watches: dict[str, PointWatch] = {}
        self._begun: dict[str, Condition] = {}

    def judge(self, event: Event) -> list[tuple[Event, Condition]]:
        """Deviations that a backfill shows, each as an event and as an alarm condition; raises `SealError`."""
        backfill = read_backfill(event.data)
        if backfill.part == 1 or self._download != (backfill.device, backfill.sha256):
            self._begin(backfill)
        columns = {column.channel: i for i, column in enumerate(backfill.columns) if column.role == "value"}
        found = []
        for watch in self._watches.values():
            index = columns.get(watch.point.channel)
            for row in backfill.rows if index is not None else ():
                value = row.values[index]  # type: ignore[index]
                if value is None:
                    continue
                before, watch.seen_ms = watch.seen_ms, row.at_ms
                for condition in watch.value(value, row.at_ms, before):
                    found += self._heard(condition, event.at_ms)
        if backfill.part == backfill.parts:
            for condition in list(self._begun.values()):
                found.append(self._told(condition, None, event.at_ms))
            self._begun.clear()
        return found

    def _begin(self, backfill: Backfill) -> None:
        self._download = backfill.device, backfill.sha256
        device = self._devices.get(backfill.device)
        period_ms = backfill.period_ms if device is None else device.period_ms
        self._begun.clear()
        self._watches = {
            point.id: PointWatch(point, point.profile, 0, period_ms)
            for point in self._points
            if point.device == backfill.device and point.profile is not None
        }

    def _heard(self, condition: Condition, now_ms: int) -> list[tuple[Event, Condition]]:
        if condition.active:
            self._begun.setdefault(condition.alarm, condition)
            return []
        begun = self._begun.pop(condition.alarm, None)
        return [] if begun is None else [self._told(begun, condition, now_ms)]

    @staticmethod
    def _told(begun: Condition, ended: Condition | None, now_ms: int) -> tuple[Event, Condition]:
        """One deviation: from when to when (None: to the last that was kept), and how far."""
        last = ended or begun
        until_ms = None if ended is None else ended.at_ms
        extreme = last.detail.get("extreme", begun.value)
        limit = "" if begun.limit is None else f" beyond {quantity(begun.limit, begun.unit)}"
        lasted = "to the last value kept" if until_ms is None else f"for {duration(until_ms - begun.since_ms)}"
        worst = "" if extreme is None else f", at worst {quantity(extreme, begun.unit)}"
        words = (
            f"in the past, {duration(now_ms - begun.since_ms)} ago, {begun.point} was{limit} {lasted}{worst} "
            f"({begun.tier.value} limit {begun.rule}): read later from the memory of {begun.device}"
        )
        data = {
            "point": begun.point,
            "device": begun.device,
            "rule": begun.rule,
            "tier": begun.tier.value,
            "since_ms": begun.since_ms,
            "until_ms": until_ms,
            "extreme": extreme,
            "limit": begun.limit,
            "unit": begun.unit,
            "words": words,
        }
        condition = replace(
            begun,
            alarm=f"{begun.point}/past-{begun.rule}",
            rule=f"past-{begun.rule}",
            at_ms=now_ms,
            value=extreme,
            words=words,
            detail={**begun.detail, "past": True, "until_ms": until_ms, "extreme": extreme},
        )
        return Event("backfill.deviation", now_ms, data), condition


def over(condition: Condition) -> Condition:
    """The same, over: what lies in the past does not go on."""
    return replace(condition, active=False)
