"""Sections of a HACCP record about clock, operation and evidence, in words."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from gateway.language import Language
from gateway.report.content import Block, Facts, Heading, Paragraph, Table
from gateway.report.haccp import HaccpRecord, Proof
from gateway.report.names import CHANGE_NAMES, CLOCK_NAMES, named
from gateway.report.parts import DASH, ROWS, left_over
from gateway.report.samples import Unplaced

__all__ = ["clock_part", "evidence_part", "operation_part", "proof_facts", "proof_words"]


def clock_part(record: HaccpRecord, language: Language) -> Iterator[Block]:
    """How far the times are to be believed, and values that have none."""
    zone, samples = record.period.zone, record.samples
    yield Heading(language("Clock"))
    answered = len(samples.due)
    pairs = [
        (named(CLOCK_NAMES, state, language), language.percent(count, answered))
        for state, count in sorted(samples.clock.items(), key=lambda pair: -pair[1])
    ]
    if samples.error_ms is not None:
        pairs.append(
            (
                language("Largest error of a time"),
                language("{seconds} s", seconds=language.number(samples.error_ms / 1000, 3)),
            )
        )
    if pairs:
        yield Facts(pairs)
    for lost in samples.unplaced:
        yield Paragraph(_unplaced(lost, zone, language), "warning")
    if record.clock:
        rows = [
            [
                language.moment(note.at_ms, zone),
                named(CLOCK_NAMES, note.kind, language),
                DASH if note.by_ms is None else f"{language.number(note.by_ms / 1000, 3)} s",
                DASH
                if note.error_ms is None
                else f"\N{PLUS-MINUS SIGN}{language.number(note.error_ms / 1000, 3)} s",
                note.source or note.reason or DASH,
            ]
            for note in record.clock[:ROWS]
        ]
        head = [language("Time"), language("What"), language("By"), language("Error"), language("Source")]
        yield Table(head, rows, "llrrl", (24, 24, 12, 12, 28))
        yield from left_over(len(record.clock), language)


def _unplaced(lost: Unplaced, zone: ZoneInfo, language: Language) -> str:
    return language.many(
        "{n} sample of boot {boot} has no known time and is not in this record; it is from {start} to {end}.",
        "{n} samples of boot {boot} have no known time and are not in this record; they are from {start} to {end}.",
        lost.samples,
        boot=lost.boot.hex()[:8],
        start=DASH if lost.after_ms is None else language.moment(lost.after_ms, zone),
        end=DASH if lost.before_ms is None else language.moment(lost.before_ms, zone),
    )


def operation_part(record: HaccpRecord, language: Language) -> Iterator[Block]:
    """What happened to the gateway itself."""
    yield Heading(language("Configuration and operation"))
    if not record.changes:
        yield Paragraph(language("Nothing was changed and the gateway was not restarted."))
        return
    zone = record.period.zone
    rows = [
        [
            language.moment(change.at_ms, zone),
            named(CHANGE_NAMES, change.kind, language),
            change.person or DASH,
            _change_words(change.text, change.data) or DASH,
            str(change.batch),
        ]
        for change in record.changes[:ROWS]
    ]
    head = [language("Time"), language("What"), language("Person"), language("Text"), language("Event batch")]
    yield Table(head, rows, "llllr", (24, 22, 16, 30, 8))
    yield from left_over(len(record.changes), language)


def _change_words(text: str, data: object) -> str:
    """The text of a change, with what was before and after where the event has it."""
    words = [text] if text else []
    if isinstance(data, dict):
        for name in ("path", "old", "new", "version", "config", "reason"):
            value = data.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
                words.append(f"{name}: {str(value)[:80]}")
    return "; ".join(words)


def proof_words(proof: Proof, language: Language) -> tuple[str, bool]:
    """What the verification found, and whether a reader may rely on the record."""
    match proof.result:
        case "whole":
            return language(
                "The record is whole: every signature is good, no batch is missing, altered or out of order."
            ), True
        case "held":
            words = language.many(
                "What is held here is whole; {n} batch is no longer held on the gateway (the cluster has it).",
                "What is held here is whole; {n} batches are no longer held on the gateway (the cluster has them).",
                proof.absent,
            )
            return words, True
        case "nothing":
            return language("There is nothing to verify: no signed batch is here."), False
        case _:
            return language("The record is NOT whole: see the findings."), False


def evidence_part(record: HaccpRecord, language: Language) -> Iterator[Block]:
    """The verification in words, and what is needed to repeat it and to recompute the figures."""
    samples, proof, setting = record.samples, record.proof, record.setting
    yield Heading(language("Evidence"))
    words, fine = proof_words(proof, language)
    yield Paragraph(words, "normal" if fine else "warning")
    if samples.unsealed:
        text = language.many(
            "{n} sample is not in a signed batch yet.",
            "{n} samples are not in a signed batch yet.",
            samples.unsealed,
        )
        yield Paragraph(text, "warning")
    yield from proof_facts(proof, language)
    ranges = ", ".join(
        f"{first}" if first == last else f"{first}\N{EN DASH}{last}" for first, last in record.batch_ranges
    )
    yield Facts(
        [
            (language("Scan batches used"), ranges or DASH),
            (language("SHA-256 of their leaf hashes"), record.batch_digest if record.batch_ranges else DASH),
            (language("SHA-256 of the data used"), samples.digest),
            (language("SHA-256 of the site file"), setting.digest or DASH),
            (language("Software"), f"aurora-gateway {setting.version}"),
        ]
    )
    for finding in proof.findings:
        yield Paragraph(finding, "note")


def proof_facts(proof: Proof, language: Language) -> Iterator[Block]:
    """Counts, keys and receipts of a verification."""
    receipts = ", ".join(
        language("{stream} up to batch {number}", stream=stream, number=last)
        for stream, last in proof.covered.items()
    )
    anchored = (
        language("given from outside")
        if proof.anchored
        else language("found with the record; compare with the one that the cluster has registered")
    )
    yield Facts(
        [
            (
                language("Verified batches"),
                f"{language.number(proof.scan_batches, 0)} scan, {language.number(proof.event_batches, 0)} event",
            ),
            (language("Receipts of the cluster"), receipts or language("none checked")),
            (language("Signing key"), ", ".join(proof.keys) or DASH),
            (language("Trust in the key"), anchored),
        ]
    )
