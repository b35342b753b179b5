"""The journal read for charts: what has been condensed once is kept for a while, within a bound of memory.

For one thread at a time. The newest records are read each time; nothing here is ever older than the journal.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import NamedTuple

from gateway.buffer.reader import Reader
from gateway.errors import SealError
from gateway.model import StoredBatch, Stream
from gateway.records import Archive
from gateway.report.samples import Happening
from gateway.seal.batch import open_batch
from gateway.viewing.strips import Run, Strip

__all__ = ["Finder", "Shelf", "Stretch", "read_corrections", "scan_bodies"]

BLOCK = 16
"""Batches that are condensed together."""
MOST_BYTES = 4_000_000
MOST_EVENTS = 6_000
WHOLE_EVENTS = 3_000
"""Up to so many event batches the whole stream is read, else what is newer than `EARLIER_MS` before a chart."""
EARLIER_MS = 7 * 86_400_000
MARGIN_MS = 1_800_000
"""How far before a stretch is read: a batch may be a quarter of an hour long."""
IDLE_S = 120.0
"""After so long without a look everything is given back."""
KINDS = ("alarm.", "state.", "label.", "clock.", "power_", "config.", "record.")
"""Events that a chart or a history shows."""


class Stretch(NamedTuple):
    """The samples of one channel in a stretch of time, in order, and the runs of slots that they come from."""

    times: "array[int]"
    values: "array[float]"
    indicated: "array[float]"
    quality: bytes
    runs: list[Run]
    unit: str
    decimals: int | None
    untimed: bool
    begins_ms: int | None
    """When the first slot on record was due, where the record begins within what was read."""


class Finder:
    """Finds batches of a stream by time."""

    def __init__(self, reader: Reader, archive: Archive) -> None:
        self._reader = reader
        self._archive = archive

    def first(self, stream: Stream, bounds: tuple[int, int], start_ms: int) -> int:
        """The first batch to read: before it all is older. Batches without a known time are not passed over."""
        low, high = max(bounds[0], 1), bounds[1] + 1
        while low < high:
            middle = (low + high) // 2
            known = self._known(stream, middle, high)
            if known is None or known[1] >= start_ms:
                high = middle
            else:
                low = known[0] + 1
        while low > bounds[0] + 1:
            before = self._reader.batches(stream, low - 1, 1)
            if not before or before[0].seq != low - 1 or self._ends(before[0]) is not None:
                break
            low -= 1
        return low

    def _known(self, stream: Stream, seq: int, end: int) -> tuple[int, int] | None:
        """The first batch from ``seq`` on whose time is known, with its end."""
        size = 1
        while seq < end:
            batches = self._reader.batches(stream, seq, size)
            if not batches:
                return None
            for batch in batches:
                if (ends := self._ends(batch)) is not None:
                    return batch.seq, ends
            seq, size = batches[-1].seq + 1, min(64, size * 4)
        return None

    def _ends(self, batch: StoredBatch) -> int | None:
        try:
            return (
                None
                if batch.body is None
                else self._archive.claim(open_batch(batch.body).clock).utc_at(batch.last_ms)
            )
        except SealError:
            return None


def read_corrections(reader: Reader, archive: Archive) -> None:
    """All layouts, and the times that became known later, so that scans can be read; keeps no events."""
    archive.layouts.update(reader.layouts())
    seq = 0
    while batches := reader.batches("event", seq, 100):
        for _ in archive.add_events(batch.body for batch in batches if batch.body is not None):
            pass
        seq = batches[-1].seq + 1


def scan_bodies(reader: Reader, archive: Archive, start_ms: int, end_ms: int) -> Iterator[bytes]:
    """The scan batches that can hold something of a stretch of time."""
    bounds = reader.bounds("scan")
    if bounds is None:
        return
    seq = Finder(reader, archive).first("scan", bounds, start_ms - MARGIN_MS)
    while batches := reader.batches("scan", seq, 50):
        for batch in batches:
            if batch.body is None:
                continue
            begins = archive.claim(open_batch(batch.body).clock).utc_at(batch.first_ms)
            if begins is not None and begins > end_ms + MARGIN_MS:
                return
            yield batch.body
        seq = batches[-1].seq + 1


class Shelf:
    """Reads one journal. Every method raises `StorageError` while the file cannot be read."""

    def __init__(self, path: Path, now: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._now = now
        self._lock = Lock()
        self._used = 0.0
        self._blocks: OrderedDict[tuple[str, str, int], Strip] = OrderedDict()
        self._bytes = 0
        self._archive = Archive()
        self._events: list[Happening] = []
        self._event_first: int | None = None
        self._event_next = 0

    def give_back(self) -> bool:
        """Drop what nobody has asked for lately; true once nothing is held any more."""
        with self._lock:
            if self._now() - self._used > IDLE_S:
                self._forget()
            return not self._blocks and not self._events

    def _forget(self) -> None:
        self._blocks.clear()
        self._bytes = 0
        self._events, self._event_first, self._event_next = [], None, 0
        self._archive = Archive()

    def look(self, device: str, channel: str, start_ms: int, until_ms: int) -> tuple[Stretch, list[Happening]]:
        """The samples of a channel from ``start_ms`` to before ``until_ms``, and all events that may matter."""
        with self._lock, closing(Reader(self._path)) as reader:
            self._used = self._now()
            self._archive.layouts.update(reader.layouts())
            events = self._read_events(reader, start_ms)
            return self._stretch(reader, device, channel, start_ms, until_ms), events

    def events(self, start_ms: int) -> list[Happening]:
        """Events from a time on, and as many before it as are at hand."""
        with self._lock, closing(Reader(self._path)) as reader:
            self._used = self._now()
            return self._read_events(reader, start_ms)

    # samples

    def _stretch(self, reader: Reader, device: str, channel: str, start_ms: int, until_ms: int) -> Stretch:
        bounds = reader.bounds("scan")
        strips: list[Strip] = []
        whole = bounds is None
        if bounds is not None:
            first = Finder(reader, self._archive).first("scan", bounds, start_ms - MARGIN_MS)
            whole = bounds[0] == 0 and first // BLOCK == 0
            for block in range(first // BLOCK, bounds[1] // BLOCK + 1):
                strip = self._block(reader, device, channel, block, bounds[1])
                strips.append(strip)
                if strip.times and strip.times[0] > until_ms + MARGIN_MS:
                    break
        newest = Strip(device, channel)
        for clock, layout, records in reader.tail():
            newest.add(self._archive.claim(clock), layout, records)
        return _joined([*strips, newest], start_ms, until_ms, whole=whole)

    def _block(self, reader: Reader, device: str, channel: str, block: int, newest: int) -> Strip:
        key = device, channel, block
        strip = self._blocks.pop(key, None)
        before = 0 if strip is None else strip.size
        strip = strip or Strip(device, channel, max(1, block * BLOCK))
        end = min((block + 1) * BLOCK, newest + 1)
        while strip.upto < end:
            batches = reader.batches("scan", strip.upto, end - strip.upto)
            for batch in batches:
                if batch.body is not None:
                    opened, layout, records = self._archive.scans(batch.body)
                    strip.add(self._archive.claim(opened.clock), layout, records)
                strip.upto = batch.seq + 1
            if not batches:
                strip.upto = end
        self._blocks[key] = strip
        self._bytes += strip.size - before
        while self._bytes > MOST_BYTES and len(self._blocks) > 1:
            self._bytes -= self._blocks.popitem(last=False)[1].size
        return strip

    # events

    def _read_events(self, reader: Reader, start_ms: int) -> list[Happening]:
        bounds = reader.bounds("event")
        if bounds is None:
            return []
        wanted = bounds[0]
        if bounds[1] - bounds[0] > WHOLE_EVENTS:
            wanted = Finder(reader, self._archive).first("event", bounds, start_ms - EARLIER_MS)
        if self._event_first is None or wanted < self._event_first or len(self._events) > MOST_EVENTS:
            self._events, self._event_first, self._event_next = [], wanted, wanted
        known, had = dict(self._archive.corrections), bool(self._events or self._blocks)
        for stored in self._archive.add_events(self._bodies(reader, bounds[1])):
            event = stored.event
            if event.kind.startswith(KINDS):
                self._events.append(
                    Happening(stored.utc_ms, stored.boot, event.at_ms, event.kind, event.data, stored.batch)
                )
        self._event_next = bounds[1] + 1
        if had and self._archive.corrections != known:
            # Times that were not known have become known: what was read without them is read again.
            kept = self._archive
            self._forget()
            self._archive = kept
            return self._read_events(reader, start_ms)
        return self._events

    def _bodies(self, reader: Reader, last: int) -> Iterator[bytes]:
        seq = self._event_next
        while seq <= last and (batches := reader.batches("event", seq, min(500, last - seq + 1))):
            yield from (batch.body for batch in batches if batch.body is not None)
            seq = batches[-1].seq + 1


def _joined(strips: list[Strip], start_ms: int, until_ms: int, *, whole: bool) -> Stretch:
    """One line of time. A journal is in that order unless the clock went back between two boots."""
    times, values, indicated = array("q"), array("d"), array("d")
    quality = bytearray()
    runs: list[Run] = []
    for strip in strips:
        times += strip.times
        values += strip.values
        indicated += strip.indicated
        quality += strip.quality
        runs += strip.runs
    if any(before.due_ms > after.due_ms for before, after in pairwise(runs)):
        order = sorted(range(len(times)), key=times.__getitem__)
        times = array("q", (times[n] for n in order))
        values = array("d", (values[n] for n in order))
        indicated = array("d", (indicated[n] for n in order))
        quality = bytearray(quality[n] for n in order)
        runs.sort(key=lambda run: run.due_ms)
    first, last = bisect_left(times, start_ms), bisect_left(times, until_ms)
    inside = [run for run in runs if run.end_ms > start_ms and run.due_ms < until_ms]
    unit, decimals = next(((s.unit, s.decimals) for s in reversed(strips) if s.unit), ("", None))
    return Stretch(
        times[first:last],
        values[first:last],
        indicated[first:last],
        bytes(quality[first:last]),
        inside,
        unit,
        decimals,
        any(strip.untimed for strip in strips),
        runs[0].due_ms if whole and runs else None,
    )
