"""``aurora-cluster verify --checkpoints``: all that is stored against checkpoints, those kept elsewhere included.

Whoever administers the database and holds the cluster's key can make any store look whole: new bodies, new trees,
new receipts, a new log. He cannot change a checkpoint that somebody else has kept, nor what gateways have signed
about it. So everything is computed anew from the bodies, and compared with the stored log, with the stored
checkpoints, with the statements of gateways in their own signed batches, and with the checkpoints that are given.
"""

from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import NamedTuple

from gateway.cluster.database import Database, Work
from gateway.cluster.proof.cosigned import witness_key
from gateway.cluster.proof.log import name_of, stream_name
from gateway.cluster.proof.trail import Fault, Kept, Trail
from gateway.errors import SealError
from gateway.seal.checkpoint import StreamHead, log_key, open_checkpoint
from gateway.seal.cose import PublicKey
from gateway.seal.note import NoteKey, read_line
from gateway.seal.tree import Frontier
from gateway.site import Identity

__all__ = ["Fault", "Given", "Recomputed", "verify_checkpoints"]

NAMED = 8
"""Streams that are named where a stretch of the log is not what it was."""


class Given(NamedTuple):
    """A checkpoint that was kept elsewhere; ``source`` is its file."""

    source: str
    note: bytes


class Recomputed(NamedTuple):
    """What everything was compared with: leaves of the log, checkpoints stored and given, words of gateways."""

    leaves: int
    stored: int
    given: int
    said: int
    cosignatures: int
    """Lines of witnesses that hold."""


async def verify_checkpoints(
    database: Database,
    *,
    origin: str,
    key: PublicKey,
    given: Sequence[Given] = (),
    witnesses: Sequence[NoteKey] = (),
) -> AsyncIterator[Fault | Recomputed]:
    """Give a `Fault` for everything that does not fit, and a `Recomputed` at the end.

    ``origin`` and ``key`` are the log's; ``witnesses`` the keys of witnesses that are not gateways of this cluster.
    Reads every batch once. Each gateway is read in a view of its own: trees only grow, and one view that stays open
    for hours would keep what others delete.
    """
    audit = _Audit(database, log_key(origin, key), list(witnesses))
    async for fault in audit.run(given):
        yield fault
    yield Recomputed(audit.leaves, audit.stored, audit.given, audit.said, audit.cosigned)


class _Audit:
    _work: Work

    def __init__(self, database: Database, key: NoteKey, witnesses: list[NoteKey]) -> None:
        self.leaves = self.stored = self.given = self.said = self.cosigned = 0
        self._database = database
        self._key = key
        self._witnesses = witnesses
        self._names: dict[int, Identity] = {}
        self._kept: list[Kept] = []
        self._texts: dict[int, str] = {}

    async def run(self, given: Sequence[Given]) -> AsyncIterator[Fault]:
        async with self._database.transaction(write=False) as self._work:
            for row in await self._work.fetch(
                "SELECT gateway.id, member.name, gateway.site, gateway.name FROM gateway "
                "JOIN member ON member.id = gateway.member ORDER BY gateway.id"
            ):
                self._names[int(row[0])] = name_of(row[1], row[2], row[3])
            keys = await self._keys()
        for gateway, identity in self._names.items():
            async with self._database.transaction(write=False) as self._work:
                for number in (0, 1):
                    trail = Trail(self._work, gateway, identity, number, keys.get(gateway, []))
                    async for fault in trail.faults():
                        yield fault
                    self._kept += trail.said
                    self.said += len(trail.said)
        async with self._database.transaction(write=False) as self._work:
            for fault in (*self._take(given), *await self._take_stored()):
                yield fault
            async for fault in self._lines(keys):
                yield fault
            async for fault in self._log():
                yield fault

    async def _keys(self) -> dict[int, list[PublicKey]]:
        found: dict[int, list[PublicKey]] = {}
        for gateway, text in await self._work.fetch("SELECT gateway, public FROM term ORDER BY gateway, place"):
            found.setdefault(int(gateway), []).append(PublicKey.from_pem(str(text).encode()))
        return found

    # What the log is compared with

    def _take(self, given: Sequence[Given]) -> list[Fault]:
        faults = []
        for one in given:
            try:
                checkpoint, note = open_checkpoint(one.note, [self._key])
                note.signed_by(self._witnesses)
            except SealError as error:
                faults.append(Fault(one.source, f"is no checkpoint of {self._key.name} ({error})"))
            else:
                self._kept.append(Kept(one.source, checkpoint))
                self.given += 1
        return faults

    async def _take_stored(self) -> list[Fault]:
        faults = []
        for size, root, text in await self._work.fetch("SELECT size, root, note FROM checkpoint ORDER BY size"):
            place = f"checkpoint {size}"
            self.stored += 1
            try:
                checkpoint, note = open_checkpoint(str(text).encode(), [self._key])
            except SealError as error:
                faults.append(Fault(place, f"does not hold ({error})"))
                continue
            if (checkpoint.size, checkpoint.root) != (size, bytes(root)):
                faults.append(Fault(place, "its row and its note say different things"))
            self._texts[int(size)] = note.text
            self._kept.append(Kept(place, checkpoint))
        return faults

    async def _lines(self, keys: dict[int, list[PublicKey]]) -> AsyncIterator[Fault]:
        """The lines of witnesses, by the keys of the gateways and those that were given."""
        pairs = [(identity.urn, key) for gateway, identity in self._names.items() for key in keys.get(gateway, [])]
        every = [*self._witnesses, *(witness_key(urn, key) for urn, key in pairs)]
        known = {(key.name, key.id): key for key in every}
        for size, witness, text in await self._work.fetch(
            "SELECT size, witness, line FROM cosignature ORDER BY size, witness"
        ):
            place = f"cosignature of {witness} for {size}"
            try:
                line = read_line(str(text).removesuffix("\n"))
                key = known.get((line.name, line.id))
                if key is None:
                    yield Fault(place, f"its key {line.id.hex()} is not known here; use --witness-key")
                    continue
                key.verify(line.signature, self._texts.get(int(size), ""))
            except SealError as error:
                yield Fault(place, f"does not hold ({error})")
            else:
                self.cosigned += 1

    # The log

    async def _log(self) -> AsyncIterator[Fault]:
        """Leaves in their order: none missing, each what its row says, and the root of every size that is known."""
        wanted: dict[int, list[Kept]] = {}
        for kept in self._kept:
            if kept.checkpoint.origin != self._key.name:
                yield Fault(kept.source, f"is about another log, {kept.checkpoint.origin}")
            else:
                wanted.setdefault(kept.checkpoint.size, []).append(kept)
        frontier, agreed, parted = Frontier(), 0, False
        async for place, gateway, number, size, root, leaf in self._work.rows(
            "SELECT place, gateway, stream, size, root, leaf FROM log_leaf ORDER BY place"
        ):
            if place != frontier.size:
                yield Fault(f"log leaf {frontier.size}", "is missing")
                break
            identity = self._names.get(int(gateway))
            sub = "" if identity is None else stream_name(identity, int(number))
            if not sub or StreamHead(sub, int(size), bytes(root)).leaf != bytes(leaf):
                yield Fault(f"log leaf {place}", f"is not that of {sub or 'its gateway'}, {size}")
            frontier.append(bytes(leaf))
            for kept in wanted.pop(frontier.size, []):
                if kept.checkpoint.root == frontier.root():
                    agreed = frontier.size if not parted else agreed
                    continue
                parted = True
                yield Fault(kept.source, await self._between(agreed, kept.checkpoint.size))
        self.leaves = frontier.size
        for size, several in sorted(wanted.items()):
            for kept in several:
                yield Fault(kept.source, f"is of {size} leaves; the log here has {frontier.size}")

    async def _between(self, agreed: int, size: int) -> str:
        """In words: a checkpoint of ``size`` leaves has another root; up to ``agreed`` one was right."""
        names: dict[str, None] = {}
        async for gateway, number in self._work.rows(
            "SELECT gateway, stream FROM log_leaf WHERE place >= $1 AND place < $2 ORDER BY place", agreed, size
        ):
            identity = self._names.get(int(gateway))
            names["?" if identity is None else stream_name(identity, int(number))] = None
        shown = ", ".join(islice(names, NAMED)) + (" ..." if len(names) > NAMED else "")
        return (
            f"the log here has another root for {size} leaves: of the leaves {agreed} to {size - 1}, about "
            f"{shown}, something is not what it was"
        )
