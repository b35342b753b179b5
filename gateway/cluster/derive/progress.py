"""How far the tables of each gateway go, and which gateway has something new."""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.cluster.database import Work

__all__ = ["Stand", "batch_bodies", "claim", "keep", "ready", "tree_sizes", "waiting"]

MANY = 1000
"""Gateways that one look finds at most."""


class Stand(NamedTuple):
    """Where the tables of a gateway stand.

    ``event_next`` and ``scan_next`` are the batches that come next, ``round`` counts the rounds that wrote values,
    ``worked_ms`` is when scans were last looked at, ``open_day`` the oldest day with chunks; ``late``: there may be
    batches that have got what they waited for.
    """

    member: int
    event_next: int
    scan_next: int
    round: int
    worked_ms: int
    open_day: int | None
    late: int


async def waiting(work: Work, *, now_ms: int, lag_ms: int, enough: int, day: int) -> list[int]:
    """Gateways with something to do, those with events first, then the longest waiting.

    Scans count when they were last looked at ``lag_ms`` ago (or in the future: the clock was set back), or when
    there are ``enough`` of them; open days when they lie before ``day``.
    """
    return [int(row[0]) for row in await work.fetch(WAITING, now_ms - lag_ms, enough, day, MANY, now_ms)]


async def claim(work: Work, gateway: int) -> Stand | None:
    """Where a gateway stands, which is now this transaction's; None while another follower works on it."""
    await work.execute("INSERT INTO progress (gateway) VALUES ($1) ON CONFLICT DO NOTHING", gateway)
    skip = " FOR UPDATE OF p SKIP LOCKED" if work.dialect.engine == "postgresql" else ""
    rows = await work.fetch(CLAIM + skip, gateway)
    return Stand._make(rows[0]) if rows else None


async def keep(work: Work, gateway: int, stand: Stand) -> None:
    """Write where it stands after a step."""
    await work.execute(KEEP, gateway, *stand[1:])


async def tree_sizes(work: Work, gateway: int) -> dict[int, int]:
    """Batches in the tree of each stream: what may be read."""
    rows = await work.fetch("SELECT stream, size FROM stream WHERE gateway = $1", gateway)
    return {0: 0, 1: 0} | {int(stream): int(size) for stream, size in rows}


async def ready(work: Work, gateway: int, most: int) -> dict[int, list[int]]:
    """By stream, the batches that have waited and now can be read."""
    rows = await work.fetch(READY, gateway, most)
    return {stream: [int(seq) for kind, seq in rows if kind == stream] for stream in (0, 1)}


async def batch_bodies(
    work: Work, gateway: int, stream: int, seqs: "range | list[int]"
) -> Iterable[tuple[int, bytes | None]]:
    """Sequence and body of batches; None where the body is not there."""
    if not seqs:
        return []
    if isinstance(seqs, range):
        sql = "SELECT seq, body FROM batch WHERE gateway = $1 AND stream = $2 AND seq >= $3 AND seq < $4"
        rows = await work.fetch(sql, gateway, stream, seqs.start, seqs.stop)
    else:
        among = work.dialect.among("seq", 3, "bigint")
        sql = f"SELECT seq, body FROM batch WHERE gateway = $1 AND stream = $2 AND {among}"  # our names
        rows = await work.fetch(sql, gateway, stream, work.several(seqs))
    found = {int(seq): body for seq, body in rows if body is not None}
    return [(seq, found.get(seq)) for seq in seqs]


WAITING = """
SELECT g.id FROM gateway g LEFT JOIN progress p ON p.gateway = g.id
    LEFT JOIN stream e ON e.gateway = g.id AND e.stream = 0
    LEFT JOIN stream s ON s.gateway = g.id AND s.stream = 1
WHERE coalesce(p.event_next, 0) < e.size OR p.late > 0 OR p.open_day < $3
    OR coalesce(p.scan_next, 0) < s.size
        AND (coalesce(p.worked_ms, 0) <= $1 OR p.worked_ms > $5 OR s.size - coalesce(p.scan_next, 0) >= $2)
ORDER BY CASE WHEN coalesce(p.event_next, 0) < e.size THEN 0 ELSE 1 END, coalesce(p.worked_ms, 0), g.id LIMIT $4"""
CLAIM = """
SELECT g.member, p.event_next, p.scan_next, p.round, p.worked_ms, p.open_day, p.late
FROM progress p JOIN gateway g ON g.id = p.gateway WHERE p.gateway = $1"""
KEEP = """
UPDATE progress SET event_next = $2, scan_next = $3, round = $4, worked_ms = $5, open_day = $6, late = $7
WHERE gateway = $1"""
READY = """
SELECT u.stream, u.seq FROM unread u WHERE u.gateway = $1 AND (
    EXISTS (SELECT 1 FROM boot b WHERE b.gateway = u.gateway AND b.boot = u.need)
    OR EXISTS (SELECT 1 FROM layout l WHERE l.gateway = u.gateway AND l.name = u.need)
    OR u.why = 'no-body' AND EXISTS (SELECT 1 FROM batch t WHERE t.gateway = u.gateway AND t.stream = u.stream
        AND t.seq = u.seq AND t.body IS NOT NULL))
ORDER BY u.stream, u.seq LIMIT $2"""
