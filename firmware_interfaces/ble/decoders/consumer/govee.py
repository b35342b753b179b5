"""Govee thermometers: H5051, H5072, H5074, H5075, H5101, H5102, H5177, H5178, H5179.

Source: custom-components/ble_monitor ble_parser/govee.py with test/test_govee_parser.py, and
Bluetooth-Devices/govee-ble (both MIT). Companies 0xEC88 and 0x8801 are their own; 0x0001 is not theirs, so a
frame below it counts only with a name that says who sends it. The packed format holds temperature and humidity
in one number of 24 bits whose highest is the sign; the highest bit of the battery byte reports an error of the
sensor.
"""

import math
from collections.abc import Callable

from firmware_interfaces.ble.decoders.consumer import not_for_ccp
from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Quantity
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault
from firmware_interfaces.quality import Quality

__all__ = ["BORROWED", "COMPANIES", "FRAMES", "decode_8801", "decode_borrowed", "decode_ec88", "not_for_ccp"]

COMPANIES = (0xEC88, 0x8801)
BORROWED = 0x0001
NAMES = ("GVH51", "B5178", "Govee_H51")


def _packed(at: int, battery: int) -> list[Quantity]:
    """Temperature (tenths, from the thousands up) and humidity (tenths, below) of three bytes."""

    def temperature(data: bytes) -> tuple[float, int]:
        if data[battery] & 0x80:
            return math.nan, Quality.SENSOR_FAULT
        raw = int.from_bytes(data[at : at + 3], "big")
        tenths = (raw & 0x7FFFFF) // 1000
        value = (-tenths if raw & 0x800000 else tenths) / 10
        return (value, Quality.GOOD) if -60 <= value <= 200 else (math.nan, Quality.OUT_OF_RANGE)

    def humidity(data: bytes) -> tuple[float, int]:
        if data[battery] & 0x80:
            return math.nan, Quality.SENSOR_FAULT
        return (int.from_bytes(data[at : at + 3], "big") & 0x7FFFFF) % 1000 / 10, Quality.GOOD

    return [
        Quantity(key="temperature", unit="degC", places=1, derive=temperature),
        Quantity(key="humidity", unit="%RH", places=1, derive=humidity),
        Quantity(key="battery", unit="%", at=battery, mask=0x7F, high=100),
    ]


def _plain(at: int) -> list[Quantity]:
    return [
        Quantity(key="temperature", unit="degC", at=at, size=2, signed=True, places=2, low=ABSOLUTE_ZERO),
        Quantity(key="humidity", unit="%RH", at=at + 2, size=2, places=2, high=100),
        Quantity(key="battery", unit="%", at=at + 4, high=100),
    ]


FRAMES: dict[tuple[int, int], Frame] = {
    (0xEC88, 6): Frame("govee-h5075", 6, "big", _packed(1, 4)),
    (0xEC88, 7): Frame("govee-h5074", 7, "little", _plain(1)),
    (0xEC88, 9): Frame("govee-h5051", 9, "little", _plain(1)),
    (0x8801, 9): Frame("govee-h5179", 9, "little", _plain(4)),
    (BORROWED, 6): Frame("govee-h5101", 6, "big", _packed(2, 5)),
    (BORROWED, 9): Frame("govee-h5178", 9, "big", [*_packed(3, 6), Quantity(key="outdoor", at=2, high=1)]),
}
"""By company and length."""


def _decoder(company: int) -> Callable[[bytes, Context], Decoded]:
    def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: B008 - a constant
        if company == BORROWED and not context.name.startswith(NAMES):
            raise AdvertFault("govee", Fault.FOREIGN, "company 0x0001 without the name of a Govee sensor")
        frame = FRAMES.get((company, len(data)))
        if frame is None:
            raise AdvertFault("govee", Fault.WRONG_LENGTH, f"{len(data)} bytes below company 0x{company:04X}")
        return frame.decode(data)

    return decode


decode_ec88 = _decoder(0xEC88)
decode_8801 = _decoder(0x8801)
decode_borrowed = _decoder(BORROWED)
