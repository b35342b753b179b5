"""COSE_Sign1 and keys: public vectors, strictness, and no bytes that raise anything but SealError."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from sealing import refused

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.cose import ED25519, ESP256, P256_ORDER, PublicKey, low_s, parse1, sign1, thumbprint, verify1
from gateway.seal.keys import FileSigner

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors/cose.json").read_text())


def ec2(vector: dict[str, str]) -> dict[int, object]:
    return {1: 2, -1: 1, -2: bytes.fromhex(vector["x"]), -3: bytes.fromhex(vector["y"])}


def test_thumbprint_of_rfc_9679() -> None:
    vector = VECTORS["thumbprint"]
    key = PublicKey.from_cose({**ec2(vector), 2: b"a key id has no part in it"})
    assert thumbprint(key).hex() == vector["sha256"]
    assert key.kid.hex() == vector["sha256"][:16]


def test_thumbprint_of_ed25519_covers_kty_crv_and_x(make_signer: Callable[..., FileSigner]) -> None:
    key = make_signer(1).public
    x = key.cose()[-2]
    assert thumbprint(key) == sha256(bytes.fromhex("a3010120062158 20".replace(" ", "")) + x).digest()


def test_signature_of_the_cose_examples() -> None:
    vector = VECTORS["p256"]
    key, signature = PublicKey.from_cose(ec2(vector)), bytes.fromhex(vector["signature"])
    key.verify(signature, bytes.fromhex(vector["signed"]))
    mirrored = signature[:32] + (P256_ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    key.verify(mirrored, bytes.fromhex(vector["signed"]))
    assert low_s(mirrored) == low_s(signature) == signature


def test_the_deprecated_algorithm_ids_are_refused() -> None:
    with pytest.raises(SealError, match="wrong-algorithm"):
        parse1(bytes.fromhex(VECTORS["p256"]["message"]))


def test_a_signature_of_another_length_is_none(signer: FileSigner) -> None:
    with pytest.raises(SealError, match="65 bytes"):
        signer.public.verify(signer.sign(b"data") + b"\0", b"data")


def test_what_is_signed_can_be_checked(signer: FileSigner) -> None:
    parsed = parse1(sign1(signer, {3: "text/plain", 4: b"kid"}, b"content"))
    assert parsed.protected == {1: signer.alg, 3: "text/plain", 4: b"kid"}
    assert parsed.payload == b"content"
    verify1(parsed, signer.public)


def test_a_detached_payload_has_to_be_given(signer: FileSigner) -> None:
    parsed = parse1(sign1(signer, {}, b"root", unprotected={396: {}}, detached=True))
    assert parsed.payload is None
    verify1(parsed, signer.public, b"root")
    with pytest.raises(SealError, match="bad-signature"):
        verify1(parsed, signer.public, b"other")
    with pytest.raises(SealError, match="neither carried nor given"):
        verify1(parsed, signer.public)


def test_the_wrong_key_is_noticed(make_signer: Callable[..., FileSigner]) -> None:
    parsed = parse1(sign1(make_signer(1), {}, b"content"))
    with pytest.raises(SealError, match="bad-signature"):
        verify1(parsed, make_signer(2).public)
    with pytest.raises(SealError, match="wrong-algorithm"):
        verify1(parsed, make_signer(1, ESP256).public)


def test_es256_signatures_have_one_form_only(make_signer: Callable[..., FileSigner]) -> None:
    signer = make_signer(1, ESP256)
    signatures = [signer.sign(bytes([number])) for number in range(20)]
    assert all(low_s(signature) == signature for signature in signatures)


def test_keys_survive_pem_and_cose_key(signer: FileSigner) -> None:
    key = signer.public
    assert PublicKey.from_pem(key.pem()) == key
    assert PublicKey.from_cose(key.cose()) == key
    assert PublicKey.from_cose({**key.cose(), 3: key.alg}) == key
    assert key.alg == signer.alg


P256 = ec2(VECTORS["p256"])


@pytest.mark.parametrize(
    ("why", "key"),
    [
        ("no map", [1, 2]),
        ("private part", {**P256, -4: bytes(32)}),
        ("another algorithm", {**P256, 3: ED25519}),
        ("unknown curve", {**P256, -1: 2}),
        ("unknown type", {1: 4, -1: bytes(32)}),
        ("compressed point", {**P256, -3: True}),
        ("not on the curve", {**P256, -3: bytes(32)}),
        ("short coordinate", {**P256, -2: bytes(31)}),
        ("missing coordinate", {1: 1, -1: 6}),
        ("unhashable type", {1: {}, -1: 6}),
        ("short x", {1: 1, -1: 6, -2: b"x"}),
    ],
)
def test_bad_cose_keys(why: str, key: object) -> None:
    with pytest.raises(SealError, match="bad-key"):
        PublicKey.from_cose(key)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff"])
def test_bad_pem(pem: bytes) -> None:
    with pytest.raises(SealError, match="bad-key"):
        PublicKey.from_pem(pem)


def test_other_kinds_of_key_are_refused() -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(SealError, match="bad-key"):
            PublicKey.of(key.public_key())


GOOD_HEADER = cbor.dumps({1: ED25519})


def message(*parts: object, tag: int = 18) -> bytes:
    return cbor.dumps(cbor2.CBORTag(tag, list(parts)))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("not-cose", b""),
        ("not-cose", b"\xd2"),
        ("not-cose", cbor.dumps([GOOD_HEADER, {}, b"", bytes(64)])),
        ("not-cose", message(GOOD_HEADER, {}, b"", bytes(64), tag=98)),
        ("not-cose", message(GOOD_HEADER, {}, b"")),
        ("not-cose", message({1: ED25519}, {}, b"", bytes(64))),
        ("not-cose", message(GOOD_HEADER, [], b"", bytes(64))),
        ("not-cose", message(GOOD_HEADER, {}, "text", bytes(64))),
        ("not-cose", message(GOOD_HEADER, {}, b"", None)),
        ("not-cose", message(GOOD_HEADER, {}, b"", bytes(64)) + b"\0"),
        ("not-cose", b"\xd2\x9f" + message(GOOD_HEADER, {}, b"", bytes(64))[2:] + b"\xff"),
        ("not-cose", b"\xd2\x98\x04" + message(GOOD_HEADER, {}, b"", bytes(64))[2:]),
        ("bad-signature", message(GOOD_HEADER, {}, b"", bytes(63))),
        ("bad-header", message(b"", {}, b"", bytes(64))),
        ("bad-header", message(b"\x80", {}, b"", bytes(64))),
        ("bad-header", message(b"\xa2\x01\x32\x01\x32", {}, b"", bytes(64))),
        ("bad-header", message(cbor.dumps({1: ED25519, 2: [4]}), {}, b"", bytes(64))),
        ("bad-header", message(GOOD_HEADER + b"\0", {}, b"", bytes(64))),
        ("wrong-algorithm", message(cbor.dumps({1: -8}), {}, b"", bytes(64))),
        ("wrong-algorithm", message(cbor.dumps({1: -19.0}), {}, b"", bytes(64))),
        ("wrong-algorithm", message(cbor.dumps({}), {}, b"", bytes(64))),
        ("wrong-algorithm", message(cbor.dumps({1: []}), {}, b"", bytes(64))),
    ],
)
def test_structure_is_strict(kind: str, data: bytes) -> None:
    with pytest.raises(SealError) as caught:
        parse1(data)
    assert caught.value.kind == kind


def test_the_same_message_in_longer_words_is_refused(make_signer: Callable[..., FileSigner]) -> None:
    """Its signature would verify, its leaf hash would be another."""
    body = sign1(make_signer(1), {}, b"content")
    short, long = b"\x47content", b"\x58\x07content"
    assert body.count(short) == 1
    with pytest.raises(SealError, match="deterministic"):
        parse1(body.replace(short, long))


def test_size_is_limited_before_anything_is_read() -> None:
    with pytest.raises(SealError, match="too-large"):
        parse1(bytes(1000), limit=999)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * 5000,
        bytes.fromhex("9bffffffffffffffff"),
        bytes.fromhex("5bffffffffffffffff"),
        bytes.fromhex("d8236161"),
        bytes.fromhex("c11a00000000"),
        bytes.fromhex("d81c81d81d00"),
        bytes.fromhex("c4821a3b9aca0001"),
        bytes.fromhex("c249010000000000000000"),
        bytes.fromhex("61ff"),
        bytes.fromhex("a2010001 00".replace(" ", "")),
    ],
)
def test_hostile_cbor_is_refused(data: bytes) -> None:
    with pytest.raises(SealError) as caught:
        cbor.loads(data, "hostile")
    assert caught.value.kind == "hostile"


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=70)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.integers(-70000, 500) | st.text(max_size=3), inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.integers(0, 70000), inner)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=120) | st.builds(message, plain, plain, plain, plain))
def test_any_bytes_parse_or_raise_seal_error(data: bytes) -> None:
    if refused(lambda: parse1(data)) is None:
        assert parse1(data).protected[1] in (ED25519, ESP256)


@given(plain.map(cbor2.dumps), st.integers(0, 2**16), st.integers(0, 7))
def test_any_damaged_cbor_is_read_or_refused(data: bytes, at: int, bit: int) -> None:
    damaged = bytearray(data)
    damaged[at % len(damaged)] ^= 1 << bit
    assert refused(lambda: cbor.loads(bytes(damaged), "damaged")) in (None, "damaged")
