"""What the page shows of one gateway, and the lists over all: alarms, refusals, requests, deeds."""

import json
from typing import Any, Final, NamedTuple

from gateway.cluster.database import Work
from gateway.cluster.fleet.scope import Scope
from gateway.errors import SealError
from gateway.seal.cose import PublicKey

__all__ = [
    "AlarmRow",
    "Certificate",
    "DeedRow",
    "Facts",
    "Fork",
    "Key",
    "PointRow",
    "RefusedRow",
    "RequestRow",
    "Stream",
    "alarms",
    "certificates",
    "deeds",
    "facts",
    "forks",
    "keys",
    "member_named",
    "points",
    "refused",
    "requests",
    "streams",
]

TIERS: Final = ("critical", "alert", "maintenance", "advisory")


class Facts(NamedTuple):
    """What else is known of a gateway; ``gathered_ms`` is when coverage and calibration were gathered."""

    client: str
    enrolled_ms: int
    calibration: str | None
    """The channel whose certificate runs out first."""
    gathered_ms: int | None


class Stream(NamedTuple):
    """One stream of a gateway; ``missing`` batches are known to exist and are not there."""

    stream: int
    size: int
    held: int
    announced: int
    missing: int
    hole_ms: int | None
    counted: int
    volume: int
    duplicates: int
    deleted: int
    unreadable: int
    late: int
    late_max_ms: int
    clock: int | None
    clock_error_ms: int | None
    clock_ahead_ms: int
    sealed_ms: int | None
    received_ms: int | None
    receipt_ms: int | None


class Key(NamedTuple):
    """A key of a gateway, and from when on it signs. ``thumbprint`` is empty where the key cannot be read."""

    place: int
    origin: str
    since_ms: int
    in_force: bool
    thumbprint: str


class Fork(NamedTuple):
    """A batch that does not belong to the history; both bodies are kept."""

    stream: int
    seq: int
    why: str
    received_ms: int


class Certificate(NamedTuple):
    """A certificate of the cluster's own authority for a gateway's connection."""

    serial: str
    issued_ms: int
    until_ms: int
    revoked_ms: int | None
    reason: str | None


class PointRow(NamedTuple):
    """A point with the last value of its channel; ``channel_id`` is None where no value has come."""

    member: str
    gateway: int
    gateway_name: str
    point: str
    name: str
    device: str
    channel: str
    critical: bool
    settings: Any
    channel_id: int | None
    unit: str
    decimals: int | None
    period_ms: int | None
    last_ms: int | None
    last_value: float | None
    last_quality: int | None
    enrolled_ms: int
    """Of the gateway: before that nothing is missing."""
    alarm: str | None
    """Gravest tier of its open alarms."""


class AlarmRow(NamedTuple):
    """An alarm that is not over."""

    member: str
    member_id: int
    site: str
    gateway: int
    gateway_name: str
    alarm: str
    point: str | None
    point_name: str | None
    device: str | None
    tier: str
    state: str
    active: bool
    raised_ms: int | None
    changed_ms: int | None
    data: Any


class RefusedRow(NamedTuple):
    """Messages of one client that were refused for one reason; ``gateway`` is None for a client nobody enrolled."""

    client: str
    stream: str
    reason: str
    times: int
    first_ms: int
    last_ms: int
    seq: int | None
    what: str
    gateway: int | None
    member: str | None


class RequestRow(NamedTuple):
    """A box that asks to be admitted."""

    thumbprint: str
    code: str
    member: str
    site: str
    gateway: str
    asked_ms: int
    state: str
    decided_ms: int | None
    decided_by: str | None


class DeedRow(NamedTuple):
    """What somebody did."""

    id: int
    at_ms: int
    person: str
    what: str
    data: Any


async def member_named(work: Work, name: str) -> int | None:
    """The id of a member."""
    rows = await work.fetch("SELECT id FROM member WHERE name = $1", name)
    return int(rows[0][0]) if rows else None


# Below, a gateway's id comes from a row that was found within the scope (`queries.gateway_row`); what belongs to it
# is asked for within the scope once more, so that a mistake in a page shows nothing.


async def facts(work: Work, scope: Scope, gateway: int) -> Facts | None:
    """What else is known of a gateway."""
    sql = f"""SELECT g.client, g.enrolled_ms, v.calibration, v.gathered_ms
        FROM gateway g LEFT JOIN glance v ON v.gateway = g.id
        WHERE {scope.condition("g.member", 1)} AND g.id = $2"""
    rows = await work.fetch(sql, scope.member, gateway)
    return Facts(*rows[0]) if rows else None


async def streams(work: Work, scope: Scope, gateway: int) -> list[Stream]:
    """Both streams, events first."""
    sql = f"""SELECT s.stream, s.size, s.held, s.announced,
        CASE WHEN s.announced > s.size + s.held THEN s.announced - s.size - s.held ELSE 0 END, s.hole_ms,
        s.counted, s.volume, s.duplicates, s.deleted, s.unreadable, s.late, s.late_max_ms, s.clock_state,
        s.clock_error_ms, s.clock_ahead_ms, s.sealed_ms, s.received_ms, s.receipt_ms
        FROM stream s JOIN gateway g ON g.id = s.gateway
        WHERE {scope.condition("g.member", 1)} AND s.gateway = $2 ORDER BY s.stream"""
    return [Stream(*row) for row in await work.fetch(sql, scope.member, gateway)]


async def keys(work: Work, scope: Scope, gateway: int) -> list[Key]:
    """The keys of a gateway, oldest first."""
    sql = f"""SELECT t.place, t.origin, t.since_ms, t.event_end IS NULL OR t.scan_end IS NULL, t.public
        FROM term t JOIN gateway g ON g.id = t.gateway
        WHERE {scope.condition("g.member", 1)} AND t.gateway = $2 ORDER BY t.place"""
    rows = await work.fetch(sql, scope.member, gateway)
    return [Key(int(row[0]), row[1], row[2], bool(row[3]), _thumbprint(row[4])) for row in rows]


def _thumbprint(public: str) -> str:
    try:
        return PublicKey.from_pem(public.encode()).thumbprint.hex()
    except SealError:
        return ""


async def forks(work: Work, scope: Scope, gateway: int) -> list[Fork]:
    """What a gateway signed beside its history, newest first."""
    sql = f"""SELECT f.stream, f.seq, f.why, f.received_ms FROM fork f JOIN gateway g ON g.id = f.gateway
        WHERE {scope.condition("g.member", 1)} AND f.gateway = $2 ORDER BY f.received_ms DESC LIMIT 100"""
    return [Fork(*row) for row in await work.fetch(sql, scope.member, gateway)]


async def certificates(work: Work, scope: Scope, gateway: int) -> list[Certificate]:
    """Certificates of a gateway, newest first."""
    sql = f"""SELECT c.serial, c.issued_ms, c.until_ms, c.revoked_ms, c.reason
        FROM certificate c JOIN gateway g ON g.client = c.client
        WHERE {scope.condition("g.member", 1)} AND g.id = $2 ORDER BY c.issued_ms DESC LIMIT 20"""
    return [Certificate(*row) for row in await work.fetch(sql, scope.member, gateway)]


async def points(work: Work, scope: Scope, gateway: int, point: str | None = None) -> list[PointRow]:
    """The points of a gateway by name, critical ones first; or one of them."""
    grave = " ".join(f"WHEN '{tier}' THEN {place}" for place, tier in enumerate(TIERS))
    given: list[object] = [scope.member, gateway]
    one = ""
    if point is not None:
        given.append(point)
        one = "AND p.point = $3"
    sql = f"""SELECT m.name, p.gateway, g.name, p.point, p.name, p.device, p.channel, p.critical, p.settings,
        c.id, COALESCE(c.unit, ''), c.decimals, c.period_ms, c.last_ms, c.last_value, c.last_quality,
        g.enrolled_ms, (SELECT min(CASE a.tier {grave} ELSE 9 END) FROM alarm a
            WHERE a.gateway = p.gateway AND a.point = p.point AND a.state <> 'normal')
        FROM point p JOIN gateway g ON g.id = p.gateway JOIN member m ON m.id = g.member
        LEFT JOIN channel c ON c.gateway = p.gateway AND c.device = p.device AND c.channel = p.channel
            AND c.role = 'value'
        WHERE {scope.condition("g.member", 1)} AND p.gateway = $2 {one} ORDER BY p.critical DESC, p.name, p.point"""
    found = []
    for row in await work.fetch(sql, *given):
        *most, tier = tuple(row)
        most[7], most[8] = bool(most[7]), json.loads(most[8])
        found.append(PointRow._make((*most, TIERS[tier] if tier is not None and tier < len(TIERS) else None)))
    return found


async def alarms(
    work: Work,
    scope: Scope,
    *,
    member: int | None = None,
    gateway: int | None = None,
    point: str | None = None,
    tier: str | None = None,
    words: str = "",
    limit: int = 100,
    offset: int = 0,
) -> tuple[list[AlarmRow], int]:
    """Open alarms, gravest and newest first, and how many there are of these."""
    given: list[object] = [scope.member]
    conditions = [scope.condition("a.member", 1), "a.state <> 'normal'"]
    for column, value in (("a.member", member), ("a.gateway", gateway), ("a.point", point), ("a.tier", tier)):
        if value is not None:
            given.append(value)
            conditions.append(f"{column} = ${len(given)}")
    if words:
        given.append(f"%{words.replace('!', '!!').replace('%', '!%').replace('_', '!_').lower()}%")
        text = "lower(m.name || ' ' || g.site || ' ' || g.name || ' ' || a.alarm || ' ' || COALESCE(p.name, ''))"
        conditions.append(f"{text} LIKE CAST(${len(given)} AS text) ESCAPE '!'")
    grave = " ".join(f"WHEN '{one}' THEN {place}" for place, one in enumerate(TIERS))
    given += [limit, offset]
    sql = f"""SELECT m.name, a.member, g.site, a.gateway, g.name, a.alarm, a.point, p.name, a.device,
        a.tier, a.state, a.active, a.raised_ms, a.changed_ms, a.data, count(*) OVER ()
        FROM alarm a JOIN gateway g ON g.id = a.gateway JOIN member m ON m.id = a.member
        LEFT JOIN point p ON p.gateway = a.gateway AND p.point = a.point
        WHERE {" AND ".join(conditions)}
        ORDER BY CASE a.tier {grave} ELSE 9 END, COALESCE(a.raised_ms, 0) DESC, a.gateway, a.alarm
        LIMIT ${len(given) - 1} OFFSET ${len(given)}"""
    rows = await work.fetch(sql, *given)
    found = [
        AlarmRow._make((*tuple(row)[:11], bool(row[11]), row[12], row[13], json.loads(row[14]))) for row in rows
    ]
    return found, int(rows[0][-1]) if rows else 0


async def refused(work: Work, scope: Scope, *, client: str | None = None, limit: int = 200) -> list[RefusedRow]:
    """Refused messages, newest first. Of clients that nobody enrolled those alone hear who see all members."""
    given: list[object] = [scope.member]
    one = ""
    if client is not None:
        given.append(client)
        one = "AND r.client = $2"
    given.append(limit)
    sql = f"""SELECT r.client, r.stream, r.reason, r.times, r.first_ms, r.last_ms, r.seq, r.what, g.id, m.name
        FROM rejected r LEFT JOIN gateway g ON g.client = r.client LEFT JOIN member m ON m.id = g.member
        WHERE {scope.condition("g.member", 1)} {one} ORDER BY r.last_ms DESC, r.client LIMIT ${len(given)}"""
    return [RefusedRow(*row) for row in await work.fetch(sql, *given)]


async def requests(work: Work, scope: Scope, *, waiting: bool = True, limit: int = 200) -> list[RequestRow]:
    """Boxes that ask to be admitted; a member sees what its own boxes ask."""
    state = "AND r.state = 'open'" if waiting else ""
    sql = f"""SELECT r.thumbprint, r.code, r.member, r.site, r.gateway, r.asked_ms, r.state,
        r.decided_ms, r.decided_by
        FROM request r LEFT JOIN member m ON m.name = r.member
        WHERE {scope.condition("m.id", 1)} {state} ORDER BY r.asked_ms DESC LIMIT $2"""
    rows = await work.fetch(sql, scope.member, limit)
    return [RequestRow(bytes(row[0]).hex(), *tuple(row)[1:]) for row in rows]


async def deeds(work: Work, *, before: int | None = None, limit: int = 100) -> list[DeedRow]:
    """What people did, newest first: for administrators, who see all members."""
    sql = """SELECT id, at_ms, person, what, data FROM deed
        WHERE CAST($1 AS bigint) IS NULL OR id < $1 ORDER BY id DESC LIMIT $2"""
    return [DeedRow._make((*tuple(row)[:4], json.loads(row[4]))) for row in await work.fetch(sql, before, limit)]
