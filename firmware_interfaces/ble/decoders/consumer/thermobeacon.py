"""ThermoBeacon hygrometers (sold under many names), below companies that are not theirs: 0x0010 to 0x001B.

Source: custom-components/ble_monitor ble_parser/thermobeacon.py with test/test_thermobeacon_parser.py (MIT) and
iskalchev/ThermoBeacon-pyhap tb_protocol.py. Little-endian, sixteenths. Since the companies are others', a frame
counts only where it holds the address of its sender.
"""

from firmware_interfaces.ble.decoders.consumer import not_for_ccp
from firmware_interfaces.ble.decoders.frame import Frame, Quantity
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["COMPANIES", "FRAME", "decode", "not_for_ccp"]

COMPANIES = (0x0010, 0x0011, 0x0015, 0x0018, 0x001B)
SIXTEENTHS = 625

FRAME = Frame(
    "thermobeacon",
    18,
    "little",
    [
        Quantity(
            key="temperature",
            unit="degC",
            at=10,
            size=2,
            signed=True,
            multiplier=SIXTEENTHS,
            places=4,
            low=-60,
            high=200,
        ),
        Quantity(key="humidity", unit="%RH", at=12, size=2, multiplier=SIXTEENTHS, places=4, high=100),
        Quantity(key="battery_voltage", unit="V", at=8, size=2, places=3),
        Quantity(key="uptime", unit="s", at=14, size=4),
    ],
)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: B008 - a constant
    """Readings of the payload behind the company id. A longer frame (minimum and maximum) has none."""
    if len(data) == FRAME.size:
        if context.address is None:
            raise AdvertFault(FRAME.format, Fault.ADDRESS_NEEDED)
        if data[7:1:-1] != context.address:
            raise AdvertFault(FRAME.format, Fault.FOREIGN, "does not hold its sender's address")
    return FRAME.decode(data)
