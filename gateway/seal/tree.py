"""Merkle tree of a stream: RFC 9162, section 2.1, with SHA-256.

A tree is given by its leaf hashes in order, or by its `Frontier`, which is all that is needed to append and to
prove the newest leaf. Sizes count leaves; every hash is 32 bytes; a proof of any other form is refused.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from gateway.errors import SealError

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: SHA-256(0x00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the newest leaf and its inclusion path, O(log size).

    ``hashes`` holds the newest leaf hash, then its path from the bottom up (empty for an empty tree). Every
    step of that path is a left sibling, so root, append and proof all follow from it.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if not 0 <= size <= MAX_SIZE:
            raise SealError("bad-frontier", f"size {size}")
        if len(hashes) != (1 + (size - 1).bit_count() if size else 0):
            raise SealError("bad-frontier", f"{len(hashes)} hashes for size {size}")
        _check_hashes(hashes, "bad-frontier")
        self.size = size
        self.hashes = tuple(hashes)

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> "Frontier":
        """The frontier of a tree with these leaf hashes."""
        frontier = cls()
        for leaf in leaves:
            frontier.append(leaf)
        return frontier

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """The inverse of `to_bytes`; raises `SealError` ``bad-frontier``."""
        if len(data) < 8 or len(data) % HASH_BYTES != 8:
            raise SealError("bad-frontier", f"{len(data)} bytes")
        hashes = [data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES)]
        return cls(int.from_bytes(data[:8], "big"), hashes)

    def to_bytes(self) -> bytes:
        """Size as 8 bytes, most significant first, then the hashes."""
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)

    def copy(self) -> "Frontier":
        """A frontier of its own with the same content."""
        return Frontier(self.size, self.hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf, given by its hash."""
        _check_hashes((leaf,), "bad-frontier")
        if self.size:
            top, path = self.hashes[0], self.hashes[1:]
            closed = _trailing_ones(self.size - 1)
            for left in path[:closed]:
                top = node_hash(left, top)
            self.hashes = (leaf, top, *path[closed:])
        else:
            self.hashes = (leaf,)
        self.size += 1

    def root(self) -> bytes:
        """Root hash; of the empty tree SHA-256 of nothing."""
        if not self.size:
            return sha256(b"").digest()
        top = self.hashes[0]
        for left in self.hashes[1:]:
            top = node_hash(left, top)
        return top

    def newest_leaf(self) -> bytes:
        """Hash of leaf size - 1; raises `SealError` ``bad-frontier`` on an empty tree."""
        if not self.size:
            raise SealError("bad-frontier", "an empty tree has no newest leaf")
        return self.hashes[0]

    def newest_path(self) -> list[bytes]:
        """Inclusion path of leaf size - 1, from the bottom up (empty for a tree of one leaf)."""
        return list(self.hashes[1:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frontier) and (self.size, self.hashes) == (other.size, other.hashes)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Frontier(size={self.size}, root={self.root().hex()[:16]})"


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Root of a tree with these leaf hashes (RFC 9162, 2.1.1)."""
    return Frontier.of(leaves).root()


def inclusion_path(leaves: Sequence[bytes], index: int, size: int) -> list[bytes]:
    """Path of leaf ``index`` in the tree of the first ``size`` leaf hashes, from the bottom up (2.1.3.1)."""
    if not 0 <= index < size <= len(leaves):
        raise SealError("bad-proof", f"no leaf {index} in a tree of {size} with {len(leaves)} leaves at hand")
    if size == 1:
        return []
    split = _split(size)
    if index < split:
        return [*inclusion_path(leaves, index, split), root_hash(leaves[split:size])]
    return [*inclusion_path(leaves[split:size], index - split, size - split), root_hash(leaves[:split])]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf hash, its place and its path lead to (RFC 9162, 2.1.3.2).

    Raises `SealError` ``bad-proof`` when the path does not have the form that index and size ask for. Whether
    the root is the right one is for the caller: compare it, or check a signature over it.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise SealError("bad-proof", f"leaf {index} of {size}")
    _check_hashes((leaf, *path), "bad-proof")
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(path) != inner + border:
        raise SealError("bad-proof", f"{len(path)} hashes in the path, {inner + border} are needed")
    node = leaf
    for level, other in enumerate(path):
        left = level >= inner or index >> level & 1
        node = node_hash(other, node) if left else node_hash(node, other)
    return node


def consistency_path(leaves: Sequence[bytes], first: int, second: int) -> list[bytes]:
    """Proof that the first ``first`` leaf hashes are the beginning of the first ``second`` (2.1.4.1)."""
    if not 0 < first <= second <= len(leaves):
        raise SealError("bad-proof", f"sizes {first} and {second} with {len(leaves)} leaves at hand")
    return _subproof(leaves[:second], first, whole=True)


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the tree of ``second`` leaves begins with the tree of ``first`` (RFC 9162, 2.1.4.2).

    Raises `SealError` ``bad-proof`` when it has not been shown.
    """
    if not 0 < first <= second <= MAX_SIZE:
        raise SealError("bad-proof", f"sizes {first} and {second}")
    _check_hashes((first_root, second_root, *path), "bad-proof")
    if first == second:
        if path or first_root != second_root:
            raise SealError("bad-proof", "equal sizes with different roots, or with a path")
        return
    nodes = list(path) if first & (first - 1) else [first_root, *path]
    old, new = _fold_consistency(first - 1, second - 1, nodes)
    if old != first_root or new != second_root:
        raise SealError("bad-proof", f"the tree of {second} does not begin with the tree of {first}")


def _fold_consistency(old_edge: int, new_edge: int, nodes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both roots from the nodes of a proof; the edges are the indexes of the two newest leaves."""
    if not nodes:
        raise SealError("bad-proof", "the path is empty")
    shift = _trailing_ones(old_edge)
    old_edge, new_edge = old_edge >> shift, new_edge >> shift
    old = new = nodes[0]
    for node in nodes[1:]:
        if new_edge == 0:
            raise SealError("bad-proof", "the path is too long")
        if old_edge & 1 or old_edge == new_edge:
            old, new = node_hash(node, old), node_hash(node, new)
            while not old_edge & 1 and old_edge:
                old_edge, new_edge = old_edge >> 1, new_edge >> 1
        else:
            new = node_hash(new, node)
        old_edge, new_edge = old_edge >> 1, new_edge >> 1
    if new_edge:
        raise SealError("bad-proof", "the path is too short")
    return old, new


def _subproof(leaves: Sequence[bytes], first: int, *, whole: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if whole else [root_hash(leaves)]
    split = _split(len(leaves))
    if first <= split:
        return [*_subproof(leaves[:split], first, whole=whole), root_hash(leaves[split:])]
    return [*_subproof(leaves[split:], first - split, whole=False), root_hash(leaves[:split])]


def _split(size: int) -> int:
    """Largest power of two below ``size`` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _trailing_ones(number: int) -> int:
    return (~number & (number + 1)).bit_length() - 1


def _check_hashes(hashes: Iterable[object], kind: str) -> None:
    for item in hashes:
        if not isinstance(item, bytes) or len(item) != HASH_BYTES:
            raise SealError(kind, f"a hash that is not {HASH_BYTES} bytes")
