"""What the kernel prints of a 1-wire sensor: two lines, of which the second may be old news.

Documentation/w1/slaves/w1_therm.rst: the first line holds the bytes that were read just now and whether their CRC
was right; the second the bytes of the last good reading, with its temperature. After a bad CRC the second line is
the past: nothing is ever taken from it.
"""

import re

from firmware_interfaces.errors import BadFrame, NoAnswer

__all__ = ["scratchpad_of"]

READ_NOW = re.compile(r"((?:[0-9a-f]{2} ){9}): crc=([0-9a-f]{2}) (YES|NO)")
RETAINED = re.compile(r"((?:[0-9a-f]{2} ){9})t=-?[0-9]+")


def scratchpad_of(text: str) -> bytes:
    """The nine bytes that were read just now.

    Raises `BadFrame` where they cannot be believed, and `NoAnswer` for an empty file: a conversion is under way.
    """
    if not text.strip():
        raise NoAnswer("the sensor has not finished its conversion")
    lines = text.splitlines()
    now = READ_NOW.fullmatch(lines[0].strip())
    if now is None:
        raise BadFrame("this is not what the kernel prints of a 1-wire sensor", text.encode()[:120])
    pad = bytes.fromhex(now[1])
    if now[3] == "NO":
        raise BadFrame("checksum is wrong", pad)
    retained = RETAINED.fullmatch(lines[1].strip()) if len(lines) == 2 else None
    if retained is None or bytes.fromhex(retained[1]) != pad:
        raise BadFrame("the two lines of the kernel do not agree", text.encode()[:160])
    return pad
