"""The fleet at a glance: one row a gateway, sums for each member and for all.

None of these queries reads batches, events or values: `stream` has two rows a gateway, `alarm` one for each alarm
that there ever was, and what would take more is gathered beforehand (`gateway.cluster.fleet.glance`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from gateway.cluster.database import Work
from gateway.cluster.fleet import marks
from gateway.cluster.fleet.marks import RED, VISIT, Mark
from gateway.cluster.fleet.scope import Scope

__all__ = [
    "ORDERS",
    "SHOWS",
    "Ask",
    "GatewayRow",
    "MemberRow",
    "Show",
    "Sums",
    "added",
    "gateway_row",
    "gateways",
    "members",
]

Show = Literal["all", "visit", "alarms", "red", "silent", "missing"]


class GatewayRow(NamedTuple):
    """One gateway. Times are Unix ms; what is not known is None. ``marks`` are bits of `Mark`."""

    id: int
    member: str
    member_id: int
    site: str
    name: str
    revoked_ms: int | None
    seen_ms: int | None
    missing: int
    hole_ms: int | None
    unreadable: int
    clock: int | None
    clock_ahead_ms: int
    critical: int
    alert: int
    maintenance: int
    advisory: int
    forks: int
    refused: int
    expected: int | None
    got: int | None
    calibration_ms: int | None
    certificate_ms: int | None
    marks: int


class MemberRow(NamedTuple):
    """The gateways of a member, added up."""

    id: int
    name: str
    sites: int
    gateways: int
    visit: int
    red: int
    silent: int
    critical: int
    alert: int
    maintenance: int
    missing: int
    expected: int
    got: int
    seen_ms: int | None


class Sums(NamedTuple):
    """All that a scope has, added up."""

    members: int
    sites: int
    gateways: int
    visit: int
    red: int
    silent: int
    critical: int
    alert: int
    maintenance: int
    missing: int
    expected: int
    got: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Which gateways, in which order."""

    show: Show = "all"
    words: str = ""
    """Stands in the name of member, site or gateway."""
    member: int | None = None
    order: str = "trouble"
    offset: int = 0
    limit: int = 50


# Aggregates are cast because PostgreSQL's sums are numerics. `judged` is MATERIALIZED, since the marks are asked
# for several times: put in the place of their name they would be computed each time.
HERE: Final = """
here AS (
    SELECT g.id, m.name AS member, g.member AS member_id, g.site, g.name, g.revoked_ms,
        CASE WHEN s.received_ms IS NULL OR e.received_ms > s.received_ms THEN e.received_ms ELSE s.received_ms END
            AS seen_ms,
        CASE WHEN e.announced > e.size + e.held THEN e.announced - e.size - e.held ELSE 0 END
            + CASE WHEN s.announced > s.size + s.held THEN s.announced - s.size - s.held ELSE 0 END AS missing,
        CASE WHEN s.hole_ms IS NULL OR e.hole_ms < s.hole_ms THEN e.hole_ms ELSE s.hole_ms END AS hole_ms,
        COALESCE(e.unreadable, 0) + COALESCE(s.unreadable, 0) AS unreadable,
        CASE WHEN s.received_ms IS NULL OR e.received_ms > s.received_ms THEN e.clock_state ELSE s.clock_state END
            AS clock,
        COALESCE(CASE WHEN s.received_ms IS NULL OR e.received_ms > s.received_ms THEN e.clock_ahead_ms
            ELSE s.clock_ahead_ms END, 0) AS clock_ahead_ms,
        COALESCE(a.critical, 0) AS critical, COALESCE(a.alert, 0) AS alert,
        COALESCE(a.maintenance, 0) AS maintenance, COALESCE(a.advisory, 0) AS advisory,
        COALESCE(f.forks, 0) AS forks, COALESCE(r.refused, 0) AS refused,
        v.expected, v.got, v.calibration_ms, v.certificate_ms
    FROM gateway g JOIN member m ON m.id = g.member
    LEFT JOIN stream e ON e.gateway = g.id AND e.stream = 0
    LEFT JOIN stream s ON s.gateway = g.id AND s.stream = 1
    LEFT JOIN (SELECT gateway, sum(CASE tier WHEN 'critical' THEN 1 ELSE 0 END) AS critical,
            sum(CASE tier WHEN 'alert' THEN 1 ELSE 0 END) AS alert,
            sum(CASE tier WHEN 'maintenance' THEN 1 ELSE 0 END) AS maintenance,
            sum(CASE tier WHEN 'advisory' THEN 1 ELSE 0 END) AS advisory
        FROM alarm WHERE state <> 'normal' AND {alarms} GROUP BY gateway) a ON a.gateway = g.id
    LEFT JOIN (SELECT gateway, count(*) AS forks FROM fork GROUP BY gateway) f ON f.gateway = g.id
    LEFT JOIN (SELECT client, CAST(sum(times) AS bigint) AS refused FROM rejected WHERE last_ms >= $7
        GROUP BY client) r ON r.client = g.client
    LEFT JOIN glance v ON v.gateway = g.id
    WHERE {which})
"""
JUDGED: Final = f"""
judged AS MATERIALIZED (
    SELECT here.*, CASE WHEN revoked_ms IS NOT NULL THEN {Mark.CUT_OFF} ELSE
        CASE WHEN seen_ms IS NULL THEN {Mark.NEVER} WHEN seen_ms < $2 THEN {Mark.SILENT} ELSE 0 END
        + CASE WHEN missing > 0 AND hole_ms < $3 THEN {Mark.HOLE} ELSE 0 END
        + CASE WHEN clock > 1 THEN {Mark.CLOCK} ELSE 0 END
        + CASE WHEN clock_ahead_ms > $4 THEN {Mark.AHEAD} ELSE 0 END
        + CASE WHEN expected > 0 AND got * 100 < expected * $5 THEN {Mark.COVERAGE} ELSE 0 END
        + CASE WHEN calibration_ms < $8 THEN {Mark.EXPIRED} WHEN calibration_ms < $6 THEN {Mark.CALIBRATION}
            ELSE 0 END
        + CASE WHEN maintenance > 0 THEN {Mark.UPKEEP} ELSE 0 END
        + CASE WHEN certificate_ms < $9 THEN {Mark.CERTIFICATE} ELSE 0 END END
        + CASE WHEN forks > 0 THEN {Mark.FORK} ELSE 0 END
        + CASE WHEN refused > 0 THEN {Mark.REFUSED} ELSE 0 END
        + CASE WHEN unreadable > 0 THEN {Mark.UNREADABLE} ELSE 0 END AS marks
    FROM here)
"""
SHOWS: Final[dict[Show, str]] = {
    "all": "true",
    "visit": f"(marks & {int(VISIT)}) <> 0",
    "alarms": "critical + alert > 0",
    "red": f"(marks & {int(RED)}) <> 0",
    "silent": f"(marks & {int(Mark.SILENT | Mark.NEVER)}) <> 0",
    "missing": "missing > 0",
}
GRAVITY: Final = (
    f"CASE WHEN (marks & {int(RED)}) <> 0 THEN 0 WHEN critical > 0 THEN 1 WHEN (marks & {int(VISIT)}) <> 0 THEN 2 "
    "WHEN alert > 0 THEN 3 ELSE 4 END"
)
NAME: Final = "member, site, name, id"
ORDERS: Final = {
    "trouble": f"{GRAVITY}, {NAME}",
    "name": NAME,
    "seen": f"COALESCE(seen_ms, 0), {NAME}",
    "alarms": f"critical DESC, alert DESC, maintenance DESC, {NAME}",
    "missing": f"missing DESC, {NAME}",
    "coverage": f"COALESCE(got * 10000 / NULLIF(expected, 0), 20000), {NAME}",
    "clock": f"clock_ahead_ms DESC, COALESCE(clock, 3) DESC, {NAME}",
    "calibration": f"COALESCE(calibration_ms, 9223372036854775807), {NAME}",
}
"""Of the table: by each column, what wants care first."""
COUNTED: Final[tuple[Show, ...]] = ("visit", "red", "silent")
COLUMNS: Final = ", ".join(GatewayRow._fields)


def _given(scope: Scope, now_ms: int) -> list[object]:
    """The values $1 to $9 that `HERE` and `JUDGED` take."""
    return [
        scope.member,
        now_ms - marks.SILENT_MS,
        now_ms - marks.HOLE_MS,
        marks.AHEAD_MS,
        marks.COVERAGE,
        now_ms + marks.DUE_MS,
        now_ms - marks.REFUSED_MS,
        now_ms,
        now_ms + marks.CERTIFICATE_MS,
    ]


def _with(scope: Scope, *conditions: str) -> str:
    which = " AND ".join([scope.condition("g.member", 1), *conditions])
    alarms = scope.condition("alarm.member", 1)
    return "WITH " + HERE.replace("{which}", which).replace("{alarms}", alarms) + ", " + JUDGED


async def gateways(work: Work, scope: Scope, now_ms: int, ask: Ask) -> tuple[list[GatewayRow], int]:
    """Gateways as asked, and how many there are of these."""
    given = _given(scope, now_ms)
    conditions = []
    if ask.member is not None:
        given.append(ask.member)
        conditions.append(f"g.member = ${len(given)}")
    if ask.words:
        given.append(f"%{_escaped(ask.words)}%")
        text = "lower(m.name || ' ' || g.site || ' ' || g.name)"
        conditions.append(f"{text} LIKE CAST(${len(given)} AS text) ESCAPE '!'")
    given += [ask.limit, ask.offset]
    sql = (
        f"{_with(scope, *conditions)} "
        f"SELECT {COLUMNS}, (SELECT count(*) FROM judged WHERE {SHOWS[ask.show]}) FROM judged "
        f"WHERE {SHOWS[ask.show]} ORDER BY {ORDERS[ask.order]} LIMIT ${len(given) - 1} OFFSET ${len(given)}"
    )
    rows = await work.fetch(sql, *given)
    return [GatewayRow(*tuple(row)[:-1]) for row in rows], int(rows[0][-1]) if rows else 0


async def gateway_row(work: Work, scope: Scope, now_ms: int, gateway: int) -> GatewayRow | None:
    """One gateway; None where there is none of this id within the scope."""
    given = [*_given(scope, now_ms), gateway]
    rows = await work.fetch(f"{_with(scope, 'g.id = $10')} SELECT {COLUMNS} FROM judged", *given)
    return GatewayRow(*rows[0]) if rows else None


async def members(work: Work, scope: Scope, now_ms: int) -> list[MemberRow]:
    """All members of the scope by name, those without a gateway as well."""
    counted = ", ".join(
        f"CAST(COALESCE(sum({what}), 0) AS bigint)"
        for what in (
            *(f"CASE WHEN {SHOWS[show]} THEN 1 ELSE 0 END" for show in COUNTED),
            *("critical", "alert", "maintenance", "missing", "expected", "got"),
        )
    )
    sql = f"""{_with(scope)}
        SELECT member.id, member.name, count(DISTINCT judged.site), count(judged.id), {counted}, max(seen_ms)
        FROM member LEFT JOIN judged ON judged.member_id = member.id
        WHERE {scope.condition("member.id", 1)} GROUP BY member.id, member.name ORDER BY member.name"""
    return [MemberRow(*row) for row in await work.fetch(sql, *_given(scope, now_ms))]


def added(rows: Sequence[MemberRow]) -> Sums:
    """Everything added up."""
    columns = list(zip(*rows, strict=True))[2:-1]
    return Sums(len(rows), *(map(sum, columns) if rows else [0] * (len(Sums._fields) - 1)))


def _escaped(words: str) -> str:
    """For LIKE; only ASCII changes its case, since that is what both engines' ``lower`` is sure to change."""
    folded = "".join(letter.lower() if letter.isascii() else letter for letter in words)
    return folded.replace("!", "!!").replace("%", "!%").replace("_", "!_")
