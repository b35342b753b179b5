"""The readings of one point in a stretch of time, as CSV in the form of `aurora-gateway export`."""

import csv
from collections.abc import Iterator
from contextlib import closing
from io import StringIO

from gateway.buffer.reader import Reader
from gateway.errors import OperatorError
from gateway.export import CSV_HEAD, csv_row
from gateway.records import Archive, Reading
from gateway.site import PointSpec, Site
from gateway.viewing.shelf import read_corrections, scan_bodies

__all__ = ["point_csv"]

AT_ONCE = 1 << 15
"""Characters of a piece."""


def point_csv(site: Site, name: str, start_ms: int, end_ms: int) -> Iterator[bytes]:
    """Pieces of the file; nothing else is held. For a thread. Raises `OperatorError` for a point that is none."""
    point = next((one for one in site.points if one.id == name), None)
    if point is None:
        raise OperatorError("there is no such point", "see the overview")
    return _pieces(site, point, start_ms, end_ms)


def _pieces(site: Site, point: PointSpec, start_ms: int, end_ms: int) -> Iterator[bytes]:
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(CSV_HEAD)
    with closing(Reader(site.data_dir / "journal.db")) as reader:
        for reading in _readings(reader, point, start_ms, end_ms):
            lines.writerow(csv_row(reading))
            if text.tell() > AT_ONCE:
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()
    yield text.getvalue().encode()


def _readings(reader: Reader, point: PointSpec, start_ms: int, end_ms: int) -> Iterator[Reading]:
    archive = Archive()
    read_corrections(reader, archive)
    for reading in _all(archive, reader, start_ms, end_ms):
        if reading.device != point.device or reading.channel not in {"", point.channel}:
            continue
        if reading.utc_ms is not None and start_ms <= reading.utc_ms < end_ms:
            yield reading


def _all(archive: Archive, reader: Reader, start_ms: int, end_ms: int) -> Iterator[Reading]:
    yield from archive.readings(scan_bodies(reader, archive, start_ms, end_ms))
    for clock, layout, records in reader.tail():
        yield from archive.rows(clock, layout, records, None)
