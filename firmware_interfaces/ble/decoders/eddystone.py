"""Eddystone TLM, the beacon's telemetry, below service 0xFEAA.

Source: github.com/google/eddystone, eddystone-tlm/tlm-plain.md. Big-endian; battery 0 means "not supported",
temperature 0x8000 (-128 degC) likewise. The number of advertisements sent is the sequence.
"""

from firmware_interfaces.ble.decoders.frame import FIXED_8_8, Frame, Quantity, Sequence_
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["FRAMES", "SERVICE", "decode"]

SERVICE = 0xFEAA
TLM = 0x20
OTHERS = {0x00: "UID", 0x10: "URL", 0x30: "EID", 0x40: "tracking", 0x41: "tracking"}

FRAMES = (
    Frame(
        "eddystone-tlm",
        14,
        "big",
        [
            Quantity(key="battery_voltage", unit="V", at=2, size=2, places=3, invalid=(0,)),
            Quantity(key="temperature", unit="degC", at=4, invalid=(0x8000,), **FIXED_8_8),
            Quantity(key="uptime", unit="s", at=10, size=4, places=1),
        ],
        Sequence_(6, 4, "big"),
    ),
)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Readings of the service data behind the UUID."""
    if not data:
        raise AdvertFault("eddystone", Fault.TRUNCATED, "empty")
    if data[0] in OTHERS:
        raise AdvertFault("eddystone", Fault.NO_READINGS, f"{OTHERS[data[0]]} frame")
    if data[0] != TLM:
        raise AdvertFault("eddystone", Fault.UNKNOWN_VERSION, f"frame type 0x{data[0]:02X}")
    if len(data) < 2:
        raise AdvertFault("eddystone-tlm", Fault.TRUNCATED)
    if data[1] == 0x01:
        raise AdvertFault(
            "eddystone-tlm", Fault.UNKNOWN_VERSION, "encrypted telemetry, whose key only a resolver has"
        )
    if data[1] != 0x00:
        raise AdvertFault("eddystone-tlm", Fault.UNKNOWN_VERSION, f"version {data[1]}")
    return FRAMES[0].decode(data)
