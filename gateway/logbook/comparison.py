"""Calibration and verification: readings beside a reference, and what they mean for what was recorded before."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from gateway.errors import RecordError
from gateway.logbook.entry import Entry
from gateway.logbook.fields import Fields

__all__ = ["Tolerance", "judged", "read_points", "review"]

TEMPERATURE_TOLERANCE = 1.0
"""Largest error in kelvin of a class 1 recorder (EN 12830:1999, 4.9.2.1), where nobody says otherwise."""
EN_12830 = "EN 12830:1999 4.9.2.1 class 1"


class Tolerance(NamedTuple):
    """The largest error that is accepted, in the channel's unit, and who says so."""

    value: float
    source: str

    @classmethod
    def of(cls, stated: float | None, configured: float | None, unit: str) -> "Tolerance":
        """As stated in the record, in the site file, or by the standard for temperatures.

        Raises `RecordError` where there is none: an error cannot be judged without it.
        """
        if stated is not None:
            return cls(stated, "stated in this record")
        if configured is not None:
            return cls(configured, "site file")
        if unit in {"degC", "K"}:
            return cls(TEMPERATURE_TOLERANCE, EN_12830)
        raise RecordError(
            f"tolerance is missing: there is no customary one for {unit or 'this unit'}",
            "give the largest error that you accept, or set it at the point in the site file",
        )


class Judged(NamedTuple):
    """The error of largest size and whether all were within tolerance; None where nothing was measured."""

    error: float | None
    passed: bool | None


def read_points(fields: Fields) -> list[dict[str, float | None]]:
    """The measured points: ``reference`` with ``as_found``, ``as_left`` (what the gateway showed), or both."""
    found: list[dict[str, float | None]] = []
    for number, item in enumerate(fields.items("points"), 1):
        if not isinstance(item, Mapping):
            raise fields.wrong("points", f"has as number {number} no set of readings", _EXAMPLE)
        point = Fields(item, where=f"points[{number}].")
        reference = point.number("reference", need="give what the reference instrument showed")
        as_found, as_left = point.number("as_found"), point.number("as_left")
        point.done()
        if as_found is None and as_left is None:
            raise fields.wrong("points", f"has as number {number} no reading", _EXAMPLE)
        found.append({"reference": reference, "as_found": as_found, "as_left": as_left})
    if not found:
        raise fields.wrong("points", "is empty", _EXAMPLE)
    return found


_EXAMPLE = 'write {"reference": 0.0, "as_found": 0.4, "as_left": 0.1} for each point; one of the two may be absent'


def judged(points: Iterable[Mapping[str, float | None]], which: str, tolerance: float) -> Judged:
    """The largest error ``as_found`` or ``as_left``: what the gateway showed minus the reference."""
    errors = [
        # Both are decimal readings: what binary arithmetic adds to their difference is not part of it.
        round(shown - reference, 9)
        for point in points
        if (shown := point[which]) is not None and (reference := point["reference"]) is not None
    ]
    if not errors:
        return Judged(None, None)
    worst = max(errors, key=abs)
    return Judged(worst, abs(worst) <= tolerance)


def good_after(entry: Entry) -> bool | None:
    """Whether the channel was right when the person left it; None where nothing was judged."""
    left: bool | None = entry.data.get("as_left_passed")
    return entry.data.get("as_found_passed") if left is None else left


def review(
    earlier: Iterable[Entry], channel: str, upto_ms: int | None, moments: Mapping[str, int | None]
) -> dict[str, Any]:
    """What an as-found failure puts in question: the time since the channel was last known to be right.

    ``earlier`` are the calibrations and verifications of the channel that hold, oldest first; ``moments`` says when
    they were made (Unix milliseconds).
    """
    good = [entry for entry in earlier if good_after(entry)]
    if not good:
        words = (
            f"All values of {channel} before this are to be reviewed: no earlier verification or calibration "
            "with a good result is on record."
        )
        return {"from_record": None, "from_ms": None, "to_ms": upto_ms, "words": words}
    last = good[-1]
    words = f"The values of {channel} since {last.id}, when it was last known to be right, are to be reviewed."
    return {"from_record": last.id, "from_ms": moments[last.id], "to_ms": upto_ms, "words": words}


def check_days(reference_until: date | None, certificate_until: date | None, today: date | None) -> None:
    """Refuse a reference whose own certificate had expired on the day, and a certificate that had ended by then."""
    if today is None:
        return
    if reference_until is not None and reference_until < today:
        raise RecordError(
            f"reference_valid_until is {reference_until}: the reference's own certificate had expired",
            "compare with a reference whose certificate is valid; what was seen can be kept as a note",
        )
    if certificate_until is not None and certificate_until < today:
        raise RecordError(
            f"valid_until is {certificate_until}, which is past",
            "see the date on the certificate; an old certificate can be kept as a note",
        )
