"""Receipts: the cluster's signed proof of what it has durably stored (RFC 9942, COSE Receipts).

A receipt is issued for the newest leaf of a stream, and so acknowledges every batch of the stream up to it: the
gateway compares the root with the one it computes itself. RFC 9942 signs the root but leaves the size of the
tree in the unprotected part, where a relay could change it; a private header repeats the size under the signature.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.cose import (
    CWT_CLAIMS,
    IAT,
    ISS,
    KID,
    KID_BYTES,
    SIGN1_TAG,
    SUB,
    MessageSigner,
    Parsed,
    PublicKey,
    parse1,
    sign1,
    verify1,
)
from gateway.seal.tree import (
    HASH_BYTES,
    MAX_SIZE,
    Frontier,
    consistency_path,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

VDS, VDP = 395, 396
"""Header labels: verifiable data structure (protected) and its proofs (unprotected)."""
RFC9162_SHA256 = 1
INCLUSION, CONSISTENCY = -1, -2
TREE_SIZE = -65538
"""Private protected header: the size of the tree whose root is signed."""

MAX_ANSWER = 8 * 1024
MAX_TEXT = 256
MAX_PATH = 64


class Receipt(NamedTuple):
    """A receipt taken apart; it counts only after `check_receipt`."""

    iss: str
    sub: str
    iat: int
    """When it was issued, Unix seconds."""
    kid: bytes
    tree_size: int
    leaf_index: int
    path: tuple[bytes, ...]
    parsed: Parsed


class Consistency(NamedTuple):
    """A checked statement that a tree of ``second`` leaves begins with the tree of ``first``."""

    iss: str
    sub: str
    iat: int
    first: int
    second: int
    root: bytes
    """Root of the tree of ``second`` leaves."""


class Refusal(NamedTuple):
    """Why the cluster did not take a batch. Unsigned, hence advice: nothing may be deleted because of it."""

    sub: str
    seq: int
    reason: str
    next_seq: int | None
    """The sequence that the cluster waits for, where it says so."""


def issue_receipt(signer: MessageSigner, *, iss: str, sub: str, frontier: Frontier, iat: int) -> bytes:
    """The receipt for the newest leaf of a stream's tree. ``iat`` in Unix seconds.

    Raises `SealError` ``bad-frontier`` for an empty tree. (For a tree of one leaf the path is empty, which
    RFC 9162 asks for and the CDDL of RFC 9942 has no form for.)
    """
    frontier.newest_leaf()
    proof = cbor.dumps([frontier.size, frontier.size - 1, frontier.newest_path()])
    header = _header(signer, iss, sub, iat, frontier.size)
    return sign1(signer, header, frontier.root(), unprotected={VDP: {INCLUSION: [proof]}}, detached=True)


def read_receipt(data: bytes) -> Receipt:
    """Take a receipt apart; raises `SealError` with the kinds of `parse1` and ``bad-receipt``."""
    parsed = parse1(data, MAX_ANSWER)
    if parsed.payload is not None:
        raise SealError("bad-receipt", "the root is carried, not computed")
    size, index, path = _proof(parsed, INCLUSION)
    if index != size - 1:
        raise SealError("bad-receipt", f"for leaf {index} of {size}, not for the newest")
    iss, sub, iat, kid = _claims(parsed, size)
    return Receipt(iss, sub, iat, kid, size, index, path, parsed)


def check_receipt(receipt: Receipt, key: PublicKey, leaf: bytes, root: bytes | None = None) -> bytes:
    """Check a receipt for the newest leaf (its hash); returns the root that the cluster signed.

    Path first, then the signature over the computed root (RFC 9942), then ``root``, the one the gateway
    computes from its own leaves. Raises `SealError`: ``bad-proof``, ``wrong-key``, ``bad-signature``, and
    ``fork`` when the cluster has signed another tree than the gateway has. A signature that fails can also
    mean that the cluster holds another leaf here.
    """
    computed = verify_inclusion(leaf, receipt.leaf_index, receipt.tree_size, receipt.path)
    _check_kid(receipt.kid, key)
    verify1(receipt.parsed, key, computed)
    if root is not None and root != computed:
        raise SealError("fork", f"tree of {receipt.tree_size} leaves of {receipt.sub} has another root here")
    return computed


def issue_consistency(
    signer: MessageSigner, *, iss: str, sub: str, first: int, leaves: Sequence[bytes], iat: int
) -> bytes:
    """A signed proof that the tree of all ``leaves`` (hashes) begins with the tree of the first ``first``."""
    size = len(leaves)
    proof = cbor.dumps([first, size, consistency_path(leaves, first, size)])
    header = _header(signer, iss, sub, iat, size)
    return sign1(signer, header, root_hash(leaves), unprotected={VDP: {CONSISTENCY: [proof]}})


def check_consistency(data: bytes, key: PublicKey, first: int, first_root: bytes) -> Consistency:
    """Check a consistency receipt against the tree that is already known by size and root.

    Signature first, then the path (RFC 9942). Raises `SealError` with the kinds of `parse1`, ``bad-receipt``,
    ``wrong-key``, ``bad-signature`` and ``bad-proof``.
    """
    parsed = parse1(data, MAX_ANSWER)
    if parsed.payload is None or len(parsed.payload) != HASH_BYTES:
        raise SealError("bad-receipt", "carries no root")
    old, new, path = _proof(parsed, CONSISTENCY)
    iss, sub, iat, kid = _claims(parsed, new)
    _check_kid(kid, key)
    verify1(parsed, key)
    if old != first:
        raise SealError("bad-proof", f"begins at size {old}, not {first}")
    verify_consistency(old, new, first_root, parsed.payload, path)
    return Consistency(iss, sub, iat, old, new, parsed.payload)


def refusal(sub: str, seq: int, reason: str, next_seq: int | None = None) -> bytes:
    """The answer to a batch that was not taken: an unsigned CBOR map. Long texts are cut."""
    return cbor.dumps({"refused": sub[:MAX_TEXT], "seq": seq, "reason": reason[:MAX_TEXT], "next": next_seq})


def parse_answer(data: bytes) -> Receipt | Refusal:
    """What the cluster sent back; raises `SealError` as `read_receipt`, or ``bad-answer``."""
    if data[:1] == bytes([0xC0 | SIGN1_TAG]):
        return read_receipt(data)
    if len(data) > MAX_ANSWER:
        raise SealError("too-large", f"{len(data)} bytes, at most {MAX_ANSWER} are read")
    answer = cbor.loads(data, "bad-answer")
    if not isinstance(answer, dict) or set(answer) != {"refused", "seq", "reason", "next"}:
        raise SealError("bad-answer", "neither a receipt nor a refusal")
    sub, seq, reason, following = answer["refused"], answer["seq"], answer["reason"], answer["next"]
    texts = all(isinstance(text, str) and len(text) <= MAX_TEXT for text in (sub, reason))
    if not (texts and _size(seq) and (following is None or _size(following))):
        raise SealError("bad-answer", "a refusal with a part of the wrong type")
    return Refusal(sub, seq, reason, following)


def _header(signer: MessageSigner, iss: str, sub: str, iat: int, size: int) -> dict[int, object]:
    return {
        KID: signer.public.kid,
        CWT_CLAIMS: {ISS: iss, SUB: sub, IAT: iat},
        VDS: RFC9162_SHA256,
        TREE_SIZE: size,
    }


def _claims(parsed: Parsed, size: int) -> tuple[str, str, int, bytes]:
    header = parsed.protected
    if header.get(VDS) != RFC9162_SHA256:
        raise SealError("bad-receipt", "not of the data structure RFC9162_SHA256")
    if header.get(TREE_SIZE) != size:
        raise SealError("bad-receipt", "size of the proof is not the size that is signed")
    kid, claims = header.get(KID), header.get(CWT_CLAIMS)
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise SealError("bad-receipt", f"key identifier is not {KID_BYTES} bytes")
    if not isinstance(claims, Mapping):
        raise SealError("bad-receipt", "no CWT claims")
    claimed: list[Any] = [claims.get(label) for label in (ISS, SUB, IAT)]
    iss, sub, iat = claimed
    for text in (iss, sub):
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
            raise SealError("bad-receipt", "issuer or subject is no name")
    if not _size(iat):
        raise SealError("bad-receipt", "time of issue is no number")
    return iss, sub, iat, kid


def _proof(parsed: Parsed, label: int) -> tuple[int, int, tuple[bytes, ...]]:
    """The two numbers and the path of the one proof of a kind."""
    proofs = parsed.unprotected.get(VDP)
    encoded: Any = proofs.get(label) if isinstance(proofs, Mapping) and len(proofs) == 1 else None
    if len(parsed.unprotected) != 1 or not isinstance(encoded, list | tuple) or len(encoded) != 1:
        raise SealError("bad-receipt", f"has not exactly one proof, of kind {label}")
    if not isinstance(encoded[0], bytes):
        raise SealError("bad-receipt", "the proof is not a byte string")
    proof = cbor.loads(encoded[0], "bad-receipt")
    if not isinstance(proof, list) or len(proof) != 3 or cbor.dumps(proof) != encoded[0]:
        raise SealError("bad-receipt", "the proof is not an array of three in the deterministic encoding")
    first, second, path = proof
    if not (_size(first) and _size(second) and isinstance(path, list) and len(path) <= 2 * MAX_PATH):
        raise SealError("bad-receipt", "a part of the proof is of the wrong type")
    if not all(isinstance(node, bytes) and len(node) == HASH_BYTES for node in path):
        raise SealError("bad-receipt", f"a hash in the path is not {HASH_BYTES} bytes")
    return first, second, tuple(path)


def _check_kid(kid: bytes, key: PublicKey) -> None:
    if kid != key.kid:
        raise SealError("wrong-key", f"names key {kid.hex()}, not {key.kid.hex()}")


def _size(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_SIZE
