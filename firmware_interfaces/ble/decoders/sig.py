"""Bluetooth SIG characteristics sent as service data: 0x2A6E temperature, 0x2A6F humidity, 0x2A6D pressure,
0x2A19 and 0x180F battery level.

Source: Bluetooth GATT Specification Supplement (Temperature, Humidity, Pressure, Battery Level): little-endian,
temperature 0x8000 and humidity 0xFFFF mean "value is not known". ELA Innovation's first format writes
humidity in one byte, whole per cent; the length tells the two apart.
"""

from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Quantity
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["FRAMES", "decode_battery", "decode_humidity", "decode_pressure", "decode_temperature"]

_BATTERY = Frame("sig-battery", 1, "little", [Quantity(key="battery", unit="%", high=100)])

FRAMES: dict[int, tuple[Frame, ...]] = {
    0x2A6E: (
        Frame(
            "sig-temperature",
            2,
            "little",
            [
                Quantity(
                    key="temperature",
                    unit="degC",
                    size=2,
                    signed=True,
                    places=2,
                    invalid=(0x8000,),
                    low=ABSOLUTE_ZERO,
                )
            ],
        ),
    ),
    0x2A6F: (
        Frame(
            "sig-humidity",
            2,
            "little",
            [Quantity(key="humidity", unit="%RH", size=2, places=2, invalid=(0xFFFF,), high=100)],
        ),
        Frame("ela-humidity", 1, "little", [Quantity(key="humidity", unit="%RH", high=100)]),
    ),
    0x2A6D: (Frame("sig-pressure", 4, "little", [Quantity(key="pressure", unit="Pa", size=4, places=1)]),),
    0x2A19: (_BATTERY,),
    0x180F: (_BATTERY,),
}


def _decode(uuid: int, data: bytes) -> Decoded:
    frames = FRAMES[uuid]
    for frame in frames:
        if len(data) == frame.size:
            return frame.decode(data)
    fault = Fault.TRUNCATED if len(data) < frames[0].size else Fault.WRONG_LENGTH
    raise AdvertFault(frames[0].format, fault, f"{len(data)} bytes, not {frames[0].size}")


def decode_temperature(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Service data 0x2A6E."""
    return _decode(0x2A6E, data)


def decode_humidity(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Service data 0x2A6F."""
    return _decode(0x2A6F, data)


def decode_pressure(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Service data 0x2A6D."""
    return _decode(0x2A6D, data)


def decode_battery(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Service data 0x2A19 or 0x180F."""
    return _decode(0x2A19, data)
