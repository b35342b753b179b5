"""What the cluster publishes to a gateway each day: a checkpoint, and the proofs that it concerns this gateway.

A CBOR map: 1 the version, 2 the request to cosign (text, as C2SP tlog-witness has it), 3 a list of leaves about the
gateway's own streams, each [sub, size, root, place, path]. Format with an example: docs/cluster-proofs.md.
"""

from typing import NamedTuple

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.checkpoint import Checkpoint, StreamHead
from gateway.seal.note import MAX_NAME
from gateway.seal.tree import HASH_BYTES, MAX_SIZE, verify_inclusion
from gateway.seal.witness import MAX_PROOF, MAX_REQUEST

__all__ = ["Offer", "Proven", "read_offer", "write_offer"]

VERSION = 1
MAX_HEADS = 8
MAX_OFFER = MAX_REQUEST + MAX_HEADS * 4096
_KIND = "bad-offer"


class Proven(NamedTuple):
    """A leaf of the log with its place and path."""

    head: StreamHead
    place: int
    path: tuple[bytes, ...]

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise `SealError` ``bad-proof`` unless the log of the checkpoint has this leaf."""
        if verify_inclusion(self.head.leaf, self.place, checkpoint.size, self.path) != checkpoint.root:
            raise SealError("bad-proof", f"the log has another leaf {self.place} than one for {self.head.sub}")


class Offer(NamedTuple):
    """A request to cosign (`write_request`) with the newest leaf of each of the gateway's streams."""

    request: bytes
    heads: tuple[Proven, ...]


def write_offer(offer: Offer) -> bytes:
    """Deterministic CBOR of an offer."""
    heads = [[*proven.head, proven.place, list(proven.path)] for proven in offer.heads]
    return cbor.dumps({1: VERSION, 2: offer.request, 3: heads})


def read_offer(data: bytes) -> Offer:
    """The inverse; raises `SealError` ``bad-offer`` or ``too-large``."""
    if len(data) > MAX_OFFER:
        raise SealError("too-large", f"{len(data)} bytes, at most {MAX_OFFER} are read")
    match cbor.loads(data, _KIND):
        case {1: 1, 2: bytes(request), 3: list(heads), **rest} if not rest and len(heads) <= MAX_HEADS:
            return Offer(request, tuple(read_proven(item) for item in heads))
        case _:
            raise SealError(_KIND, "not a map of version 1, request and leaves")


def read_proven(item: object) -> Proven:
    """One leaf with its proof; raises `SealError` ``bad-offer``."""
    match item:
        case [str(sub), int(size), bytes(root), int(place), list(path)] if (
            0 < len(sub) <= MAX_NAME
            and not isinstance(size, bool)
            and not isinstance(place, bool)
            and 0 < size <= MAX_SIZE
            and 0 <= place < MAX_SIZE
            and len(path) <= MAX_PROOF
            and all(isinstance(node, bytes) and len(node) == HASH_BYTES for node in (root, *path))
        ):
            return Proven(StreamHead(sub, size, root), place, tuple(path))
        case _:
            raise SealError(_KIND, "a leaf is not made of stream, size, root, place and path")
