"""Blue Maestro Tempo Disc, below company 0x0133: versions 8, 13, 22, 23, 27 and 41, 42, 43.

Source: Bluetooth-Devices/bluemaestro-ble (Apache-2.0) src/bluemaestro_ble/parser.py with its captures and the
frames that the maker's own app decodes. The older versions are big-endian with tenths, the newer ones little-endian
with hundredths. Statistics behind the values are not read; the dew point, which the app computes, is left to
whoever needs it. The sources name no value that means "no value".
"""

from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Order, Quantity
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["COMPANY", "FRAMES", "decode"]

COMPANY = 0x0133

OLD, NEW = 6, 15
"""Where the values begin."""

_BATTERY = Quantity(key="battery", unit="%", at=1, high=100)


def _temperature(at: int, places: int) -> Quantity:
    return Quantity(key="temperature", unit="degC", at=at, size=2, signed=True, places=places, low=ABSOLUTE_ZERO)


def _humidity(at: int, places: int) -> Quantity:
    return Quantity(key="humidity", unit="%RH", at=at, size=2, places=places, high=100)


def _frame(version: int, size: int, *quantities: Quantity, order: Order = "big") -> Frame:
    return Frame(f"bluemaestro-{version}", size, order, [*quantities, _BATTERY])


_OLD_DEW_POINT = Quantity(key="dew_point", unit="degC", at=10, size=2, signed=True, places=1, low=ABSOLUTE_ZERO)
_OLD_PRESSURE = Quantity(key="pressure", unit="Pa", at=OLD + 4, size=2, multiplier=10)
_NEW_PRESSURE = Quantity(key="pressure", unit="Pa", at=NEW + 4, size=4)

FRAMES: dict[int, Frame] = {
    8: _frame(8, 8, _temperature(OLD, 1)),
    13: _frame(13, 8, _temperature(OLD, 1)),
    22: _frame(22, 14, _temperature(OLD, 1), _humidity(OLD + 2, 1), _OLD_DEW_POINT),
    23: _frame(23, 10, _temperature(OLD, 1), _humidity(OLD + 2, 1)),
    27: _frame(27, 12, _temperature(OLD, 1), _humidity(OLD + 2, 1), _OLD_PRESSURE),
    41: _frame(41, 17, _temperature(NEW, 2), order="little"),
    42: _frame(42, 19, _temperature(NEW, 2), _humidity(NEW + 2, 2), order="little"),
    43: _frame(43, 23, _temperature(NEW, 2), _humidity(NEW + 2, 2), _NEW_PRESSURE, order="little"),
}
"""By version; ``size`` is up to the end of the last value."""


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Readings of the payload behind the company id."""
    if not data:
        raise AdvertFault("bluemaestro", Fault.TRUNCATED, "empty")
    frame = FRAMES.get(data[0])
    if frame is None:
        raise AdvertFault("bluemaestro", Fault.UNKNOWN_VERSION, f"version {data[0]}")
    return frame.decode(data[: frame.size])
