"""ELA Innovation Blue Puck and Blue Coin, second format, below company 0x0757. (The first one: `sig`.)

Source: reelyactive/advlib-ble-manufacturers lib/elainnovation.js (MIT) with its test frames; a frame of a Blue
Puck T EN12830 on the air, custom-components/ble_monitor issue 1083. Little-endian, the first byte names the
quantity. The sources name no value that means "no value".
"""

from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Quantity
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["COMPANY", "FRAMES", "decode"]

COMPANY = 0x0757
HUMIDITY, TEMPERATURE = 0x21, 0x12


def _temperature(at: int) -> Quantity:
    return Quantity(key="temperature", unit="degC", at=at, size=2, signed=True, places=2, low=ABSOLUTE_ZERO)


def _counted(format_: str, state: str) -> Frame:
    """Events counted in the upper 15 bits, the present state in the lowest."""
    return Frame(
        format_,
        3,
        "little",
        [
            Quantity(key=state, at=1, size=2, mask=1),
            Quantity(key="event_counter", at=1, size=2, shift=1, mask=0x7FFF),
        ],
    )


FRAMES: dict[int, Frame] = {
    TEMPERATURE: Frame("ela-t", 3, "little", [_temperature(1)]),
    HUMIDITY: Frame(
        "ela-rht", 5, "little", [Quantity(key="humidity", unit="%RH", at=1, high=100), _temperature(3)]
    ),
    0x32: _counted("ela-mag", "contact"),
    0x42: _counted("ela-mov", "motion"),
    0x56: Frame(
        "ela-ang",
        7,
        "little",
        [
            Quantity(key=f"acceleration_{axis}", unit="g", at=1 + 2 * place, size=2, signed=True, places=3)
            for place, axis in enumerate("xyz")
        ],
    ),
    0x62: _counted("ela-di", "input"),
    0x92: _counted("ela-pir", "motion"),
    0xB2: _counted("ela-touch", "pressed"),
    0xF1: Frame("ela-battery", 2, "little", [Quantity(key="battery", unit="%", at=1, high=100)]),
    0xF2: Frame(
        "ela-battery-voltage", 3, "little", [Quantity(key="battery_voltage", unit="V", at=1, size=2, places=3)]
    ),
}
IDENTITIES = (0x06, 0x09)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Readings of the payload behind the company id."""
    if not data:
        raise AdvertFault("ela", Fault.TRUNCATED, "empty")
    kind = data[0]
    frame = FRAMES.get(kind)
    if frame is None:
        fault = Fault.NO_READINGS if kind in IDENTITIES else Fault.UNKNOWN_VERSION
        raise AdvertFault("ela", fault, f"frame 0x{kind:02X}")
    if kind == HUMIDITY and len(data) > 2 and data[2] != TEMPERATURE:
        raise AdvertFault(frame.format, Fault.UNKNOWN_OBJECT, f"0x{data[2]:02X} behind the humidity")
    return frame.decode(data)
