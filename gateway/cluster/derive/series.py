"""Questions to the derived tables: gateways, points, channels, charts, values, events, alarms.

Every function reads within a transaction that the caller has opened, as the role that the caller is: row-level
security holds here as in plain SQL. ``member`` narrows an answer to one company; None is all that may be seen.
Times are Unix ms, stretches are ``from_ms`` <= time < ``to_ms``.
"""

import json
from collections.abc import AsyncIterator, Collection, Sequence
from math import fsum

from gateway_core.series import BAD

from gateway.cluster.database import Row, Work
from gateway.cluster.derive.nouns import Channel, ClusterAlarm, ClusterEvent, Gateway, Point, Rolled
from gateway.cluster.derive.segment import DAY_MS, HOUR_MS, Segment, decode, joined
from gateway.model import AlarmState

__all__ = [
    "Channel",
    "ClusterAlarm",
    "ClusterEvent",
    "Gateway",
    "Point",
    "Rolled",
    "Segment",
    "alarms",
    "channels",
    "chart",
    "events",
    "gateways",
    "points",
    "values",
]

CLOSE_MS = 2 * DAY_MS
"""A chart of a shorter stretch is made of values, of a longer one of hours."""
UNCERTAIN = 0x40


_CHANNEL = """c.id, c.member, c.gateway, c.device, c.channel, c.role, c.unit, c.decimals, c.period_ms,
    c.last_ms, c.last_value, c.last_quality"""
_OF_MEMBER = "(CAST($1 AS bigint) IS NULL OR {0}.member = $1)"


async def gateways(work: Work, member: int | None = None) -> list[Gateway]:
    """All gateways, by member, site and name."""
    sql = f"""
        SELECT g.id, g.member, m.name, g.site, g.name, g.client, g.revoked_ms,
            coalesce(e.size, 0), coalesce(s.size, 0), coalesce(p.event_next, 0), coalesce(p.scan_next, 0),
            (SELECT count(*) FROM unread u WHERE u.gateway = g.id)
        FROM gateway g JOIN member m ON m.id = g.member
            LEFT JOIN stream e ON e.gateway = g.id AND e.stream = 0
            LEFT JOIN stream s ON s.gateway = g.id AND s.stream = 1
            LEFT JOIN progress p ON p.gateway = g.id
        WHERE {_OF_MEMBER.format("g")} ORDER BY m.name, g.site, g.name"""  # no values in it
    return [Gateway(*row) for row in await work.fetch(sql, member)]


async def channels(work: Work, member: int | None = None, gateway: int | None = None) -> list[Channel]:
    """All series, by gateway, device, channel and role."""
    sql = f"""
        SELECT {_CHANNEL} FROM channel c
        WHERE {_OF_MEMBER.format("c")} AND (CAST($2 AS bigint) IS NULL OR c.gateway = $2)
        ORDER BY c.gateway, c.device, c.channel, c.role"""
    return [Channel(*row) for row in await work.fetch(sql, member, gateway)]


async def points(work: Work, member: int | None = None, gateway: int | None = None) -> list[Point]:
    """All points of the newest settings, by gateway and name."""
    sql = f"""
        SELECT p.member, p.gateway, p.point, p.name, p.device, p.channel, p.critical, p.settings, {_CHANNEL}
        FROM point p LEFT JOIN channel c ON c.gateway = p.gateway AND c.device = p.device
            AND c.channel = p.channel AND c.role = 'value'
        WHERE {_OF_MEMBER.format("p")} AND (CAST($2 AS bigint) IS NULL OR p.gateway = $2)
        ORDER BY p.gateway, p.name, p.point"""
    return [
        Point._make((*row[:6], bool(row[6]), json.loads(row[7]), None if row[8] is None else Channel(*row[8:])))
        for row in await work.fetch(sql, member, gateway)
    ]


async def chart(work: Work, channel: int, from_ms: int, to_ms: int, *, most: int = 800) -> list[Rolled]:
    """A series in at most ``most`` stretches of equal length; those without any reading are left out.

    More than two days are made of hours, beginning with the hour that ``from_ms`` lies in; less of single values.
    """
    if to_ms <= from_ms or most < 1:
        return []
    if to_ms - from_ms <= CLOSE_MS:
        return await _close(work, channel, from_ms, to_ms, most)
    first, end = from_ms // HOUR_MS, -(-to_ms // HOUR_MS)
    hours = -(-(end - first) // most)
    rows = await work.fetch(
        """
        SELECT (hour - $2) / $4, sum(good), sum(uncertain), sum(bad), min(low), max(high), sum(total)
        FROM roll WHERE channel = $1 AND hour >= $2 AND hour < $3
        GROUP BY (hour - $2) / $4 ORDER BY (hour - $2) / $4""",
        channel,
        first,
        end,
        hours,
    )
    return [
        Rolled(
            (first + int(place) * hours) * HOUR_MS,
            int(good),
            int(uncertain),
            int(bad),
            low,
            high,
            total / int(good + uncertain) if good + uncertain else None,
        )
        for place, good, uncertain, bad, low, high, total in rows
    ]


async def _close(work: Work, channel: int, from_ms: int, to_ms: int, most: int) -> list[Rolled]:
    width = -(-(to_ms - from_ms) // most)
    found: dict[int, list[tuple[float, int]]] = {}
    async for segment in values(work, channel, from_ms, to_ms):
        for at_ms, value, quality in zip(*segment, strict=True):
            found.setdefault((at_ms - from_ms) // width, []).append((value, quality))
    return [_rolled(from_ms + place * width, readings) for place, readings in sorted(found.items())]


def _rolled(start_ms: int, readings: Sequence[tuple[float, int]]) -> Rolled:
    numbers = [value for value, quality in readings if quality < BAD]
    good = sum(quality < UNCERTAIN for _, quality in readings)
    bad = len(readings) - len(numbers)
    if not numbers:
        return Rolled(start_ms, good, 0, bad, None, None, None)
    mean = fsum(numbers) / len(numbers)
    return Rolled(start_ms, good, len(numbers) - good, bad, min(numbers), max(numbers), mean)


async def values(work: Work, channel: int, from_ms: int, to_ms: int) -> AsyncIterator[Segment]:
    """A series as it was measured, a segment for each UTC day that has any of it, in order of time."""
    if to_ms <= from_ms:
        return
    first, last = from_ms // DAY_MS, (to_ms - 1) // DAY_MS
    growing: dict[int, list[bytes]] = {}
    sql = "SELECT day, body FROM chunk WHERE channel = $1 AND day >= $2 AND day <= $3 ORDER BY day, place"
    for day, body in await work.fetch(sql, channel, first, last):
        growing.setdefault(int(day), []).append(body)
    sql = "SELECT day, body FROM day WHERE channel = $1 AND day >= $2 AND day <= $3 ORDER BY day"
    async for day, body in work.rows(sql, channel, first, last):
        for earlier in sorted(number for number in growing if number < day):
            for found in _part(growing.pop(earlier), from_ms, to_ms):
                yield found
        for found in _part([body, *growing.pop(int(day), [])], from_ms, to_ms):
            yield found
    for number in sorted(growing):
        for found in _part(growing[number], from_ms, to_ms):
            yield found


def _part(bodies: Sequence[bytes], from_ms: int, to_ms: int) -> list[Segment]:
    """What a day's bodies hold of a stretch: one segment, or none."""
    parts = [decode(body) for body in bodies]
    found = (parts[0] if len(parts) == 1 else joined(parts)).between(from_ms, to_ms)
    return [found] if found.times else []


async def events(
    work: Work,
    member: int | None = None,
    *,
    gateway: int | None = None,
    kinds: Collection[str] = (),
    point: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    limit: int = 1000,
) -> list[ClusterEvent]:
    """The newest events first; those whose time is not known come last, and only where no stretch is asked for.

    ``kinds`` are whole kinds (``gap.opened``) or, ending in a dot, their beginnings (``alarm.``); empty: all.
    """
    where: list[str] = [_OF_MEMBER.format("e")]
    given: list[object] = [member]
    for condition, value in (
        ("e.gateway = {}", gateway),
        ("e.point = {}", point),
        ("e.utc_ms >= {}", from_ms),
        ("e.utc_ms < {}", to_ms),
    ):
        if value is not None:
            given.append(value)
            where.append(condition.format(f"${len(given)}"))
    if kinds:
        wanted = []
        for kind in kinds:
            given.append(kind)
            place = f"CAST(${len(given)} AS text)"
            wanted.append(
                f"substr(e.kind, 1, {len(kind)}) = {place}" if kind.endswith(".") else f"e.kind = {place}"
            )
        where.append(f"({' OR '.join(wanted)})")
    given.append(limit)
    sql = f"""
        SELECT e.member, e.gateway, e.seq, e.place, e.boot, e.boot_ms, e.utc_ms, e.error_ms, e.kind, e.point, e.data
        FROM event e WHERE {" AND ".join(where)}
        ORDER BY e.utc_ms DESC NULLS LAST, e.gateway, e.seq DESC, e.place DESC LIMIT ${len(given)}"""
    return [ClusterEvent._make((*row[:10], json.loads(row[10]))) for row in await work.fetch(sql, *given)]


async def alarms(
    work: Work, member: int | None = None, *, gateway: int | None = None, open_only: bool = True
) -> list[ClusterAlarm]:
    """Alarms by their newest change; with ``open_only`` those that are not normal."""
    sql = f"""
        SELECT a.member, a.gateway, a.alarm, a.point, a.device, a.tier, a.state, a.active, a.raised_ms,
            a.changed_ms, a.seq, a.data
        FROM alarm a WHERE {_OF_MEMBER.format("a")} AND (CAST($2 AS bigint) IS NULL OR a.gateway = $2)
            {f"AND a.state <> '{AlarmState.NORMAL.value}'" if open_only else ""}
        ORDER BY a.changed_ms DESC NULLS LAST, a.gateway, a.alarm"""
    return [_alarm(row) for row in await work.fetch(sql, member, gateway)]


def _alarm(row: Row) -> ClusterAlarm:
    return ClusterAlarm._make((*row[:7], bool(row[7]), *row[8:11], json.loads(row[11])))
