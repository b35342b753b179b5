"""Teltonika EYE Sensor (BTSMP1) and EYE Beacon (BTSID1), below company 0x089A.

Source: wiki.teltonika-gps.com, EYE SENSOR / BTSMP1, "Sensor advertising" with its worked example. Version 0x01,
a byte of flags that says what follows, big-endian. Where the beacon is on as well, this comes in the scan
response and needs active scanning.
"""

from dataclasses import replace

from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Layouts, Quantity
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["COMPANY", "LAYOUTS", "decode"]

COMPANY = 0x089A
FORMAT = "teltonika-eye"
VERSION = 0x01
FLAGS = 1

MAGNET = 2
FOLLOWING: tuple[tuple[int, int, tuple[Quantity, ...]], ...] = (
    (
        0,
        2,
        (Quantity(key="temperature", unit="degC", size=2, signed=True, places=2, low=ABSOLUTE_ZERO),),
    ),
    (1, 1, (Quantity(key="humidity", unit="%RH", high=100),)),
    (
        4,
        2,
        (
            Quantity(key="moving", size=2, shift=15, mask=1),
            Quantity(key="movement_counter", size=2, mask=0x7FFF),
        ),
    ),
    (
        5,
        3,
        (
            Quantity(key="pitch", unit="deg", signed=True, low=-90, high=90),
            Quantity(key="roll", unit="deg", at=1, size=2, signed=True, low=-180, high=180),
        ),
    ),
    (7, 1, (Quantity(key="battery_voltage", unit="V", multiplier=10, addend=2000, places=3),)),
)
"""Bit of the flags, bytes, quantities (``at`` from the first of these bytes), in the order of the frame."""

STATES: tuple[tuple[int, Quantity], ...] = (
    (MAGNET, Quantity(key="magnet", at=FLAGS, shift=3, mask=1)),
    (6, Quantity(key="battery_low", at=FLAGS, shift=6, mask=1)),
)
"""What lies in the flags themselves. Bit 2 says whether there is a magnet sensor; bit 6 is always there."""


def _build(flags: int) -> Frame:
    rows: list[Quantity] = []
    at = FLAGS + 1
    for bit, size, quantities in FOLLOWING:
        if flags >> bit & 1:
            rows += [_moved(quantity, at) for quantity in quantities]
            at += size
    rows += [quantity for bit, quantity in STATES if bit != MAGNET or flags >> bit & 1]
    return Frame(FORMAT, at, "big", rows)


def _moved(quantity: Quantity, at: int) -> Quantity:
    return replace(quantity, at=quantity.at + at)


LAYOUTS: Layouts[int] = Layouts(_build)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Readings of the payload behind the company id."""
    if len(data) < 2:
        raise AdvertFault(FORMAT, Fault.TRUNCATED)
    if data[0] != VERSION:
        raise AdvertFault(FORMAT, Fault.UNKNOWN_VERSION, f"version {data[0]}")
    return LAYOUTS.frame(data[FLAGS]).decode(data)
