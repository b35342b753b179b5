"""The nine bytes that a 1-wire temperature sensor holds, decoded by family; or why they are no temperature.

Sources: data sheets of DS18B20 (19-7487), DS18S20, DS1822, DS1825, DS28EA00 and MAX31850, memory maps; for what the
kernel's driver prints, Documentation/w1/slaves/w1_therm.rst.
"""

from typing import NamedTuple

from firmware_interfaces.quality import Quality

__all__ = ["BYTES", "FAMILIES", "Family", "Temperature", "crc8", "decode", "resolution_bits"]

BYTES = 9
POWER_ON = 0x0550
"""85.0 degrees: what the register holds after power on, before any conversion."""
STARVED = 0x07FF
"""127.94 degrees: what a conversion leaves for want of power."""
NOT_CONVERTED = 0x0C
"""Byte 6 after power on; a conversion replaces it with 16 minus the lowest four bits of its result."""


class Family(NamedTuple):
    """A make of sensor: its code (first byte of the address), its name, what it can measure (degrees Celsius)."""

    code: int
    name: str
    low: float
    high: float


FAMILIES: dict[int, Family] = {
    family.code: family
    for family in (
        Family(0x10, "ds18s20", -55.0, 125.0),
        Family(0x22, "ds1822", -55.0, 125.0),
        Family(0x28, "ds18b20", -55.0, 125.0),
        Family(0x3B, "ds1825", -55.0, 125.0),
        Family(0x42, "ds28ea00", -40.0, 85.0),
    )
}
THERMOCOUPLE = Family(0x3B, "max31850", -270.0, 1820.0)
"""Shares its code with the DS1825; bit 7 of byte 4 tells them apart."""


class Temperature(NamedTuple):
    """Degrees Celsius, None exactly where the quality is bad; ``words`` says why."""

    celsius: float | None
    quality: Quality
    words: str = ""


def _bad(quality: Quality, words: str) -> Temperature:
    return Temperature(None, quality, words)


def crc8(data: bytes) -> int:
    """CRC of the 1-wire bus (x8 + x5 + x4 + 1, lowest bit first); 0 over data followed by its CRC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


def resolution_bits(pad: bytes) -> int:
    """Resolution that the configuration byte of a DS18B20 or kin states: 9 to 12 bits."""
    return 9 + (pad[4] >> 5 & 3)


def decode(code: int, pad: bytes) -> tuple[Temperature, Temperature | None]:
    """The temperature that a scratchpad holds; of a MAX31850 its cold junction as well, else None.

    ``code`` is the family, ``pad`` all nine bytes. A line that is shorted to ground reads nine zeros, whose CRC is
    right: what cannot be the memory of the sensor is a bad frame, whatever its CRC.
    """
    if len(pad) != BYTES:
        return _bad(Quality.BAD_FRAME, f"{len(pad)} bytes where {BYTES} were expected"), None
    if crc8(pad):
        return _bad(Quality.BAD_FRAME, "checksum is wrong"), None
    family = FAMILIES.get(code)
    if family is None:
        return _bad(Quality.BAD_FRAME, f"family {code:02x} is not a temperature sensor"), None
    if code == THERMOCOUPLE.code and pad[4] & 0x80:
        return _thermocouple(pad)
    return (_counted(family, pad) if code == 0x10 else _binary(family, pad)), None


def _binary(family: Family, pad: bytes) -> Temperature:
    """Sixteenths of a degree; the bits below the resolution are undefined."""
    # Of a DS1825 the lowest four bits are the address that its pins set.
    fixed = 0x90 if family.code == 0x3B else 0x9F
    if pad[4] & fixed != 0x1F & fixed:
        return _bad(Quality.BAD_FRAME, f"configuration byte {pad[4]:02x} is none of a {family.name}")
    raw = pad[0] | pad[1] << 8
    if raw in {POWER_ON, STARVED} and pad[6] == NOT_CONVERTED:
        starved = raw == STARVED
        words = "too little power to convert" if starved else "the power-on value: the sensor did not convert"
        return _bad(Quality.SENSOR_FAULT, words)
    signed = raw - 0x10000 if raw & 0x8000 else raw
    signed &= -1 << (12 - resolution_bits(pad))
    return _within(family, signed / 16)


def _counted(family: Family, pad: bytes) -> Temperature:
    """DS18S20: half degrees, refined by the remaining count (data sheet, equation 1)."""
    if pad[7] != 0x10 or pad[6] > pad[7]:
        return _bad(Quality.BAD_FRAME, f"counts {pad[6]:02x} {pad[7]:02x} are none of a {family.name}")
    raw = pad[0] | pad[1] << 8
    if raw == 0x00AA and pad[6] == NOT_CONVERTED:
        return _bad(Quality.SENSOR_FAULT, "the power-on value: exactly 85.0 cannot be told from it")
    signed = raw - 0x10000 if raw & 0x8000 else raw
    return _within(family, (signed >> 1) - 0.25 + (pad[7] - pad[6]) / pad[7])


def _thermocouple(pad: bytes) -> tuple[Temperature, Temperature]:
    hot = pad[0] | pad[1] << 8
    cold = pad[2] | pad[3] << 8
    inside = _within(FAMILIES[0x3B], ((cold - 0x10000 if cold & 0x8000 else cold) & -16) / 256)
    faults = [
        words
        for bit, words in enumerate(("open circuit", "short to ground", "short to supply"))
        if pad[2] >> bit & 1
    ]
    if pad[0] & 1 or faults:
        return _bad(Quality.SENSOR_FAULT, "thermocouple: " + (", ".join(faults) or "fault")), inside
    return _within(THERMOCOUPLE, ((hot - 0x10000 if hot & 0x8000 else hot) & -4) / 16), inside


def _within(family: Family, celsius: float) -> Temperature:
    if family.low <= celsius <= family.high:
        return Temperature(celsius, Quality.GOOD)
    return _bad(Quality.OUT_OF_RANGE, f"{celsius:g} degC is beyond a {family.name}")
