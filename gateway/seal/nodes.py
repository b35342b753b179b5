"""Proofs of a large log from stored nodes: which few of them a proof is made of (RFC 9162, section 2.1).

A node is named by its level and its place in that level: (0, k) is leaf k, (l, k) the root of the complete subtree
over the leaves k * 2**l to (k + 1) * 2**l - 1. A node never changes once its subtree is complete.
"""

from collections.abc import Iterator, Mapping, Sequence

from gateway.errors import SealError
from gateway.seal.tree import Frontier, node_hash

__all__ = ["Node", "consistency_cover", "cover", "fold", "inclusion_cover", "newly_complete"]

Node = tuple[int, int]
Cover = list[Node]
"""Nodes side by side, the largest first: together they are one subtree, of any size."""


def cover(begin: int, end: int) -> Cover:
    """The complete nodes of the leaves ``begin`` to ``end`` - 1, which have to be a subtree of RFC 9162."""
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        found.append((level, begin >> level))
        begin += 1 << level
    return found


def fold(nodes: Cover, hashes: Mapping[Node, bytes]) -> bytes:
    """The hash of a subtree from those of its complete nodes; raises `SealError` ``bad-proof`` without one."""
    try:
        found = [hashes[node] for node in nodes]
    except KeyError as error:
        raise SealError("bad-proof", f"node {error.args[0]} of the log is not stored") from error
    top = found.pop()
    for left in reversed(found):
        top = node_hash(left, top)
    return top


def inclusion_cover(index: int, size: int) -> list[Cover]:
    """The path of leaf ``index`` in the tree of ``size`` leaves, from the bottom up, each step as its nodes."""
    if not 0 <= index < size:
        raise SealError("bad-proof", f"leaf {index} of {size}")
    return list(_inclusion(index, 0, size))


def _inclusion(index: int, begin: int, end: int) -> Iterator[Cover]:
    if end - begin == 1:
        return
    middle = begin + _split(end - begin)
    if index < middle:
        yield from _inclusion(index, begin, middle)
        yield cover(middle, end)
    else:
        yield from _inclusion(index, middle, end)
        yield cover(begin, middle)


def consistency_cover(first: int, second: int) -> list[Cover]:
    """The proof that a tree of ``first`` leaves is the beginning of one of ``second``, each step as its nodes."""
    if not 0 < first <= second:
        raise SealError("bad-proof", f"sizes {first} and {second}")
    return list(_consistency(first, 0, second, whole=True))


def _consistency(first: int, begin: int, end: int, *, whole: bool) -> Iterator[Cover]:
    if first == end:
        if not whole:
            yield cover(begin, end)
        return
    middle = begin + _split(end - begin)
    if first <= middle:
        yield from _consistency(first, begin, middle, whole=whole)
        yield cover(middle, end)
    else:
        yield from _consistency(first, middle, end, whole=False)
        yield cover(begin, middle)


def newly_complete(frontier: Frontier) -> Iterator[tuple[Node, bytes]]:
    """The nodes above the leaves that the newest leaf of a tree has completed, from the bottom up."""
    place, node = frontier.size - 1, frontier.newest_leaf()
    path: Sequence[bytes] = frontier.newest_path()
    level = 0
    while place >> level & 1:
        node = node_hash(path[level], node)
        level += 1
        yield (level, place >> level), node


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1
