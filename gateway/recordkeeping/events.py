"""From the journal's event stream to the logbook, and to the list of records as table, CSV and JSON."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from gateway.buffer.reader import Reader
from gateway.errors import AuroraError
from gateway.holdings import bodies
from gateway.logbook.book import Logbook
from gateway.logbook.entry import KINDS
from gateway.logbook.forms import lot_key
from gateway.logbook.index import Index
from gateway.logbook.settings import SettingsWatch
from gateway.model import Event, Layout
from gateway.seal.batch import EVENT_TYPE, open_batch
from gateway.seal.columns import decode_events
from gateway.site import Site

__all__ = [
    "COLUMNS",
    "LISTED",
    "Recorded",
    "open_logbook",
    "recorded_events",
    "rows",
    "write_csv",
    "write_json",
]

CHANGED = "config.changed"
LISTED = (*KINDS, CHANGED)
"""Kinds of events that are records."""


class Recorded(NamedTuple):
    """An event as it stands in the stream: its batch, boot id, and UTC in milliseconds where it was known then."""

    event: Event
    boot: bytes
    utc_ms: int | None
    batch: int


def recorded_events(journal: Reader) -> Iterator[Recorded]:
    """Every event that the journal holds, in order, batch by batch. Raises `StorageError` and `SealError`."""
    for body in bodies(journal, "event"):
        batch = open_batch(body)
        if batch.content_type == EVENT_TYPE:
            for event in decode_events(batch.payload):
                yield Recorded(event, batch.clock.boot, batch.clock.utc_at(event.at_ms), batch.seq)


def open_logbook(
    site: Site, layout: Layout, journal: Path, memory: bytes | None = None, watch: SettingsWatch | None = None
) -> Logbook:
    """The logbook as the event stream has it; reads the whole stream, so call it on a thread of its own.

    ``watch`` is told of the changes of settings in it. A journal that is not there yet has no records. Raises
    `StorageError` where it cannot be read, or where the memory is none of ours.
    """
    book = Logbook(site, layout, memory)
    if journal.exists():
        with closing(Reader(journal)) as reader:
            for recorded in recorded_events(reader):
                book.take(recorded.event, recorded.boot, recorded.utc_ms)
                if watch is not None:
                    watch.take(recorded.event)
    return book


# lists

COLUMNS: Sequence[str] = (
    "record", "kind", "recorded_utc", "happened_utc", "person", "point", "channel", "lot", "direction", "quantity",
    "unit", "as_found_passed", "as_left_passed", "certificate", "valid_until", "text", "reason", "supersedes",
    "superseded_by", "holds", "source", "batch", "boot", "boot_ms", "data",
)  # fmt: skip
PEOPLE = frozenset({"person", "point", "channel", "lot", "unit", "certificate", "text", "reason"})
"""Columns with words of people: what a spreadsheet would take for a formula gets an apostrophe before it."""


def rows(events: Iterable[Recorded], kinds: Iterable[str] = LISTED) -> list[dict[str, Any]]:
    """One row for each record and change of settings, in the order in which they were made, superseded ones too."""
    wanted = set(kinds)
    index = Index()
    found = []
    for recorded in events:
        index.take(recorded.event, recorded.boot, recorded.utc_ms)
        if recorded.event.kind in LISTED and recorded.event.kind in wanted:
            found.append(recorded)
    return [_row(recorded, index) for recorded in found]


def _row(recorded: Recorded, index: Index) -> dict[str, Any]:
    event, data = recorded.event, recorded.event.data
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: data[name] for name in COLUMNS if name in data}
    row |= {
        "kind": event.kind,
        "recorded_utc": _utc(recorded.utc_ms),
        "batch": recorded.batch,
        "boot": recorded.boot.hex(),
        "boot_ms": event.at_ms,
        "data": data,
        "holds": True,
    }
    if event.kind == CHANGED:
        return row
    entry = index.get(str(data["record"]))
    chain = index.chain(entry.id)
    at = chain.index(entry)
    row["superseded_by"] = chain[at + 1].id if at + 1 < len(chain) else None
    row["holds"] = index.holds(entry)
    row["recorded_utc"] = _utc(index.recorded(entry).utc_ms)
    row["happened_utc"] = _utc(index.when(entry).utc_ms)
    if "direction" in data:
        row["lot"] = lot_key(data)
    return row


def write_csv(file: IO[str], listed: Iterable[Mapping[str, Any]]) -> None:
    """One line a record; column ``data`` has everything of it as JSON, exactly."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in listed:
        lines.writerow([_cell(name, row[name]) for name in COLUMNS])


def write_json(file: IO[str], listed: Iterable[Mapping[str, Any]]) -> None:
    """A JSON array, one record a line."""
    lines = [json.dumps(dict(row), ensure_ascii=False, sort_keys=True, default=_hex) for row in listed]
    file.write("[" + ",".join(f"\n{line}" for line in lines) + "\n]\n")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_hex)
    text = str(value)
    return f"'{text}" if name in PEOPLE and text[:1] in {"=", "+", "-", "@", "\t"} else text


def _utc(utc_ms: int | None) -> str | None:
    if utc_ms is None:
        return None
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise AuroraError(f"a record holds {type(value).__name__}, which JSON does not have")
