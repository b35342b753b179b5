"""Evidence packs: everything that somebody else needs to check a point, a period or a lot offline, in one file."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from gateway.cluster.database import Work
from gateway.cluster.proof.certify import write_account
from gateway.cluster.proof.cosigned import gateway_keys, lines_of
from gateway.cluster.proof.log import NUMBERS, Stored, inclusion, newest, stream_name
from gateway.cluster.proof.stored import (
    Held,
    Point,
    Source,
    events_needed,
    gateway_of,
    is_of_lot,
    point_of,
    scans_of,
)
from gateway.errors import OperatorError
from gateway.model import Stream
from gateway.seal.checkpoint import StreamHead
from gateway.seal.cose import MessageSigner
from gateway.seal.nodes import Node, consistency_cover, fold, inclusion_cover, newly_complete
from gateway.seal.note import Note, NoteKey, read_note
from gateway.seal.offer import Proven
from gateway.seal.pack import CERTIFICATES, CHECKPOINT, CLUSTER_KEY, GATEWAYS, STATEMENTS, WITNESSES
from gateway.seal.packfile import MANIFEST, sign_manifest
from gateway.seal.packproof import StreamProof, write_proofs
from gateway.seal.tree import Frontier

__all__ = ["Wanted", "build_pack"]

MOST_LINES = 64
"""Cosignatures in a pack at most: those of its own gateways and of outside witnesses first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a pack is to prove: gateways (MQTT clients), a period (Unix ms), a lot or points of them.

    ``points`` maps a client to names of points; those at which the lot was come from its records.
    """

    clients: Sequence[str]
    from_ms: int
    to_ms: int
    lot: str | None = None
    points: Mapping[str, Sequence[str]] = field(default_factory=dict)
    witnesses: Sequence[NoteKey] = ()


async def build_pack(
    work: Work, signer: MessageSigner, wanted: Wanted, *, origin: str, now_ms: int
) -> dict[str, bytes]:
    """The files of a pack by their paths, the signed list included.

    Raises `OperatorError` for what cannot be proven: an unknown gateway or point, a lot of which there is no
    record, a cluster without a checkpoint.
    """
    stored = await newest(work)
    if stored is None:
        raise OperatorError("there is no checkpoint to prove anything against", "run `aurora-cluster checkpoint`")
    build = _Build(work, signer, wanted, origin=origin, now_ms=now_ms, stored=stored)
    for client in wanted.clients:
        await build.gateway(client)
    if wanted.lot is not None and not build.told:
        raise OperatorError(f"none of these gateways has a record of lot {wanted.lot}", "look at its number")
    await build.common()
    build.files[MANIFEST] = sign_manifest(build.files, signer, origin)
    return build.files


class _Build:
    def __init__(
        self, work: Work, signer: MessageSigner, wanted: Wanted, *, origin: str, now_ms: int, stored: Stored
    ) -> None:
        self.files: dict[str, bytes] = {}
        self.told: list[dict[str, Any]] = []
        """What gateways recorded of the lot."""
        self._work = work
        self._signer = signer
        self._wanted = wanted
        self._origin = origin
        self._now_ms = now_ms
        self._stored = stored
        self._about: list[dict[str, Any]] = []
        self._urns: dict[str, int] = {}

    async def gateway(self, client: str) -> None:
        """Everything of one gateway."""
        wanted, work = self._wanted, self._work
        source = await gateway_of(work, client)
        self._urns[source.identity.urn] = source.id
        folder = f"{GATEWAYS}/{client}"
        lots = await events_needed(work, source, lot=wanted.lot)
        points = [await point_of(work, source, name) for name in self._places(client, lots)]
        events = await events_needed(work, source, devices=[point.device for point in points], lot=wanted.lot)
        scans = await scans_of(work, source, wanted.from_ms, wanted.to_ms)
        for number, key in enumerate(source.keys):
            self.files[f"{folder}/keys/{number}.pem"] = key.pem()
        proofs: dict[Stream, StreamProof] = {}
        for stream, several in (("event", events), ("scan", scans)):
            kind: Stream = "event" if stream == "event" else "scan"
            for held in several:
                self.files[f"{folder}/{stream}/{held.batch.seq:08}.cose"] = held.body
            proofs[kind] = await self._prove(source, kind, [held.batch.seq for held in several])
            self.files[f"{folder}/{stream}.receipt"] = source.ground(
                kind, self._signer, self._origin, self._now_ms
            ).receipt
        self.files[f"{folder}/proofs.cbor"] = write_proofs(proofs)
        said = "SELECT place, statement FROM key_statement WHERE gateway = $1 ORDER BY place"
        for place, statement in await work.fetch(said, source.id):
            self.files[f"{folder}/{STATEMENTS}/{place:08}.cose"] = bytes(statement)
        await self._certify(source, points, events, scans)
        self._about.append(
            {
                "gateway": source.identity.urn,
                "site": source.identity.site,
                "points": [point._asdict() for point in points],
                "events": len(events),
                "scan_batches": len(scans),
            }
        )

    async def common(self) -> None:
        """The checkpoint with its witnesses, the cluster's key, and what is for people."""
        note = read_note(self._stored.note.encode())
        lines = await lines_of(self._work, self._stored.size)
        outside = {key.name: key for key in self._wanted.witnesses}
        lines.sort(key=lambda line: (line.name not in self._urns and line.name not in outside, line.name))
        lines = lines[:MOST_LINES]
        self.files[CHECKPOINT] = str(Note(note.text, (*note.lines, *lines))).encode()
        keys = [outside[line.name] for line in lines if line.name in outside]
        keys += [key async for key in self._other_keys([line.name for line in lines if line.name not in outside])]
        self.files[WITNESSES] = "".join(f"{key.vkey()}\n" for key in keys).encode()
        self.files[CLUSTER_KEY] = self._signer.public.pem()
        own = resources.files("gateway.cluster.proof")
        self.files["read_pack.py"] = (own / "read_pack.py").read_bytes()
        self.files["README.txt"] = (own / "pack_readme.txt").read_bytes()
        index = {
            "v": 1,
            "cluster": self._origin,
            "made_ms": self._now_ms,
            "from_ms": self._wanted.from_ms,
            "to_ms": self._wanted.to_ms,
            "lot": self._wanted.lot,
            "lot_records": self.told,
            "gateways": self._about,
        }
        self.files["pack.json"] = (json.dumps(index, indent=2, default=bytes.hex) + "\n").encode()

    def _places(self, client: str, held: Sequence[Held]) -> list[str]:
        """The points that are asked for, and those that records of the lot name."""
        names = dict.fromkeys(self._wanted.points.get(client, ()))
        for one in held:
            for event in one.events:
                if is_of_lot(event, self._wanted.lot):
                    data = {
                        name: event.data.get(name) for name in ("record", "lot", "direction", "point", "quantity")
                    }
                    self.told.append({"client": client, "batch": one.batch.seq, **data})
                    if isinstance(event.data.get("point"), str):
                        names[event.data["point"]] = None
        return list(names)

    async def _certify(
        self, source: Source, points: Sequence[Point], events: Sequence[Held], scans: Sequence[Held]
    ) -> None:
        period = self._wanted.from_ms, self._wanted.to_ms
        for point in points:
            path = f"{CERTIFICATES}/{source.identity.client}-{len(self.files):04}.cose"
            self.files[path] = await write_account(
                self._work,
                self._signer,
                source,
                point,
                (events, scans),
                origin=self._origin,
                period=period,
                now_ms=self._now_ms,
            )

    async def _prove(self, source: Source, stream: Stream, seqs: Sequence[int]) -> StreamProof:
        """The paths of some batches, and the leaf of the stream in the log."""
        number, frontier = NUMBERS.index(stream), source.frontiers[stream]
        nodes, tree = await self._nodes(source.id, number, frontier.size)
        if tree != frontier:
            raise OperatorError(
                f"{source.identity.client} {stream}: the tree is not that of its batches",
                "run `aurora-cluster verify`",
            )
        size = frontier.size
        paths = {seq: tuple(fold(step, nodes) for step in inclusion_cover(seq, size)) for seq in seqs}
        rows = await self._work.fetch(
            "SELECT size, root, place FROM log_leaf "
            "WHERE gateway = $1 AND stream = $2 AND place < $3 AND size <= $4 ORDER BY size DESC LIMIT 1",
            *(source.id, number, self._stored.size, size),
        )
        logged, grows = None, []
        if rows:
            covered, root, place = int(rows[0][0]), bytes(rows[0][1]), int(rows[0][2])
            head = StreamHead(stream_name(source.identity, number), covered, root)
            logged = Proven(head, place, tuple(await inclusion(self._work, place, self._stored.size)))
            grows = [fold(step, nodes) for step in consistency_cover(covered, size)]
        return StreamProof(size, frontier.root(), frontier.newest_leaf(), paths, logged, tuple(grows))

    async def _nodes(self, gateway: int, number: int, size: int) -> tuple[dict[Node, bytes], Frontier]:
        nodes: dict[Node, bytes] = {}
        tree = Frontier()
        async for (leaf,) in self._work.rows(
            "SELECT leaf FROM batch WHERE gateway = $1 AND stream = $2 AND seq < $3 ORDER BY seq",
            gateway,
            number,
            size,
        ):
            nodes[0, tree.size] = bytes(leaf)
            tree.append(bytes(leaf))
            nodes.update(newly_complete(tree))
        return nodes, tree

    async def _other_keys(self, names: Sequence[str]) -> AsyncIterator[NoteKey]:
        """Keys of witnesses that are gateways of this cluster, and not in the pack."""
        for name in names:
            if name in self._urns:
                continue
            client = name.removeprefix("urn:aurora:").replace(":", ".")
            for (gateway,) in await self._work.fetch("SELECT id FROM gateway WHERE client = $1", client):
                for key in await gateway_keys(self._work, int(gateway)):
                    yield key
