"""The verification that comes with a report: signatures, chain and receipts of exactly the batches it rests on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.buffer.reader import Reader
from gateway.errors import SealError, StorageError
from gateway.model import Stream
from gateway.report.haccp import Proof
from gateway.seal.batch import OpenBatch, open_batch
from gateway.seal.cose import PublicKey
from gateway.seal.evidence import Evidence
from gateway.seal.findings import Finding, Report
from gateway.seal.receipt import check_receipt, read_receipt
from gateway.seal.tree import Frontier
from gateway.seal.verify import verify_evidence
from gateway.site import Site

__all__ = ["Prover"]

AT_ONCE = 500
SHOWN = 20
"""Findings that a report lists at most; `aurora-gateway verify` lists them all."""
HARMLESS = frozenset({"partial", "unanchored", "unchecked-receipt"})
"""What is so by the nature of a report on a part, or is said in other words."""


@dataclass(slots=True)
class _Held(Evidence):
    """Batches of a journal as evidence: stretches of the two streams."""

    reader: Reader | None = None
    stretches: list[tuple[Stream, int, int]] = field(default_factory=list)

    def batches(self) -> Iterator[tuple[str, OpenBatch | SealError]]:
        """Each batch that has its body."""
        assert self.reader is not None
        for stream, first, last in self.stretches:
            at = first
            while at <= last and (found := self.reader.batches(stream, at, min(AT_ONCE, last - at + 1))):
                for batch in found:
                    if batch.body is not None:
                        yield f"journal {stream}-{batch.seq}", _opened(batch.body)
                at = found[-1].seq + 1


def _opened(body: bytes) -> OpenBatch | SealError:
    try:
        return open_batch(body)
    except SealError as error:
        return error


class Prover:
    """Verifies parts of one journal. ``keys`` are public keys of the gateway from a source outside of it."""

    def __init__(self, site: Site, reader: Reader, keys: Sequence[PublicKey]) -> None:
        self._site = site
        self._reader = reader
        self._keys = list(keys)
        self._events: Report | None = None
        self._covered: tuple[dict[str, int], list[Finding]] | None = None

    def prove(self, first: int | None, last: int | None) -> Proof:
        """The proof of scan batches ``first`` to ``last`` (None: of none) and of the whole event stream."""
        events = self._event_report()
        reports = [events]
        scans, absent = 0, 0
        bounds = self._reader.bounds("event")
        if first is not None and last is not None:
            scan = self._scan_report(first, last)
            reports.append(scan)
            scans = sum(summary.count for summary in scan.streams if summary.stream.endswith("scan"))
            absent = len(self._reader.bodiless("scan", first, last + 1))
        gone = set() if bounds is None else self._reader.bodiless("event", bounds[0], bounds[1] + 1)
        errors = [finding for report in reports for finding in report.findings if finding.severity == "error"]
        if self._covered is None:
            self._covered = self._receipts()
        covered, doubts = self._covered
        errors += doubts
        unknown = [f for r in reports for f in r.findings if f.kind == "unanchored"] if self._keys else []
        # A key was named, and it is not the one that signed: whatever else is right, this is another's record.
        errors += unknown
        excused = [error for error in errors if error.kind == "missing" and self._excused(error)]
        broken = [error for error in errors if error not in excused]
        warnings = [f for r in reports for f in r.findings if f.severity == "warning" and f.kind not in HARMLESS]
        counted = sum(summary.count for summary in events.streams)
        told = dict.fromkeys(str(finding) for finding in (*broken, *warnings))
        return Proof(
            result="nothing" if not counted else "broken" if broken else "held" if excused or absent else "whole",
            scan_batches=scans,
            event_batches=counted,
            absent=absent + len(gone),
            anchored=bool(self._keys) and not unknown,
            keys=tuple(dict.fromkeys(key for report in reports for s in report.streams for key in s.keys)),
            covered=covered,
            findings=tuple(list(told)[:SHOWN]),
        )

    def _event_report(self) -> Report:
        """All of the event stream: the keys, layouts and records that everything else rests on."""
        if self._events is None:
            bounds = self._reader.bounds("event")
            stretches: list[tuple[Stream, int, int]] = [] if bounds is None else [("event", *bounds)]
            evidence = _Held(reader=self._reader, stretches=stretches, gateway_keys=list(self._keys))
            self._events = verify_evidence(evidence, issuer=self._site.identity.urn)
        return self._events

    def _scan_report(self, first: int, last: int) -> Report:
        """The scan batches, with the event batches up to the newest that they name.

        Later event batches name later scan batches, which are no part of this.
        """
        head = -1
        evidence = _Held(reader=self._reader, stretches=[("scan", last, last)])
        for _, opened in evidence.batches():
            if isinstance(opened, OpenBatch) and opened.other is not None:
                head = opened.other.seq
        bounds = self._reader.bounds("event")
        stretches: list[tuple[Stream, int, int]] = [("scan", first, last)]
        if bounds is not None and head >= bounds[0]:
            stretches.insert(0, ("event", bounds[0], head))
        proof = _Held(reader=self._reader, stretches=stretches, gateway_keys=list(self._keys))
        report = verify_evidence(proof, issuer=self._site.identity.urn)
        report.streams = [summary for summary in report.streams if summary.stream.endswith("scan")]
        return report

    def _excused(self, finding: Finding) -> bool:
        """Whether all that is missing from a batch on was taken by retention, and not by somebody."""
        if finding.seq is None:
            return False
        stream: Stream = "event" if finding.stream.endswith("event") else "scan"
        bounds = self._reader.bounds(stream)
        if bounds is None:
            return False
        held = self._held_from(stream, finding.seq, bounds[1])
        return len(self._reader.bodiless(stream, finding.seq, held)) == held - finding.seq

    def _held_from(self, stream: Stream, seq: int, last: int) -> int:
        """The first batch from ``seq`` on that has its body."""
        at = seq
        while at <= last and (found := self._reader.batches(stream, at, AT_ONCE)):
            for batch in found:
                if batch.body is not None:
                    return batch.seq
            at = found[-1].seq + 1
        return at

    def _receipts(self) -> tuple[dict[str, int], list[Finding]]:
        """How far the cluster's newest receipts reach, checked against the root over all leaves that are here."""
        cluster = self._site.cluster
        if cluster is None:
            return {}, []
        try:
            key = PublicKey.from_pem(cluster.receipt_key.read_bytes())
        except (OSError, SealError):
            return {}, []
        covered, findings = dict[str, int](), list[Finding]()
        streams: tuple[Stream, ...] = ("scan", "event")
        for stream in streams:
            state = self._reader.state(stream)
            if state is None or state.receipt is None:
                continue
            place = f"receipt of stream {stream}"
            try:
                receipt = read_receipt(state.receipt)
                leaves = self._reader.leaves(stream, 0, receipt.tree_size)
                check_receipt(receipt, key, leaves[-1], Frontier.of(leaves).root())
            except (SealError, StorageError) as error:
                findings.append(Finding("error", "bad-receipt", stream, None, place, str(error)))
            else:
                covered[stream] = receipt.leaf_index
        return covered, findings
