"""One entry of the logbook, and the moment it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.errors import RecordError

__all__ = ["CALIBRATION", "CORRECTIVE", "KINDS", "LOT", "NOTE", "VERIFICATION", "Entry", "Moment"]

CALIBRATION = "record.calibration"
VERIFICATION = "record.verification"
LOT = "record.lot"
NOTE = "record.note"
CORRECTIVE = "record.corrective"
KINDS = (CALIBRATION, VERIFICATION, LOT, NOTE, CORRECTIVE)

_ALWAYS = frozenset({"record", "person", "text", "supersedes", "withdrawn", "done_ms"})
_COMPARISON = _ALWAYS | {"channel", "as_found_passed", "as_left_passed", "review"}
NEEDED = {
    CALIBRATION: _COMPARISON | {"certificate", "valid_until"},
    VERIFICATION: _COMPARISON,
    LOT: _ALWAYS | {"lot", "gtin", "serial", "sscc", "direction", "point", "quantity", "unit"},
    NOTE: _ALWAYS,
    CORRECTIVE: _ALWAYS,
}
"""Keys without which an event is no record that the logbook can reckon with."""


class Moment(NamedTuple):
    """An instant by the boot clock of one boot, and by UTC (Unix milliseconds) as far as that is known.

    ``boot`` is empty for an instant that is known by UTC alone.
    """

    boot: bytes
    boot_ms: int
    utc_ms: int | None

    def before(self, other: "Moment") -> bool | None:
        """Whether it is earlier than another one; None where that cannot be known."""
        if self.utc_ms is not None and other.utc_ms is not None:
            return self.utc_ms < other.utc_ms
        if self.boot and self.boot == other.boot:
            return self.boot_ms < other.boot_ms
        return None


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it stands in the event stream. ``number`` counts the records of this gateway from 1."""

    number: int
    kind: str
    at: Moment
    """When it was recorded."""
    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The record's id."""
        return str(self.data["record"])

    @property
    def supersedes(self) -> str | None:
        """The record that this one takes the place of."""
        return self.data.get("supersedes")

    @property
    def withdrawn(self) -> bool:
        """Whether this entry only says that what it supersedes does not hold."""
        return bool(self.data.get("withdrawn"))

    @property
    def when(self) -> Moment:
        """When that happened which is recorded: as stated by the person, or else when it was recorded."""
        done_ms = self.data.get("done_ms")
        return self.at if done_ms is None else Moment(b"", 0, int(done_ms))

    @classmethod
    def read(cls, kind: str, at: Moment, data: Mapping[str, Any]) -> "Entry":
        """An entry from the data of an event; raises `RecordError` for one that is no record of ours."""
        name = data.get("record")
        number = str(name).partition("-")[0].removeprefix("R")
        if not isinstance(name, str) or not (number.isascii() and number.isdigit() and len(number) < 16):
            raise RecordError(f"a {kind} event without the id of a record", "see docs/records.md")
        if missing := NEEDED[kind] - data.keys():
            raise RecordError(f"record {name} has no {min(missing)}", "see docs/records.md")
        return cls(int(number), kind, at, dict(data))
