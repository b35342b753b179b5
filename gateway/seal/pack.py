"""Verification of an evidence pack, offline: whatever is altered in it is found, and named by its file.

Keys decide what it is worth. With the keys that lie in the pack, it is only shown that it is whole; pass the
cluster's key, and those of the gateways, from a source that is trusted. What the cluster itself could have altered,
with its own key, is found by the signatures of the gateways; what cluster and gateway together could have, by the
cosignatures of others under the checkpoint.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.errors import SealError
from gateway.model import Event, Stream
from gateway.seal.batch import EVENT_TYPE, OpenBatch, open_batch, subject
from gateway.seal.certificate import Certificate, read_certificate
from gateway.seal.checkpoint import Checkpoint, log_key, open_checkpoint, read_checkpoint
from gateway.seal.completeness import account
from gateway.seal.cose import PublicKey
from gateway.seal.events import decode_events
from gateway.seal.evidence import Evidence
from gateway.seal.findings import Finding, Report, Severity
from gateway.seal.note import Note, NoteKey, cosignature_kind, read_note
from gateway.seal.packfile import check_manifest
from gateway.seal.packproof import StreamProof, read_proofs
from gateway.seal.statement import Statement, read_statement
from gateway.seal.verify import verify_evidence

__all__ = ["CHECKPOINT", "CLUSTER_KEY", "WITNESSES", "PackReport", "verify_pack"]

Read = TypeVar("Read")

CHECKPOINT = "checkpoint.txt"
WITNESSES = "witnesses.txt"
"""Keys of witnesses that are no gateways of this pack, one a line (``name+id+key``)."""
CLUSTER_KEY = "keys/cluster.pem"
GATEWAYS, CERTIFICATES = "gateways", "certificates"
STATEMENTS = "statements"
"""What the cluster's staff said about the keys of a gateway, in its folder, in their order."""
STREAMS: tuple[Stream, Stream] = ("event", "scan")
PARTS = {"event": {"partial", "truncated", "missing"}, "scan": {"partial", "truncated"}}
"""Findings of the whole stream that a pack has by its nature: it holds a part, and proves each batch by itself."""


@dataclass(slots=True)
class PackReport(Report):
    """The findings, and what turned out to be in the pack."""

    checkpoint: Checkpoint | None = None
    witnesses: list[str] = field(default_factory=list)
    """Who has cosigned the checkpoint, as far as their keys are here and hold."""
    certificates: list[Certificate] = field(default_factory=list)
    """Those whose figures are what the batches give."""
    lots: list[tuple[str, Event]] = field(default_factory=list)
    """Gateway and event for each ``record.lot``."""
    statements: list[Statement] = field(default_factory=list)
    """What the cluster's staff said about the keys of the gateways."""


def verify_pack(
    files: Mapping[str, bytes],
    *,
    gateway_keys: Sequence[PublicKey] = (),
    cluster_keys: Sequence[PublicKey] = (),
    witness_keys: Sequence[NoteKey] = (),
) -> PackReport:
    """Verify the files of a pack (by their paths). Keys that are given take the place of those in the pack."""
    return _Check(files, gateway_keys, cluster_keys, witness_keys).run()


@dataclass(slots=True)
class _Loose(Evidence):
    """Batches that lie in memory."""

    held: list[tuple[str, OpenBatch | SealError]] = field(default_factory=list)

    def batches(self) -> Iterator[tuple[str, OpenBatch | SealError]]:
        yield from self.held


class _Check:
    def __init__(
        self,
        files: Mapping[str, bytes],
        gateway_keys: Sequence[PublicKey],
        cluster_keys: Sequence[PublicKey],
        witness_keys: Sequence[NoteKey],
    ) -> None:
        self.files = files
        self.report = PackReport()
        self.named = bool(gateway_keys)
        self.given = bool(cluster_keys) and self.named
        self.cluster = list(cluster_keys) or self._keys(lambda path: path == CLUSTER_KEY)
        self.gateways = list(gateway_keys)
        self.witnesses = list(witness_keys)
        self.evidence = _Loose()
        self.files_of: dict[str, str] = {}
        """Issuer to the folder of its files."""
        self.batches: dict[tuple[str, Stream], list[tuple[str, OpenBatch]]] = {}
        self.proofs: dict[tuple[str, Stream], tuple[str, StreamProof]] = {}

    def run(self) -> PackReport:
        """Everything, from the list of files to the figures of the certificates."""
        origin = self._origin()
        self.report.findings += check_manifest(self.files, [log_key(origin, key) for key in self.cluster])
        if not self.given:
            self._add(
                "warning", "unanchored", "keys", "are those that lie in the pack; pass trusted ones to rely on it"
            )
        self._read_batches()
        self._verify_batches()
        note = self._read_checkpoint()
        for iss, folder in self.files_of.items():
            self._verify_proofs(iss, folder)
            self._verify_statements(iss, f"{folder}/{STATEMENTS}/")
        if note is not None:
            self._verify_witnesses(note)
        for path in sorted(self.files):
            if path.startswith(f"{CERTIFICATES}/"):
                self._verify_certificate(path)
        return self.report

    # What is there

    def _origin(self) -> str:
        try:
            return read_checkpoint(read_note(self.files.get(CHECKPOINT, b"")).text).origin
        except SealError:
            return ""

    def _keys(self, wanted: Any) -> list[PublicKey]:
        found = []
        for path in sorted(self.files):
            if wanted(path):
                try:
                    found.append(PublicKey.from_pem(self.files[path]))
                except SealError as error:
                    self._add("error", error.kind, path, error.what)
        return found

    def _read_batches(self) -> None:
        own = self._keys(lambda path: path.startswith(f"{GATEWAYS}/") and path.endswith(".pem"))
        self.gateways = self.gateways or own
        self.evidence.gateway_keys[:] = self.gateways
        for path in sorted(self.files):
            parts = path.split("/")
            if parts[0] != GATEWAYS or len(parts) != 4 or parts[2] == STATEMENTS or not path.endswith(".cose"):
                continue
            iss = f"urn:aurora:{':'.join(parts[1].split('.'))}"
            self.files_of[iss] = f"{GATEWAYS}/{parts[1]}"
            try:
                batch = open_batch(self.files[path])
                if (batch.iss, batch.stream) != (iss, parts[2]):
                    raise SealError("wrong-issuer", f"is of {batch.sub}")
            except SealError as error:
                self.evidence.held.append((path, error))
            else:
                self.evidence.held.append((path, batch))
                self.batches.setdefault((iss, batch.stream), []).append((path, batch))

    def _verify_batches(self) -> None:
        """Signatures, chains, clocks and slots, by the verification of any evidence."""
        found = verify_evidence(self.evidence)
        self.report.streams = found.streams
        for finding in found.findings:
            kind = "event" if finding.stream.endswith(":event") else "scan"
            if finding.kind == "unanchored" and self.named:
                # Whoever names the keys that he trusts does not trust others.
                self.report.findings.append(finding._replace(severity="error"))
            elif finding.kind not in PARTS[kind]:
                self.report.findings.append(finding)
        for (iss, stream), several in self.batches.items():
            for _, batch in several:
                if stream == "event" and batch.content_type == EVENT_TYPE:
                    self._lots(iss, batch)

    def _lots(self, iss: str, batch: OpenBatch) -> None:
        try:
            events = decode_events(batch.payload)
        except SealError:
            return
        self.report.lots += [(iss, event) for event in events if event.kind == "record.lot"]

    # The cluster's part

    def _read_checkpoint(self) -> Note | None:
        data = self.files.get(CHECKPOINT)
        if data is None:
            self._add("error", "missing", CHECKPOINT, "is not in the pack")
            return None
        try:
            keys = [log_key(self._origin(), key) for key in self.cluster]
            self.report.checkpoint, note = open_checkpoint(data, keys)
        except SealError as error:
            self._add("error", error.kind, CHECKPOINT, error.what)
            return None
        return note

    def _verify_witnesses(self, note: Note) -> None:
        keys = [*self.witnesses]
        for iss, folder in self.files_of.items():
            own = self._keys(lambda path, folder=folder: path.startswith(f"{folder}/keys/"))
            keys += [NoteKey(iss, cosignature_kind(key), key) for key in own if key in self.gateways]
        try:
            lines = self.files.get(WITNESSES, b"").decode().splitlines()
            keys += [] if self.witnesses else [NoteKey.from_vkey(line) for line in lines]
            signed = note.signed_by(keys)
        except (SealError, UnicodeDecodeError) as error:
            self._add("error", "bad-cosignature", CHECKPOINT, str(error))
            return
        self.report.witnesses = [key.name for key in signed]
        if not signed:
            self._add("warning", "unwitnessed", CHECKPOINT, "is cosigned by nobody whose key is here")

    def _verify_proofs(self, iss: str, folder: str) -> None:
        """Each batch in its tree, each tree in a receipt and in the log."""
        path = f"{folder}/proofs.cbor"
        try:
            proofs = read_proofs(self.files.get(path, b""), iss)
        except SealError as error:
            self._add("error", error.kind, path, error.what)
            return
        for stream, proof in proofs.items():
            sub = subject(iss, stream)
            self.proofs[iss, stream] = path, proof
            for file, batch in self.batches.get((iss, stream), []):
                try:
                    proof.check_batch(batch.seq, batch.leaf)
                except SealError as error:
                    self._add("error", error.kind, file, error.what, at=(sub, batch.seq))
            self._try_receipt(f"{folder}/{stream}.receipt", proof, sub)
            if self.report.checkpoint is None:
                continue
            try:
                covered = proof.check_log(self.report.checkpoint)
            except SealError as error:
                self._add("error", error.kind, path, error.what, at=(sub, None))
                continue
            late = [batch.seq for _, batch in self.batches.get((iss, stream), []) if batch.seq >= covered]
            if late:
                what = f"batches from {late[0]} on are newer than the checkpoint"
                self._add("warning", "uncovered", path, what, at=(sub, late[0]))

    def _try_receipt(self, path: str, proof: StreamProof, sub: str) -> None:
        self._by_cluster(path, lambda data, key: proof.check_receipt(data, sub, key), sub)

    def _verify_statements(self, iss: str, folder: str) -> None:
        """What staff said about keys is whole, and names no batch of the pack that is not to be believed."""
        due = 0
        for path in sorted(path for path in self.files if path.startswith(folder)):
            statement = self._by_cluster(path, read_statement)
            if statement is None:
                continue
            if (statement.sub, statement.place) != (iss, due):
                what = f"is statement {statement.place} about {statement.sub}, not {due} about {iss}"
                self._add("error", "bad-statement", path, what)
            due = statement.place + 1
            self.report.statements.append(statement)
            for stream in STREAMS:
                for file, batch in self.batches.get((iss, stream), []):
                    if statement.doubts(batch):
                        what = f"is not believed: {statement.by} cut off the key ({statement.why})"
                        self._add("error", "doubted", file, what, at=(subject(iss, stream), batch.seq))

    def _by_cluster(self, path: str, read: Callable[[bytes, PublicKey], Read], sub: str = "") -> Read | None:
        """What the cluster signed, read with the first of its keys that fits; else a finding."""
        for key in self.cluster:
            try:
                return read(self.files.get(path, b""), key)
            except SealError as error:
                if key is self.cluster[-1]:
                    self._add("error", error.kind, path, error.what, at=(sub, None))
        return None

    def _verify_certificate(self, path: str) -> None:
        """Its signature, its grounds, and every figure, computed again."""
        certificate = self._by_cluster(path, read_certificate)
        if certificate is None:
            return
        iss, figures = certificate.gateway, certificate.account
        try:
            found = account(
                [batch for _, batch in self.batches.get((iss, "event"), [])],
                sorted((batch for _, batch in self.batches.get((iss, "scan"), [])), key=lambda batch: batch.seq),
                device=str(figures.get("device")),
                channel=str(figures.get("channel")),
                from_ms=int(figures.get("from_ms", 0)),
                to_ms=int(figures.get("to_ms", 0)),
            )
        except (SealError, TypeError, ValueError) as error:
            self._add("error", "bad-certificate", path, f"its figures cannot be computed again ({error})")
            return
        differences = certificate.differences(found)
        for what in differences:
            self._add("error", "wrong-figure", path, what)
        if not differences:
            self.report.certificates.append(certificate)
        for stream in STREAMS:
            ground, held = certificate.grounds.get(stream), self.proofs.get((iss, stream))
            if ground is None or held is None or ground[:2] != held[1][:2]:
                what = f"rests on another {stream} stream than that of the pack"
                self._add("error", "bad-certificate", path, what, at=(subject(iss, stream), None))

    def _add(
        self, severity: Severity, kind: str, path: str, what: str, *, at: tuple[str, int | None] = ("", None)
    ) -> None:
        """Add a finding about a file; ``at`` is the stream, and the batch in it where there is one."""
        self.report.findings.append(Finding(severity, kind, at[0], at[1], path, what))
