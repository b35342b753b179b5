"""The proofs of one gateway in an evidence pack: each batch in its stream's tree, each stream in the cluster's log.

``proofs.cbor`` is a map from stream to a map: 1 batches in the tree, 2 its root, 3 the leaf of the newest batch,
4 the paths of the batches in the pack by sequence number, 5 the stream's leaf in the log ([size, root, place,
path]), or null where the log has none, 6 the proof that the tree goes on from that size.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from gateway.errors import SealError
from gateway.model import Stream
from gateway.seal import cbor
from gateway.seal.batch import subject
from gateway.seal.checkpoint import Checkpoint, StreamHead
from gateway.seal.cose import PublicKey
from gateway.seal.offer import Proven, read_proven
from gateway.seal.receipt import check_receipt, read_receipt
from gateway.seal.tree import HASH_BYTES, verify_consistency, verify_inclusion

__all__ = ["StreamProof", "read_proofs", "write_proofs"]

_KIND = "bad-proofs"


class StreamProof(NamedTuple):
    """What proves the batches of one stream."""

    size: int
    root: bytes
    newest: bytes
    paths: Mapping[int, tuple[bytes, ...]]
    logged: Proven | None
    grows: tuple[bytes, ...]

    def check_batch(self, seq: int, leaf: bytes) -> None:
        """Raise `SealError` ``bad-proof`` unless this is batch ``seq`` of the tree."""
        path = self.paths.get(seq)
        if path is None:
            raise SealError("bad-proof", f"there is no proof for batch {seq}")
        if verify_inclusion(leaf, seq, self.size, path) != self.root:
            raise SealError("bad-proof", f"batch {seq} is another one than in the tree of {self.size} batches")

    def check_receipt(self, data: bytes, sub: str, key: PublicKey) -> None:
        """Raise `SealError` unless the cluster vouches for this tree of the stream ``sub``."""
        receipt = read_receipt(data)
        if (receipt.sub, receipt.tree_size) != (sub, self.size):
            raise SealError("bad-receipt", f"is for {receipt.tree_size} batches of {receipt.sub}")
        check_receipt(receipt, key, self.newest, self.root)

    def check_log(self, checkpoint: Checkpoint) -> int:
        """How many batches of the stream the checkpoint covers; raises `SealError` ``bad-proof``."""
        if self.logged is None:
            return 0
        self.logged.check(checkpoint)
        head = self.logged.head
        verify_consistency(head.size, self.size, head.root, self.root, self.grows)
        return head.size


def write_proofs(proofs: Mapping[Stream, StreamProof]) -> bytes:
    """Deterministic CBOR; the stream's name is not repeated in its leaf."""
    return cbor.dumps({stream: _plain(proof) for stream, proof in proofs.items()})


def read_proofs(data: bytes, iss: str) -> dict[Stream, StreamProof]:
    """The inverse, for the gateway ``iss``; raises `SealError` ``bad-proofs``."""
    content = cbor.loads(data, _KIND)
    if not isinstance(content, dict) or set(content) != {"event", "scan"} or cbor.dumps(content) != data:
        raise SealError(_KIND, "not a map of both streams")
    return {stream: _read(item, subject(iss, stream)) for stream, item in cast(dict[Stream, Any], content).items()}


def _plain(proof: StreamProof) -> dict[int, object]:
    logged = proof.logged
    leaf = None if logged is None else [logged.head.size, logged.head.root, logged.place, list(logged.path)]
    paths = {seq: list(path) for seq, path in proof.paths.items()}
    return {1: proof.size, 2: proof.root, 3: proof.newest, 4: paths, 5: leaf, 6: list(proof.grows)}


def _read(item: Any, sub: str) -> StreamProof:
    match item:
        case {1: int(size), 2: bytes(root), 3: bytes(newest), 4: dict(paths), 5: leaf, 6: list(grows), **rest} if (
            not rest and _hashes([root, newest, *grows])
        ):
            found = {_seq(seq): _path(path) for seq, path in paths.items()}
            return StreamProof(size, root, newest, found, _leaf(leaf, sub), tuple(grows))
        case _:
            raise SealError(
                _KIND, f"{sub} is not made of size, root, newest leaf, paths, leaf of the log and proof"
            )


def _leaf(leaf: Any, sub: str) -> Proven | None:
    if leaf is None:
        return None
    if not isinstance(leaf, list):
        raise SealError(_KIND, "a leaf of the log is not a list")
    proven = read_proven([sub, *leaf])
    return Proven(StreamHead(*proven.head), proven.place, proven.path)


def _seq(seq: object) -> int:
    if type(seq) is not int or seq < 0:
        raise SealError(_KIND, "a sequence number is no number")
    return seq


def _path(path: object) -> tuple[bytes, ...]:
    if not isinstance(path, list) or not _hashes(path):
        raise SealError(_KIND, "a path is not made of hashes")
    return tuple(path)


def _hashes(items: list[Any]) -> bool:
    return all(isinstance(item, bytes) and len(item) == HASH_BYTES for item in items)
