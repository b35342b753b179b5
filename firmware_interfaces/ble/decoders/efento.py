"""Efento loggers, below company 0x026C: the sensor frame of firmware 5 (02), and the pair of firmware 6 (03, 04).

Source: reelyactive/advlib-ble-manufacturers (MIT) lib/efento.js with its test frames, and the maker's page
"Bluetooth advertisement decoding" (docs.efento.io). Big-endian. Frame 04 comes in the scan response and needs
active scanning.
Two layouts of it are published: values of two bytes, as in frame 02, and (since 2026) of three bytes in ZigZag.
A frame is read by the one layout that it fits, in length and in the types it names; one that fits both is refused.
Types that the sources do not scale are skipped and named in the note.
"""

import math
from typing import NamedTuple

from firmware_interfaces.ble.decoders.frame import Frame, Layouts, Quantity, Sequence_, placed
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault, Field
from firmware_interfaces.quality import Quality

__all__ = ["COMPANY", "SCALED", "ZIGZAG", "decode"]

COMPANY = 0x026C
SENSOR, IDENTITY, VALUES = 0x02, 0x03, 0x04

SENSOR_SIZE = 24
IDENTITY_SIZES = (22, 24)
TYPES, SLOTS = 11, 14

NONE = 0x00
HIGHEST_TYPE = 0x26

SCALED: dict[int, Quantity] = {
    0x01: Quantity(key="temperature", unit="degC", size=2, addend=-15000, places=2, high=150),
    0x02: Quantity(key="humidity", unit="%RH", size=2, high=100),
    0x03: Quantity(key="pressure", unit="Pa", size=2, multiplier=10, high=652790),
    0x04: Quantity(key="differential_pressure", unit="Pa", size=2, addend=-0x8000, low=-32512, high=32511),
}
"""Values of two bytes by type. Beyond the limits lie the maker's error codes: never a value."""


class _Zig(NamedTuple):
    key: str
    unit: str
    multiplier: int
    places: int
    low: float
    high: float

    @property
    def field(self) -> Field:
        return Field(self.key, self.unit, self.places)


ZIGZAG: dict[int, _Zig] = {
    0x01: _Zig("temperature", "degC", 1, 1, -273.1, 1000),
    0x02: _Zig("humidity", "%RH", 1, 0, 0, 100),
    0x03: _Zig("pressure", "Pa", 10, 0, 0, 200000),
    0x07: _Zig("water_detected", "", 1, 0, 0, 1),
    0x0F: _Zig("illuminance", "lx", 1, 1, 0, 100000),
    0x1B: _Zig("humidity", "%RH", 1, 1, 0, 100),
}
"""Values of three bytes by type: ZigZag, then ``raw * multiplier / 10**places``."""


def _zigzag(at: int, kind: _Zig) -> Quantity:
    def derive(data: bytes) -> tuple[float, int]:
        raw = int.from_bytes(data[at : at + 3], "big")
        value = (raw >> 1 ^ -(raw & 1)) * kind.multiplier / 10**kind.places
        return (value, Quality.GOOD) if kind.low <= value <= kind.high else (math.nan, Quality.OUT_OF_RANGE)

    return Quantity(key=kind.key, unit=kind.unit, places=kind.places, derive=derive)


def _battery(flags: int) -> Quantity:
    """Bit 0 of the flags: battery is good."""
    return Quantity(key="battery_low", at=flags, mask=1, multiplier=-1, addend=1)


def _sensor_frame(types: bytes) -> Frame:
    rows = [(SCALED[kind], SLOTS + 2 * place) for place, kind in enumerate(types) if kind in SCALED]
    return Frame(
        "efento-5",
        SENSOR_SIZE,
        "big",
        [*placed(rows), _battery(3)],
        Sequence_(4, 4, "big"),
        note=_left_out(types, SCALED),
    )


def _short_values(types: bytes) -> Frame:
    rows = [(SCALED[kind], 2 + 3 * place) for place, kind in enumerate(types) if kind in SCALED]
    return Frame("efento-6", 3 + 3 * len(types), "big", placed(rows), note=_left_out(types, SCALED))


def _zigzag_values(types: bytes) -> Frame:
    rows = [(_zigzag(2 + 4 * place, ZIGZAG[kind]), 0) for place, kind in enumerate(types) if kind in ZIGZAG]
    return Frame("efento-6", 3 + 4 * len(types), "big", placed(rows), note=_left_out(types, ZIGZAG))


SENSOR_FRAMES: Layouts[bytes] = Layouts(_sensor_frame)
SHORT_VALUES: Layouts[bytes] = Layouts(_short_values)
ZIGZAG_VALUES: Layouts[bytes] = Layouts(_zigzag_values)
IDENTITY_FRAMES = {size: Frame("efento-6", size, "big", [_battery(9)]) for size in IDENTITY_SIZES}


def _left_out(types: bytes, known: "dict[int, Quantity] | dict[int, _Zig]") -> str:
    unknown = [f"0x{kind:02X}" for kind in types if kind != NONE and kind not in known]
    return f"types without a published scale were not read: {', '.join(unknown)}" if unknown else ""


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Readings of the payload behind the company id."""
    if not data:
        raise AdvertFault("efento", Fault.TRUNCATED, "empty")
    if data[0] == SENSOR:
        types = data[TYPES:SLOTS]
        if len(types) < SLOTS - TYPES:
            raise AdvertFault("efento-5", Fault.TRUNCATED, f"{len(data)} bytes, not {SENSOR_SIZE}")
        return SENSOR_FRAMES.frame(types).decode(data)
    if data[0] == IDENTITY:
        frame = IDENTITY_FRAMES.get(len(data))
        if frame is None:
            fault = Fault.TRUNCATED if len(data) < IDENTITY_SIZES[0] else Fault.WRONG_LENGTH
            raise AdvertFault("efento-6", fault, f"{len(data)} bytes, not 22 or 24")
        return frame.decode(data).with_facts(identity=data[1:7].hex().upper())
    if data[0] == VALUES:
        return _decode_values(data)
    raise AdvertFault("efento", Fault.UNKNOWN_VERSION, f"frame 0x{data[0]:02X}")


def _decode_values(data: bytes) -> Decoded:
    body = len(data) - 3
    if body < 3:
        raise AdvertFault("efento-6", Fault.TRUNCATED)
    short = data[1:-2:3] if body % 3 == 0 else b""
    long = data[1:-2:4] if body % 4 == 0 else b""
    short_fits = bool(short) and all(kind <= HIGHEST_TYPE for kind in short)
    long_fits = bool(long) and all(kind <= HIGHEST_TYPE for kind in long)
    if short_fits and long_fits:
        raise AdvertFault("efento-6", Fault.AMBIGUOUS)
    if short_fits:
        return SHORT_VALUES.frame(short).decode(data)
    if long_fits:
        return ZIGZAG_VALUES.frame(long).decode(data)
    raise AdvertFault("efento-6", Fault.WRONG_LENGTH, f"{len(data)} bytes hold no whole number of known values")
