"""What was read later from a sensor's own memory: beside the gaps of a period, never in its figures."""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.errors import SealError
from gateway.report.period import Period
from gateway.report.samples import Happening
from gateway.seal.backfill import BACKFILL, read_backfill

__all__ = ["Later", "read_later"]


class Later(NamedTuple):
    """Values of one channel out of one download. Times are Unix ms of the first and the last of them."""

    start_ms: int
    end_ms: int
    slots: int
    """Missed slots that have a value by it."""
    low: float
    high: float
    error_ms: int
    """Largest error of a time, against the gateway's own clock."""
    source: str
    sha256: str
    """Of the bytes that the sensor sent, as the events have it."""
    batches: tuple[int, ...]
    """Event batches that hold them."""


def read_later(events: Iterable[Happening], device: str, channel: str, period: Period) -> list[Later]:
    """By download, in the order of the record. An event that cannot be read is left out: verification names it."""
    found: dict[str, tuple[str, list[tuple[int, int, int, float, int]]]] = {}
    for event in events:
        if event.kind != BACKFILL or event.data.get("device") != device:
            continue
        try:
            backfill = read_backfill(event.data)
        except SealError:
            continue
        for row, column, value in backfill.series():
            at_ms = event.utc_at(row.at_ms)
            if (column.channel, column.role) != (channel, "value") or at_ms is None:
                continue
            if period.start_ms <= at_ms < period.until_ms:
                rows = found.setdefault(backfill.sha256, (backfill.source, []))[1]
                rows.append((at_ms, row.slot, row.error_ms, value, event.batch))
    return [
        Later(
            start_ms=min(row[0] for row in rows),
            end_ms=max(row[0] for row in rows),
            slots=len({row[1] for row in rows}),
            low=min(row[3] for row in rows),
            high=max(row[3] for row in rows),
            error_ms=max(row[2] for row in rows),
            source=source,
            sha256=digest,
            batches=tuple(sorted({row[4] for row in rows})),
        )
        for digest, (source, rows) in found.items()
    ]
