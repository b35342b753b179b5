"""What a decoder gives back: readings with their quality, or a fault with a name."""

from array import array
from collections.abc import Sequence
from enum import StrEnum
from math import isnan
from typing import NamedTuple

from firmware_interfaces.errors import FirmwareError
from firmware_interfaces.quality import Quality

__all__ = ["AdvertFault", "Context", "Decoded", "Fault", "Field", "Reading"]


_new = tuple.__new__


class Fault(StrEnum):
    """Why an advertisement of a known sender gives no readings."""

    FOREIGN = "foreign"
    TRUNCATED = "truncated"
    WRONG_LENGTH = "wrong-length"
    UNKNOWN_VERSION = "unknown-version"
    UNKNOWN_OBJECT = "unknown-object"
    NO_READINGS = "no-readings"
    AMBIGUOUS = "ambiguous"
    KEY_NEEDED = "key-needed"
    ADDRESS_NEEDED = "address-needed"
    KEY_WRONG = "key-wrong"
    NOT_ENCRYPTED = "not-encrypted"

    @property
    def words(self) -> str:
        """What it means, for a page or a log line."""
        return FAULT_WORDS[self]


FAULT_WORDS: dict[Fault, str] = {
    Fault.FOREIGN: "the maker's data, but of another device or purpose",
    Fault.TRUNCATED: "ends before its last value does",
    Fault.WRONG_LENGTH: "is not as long as its format is",
    Fault.UNKNOWN_VERSION: "is of a version that no source describes",
    Fault.UNKNOWN_OBJECT: "begins with an object that the format does not list",
    Fault.NO_READINGS: "a frame without measurements (an identity, a name, a beacon)",
    Fault.AMBIGUOUS: "fits two published layouts that disagree",
    Fault.KEY_NEEDED: "encrypted, and there is no key for this sensor",
    Fault.ADDRESS_NEEDED: "encrypted with the sensor's address, which is not known",
    Fault.KEY_WRONG: "does not decrypt with this sensor's key: wrong key, or forged",
    Fault.NOT_ENCRYPTED: "in the clear from a sensor that has a key: not believed",
}


class AdvertFault(FirmwareError):  # noqa: N818 - named for what the advertisement is
    """An advertisement that a decoder was asked about gives no readings; ``fault`` says why."""

    quality = Quality.BAD_FRAME

    def __init__(self, format_: str, fault: Fault, what: str = "") -> None:
        self.format = format_
        self.fault = fault
        self.what = what
        super().__init__(f"{format_}: {fault.words}" + (f" ({what})" if what else ""))


class Context(NamedTuple):
    """What a decoder may need to know beside the bytes.

    ``address`` are the six bytes of the sender's address as they are written, ``key`` the sensor's own 16 bytes;
    both None where unknown. A sensor with a key is believed only when it encrypts. ``name`` is the one it
    advertises, empty where it has none.
    """

    address: bytes | None = None
    key: bytes | None = None
    name: str = ""


class Field(NamedTuple):
    """One quantity of a frame. ``decimals`` are the places that the sensor delivers, None where they vary."""

    key: str
    unit: str
    decimals: int | None


class Reading(NamedTuple):
    """One quantity with its value; None exactly where the quality is bad."""

    key: str
    value: float | None
    unit: str
    decimals: int | None
    quality: Quality


class Decoded(NamedTuple):
    """One frame, decoded.

    ``values`` has one double per field (NaN exactly where the quality is bad), ``quality`` one `Quality` byte.
    ``sequence`` is the sensor's own number of the measurement or packet, the key for suppressing repeats;
    ``counter`` the one of an encrypted frame, which only rises while the sensor is the sender. ``identity`` is
    what the frame says of the sender (a serial number), ``note`` what was left out and why.
    """

    format: str
    fields: tuple[Field, ...]
    values: "array[float]"
    quality: bytes
    sequence: int | None = None
    counter: int | None = None
    identity: str = ""
    note: str = ""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The fields with their values."""
        return tuple(
            Reading(field.key, None if isnan(value) else value, field.unit, field.decimals, Quality(mark))
            for field, value, mark in zip(self.fields, self.values, self.quality, strict=True)
        )

    def value(self, key: str) -> float | None:
        """One value; None where it is bad or the frame has none of that name."""
        return next((reading.value for reading in self.readings if reading.key == key), None)

    @property
    def battery(self) -> float | None:
        """Battery in per cent, where the frame gives it."""
        return self.value("battery")

    def with_facts(self, counter: int | None = None, identity: str = "", note: str = "") -> "Decoded":
        """The same with what only the decoder of its format knows."""
        return _new(Decoded, (*self[:5], counter, identity, note))

    def numbered(self, sequence: int | None, counter: int | None, note: str) -> "Decoded":
        """The same with its numbers, past the constructor: that would cost as much as the decoding."""
        return _new(Decoded, (self[0], self[1], self[2], self[3], sequence, counter, "", note))


def unique(keys: Sequence[str]) -> list[str]:
    """Names for quantities that a frame has more than once: temperature, temperature_2, temperature_3."""
    seen: dict[str, int] = {}
    named = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        named.append(key if seen[key] == 1 else f"{key}_{seen[key]}")
    return named
