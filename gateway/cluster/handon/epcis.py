"""EPCIS 2.0 events of a member, out of the cluster's store: the gateway's own builder, fed with many gateways.

An event has the same hash whether the gateway or the cluster made it: both sum up the same signed readings.
"""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from gateway.cluster.database import Work
from gateway.cluster.derive import series
from gateway.cluster.handon.choice import Choice, chosen
from gateway.cluster.handon.evidence import Left, Source, readings
from gateway.epcis.document import Intervals, Naming, document, sensor_event
from gateway.epcis.export import lots, overlaps
from gateway.errors import RecordError
from gateway.logbook.entry import KINDS
from gateway.model import Event
from gateway.recordkeeping.episodes import episodes
from gateway.recordkeeping.events import Recorded
from gateway.site import DeviceSpec, Identity, PointSpec, Site

__all__ = ["epcis_document"]

DAY_S = 86_400


async def epcis_document(
    work: Work, choice: Choice, left: Left, *, interval_s: int, places: Mapping[str, str], now_ms: int
) -> dict[str, Any]:
    """A document of whole intervals between the two times and of the lot records that hold, in order of time.

    ``interval_s`` divides a day. ``places`` name points, or ``gateway/point`` where two gateways have the same id,
    by a URI (a GLN as Digital Link). What has no form in EPCIS is counted in ``left``. Raises `RecordError`.
    """
    if not 1 <= interval_s <= DAY_S or DAY_S % interval_s:
        raise RecordError(f"an interval of {interval_s} s does not divide a day", "use 15min, 1h, 24h ...")
    unused = set(places)
    events: list[dict[str, Any]] = []
    for gateway in await chosen(work, choice):
        points = await series.points(work, gateway.member, gateway.id)
        named = {
            point.point: places[key]
            for point in points
            for key in (point.point, f"{gateway.name}/{point.point}")
            if key in places
        }
        unused -= {key for point in points for key in (point.point, f"{gateway.name}/{point.point}")}
        events += await _of_gateway(
            work, choice, gateway, points, left, places=named, interval_ms=interval_s * 1000
        )
    if unused:
        raise RecordError(f"there is no point {', '.join(sorted(unused))}", "give POINT=URI or GATEWAY/POINT=URI")
    events.sort(key=lambda event: (event["eventTime"], event["eventID"]))
    return document(events, now_ms)


async def _of_gateway(
    work: Work,
    choice: Choice,
    gateway: series.Gateway,
    points: list[series.Point],
    left: Left,
    *,
    places: Mapping[str, str],
    interval_ms: int,
) -> list[dict[str, Any]]:
    site, units = await _site(work, gateway, points)
    naming = Naming(site, places)
    intervals = Intervals(site, interval_ms, units)
    # One interval more: the newest of a device counts as not over, and is left out.
    until_ms = choice.to_ms + interval_ms
    async for part in readings(work, Source(gateway.id, gateway.client, choice.from_ms, until_ms), left):
        for reading in part:
            intervals.add(reading)
    recorded = [event async for event in _recorded(work, gateway.id)]
    alarms = episodes(recorded)
    found = []
    for summary in intervals.whole():
        if summary.start_ms < choice.from_ms or summary.end_ms > choice.to_ms:
            continue
        event = sensor_event(summary, naming, alarm=any(overlaps(alarm, summary) for alarm in alarms))
        if event is None:
            left.names.add(summary.unit)
        else:
            found.append(event)
    of_lots, timeless = lots(recorded, naming, (choice.from_ms, choice.to_ms), frozenset())
    left.timeless += timeless
    return found + of_lots


async def _site(
    work: Work, gateway: series.Gateway, points: list[series.Point]
) -> tuple[Site, dict[tuple[str, str], str]]:
    """As much of a site as the builder asks for, and the units of its channels."""
    channels = await series.channels(work, gateway.member, gateway.id)
    periods = {channel.device: channel.period_ms for channel in channels}
    devices = tuple(
        DeviceSpec(id=device, bus="", model="", unit=0, period_ms=period) for device, period in periods.items()
    )
    specs = tuple(
        PointSpec(id=point.point, name=point.name, device=point.device, channel=point.channel) for point in points
    )
    identity = Identity(member=gateway.member_name, site=gateway.site, gateway=gateway.name)
    units = {(channel.device, channel.channel): channel.unit for channel in channels}
    return Site(identity=identity, data_dir=Path(), buses=(), devices=devices, points=specs), units


async def _recorded(work: Work, gateway: int) -> AsyncIterator[Recorded]:
    """Alarms on limits and records of people, in the order of the stream, with the time as far as it is known."""
    wanted = {"alarm.raised", "alarm.returned", *KINDS}
    query = (
        "SELECT kind, boot, boot_ms, utc_ms, seq, data FROM event WHERE gateway = $1 "
        "AND (substr(kind, 1, 6) = 'alarm.' OR substr(kind, 1, 7) = 'record.') ORDER BY seq, place"
    )
    async for kind, boot, boot_ms, utc_ms, seq, data in work.rows(query, gateway):
        if kind in wanted:
            event = Event(str(kind), int(boot_ms), json.loads(data))
            yield Recorded(event, bytes(boot), None if utc_ms is None else int(utc_ms), int(seq))
