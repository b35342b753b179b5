"""The calibration register: every channel of the site with its certificate, its state on a day, and its history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from gateway.language import Language
from gateway.report.content import Block, Document, Facts, Heading, Paragraph, Signatures, Table
from gateway.report.electronic import Row, as_json, entry_row, iso, plain
from gateway.report.entries import Entry
from gateway.report.haccp import Certificate, Proof
from gateway.report.parts import certificate_words, entry_table
from gateway.report.proofparts import proof_facts, proof_words
from gateway.site import Identity

__all__ = ["Instrument", "Register", "register_data", "register_document", "register_rows"]

SOON = (30, 90)
"""Days before the end at which a calibration counts as due soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A channel that feeds a point, or that has a calibration. ``points`` are the names of the points it feeds."""

    device: str
    channel: str
    model: str
    unit: str
    decimals: int | None
    points: tuple[str, ...]
    critical: bool
    certificate: Certificate
    entries: list[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """All instruments of a site on a day."""

    identity: Identity
    day: date
    as_of_ms: int
    zone: ZoneInfo
    instruments: list[Instrument]
    proof: Proof


def state_of(instrument: Instrument, day: date) -> str:
    """``none``, ``expired``, ``due`` (within 30 days), ``soon`` (within 90), ``valid``, ``open`` (no end)."""
    used = instrument.certificate
    if not used.certificate:
        return "none"
    if used.valid_until is None:
        return "open"
    left = (used.valid_until - day).days
    return "expired" if left < 0 else "due" if left <= SOON[0] else "soon" if left <= SOON[1] else "valid"


def register_document(register: Register, language: Language) -> Document:
    """The register in words."""
    identity, title = register.identity, language("Calibration register")
    day = language.day_of_year(register.day)
    document = Document(
        language=language,
        title=title,
        subtitle=f"{identity.member}, {identity.site} \N{EM DASH} {day}",
        running=" \N{MIDDLE DOT} ".join([identity.member, identity.site, identity.gateway, title, day]),
        identity=sha256(as_json(register_data(register)).encode()).hexdigest(),
        moment_ms=register.as_of_ms,
    )
    document.blocks += _blocks(register, language)
    document.blocks.append(Signatures([language("Prepared by"), language("Quality manager")]))
    return document


def _blocks(register: Register, language: Language) -> Iterator[Block]:
    identity = register.identity
    yield Facts(
        [
            (language("Member"), identity.member),
            (language("Site"), identity.site),
            (language("Gateway"), identity.gateway),
            (language("As of"), language.moment(register.as_of_ms, register.zone)),
            (language("Time zone"), register.zone.key.replace("_", " ")),
        ]
    )
    expired = [
        one for one in register.instruments if state_of(one, register.day) in {"expired", "none"} and one.critical
    ]
    if expired:
        names = ", ".join(f"{one.device}.{one.channel}" for one in expired)
        yield Paragraph(language("Critical points without a valid calibration: {names}", names=names), "warning")
    yield Table(
        [
            language("Sensor"),
            language("Model"),
            language("Point"),
            language("Certificate"),
            language("State"),
            language("Indicated \N{RIGHTWARDS ARROW} true"),
        ],
        [_row(one, register.day, language) for one in register.instruments],
        "llllll",
        (18, 14, 18, 14, 18, 18),
    )
    for one in register.instruments:
        if one.entries:
            yield Heading(f"{one.device} \N{MIDDLE DOT} {one.channel}")
            yield entry_table(one.entries, register.zone, language, decimals=one.decimals, unit=one.unit)
    yield Heading(language("Evidence"))
    words, fine = proof_words(register.proof, language)
    yield Paragraph(words, "normal" if fine else "warning")
    yield from proof_facts(register.proof, language)


def _row(one: Instrument, day: date, language: Language) -> Sequence[str]:
    finer = None if one.decimals is None else one.decimals + 1
    name, state, points = certificate_words(one.certificate, day, finer, one.unit, language)
    where = ", ".join(one.points) or "\N{EN DASH}"
    place = f"{where} ({language('critical control point (CCP)')})" if one.critical else where
    return [f"{one.device} \N{MIDDLE DOT} {one.channel}", one.model, place, name, state, points]


def register_data(register: Register) -> dict[str, Any]:
    """The register as plain data."""
    return {
        "report": "calibration",
        "member": register.identity.member,
        "site": register.identity.site,
        "gateway": register.identity.gateway,
        "day": register.day.isoformat(),
        "as_of": iso(register.as_of_ms, register.zone),
        "instruments": [
            {**plain(one, register.zone), "state": state_of(one, register.day)} for one in register.instruments
        ],
        "proof": plain(register.proof, register.zone),
    }


def register_rows(register: Register) -> Iterator[Row]:
    """The register as rows: each channel, and what was entered about it."""
    for one in register.instruments:
        used = one.certificate
        until = used.valid_until.isoformat() if used.valid_until is not None else None
        name = f"{one.device}.{one.channel}"
        yield "calibration", name, iso(used.since_ms, register.zone), until, None, one.unit, "", used.certificate
        yield "state", name, register.day.isoformat(), None, None, "", "", state_of(one, register.day)
        for entry in one.entries:
            yield entry_row(entry, register.zone)
