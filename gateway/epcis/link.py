"""EPC URIs and GS1 Digital Links in their one canonical form, as the EPCIS event hash needs them. Pure functions.

Source: CBV 2.0, EPCIS Event Hash ID, rules 17 and 18; EPC Tag Data Standard, section 6.3 (EPC URIs); GS1 Digital
Link: URI Syntax, section 4.11 (canonical form).
"""

import re
from typing import NamedTuple

from firmware_interfaces.scanner.identifiers import check_digit
from gateway.errors import EpcisError

__all__ = ["canonical_link", "digital_link"]

DOMAIN = "https://id.gs1.org"
SAFE = re.compile(r"[A-Za-z0-9\-._~%;='&]")
"""Characters that stand as they are in a path segment made from an EPC URI, beside those percent-encoded there."""


class _Scheme(NamedTuple):
    """``digits`` of company prefix and reference; ``first`` moves the reference's first digit to the front.

    ``serial``: identifier of what follows, ``+`` where it is part of the key itself, empty where nothing follows.
    """

    ai: str
    digits: int
    first: bool = False
    serial: str = ""
    lead: str = ""


SCHEMES = {
    "id:sgtin": _Scheme("01", 13, first=True, serial="21"),
    "id:upui": _Scheme("01", 13, first=True, serial="235"),
    "class:lgtin": _Scheme("01", 13, first=True, serial="10"),
    "idpat:sgtin": _Scheme("01", 13, first=True, serial="*"),
    "id:sscc": _Scheme("00", 17, first=True),
    "id:sgln": _Scheme("414", 12, serial="254"),
    "id:pgln": _Scheme("417", 12),
    "id:gsrn": _Scheme("8018", 17),
    "id:gsrnp": _Scheme("8017", 17),
    "id:gdti": _Scheme("253", 12, serial="+"),
    "id:grai": _Scheme("8003", 12, serial="+", lead="0"),
}
WHOLE = {"id:giai": "8004", "id:ginc": "401"}
"""Keys of company prefix and reference without check digit."""
QUALIFIERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "01": (("21",), ("235",), ("10",)),
    "414": (("254",),),
    "8006": (("21",), ("10",)),
    "8010": (("8011",),),
}
"""Primary keys of Digital Links to the qualifiers that stay, the finest first."""
KEYS = ("00", "01", "253", "255", "401", "402", "414", "417", "8003", "8004", "8006", "8010", "8017", "8018")
_LINK = re.compile(rf"https?://[^/?#]+(?:/[^?#]*?)??/({'|'.join(KEYS)})/(\d{{4}}[^/?#]*)((?:/[^?#]*)?)(?:[?#].*)?")
_URN = re.compile(r"urn:epc:(id|class|idpat):([a-z]+):(.+)")


def canonical_link(uri: str) -> str:
    """The canonical Digital Link for an EPC URI or another Digital Link; any other text comes back as it is.

    Raises `EpcisError` for an EPC URI that is malformed, or of a scheme that is not known here: its hash would be
    wrong.
    """
    if uri.startswith("urn:epc:"):
        return _from_urn(uri)
    match = _LINK.fullmatch(uri)
    if match is None:
        return uri
    key, value, rest = match.groups()
    if key == "01" and value.isdigit() and len(value) in {8, 12, 13}:
        value = value.rjust(14, "0")
    steps = [step for step in rest.split("/") if step]
    pairs = dict(zip(steps[::2], steps[1::2], strict=False))
    for wanted in QUALIFIERS.get(key, ()):
        if all(ai in pairs for ai in wanted):
            return f"{DOMAIN}/{key}/{value}" + "".join(f"/{ai}/{pairs[ai]}" for ai in wanted)
    return f"{DOMAIN}/{key}/{value}"


def digital_link(*pairs: tuple[str, str]) -> str:
    """A canonical Digital Link of identifiers and values as they stand in a symbol (values are percent-encoded)."""
    return DOMAIN + "".join(f"/{ai}/{_encoded(value.replace('%', '%25'))}" for ai, value in pairs)


def _from_urn(uri: str) -> str:
    match = _URN.fullmatch(uri)
    if match is None:
        raise EpcisError(f"{uri[:80]!r} is no EPC URI", "see EPC Tag Data Standard, section 6.3")
    scheme = f"{match[1]}:{match[2]}"
    if scheme in WHOLE:
        prefix, dot, reference = match[3].partition(".")
        if not dot or not prefix.isdigit() or not reference:
            raise EpcisError(f"{uri[:80]!r} is malformed", f"write urn:epc:{scheme}:PREFIX.REFERENCE")
        return f"{DOMAIN}/{WHOLE[scheme]}/{prefix}{_encoded(reference)}"
    form = SCHEMES.get(scheme)
    if form is None:
        raise EpcisError(f"EPC scheme {scheme!r} is not known here", "use a GS1 Digital Link instead")
    parts = match[3].split(".", 2 if form.serial else 1)
    if len(parts) != (3 if form.serial else 2):
        raise EpcisError(f"{uri[:80]!r} is malformed", "parts are missing, or too many")
    prefix, reference = parts[0], parts[1]
    digits = prefix + reference
    if not (digits.isascii() and digits.isdigit()) or len(digits) != form.digits or not 6 <= len(prefix) <= 12:
        raise EpcisError(f"{uri[:80]!r} is malformed", f"prefix and reference have {form.digits} digits together")
    key = form.lead + (reference[0] + prefix + reference[1:] if form.first else digits)
    key += check_digit(key)
    serial = parts[2] if form.serial else ""
    if form.serial == "+":
        return f"{DOMAIN}/{form.ai}/{key}{_encoded(serial)}"
    if not form.serial or form.serial == "*" or (form.ai == "414" and serial == "0"):
        return f"{DOMAIN}/{form.ai}/{key}"
    return f"{DOMAIN}/{form.ai}/{key}/{form.serial}/{_encoded(serial)}"


def _encoded(text: str) -> str:
    return "".join(c if SAFE.match(c) else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text)
