"""Retention: how long a member's values and evidence are kept, by member and by point.

The table ``retention`` holds days by member, and by member and point. What is derived goes by point: values, hours
and events older than the days of the point (of several points fed by one channel: the longest), or than those of
the member. Without days things stay for ever.

The evidence of a member holds all its points mixed, so it goes when nothing needs it any longer: the longest days
of the member, counted from receipt, and only where the member has days itself. A batch's body goes; its leaf stays,
so that trees, receipts and proofs stay whole, and a row of ``erased`` says which bodies are gone and why. Never
taken: what is not in the tree or not in the tables yet (it may wait for its boot's time), and what is needed to
read and verify the rest (registrations, and event batches with one of `KEPT`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from gateway.cluster.database import Database, Work
from gateway.cluster.derive.progress import claim
from gateway.cluster.derive.segment import DAY_MS
from gateway.errors import OperatorError
from gateway.model import AlarmState

__all__ = ["KEPT", "Erased", "Rule", "retain", "rules", "set_rule"]

KEPT = ("layout", "key.rotated", "deleted", "clock.correction", "config.changed")
"""Events without which other evidence cannot be read or verified."""
SLICE = 500
"""Batches, or channels, that one transaction takes."""
LONGEST = 36_500
WHO = "retention"


class Rule(NamedTuple):
    """Days for a member, or for one of its points (by its id, at all gateways of the member)."""

    member: str
    point: str
    days: int


class Erased(NamedTuple):
    """Bodies of batches ``first`` to ``last`` of a stream that are gone, of so many bytes."""

    gateway: int
    stream: int
    first: int
    last: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Member:
    """The days of one member: its own (None: for ever), and those of points."""

    id: int
    days: int | None = None
    points: dict[str, int] = field(default_factory=dict)

    @property
    def evidence_days(self) -> int | None:
        """How long evidence is kept."""
        return None if self.days is None else max([self.days, *self.points.values()])

    def of(self, points: Sequence[str]) -> int | None:
        """How long the values of a channel are kept that feeds these points."""
        found = [self.points.get(point, self.days) for point in points] or [self.days]
        known = [days for days in found if days is not None]
        return max(known) if len(known) == len(found) else None


async def rules(work: Work) -> list[Rule]:
    """All rules, by member and point."""
    rows = await work.fetch(
        "SELECT m.name, r.point, r.days FROM retention r JOIN member m ON m.id = r.member ORDER BY m.name, r.point"
    )
    return [Rule._make(row) for row in rows]


async def set_rule(work: Work, rule: Rule) -> None:
    """Keep for so many days from now on, 0: for ever; raises `OperatorError`."""
    if not 0 <= rule.days <= LONGEST:
        raise OperatorError(f"{rule.days} days", f"give 1 to {LONGEST}, or 0 for ever")
    found = await work.fetch("SELECT id FROM member WHERE name = $1", rule.member)
    if not found:
        raise OperatorError(f"there is no member {rule.member}", "look at `aurora-cluster ledger`")
    await work.execute("DELETE FROM retention WHERE member = $1 AND point = $2", found[0][0], rule.point)
    if rule.days:
        sql = "INSERT INTO retention (member, point, days) VALUES ($1, $2, $3)"
        await work.execute(sql, found[0][0], rule.point, rule.days)


async def retain(database: Database, now_ms: int) -> list[Erased]:
    """Delete what is older than its days, in many small transactions; returns what went of the evidence."""
    async with database.transaction(write=False) as work:
        members: dict[int, _Member] = {}
        for member, point, days in await work.fetch(
            "SELECT member, point, days FROM retention ORDER BY point DESC"
        ):
            before = members.get(member, _Member(member))
            if point:
                before.points[point] = days
                members[member] = before
            else:
                members[member] = _Member(member, days, before.points)
    erased = []
    for owner in members.values():
        await _derived(database, owner, now_ms)
        if owner.evidence_days is not None:
            erased += await _evidence(database, owner, owner.evidence_days, now_ms)
    return erased


async def _derived(database: Database, member: _Member, now_ms: int) -> None:
    async with database.transaction(write=False) as work:
        rows = await work.fetch(
            """
            SELECT c.id, p.point FROM channel c LEFT JOIN point p ON p.gateway = c.gateway AND p.device = c.device
                AND p.channel = c.channel
            WHERE c.member = $1 ORDER BY c.id""",
            member.id,
        )
    by_days: dict[int, list[int]] = {}
    for channel, found in groupby(rows, key=lambda row: int(row[0])):
        days = member.of([row[1] for row in found if row[1] is not None])
        if days is not None:
            by_days.setdefault(days, []).append(channel)
    for days, channels in by_days.items():
        first = _first_day(days, now_ms)
        for at in range(0, len(channels), SLICE):
            async with database.transaction() as work:
                await _old_values(work, channels[at : at + SLICE], first)
    async with database.transaction() as work:
        await _old_events(work, member, now_ms)


async def _old_values(work: Work, channels: Sequence[int], first: int) -> None:
    """Delete what lies before a day."""
    among = work.dialect.among("channel", 1, "bigint")
    for table, column, limit in (
        ("day", "day", first),
        ("chunk", "day", first),
        ("roll", "hour", first * 24),
        ("value", "utc_ms", first * DAY_MS),
    ):
        sql = f"DELETE FROM {table} WHERE {among} AND {column} < $2"  # names of our own
        await work.execute(sql, work.several(channels), limit)


async def _old_events(work: Work, member: _Member, now_ms: int) -> None:
    kept = ", ".join(f"'{kind}'" for kind in KEPT)
    normal = f"state = '{AlarmState.NORMAL.value}' AND changed_ms"
    for table, condition in (("event", f"kind NOT IN ({kept}) AND utc_ms"), ("alarm", normal)):
        for point, days in member.points.items():
            sql = f"DELETE FROM {table} WHERE member = $1 AND point = $2 AND {condition} < $3"
            await work.execute(sql, member.id, point, _first_day(days, now_ms) * DAY_MS)
        if member.days is not None:
            among = work.dialect.among("point", 2, "text")
            other = f"(point IS NULL OR NOT {among})"
            sql = f"DELETE FROM {table} WHERE member = $1 AND {other} AND {condition} < $3"
            first_ms = _first_day(member.days, now_ms) * DAY_MS
            await work.execute(sql, member.id, work.several(member.points), first_ms)


async def _evidence(database: Database, member: _Member, days: int, now_ms: int) -> list[Erased]:
    async with database.transaction(write=False) as work:
        gateways = await work.fetch("SELECT id FROM gateway WHERE member = $1 ORDER BY id", member.id)
    erased: list[Erased] = []
    for (gateway,) in gateways:
        for stream in (0, 1):
            while True:
                async with database.transaction() as work:
                    taken = await _take(work, member.id, gateway, stream, days=days, now_ms=now_ms)
                erased += taken
                if not taken:
                    break
    return erased


async def _take(work: Work, member: int, gateway: int, stream: int, *, days: int, now_ms: int) -> list[Erased]:
    """Take the next bodies of one stream, and write down which."""
    before_ms = _first_day(days, now_ms) * DAY_MS
    if await claim(work, gateway) is None:
        # A follower is at work here, or another one deletes: the rest goes with the next turn.
        return []
    rows = await work.fetch(OLD[stream], gateway, stream, before_ms, SLICE)
    if not rows:
        return []
    found = {int(seq): int(length) for seq, length in rows}
    among = work.dialect.among("seq", 4, "bigint")
    sql = f"UPDATE batch SET body = NULL WHERE gateway = $1 AND stream = $2 AND received_ms < $3 AND {among}"
    await work.execute(sql, gateway, stream, before_ms, work.several(found))
    among = work.dialect.among("seq", 3, "bigint")
    sql = f"UPDATE unread SET why = 'erased', need = NULL WHERE gateway = $1 AND stream = $2 AND {among}"
    await work.execute(sql, gateway, stream, work.several(found))
    taken = [Erased(gateway, stream, first, last, size) for first, last, size in _runs(found)]
    await work.execute_each(
        """
        INSERT INTO erased (member, gateway, stream, first, last, bytes, days, at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (gateway, stream, first) DO NOTHING""",
        [(member, *one, days, now_ms) for one in taken],
    )
    data = {"gateway": gateway, "stream": stream, "first": min(found), "last": max(found), "days": days}
    sql = "INSERT INTO deed (at_ms, person, what, data) VALUES ($1, $2, $3, $4)"
    await work.execute(sql, now_ms, WHO, "evidence erased", json.dumps({**data, "batches": len(found)}))
    return taken


def _runs(found: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """Sequences without a hole: first, last, and the bytes in them."""
    runs: list[tuple[int, int, int]] = []
    for seq, size in sorted(found.items()):
        if runs and runs[-1][1] == seq - 1:
            runs[-1] = runs[-1][0], seq, runs[-1][2] + size
        else:
            runs.append((seq, seq, size))
    return runs


def _first_day(days: int, now_ms: int) -> int:
    """The first UTC day that is kept."""
    return now_ms // DAY_MS - days


_OLD = """
SELECT b.seq, length(b.body) FROM batch b JOIN stream s ON s.gateway = b.gateway AND s.stream = b.stream
    JOIN progress p ON p.gateway = b.gateway
WHERE b.gateway = $1 AND b.stream = $2 AND b.received_ms < $3 AND b.body IS NOT NULL AND b.seq > 0
    AND b.seq < s.size AND b.seq < {0} {1}
    AND NOT EXISTS (SELECT 1 FROM unread u WHERE u.gateway = b.gateway AND u.stream = b.stream AND u.seq = b.seq
        AND (u.stream = 0 OR u.need IS NOT NULL))
ORDER BY b.seq LIMIT $4"""
_NEEDED = f"""
    AND NOT EXISTS (SELECT 1 FROM event e WHERE e.gateway = b.gateway AND e.seq = b.seq
        AND e.kind IN ({", ".join(f"'{kind}'" for kind in KEPT)}))"""
OLD = (_OLD.format("p.event_next", _NEEDED), _OLD.format("p.scan_next", ""))
