"""EPCIS 2.0 events of what the gateway records: summaries of measured values, exceptions, lots that came and went.

Pure functions from readings and records to JSON-LD as EPCIS 2.0 section 10 and CBV 2.0 have it. The standard
advises against streams of raw values: an event sums up an interval.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from firmware_interfaces.quality import BAD
from gateway.api_units import CODES
from gateway.epcis.eventhash import event_hash
from gateway.epcis.link import digital_link
from gateway.logbook.entry import Entry
from gateway.model import Quality
from gateway.records import Reading
from gateway.site import Site

__all__ = [
    "CONTEXT",
    "UNITS",
    "Intervals",
    "Naming",
    "Summary",
    "document",
    "lot_event",
    "sensor_event",
    "summaries",
]

CONTEXT: Final[Sequence[Any]] = (
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"aurora": "urn:aurora:epcis:"},
)
UNITS: Final[Mapping[str, tuple[str, str]]] = {
    unit: (kind, CODES[unit])
    for kind, units in {
        "Temperature": (
            "degC",
            "K",
        ),
        "RelativeHumidity": ("%RH",),
        "AbsoluteHumidity": ("g/m3",),
        "Pressure": (
            "Pa",
            "hPa",
            "kPa",
            "bar",
        ),
        "Voltage": ("V",),
        "ElectricCurrent": ("A",),
        "Power": (
            "W",
            "kW",
        ),
        "Energy": (
            "Wh",
            "kWh",
        ),
        "Frequency": ("Hz",),
        "Resistance": ("ohm",),
        "Time": ("s",),
        "Mass": (
            "kg",
            "g",
        ),
        "Speed": ("m/s",),
        "Dimensionless": (
            "%",
            "g/kg",
            "pH",
        ),
    }.items()
    for unit in units
}
"""Our units to the measurement type of the GS1 vocabulary and the unit of UN/ECE Recommendation 20."""
UOM: Final = re.compile(r"[A-Z0-9]{2,3}")


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of places and things as URIs: those of ``places`` (a GLN as Digital Link), or else our own URNs."""

    site: Site
    places: Mapping[str, str] = field(default_factory=dict)

    def point(self, point: str) -> str:
        """A zone as ``readPoint`` and ``bizLocation``."""
        return self.places.get(point) or self._own("point", point)

    def device(self, device: str) -> str:
        """What measured."""
        return self._own("device", device)

    def lot(self, lot: str) -> str:
        """A lot that has no GTIN, as a class of objects."""
        return self._own("lot", lot)

    def _own(self, kind: str, name: str) -> str:
        return f"{self.site.identity.urn}:{kind}:{quote(name, safe='')}"


@dataclass(slots=True)
class Summary:
    """What was measured at a point in one interval of UTC."""

    point: str
    device: str
    start_ms: int
    end_ms: int
    unit: str = ""
    values: int = 0
    uncertain: int = 0
    scheduled: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0
    causes: dict[Quality, int] = field(default_factory=dict)
    """Slots without a value, by reason."""

    def add(self, value: float, quality: Quality, unit: str) -> None:
        """One usable value; mean and spread by Welford's recurrence."""
        self.scheduled += 1
        self.values += 1
        self.unit = unit
        self.uncertain += quality != Quality.GOOD
        self.minimum, self.maximum = min(self.minimum, value), max(self.maximum, value)
        delta = value - self.mean
        self.mean += delta / self.values
        self.squares += delta * (value - self.mean)

    def miss(self, slots: int, quality: Quality) -> None:
        """Slots without a value."""
        self.scheduled += slots
        self.causes[quality] = self.causes.get(quality, 0) + slots

    @property
    def spread(self) -> float | None:
        """Standard deviation of the sample; None for fewer than two values."""
        return math.sqrt(self.squares / (self.values - 1)) if self.values > 1 else None


class Intervals:
    """Sums readings up by point and interval; intervals are whole multiples of their length in UTC.

    ``units`` by device and channel say what was not measured where there is no value at all.
    """

    def __init__(self, site: Site, interval_ms: int, units: Mapping[tuple[str, str], str] | None = None) -> None:
        self._interval_ms = interval_ms
        self._points: dict[tuple[str, str], list[str]] = {}
        for point in site.points:
            self._points.setdefault((point.device, point.channel), []).append(point.id)
        self._units = {point.id: (units or {}).get((point.device, point.channel), "") for point in site.points}
        self._periods = {device.id: device.period_ms for device in site.devices}
        self._watched: dict[str, list[str]] = {}
        for device, channel in self._points:
            self._watched.setdefault(device, []).append(channel)
        self._found: dict[tuple[str, int], Summary] = {}
        self._newest: dict[str, int] = {}
        self.lost = 0
        """Slots left out because their time is unknown."""

    def add(self, reading: Reading) -> None:
        """One reading, or one run of missed slots; those that feed no point are left aside."""
        if reading.device not in self._watched or reading.role not in {"value", ""}:
            return
        channels = [reading.channel] if reading.channel else self._watched[reading.device]
        if reading.channel and (reading.device, reading.channel) not in self._points:
            return
        if reading.utc_ms is None:
            self.lost += reading.slots * len(channels)
            return
        period_ms = self._periods.get(reading.device, 0)
        for start_ms, slots in _spread(reading.utc_ms, reading.slots, period_ms, self._interval_ms):
            self._newest[reading.device] = max(start_ms, self._newest.get(reading.device, start_ms))
            for channel in channels:
                for point in self._points[reading.device, channel]:
                    self._summary(point, reading.device, start_ms, reading, slots)

    def _summary(self, point: str, device: str, start_ms: int, reading: Reading, slots: int) -> None:
        summary = self._found.setdefault(
            (point, start_ms), Summary(point, device, start_ms, start_ms + self._interval_ms)
        )
        if reading.value is None or reading.quality >= BAD:
            summary.miss(slots, reading.quality)
        else:
            summary.add(reading.value, reading.quality, reading.unit)

    def whole(self) -> list[Summary]:
        """All intervals in order of time, but for the newest of each device: it may not be over."""
        for summary in self._found.values():
            summary.unit = summary.unit or self._units[summary.point]
        whole = [summary for summary in self._found.values() if summary.start_ms < self._newest[summary.device]]
        return sorted(whole, key=lambda s: (s.start_ms, s.point))


def summaries(
    readings: Iterable[Reading], site: Site, interval_ms: int, units: Mapping[tuple[str, str], str] | None = None
) -> tuple[list[Summary], int]:
    """Summaries of every point and interval (`Intervals`), and the slots left out because their time is unknown."""
    intervals = Intervals(site, interval_ms, units)
    for reading in readings:
        intervals.add(reading)
    return intervals.whole(), intervals.lost


def _spread(at_ms: int, slots: int, period_ms: int, interval_ms: int) -> Iterator[tuple[int, int]]:
    """Beginnings of the intervals that a run of slots touches, with the slots in each."""
    while slots > 0:
        start_ms = at_ms - at_ms % interval_ms
        here = slots if period_ms <= 0 else min(slots, -(-(start_ms + interval_ms - at_ms) // period_ms))
        yield start_ms, here
        slots -= here
        at_ms += here * period_ms


def sensor_event(summary: Summary, naming: Naming, *, alarm: bool) -> dict[str, Any] | None:
    """An interval as object event; ``alarm``: a limit was passed in it. None where EPCIS does not have the unit."""
    kind, uom = UNITS.get(summary.unit, ("", ""))
    if summary.values and not kind:
        return None
    reports: list[dict[str, Any]] = []
    if summary.values:
        report: dict[str, Any] = {
            "type": kind,
            "minValue": summary.minimum,
            "maxValue": summary.maximum,
            "meanValue": round(summary.mean, 6),
        }
        if summary.spread is not None:
            report["sDev"] = round(summary.spread, 6)
        reports.append({**report, "uom": uom})
    kind = kind or "Dimensionless"
    if alarm:
        reports.append({"type": kind, "exception": "ALARM_CONDITION", "booleanValue": True})
    reports += [
        {
            "type": kind,
            "exception": "ERROR_CONDITION",
            "uriValue": f"urn:aurora:quality:{cause.name.lower().replace('_', '-')}",
        }
        for cause in sorted(summary.causes)
    ]
    event = {
        "type": "ObjectEvent",
        "eventTime": _utc(summary.end_ms),
        "eventTimeZoneOffset": "+00:00",
        "epcList": [],
        "action": "OBSERVE",
        "bizStep": "sensor_reporting",
        "readPoint": {"id": naming.point(summary.point)},
        "sensorElementList": [
            {
                "sensorMetadata": {
                    "startTime": _utc(summary.start_ms),
                    "endTime": _utc(summary.end_ms - 1),
                    "deviceID": naming.device(summary.device),
                },
                "sensorReport": reports,
            }
        ],
        "aurora:scheduledSamples": summary.scheduled,
        "aurora:values": summary.values,
        "aurora:uncertainValues": summary.uncertain,
    }
    return _named(event)


def lot_event(entry: Entry, utc_ms: int, naming: Naming) -> dict[str, Any]:
    """A lot record as object event: arriving at its zone, or departing from it."""
    data = entry.data
    came = data["direction"] == "in"
    event: dict[str, Any] = {
        "type": "ObjectEvent",
        "eventTime": _utc(utc_ms),
        "eventTimeZoneOffset": "+00:00",
        "action": "OBSERVE",
        "bizStep": "arriving" if came else "departing",
        "disposition": "in_progress",
        "readPoint": {"id": naming.point(data["point"])},
    }
    if came:
        event["bizLocation"] = {"id": naming.point(data["point"])}
    if data["sscc"]:
        event["epcList"] = [digital_link(("00", data["sscc"]))]
    elif data["gtin"] and data["serial"]:
        event["epcList"] = [digital_link(("01", data["gtin"]), ("21", data["serial"]))]
    else:
        gtin, lot = data["gtin"], data["lot"]
        element: dict[str, Any] = {
            "epcClass": digital_link(("01", gtin), ("10", lot)) if gtin else naming.lot(lot),
        }
        if data["quantity"] is not None and UOM.fullmatch(data["unit"]):
            element |= {"quantity": data["quantity"], "uom": data["unit"]}
        event["quantityList"] = [element]
    if data["quantity"] is not None and not (data["unit"] and UOM.fullmatch(data["unit"])):
        event["aurora:quantity"] = f"{data['quantity']:g} {data['unit']}"
    event["aurora:record"] = entry.id
    return _named(event)


def document(events: Iterable[Mapping[str, Any]], created_ms: int) -> dict[str, Any]:
    """An EPCIS document of events, in the order given."""
    return {
        "@context": list(CONTEXT),
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": _utc(created_ms),
        "epcisBody": {"eventList": [dict(event) for event in events]},
    }


def _named(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its hash as its id."""
    return {"type": event["type"], "eventID": event_hash(event, CONTEXT), **event}


def _utc(utc_ms: int) -> str:
    moment = datetime.fromtimestamp(utc_ms // 1000, UTC).replace(microsecond=utc_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
