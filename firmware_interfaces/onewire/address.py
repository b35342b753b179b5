"""The address of a 1-wire sensor: 28-0316a2794bff as the kernel names it, or the eight bytes that others print."""

import re

from firmware_interfaces.onewire.scratchpad import FAMILIES, crc8

__all__ = ["family_of", "kernel_name"]

KERNEL = re.compile(r"([0-9a-f]{2})-([0-9a-f]{12})")
WHOLE = re.compile(r"[0-9a-f]{16}")


def kernel_name(written: str) -> str | None:
    """The kernel's name for an address; None where it is no address of a temperature sensor.

    Taken are the kernel's own form (family, hyphen, serial number) and the sixteen digits in the order of the wire
    (family, serial number lowest byte first, CRC), with or without spaces or colons; their CRC must be right.
    """
    text = re.sub(r"[\s:]", "", written).lower()
    if match := KERNEL.fullmatch(text):
        return text if int(match[1], 16) in FAMILIES and int(match[2], 16) else None
    if not WHOLE.fullmatch(text):
        return None
    rom = bytes.fromhex(text)
    if crc8(rom) or rom[0] not in FAMILIES:
        return None
    return f"{rom[0]:02x}-{rom[6:0:-1].hex()}"


def family_of(name: str) -> int:
    """Family code of a kernel name."""
    return int(name[:2], 16)
