"""Receipts: issued from the frontier alone, checked against the own root, worthless after one flipped bit."""

from collections.abc import Callable
from typing import Any

import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st
from sealing import refused

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.cose import parse1, sign1
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import (
    MAX_ANSWER,
    Receipt,
    Refusal,
    check_consistency,
    check_receipt,
    issue_consistency,
    issue_receipt,
    parse_answer,
    read_receipt,
    refusal,
)
from gateway.seal.tree import Frontier, leaf_hash, root_hash

ISS = "https://cluster.example/log"
SUB = "urn:aurora:member-17:gw-0042:scan"
IAT = 1_795_360_100
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]


def receipt_for(signer: FileSigner, size: int) -> bytes:
    return issue_receipt(signer, iss=ISS, sub=SUB, frontier=Frontier.of(LEAVES[:size]), iat=IAT)


def forged(signer: FileSigner, proof: object, *, size: object = 5, **changes: Any) -> bytes:
    """A receipt with any proof and header, rightly signed over the root of five leaves."""
    header = {4: signer.public.kid, 395: 1, 15: {1: ISS, 2: SUB, 6: IAT}, -65538: size, **changes.get("header", {})}
    unprotected = changes.get("unprotected", {396: {-1: [cbor.dumps(proof)]}})
    return sign1(
        signer, header, root_hash(LEAVES[:5]), unprotected=unprotected, detached=changes.get("detached", True)
    )


PATH = Frontier.of(LEAVES[:5]).newest_path()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 31, 32, 33])
def test_a_receipt_proves_the_newest_leaf(cluster: FileSigner, size: int) -> None:
    receipt = parse_answer(receipt_for(cluster, size))
    assert isinstance(receipt, Receipt)
    assert (receipt.iss, receipt.sub, receipt.iat) == (ISS, SUB, IAT)
    assert (receipt.tree_size, receipt.leaf_index) == (size, size - 1)
    root = root_hash(LEAVES[:size])
    assert check_receipt(receipt, cluster.public, LEAVES[size - 1], root) == root
    assert check_receipt(receipt, cluster.public, LEAVES[size - 1]) == root


def test_receipts_of_p256_keys(make_signer: Callable[..., FileSigner]) -> None:
    signer = make_signer(9, -9)
    check_receipt(read_receipt(receipt_for(signer, 7)), signer.public, LEAVES[6], root_hash(LEAVES[:7]))


def test_another_leaf_is_not_proven(cluster: FileSigner) -> None:
    with pytest.raises(SealError, match="bad-signature"):
        check_receipt(read_receipt(receipt_for(cluster, 5)), cluster.public, LEAVES[3])


def test_another_cluster_is_not_believed(cluster: FileSigner, make_signer: Callable[..., FileSigner]) -> None:
    receipt = read_receipt(receipt_for(make_signer(66), 5))
    with pytest.raises(SealError, match="wrong-key"):
        check_receipt(receipt, cluster.public, LEAVES[4])


def test_a_tree_that_is_not_ours_is_a_fork(cluster: FileSigner) -> None:
    other = [b"\1" * 32, *LEAVES[1:5]]
    receipt = read_receipt(issue_receipt(cluster, iss=ISS, sub=SUB, frontier=Frontier.of(other), iat=IAT))
    with pytest.raises(SealError) as caught:
        check_receipt(receipt, cluster.public, LEAVES[4], root_hash(LEAVES[:5]))
    assert caught.value.kind == "fork"


def test_every_flipped_bit_is_noticed(cluster: FileSigner) -> None:
    data, leaf, root = receipt_for(cluster, 6), LEAVES[5], root_hash(LEAVES[:6])
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            check_receipt(read_receipt(bytes(damaged)), cluster.public, leaf)
    check_receipt(read_receipt(data), cluster.public, leaf, root)


def test_the_size_of_the_tree_is_signed(cluster: FileSigner) -> None:
    """Leaf 3 of 4 and leaf 5 of 6 have paths of one form: without the signed size a relay could swap them."""
    size_4 = parse1(receipt_for(cluster, 4))
    proof = cbor.dumps([6, 5, Frontier.of(LEAVES[:4]).newest_path()])
    moved = {396: {-1: [proof]}}
    body = cbor.dumps(CBORTag(18, [size_4.protected_bytes, moved, None, size_4.signature]))
    with pytest.raises(SealError, match="not the size that is signed"):
        read_receipt(body)


NOT_ACCEPTED: dict[str, dict[str, Any]] = {
    "not the newest leaf": {"proof": [5, 3, PATH]},
    "leaf past the end": {"proof": [5, 5, PATH]},
    "size 0": {"proof": [0, 0, []], "size": 0},
    "another size is signed": {"proof": [5, 4, PATH], "size": 6},
    "no size is signed": {"proof": [5, 4, PATH], "size": None},
    "short hash": {"proof": [5, 4, [bytes(31)]]},
    "path is no list": {"proof": [5, 4, b""]},
    "endless path": {"proof": [5, 4, [bytes(32)] * 129]},
    "proof of two": {"proof": [5, 4]},
    "negative index": {"proof": [5, -1, PATH]},
    "two proofs": {"proof": 0, "unprotected": {396: {-1: [cbor.dumps([5, 4, PATH])] * 2}}},
    "proof is no bytes": {"proof": 0, "unprotected": {396: {-1: [[5, 4, PATH]]}}},
    "no proof": {"proof": 0, "unprotected": {}},
    "consistency instead": {"proof": 0, "unprotected": {396: {-2: [cbor.dumps([5, 4, PATH])]}}},
    "something besides": {"proof": 0, "unprotected": {396: {-1: [cbor.dumps([5, 4, PATH])]}, 1: 2}},
    "root is carried": {"proof": [5, 4, PATH], "detached": False},
    "another data structure": {"proof": [5, 4, PATH], "header": {395: 2}},
    "long kid": {"proof": [5, 4, PATH], "header": {4: bytes(32)}},
    "no claims": {"proof": [5, 4, PATH], "header": {15: None}},
    "no subject": {"proof": [5, 4, PATH], "header": {15: {1: ISS, 6: IAT}}},
    "no time": {"proof": [5, 4, PATH], "header": {15: {1: ISS, 2: SUB}}},
}


@pytest.mark.parametrize("changes", NOT_ACCEPTED.values(), ids=NOT_ACCEPTED)
def test_receipts_that_are_not_accepted(cluster: FileSigner, changes: dict[str, Any]) -> None:
    with pytest.raises(SealError) as caught:
        read_receipt(forged(cluster, **changes))
    assert caught.value.kind == "bad-receipt"


def test_a_path_of_the_wrong_length_is_refused(cluster: FileSigner) -> None:
    receipt = read_receipt(forged(cluster, [5, 4, [*PATH, PATH[0]]]))
    with pytest.raises(SealError, match="bad-proof"):
        check_receipt(receipt, cluster.public, LEAVES[4])


def test_no_receipt_for_nothing(cluster: FileSigner) -> None:
    with pytest.raises(SealError, match="bad-frontier"):
        issue_receipt(cluster, iss=ISS, sub=SUB, frontier=Frontier(), iat=IAT)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 2), (5, 9), (8, 16), (13, 40), (40, 40)])
def test_consistency_shows_that_nothing_was_rewritten(cluster: FileSigner, first: int, second: int) -> None:
    data = issue_consistency(cluster, iss=ISS, sub=SUB, first=first, leaves=LEAVES[:second], iat=IAT)
    checked = check_consistency(data, cluster.public, first, root_hash(LEAVES[:first]))
    assert checked == (ISS, SUB, IAT, first, second, root_hash(LEAVES[:second]))


def test_a_rewritten_log_has_no_consistency(cluster: FileSigner) -> None:
    rewritten = [*LEAVES[:2], b"\1" * 32, *LEAVES[3:9]]
    data = issue_consistency(cluster, iss=ISS, sub=SUB, first=5, leaves=rewritten, iat=IAT)
    with pytest.raises(SealError, match="bad-proof"):
        check_consistency(data, cluster.public, 5, root_hash(LEAVES[:5]))


def test_consistency_with_another_size_key_or_form_is_refused(
    cluster: FileSigner, make_signer: Callable[..., FileSigner]
) -> None:
    data = issue_consistency(cluster, iss=ISS, sub=SUB, first=5, leaves=LEAVES[:9], iat=IAT)
    root = root_hash(LEAVES[:5])
    with pytest.raises(SealError, match="begins at size 5"):
        check_consistency(data, cluster.public, 4, root)
    with pytest.raises(SealError, match="wrong-key"):
        check_consistency(data, make_signer(66).public, 5, root)
    with pytest.raises(SealError, match="bad-receipt"):
        check_consistency(receipt_for(cluster, 5), cluster.public, 5, root)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            check_consistency(bytes(damaged), cluster.public, 5, root)


@given(
    st.text(max_size=40),
    st.integers(0, 2**63 - 1),
    st.text(max_size=400),
    st.none() | st.integers(0, 2**63 - 1),
)
def test_refusals_come_back(sub: str, seq: int, reason: str, following: int | None) -> None:
    answer = parse_answer(refusal(sub, seq, reason, following))
    assert answer == Refusal(sub, seq, reason[:256], following)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"refused": SUB, "seq": 1, "reason": "x"},
        {"refused": SUB, "seq": -1, "reason": "x", "next": None},
        {"refused": SUB, "seq": 1, "reason": 5, "next": None},
        {"refused": SUB, "seq": 1, "reason": "x", "next": "2"},
        {"refused": "x" * 300, "seq": 1, "reason": "x", "next": 2},
        {"refused": SUB, "seq": True, "reason": "x", "next": 2},
    ],
    ids=str,
)
def test_answers_that_are_neither(answer: object) -> None:
    with pytest.raises(SealError, match="bad-answer"):
        parse_answer(cbor.dumps(answer))


def test_answers_have_a_largest_size(cluster: FileSigner) -> None:
    for start in (b"\xa0", b"\xd2"):
        with pytest.raises(SealError, match="too-large"):
            parse_answer(start + bytes(MAX_ANSWER))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    if refused(lambda: parse_answer(data)) is None:
        assert cbor.loads(data, "test")


@given(st.data())
def test_any_damage_to_a_receipt_raises_only_seal_error(cluster: FileSigner, data: st.DataObject) -> None:
    body = receipt_for(cluster, 11)
    start = data.draw(st.integers(0, len(body)))
    stop = data.draw(st.integers(start, len(body)))
    damaged = body[:start] + data.draw(st.binary(max_size=40)) + body[stop:]
    if damaged != body:
        with pytest.raises(SealError):
            check_receipt(read_receipt(damaged), cluster.public, LEAVES[10])
