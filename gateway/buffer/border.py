"""Records that the codec refuses: what is kept of them, so that one bad record never stops the others."""

from collections.abc import Iterable, Iterator

from gateway.errors import SealError
from gateway.model import Layout, Miss, Quality, Scan
from gateway.seal.columns import encode_tail

Interval = tuple[int, int]


def encodable(layout: Layout, records: Iterable[Scan | Miss]) -> tuple[list[Scan | Miss], int]:
    """Records that can stand in one batch, and how many could not be taken as they were.

    A record that contradicts the layout becomes a missed slot (`Quality.NOT_STORED`); one of an unknown device
    or of an impossible slot is left out. A slot that an earlier record accounts for is not accounted for again.
    """
    kept: list[Scan | Miss] = []
    taken: dict[int, list[Interval]] = {}
    refused = 0
    for record in records:
        sound = _sound(layout, record)
        parts = [] if sound is None else list(_apart(sound, taken.setdefault(sound.device, [])))
        kept += parts
        refused += parts != [record]
    return kept, refused


def _sound(layout: Layout, record: Scan | Miss) -> Scan | Miss | None:
    count = 1 if isinstance(record, Scan) else record.count
    for candidate in (record, Miss(record.device, record.slot, count, Quality.NOT_STORED)):
        try:
            encode_tail(layout, [candidate])
        except SealError:
            continue
        return candidate
    return None


def _apart(record: Scan | Miss, taken: list[Interval]) -> Iterator[Scan | Miss]:
    """The parts of a record that no interval covers; they are added to the intervals."""
    first = record.slot
    end = first + (1 if isinstance(record, Scan) else record.count)
    for begin, stop in sorted(taken):
        if stop <= first or begin >= end:
            continue
        if begin > first:
            taken.append((first, begin))
            yield _part(record, first, begin)
        first = max(first, stop)
    if first < end:
        taken.append((first, end))
        yield _part(record, first, end)


def _part(record: Scan | Miss, first: int, end: int) -> Scan | Miss:
    if isinstance(record, Scan) or (first, end - first) == (record.slot, record.count):
        return record
    return Miss(record.device, first, end - first, record.quality, record.raw)


def mark_recovered(records: list[Scan | Miss]) -> None:
    """Say of every good value that it comes from a damaged store."""
    table = bytes.maketrans(bytes([Quality.GOOD]), bytes([Quality.RECOVERED]))
    for record in records:
        if isinstance(record, Scan):
            record.quality = record.quality.translate(table)
