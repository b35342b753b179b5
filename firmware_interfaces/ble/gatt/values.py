"""What the characteristics of sensors mean: bytes in, a value and its quality out, or a `BadFrame`.

Sources: Bluetooth GATT Specification Supplement (Temperature, Humidity, Pressure, Dew Point, Temperature
Measurement, Environmental Sensing Measurement, Valid Range); Environmental Sensing Service 1.0; Health Thermometer
Service 1.0; IEEE 11073-20601 (FLOAT-Type).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.errors import BadFrame
from firmware_interfaces.quality import Quality

__all__ = [
    "ENVIRONMENTAL",
    "Environmental",
    "Measurement",
    "Stamp",
    "battery_level",
    "environmental",
    "ieee_float",
    "sampling",
    "temperature_measurement",
    "valid_range",
]


@dataclass(frozen=True, slots=True)
class Environmental:
    """A characteristic of the Environmental Sensing Service: a whole number, ``raw / 10**places`` in ``unit``.

    ``unknown`` is the raw bit pattern that means "value is not known"; ``low`` and ``high`` bound what it can be.
    """

    key: str
    unit: str
    size: int
    signed: bool
    places: int
    unknown: int | None = None
    low: float = -math.inf
    high: float = math.inf

    def number(self, data: bytes) -> int:
        """The raw number; raises `BadFrame`."""
        if len(data) != self.size:
            raise BadFrame(f"{self.key} of {len(data)} bytes, not {self.size}", data)
        return int.from_bytes(data, "little", signed=self.signed)


ENVIRONMENTAL: Mapping[str, Environmental] = {
    full_uuid(0x2A6E): Environmental("temperature", "degC", 2, True, 2, unknown=0x8000, low=-273.15),
    full_uuid(0x2A6F): Environmental("humidity", "%RH", 2, False, 2, unknown=0xFFFF, high=100),
    full_uuid(0x2A6D): Environmental("pressure", "Pa", 4, False, 1),
    full_uuid(0x2A7B): Environmental("dew_point", "degC", 1, True, 0),
}


def environmental(
    row: Environmental, data: bytes, valid: tuple[float, float] | None = None
) -> tuple[float, Quality]:
    """Value and quality of a characteristic; ``valid`` is what its Valid Range descriptor allows. NaN where bad."""
    raw = row.number(data)
    if raw & (1 << 8 * row.size) - 1 == row.unknown:
        return math.nan, Quality.SENSOR_FAULT
    value = raw / 10**row.places
    low, high = valid or (-math.inf, math.inf)
    if not max(low, row.low) <= value <= min(high, row.high):
        return math.nan, Quality.OUT_OF_RANGE
    return value, Quality.GOOD


def valid_range(row: Environmental, data: bytes) -> tuple[float, float]:
    """The Valid Range descriptor (0x2906): least and greatest value, both in the characteristic's own format."""
    if len(data) != 2 * row.size:
        raise BadFrame(f"valid range of {row.key} of {len(data)} bytes, not {2 * row.size}", data)
    low, high = row.number(data[: row.size]), row.number(data[row.size :])
    if low > high:
        raise BadFrame(f"valid range of {row.key} from {low} to {high}", data)
    return low / 10**row.places, high / 10**row.places


SAMPLING = {
    0: "unspecified",
    1: "instantaneous",
    2: "arithmetic mean",
    3: "RMS",
    4: "maximum",
    5: "minimum",
    6: "accumulated",
    7: "count",
}
APPLICATION = {
    0: "unspecified",
    1: "air",
    2: "water",
    3: "barometric",
    4: "soil",
    5: "infrared",
    21: "supplementary",
}


def sampling(data: bytes) -> dict[str, object]:
    """The ES Measurement descriptor (0x290C): how the sensor comes to its values, as it says itself.

    Period and interval in seconds, uncertainty in per cent; None where it says that it does not say.
    """
    if len(data) != 11:
        raise BadFrame(f"ES Measurement of {len(data)} bytes, not 11", data)
    period, interval = int.from_bytes(data[3:6], "little"), int.from_bytes(data[6:9], "little")
    return {
        "function": SAMPLING.get(data[2], f"reserved {data[2]}"),
        "period_s": period or None,
        "interval_s": interval or None,
        "application": APPLICATION.get(data[9], str(data[9])),
        "uncertainty_pct": None if data[10] == 0xFF else data[10] / 2,
    }


def battery_level(data: bytes) -> tuple[float, Quality]:
    """Battery Level (0x2A19), in per cent."""
    if len(data) != 1:
        raise BadFrame(f"battery level of {len(data)} bytes, not 1", data)
    return (float(data[0]), Quality.GOOD) if data[0] <= 100 else (math.nan, Quality.OUT_OF_RANGE)


# IEEE 11073

NOT_A_NUMBER, NOT_AT_THIS_RESOLUTION, RESERVED = 0x7FFFFF, 0x800000, 0x800001
INFINITE = {0x7FFFFE, 0x800002}
"""Mantissas of the special values; they have exponent 0."""


def ieee_float(data: bytes) -> tuple[float, Quality]:
    """FLOAT-Type: a signed mantissa of 24 bits and a signed decimal exponent of 8, little-endian.

    Not a number, not at this resolution and the reserved value are faults of the sensor; infinite is out of its
    range. The value is the double nearest to the decimal number that was sent.
    """
    if len(data) != 4:
        raise BadFrame(f"FLOAT of {len(data)} bytes, not 4", data)
    mantissa = int.from_bytes(data[:3], "little")
    exponent = int.from_bytes(data[3:], "little", signed=True)
    if exponent == 0 and mantissa in {NOT_A_NUMBER, NOT_AT_THIS_RESOLUTION, RESERVED}:
        return math.nan, Quality.SENSOR_FAULT
    if exponent == 0 and mantissa in INFINITE:
        return math.nan, Quality.OUT_OF_RANGE
    if mantissa & 0x800000:
        mantissa -= 0x1000000
    return float(f"{mantissa}e{exponent}"), Quality.GOOD


class Stamp(NamedTuple):
    """The time that a thermometer gives its measurement, by its own clock. It sorts as time does."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int


class Measurement(NamedTuple):
    """One Temperature Measurement, in degC (NaN exactly where the quality is bad)."""

    value: float
    quality: Quality
    stamp: Stamp | None
    type: int | None


FAHRENHEIT, STAMPED, TYPED = 1, 2, 4
HOTTEST_C, COLDEST_C = 2000.0, -273.15


def temperature_measurement(data: bytes) -> Measurement:
    """Temperature Measurement (0x2A1C) or Intermediate Temperature (0x2A1E); raises `BadFrame`.

    Degrees Fahrenheit are converted. A time stamp whose year, month or day is 0 is not known, hence none.
    """
    if len(data) < 5:
        raise BadFrame(f"temperature measurement of {len(data)} bytes", data)
    flags, at = data[0], 5
    size = 5 + (7 if flags & STAMPED else 0) + (1 if flags & TYPED else 0)
    if len(data) != size:
        raise BadFrame(f"temperature measurement of {len(data)} bytes, not {size}", data)
    stamp = None
    if flags & STAMPED:
        stamp = _stamp(data[5:12])
        at = 12
    value, quality = ieee_float(data[1:5])
    if flags & FAHRENHEIT:
        value = (value - 32) * 5 / 9
    if quality is Quality.GOOD and not COLDEST_C <= value <= HOTTEST_C:
        value, quality = math.nan, Quality.OUT_OF_RANGE
    return Measurement(value, quality, stamp, data[at] if flags & TYPED else None)


def _stamp(data: bytes) -> Stamp | None:
    found = Stamp(int.from_bytes(data[:2], "little"), *data[2:])
    if 0 in found[:3]:
        return None
    if found.month > 12 or found.day > 31 or found.hour > 23 or found.minute > 59 or found.second > 59:
        raise BadFrame("a time stamp that is no time", data)
    return found
