"""What each kind of record holds: from the fields of a request to the data of its event, all keys always there."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from firmware_interfaces.errors import CodeError
from firmware_interfaces.scanner.gs1 import Code, check_key, parse
from gateway.errors import RecordError
from gateway.logbook.comparison import Tolerance, check_days, judged, read_points
from gateway.logbook.entry import CALIBRATION, CORRECTIVE, LOT, NOTE, VERIFICATION
from gateway.logbook.fields import LONGEST_TEXT, Fields
from gateway.model import Layout
from gateway.site import Site

__all__ = ["COMMON", "INPUTS", "Place", "lot_key", "specific"]

COMMON: Final = ("record", "person", "text", "supersedes", "reason", "withdrawn", "done_ms", "source")
"""Keys of every record."""
SOURCES: Final = ("command", "page", "scanner")
LONGEST_CODE: Final = 4000

INPUTS: Final[Mapping[str, Sequence[str]]] = {
    NOTE: ("point", "device", "lot"),
    CORRECTIVE: ("point", "device", "lots", "deviation", "product", "prevention"),
    CALIBRATION: (
        "channel", "points", "reference_instrument", "reference_certificate", "reference_valid_until",
        "certificate", "valid_until", "laboratory", "environment", "uncertainty", "tolerance", "photo",
    ),
    VERIFICATION: (
        "channel", "points", "reference_instrument", "reference_certificate", "reference_valid_until",
        "environment", "uncertainty", "tolerance", "photo",
    ),
    LOT: ("lot", "gtin", "serial", "sscc", "direction", "point", "quantity", "unit", "code"),
}  # fmt: skip
"""Fields that a request may have beside the common ones (``person``, ``text``, ``done``, ``source``), by kind."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the site has, as records name it: points, devices, channels (``device.channel``) with their units."""

    points: tuple[str, ...]
    devices: tuple[str, ...]
    units: Mapping[str, str]
    tolerances: Mapping[str, float]
    """By channel, from the site file."""

    @classmethod
    def of(cls, site: Site, layout: Layout) -> "Place":
        """From the site file and what the devices' models say."""
        units = {
            f"{device.id}.{column.channel}": column.unit
            for device in layout.devices
            for column in device.columns
            if column.role == "value"
        }
        tolerances = {
            f"{point.device}.{point.channel}": point.tolerance
            for point in site.points
            if point.tolerance is not None
        }
        return cls(
            tuple(point.id for point in site.points),
            tuple(device.id for device in layout.devices),
            units,
            tolerances,
        )


def specific(kind: str, fields: Fields, place: Place, today: date | None) -> dict[str, Any]:
    """The data of one kind of record; ``today`` is the day on which it was done, None where the date is not known.

    Raises `RecordError`.
    """
    return _FORMS[kind](fields, place, today)


def _note(fields: Fields, place: Place, _: date | None) -> dict[str, Any]:
    return {
        "point": fields.known("point", place.points, "point"),
        "device": fields.known("device", place.devices, "device"),
        "lot": fields.text("lot"),
    }


def _corrective(fields: Fields, place: Place, _: date | None) -> dict[str, Any]:
    """What 21 CFR 117.150 asks of a corrective action: what was wrong, what was done, what became of the food."""
    lots = [Fields({"lot": lot}).text("lot", need="name the lot") for lot in fields.items("lots")]
    return {
        "point": fields.known("point", place.points, "point"),
        "device": fields.known("device", place.devices, "device"),
        "lots": lots,
        "deviation": fields.text("deviation", need="say what was found wrong", most=LONGEST_TEXT, lines=True),
        "product": fields.text(
            "product",
            need="say what became of the food: released, held, reworked, destroyed, or none was concerned",
            most=LONGEST_TEXT,
            lines=True,
        ),
        "prevention": fields.text("prevention", most=LONGEST_TEXT, lines=True),
    }


def _comparison(fields: Fields, place: Place, today: date | None, certificate: Mapping[str, Any]) -> dict[str, Any]:
    channel = fields.known("channel", place.units, "channel", need="name the channel as device.channel")
    assert channel is not None
    unit = place.units[channel]
    tolerance = Tolerance.of(fields.number("tolerance", least=0.0), place.tolerances.get(channel), unit)
    points = read_points(fields)
    found = judged(points, "as_found", tolerance.value)
    left = judged(points, "as_left", tolerance.value)
    reference_until = fields.day(
        "reference_valid_until", need="a reference without a valid certificate proves nothing"
    )
    check_days(reference_until, certificate.get("valid_until"), today)
    until = certificate.get("valid_until")
    return {
        "channel": channel,
        "unit": unit,
        "points": points,
        "tolerance": tolerance.value,
        "tolerance_source": tolerance.source,
        "as_found_error": found.error,
        "as_found_passed": found.passed,
        "as_left_error": left.error,
        "as_left_passed": left.passed,
        "reference_instrument": fields.text(
            "reference_instrument", need="name make and serial number of the reference"
        ),
        "reference_certificate": fields.text(
            "reference_certificate", need="give the number of the reference's certificate"
        ),
        "reference_valid_until": None if reference_until is None else reference_until.isoformat(),
        "environment": fields.text("environment"),
        "uncertainty": fields.number("uncertainty", least=0.0),
        "photo": _photo(fields),
        "certificate": certificate.get("certificate"),
        "valid_until": None if until is None else until.isoformat(),
        "laboratory": certificate.get("laboratory"),
        "review": None,
    }


def _photo(fields: Fields) -> str | None:
    """SHA-256 of a photograph that lies beside the journal: what the record vouches for."""
    digest = fields.text("photo")
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise fields.wrong("photo", "is no SHA-256", "give its 64 hexadecimal digits, in small letters")
    return digest


def _verification(fields: Fields, place: Place, today: date | None) -> dict[str, Any]:
    data = _comparison(fields, place, today, {})
    return {key: value for key, value in data.items() if key not in {"certificate", "valid_until", "laboratory"}}


def _calibration(fields: Fields, place: Place, today: date | None) -> dict[str, Any]:
    certificate = {
        "certificate": fields.text("certificate", need="give the number of the certificate"),
        "valid_until": fields.day("valid_until", need="give the day until which the certificate holds"),
        "laboratory": fields.text("laboratory"),
    }
    return _comparison(fields, place, today, certificate)


def _lot(fields: Fields, place: Place, _: date | None) -> dict[str, Any]:
    code = _scanned(fields)
    data: dict[str, Any] = {
        "lot": _either(fields, "lot", code.lot if code else None),
        "gtin": _either(fields, "gtin", code.gtin if code else None, "01"),
        "serial": _either(fields, "serial", code.serial if code else None),
        "sscc": _either(fields, "sscc", code.sscc if code else None, "00"),
        "direction": fields.choice("direction", ("in", "out")),
        "point": fields.known("point", place.points, "point", need="name the zone (a point of the site file)"),
    }
    if not (data["lot"] or data["sscc"] or (data["gtin"] and data["serial"])):
        raise RecordError(
            "lot is missing" if code is None else f"the code {code.text()} names no lot",
            "give a lot, an SSCC, or a GTIN with a serial number",
        )
    quantity, unit = fields.number("quantity", least=0.0), fields.text("unit", most=20)
    if quantity is None and code is not None and (weight := code.weight) is not None and weight.number is not None:
        quantity, unit = float(weight.number), weight.unit
    if quantity == 0:
        raise RecordError("quantity is 0", "leave it out where it is not known")
    if (quantity is None) != (unit is None):
        raise RecordError("quantity and unit belong together", "give both (500 KGM, 12 boxes), or none")
    data |= {"quantity": quantity, "unit": unit, "code": fields.text("code", most=LONGEST_CODE) if code else None}
    data["elements"] = {} if code is None else {element.ai: element.value for element in code.elements}
    return data


def _scanned(fields: Fields) -> Code | None:
    line = fields.raw("code")
    if line is None:
        return None
    try:
        code = parse(line)
    except CodeError as error:
        raise RecordError(f"code: {error.what}", error.remedy) from error
    fields.replace("code", code.text())
    return code


def _either(fields: Fields, name: str, scanned: str | None, ai: str | None = None) -> str | None:
    """As typed, or else as scanned; the two must not contradict."""
    typed = fields.text(name)
    if typed is not None and ai is not None:
        try:
            typed = check_key(ai, typed.rjust(14, "0") if ai == "01" and len(typed) in {8, 12, 13} else typed)
        except CodeError as error:
            raise RecordError(f"{name}: {error.what}", error.remedy) from error
    if typed is not None and scanned is not None and typed != scanned:
        raise RecordError(f"{name} is {typed!r}, and the code says {scanned!r}", "see which of the two is right")
    return typed if typed is not None else scanned


def lot_key(data: Mapping[str, Any]) -> str:
    """The name under which a lot's records belong together: a bare lot number, or GS1 keys in brackets."""
    gtin, lot = data.get("gtin"), data.get("lot")
    if data.get("sscc"):
        return f"(00){data['sscc']}"
    if gtin and data.get("serial"):
        return f"(01){gtin}(21){data['serial']}"
    return f"(01){gtin}(10){lot}" if gtin else str(lot)


_FORMS: Mapping[str, Callable[[Fields, Place, date | None], dict[str, Any]]] = {
    NOTE: _note,
    CORRECTIVE: _corrective,
    CALIBRATION: _calibration,
    VERIFICATION: _verification,
    LOT: _lot,
}
