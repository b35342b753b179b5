"""What an output was not given by an earlier process, read from the journal."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gateway.buffer.journal import Journal
from gateway.buffer.reader import Reader
from gateway.errors import SealError, StorageError
from gateway.model import ClockClaim, Layout, Miss, Scan
from gateway.notify.mark import Mark, Recalled, last_slot
from gateway.records import Archive, backwards

__all__ = ["recall"]

LATE_MS = 3_600_000
"""A record stands in the journal at most so much later than others of its time: a batch may be open for so long."""

Group = tuple[ClockClaim, Layout, list[Scan | Miss]]


async def recall(journal: Journal, path: Path, mark: Mark, most: int) -> tuple[list[Recalled], bool]:
    """What ``mark`` does not cover of all that was recorded until now, at most the newest ``most`` records, and
    whether that is all. Raises `StorageError` where the journal cannot be read.

    Bodies that retention has taken are gone for outputs, too.
    """
    await journal.flush()
    try:
        return await asyncio.to_thread(_read, path, mark, most)
    except SealError as error:
        raise StorageError(str(error), "aurora-gateway doctor says what is wrong with the journal") from error


def _read(path: Path, mark: Mark, most: int) -> tuple[list[Recalled], bool]:
    found: list[Recalled] = []
    over: set[str] = set()
    for clock, layout, records in _groups(path, mark):
        new = []
        for record in reversed(records):
            device = layout.devices[record.device]
            if device.id in over:
                continue
            if mark.covers(clock.boot, device.id, last_slot(record), _at_ms(layout, record)):
                known = mark.slots.get(device.id)
                if known is not None and known[0] == clock.boot and last_slot(record) == known[1]:
                    over.add(device.id)
                continue
            new.append(Recalled(clock, device, record))
        # By the time at which each was due: what was answered late still comes before the slot that follows it.
        new.sort(key=lambda one: one.record.slot * one.device.period_ms + one.device.phase_ms, reverse=True)
        found += new
        if len(found) > most:
            return found[most - 1 :: -1], False
    return found[::-1], True


def _groups(path: Path, mark: Mark) -> Iterator[Group]:
    """The records of the journal in groups, the newest first, back to where the mark covers everything."""
    with closing(Reader(path)) as reader:
        archive = Archive(layouts=reader.layouts())
        yield from reversed(reader.tail())
        seen = False
        for body, last_ms in backwards(reader):
            batch, layout, records = archive.scans(body)
            of_mark = batch.clock.boot == mark.boot
            if (of_mark and last_ms < mark.at_ms - LATE_MS) or (seen and not of_mark):
                return
            seen = seen or of_mark
            yield batch.clock, layout, records


def _at_ms(layout: Layout, record: Scan | Miss) -> int:
    if isinstance(record, Scan):
        return record.at_ms
    device = layout.devices[record.device]
    return last_slot(record) * device.period_ms + device.phase_ms
