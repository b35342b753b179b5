"""Partitions of the batches, one for each month in which they were received."""

from datetime import UTC, datetime

from gateway.cluster.database import Work

AHEAD = 2
"""Months, this one included, that have a partition before their first batch comes."""


async def provide(work: Work, now_ms: int) -> None:
    """Make the partitions of this month and the next; batches without one lie in ``batch_other``."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    months = [_month(now.year * 12 + now.month - 1 + ahead) for ahead in range(AHEAD)]
    for start, end in months:
        name = f"batch_{start:%Y_%m}"
        first, last = (int(edge.timestamp() * 1000) for edge in (start, end))
        if (await work.fetch("SELECT to_regclass($1)", name))[0][0]:
            continue
        stray = "SELECT 1 FROM batch_other WHERE received_ms >= $1 AND received_ms < $2 LIMIT 1"
        if not await work.fetch(stray, first, last):
            # The rights of its owner are lent for that; the partition is shut, and granted to nobody.
            await work.execute("SELECT add_month($1, $2, $3)", name, first, last)


def _month(number: int) -> tuple[datetime, datetime]:
    edges = [datetime(place // 12, place % 12 + 1, 1, tzinfo=UTC) for place in (number, number + 1)]
    return edges[0], edges[1]
