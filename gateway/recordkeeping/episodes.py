"""Alarms on limits from their raising to their return, as the event stream has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.logbook.entry import Moment
from gateway.recordkeeping.events import Recorded

__all__ = ["Episode", "episodes"]

TIERS = frozenset({"critical", "alert"})
"""Alarms on limits; those about the measuring itself show as gaps."""


@dataclass(slots=True)
class Episode:
    """An alarm from its raising to its return."""

    point: str
    data: Mapping[str, Any]
    since: Moment
    raised: Moment
    returned: Moment | None = None


def episodes(events: Iterable[Recorded]) -> list[Episode]:
    found: list[Episode] = []
    active: dict[str, Episode] = {}
    offsets: dict[bytes, int] = {}
    for event, boot, utc_ms, _ in events:
        data = event.data
        if event.kind == "clock.correction":
            offsets[data["boot"]] = int(data["offset_ms"])
        if event.kind not in {"alarm.raised", "alarm.returned"} or data.get("tier") not in TIERS:
            continue
        at = Moment(boot, event.at_ms, utc_ms)
        alarm = str(data["alarm"])
        if event.kind == "alarm.returned":
            if (episode := active.pop(alarm, None)) is not None:
                episode.returned = at
        elif data.get("point") is not None:
            since_ms = data.get("since_ms")
            back_ms = max(0, event.at_ms - since_ms) if isinstance(since_ms, int) else 0
            since = Moment(boot, event.at_ms - back_ms, None if utc_ms is None else utc_ms - back_ms)
            active[alarm] = Episode(str(data["point"]), data, since, at)
            found.append(active[alarm])
    for episode in found:
        episode.since = _dated(episode.since, offsets)
        episode.raised = _dated(episode.raised, offsets)
        episode.returned = None if episode.returned is None else _dated(episode.returned, offsets)
    return found


def _dated(moment: Moment, offsets: Mapping[bytes, int]) -> Moment:
    if moment.utc_ms is None and (offset := offsets.get(moment.boot)) is not None:
        return moment._replace(utc_ms=moment.boot_ms + offset)
    return moment
