"""Govee thermometers: H5051, H5072, H5074, H5075, H5101, H5102, H5177, H5178, H5179.

Source: custom-components/ble_monitor ble_parser/govee.py with test/test_govee_parser.py, and
Bluetooth-Devices/govee-ble (both MIT). Companies 0xEC88 and 0x8801 are their own; 0x0001 is not theirs, so a
frame below it counts only with a name that says who sends it. The packed format holds temperature and humidity
in one number of 24 bits whose highest is the sign; the highest bit of the battery byte reports an error of the
sensor.
"""

import math
from array import array
from collections.abc import Callable

from firmware_interfaces.ble.decoders.consumer import not_for_ccp
from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Quantity
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault
from firmware_interfaces.quality import Quality

__all__ = ["BORROWED", "COMPANIES", "FRAMES", "decode_8801", "decode_borrowed", "decode_ec88", "not_for_ccp"]

COMPANIES = (0xEC88, 0x8801)
BORROWED = 0x0001
GOOD, BEYOND = bytes((Quality.GOOD,)), bytes((Quality.OUT_OF_RANGE,))
FINE, HOT, FAULTY = GOOD * 2, BEYOND + GOOD, bytes((Quality.SENSOR_FAULT,)) * 2
"""Of temperature and humidity."""
NAMES = ("GVH51", "B5178", "Govee_H51")

_new = tuple.__new__


class Packed(Frame):
    """Temperature (tenths, from the thousands up) and humidity (tenths, below) in three bytes, and the battery.

    Computed at once: two rows that each take the number apart cost twice as much.
    """

    def __init__(self, format_: str, size: int, at: int, battery: int, *more: Quantity) -> None:
        rows = [
            Quantity(key="temperature", unit="degC", places=1),
            Quantity(key="humidity", unit="%RH", places=1),
            Quantity(key="battery", unit="%", at=battery, mask=0x7F, high=100),
            *more,
        ]
        super().__init__(format_, size, "big", rows)
        self._at, self._battery = at, battery
        self._more = bool(more)

    def decode(self, data: bytes) -> Decoded:
        """See `Frame.decode`."""
        if self._more or len(data) != self.size:
            found = super().decode(data)
            values, marks = found.values, found.quality[2:]
        else:
            values, marks = array("d", (0.0, 0.0, math.nan)), b""
            level = data[self._battery] & 0x7F
            if level <= 100:
                values[2], marks = level, GOOD
            else:
                marks = BEYOND
        if data[self._battery] & 0x80:
            values[0] = values[1] = math.nan
            first = FAULTY
        else:
            raw = int.from_bytes(data[self._at : self._at + 3], "big")
            tenths, damp = divmod(raw & 0x7FFFFF, 1000)
            value = (-tenths if raw & 0x800000 else tenths) / 10
            values[1] = damp / 10
            if -60 <= value <= 200:
                values[0], first = value, FINE
            else:
                values[0], first = math.nan, HOT
        return _new(Decoded, (self.format, self.fields, values, first + marks, None, None, "", ""))


def _plain(at: int) -> list[Quantity]:
    return [
        Quantity(key="temperature", unit="degC", at=at, size=2, signed=True, places=2, low=ABSOLUTE_ZERO),
        Quantity(key="humidity", unit="%RH", at=at + 2, size=2, places=2, high=100),
        Quantity(key="battery", unit="%", at=at + 4, high=100),
    ]


FRAMES: dict[tuple[int, int], Frame] = {
    (0xEC88, 6): Packed("govee-h5075", 6, 1, 4),
    (0xEC88, 7): Frame("govee-h5074", 7, "little", _plain(1)),
    (0xEC88, 9): Frame("govee-h5051", 9, "little", _plain(1)),
    (0x8801, 9): Frame("govee-h5179", 9, "little", _plain(4)),
    (BORROWED, 6): Packed("govee-h5101", 6, 2, 5),
    (BORROWED, 9): Packed("govee-h5178", 9, 3, 6, Quantity(key="outdoor", at=2, high=1)),
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
