"""Characters of a text message: the GSM 7-bit default alphabet (3GPP TS 23.038, 6.2.1), UCS2, and the way between.

A text message holds 160 characters of the default alphabet or 70 of UCS2. Most of our languages need a letter now
and then that the former lacks; such a letter loses its mark, so that the message stays whole.
"""

import unicodedata

__all__ = ["GSM_MOST", "UCS2_MOST", "fold", "gsm_bytes", "parts", "ucs2_hex"]

GSM_MOST = 160
UCS2_MOST = 70

_ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# In text mode 0x1A ends the message and 0x1B throws it away (3GPP TS 27.005, 3.5.1): what needs them is left out.
_CODES = {letter: code for code, letter in enumerate(_ALPHABET) if code not in {0x0A, 0x0D, 0x1A, 0x1B}}
_WORDS = {
    "°": "",
    "\u2013": "-",
    "\u2014": "-",
    "\u2019": "'",
    "\u2018": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2026": "...",
    "\xa0": " ",
    "\u202f": " ",
    "\u2212": "-",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "œ": "oe",
    "Œ": "OE",
    "€": "EUR",
    "[": "(",
    "]": ")",
    "{": "(",
    "}": ")",
    "\n": " ",
    "\r": " ",
    "\t": " ",
    "µ": "u",
    "³": "3",
    "²": "2",
    "≤": "<=",
    "≥": ">=",
}


def fold(text: str) -> str:
    """Without the marks and signs that the default alphabet lacks, where the rest says the same."""
    return "".join(_letter(letter) for letter in text)


def _letter(letter: str) -> str:
    if letter in _CODES:
        return letter
    if letter in _WORDS:
        return _WORDS[letter]
    bare = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return bare if bare and all(part in _CODES for part in bare) else letter


def gsm_bytes(text: str) -> bytes | None:
    """The text in the default alphabet, a byte a character; None where it has a character that is not in it."""
    codes = [_CODES.get(letter) for letter in text]
    return None if None in codes else bytes(code for code in codes if code is not None)


def ucs2_hex(text: str) -> str:
    """UTF-16 big-endian in hexadecimal, as a modem takes it with the character set UCS2."""
    return text.encode("utf-16-be").hex().upper()


def parts(text: str, limit: int, most: int, *, wide: bool = False) -> list[str]:
    """The text in at most ``most`` pieces of ``limit`` units each, numbered where there are several.

    A unit is a character, or with ``wide`` one of UTF-16. What does not fit is cut, visibly.
    """
    if _units(text, wide) <= limit:
        return [text]
    room = limit - len(f"({most}/{most}) ")
    pieces: list[str] = []
    rest = text
    while rest and len(pieces) < most:
        size = _fitting(rest, room, wide)
        if size < len(rest) and (space := rest.rfind(" ", size // 2, size + 1)) > 0:
            size = space
        pieces.append(rest[:size].rstrip())
        rest = rest[size:].lstrip()
    if rest:
        last = pieces[-1]
        pieces[-1] = last[: _fitting(last, room - 3, wide)].rstrip() + "..."
    if len(pieces) == 1:
        return pieces
    return [f"({number}/{len(pieces)}) {piece}" for number, piece in enumerate(pieces, 1)]


def _units(text: str, wide: bool) -> int:
    return len(text.encode("utf-16-be")) // 2 if wide else len(text)


def _fitting(text: str, room: int, wide: bool) -> int:
    """How many characters of the text fit into ``room`` units, at least one."""
    size = min(len(text), room)
    while size > 1 and _units(text[:size], wide) > room:
        size -= 1
    return max(size, 1)
