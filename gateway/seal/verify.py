"""Verification of evidence, offline: batches, receipts and public keys in; findings by file and batch out.

It is found and named what was altered, forked, put in another order, taken away in the middle or at the end,
signed by a wrong key or for a wrong issuer, what a receipt does not confirm, and which scheduled slots are
recorded nowhere. Keys that are not given count for nothing: a registration that only vouches for itself is
reported. A cluster's key is never accepted for a batch, nor a gateway's for a receipt.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import SealError
from gateway.model import Event, Layout
from gateway.seal.accounting import SlotLedger
from gateway.seal.backfill import BACKFILL, read_backfill
from gateway.seal.batch import OpenBatch, Registration, read_registration, subject
from gateway.seal.chain import Chain, Entry
from gateway.seal.columns import decode_events, decode_scans, layout_from_cbor, peek_scans
from gateway.seal.cose import PublicKey
from gateway.seal.evidence import Evidence, files_of, gather
from gateway.seal.findings import Finding, Report, Severity, StreamSummary
from gateway.seal.keys import rotated_key
from gateway.seal.receipt import Receipt, check_receipt
from gateway.seal.tree import HASH_BYTES

__all__ = ["Finding", "Report", "StreamSummary", "verify_evidence", "verify_files", "verify_folder"]


def verify_folder(
    folder: Path,
    *,
    gateway_keys: Sequence[PublicKey] = (),
    cluster_keys: Sequence[PublicKey] = (),
    issuer: str | None = None,
) -> Report:
    """Verify all files below a folder, as `verify_files` does, in the order of their names."""
    return verify_files(files_of(folder), gateway_keys=gateway_keys, cluster_keys=cluster_keys, issuer=issuer)


def verify_files(
    paths: Iterable[Path],
    *,
    gateway_keys: Sequence[PublicKey] = (),
    cluster_keys: Sequence[PublicKey] = (),
    issuer: str | None = None,
) -> Report:
    """Verify batches (``.cose``, or many in a ``.cbor-seq``) with receipts (``.receipt``) and keys (``.pem``).

    PEM files whose name begins with ``cluster`` hold keys of the cluster, the others keys of gateways. Keys that
    are given here take their place. ``issuer`` is the gateway that the evidence should be from, None for any.
    Whoever hands over the evidence can also exchange the keys in it: to rely on a report, pass the keys.
    """
    evidence = gather(paths)
    if gateway_keys:
        evidence.gateway_keys[:] = gateway_keys
    if cluster_keys:
        evidence.cluster_keys[:] = cluster_keys
    return _Audit(evidence, issuer).run()


def verify_evidence(evidence: Evidence, *, issuer: str | None = None) -> Report:
    """Verify evidence that lies elsewhere than in files: what its `Evidence.batches` gives."""
    return _Audit(evidence, issuer).run()


@dataclass(slots=True)
class _Stream:
    """One stream while it is read."""

    iss: str
    chain: Chain
    ledger: SlotLedger
    values: int = 0
    counted: set[int] = field(default_factory=set)
    covered: int | None = None
    keys: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Issuer:
    """What the event stream of a gateway says about its keys, layouts and deletions."""

    heads: list[int] = field(default_factory=list)
    """Event numbers from which on the key of the same place in ``keys`` is in force; -1 for the registration."""
    keys: list[PublicKey] = field(default_factory=list)
    layouts: dict[bytes, Layout] = field(default_factory=dict)

    def key_at(self, head: int) -> PublicKey | None:
        """The key in force when ``head`` was the newest event batch."""
        place = bisect_right(self.heads, head)
        return self.keys[place - 1] if place else None


class _Audit:
    """One run: events first, since they say which keys, layouts and deletions the scans have to fit."""

    def __init__(self, evidence: Evidence, issuer: str | None) -> None:
        self.evidence = evidence
        self.expected = issuer
        self.trusted = {key.kid: key for key in evidence.gateway_keys}
        self.cluster = {key.kid: key for key in evidence.cluster_keys}
        self.findings = list(evidence.findings)
        self.issuers: dict[str, _Issuer] = {}
        self.streams: dict[str, _Stream] = {}

    def run(self) -> Report:
        """Read everything twice: for the events, then for the scans."""
        events: list[tuple[str, OpenBatch]] = []
        starts: list[tuple[str, OpenBatch]] = []
        for file, opened in self.evidence.batches():
            if isinstance(opened, SealError):
                self.findings.append(Finding("error", "unreadable", "", None, file, str(opened)))
            elif self.expected is not None and opened.iss != self.expected:
                self._add("error", "wrong-issuer", file, opened, f"is not from {self.expected}")
            else:
                self._stream(opened)
                if opened.seq == 0:
                    starts.append((file, opened))
                if opened.stream == "event":
                    events.append((file, opened))
        self._registrations(starts)
        self._events(events)
        for file, opened in self.evidence.batches():
            if isinstance(opened, OpenBatch) and opened.stream == "scan" and opened.sub in self.streams:
                self._scans(file, opened)
        self._anchors()
        self._chains()
        self._receipts()
        return self._report()

    def _registrations(self, starts: list[tuple[str, OpenBatch]]) -> None:
        """The first key of an issuer is the one it registered; one that was given goes before one that was not."""
        found: list[tuple[str, OpenBatch, Registration]] = []
        for file, opened in starts:
            try:
                registration = read_registration(opened.payload)
                opened.verify(registration.public)
            except SealError as error:
                self._add("error", "bad-registration", file, opened, str(error))
            else:
                found.append((file, opened, registration))
        for file, opened, registration in sorted(found, key=lambda item: not self._given(item[2].public)):
            if registration.iss != opened.iss:
                self._add("error", "wrong-issuer", file, opened, f"is the registration of {registration.iss}")
            issuer = self.issuers[opened.iss]
            if not issuer.keys:
                issuer.heads.append(-1)
                issuer.keys.append(registration.public)
            elif issuer.keys[0] != registration.public:
                self._add("error", "wrong-key", file, opened, "registers another key than the other batch 0")

    def _anchors(self) -> None:
        """Report who is vouched for by himself alone.

        A given key anchors what came before it too: with ``prev`` its holder has signed all of that.
        """
        for iss, issuer in self.issuers.items():
            streams = [stream for stream in self.streams.values() if stream.iss == iss]
            signed = {key for stream in streams for key in stream.keys}
            if issuer.keys and not any(key.thumbprint.hex() in signed for key in self.evidence.gateway_keys):
                known = issuer.keys[0].thumbprint.hex()
                what = f"key {known} is vouched for by its own registration alone"
                self.findings.append(Finding("warning", "unanchored", subject(iss, "event"), None, "", what))

    def _events(self, events: list[tuple[str, OpenBatch]]) -> None:
        """Follow the event streams in their order, because each rotation decides about what comes after."""
        order = {id(opened): place for place, (_, opened) in enumerate(events)}
        entries: dict[int, tuple[str, Entry]] = {}
        for file, opened in sorted(events, key=lambda event: event[1].seq):
            if not self._signed(file, opened, opened.seq - 1):
                continue
            entries[order[id(opened)]] = opened.sub, _entry(file, opened)
            if not self._first(opened) or opened.seq == 0:
                continue
            try:
                happened = decode_events(opened.payload)
            except SealError as error:
                self._add("error", "bad-payload", file, opened, str(error))
                continue
            self.streams[opened.sub].values += len(happened)
            for event in happened:
                self._event(file, opened, event)
        for _, (sub, entry) in sorted(entries.items()):
            self.streams[sub].chain.entries.append(entry)

    def _event(self, file: str, opened: OpenBatch, event: Event) -> None:
        issuer = self.issuers[opened.iss]
        try:
            if event.kind == "key.rotated":
                issuer.keys.append(rotated_key(event.data))
                issuer.heads.append(opened.seq)
            elif event.kind == "layout":
                issuer.layouts[bytes(event.data["id"])] = layout_from_cbor(event.data["layout"])
            elif event.kind == BACKFILL:
                scans = self.streams.get(subject(opened.iss, "scan"))
                backfill = read_backfill(event.data)
                if scans is not None:
                    scans.ledger.fill(opened.clock.boot, backfill)
            elif event.kind == "deleted":
                sub = subject(opened.iss, event.data["stream"])
                if sub in self.streams:
                    self.streams[sub].chain.deleted.update(_deleted(event))
        except (SealError, KeyError, TypeError, ValueError) as error:
            self._add("error", "bad-payload", file, opened, f"event {event.kind} cannot be read ({error})")

    def _scans(self, file: str, opened: OpenBatch) -> None:
        if not self._signed(file, opened, opened.other.seq if opened.other else -1):
            return
        stream = self.streams[opened.sub]
        stream.chain.entries.append(_entry(file, opened))
        if not self._first(opened) or opened.seq == 0:
            return
        try:
            summary = peek_scans(opened.payload)
            stream.values += summary.values
            layout = self.issuers[opened.iss].layouts.get(summary.layout_id)
            if layout is not None:
                records = decode_scans(layout, opened.payload)
                stream.ledger.add(opened.seq, opened.clock.boot, layout, records)
        except SealError as error:
            self._add("error", "bad-payload", file, opened, str(error))

    def _signed(self, file: str, opened: OpenBatch, head: int) -> bool:
        """Check the signature with the key in force when ``head`` was the newest event batch."""
        key = self.issuers[opened.iss].key_at(head)
        in_force = key or self.trusted.get(opened.kid)
        if in_force is None:
            self._add("error", "unknown-key", file, opened, f"is signed by key {opened.kid.hex()}, not given here")
            return False
        signer = in_force if opened.kid == in_force.kid else self.trusted.get(opened.kid)
        if signer is None or signer != in_force:
            what = f"names key {opened.kid.hex()}, while {in_force.kid.hex()} was in force"
            self._add("error", "wrong-key", file, opened, what)
        if signer is None:
            return False
        try:
            opened.verify(signer)
        except SealError as error:
            self._add("error", "altered", file, opened, error.what)
            return False
        self.streams[opened.sub].keys[signer.thumbprint.hex()] = None
        return True

    def _first(self, opened: OpenBatch) -> bool:
        """Whether this is the first good batch of its number: a copy or a fork is not counted again."""
        counted = self.streams[opened.sub].counted
        new = opened.seq not in counted
        counted.add(opened.seq)
        return new

    def _chains(self) -> None:
        for stream in self.streams.values():
            if stream.chain.entries:
                stream.chain.check()
                stream.ledger.check(_whole(stream.chain))
        for iss in self.issuers:
            scan, event = (self.streams.get(subject(iss, name)) for name in ("scan", "event"))
            if scan and event:
                scan.chain.check_heads(event.chain)
                event.chain.check_heads(scan.chain)

    def _receipts(self) -> None:
        sizes: dict[str, set[int]] = {}
        for _, receipt in self.evidence.receipts:
            sizes.setdefault(receipt.sub, set()).add(receipt.tree_size)
        roots = {
            sub: stream.chain.roots(sizes.get(sub, ()))
            for sub, stream in self.streams.items()
            if stream.chain.entries
        }
        for file, receipt in self.evidence.receipts:
            severity, kind, what = self._receipt(receipt, roots)
            if kind:
                self.findings.append(Finding(severity, kind, receipt.sub, receipt.leaf_index, file, what))

    def _receipt(self, receipt: Receipt, roots: dict[str, dict[int, bytes]]) -> tuple[Severity, str, str]:
        """What is wrong with one receipt; nothing is an empty kind."""
        if receipt.sub not in roots:
            return "error", "stray-receipt", f"covers {receipt.tree_size} batches of which none is here"
        if not self.cluster:
            return "warning", "unchecked-receipt", "cannot be checked without a key of the cluster"
        key = self.cluster.get(receipt.kid)
        if key is None:
            return "error", "bad-receipt", f"is signed by key {receipt.kid.hex()}, which is no key of the cluster"
        stream = self.streams[receipt.sub]
        leaf = stream.chain.leaves.get(receipt.leaf_index)
        if leaf is None and receipt.leaf_index > stream.chain.last:
            return (
                "error",
                "truncated",
                f"covers batch {receipt.leaf_index}; the stream here ends at {stream.chain.last}",
            )
        if leaf is None:
            return "warning", "unchecked-receipt", f"is for batch {receipt.leaf_index}, which is not here"
        try:
            check_receipt(receipt, key, leaf, roots[receipt.sub].get(receipt.tree_size))
        except SealError as error:
            kind = "root-mismatch" if error.kind == "fork" else "bad-receipt"
            return "error", kind, error.what
        stream.covered = max(receipt.leaf_index, -1 if stream.covered is None else stream.covered)
        return "note", "", ""

    def _report(self) -> Report:
        report = Report(self.findings)
        for sub, stream in sorted(self.streams.items()):
            report.findings += stream.chain.findings + stream.ledger.findings
            if stream.chain.entries:
                chain = stream.chain
                report.streams.append(
                    StreamSummary(
                        stream.iss,
                        sub,
                        chain.first,
                        chain.last,
                        len(stream.counted),
                        stream.values,
                        stream.covered,
                        tuple(stream.keys),
                        sum(map(len, stream.ledger.filled.values())),
                    )
                )
        report.findings.sort(key=lambda finding: (finding.stream, -1 if finding.seq is None else finding.seq))
        return report

    def _stream(self, opened: OpenBatch) -> None:
        self.issuers.setdefault(opened.iss, _Issuer())
        self.streams.setdefault(opened.sub, _Stream(opened.iss, Chain(opened.sub), SlotLedger(opened.sub)))

    def _given(self, key: PublicKey) -> bool:
        return self.trusted.get(key.kid) == key

    def _add(self, severity: Severity, kind: str, file: str, opened: OpenBatch, what: str) -> None:
        self.findings.append(Finding(severity, kind, opened.sub, opened.seq, file, what))


def _entry(file: str, opened: OpenBatch) -> Entry:
    return Entry(file, opened.seq, opened.leaf, opened.prev, opened.other, opened.clock)


def _deleted(event: Event) -> dict[int, bytes]:
    """Sequence number to leaf hash of an event of kind ``deleted``."""
    first, last, leaves = event.data["first"], event.data["last"], event.data["leaves"]
    if isinstance(leaves, bytes):
        leaves = [leaves[at : at + HASH_BYTES] for at in range(0, len(leaves), HASH_BYTES)]
    if len(leaves) != last - first + 1 or any(len(leaf) != HASH_BYTES for leaf in leaves):
        raise SealError("bad-payload", "not one leaf hash for each deleted batch")
    return dict(zip(range(first, last + 1), leaves, strict=True))


def _whole(chain: Chain) -> list[range]:
    """Stretches of sequence numbers in which no batch is absent."""
    stretches: list[range] = []
    for seq in sorted({entry.seq for entry in chain.entries}):
        if stretches and stretches[-1].stop == seq:
            stretches[-1] = range(stretches[-1].start, seq + 1)
        else:
            stretches.append(range(seq, seq + 1))
    return stretches
