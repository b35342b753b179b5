"""What the decoder tests share: a frame decoded and compared as a table of values."""

from collections.abc import Callable, Mapping
from typing import Any

from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault
from firmware_interfaces.quality import Quality

Decoder = Callable[[bytes, Context], Decoded]
NONE = Context()


def context(address: str, key: str | None = None) -> Context:
    return Context(bytes.fromhex(address.replace(":", "")), None if key is None else bytes.fromhex(key))


def values(decoded: Decoded) -> dict[str, Any]:
    """Good readings as numbers, others as their quality, good or not."""
    return {
        reading.key: reading.value if reading.quality is Quality.GOOD else (reading.quality, reading.value)
        for reading in decoded.readings
    }


def fault_of(decoder: Decoder, data: bytes, where: Context = NONE) -> Fault:
    """The fault that a decoder names; fails where it finds readings."""
    try:
        found = decoder(data, where)
    except AdvertFault as fault:
        return fault.fault
    raise AssertionError(f"{data.hex()} gave {values(found)}")


def never_decoded_when_cut(decoder: Decoder, data: bytes, where: Context = NONE, least: int = 0) -> None:
    """No beginning of a frame (from ``least`` bytes on) gives a reading."""
    for length in range(least, len(data)):
        assert fault_of(decoder, data[:length], where)


SENSOR_FAULT = (Quality.SENSOR_FAULT, None)
OUT_OF_RANGE = (Quality.OUT_OF_RANGE, None)


def uncertain(value: float) -> tuple[Quality, float]:
    return Quality.DEVICE_UNCERTAIN, value


def subset(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {key: found.get(key) for key in wanted}
