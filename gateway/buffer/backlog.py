"""What waits in memory for the next commit: bounded, in order, and never dropped in silence."""

from collections.abc import Iterable
from typing import Final

from gateway.model import Miss, Quality, Scan

LIMIT: Final = 200_000
"""Values that wait at most (about 50 MB)."""
_CAUSES: Final = 64
"""Runs of one device that keep their own causes; beyond, they are joined."""


def weight(record: Scan | Miss) -> int:
    """Values of a record, for limits: a run of missed slots costs as much as one value."""
    return len(record.values) if isinstance(record, Scan) else 1


class Backlog:
    """Records that are not on disk, oldest first.

    Beyond ``limit`` values the oldest scans become runs of missed slots (`Quality.NOT_STORED`), so that every
    slot is still accounted for. ``dropped`` counts the values given up since it was last set to 0.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.records: list[Scan | Miss] = []
        self.values = 0
        self.dropped = 0

    def add(self, record: Scan | Miss) -> None:
        """Append one record."""
        self.records.append(record)
        self.values += weight(record)
        if self.values > self.limit:
            self._give_up()

    def take(self) -> list[Scan | Miss]:
        """All records; the backlog is empty afterwards."""
        taken = self.records
        self.records, self.values = [], 0
        return taken

    def give_back(self, records: list[Scan | Miss]) -> None:
        """Put records that could not be stored before those that came since."""
        self.records = records + self.records
        self.values = sum(map(weight, self.records))
        if self.values > self.limit:
            self._give_up()

    def cut(self, count: int) -> None:
        """Take back all but the ``count`` oldest records: they are to be accounted for otherwise."""
        del self.records[count:]
        self.values = sum(map(weight, self.records))

    def _give_up(self) -> None:
        """Fold the oldest records until an eighth of the limit is free, so that this is seldom done."""
        target, count = self.limit - self.limit // 8, 0
        remaining = self.values
        for record in self.records:
            if remaining <= target:
                break
            remaining -= weight(record)
            count += 1
        oldest, rest = self.records[:count], self.records[count:]
        self.dropped += sum(len(record.values) for record in oldest if isinstance(record, Scan))
        self.records = fold(oldest) + rest
        self.values = sum(map(weight, self.records))


def fold(records: Iterable[Scan | Miss]) -> list[Scan | Miss]:
    """Runs of missed slots in place of records, in order for each device."""
    runs: dict[int, list[Miss]] = {}
    for record in records:
        if isinstance(record, Scan):
            run = Miss(record.device, record.slot, 1, Quality.NOT_STORED)
        else:
            run = Miss(record.device, record.slot, record.count, record.quality)
        _join(runs.setdefault(record.device, []), run)
    return [run for of_device in runs.values() for run in of_device]


def _join(runs: list[Miss], run: Miss) -> None:
    last = runs[-1] if runs else None
    if last is None or last.slot + last.count != run.slot:
        runs.append(run)
    elif last.quality == run.quality:
        last.count += run.count
    elif len(runs) < _CAUSES:
        runs.append(run)
    else:
        last.count += run.count
        last.quality = Quality.NOT_STORED
