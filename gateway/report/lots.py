"""The lot passport: where a lot was, and what the temperature was there while it was."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from gateway.errors import AuroraError
from gateway.language import Language
from gateway.report.content import Block, Document, Facts, Heading, Paragraph, Signatures, Table
from gateway.report.document import period_words
from gateway.report.electronic import Row, haccp_data, haccp_rows, iso, plain
from gateway.report.entries import Entry, entries, text_of
from gateway.report.haccp import HaccpRecord
from gateway.report.names import RULES, TIERS, named
from gateway.report.picture import picture_of
from gateway.report.proofparts import proof_words
from gateway.report.samples import Happening

__all__ = ["Passport", "Stay", "lot_stays", "passport_data", "passport_document", "passport_rows"]

DASH = "\N{EN DASH}"


class Stay(NamedTuple):
    """A lot's time at one point. ``leave`` is None while it is there, or where nobody recorded that it left."""

    point: str
    enter: Entry
    leave: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passport:
    """A lot's history: its stays, each with the record of its point in that time (None for a point that is not of
    this site any more), and entries that fit no stay."""

    lot: str
    stays: list[tuple[Stay, HaccpRecord | None]]
    stray: list[Entry]
    superseded: list[Entry]
    as_of_ms: int
    zone: ZoneInfo


def lot_stays(events: Iterable[Happening], lot: str) -> tuple[list[Stay], list[Entry], list[Entry]]:
    """Stays of a lot in order, entries that fit none, and entries that do not hold any more.

    Raises `AuroraError` for a lot that is nowhere in the record.
    """
    every = entries(events, ("record.lot",))
    mine = [entry for entry in every if text_of(entry.data.get("lot")) == lot]
    if not mine:
        known = sorted({text_of(entry.data.get("lot")) for entry in every} - {""})
        close = get_close_matches(lot, known, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"{len(known)} lots are on record"
        raise AuroraError(f"there is no record of a lot {lot!r}; {hint}")
    holding = sorted((entry for entry in mine if entry.holds), key=lambda entry: (entry.done_ms or 0, entry.batch))
    open_at: dict[str, Entry] = {}
    stays: list[Stay] = []
    stray: list[Entry] = []
    for entry in holding:
        point, direction = text_of(entry.data.get("point")), entry.data.get("direction")
        if entry.done_ms is None or direction not in ("in", "out"):
            stray.append(entry)
        elif direction == "in" and point not in open_at:
            open_at[point] = entry
        elif direction == "out" and point in open_at:
            stays.append(Stay(point, open_at.pop(point), entry))
        else:
            stray.append(entry)
    stays += [Stay(point, entry, None) for point, entry in open_at.items()]
    stays.sort(key=lambda stay: (stay.enter.done_ms or 0, stay.point))
    return stays, stray, [entry for entry in mine if not entry.holds]


def passport_document(passport: Passport, names: Mapping[str, str], member: str, language: Language) -> Document:
    """The passport in words; ``names`` has the name of each point."""
    zone = passport.zone
    identity = [record.samples.digest for _, record in passport.stays if record is not None]
    title = language("Lot passport")
    document = Document(
        language=language,
        title=title,
        subtitle=language("Lot {lot}", lot=passport.lot),
        running=" \N{MIDDLE DOT} ".join([member, title, passport.lot, language.moment(passport.as_of_ms, zone)]),
        identity=" ".join(identity) if len(identity) < 2 else _hash(identity),
        moment_ms=passport.as_of_ms,
    )
    document.blocks.append(
        Facts(
            [
                (language("Member"), member),
                (language("Lot"), passport.lot),
                (language("As of"), language.moment(passport.as_of_ms, zone)),
                (language("Time zone"), zone.key.replace("_", " ")),
            ]
        )
    )
    document.blocks += _overview(passport, names, language)
    for stay, record in passport.stays:
        if record is not None:
            document.blocks += _stay(stay, record, language)
    document.blocks += _strays(passport, names, language)
    document.blocks.append(Signatures([language("Prepared by"), language("Quality manager")]))
    return document


def _hash(parts: Sequence[str]) -> str:
    return sha256("".join(parts).encode()).hexdigest()


def _overview(passport: Passport, names: Mapping[str, str], language: Language) -> Iterator[Block]:
    zone = passport.zone
    yield Heading(language("Where the lot was"))
    rows = []
    for stay, record in passport.stays:
        low = high = share = DASH
        if record is not None:
            decimals, unit = record.samples.decimals, record.samples.unit
            low = language.quantity(record.figures.low, decimals, unit)
            high = language.quantity(record.figures.high, decimals, unit)
            share = language.percent(record.figures.covered, record.figures.scheduled)
        left = DASH if stay.leave is None else stay.leave.person or DASH
        rows.append(
            [
                names.get(stay.point, stay.point),
                language.moment(stay.enter.done_ms, zone, seconds=False),
                language("not recorded as out")
                if stay.leave is None
                else language.moment(stay.leave.done_ms, zone, seconds=False),
                f"{stay.enter.person or DASH} / {left}",
                low,
                high,
                share,
            ]
        )
    head = [
        language("Zone"),
        language("In"),
        language("Out"),
        language("Person in / out"),
        language("Lowest"),
        language("Highest"),
        language("Coverage"),
    ]
    yield Table(head, rows, "llllrrr", (17, 17, 17, 15, 11, 11, 12))
    if not passport.stays:
        yield Paragraph(language("No stay of this lot can be told from its entries."), "warning")


def _stay(stay: Stay, record: HaccpRecord, language: Language) -> Iterator[Block]:
    zone, samples = record.period.zone, record.samples
    yield Heading(f"{record.setting.point.name} \N{EM DASH} {period_words(record.period, language)}")
    if stay.enter.text or (stay.leave is not None and stay.leave.text):
        texts = [stay.enter.text, stay.leave.text if stay.leave is not None else ""]
        yield Paragraph("; ".join(text for text in texts if text), "note")
    yield picture_of(record, language)
    finer = None if samples.decimals is None else samples.decimals + 1
    pairs = [
        (language("Mean (by time, without gaps)"), language.quantity(record.figures.mean, finer, samples.unit))
    ]
    for past in record.beyond:
        words = named(RULES, past.limit.rule, language)
        pairs.append((language("Time beyond: {limit}", limit=words), language.duration(past.duration_ms)))
    for held in record.alarms:
        words = f"{named(RULES, held.rule, language)} ({named(TIERS, held.tier, language)})"
        end = language.moment(held.returned_ms, zone) if held.returned_ms is not None else language("not returned")
        pairs.append(
            (f"{language('Alarm')} {held.number}", f"{words}: {language.moment(held.since_ms, zone)} {DASH} {end}")
        )
    gaps = sum(gap.slots for gap in samples.gaps)
    pairs.append((language("Samples without a value"), language.number(gaps, 0)))
    pairs.append((language("Verification"), proof_words(record.proof, language)[0]))
    pairs.append((language("SHA-256 of the data used"), samples.digest))
    yield Facts(pairs)


def _strays(passport: Passport, names: Mapping[str, str], language: Language) -> Iterator[Block]:
    for title, found in (
        (language("Entries that fit no stay"), passport.stray),
        (language("Entries that no longer hold"), passport.superseded),
    ):
        if not found:
            continue
        yield Heading(title)
        rows = [
            [
                entry.record or DASH,
                names.get(text_of(entry.data.get("point")), text_of(entry.data.get("point")) or DASH),
                language("In") if entry.data.get("direction") == "in" else language("Out"),
                language.moment(entry.done_ms, passport.zone, seconds=False),
                entry.person or DASH,
                entry.superseded_by or entry.text or DASH,
            ]
            for entry in found
        ]
        head = [
            language("Record"),
            language("Zone"),
            language("Direction"),
            language("Time"),
            language("Person"),
            language("Text"),
        ]
        yield Table(head, rows, "llllll", (11, 18, 10, 22, 15, 24))


def passport_data(passport: Passport) -> dict[str, Any]:
    """The passport as plain data, with the whole record of each stay."""
    return {
        "report": "lot",
        "lot": passport.lot,
        "as_of": iso(passport.as_of_ms, passport.zone),
        "stays": [
            {
                "point": stay.point,
                "in": plain(stay.enter, passport.zone),
                "out": plain(stay.leave, passport.zone),
                "record": haccp_data(record) if record is not None else None,
            }
            for stay, record in passport.stays
        ],
        "stray": plain(passport.stray, passport.zone),
        "superseded": plain(passport.superseded, passport.zone),
    }


def passport_rows(passport: Passport) -> Iterator[Row]:
    """The passport as rows: each stay, and the rows of its record."""
    zone = passport.zone
    for stay, record in passport.stays:
        out = None if stay.leave is None else iso(stay.leave.done_ms, zone)
        yield "stay", passport.lot, iso(stay.enter.done_ms, zone), out, None, "", stay.enter.person, stay.point
        if record is not None:
            yield from haccp_rows(record)
    for entry in passport.stray:
        yield "stray", entry.record, iso(entry.done_ms, zone), None, None, "", entry.person, entry.text
