"""Batches: what is sealed comes back, what is not exactly so is refused, any flipped bit is noticed."""

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SealError
from gateway.model import ClockClaim, ClockState, Head
from gateway.seal import cbor
from gateway.seal.batch import (
    EVENT_TYPE,
    NO_PREVIOUS,
    REGISTRATION_TYPE,
    SCAN_TYPE,
    open_batch,
    read_registration,
    registration_payload,
    seal_batch,
)
from gateway.seal.cose import ESP256, MAX_MESSAGE, P256_ORDER, sign1
from gateway.seal.keys import FileSigner
from gateway.seal.tree import leaf_hash
from gateway.site import Identity

URN = "urn:aurora:member-17:gw-0042"
BOOT = bytes(range(16))
CLOCK = ClockClaim(BOOT, 60_000, 1_795_360_000_123, 12, ClockState.TRUSTED)
PREVIOUS = bytes(range(32))
GOOD: dict[str, Any] = {
    "iss": URN,
    "stream": "scan",
    "seq": 7,
    "prev": PREVIOUS,
    "other": Head(3, b"o" * 32),
    "clock": CLOCK,
    "payload": b"columns",
    "content_type": SCAN_TYPE,
}


def header_of(**changes: object) -> dict[int, Any]:
    """The protected header of a good scan batch, as the format says it."""
    chain = [
        7,
        PREVIOUS,
        BOOT,
        60_000,
        cbor2.CBORTag(1001, {1: 1_795_360_000, -3: 123, -8: {1: 0, -3: 12}}),
        0,
        None,
    ]
    header: dict[int, Any] = {
        3: SCAN_TYPE,
        4: b"8 bytes!",
        15: {1: URN, 2: URN + ":scan", 6: 1_795_360_000},
        -65537: chain,
    }
    for name, value in changes.items():
        kind, label = name.split("_")
        place: Any = {"header": header, "claim": header[15], "chain": chain}[kind]
        key = int(label)
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return header


def test_what_is_sealed_comes_back(signer: FileSigner) -> None:
    batch = seal_batch(signer, **GOOD)
    opened = open_batch(batch.body)
    opened.verify(signer.public)
    assert (batch.stream, batch.seq, batch.leaf) == ("scan", 7, leaf_hash(batch.body))
    assert {name: getattr(opened, name) for name in GOOD} == GOOD
    assert (opened.sub, opened.kid, opened.leaf) == (URN + ":scan", signer.thumbprint[:8], batch.leaf)


def test_the_header_is_as_documented(make_signer: Callable[..., FileSigner]) -> None:
    signer = make_signer(1)
    opened = open_batch(seal_batch(signer, **GOOD).body)
    assert opened.protected == cbor.dumps(
        {
            1: -19,
            **header_of(header_4=signer.thumbprint[:8], chain_6=[3, b"o" * 32]),
        }
    )


claims = st.one_of(
    st.builds(
        ClockClaim,
        st.binary(min_size=16, max_size=16),
        st.integers(0, 2**53),
        st.integers(0, 2**50),
        st.integers(0, 2**40),
        st.sampled_from([ClockState.TRUSTED, ClockState.HOLDOVER]),
    ),
    st.builds(
        ClockClaim,
        st.binary(min_size=16, max_size=16),
        st.integers(0, 2**53),
        st.none(),
        st.none(),
        st.just(ClockState.UNTRUSTED),
    ),
)


@given(
    clock=claims,
    seq=st.integers(1, 2**63 - 1),
    payload=st.binary(max_size=300),
    other=st.none() | st.builds(Head, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32)),
)
def test_any_claim_comes_back(
    make_signer: Callable[..., FileSigner], clock: ClockClaim, seq: int, payload: bytes, other: Head | None
) -> None:
    wanted = {**GOOD, "clock": clock, "seq": seq, "payload": payload, "other": other}
    opened = open_batch(seal_batch(make_signer(1), **wanted).body)
    assert {name: getattr(opened, name) for name in wanted} == wanted


def test_an_untrusted_clock_claims_no_time(make_signer: Callable[..., FileSigner]) -> None:
    clock = ClockClaim(BOOT, 5, None, None, ClockState.UNTRUSTED)
    opened = open_batch(seal_batch(make_signer(1), **{**GOOD, "clock": clock}).body)
    header = cbor.loads(opened.protected, "header")
    assert 6 not in header[15]
    assert header[-65537][4] is None


@pytest.mark.parametrize("alg", [-19, ESP256])
def test_every_flipped_bit_is_noticed(make_signer: Callable[..., FileSigner], alg: int) -> None:
    signer = make_signer(1, alg)
    body = seal_batch(signer, **GOOD).body
    for bit in range(len(body) * 8):
        damaged = bytearray(body)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            open_batch(bytes(damaged)).verify(signer.public)


@given(st.data())
def test_any_damage_raises_only_seal_error(make_signer: Callable[..., FileSigner], data: st.DataObject) -> None:
    signer = make_signer(1)
    body = seal_batch(signer, **GOOD).body
    start = data.draw(st.integers(0, len(body)))
    stop = data.draw(st.integers(start, len(body)))
    damaged = body[:start] + data.draw(st.binary(max_size=40)) + body[stop:]
    if damaged != body:
        with pytest.raises(SealError):
            open_batch(damaged).verify(signer.public)


def test_a_mirrored_p256_signature_is_refused(make_signer: Callable[..., FileSigner]) -> None:
    """(r, n - s) verifies as well as (r, s); two leaves of one batch would look like a fork."""
    signer = make_signer(1, ESP256)
    body = seal_batch(signer, **GOOD).body
    s = int.from_bytes(body[-32:], "big")
    mirrored = open_batch(body[:-32] + (P256_ORDER - s).to_bytes(32, "big"))
    signer.public.verify(
        mirrored.signature,
        cbor.dumps(["Signature1", mirrored.protected, b"", mirrored.payload]),
    )
    with pytest.raises(SealError, match="upper half"):
        mirrored.verify(signer.public)


def test_another_key_is_named(make_signer: Callable[..., FileSigner]) -> None:
    opened = open_batch(seal_batch(make_signer(1), **GOOD).body)
    with pytest.raises(SealError, match="wrong-key"):
        opened.verify(make_signer(2).public)


TIME = 1001
NOT_ACCEPTED: dict[str, dict[str, object]] = {
    "no content type": {"header_3": ...},
    "content type of the other stream": {"header_3": EVENT_TYPE},
    "registration later than leaf 0": {"header_3": REGISTRATION_TYPE},
    "no kid": {"header_4": ...},
    "long kid": {"header_4": bytes(32)},
    "no claims": {"header_15": ...},
    "claims that are no map": {"header_15": [URN]},
    "no issuer": {"claim_1": ...},
    "empty issuer": {"claim_1": ""},
    "subject of another issuer": {"claim_2": "urn:aurora:member-18:gw-0042:scan"},
    "unknown stream": {"claim_2": URN + ":other"},
    "time of issue missing": {"claim_6": ...},
    "time of issue is another": {"claim_6": 1_795_360_001},
    "time of issue is a float": {"claim_6": 1_795_360_000.0},
    "no chain": {"header_-65537": ...},
    "short chain": {"header_-65537": [1, PREVIOUS]},
    "negative sequence": {"chain_0": -1},
    "sequence is true": {"chain_0": True},
    "sequence too large": {"chain_0": 2**63},
    "previous hash missing": {"chain_1": NO_PREVIOUS},
    "previous hash short": {"chain_1": bytes(31)},
    "boot id short": {"chain_2": bytes(15)},
    "boot time negative": {"chain_3": -1},
    "time without tag": {"chain_4": {1: 1, -3: 0, -8: {1: 0, -3: 0}}},
    "time of another tag": {"chain_4": cbor2.CBORTag(1002, {1: 1, -3: 0, -8: {1: 0, -3: 0}})},
    "time without guarantee": {"chain_4": cbor2.CBORTag(TIME, {1: 1_795_360_000, -3: 123})},
    "time with more": {"chain_4": cbor2.CBORTag(TIME, {1: 1_795_360_000, -3: 123, -8: {1: 0, -3: 12}, -1: 0})},
    "time in text": {"chain_4": cbor2.CBORTag(TIME, {1: "now", -3: 123, -8: {1: 0, -3: 12}})},
    "milliseconds of a second": {"chain_4": cbor2.CBORTag(TIME, {1: 1_795_360_000, -3: 1000, -8: {1: 0, -3: 12}})},
    "guarantee is a number": {"chain_4": cbor2.CBORTag(TIME, {1: 1_795_360_000, -3: 123, -8: 1})},
    "time while untrusted": {"chain_5": 2},
    "no time while trusted": {"chain_4": None, "claim_6": ...},
    "unknown clock state": {"chain_5": 3},
    "clock state is true": {"chain_5": True},
    "head is a number": {"chain_6": 1},
    "head without hash": {"chain_6": [1]},
    "head with a short hash": {"chain_6": [1, bytes(31)]},
}


@pytest.mark.parametrize("changes", NOT_ACCEPTED.values(), ids=NOT_ACCEPTED)
def test_headers_that_are_not_accepted(make_signer: Callable[..., FileSigner], changes: dict[str, object]) -> None:
    body = sign1(make_signer(1), header_of(**changes), b"columns")
    with pytest.raises(SealError) as caught:
        open_batch(body)
    assert caught.value.kind == "bad-header"


def test_the_header_of_the_table_is_good_without_its_changes(make_signer: Callable[..., FileSigner]) -> None:
    assert open_batch(sign1(make_signer(1), header_of(), b"columns")).seq == 7
    assert open_batch(sign1(make_signer(1), {**header_of(), -70000: "later"}, b"columns")).seq == 7


def test_nothing_stands_outside_the_signature(make_signer: Callable[..., FileSigner]) -> None:
    body = sign1(make_signer(1), header_of(), b"columns", unprotected={394: []})
    with pytest.raises(SealError, match="unprotected header is not empty"):
        open_batch(body)
    with pytest.raises(SealError, match="detached"):
        open_batch(sign1(make_signer(1), header_of(), b"columns", detached=True))


def test_a_batch_has_a_largest_size(make_signer: Callable[..., FileSigner]) -> None:
    with pytest.raises(SealError, match="too-large"):
        seal_batch(make_signer(1), **{**GOOD, "payload": bytes(MAX_MESSAGE)})


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 0},
        {"prev": NO_PREVIOUS},
        {"content_type": EVENT_TYPE},
        {"clock": CLOCK._replace(error_ms=None)},
        {"clock": CLOCK._replace(utc_ms=None)},
        {"clock": CLOCK._replace(state=ClockState.UNTRUSTED)},
        {"clock": CLOCK._replace(utc_ms=-1)},
        {"iss": ""},
    ],
)
def test_what_would_not_be_accepted_is_not_signed(
    make_signer: Callable[..., FileSigner], changes: dict[str, Any]
) -> None:
    with pytest.raises(SealError, match="bad-header"):
        seal_batch(make_signer(1), **{**GOOD, **changes})


IDENTITY = Identity(member="member-17", site="north", gateway="gw-0042")


def test_a_registration_comes_back(signer: FileSigner) -> None:
    payload = registration_payload(
        signer.public, IDENTITY, config_digest=b"d" * 32, storage=signer.storage, software="1.2", policy=3
    )
    read = read_registration(payload)
    assert read == (signer.public, "member-17", "north", "gw-0042", b"d" * 32, "file", "1.2", 3)
    assert (read.iss, read.thumbprint) == (URN, signer.thumbprint)
    batch = seal_batch(
        signer,
        **{
            **GOOD,
            "seq": 0,
            "prev": NO_PREVIOUS,
            "payload": payload,
            "content_type": REGISTRATION_TYPE,
            "other": None,
        },
    )
    assert open_batch(batch.body).payload == payload


@pytest.mark.parametrize("label", range(1, 10))
@pytest.mark.parametrize("value", [..., None, "", b"", -1, "x" * 300, {}])
def test_registrations_that_are_not_accepted(
    make_signer: Callable[..., FileSigner], label: int, value: object
) -> None:
    data = cbor.loads(
        registration_payload(
            make_signer(1).public, IDENTITY, config_digest=b"d" * 32, storage="file", software="1.2"
        ),
        "test",
    )
    if value is ...:
        del data[label]
    else:
        data[label] = value
    with pytest.raises(SealError) as caught:
        read_registration(cbor.dumps(data))
    assert caught.value.kind in ("bad-registration", "bad-key")


@pytest.mark.parametrize("payload", [b"", b"\x80", b"\xff", bytes(5000)])
def test_registrations_that_are_none(payload: bytes) -> None:
    with pytest.raises(SealError, match="bad-registration"):
        read_registration(payload)
