"""Values of a member as CSV or Parquet: a row a reading, with unit, quality, error of its time, and its place.

Rows are written as they are read; neither form needs the whole in memory. What is in the file can be held against
the signed batches row by row: ``gateway``, ``stream``, ``batch``, ``slot`` and ``boot`` say where.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from gateway.errors import RecordError
from gateway.records import Reading

__all__ = ["COLUMNS", "CsvWriter", "Origin", "ParquetWriter", "Row", "Writer", "plain", "shown", "write"]

GROUP = 65_536
"""Rows of one row group: what a Parquet file keeps in memory while it is written."""
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "'")
"""Beginnings of a text that a spreadsheet would take for a formula, and the apostrophe itself."""
FORMAT = "aurora-values/1"


class Row(NamedTuple):
    """One reading, or one run of ``slots`` samples that brought none (no channel, no value, and why).

    ``time_utc`` is Unix ms and within ``error_ms``; ``points`` are ids of the points that the channel feeds now.
    """

    time_utc: int | None
    error_ms: int | None
    member: str
    site: str
    gateway: str
    device: str
    channel: str
    role: str
    points: str
    value: float | None
    unit: str
    decimals: int | None
    severity: str
    quality: str
    slot: int
    slots: int
    boot: str
    boot_ms: int
    stream: str
    batch: int


COLUMNS: Sequence[str] = Row._fields
MEANINGS: Mapping[str, str] = {
    "time_utc": "when it was measured, UTC, in milliseconds",
    "error_ms": "largest error of time_utc, in milliseconds",
    "channel": "empty: the device as a whole did not answer",
    "role": "value: the one to use; indicated: as the device gave it, before calibration",
    "points": "ids of the points it feeds, separated by blanks",
    "value": "in unit; null exactly where severity is bad",
    "decimals": "decimal places that the device gives; null: binary floating point",
    "severity": "good, uncertain or bad",
    "quality": "the reason, as in docs/payload-format.md",
    "slot": "number in the device's schedule",
    "slots": "samples that the row speaks for",
    "boot": "boot id of the gateway, hexadecimal",
    "boot_ms": "boot time of the gateway, in milliseconds",
    "stream": "stream of the signed batch",
    "batch": "sequence of the signed batch that holds it",
}


class Origin(NamedTuple):
    """Whose readings they are, and which points each (device, channel) feeds."""

    member: str
    site: str
    gateway: str
    points: Mapping[tuple[str, str], str]

    def row(self, r: Reading, stream: str) -> Row:
        """A reading as a row."""
        points = self.points.get((r.device, r.channel), "")
        place = -1 if r.batch is None else r.batch
        return Row(
            r.utc_ms, r.error_ms, self.member, self.site, self.gateway, r.device, r.channel, r.role, points,
            r.value, r.unit, r.decimals, r.quality.severity, r.quality.name.lower(), r.slot, r.slots, r.boot.hex(),
            r.boot_ms, stream, place,
        )  # fmt: skip


class Writer(AbstractContextManager["Writer"], Protocol):
    """Takes rows; the file is whole when the block has ended without an error."""

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows."""


async def write(rows: AsyncIterator[Sequence[Row]], writer: Writer) -> int:
    """Write all rows as they come; returns how many there were."""
    count = 0
    with writer:
        async for part in rows:
            writer.add(part)
            count += len(part)
    return count


class CsvWriter:
    """RFC 4180 in UTF-8, with a header line. Numbers are as they are, with the decimals that the device gives.

    A text that a spreadsheet would take for a formula gets an apostrophe before it (`plain` takes it off again).
    """

    def __init__(self, file: io.TextIOBase) -> None:
        self._file = file
        self._lines = csv.writer(file, lineterminator="\r\n")

    def __enter__(self) -> Self:
        self._lines.writerow(COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._file.flush()

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows."""
        self._lines.writerows([_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    cells = []
    for name, value in zip(COLUMNS, row, strict=True):
        if value is None:
            cells.append("")
        elif name == "time_utc":
            cells.append(_utc(int(value)))
        elif name == "value":
            cells.append(repr(value) if row.decimals is None else f"{value:.{row.decimals}f}")
        elif isinstance(value, str):
            cells.append(shown(value))
        else:
            cells.append(str(value))
    return cells


def shown(text: str) -> str:
    """A text for a cell: an apostrophe before what a spreadsheet would compute."""
    return f"'{text}" if text.startswith(DANGEROUS) else text


def plain(cell: str) -> str:
    """The inverse of `shown`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(DANGEROUS) else cell


class ParquetWriter:
    """Row groups of 65 536 rows, zstd. Raises `RecordError` where pyarrow is not installed."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        self._about = {"format": FORMAT, **about}
        self._arrow, self._parquet = _pyarrow()
        self._rows: list[Row] = []
        self._writer: Any = None

    def __enter__(self) -> Self:
        self._schema = _schema(self._arrow, self._about)
        self._writer = self._parquet.ParquetWriter(self._path, self._schema, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._rows:
                self._flush()
        finally:
            self._writer.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows."""
        self._rows += rows
        while len(self._rows) >= GROUP:
            self._flush()

    def _flush(self) -> None:
        part, self._rows = self._rows[:GROUP], self._rows[GROUP:]
        columns = [
            self._arrow.array(values, type=field.type)
            for values, field in zip(zip(*part, strict=True), self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema), row_group_size=GROUP)


def _schema(arrow: Any, about: Mapping[str, Any]) -> Any:
    words = arrow.dictionary(arrow.int32(), arrow.string())
    kinds: dict[str, Any] = {
        "time_utc": arrow.timestamp("ms", tz="UTC"),
        "error_ms": arrow.int64(),
        "value": arrow.float64(),
        "decimals": arrow.int8(),
        "slot": arrow.int64(),
        "slots": arrow.int64(),
        "boot_ms": arrow.int64(),
        "batch": arrow.int64(),
    }
    nullable = {"time_utc", "error_ms", "value", "decimals"}
    fields = [
        arrow.field(
            name,
            kinds.get(name, words),
            nullable=name in nullable,
            metadata={"meaning": MEANINGS[name]} if name in MEANINGS else None,
        )
        for name in COLUMNS
    ]
    return arrow.schema(fields, metadata={"aurora": json.dumps(about, ensure_ascii=False, sort_keys=True)})


def _pyarrow(load: Callable[[], tuple[Any, Any]] | None = None) -> tuple[Any, Any]:
    try:
        return (load or _load)()
    except ImportError as error:
        raise RecordError(
            "Parquet needs the package pyarrow, which is not installed",
            "install aurora-gateway[parquet], or write CSV",
        ) from error


def _load() -> tuple[Any, Any]:
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def _utc(utc_ms: int) -> str:
    moment = datetime.fromtimestamp(utc_ms // 1000, UTC).replace(microsecond=utc_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
