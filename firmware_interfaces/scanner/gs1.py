"""A scanned line of a GS1 code as its elements: GTIN, lot, serial, dates, weights. Nothing is guessed.

Read are element strings behind a symbology identifier (GS1 General Specifications release 24, section 5.1.2 for the
identifiers, 7.8 for the processing), bare GTIN symbols, element strings typed with brackets as they are printed
below a symbol (section 4.14), and GS1 Digital Link URIs (GS1 Digital Link: URI Syntax 1.4, section 4). Everything
else is refused with what is broken in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from urllib.parse import unquote, urlsplit

from firmware_interfaces.errors import CodeError
from firmware_interfaces.scanner.identifiers import (
    BY_IDENTIFIER,
    CHARACTERS_82,
    UNITS,
    Identifier,
    check_digit,
    identifier_at,
)

__all__ = ["Code", "Element", "check_key", "parse"]

FNC1 = "\x1d"
"""Group separator: what a scanner sends for Function 1 within a symbol (section 7.8.3)."""
LONGEST = 4000
ELEMENT_SYMBOLS = {
    "]C1": "GS1-128",
    "]e0": "GS1 DataBar",
    "]e1": "GS1 Composite",
    "]e2": "GS1 Composite",
    "]d2": "GS1 DataMatrix",
    "]Q3": "GS1 QR Code",
    "]J1": "GS1 DotCode",
}
NUMBER_SYMBOLS = {"]E0": ("EAN-13 or UPC", (13, 12)), "]E4": ("EAN-8", (8,)), "]I1": ("ITF-14", (14,))}
URI_SYMBOLS = {"]Q1": "QR Code", "]Q2": "QR Code", "]d1": "Data Matrix", "]d4": "Data Matrix"}
SETTING = "switch the scanner to send symbology identifiers (AIM codes), or type the text with its brackets"
CENTURY = 51
"""Years this far ahead or further belong to the century before (section 7.12)."""
BRACKETED = re.compile(r"\((\d{2,4})\)")
LINK_KEYS: dict[str, tuple[str, ...]] = {
    "00": (), "01": ("22", "10", "21", "235"), "253": (), "401": (), "402": (), "414": ("254",), "417": (),
    "8003": (), "8004": (), "8006": ("22", "10", "21"), "8010": ("8011",), "8017": ("8019",), "8018": ("8019",),
}  # fmt: skip
"""Primary keys of Digital Link URIs, with the qualifiers that may follow in this order."""


@dataclass(frozen=True, slots=True)
class Element:
    """One identified piece of data: ``value`` as it stands in the symbol, checked."""

    ai: str
    title: str
    value: str

    @property
    def number(self) -> Decimal | None:
        """A measure with its decimal point, None for anything else."""
        decimals = BY_IDENTIFIER[self.ai].decimals
        return None if decimals is None else Decimal(self.value).scaleb(-decimals)

    @property
    def unit(self) -> str | None:
        """Unit of a measure by UN/ECE Recommendation 20 (``KGM``)."""
        return UNITS.get(self.ai[:3]) if len(self.ai) == 4 else None


@dataclass(frozen=True, slots=True)
class Code:
    """What one scanned line says. ``symbology`` in words, ``elements`` in the order of the symbol."""

    symbology: str
    elements: tuple[Element, ...]

    def get(self, ai: str) -> str | None:
        """The value of an identifier, None where the code does not have it."""
        return next((element.value for element in self.elements if element.ai == ai), None)

    @property
    def gtin(self) -> str | None:
        """GTIN with 14 digits, of the item itself or else of what a logistic unit contains."""
        return self.get("01") or self.get("02")

    @property
    def lot(self) -> str | None:
        """Batch or lot number (AI 10)."""
        return self.get("10")

    @property
    def serial(self) -> str | None:
        """Serial number (AI 21)."""
        return self.get("21")

    @property
    def sscc(self) -> str | None:
        """Serial shipping container code of a logistic unit (AI 00)."""
        return self.get("00")

    @property
    def weight(self) -> Element | None:
        """The net weight or, without one, the gross weight of a logistic unit."""
        for three in ("310", "320", "330", "340"):
            for element in self.elements:
                if element.ai.startswith(three):
                    return element
        return None

    def day(self, ai: str, today: date) -> date | None:
        """A date (AI 11, 13, 15, 16, 17, 7006) as a calendar day.

        The century follows from ``today`` (section 7.12); day 00 is the last day of the month (section 3.4.2).
        """
        value = self.get(ai)
        if value is None or not BY_IDENTIFIER[ai].date:
            return None
        return _day(value, today)

    def text(self) -> str:
        """The elements as people write them, with brackets: ``(01)09506000134352(10)ABC``."""
        return "".join(f"({element.ai}){element.value}" for element in self.elements)


def parse(line: str) -> Code:
    """Read one scanned line, without its line end; raises `CodeError`."""
    text = line.strip("\r\n\t ")
    if not text:
        raise CodeError("an empty line", "scan again")
    if len(text) > LONGEST:
        raise CodeError(f"a line of {len(text)} characters", f"a code has at most {LONGEST}")
    if text[0] == "]":
        return _identified(text[:3], text[3:])
    if text[0] == FNC1:
        return _code("element string", list(_elements(text[1:])))
    if text[0] == "(":
        return _code("typed text", list(_bracketed(text)))
    if re.match(r"https?://", text, re.IGNORECASE):
        return _link("Digital Link", text)
    if text.isascii() and text.isdigit() and len(text) in {8, 12, 13, 14}:
        return _number("number", text)
    raise CodeError(f"{text[:40]!r} does not say which kind of code it is from", SETTING)


def check_key(ai: str, value: str) -> str:
    """The value of an identifier, checked as in a symbol (for what people type); raises `CodeError`."""
    identifier = BY_IDENTIFIER.get(ai)
    if identifier is None:
        raise CodeError(f"({ai}) is no identifier that is known here", "see docs/records.md for those that are")
    return _checked(identifier, value).value


def _identified(symbol: str, rest: str) -> Code:
    if symbol in ELEMENT_SYMBOLS:
        return _code(ELEMENT_SYMBOLS[symbol], list(_elements(rest.removeprefix(FNC1))))
    if symbol in NUMBER_SYMBOLS:
        words, lengths = NUMBER_SYMBOLS[symbol]
        if not (rest.isascii() and rest.isdigit()) or len(rest) not in lengths:
            raise CodeError(f"an {words} symbol with {rest[:20]!r}", "scan again: digits are missing or damaged")
        return _number(words, rest)
    if symbol in URI_SYMBOLS and re.match(r"https?://", rest, re.IGNORECASE):
        return _link(f"Digital Link in a {URI_SYMBOLS[symbol]}", rest)
    if symbol == "]C0":
        raise CodeError("a Code 128 symbol without Function 1 at its start", "it is no GS1-128: use the GS1 label")
    raise CodeError(f"symbology {symbol!r} carries no GS1 code", "scan the GS1 code of the label")


def _number(words: str, digits: str) -> Code:
    return _code(words, [_checked(BY_IDENTIFIER["01"], digits.rjust(14, "0"))])


def _code(symbology: str, elements: list[Element]) -> Code:
    """Elements without contradiction; the same element twice is one (section 4.14.1)."""
    kept: dict[str, Element] = {}
    for element in elements:
        before = kept.setdefault(element.ai, element)
        if before.value != element.value:
            what = f"two values of ({element.ai}) {element.title}: {before.value!r} and {element.value!r}"
            raise CodeError(what, "the label is wrong; which one holds cannot be known")
    if not kept:
        raise CodeError("a code without any element", "scan again")
    if "01" in kept and "02" in kept:
        raise CodeError("(01) and (02) in one code", "the label is wrong: an item is not its own content")
    return Code(symbology, tuple(kept.values()))


def _elements(text: str) -> Iterator[Element]:
    """Section 7.8.5: identifiers one after the other; a separator ends those without pre-defined length."""
    at = 0
    if not text:
        raise CodeError("a symbol without data", "scan again")
    while at < len(text):
        identifier = identifier_at(text, at)
        if identifier is None:
            where = f"{text[at : at + 4]!r} at character {at + 1} is no identifier that is known here"
            raise CodeError(where, "a separator is missing or doubled, or the label carries data of another trade")
        begin = at + len(identifier.ai)
        end = text.find(FNC1, begin) if identifier.separated else begin + identifier.length
        if end == -1:
            end = len(text)
        yield _checked(identifier, text[begin:end])
        at = end
        # A separator after a pre-defined length is not needed and does no harm.
        if at < len(text) and text[at] == FNC1:
            at += 1
            if at == len(text):
                raise CodeError("a code that ends with a separator", "it was cut short: scan again")


def _bracketed(text: str) -> Iterator[Element]:
    parts = BRACKETED.split(text)
    if parts[0]:
        raise CodeError(f"{parts[0][:20]!r} before the first bracket", "write (01)...(10)... as on the label")
    for ai, value in zip(parts[1::2], parts[2::2], strict=True):
        if ai not in BY_IDENTIFIER:
            raise CodeError(f"({ai}) is no identifier that is known here", "compare it with the label")
        yield _checked(BY_IDENTIFIER[ai], value)


def _checked(identifier: Identifier, value: str) -> Element:
    name = f"({identifier.ai}) {identifier.title}"
    if not value:
        raise CodeError(f"{name} is empty", "the code was cut short: scan again")
    if FNC1 in value:
        raise CodeError(f"{name} is cut by a separator", "the label or the scanner's setting is wrong")
    if len(value) > identifier.length or (identifier.fixed and len(value) != identifier.length):
        most = "" if identifier.fixed else "at most "
        what = f"{name} has {len(value)} characters, {most}{identifier.length} are right"
        raise CodeError(what, "a separator is missing, or the code was cut short")
    if identifier.digits and not (value.isascii() and value.isdigit()):
        raise CodeError(f"{name} {value!r} is not made of digits", "scan again, or see the label")
    if CHARACTERS_82.fullmatch(value) is None:
        raise CodeError(f"{name} {value!r} holds a character that GS1 codes do not have", "see the label")
    if identifier.key:
        _check_digit(name, value, identifier.key)
    if identifier.date:
        _day(value, date(2000, 1, 1))
    return Element(identifier.ai, identifier.title, value)


def _check_digit(name: str, value: str, length: int) -> None:
    key = value[:length]
    if len(key) < length or not (key.isascii() and key.isdigit()):
        raise CodeError(f"{name} {value!r} does not begin with {length} digits", "scan again, or see the label")
    right = check_digit(key[:-1])
    if key[-1] != right:
        raise CodeError(f"{name} {value!r} has check digit {key[-1]}, {right} is right", "scan or type it again")


def _day(value: str, today: date) -> date:
    """YYMMDD as a day; raises `CodeError` for one that is in no calendar."""
    year, month, day = int(value[:2]), int(value[2:4]), int(value[4:])
    year += today.year // 100 * 100
    if year - today.year >= CENTURY:
        year -= 100
    elif year - today.year <= -CENTURY + 1:
        year += 100
    try:
        if day:
            return date(year, month, day)
        following = date(year + month // 12, month % 12 + 1, 1) if 1 <= month <= 12 else date(year, month, 1)
        return date.fromordinal(following.toordinal() - 1)
    except ValueError:
        raise CodeError(f"date {value!r} is in no calendar", "dates are YYMMDD; see the label") from None


def _link(words: str, uri: str) -> Code:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise CodeError(f"a URI that cannot be read ({error})", "scan again") from None
    steps = [_decoded(step) for step in parts.path.split("/") if step]
    found = list(_path(steps))
    if not found:
        raise CodeError(f"{uri[:60]!r} has no GS1 key in its path", "it is a link, but no GS1 Digital Link")
    elements = [_checked(BY_IDENTIFIER[ai], value) for ai, value in found]
    for pair in filter(None, re.split("[&;]", parts.query)):
        ai, _, value = pair.partition("=")
        if ai in BY_IDENTIFIER:
            elements.append(_checked(BY_IDENTIFIER[ai], _decoded(value)))
        elif ai.isascii() and ai.isdigit():
            raise CodeError(f"({ai}) in the URI is no identifier that is known here", "see the label")
    return _code(words, elements)


def _path(steps: list[str]) -> Iterator[tuple[str, str]]:
    """The last primary key of a path with what qualifies it; a prefix of the resolver may stand before."""
    starts = [
        at
        for at in range(len(steps) - 1)
        if steps[at] in LINK_KEYS and (len(steps) - at) % 2 == 0 and set(steps[at + 2 :: 2]) <= BY_IDENTIFIER.keys()
    ]
    if not starts:
        return
    at = starts[0]
    key, value = steps[at], steps[at + 1]
    yield key, value.rjust(14, "0") if key == "01" and len(value) in {8, 12, 13} else value
    allowed = list(LINK_KEYS[key])
    for ai, qualifier in zip(steps[at + 2 :: 2], steps[at + 3 :: 2], strict=True):
        if ai not in allowed:
            raise CodeError(f"({ai}) cannot stand at this place after ({key}) in a URI", "the label is wrong")
        allowed = allowed[allowed.index(ai) + 1 :]
        yield ai, qualifier


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise CodeError(f"{text[:40]!r} has a broken percent-encoding", "scan again")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise CodeError(f"{text[:40]!r} is not UTF-8", "scan again") from None
