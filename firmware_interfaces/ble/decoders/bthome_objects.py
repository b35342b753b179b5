"""BTHome v2: the table of objects (bthome.io/format, "Supported data types"). All numbers are little-endian.

The format defines no value that means "no value". Pressure is kept in pascals (0.01 hPa is 1 Pa).
"""

from typing import Any

from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Quantity

__all__ = ["BINARY", "EVENTS", "NUMBERS", "PACKET_ID", "VARIABLE"]

PACKET_ID = 0x00

DEGREES: dict[str, Any] = {"unit": "degC", "signed": True, "low": ABSOLUTE_ZERO}
SHARE: dict[str, Any] = {"unit": "%", "low": 0, "high": 100}


def _n(key: str, unit: str, size: int, places: int = 0, *, signed: bool = False) -> Quantity:
    return Quantity(key=key, unit=unit, size=size, places=places, signed=signed)


NUMBERS: dict[int, Quantity] = {
    0x01: Quantity(key="battery", **SHARE),
    0x02: Quantity(key="temperature", size=2, places=2, **DEGREES),
    0x03: Quantity(key="humidity", unit="%RH", size=2, places=2, high=100),
    0x04: _n("pressure", "Pa", 3),
    0x05: _n("illuminance", "lx", 3, 2),
    0x06: _n("mass", "kg", 2, 2),
    0x07: _n("mass_lb", "lb", 2, 2),
    0x08: Quantity(key="dew_point", size=2, places=2, **DEGREES),
    0x09: _n("count", "", 1),
    0x0A: _n("energy", "kWh", 3, 3),
    0x0B: _n("power", "W", 3, 2),
    0x0C: _n("voltage", "V", 2, 3),
    0x0D: _n("pm2_5", "ug/m3", 2),
    0x0E: _n("pm10", "ug/m3", 2),
    0x12: _n("co2", "ppm", 2),
    0x13: _n("tvoc", "ug/m3", 2),
    0x14: Quantity(key="moisture", size=2, places=2, **SHARE),
    0x2E: Quantity(key="humidity", unit="%RH", high=100),
    0x2F: Quantity(key="moisture", **SHARE),
    0x3D: _n("count", "", 2),
    0x3E: _n("count", "", 4),
    0x3F: _n("rotation", "deg", 2, 1, signed=True),
    0x40: _n("distance_mm", "mm", 2),
    0x41: _n("distance", "m", 2, 1),
    0x42: _n("duration", "s", 3, 3),
    0x43: _n("current", "A", 2, 3),
    0x44: _n("speed", "m/s", 2, 2),
    0x45: Quantity(key="temperature", size=2, places=1, **DEGREES),
    0x46: _n("uv_index", "", 1, 1),
    0x47: _n("volume", "l", 2, 1),
    0x48: _n("volume_ml", "ml", 2),
    0x49: _n("flow", "m3/h", 2, 3),
    0x4A: _n("voltage", "V", 2, 1),
    0x4B: _n("gas", "m3", 3, 3),
    0x4C: _n("gas", "m3", 4, 3),
    0x4D: _n("energy", "kWh", 4, 3),
    0x4E: _n("volume", "l", 4, 3),
    0x4F: _n("water", "l", 4, 3),
    0x50: _n("device_time", "s", 4),
    0x51: _n("acceleration", "m/s2", 2, 3),
    0x52: _n("angular_velocity", "deg/s", 2, 3),
    0x55: _n("volume_storage", "l", 4, 3),
    0x56: _n("conductivity", "uS/cm", 2),
    0x57: Quantity(key="temperature", **DEGREES),
    0x58: Quantity(key="temperature", multiplier=35, places=2, **DEGREES),
    0x59: _n("count", "", 1, signed=True),
    0x5A: _n("count", "", 2, signed=True),
    0x5B: _n("count", "", 4, signed=True),
    0x5C: _n("power", "W", 4, 2, signed=True),
    0x5D: _n("current", "A", 2, 3, signed=True),
    0x5E: _n("direction", "deg", 2, 2),
    0x5F: _n("precipitation", "mm", 2, 1),
    0x60: _n("channel", "", 1),
    0x61: _n("rotational_speed", "rpm", 2),
    0x62: _n("speed", "m/s", 4, 6, signed=True),
    0x63: _n("acceleration", "m/s2", 4, 6, signed=True),
    0x64: _n("light_level", "", 1),
}

BINARY: dict[int, str] = {
    0x0F: "generic",
    0x10: "power_on",
    0x11: "opening",
    0x15: "battery_low",
    0x16: "battery_charging",
    0x17: "carbon_monoxide",
    0x18: "cold",
    0x19: "connectivity",
    0x1A: "door_open",
    0x1B: "garage_door_open",
    0x1C: "gas_detected",
    0x1D: "heat",
    0x1E: "light",
    0x1F: "unlocked",
    0x20: "wet",
    0x21: "motion",
    0x22: "moving",
    0x23: "occupancy",
    0x24: "plugged",
    0x25: "presence",
    0x26: "problem",
    0x27: "running",
    0x28: "unsafe",
    0x29: "smoke",
    0x2A: "sound",
    0x2B: "tamper",
    0x2C: "vibration",
    0x2D: "window_open",
}
"""Objects of one byte: 0 no, 1 yes."""

EVENTS: dict[int, int] = {0x3A: 1, 0x3C: 2, 0xF0: 2, 0xF1: 4, 0xF2: 3}
"""Objects that measure nothing (button, dimmer, device type, firmware), and their sizes."""

VARIABLE = (0x53, 0x54)
"""Text and raw data: the first byte is the length."""

NUMBERS.update({ident: Quantity(key=key, high=1) for ident, key in BINARY.items()})
