"""Merkle tree: public vectors, and agreement with a recomputation that knows only the definition."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealing import refused

from gateway.errors import SealError
from gateway.seal.tree import (
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors/merkle.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]
NODES = {name: bytes.fromhex(node) for name, node in VECTORS["nodes"].items()}
MANY = [leaf_hash(index.to_bytes(4, "big")) for index in range(70)]

sizes = st.integers(1, len(MANY))


def path_of(names: Sequence[str]) -> list[bytes]:
    return [NODES[name] if name else b"" for name in names]


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = max(1 << bit for bit in range(20) if 1 << bit < len(leaves))
    return node_hash(by_definition(leaves[:split]), by_definition(leaves[split:]))


@pytest.mark.parametrize("size", range(9))
def test_root_of_the_reference_leaves(size: int) -> None:
    assert root_hash(LEAVES[:size]) == ROOTS[size]
    assert Frontier.of(LEAVES[:size]).root() == ROOTS[size]


@pytest.mark.parametrize("name", NODES)
def test_inner_nodes_of_the_reference_leaves(name: str) -> None:
    first, last = map(int, name.split(":"))
    assert root_hash(LEAVES[first:last]) == NODES[name]


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=str)
def test_reference_inclusion(vector: dict[str, Any]) -> None:
    index, size, path = vector["index"], vector["size"], path_of(vector["path"])
    assert inclusion_path(LEAVES, index, size) == path
    assert verify_inclusion(LEAVES[index], index, size, path) == ROOTS[size]


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=str)
def test_reference_consistency(vector: dict[str, Any]) -> None:
    first, second, path = vector["first"], vector["second"], path_of(vector["path"])
    assert consistency_path(LEAVES, first, second) == path
    verify_consistency(first, second, ROOTS[first], ROOTS[second], path)


@pytest.mark.parametrize("vector", VECTORS["refused_inclusion"], ids=lambda vector: vector["why"])
def test_refused_inclusion(vector: dict[str, Any]) -> None:
    index, size = vector["index"], vector["size"]
    with pytest.raises(SealError, match="bad-proof"):
        verify_inclusion(LEAVES[min(index, 7)], index, size, path_of(vector["path"]))


@pytest.mark.parametrize("vector", VECTORS["refused_consistency"], ids=lambda vector: vector["why"])
def test_refused_consistency(vector: dict[str, Any]) -> None:
    first, second = vector["first"], vector["second"]
    with pytest.raises(SealError, match="bad-proof"):
        verify_consistency(first, second, ROOTS[vector["root"]], ROOTS[min(second, 8)], path_of(vector["path"]))


@pytest.mark.parametrize("vector", VECTORS["consistency"][1:], ids=str)
def test_consistency_with_a_wrong_root_or_a_changed_bit_is_refused(vector: dict[str, Any]) -> None:
    first, second, path = vector["first"], vector["second"], path_of(vector["path"])
    old, new = ROOTS[first], ROOTS[second]
    broken = [(new, old, path), (ROOTS[3], new, path), (old, ROOTS[3], path), (b"short", new, path)]
    for at, node in enumerate(path):
        broken.append((old, new, [*path[:at], bytes([node[0] ^ 16]) + node[1:], *path[at + 1 :]]))
    for old_root, new_root, changed in broken:
        with pytest.raises(SealError, match="bad-proof"):
            verify_consistency(first, second, old_root, new_root, changed)


@pytest.mark.parametrize("size", range(1, len(MANY) + 1))
def test_frontier_knows_root_and_newest_path_of_every_size(size: int) -> None:
    frontier = Frontier.of(MANY[:size])
    assert frontier.size == size
    assert frontier.root() == by_definition(MANY[:size])
    assert frontier.newest_leaf() == MANY[size - 1]
    assert frontier.newest_path() == inclusion_path(MANY, size - 1, size)
    assert len(frontier.hashes) <= 1 + size.bit_length()
    assert Frontier.from_bytes(frontier.to_bytes()) == frontier


@given(sizes, st.data())
def test_inclusion_leads_to_the_root(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(MANY, index, size)
    root = by_definition(MANY[:size])
    assert verify_inclusion(MANY[index], index, size, path) == root
    if path:
        at, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
        path[at] = flip(path[at], bit)
        assert verify_inclusion(MANY[index], index, size, path) != root


@given(sizes, st.data())
def test_consistency_holds_for_prefixes_and_for_nothing_else(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    old, new = by_definition(MANY[:first]), by_definition(MANY[:second])
    path = consistency_path(MANY, first, second)
    verify_consistency(first, second, old, new, path)

    at, bit = data.draw(st.integers(0, first - 1)), data.draw(st.integers(0, 255))
    other = [*MANY[:at], flip(MANY[at], bit), *MANY[at + 1 :]]
    with pytest.raises(SealError, match="bad-proof"):
        verify_consistency(
            first, second, old, by_definition(other[:second]), consistency_path(other, first, second)
        )


@given(st.integers(-2, 300), st.integers(-2, 300), st.lists(st.binary(min_size=31, max_size=33), max_size=9))
def test_any_shape_of_proof_is_answered_or_refused(first: int, second: int, path: list[bytes]) -> None:
    for check in (
        lambda: verify_inclusion(MANY[0], first, second, path),
        lambda: verify_consistency(first, second, MANY[0], MANY[1], path),
    ):
        assert refused(check) in (None, "bad-proof")


@given(
    st.binary(max_size=200) | st.integers(0, 40).flatmap(lambda size: st.just(Frontier.of(MANY[:size]).to_bytes()))
)
def test_frontier_reads_only_what_it_writes(data: bytes) -> None:
    kind = refused(lambda: Frontier.from_bytes(data))
    assert kind in (None, "bad-frontier")
    if kind is None:
        assert Frontier.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    ("size", "hashes"), [(-1, []), (2**63, [MANY[0]] * 64), (0, MANY[:1]), (1, []), (3, MANY[:3]), (1, [b"short"])]
)
def test_a_frontier_that_cannot_be(size: int, hashes: list[bytes]) -> None:
    with pytest.raises(SealError, match="bad-frontier"):
        Frontier(size, hashes)


def test_frontier_copies_are_independent() -> None:
    frontier = Frontier.of(MANY[:5])
    copy = frontier.copy()
    copy.append(MANY[5])
    assert (frontier.size, copy.size) == (5, 6)
    assert frontier != copy
    assert "size=5" in repr(frontier)


@pytest.mark.parametrize("leaf", [b"", b"short", bytes(33), "text", None])
def test_a_leaf_that_is_no_hash_is_refused(leaf: Any) -> None:
    with pytest.raises(SealError, match="bad-frontier"):
        Frontier().append(leaf)


def test_an_empty_tree_has_no_newest_leaf() -> None:
    with pytest.raises(SealError, match="empty"):
        Frontier().newest_leaf()


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 4), (4, 4), (0, 71)])
def test_no_path_for_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(SealError, match="bad-proof"):
        inclusion_path(MANY, index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 4), (5, 4), (1, 71)])
def test_no_consistency_of_what_is_not_there(first: int, second: int) -> None:
    with pytest.raises(SealError, match="bad-proof"):
        consistency_path(MANY, first, second)


def flip(node: bytes, bit: int) -> bytes:
    changed = bytearray(node)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
