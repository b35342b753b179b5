"""Minew beacons: service 0xFFE1 (E and S series), company 0x0639 (S3, S4 and "Connect V3").

Source: reelyactive/advlib-ble-services and advlib-ble-manufacturers (MIT), lib/minew.js and their test frames.
Temperature and humidity are signed 8.8 fixed point, big-endian. The sources name no value that means "no value".
Frames whose scale rests on one example alone (pressure, TVOC, magnetic field, gyroscope) are not decoded.
"""

from firmware_interfaces.ble.decoders.frame import FIXED_8_8, Frame, Layouts, Quantity, placed
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["COMPANY", "FRAMES", "SERVICE", "SERVICE_FRAMES", "decode", "decode_service"]

COMPANY = 0x0639
SERVICE = 0xFFE1


def _temperature(at: int) -> Quantity:
    return Quantity(key="temperature", unit="degC", at=at, **FIXED_8_8)


def _humidity(at: int) -> Quantity:
    return Quantity(key="humidity", unit="%RH", at=at, low=0, high=100, **FIXED_8_8)


def _battery(at: int = 2) -> Quantity:
    return Quantity(key="battery", unit="%", at=at, high=100)


def _acceleration(at: int) -> list[Quantity]:
    return [
        Quantity(key=f"acceleration_{axis}", unit="g", at=at + 2 * place, **FIXED_8_8)
        for place, axis in enumerate("xyz")
    ]


def _state(key: str, at: int = 3, size: int = 1) -> Quantity:
    """A byte, or two, that is 0 or 1."""
    return Quantity(key=key, at=at, size=size, high=1)


A1 = 0xA1

SERVICE_FRAMES: dict[int, Frame] = {
    0x01: Frame("minew-ht", 13, "big", [_temperature(3), _humidity(5), _battery()]),
    0x02: Frame("minew-light", 10, "big", [Quantity(key="light", at=3, mask=1), _battery()]),
    0x03: Frame("minew-acceleration", 15, "big", [*_acceleration(3), _battery()]),
    0x05: Frame("minew-illuminance", 11, "big", [Quantity(key="illuminance", unit="lx", at=3, size=2), _battery()]),
    0x11: Frame("minew-pir", 11, "big", [_state("motion", size=2), _battery()]),
    0x13: Frame("minew-temperature", 11, "big", [_temperature(3), _battery()]),
    0x18: Frame("minew-vibration", 14, "big", [Quantity(key="vibration", at=7, mask=1), _battery()]),
    0x20: Frame("minew-tamper", 10, "big", [_state("tamper"), _battery()]),
    0x21: Frame("minew-water", 10, "big", [_state("water_detected"), _battery()]),
}
"""By the second byte; the first is 0xA1."""

NO_READINGS = (0x07, 0x08)

_V3_BATTERY, _V3_TAMPER, _V3_ACCELERATION = 0x21, 0x22, 0x03
V3_TRAILER = 4

FRAMES: dict[tuple[int, int], Frame] = {
    (0xA3, 0x03): Frame("minew-s3", 16, "big", [_temperature(3), _humidity(5), _battery()]),
    (0xA4, 0x01): Frame("minew-s4", 15, "big", [_state("door_open"), _state("tamper", 4), _battery()]),
    (0xCA, 0x00): Frame("minew-v3-info", 24, "big", [_battery(8)]),
    (0xCA, 0x1B): Frame(
        "minew-v3-temperature",
        24,
        "big",
        [
            _temperature(14),
            Quantity(key="battery_voltage", unit="V", at=12, size=2, places=3),
            Quantity(key="tx_power", unit="dBm", at=17, signed=True),
        ],
    ),
}
"""By the first two bytes. Others of 0xCA lay themselves out: `_V3_HT`, `BLOCKS`."""

_V3_HT = (
    Frame("minew-v3-ht", 24, "big", [_temperature(5), _humidity(7)]),
    Frame("minew-v3-ht", 24, "big", [_temperature(5)]),
)
"""0xCA 0x05, with and without humidity (bit 1 of the device facts)."""

BLOCKS: dict[int, tuple[int, list[Quantity]]] = {
    _V3_ACCELERATION: (7, _acceleration(1)),
    _V3_BATTERY: (2, [_battery(1)]),
    _V3_TAMPER: (2, [_state("tamper", 1)]),
}
"""0xCA 0x03: blocks with their length, and what is in them (places from the block's own first byte)."""


def _build(blocks: bytes) -> Frame:
    rows = []
    at = 2
    for block in blocks:
        size, quantities = BLOCKS[block]
        rows += [(quantity, at + quantity.at) for quantity in quantities]
        at += size
    return Frame("minew-v3-blocks", at, "big", placed(rows))


LAYOUTS: Layouts[bytes] = Layouts(_build)


def decode_service(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Service data 0xFFE1."""
    if len(data) < 2:
        raise AdvertFault("minew", Fault.TRUNCATED)
    if data[0] != A1:
        raise AdvertFault("minew", Fault.FOREIGN, f"frame type 0x{data[0]:02X}")
    frame = SERVICE_FRAMES.get(data[1])
    if frame is None:
        fault = Fault.NO_READINGS if data[1] in NO_READINGS else Fault.UNKNOWN_VERSION
        raise AdvertFault("minew", fault, f"frame 0xA1 0x{data[1]:02X}")
    return frame.decode(data)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Readings of the payload behind the company id."""
    if len(data) < 2:
        raise AdvertFault("minew", Fault.TRUNCATED)
    kind = (data[0], data[1])
    frame = FRAMES.get(kind)
    if frame is not None:
        if kind == (0xCA, 0x1B) and len(data) > 2 and data[2] & 0x80:
            raise AdvertFault(frame.format, Fault.UNKNOWN_VERSION, "encrypted; its scheme is not published")
        return frame.decode(data)
    if kind == (0xCA, 0x05):
        if len(data) < 4:
            raise AdvertFault("minew-v3-ht", Fault.TRUNCATED)
        return _V3_HT[data[3] >> 1 & 1].decode(data)
    if kind == (0xCA, 0x03):
        return _decode_blocks(data)
    fault = Fault.NO_READINGS if kind in {(0xA3, 0x01), (0xA4, 0x00)} else Fault.UNKNOWN_VERSION
    raise AdvertFault("minew", fault, f"frame 0x{data[0]:02X} 0x{data[1]:02X}")


def _decode_blocks(data: bytes) -> Decoded:
    """Blocks up to the four bytes at the end; one that the table does not have ends the reading."""
    end = len(data) - V3_TRAILER
    blocks = bytearray()
    at = 2
    while at < end and data[at] in BLOCKS:
        blocks.append(data[at])
        at += BLOCKS[data[at]][0]
    if at > end:
        raise AdvertFault("minew-v3-blocks", Fault.TRUNCATED)
    if not blocks:
        raise AdvertFault("minew-v3-blocks", Fault.UNKNOWN_OBJECT if at < end else Fault.NO_READINGS)
    note = "" if at == end else f"from block 0x{data[at]:02X} on not read: it is not in the table"
    return LAYOUTS.frame(bytes(blocks)).decode(data[:at]).with_facts(note=note)
