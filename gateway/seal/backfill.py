"""What a sensor's own memory says of slots that were missed: the data of an event of kind ``backfill.values``.

A missed slot has its record in the scan stream, and keeps it. What is read later stands beside it in the event
stream: signed, with the time of each measurement and its error, the slot that it belongs to, and the bytes from the
sensor. It never is a scan. Format, for outsiders: docs/payload-format.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

from gateway.errors import SealError
from gateway.model import Column

__all__ = ["BACKFILL", "MOST_ROWS", "Backfill", "Row", "backfill_data", "read_backfill"]

BACKFILL = "backfill.values"
MOST_ROWS = 200
"""Measurements of one event; more are several events, ``part`` of ``parts``."""

_KIND = "bad-event"
_ROLES = ("value", "indicated")


class Row(NamedTuple):
    """One measurement: its slot, boot time and largest error (ms), a value per column (None: none), the bytes."""

    slot: int
    at_ms: int
    error_ms: int
    values: tuple[float | None, ...]
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Measurements of one device out of one download. Slots are of the boot of the event's batch.

    ``sha256`` is of all bytes of the download, in hexadecimal.
    """

    device: str
    source: str
    period_ms: int
    phase_ms: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sha256: str
    part: int
    parts: int

    @property
    def slots(self) -> list[int]:
        """The slots that it has something for, each once, in order."""
        return sorted({row.slot for row in self.rows})

    def series(self) -> Iterator[tuple[Row, Column, float]]:
        """Every value, with its row and column."""
        for row in self.rows:
            for column, value in zip(self.columns, row.values, strict=True):
                if value is not None:
                    yield row, column, value


def backfill_data(backfill: Backfill) -> dict[str, Any]:
    """The event's data."""
    slots = backfill.slots
    words = f"{len(slots)} missed slots of {backfill.device} read later from its own memory"
    return {
        "device": backfill.device,
        "source": backfill.source,
        "period_ms": backfill.period_ms,
        "phase_ms": backfill.phase_ms,
        "columns": [[c.channel, c.unit, c.decimals, _ROLES.index(c.role)] for c in backfill.columns],
        "rows": [[row.slot, row.at_ms, row.error_ms, list(row.values), row.raw] for row in backfill.rows],
        "sha256": backfill.sha256,
        "part": backfill.part,
        "parts": backfill.parts,
        "words": words,
    }


def read_backfill(data: Mapping[str, Any]) -> Backfill:
    """The inverse; raises `SealError` ``bad-event`` for anything else, and for a measurement outside its slot.

    A measurement belongs to the slot that is due next after it; how wrong its time may be is allowed for.
    """
    match dict(data):
        case {
            "device": str(device),
            "source": str(source),
            "period_ms": int(period_ms),
            "phase_ms": int(phase_ms),
            "columns": list(columns),
            "rows": list(rows),
            "sha256": str(digest),
            "part": int(part),
            "parts": int(parts),
        } if period_ms >= 1 and phase_ms >= 0 and 1 <= part <= parts and len(rows) <= MOST_ROWS:
            found = Backfill(
                device=device,
                source=source,
                period_ms=period_ms,
                phase_ms=phase_ms,
                columns=tuple(_column(item) for item in columns),
                rows=tuple(_row(item, len(columns)) for item in rows),
                sha256=digest,
                part=part,
                parts=parts,
            )
        case _:
            raise SealError(_KIND, "not a backfill of device, grid, columns and rows")
    for row in found.rows:
        due_ms = row.slot * period_ms + phase_ms
        if not due_ms - period_ms - row.error_ms <= row.at_ms <= due_ms + row.error_ms:
            raise SealError(_KIND, f"a measurement of {row.at_ms} ms does not belong to slot {row.slot}")
    return found


def _column(item: Any) -> Column:
    match item:
        case [str(channel), str(unit), (int() | None) as decimals, (0 | 1) as role] if not isinstance(role, bool):
            return Column(channel, unit, decimals, "indicated" if role else "value")
        case _:
            raise SealError(_KIND, "a column is not made of channel, unit, decimals and role")


def _row(item: Any, columns: int) -> Row:
    match item:
        case [int(slot), int(at_ms), int(error_ms), list(values), bytes(raw)] if (
            slot >= 0 and at_ms >= 0 and error_ms >= 0 and len(values) == columns
        ):
            return Row(slot, at_ms, error_ms, tuple(_values(values)), raw)
        case _:
            raise SealError(_KIND, "a row is not made of slot, time, error, values and bytes")


def _values(values: Sequence[Any]) -> Iterator[float | None]:
    for value in values:
        if value is None:
            yield None
        elif isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            yield float(value)
        else:
            raise SealError(_KIND, "a value is no number")
