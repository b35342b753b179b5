"""The records that people have made, as rows of a list."""

from typing import Any

from gateway.errors import OperatorError
from gateway.logbook.book import Logbook
from gateway.logbook.entry import KINDS, LOT, Entry
from gateway.logbook.forms import lot_key

__all__ = ["record_rows"]

MOST = 500
SHOWN = (
    "point",
    "device",
    "channel",
    "lot",
    "lots",
    "direction",
    "quantity",
    "unit",
    "deviation",
    "product",
    "prevention",
    "certificate",
    "valid_until",
    "as_found_error",
    "as_found_passed",
    "as_left_passed",
    "reference_instrument",
)


def record_rows(book: Logbook, kind: str | None, most: int) -> dict[str, Any]:
    """Newest first; a record that does not hold any more says what took its place."""
    if kind is not None and kind not in KINDS:
        raise OperatorError("there is no such kind of record", f"there are: {', '.join(KINDS)}")
    entries = book.entries(kind)[::-1][: max(1, min(most, MOST))]
    return {
        "records": [_row(book, entry) for entry in entries],
        "in_zones": [
            {
                "lot": stay.lot,
                "point": stay.point,
                "since_ms": stay.came.utc_ms,
                "quantity": stay.quantity,
                "unit": stay.unit,
            }
            for stay in book.open_lots()
        ],
        "lots": list(dict.fromkeys(lot_key(entry.data) for entry in book.entries(LOT)[::-1]))[:50],
        "channels": sorted(book.place.units),
    }


def _row(book: Logbook, entry: Entry) -> dict[str, Any]:
    newest = book.newest(entry.id)
    data = {name: entry.data[name] for name in SHOWN if entry.data.get(name) not in (None, [], "")}
    if entry.kind == LOT:
        data["lot"] = lot_key(entry.data)
    return {
        "record": entry.id,
        "kind": entry.kind,
        "at_ms": book.recorded(entry).utc_ms,
        "done_ms": book.when(entry).utc_ms,
        "person": entry.data.get("person"),
        "text": entry.data.get("text"),
        "holds": book.holds(entry),
        "replaced_by": None if newest.id == entry.id else newest.id,
        "withdrawn": entry.withdrawn,
        "data": data,
    }
