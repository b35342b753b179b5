"""How a sensor is read over its connection: what is asked, what is waited for, what comes of it."""

import asyncio
import math
from array import array
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.decoders.nouns import Decoded, Field, unique
from firmware_interfaces.ble.gatt.link import Characteristic, GattRefused, Link, Lost
from firmware_interfaces.ble.gatt.values import (
    ENVIRONMENTAL,
    Measurement,
    Stamp,
    battery_level,
    environmental,
    sampling,
    temperature_measurement,
    valid_range,
)
from firmware_interfaces.errors import BadFrame, NoAnswer
from firmware_interfaces.quality import Quality

__all__ = ["BATTERY", "EnvironmentalReader", "Reader", "ThermometerReader", "identity"]

ENVIRONMENTAL_SERVICE = full_uuid(0x181A)
THERMOMETER_SERVICE = full_uuid(0x1809)
MEASUREMENT, THERMOMETER_TYPE = full_uuid(0x2A1C), full_uuid(0x2A1D)
BATTERY_LEVEL = full_uuid(0x2A19)
VALID_RANGE, ES_MEASUREMENT = full_uuid(0x2906), full_uuid(0x290C)
BATTERY = Field("battery", "%", 0)

SETTLE_S = 0.5
"""A thermometer sends what it has kept before what it measures now: the newest is the one that none follows."""
KEPT_S = 10.0
"""So long at most: whoever sends without end is taken at its last word."""

IDENTITY = {
    full_uuid(0x2A29): "manufacturer",
    full_uuid(0x2A24): "model",
    full_uuid(0x2A25): "serial",
    full_uuid(0x2A26): "firmware",
    full_uuid(0x2A27): "hardware",
    full_uuid(0x2A28): "software",
}
"""Device Information Service (0x180A)."""
LONGEST_TEXT = 200


class Reader(Protocol):
    """Reads one sensor. From one connection to the next it keeps what it knows of its kind, never values."""

    facts: dict[str, Any]
    """What the sensor says of its own measuring, for the record."""

    async def read(self, link: Link, wanted: Collection[str]) -> tuple[Decoded, bytes]:
        """Readings of the wanted channels, and the bytes that say them; raises `BusError`."""


@dataclass(slots=True)
class _Answers:
    """What has come so far."""

    fields: list[Field] = field(default_factory=list)
    values: "array[float]" = field(default_factory=lambda: array("d"))
    marks: bytearray = field(default_factory=bytearray)
    raw: bytearray = field(default_factory=bytearray)

    def add(self, what: Field, value: float, mark: int, data: bytes = b"") -> None:
        self.fields.append(what)
        self.values.append(value)
        self.marks.append(mark)
        self.raw += len(data).to_bytes(1, "big") + data

    def decoded(self, format_: str) -> tuple[Decoded, bytes]:
        decoded = Decoded(format_, tuple(self.fields), self.values, bytes(self.marks))
        return decoded, bytes(self.raw)


@dataclass(slots=True)
class EnvironmentalReader:
    """Environmental Sensing (0x181A): each wanted characteristic is read once. Of several of one kind the second is
    ``temperature_2``, in the order of their handles. A Valid Range descriptor bounds what is believed.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    _valid: dict[str, tuple[float, float]] = field(default_factory=dict)
    _described: bool = False

    async def read(self, link: Link, wanted: Collection[str]) -> tuple[Decoded, bytes]:
        """See `Reader`. A channel that the sensor does not have is absent from the readings."""
        mine = [
            one
            for one in link.characteristics
            if one.service == ENVIRONMENTAL_SERVICE and one.uuid in ENVIRONMENTAL and "read" in one.flags
        ]
        names = unique([ENVIRONMENTAL[one.uuid].key for one in mine])
        if not self._described:
            await self._describe(link, mine, names)
        found = _Answers()
        for name, one in zip(names, mine, strict=True):
            if name not in wanted:
                continue
            row = ENVIRONMENTAL[one.uuid]
            what = Field(name, row.unit, row.places)
            await _one(found, what, link, one, partial(environmental, row, valid=self._valid.get(name)))
        await _battery(found, link, wanted)
        if not found.fields:
            raise NoAnswer(f"{link.address} has none of the wanted characteristics")
        return found.decoded("gatt-environmental")

    async def _describe(self, link: Link, mine: Collection[Characteristic], names: Collection[str]) -> None:
        """Valid ranges, and how the sensor says that it measures."""
        for name, one in zip(names, mine, strict=True):
            try:
                if (data := await link.read_descriptor(one, VALID_RANGE)) is not None:
                    self._valid[name] = valid_range(ENVIRONMENTAL[one.uuid], data)
                if (data := await link.read_descriptor(one, ES_MEASUREMENT)) is not None:
                    self.facts[name] = sampling(data)
            except (GattRefused, BadFrame) as error:
                self.facts[name] = {"descriptor": str(error)}
            if name in self._valid:
                self.facts.setdefault(name, {})["valid"] = list(self._valid[name])
        self._described = True


@dataclass(slots=True)
class ThermometerReader:
    """Health Thermometer (0x1809): waits for an indicated Temperature Measurement.

    A thermometer may first send measurements that it has kept. Of those that come, the last one counts; one with a
    time stamp counts only if it is later than every one before. The first stamped one of all may be an old one:
    nobody can tell, so it is uncertain.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    settle_s: float = SETTLE_S
    _newest: Stamp | None = None

    async def read(self, link: Link, wanted: Collection[str]) -> tuple[Decoded, bytes]:
        """See `Reader`."""
        measured = next(
            (one for one in link.all_of(MEASUREMENT) if {"indicate", "notify"}.intersection(one.flags)), None
        )
        if measured is None:
            raise NoAnswer(f"{link.address} indicates no temperature measurement")
        found = _Answers()
        data, value = await self._measurement(link, measured)
        mark = int(value.quality)
        if value.stamp is not None:
            if self._newest is None and mark == Quality.GOOD:
                mark = Quality.DEVICE_UNCERTAIN
            self._newest = value.stamp
        found.add(Field("temperature", "degC", None), value.value, mark, data)
        if value.type is not None:
            self.facts["temperature_type"] = value.type
        await _battery(found, link, wanted)
        return found.decoded("gatt-thermometer")

    async def _measurement(self, link: Link, measured: Characteristic) -> tuple[bytes, Measurement]:
        """The last new one of those that come together."""
        newest: tuple[bytes, Measurement] | None = None
        end = asyncio.get_running_loop().time() + KEPT_S
        async with link.heard(measured) as queue:
            while newest is None or asyncio.get_running_loop().time() < end:
                try:
                    async with asyncio.timeout(None if newest is None else self.settle_s):
                        data = await queue.get()
                except TimeoutError:
                    break
                if data is None:
                    break
                value = temperature_measurement(data)
                if _later(value.stamp, self._newest) and _later(value.stamp, newest and newest[1].stamp):
                    newest = data, value
        if newest is None:
            raise Lost(f"{link.address} hung up before it sent a measurement")
        return newest


def _later(stamp: Stamp | None, before: Stamp | None) -> bool:
    """Whether a measurement may be later than one before it: only stamps can say that it is not."""
    return stamp is None or before is None or stamp > before


Meaning = Callable[[bytes], tuple[float, Quality]]


async def _one(found: _Answers, what: Field, link: Link, one: Characteristic, meaning: Meaning) -> None:
    """Read one characteristic; a refusal or a damaged answer costs this channel only."""
    try:
        data = await link.read(one)
    except GattRefused:
        found.add(what, math.nan, Quality.DEVICE_EXCEPTION)
        return
    try:
        value, mark = meaning(data)
    except BadFrame:
        found.add(what, math.nan, Quality.BAD_FRAME, data)
        return
    found.add(what, value, mark, data)


async def _battery(found: _Answers, link: Link, wanted: Collection[str]) -> None:
    if BATTERY.key in wanted:
        for one in link.all_of(BATTERY_LEVEL)[:1]:
            await _one(found, BATTERY, link, one, battery_level)


async def identity(link: Link) -> dict[str, str | None]:
    """Maker, model, serial number and versions, as the sensor tells them (Device Information, 0x180A).

    None for what it refuses to tell; what it does not have is not there.
    """
    found: dict[str, str | None] = {}
    for one in link.characteristics:
        name = IDENTITY.get(one.uuid)
        if name is None or "read" not in one.flags:
            continue
        try:
            data = await link.read(one)
        except GattRefused:
            found[name] = None
            continue
        found[name] = data.rstrip(b"\0").decode("utf-8", "replace")[:LONGEST_TEXT]
    return found
