"""Who is in the air: reports become news of a sensor, each measurement once, never an old one again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from firmware_interfaces.ble.advert import address_bytes
from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.decoders.dispatch import TABLES, Outcome, decode_advert
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["Allow", "News", "Sensor", "Sensors"]

Key = TypeVar("Key", int, str)

MOST_SENSORS = 2000
"""Senders that are remembered. Addresses can be made up at will; the one unheard for longest is forgotten."""

BURST_S = 0.5
"""Equal payloads without a number within this time are one advertisement, heard twice (two adapters)."""

LATE_S = 2.0
LATE_NUMBERS = 4
"""A number so little below the last, so soon after it, is an advertisement that another adapter brings late."""

RESTARTED_S = 300.0
"""A counter that falls after so long a silence belongs to a sensor that began anew; sooner, it is a replay."""

JOINT = frozenset(uuid for uuid in TABLES.uuid if uuid[4:6] in {"2a", "18"} and uuid[4:8] != "181a")
"""Service data that sensors send together, one characteristic each."""


@dataclass(frozen=True, slots=True)
class Allow:
    """Which senders are wanted: by address, or by how a format's name begins (``ruuvi``). Empty: all known."""

    addresses: frozenset[str] = frozenset()
    formats: tuple[str, ...] = ()

    def may_want(self, address: str) -> bool:
        """Whether there can be frames of this sender that are wanted."""
        return bool(self.formats) or not self.addresses or address in self.addresses

    def wants(self, address: str, format_: str) -> bool:
        """Whether a frame of this sender is wanted."""
        if not self.addresses and not self.formats:
            return True
        return address in self.addresses or (bool(self.formats) and format_.startswith(self.formats))


@dataclass(frozen=True, slots=True)
class News:
    """One measurement, or one fault, heard for the first time at ``at`` (seconds, monotonic)."""

    address: str
    name: str
    adapter: str
    at: float
    rssi: int | None
    outcome: Outcome
    raw: bytes = b""
    """The payload that says it."""


@dataclass(slots=True)
class Sensor:
    """What is known of one sender."""

    address: str
    name: str = ""
    last_heard: float = 0.0
    rssi: dict[str, int] = field(default_factory=dict)
    """Newest signal strength (dBm) by adapter."""
    heard: int = 0
    """Advertisements."""
    measurements: int = 0
    repeats: int = 0
    replays: int = 0
    faults: int = 0
    last_fault: str = ""
    formats: dict[str, Decoded] = field(default_factory=dict)
    """Newest frame of each format: for a person who looks, never handed on as news."""
    _payloads: dict[tuple[str, str], dict[Any, bytes]] = field(default_factory=dict)
    """What BlueZ has piled up, by adapter and kind."""
    _sequence: dict[str, int] = field(default_factory=dict)
    _counter: dict[str, int] = field(default_factory=dict)
    _last_new: dict[str, tuple[float, bytes]] = field(default_factory=dict)


class Sensors:
    """Turns reports into news. ``keys`` are the sensors' own keys by address (upper case, with colons)."""

    def __init__(
        self, on_news: Callable[[News], None], allow: Allow | None = None, keys: Mapping[str, bytes] | None = None
    ) -> None:
        self._on_news = on_news
        self._allow = allow or Allow()
        self._keys = dict(keys or {})
        self.known: dict[str, Sensor] = {}
        """By address, in the order in which they were last heard."""
        self.foreign = 0
        """Reports without anything that a decoder knows."""

    def report(self, report: Report, now: float) -> None:
        """Take in one report at ``now``."""
        manufacturer = _known(report.manufacturer, TABLES.company)
        service = _known(report.service, TABLES.uuid)
        sensor = self.known.get(report.address)
        if not manufacturer and not service:
            if sensor is None:
                self.foreign += 1
            elif report.rssi is not None:
                sensor.rssi[report.adapter] = report.rssi
            return
        if sensor is None:
            sensor = Sensor(report.address)
        fresh_manufacturer = _fresh(sensor, report, "manufacturer", manufacturer)
        fresh_service = _fresh(sensor, report, "service", service)
        context = Context(address_bytes(report.address), self._keys.get(report.address), report.name or sensor.name)
        wanted = [
            (outcome, data)
            for outcome, data in _decoded(fresh_manufacturer, fresh_service, context)
            if self._allow.wants(report.address, outcome.format)
            and not (isinstance(outcome, AdvertFault) and outcome.fault is Fault.FOREIGN)
        ]
        certain = bool(fresh_manufacturer or fresh_service)
        stranger = not wanted and report.address not in self.known
        if stranger and (certain or not self._allow.may_want(report.address)):
            self.foreign += 1
            return
        self._remember(sensor)
        sensor.name = report.name or sensor.name
        sensor.last_heard = now
        sensor.heard += 1
        if report.rssi is not None:
            sensor.rssi[report.adapter] = report.rssi
        for outcome, data in wanted:
            if self._is_news(sensor, outcome, data, now):
                self._on_news(News(sensor.address, sensor.name, report.adapter, now, report.rssi, outcome, data))

    def _remember(self, sensor: Sensor) -> None:
        self.known.pop(sensor.address, None)
        if len(self.known) >= MOST_SENSORS:
            del self.known[next(iter(self.known))]
        self.known[sensor.address] = sensor

    def _is_news(self, sensor: Sensor, outcome: Outcome, data: bytes, now: float) -> bool:
        format_ = outcome.format
        before = sensor._last_new.get(format_)
        if isinstance(outcome, AdvertFault):
            sensor.faults += 1
            sensor.last_fault = str(outcome)
        elif outcome.counter is not None:
            if not self._counter_rises(
                sensor, format_, outcome.counter, None if before is None else now - before[0]
            ):
                return False
        elif outcome.sequence is not None:
            if before is not None and self._was_heard(
                sensor._sequence.get(format_), outcome.sequence, data, before, now
            ):
                sensor.repeats += 1
                return False
            sensor._sequence[format_] = outcome.sequence
        if before is not None and before[1] == data and now - before[0] < BURST_S:
            sensor.repeats += 1
            return False
        sensor._last_new[format_] = (now, data)
        if isinstance(outcome, Decoded):
            sensor.measurements += 1
            sensor.formats[format_] = outcome
        return True

    @staticmethod
    def _was_heard(last: int | None, sequence: int, data: bytes, before: tuple[float, bytes], now: float) -> bool:
        """Whether a measurement is the last one again, or one before it that another adapter brings late."""
        behind = 0 if last is None else last - sequence
        return (behind == 0 and before[1] == data) or (0 < behind <= LATE_NUMBERS and now - before[0] < LATE_S)

    @staticmethod
    def _counter_rises(sensor: Sensor, format_: str, counter: int, silence_s: float | None) -> bool:
        last = sensor._counter.get(format_)
        if last == counter:
            sensor.repeats += 1
            return False
        if last is not None and counter < last and (silence_s is None or silence_s < RESTARTED_S):
            sensor.replays += 1
            return False
        sensor._counter[format_] = counter
        return True


def _known(data: Mapping[Key, bytes] | None, table: Mapping[Key, object]) -> dict[Key, bytes]:
    return {} if data is None else {key: value for key, value in data.items() if key in table}


def _decoded(
    manufacturer: Mapping[int, bytes], service: Mapping[str, bytes], context: Context
) -> Iterable[tuple[Outcome, bytes]]:
    outcomes = decode_advert(manufacturer, service, context)
    return zip(outcomes, [*manufacturer.values(), *service.values()], strict=True)


def _fresh(sensor: Sensor, report: Report, kind: str, data: dict[Key, bytes]) -> dict[Key, bytes]:
    """What of the reported data was in the advertisement itself.

    BlueZ keeps the payload of every company and service that a sender has ever used, and reports all of them at
    each advertisement. One alone is certain, and so is all that a sender brings that BlueZ has just met; service
    data that belong together are taken together. Of several others only what differs from what had piled up
    before counts, and nothing where that is not known: the gateway may have begun later than BlueZ.
    """
    before = sensor._payloads.get((report.adapter, kind))
    if report.first or before is None:
        sensor._payloads[report.adapter, kind] = dict(data)
        certain = report.first or len(data) <= 1 or JOINT.issuperset(map(str, data))
        return data if certain else {}
    changed = {key: value for key, value in data.items() if before.get(key) != value}
    before.update(changed)
    return data if len(data) <= 1 or JOINT.issuperset(map(str, data)) else changed
