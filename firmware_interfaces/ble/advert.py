"""A whole advertisement as it was on the air, taken apart into what the decoders read.

Source: Bluetooth Core Specification, Vol 3, Part C, section 11 (advertising data format), and Core Specification
Supplement, Part A (data types).
"""

from dataclasses import dataclass, field

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Fault

__all__ = ["Advert", "address_bytes", "split_advert"]

MANUFACTURER = 0xFF
SERVICE_16, SERVICE_32, SERVICE_128 = 0x16, 0x20, 0x21
SHORT_NAME, WHOLE_NAME = 0x08, 0x09

_ADDRESS_BYTES = 6


@dataclass(slots=True)
class Advert:
    """What one sender put into the air: payload by company id, data by full UUID, and its name."""

    manufacturer: dict[int, bytes] = field(default_factory=dict)
    service: dict[str, bytes] = field(default_factory=dict)
    name: str = ""


def address_bytes(address: str) -> bytes:
    """The six bytes of ``CB:B8:33:4C:88:4F``; raises `ValueError` for anything else."""
    parts = address.split(":")
    if len(parts) != _ADDRESS_BYTES or not all(len(part) == 2 for part in parts):
        raise ValueError(f"{address!r} is not an address of six bytes")
    return bytes.fromhex("".join(parts))


def split_advert(data: bytes) -> Advert:
    """The parts of an advertisement; raises `AdvertFault` where an element is cut off.

    A length of 0 ends it early (the rest is padding).
    """
    advert = Advert()
    at = 0
    while at < len(data) and data[at]:
        end = at + 1 + data[at]
        if end > len(data):
            raise AdvertFault("advertisement", Fault.TRUNCATED, f"element at byte {at}")
        _take(advert, data[at + 1], data[at + 2 : end])
        at = end
    return advert


def _take(advert: Advert, kind: int, body: bytes) -> None:
    if kind == MANUFACTURER and len(body) >= 2:
        advert.manufacturer[int.from_bytes(body[:2], "little")] = body[2:]
    elif kind == SERVICE_16 and len(body) >= 2:
        advert.service[full_uuid(int.from_bytes(body[:2], "little"))] = body[2:]
    elif kind == SERVICE_32 and len(body) >= 4:
        advert.service[f"{int.from_bytes(body[:4], 'little'):08x}{full_uuid(0)[8:]}"] = body[4:]
    elif kind == SERVICE_128 and len(body) >= 16:
        text = body[15::-1].hex()
        uuid = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        advert.service[uuid] = body[16:]
    elif kind in {SHORT_NAME, WHOLE_NAME}:
        advert.name = body.decode("utf-8", "replace")
