"""What a journal holds, read from end to end, also beside a daemon that goes on writing it."""

from collections.abc import Callable, Iterator

from gateway.buffer.reader import Reader
from gateway.model import ClockClaim, Layout, Miss, Scan, StoredBatch, Stream
from gateway.records import Archive, Reading

__all__ = ["bodies", "readings_of", "scans_of", "stored"]

AT_ONCE = 500
"""Batches that are read in one go."""

Gone = Callable[[Stream, int], None]
"""Told of a stream how many of its batches have no body here any more."""


def stored(journal: Reader, stream: Stream, first: int = 0, upto: int | None = None) -> Iterator[StoredBatch]:
    """Batches of a stream in order, from one sequence up to another (None: as many as there are)."""
    while batches := journal.batches(stream, first, AT_ONCE if upto is None else min(AT_ONCE, upto + 1 - first)):
        yield from batches
        first = batches[-1].seq + 1


def bodies(
    journal: Reader, stream: Stream, *, upto: int | None = None, gone: Gone | None = None
) -> Iterator[bytes]:
    """Bodies of a stream in order; those that retention has taken are passed over and counted."""
    without = 0
    for batch in stored(journal, stream, upto=upto):
        if batch.body is None:
            without += 1
        else:
            yield batch.body
    if without and gone is not None:
        gone(stream, without)


def readings_of(archive: Archive, journal: Reader, gone: Gone | None = None) -> Iterator[Reading]:
    """All readings: what is sealed, and then what waits for its batch. ``archive`` has the events."""
    upto = journal.heads()["scan"]
    yield from archive.readings(bodies(journal, "scan", upto=upto, gone=gone))
    sealed, waiting = journal.rest(upto + 1)
    yield from archive.readings(batch.body for batch in sealed if batch.body is not None)
    for clock, layout, records in waiting:
        yield from archive.rows(clock, layout, records, None)


def scans_of(archive: Archive, journal: Reader) -> Iterator[tuple[ClockClaim, Layout, list[Scan | Miss]]]:
    """The same as records: batch by batch, and then the groups that wait, with clock and layout."""
    upto = journal.heads()["scan"]
    for body in bodies(journal, "scan", upto=upto):
        yield _opened(archive, body)
    sealed, waiting = journal.rest(upto + 1)
    for batch in sealed:
        if batch.body is not None:
            yield _opened(archive, batch.body)
    yield from waiting


def _opened(archive: Archive, body: bytes) -> tuple[ClockClaim, Layout, list[Scan | Miss]]:
    batch, layout, records = archive.scans(body)
    return batch.clock, layout, records
