"""The order of one stream, checked: sequence, previous hashes, heads of the other stream, boot time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from gateway.model import ClockClaim, Head
from gateway.seal.findings import Finding, Severity
from gateway.seal.tree import Frontier


class Entry(NamedTuple):
    """What the checks need of a batch whose signature is good."""

    file: str
    seq: int
    leaf: bytes
    prev: bytes
    other: Head | None
    clock: ClockClaim


@dataclass(slots=True)
class Chain:
    """One stream: its entries in the order of the files, and after `check` its leaf hashes as far as known.

    ``deleted`` maps a sequence number to the leaf hash that an event of kind ``deleted`` names.
    """

    stream: str
    entries: list[Entry] = field(default_factory=list)
    deleted: dict[int, bytes] = field(default_factory=dict)
    leaves: dict[int, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Lowest sequence number (there has to be an entry)."""
        return min(entry.seq for entry in self.entries)

    @property
    def last(self) -> int:
        """Highest sequence number (there has to be an entry)."""
        return max(entry.seq for entry in self.entries)

    def check(self) -> None:
        """Find what is forked, out of order, missing, deleted, wrongly chained, or going back in time."""
        ordered = self._distinct()
        self._gaps(ordered)
        for before, after in pairwise(ordered):
            self._times(before, after)
            if before.other and (after.other is None or after.other.seq < before.other.seq):
                self._add(
                    "error", "bad-head", after, "names an older head of the other stream than the batch before"
                )
        self._boots(ordered)
        self._learn_leaves(ordered)

    def check_heads(self, other: "Chain") -> None:
        """Compare the heads that this stream names with the other stream, once both have been checked."""
        newest: Entry | None = None
        for entry in self.entries:
            if entry.other is None:
                continue
            known = other.leaves.get(entry.other.seq)
            if known is not None and known != entry.other.leaf:
                self._add("error", "forked", entry, f"names another batch {entry.other.seq} of {other.stream}")
            if newest is None or newest.other is None or entry.other.seq > newest.other.seq:
                newest = entry
        if newest and newest.other and other.entries and newest.other.seq > other.last:
            what = f"ends at {other.last}, but {newest.file} names batch {newest.other.seq}"
            other.findings.append(Finding("error", "truncated", other.stream, other.last, "", what))

    def roots(self, sizes: Iterable[int]) -> dict[int, bytes]:
        """Root hash for each of the sizes up to which every leaf hash is known."""
        wanted, roots, frontier = set(sizes), {}, Frontier()
        for size in range(1, max(wanted, default=0) + 1):
            leaf = self.leaves.get(size - 1)
            if leaf is None:
                break
            frontier.append(leaf)
            if size in wanted:
                roots[size] = frontier.root()
        return roots

    def _distinct(self) -> list[Entry]:
        """One entry a sequence number, in order; copies and forks are reported."""
        kept: dict[int, Entry] = {}
        furthest = -1
        for entry in self.entries:
            held = kept.setdefault(entry.seq, entry)
            if held.leaf != entry.leaf:
                self._add("error", "forked", entry, f"is not the batch {entry.seq} in {held.file}; both are signed")
            elif held is not entry:
                self._add("note", "duplicate", entry, f"is a copy of {held.file}")
            elif entry.seq < furthest:
                self._add("warning", "reordered", entry, f"stands after batch {furthest}")
            furthest = max(furthest, entry.seq)
        return [kept[seq] for seq in sorted(kept)]

    def _gaps(self, ordered: Sequence[Entry]) -> None:
        if ordered and ordered[0].seq > 0:
            self._add("warning", "partial", ordered[0], "is the first here; what was before cannot be judged")
        for before, after in pairwise(ordered):
            absent = range(before.seq + 1, after.seq)
            for gap, known in _runs(absent, self.deleted):
                if known:
                    what = f"{_span(gap)} deleted on the gateway; its event keeps the leaf hashes"
                    self.findings.append(Finding("warning", "deleted", self.stream, gap.start, "", what))
                else:
                    what = f"{_span(gap)} not here"
                    self.findings.append(Finding("error", "missing", self.stream, gap.start, "", what))
            expected = self.deleted.get(after.seq - 1) if absent else before.leaf
            if expected is not None and after.prev != expected:
                self._add("error", "wrong-prev", after, f"does not follow the batch {after.seq - 1} that is here")

    def _times(self, before: Entry, after: Entry) -> None:
        past, now = before.clock, after.clock
        if past.boot != now.boot:
            return
        if now.boot_ms < past.boot_ms:
            back = past.boot_ms - now.boot_ms
            self._add("error", "clock-backwards", after, f"boot time is {back} ms earlier than in the batch before")
        elif past.utc_ms is not None and now.utc_ms is not None:
            back = past.utc_ms - now.utc_ms
            if back > (past.error_ms or 0) + (now.error_ms or 0):
                self._add(
                    "warning", "clock-step", after, f"wall clock is {back} ms earlier than in the batch before"
                )

    def _boots(self, ordered: Sequence[Entry]) -> None:
        ended: set[bytes] = set()
        for before, after in pairwise(ordered):
            if before.clock.boot != after.clock.boot:
                ended.add(before.clock.boot)
                if after.clock.boot in ended:
                    self._add("error", "clock-backwards", after, "belongs to a boot that had ended")

    def _learn_leaves(self, ordered: Sequence[Entry]) -> None:
        """An absent batch is known by the hash that its successor names."""
        self.leaves.update(self.deleted)
        self.leaves.update((entry.seq - 1, entry.prev) for entry in ordered if entry.seq)
        self.leaves.update((entry.seq, entry.leaf) for entry in ordered)

    def _add(self, severity: Severity, kind: str, entry: Entry, what: str) -> None:
        self.findings.append(Finding(severity, kind, self.stream, entry.seq, entry.file, what))


def _runs(absent: range, deleted: Mapping[int, bytes]) -> Iterator[tuple[range, bool]]:
    """The absent numbers in stretches that are all deleted or all not."""
    start = absent.start
    for seq in absent:
        if seq + 1 == absent.stop or (seq + 1 in deleted) != (seq in deleted):
            yield range(start, seq + 1), seq in deleted
            start = seq + 1


def _span(gap: range) -> str:
    return f"batch {gap.start}" if len(gap) == 1 else f"batches {gap.start} to {gap.stop - 1}"
