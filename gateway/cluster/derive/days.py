"""Days that grow, and days that are over.

A round of the follower writes a chunk for each channel and day. Every sixteenth round those of the last sixteen
become one, so that a day that grows is never rewritten as a whole and still is read quickly. When a day is over,
its chunks become one row of ``day``, and its hours are counted anew from it, to the last digit. What comes later
still (a backlog, a boot whose time has become known) begins new chunks, which become part of the same row.
"""

from collections.abc import Iterable

from gateway.cluster.database import Row, Work
from gateway.cluster.derive.scans import hours_of
from gateway.cluster.derive.segment import DAY_MS, HOUR_MS, decode, encode, joined
from gateway.cluster.derive.tables import CHUNK, ROLL

__all__ = ["CLOSE_AFTER_MS", "close_days", "over", "tidy"]

CLOSE_AFTER_MS = 2 * HOUR_MS
"""A day is over so long after its end: most of what is late has come by then."""
TOGETHER = 16
SMALL = 1000
"""Values of a chunk that is large enough to be left as it is."""
MOST_DAYS = 100
"""Days of channels that one transaction closes, and the values in them."""
MOST_VALUES = 500_000

Parts = dict[tuple[int, int], list[Row]]


def over(now_ms: int) -> int:
    """The first day that is not over, by this machine's clock."""
    return (now_ms - CLOSE_AFTER_MS) // DAY_MS


async def tidy(work: Work, gateway: int, member: int, place: int) -> None:
    """Every sixteenth round: put the chunks of the last rounds together."""
    if place % TOGETHER:
        return
    rows = await work.fetch(
        """
        SELECT c.channel, c.day, h.decimals, h.period_ms, c.place, c.body FROM channel h
        JOIN chunk c ON c.channel = h.id AND c.place > $2 AND c.place <= $3
        WHERE h.gateway = $1 AND c.count < $4 ORDER BY c.channel, c.day, c.place""",
        gateway,
        place - TOGETHER,
        place,
        SMALL,
    )
    parts = {key: found for key, found in _grouped(rows).items() if len(found) > 1}
    await work.execute_each(
        "DELETE FROM chunk WHERE channel = $1 AND day = $2 AND place = $3",
        [(*key, row[4]) for key, found in parts.items() for row in found],
    )
    chunks = []
    for (channel, day), found in parts.items():
        whole = joined(decode(bytes(row[5])) for row in found)
        body = encode(whole, found[0][2], found[0][3])
        chunks.append((member, channel, day, found[-1][4], len(whole.times), body))
    await work.execute_each(CHUNK, chunks)


async def close_days(work: Work, gateway: int, member: int, before: int) -> int | None:
    """Make rows of ``day`` of chunks of days before ``before``, as many as a transaction should.

    Returns the oldest day that still has chunks, None where none has.
    """
    rows = await work.fetch(
        """
        SELECT c.channel, c.day, h.decimals, h.period_ms, sum(c.count) FROM channel h
        JOIN chunk c ON c.channel = h.id AND c.day < $2
        WHERE h.gateway = $1 GROUP BY c.channel, c.day, h.decimals, h.period_ms
        ORDER BY c.day, c.channel LIMIT $3""",
        gateway,
        before,
        MOST_DAYS,
    )
    chosen: list[Row] = []
    values = 0
    for row in rows:
        if chosen and values + int(row[4]) > MOST_VALUES:
            break
        chosen.append(row)
        values += int(row[4])
    for row in chosen:
        await _close(work, member, row)
    left = await work.fetch(
        "SELECT min(c.day) FROM channel h JOIN chunk c ON c.channel = h.id WHERE h.gateway = $1", gateway
    )
    return None if left[0][0] is None else int(left[0][0])


async def _close(work: Work, member: int, row: Row) -> None:
    channel, day, decimals, period_ms, _ = row
    bodies = await work.fetch("SELECT body FROM day WHERE channel = $1 AND day = $2", channel, day)
    sql = "SELECT body FROM chunk WHERE channel = $1 AND day = $2 ORDER BY place"
    bodies = [*bodies, *await work.fetch(sql, channel, day)]
    whole = joined(decode(bytes(row[0])) for row in bodies)
    await work.execute(
        """
        INSERT INTO day (member, channel, day, count, body) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (channel, day) DO UPDATE SET count = excluded.count, body = excluded.body""",
        member,
        channel,
        day,
        len(whole.times),
        encode(whole, decimals, period_ms),
    )
    await work.execute("DELETE FROM chunk WHERE channel = $1 AND day = $2", channel, day)
    sql = "DELETE FROM roll WHERE channel = $1 AND hour >= $2 AND hour < $3"
    await work.execute(sql, channel, day * 24, (day + 1) * 24)
    await work.execute_each(ROLL, [(member, channel, *roll) for roll in hours_of(whole)])


def _grouped(rows: Iterable[Row]) -> Parts:
    parts: Parts = {}
    for row in rows:
        parts.setdefault((int(row[0]), int(row[1])), []).append(row)
    return parts
