"""`aurora-gateway export --format epcis`: the journal as an EPCIS 2.0 document."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from gateway.buffer.reader import Reader
from gateway.clock import wall_ms
from gateway.epcis.document import Naming, Summary, document, lot_event, sensor_event, summaries
from gateway.errors import AuroraError
from gateway.holdings import readings_of
from gateway.logbook.entry import LOT
from gateway.logbook.index import Index
from gateway.recordkeeping.episodes import Episode, episodes
from gateway.recordkeeping.events import Recorded, recorded_events
from gateway.records import Archive
from gateway.site import Site

__all__ = ["lots", "overlaps", "places_of", "write_epcis"]


def write_epcis(
    file: IO[str],
    site: Site,
    journal: Reader,
    archive: Archive,
    *,
    since_ms: int | None,
    until_ms: int | None,
    devices: frozenset[str],
    interval_s: float,
    places: Mapping[str, str],
) -> None:
    """Write one document: whole intervals between the two times, and the lot records that hold.

    ``archive`` has the events of the journal already. ``devices`` empty means all. What has no form in EPCIS is
    counted on standard error.
    """
    if not 1 <= interval_s <= 86400 or interval_s != int(interval_s) or 86400 % int(interval_s):
        raise AuroraError(f"--interval {interval_s:g} s does not divide a day; use 15min, 1h, 24h ...")
    naming = Naming(site, places)
    recorded = list(recorded_events(journal))
    units = {
        (device.id, column.channel): column.unit
        for layout in archive.layouts.values()
        for device in layout.devices
        for column in device.columns
    }
    found, lost = summaries(readings_of(archive, journal), site, int(interval_s) * 1000, units)
    alarms = episodes(recorded)
    events: list[Mapping[str, Any]] = []
    nameless: set[str] = set()
    for summary in found:
        inside = (since_ms is None or summary.start_ms >= since_ms) and (
            until_ms is None or summary.end_ms <= until_ms
        )
        if not inside or (devices and summary.device not in devices):
            continue
        event = sensor_event(summary, naming, alarm=any(overlaps(alarm, summary) for alarm in alarms))
        if event is None:
            nameless.add(summary.unit)
        else:
            events.append(event)
    found_lots, timeless = lots(recorded, naming, (since_ms, until_ms), devices)
    events += found_lots
    events.sort(key=lambda event: (event["eventTime"], event["eventID"]))
    json.dump(document(events, wall_ms()), file, ensure_ascii=False, indent=1, allow_nan=False)
    file.write("\n")
    if lost or timeless:
        print(f"{lost} samples and {timeless} lot records have no known time and are left out", file=sys.stderr)
    if nameless:
        print(f"units without a name in EPCIS are left out: {', '.join(sorted(nameless))}", file=sys.stderr)


def places_of(words: Sequence[str], site: Site) -> dict[str, str]:
    """Names of points from ``POINT=URI``; raises `AuroraError` for a point that the site does not have."""
    known = [point.id for point in site.points]
    places = {}
    for word in words:
        point, equals, uri = word.partition("=")
        if not equals or ":" not in uri or any(c.isspace() for c in uri):
            raise AuroraError(f"--place {word!r}: write POINT=URI, e.g. room=https://id.gs1.org/414/9521321000010")
        if point not in known:
            raise AuroraError(f"--place {word!r}: there is no such point; there are: {', '.join(known)}")
        places[point] = uri
    return places


def overlaps(alarm: Episode, summary: Summary) -> bool:
    """Whether an alarm stood at the point at any time of the interval."""
    if alarm.point != summary.point or alarm.since.utc_ms is None:
        return False
    ended = alarm.returned is not None and (alarm.returned.utc_ms or summary.start_ms) <= summary.start_ms
    return alarm.since.utc_ms < summary.end_ms and not ended


def lots(
    recorded: Iterable[Recorded],
    naming: Naming,
    between: tuple[int | None, int | None],
    devices: frozenset[str],
) -> tuple[list[dict[str, Any]], int]:
    """Events of the lot records that hold, and how many have no known time."""
    since_ms, until_ms = between
    index = Index()
    for event, boot, utc_ms, _ in recorded:
        index.take(event, boot, utc_ms)
    of = {point.id: point.device for point in naming.site.points}
    events, timeless = [], 0
    for entry in index.entries(LOT):
        if not index.holds(entry) or (devices and of.get(entry.data["point"]) not in devices):
            continue
        utc_ms = index.when(entry).utc_ms
        if utc_ms is None:
            timeless += 1
        elif (since_ms is None or utc_ms >= since_ms) and (until_ms is None or utc_ms < until_ms):
            events.append(lot_event(entry, utc_ms, naming))
    return events, timeless
