"""Xiaomi thermometers with the firmware of pvvx or atc1441, below service 0x181A: four formats, by their length.

Source: github.com/pvvx/ATC_MiThermometer README, "Bluetooth Advertising Formats"; the encrypted ones from its issue
94 and custom-components/ble_monitor ble_parser/atc.py (MIT) with its test frames. Custom is little-endian, atc1441
big-endian. The sources name no value that means "no value". The nonce of the encrypted formats holds the header of
the advertising element, so its length counts. The packet counter of one byte is the sequence: it is no protection
against replay.
"""

from typing import Any

from firmware_interfaces.ble.decoders.cipher import open_sealed
from firmware_interfaces.ble.decoders.frame import Frame, Quantity, Sequence_
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["FRAMES", "SEALED", "SERVICE", "decode"]

SERVICE = 0x181A
CUSTOM = 15

SENSOR: dict[str, Any] = {"low": -60.0, "high": 150.0}
"""Beyond what any sensor of these devices (SHTC3, SHT4x) can give."""


_TEMPERATURE = Quantity(key="temperature", unit="degC", size=2, signed=True, places=2, **SENSOR)
_HUMIDITY = Quantity(key="humidity", unit="%RH", at=2, size=2, places=2, high=100)

FRAMES: dict[int, Frame] = {
    CUSTOM: Frame(
        "pvvx-custom",
        CUSTOM,
        "little",
        [
            Quantity(key="temperature", unit="degC", at=6, size=2, signed=True, places=2, **SENSOR),
            Quantity(key="humidity", unit="%RH", at=8, size=2, places=2, high=100),
            Quantity(key="battery_voltage", unit="V", at=10, size=2, places=3),
            Quantity(key="battery", unit="%", at=12, high=100),
            Quantity(key="reed_switch", at=14, mask=1),
        ],
        Sequence_(13, 1, "little"),
    ),
    13: Frame(
        "atc1441",
        13,
        "big",
        [
            Quantity(key="temperature", unit="degC", at=6, size=2, signed=True, places=1, **SENSOR),
            Quantity(key="humidity", unit="%RH", at=8, high=100),
            Quantity(key="battery", unit="%", at=9, high=100),
            Quantity(key="battery_voltage", unit="V", at=10, size=2, places=3),
        ],
        Sequence_(12, 1, "big"),
    ),
}
"""Open formats by length. The six bytes before the values are the address: since anyone may use this service for
data of his own, a frame with another address than its sender's is not one of these."""

SEALED: dict[int, Frame] = {
    11: Frame(
        "pvvx-custom-encrypted",
        6,
        "little",
        [
            _TEMPERATURE,
            _HUMIDITY,
            Quantity(key="battery", unit="%", at=4, high=100),
            Quantity(key="reed_switch", at=5, mask=1),
        ],
    ),
    8: Frame(
        "atc1441-encrypted",
        3,
        "big",
        [
            Quantity(key="temperature", unit="degC", multiplier=5, addend=-400, places=1, **SENSOR),
            Quantity(key="humidity", unit="%RH", at=1, multiplier=5, places=1, high=100),
            Quantity(key="battery", unit="%", at=2, mask=0x7F, high=100),
            Quantity(key="reed_switch", at=2, shift=7, mask=1),
        ],
    ),
}
"""Encrypted formats by length; the frames are of what is inside."""

AUTHENTICATED = b"\x11"


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: B008
    """Readings of the service data behind the UUID."""
    frame = FRAMES.get(len(data))
    if frame is not None:
        if context.key is not None:
            raise AdvertFault(frame.format, Fault.NOT_ENCRYPTED)
        sender = data[5::-1] if len(data) == CUSTOM else data[:6]
        if context.address is not None and sender != context.address:
            raise AdvertFault(frame.format, Fault.FOREIGN, "holds another address than its sender's")
        return frame.decode(data)
    inside = SEALED.get(len(data))
    if inside is None:
        raise AdvertFault("pvvx", Fault.WRONG_LENGTH, f"{len(data)} bytes, none of 8, 11, 13, 15")
    # The AD element: length (type, UUID and data), type 0x16, UUID; then the counter.
    header = bytes((3 + len(data), 0x16)) + SERVICE.to_bytes(2, "little")
    plain = open_sealed(
        inside.format, context, header + data[:1], data[1:], reverse_address=True, also=AUTHENTICATED
    )
    return inside.decode(plain)._replace(sequence=data[0])
