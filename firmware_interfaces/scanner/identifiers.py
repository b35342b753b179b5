"""GS1 Application Identifiers as a table: what follows each, and how it is checked.

Source: GS1 General Specifications release 24, section 3.2 (list of identifiers), 7.8 (processing: lengths of
identifiers, pre-defined lengths), 7.9.1 (check digit), 7.11 (character sets). Identifiers that food does not use
(healthcare, payment, coupons, postal addresses) are left out: where one of them stands, the code is refused.
"""

import re
from dataclasses import dataclass

__all__ = ["BY_IDENTIFIER", "UNITS", "Identifier", "check_digit", "identifier_at"]

CHARACTERS_82 = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+")
"""GS1 AI encodable character set 82 (section 7.11, figure 7.11-1)."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One Application Identifier.

    ``length`` is the longest (and, where ``fixed``, the only) number of characters; ``separated`` says that a
    separator ends it unless it comes last; ``key`` digits at its beginning end with a check digit (0: none).
    """

    ai: str
    title: str
    length: int
    fixed: bool
    digits: bool
    separated: bool
    key: int = 0
    date: bool = False
    decimals: int | None = None
    """Implied decimal places of a measure; None where the value is no measure."""


UNITS = {
    "310": "KGM", "311": "MTR", "312": "MTR", "313": "MTR", "314": "MTK", "315": "LTR", "316": "MTQ",
    "320": "LBR", "330": "KGM", "331": "MTR", "332": "MTR", "333": "MTR", "334": "MTK", "335": "LTR",
    "336": "MTQ", "337": "28", "340": "LBR",
}  # fmt: skip
"""First three digits of a measure's identifier to its unit (UN/ECE Recommendation 20)."""

_MEASURES = {
    "310": "net weight", "311": "length", "312": "width", "313": "height", "314": "area", "315": "net volume",
    "316": "net volume", "320": "net weight", "330": "gross weight", "331": "length", "332": "width",
    "333": "height", "334": "area", "335": "volume", "336": "volume", "337": "mass per area",
    "340": "gross weight",
}  # fmt: skip

# AI, title, format: n digits or x characters of set 82; ".." up to; k check digit at the end of the key; d date.
_LIST = """
00 SSCC|n18 k18
01 GTIN|n14 k14
02 GTIN of contained items|n14 k14
10 lot|x..20
11 production date|n6 d
12 due date|n6 d
13 packaging date|n6 d
15 best before|n6 d
16 sell by|n6 d
17 use by|n6 d
20 variant|n2
21 serial|x..20
22 consumer product variant|x..20
235 third-party serial|x..28
240 additional product id|x..30
241 customer part number|x..30
242 made-to-order variant|n..6
243 packaging component|x..20
250 secondary serial|x..30
251 source entity|x..30
253 GDTI|x..30 k13
254 GLN extension|x..20
30 count of items|n..8
37 count of contained items|n..8
400 order number|x..30
401 GINC|x..30
402 GSIN|n17 k17
403 routing code|x..30
410 ship to|n13 k13
411 bill to|n13 k13
412 purchased from|n13 k13
413 ship for|n13 k13
414 location|n13 k13
416 production location|n13 k13
417 party|n13 k13
420 ship to post code|x..20
421 ship to country and post code|x..12
422 country of origin|n3
423 country of initial processing|n..15
424 country of processing|n3
425 country of disassembly|n..15
426 country of full processing|n3
427 origin subdivision|x..3
7001 NATO stock number|n13
7002 meat cut|x..30
7003 expiry date and time|n10
7004 active potency|n..4
7005 catch area|x..12
7006 first freeze date|n6 d
7007 harvest date|n..12
7008 aquatic species|x..3
7009 fishing gear|x..10
7010 production method|x..2
7020 refurbishment lot|x..20
7021 functional status|x..20
7022 revision status|x..20
7023 GIAI of an assembly|x..30
8003 GRAI|x..30 k14
8004 GIAI|x..30
8005 price per unit|n6
8006 piece of a trade item|n18 k14
8008 production date and time|n..12
8010 component or part|x..30
8011 component serial|n..12
8017 GSRN of a provider|n18 k18
8018 GSRN of a recipient|n18 k18
8019 service relation instance|n..10
8020 payment slip|x..25
8026 pieces of a contained item|n18 k14
8200 packaging URL|x..70
90 mutually agreed|x..30
"""

PREDEFINED = frozenset(
    "00 01 02 03 04 11 12 13 14 15 16 17 18 19 20 31 32 33 34 35 36 41".split()  # noqa: SIM905 - read as the figure
)
"""First two digits of the identifiers whose length is known without a separator (figure 7.8.5-2)."""


def _read(line: str) -> Identifier:
    head, _, form = line.partition("|")
    ai, _, title = head.partition(" ")
    shape, *marks = form.split(" ")
    length = int(shape.lstrip("nx."))
    key = next((int(mark[1:]) for mark in marks if mark[0] == "k"), 0)
    separated = ai[:2] not in PREDEFINED
    return Identifier(ai, title, length, ".." not in shape, shape[0] == "n", separated, key, "d" in marks)


def _all() -> dict[str, Identifier]:
    found = [_read(line) for line in _LIST.strip().splitlines()]
    found += [Identifier(f"9{n}", "company internal", 90, False, False, True) for n in range(1, 10)]
    for three, title in _MEASURES.items():
        for places in range(6):
            found.append(Identifier(f"{three}{places}", title, 6, True, True, False, decimals=places))
    return {identifier.ai: identifier for identifier in found}


BY_IDENTIFIER: dict[str, Identifier] = _all()


def identifier_at(text: str, at: int) -> Identifier | None:
    """The identifier that stands at a place of an element string, None where none is known.

    No identifier is the beginning of another one (section 7.8.2).
    """
    for length in (2, 3, 4):
        if (found := BY_IDENTIFIER.get(text[at : at + length])) is not None:
            return found
    return None


def check_digit(digits: str) -> str:
    """The check digit of a key of digits without it (section 7.9.1): weights 3 and 1 from the right."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)
