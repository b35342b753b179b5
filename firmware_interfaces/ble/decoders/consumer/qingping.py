"""Qingping (Cleargrass) sensors with the maker's own firmware, below service 0xFDCD.

Source: custom-components/ble_monitor ble_parser/qingping.py with test/test_qingping_parser.py (MIT). A byte of
facts, the device's kind, its address (last byte first), then objects: name, length, little-endian numbers. An
object that is not known has a length and is passed over; one that is cut off spoils the frame.
"""

from firmware_interfaces.ble.decoders.consumer import not_for_ccp
from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Layouts, Quantity, Sequence_, placed
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["LAYOUTS", "OBJECTS", "SERVICE", "decode", "not_for_ccp"]

SERVICE = 0xFDCD
FORMAT = "qingping"
KINDS = (0x01, 0x07, 0x09, 0x0C, 0x0E, 0x12, 0x18, 0x24)
OTHER_ADDRESS = (0x0E, 0x24)
"""Kinds whose frame holds another address than the sender's."""

HEADER = 8
PACKET = (0x0F, 1)

OBJECTS: dict[tuple[int, int], tuple[Quantity, ...]] = {
    (0x01, 4): (
        Quantity(key="temperature", unit="degC", size=2, signed=True, places=1, low=ABSOLUTE_ZERO),
        Quantity(key="humidity", unit="%RH", at=2, size=2, places=1, high=100),
    ),
    (0x02, 1): (Quantity(key="battery", unit="%", high=100),),
    (0x07, 2): (Quantity(key="pressure", unit="Pa", size=2, multiplier=10),),
    (0x09, 4): (Quantity(key="illuminance", unit="lx", size=4),),
    (0x11, 1): (Quantity(key="light", high=1),),
    (0x12, 4): (
        Quantity(key="pm2_5", unit="ug/m3", size=2),
        Quantity(key="pm10", unit="ug/m3", at=2, size=2),
    ),
    (0x13, 2): (Quantity(key="co2", unit="ppm", size=2),),
}
"""By name and length."""


def _build(layout: tuple[tuple[int, int], ...]) -> Frame:
    rows = []
    at = HEADER
    sequence = None
    for ident, size in layout:
        at += 2
        if (ident, size) == PACKET:
            sequence = Sequence_(at, 1, "little")
        rows += [(quantity, at + quantity.at) for quantity in OBJECTS.get((ident, size), ())]
        at += size
    return Frame(FORMAT, at, "little", placed(rows), sequence)


LAYOUTS: Layouts[tuple[tuple[int, int], ...]] = Layouts(_build)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: B008 - a constant
    """Readings of the service data behind the UUID."""
    if len(data) < HEADER:
        raise AdvertFault(FORMAT, Fault.TRUNCATED)
    if data[1] not in KINDS:
        raise AdvertFault(FORMAT, Fault.UNKNOWN_VERSION, f"device 0x{data[1]:02X}")
    if data[1] not in OTHER_ADDRESS and context.address is not None and data[7:1:-1] != context.address:
        raise AdvertFault(FORMAT, Fault.FOREIGN, "holds another address than its sender's")
    layout = []
    at = HEADER
    while at < len(data):
        size = data[at + 1] if at + 1 < len(data) else len(data)
        layout.append((data[at], size))
        at += 2 + size
    if at > len(data):
        raise AdvertFault(FORMAT, Fault.TRUNCATED)
    return LAYOUTS.frame(tuple(layout)).decode(data)
