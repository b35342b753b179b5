"""The signed request and its code: two keys that vouch for each other, and nothing that can be exchanged unseen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster_world import Plant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from identity_world import IDENTITY, Asking, csr

from gateway.cluster.identity.certificates import new_key
from gateway.errors import SealError
from gateway.model import Stream
from gateway.seal import cbor
from gateway.seal.batch import open_batch
from gateway.seal.cose import CONTENT_TYPE, KID, parse1, sign1
from gateway.seal.keys import FileSigner
from gateway.seal.request import MEDIA_TYPE, read_code, read_request, request_code, write_request
from gateway.seal.statement import Statement, read_statement, write_statement


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    return Asking(tmp_path_factory.mktemp("box"))


def test_what_was_asked_comes_out_again(box: Asking) -> None:
    found = read_request(box.request())
    assert (found.public, found.names, found.serial) == (box.signer.public, box.names, 1)
    assert found.tls == box.tls.public_key()
    assert found.code == request_code(found.public, found.tls, found.names)
    assert found.csr_pem().startswith(b"-----BEGIN CERTIFICATE REQUEST")


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_no_bit_of_a_request_can_be_changed(box: Asking, place: int, bit: int) -> None:
    data = bytearray(box.request())
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(SealError):
        read_request(bytes(data))


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_what_is_no_request_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(SealError):
        read_request(data)


def test_the_code_is_that_of_both_keys_and_the_names(box: Asking, tmp_path: Path) -> None:
    other = FileSigner.create(tmp_path / "other.key")
    tls = box.tls.public_key()
    codes = {
        request_code(box.signer.public, tls, box.names),
        request_code(other.public, tls, box.names),
        request_code(box.signer.public, new_key().public_key(), box.names),
        request_code(box.signer.public, tls, {**box.names, "gateway": "gw-2"}),
        request_code(box.signer.public, tls, {}),
    }
    assert len(codes) == 5


def test_somebody_elses_tls_key_cannot_be_asked_for(box: Asking, tmp_path: Path) -> None:
    thief = FileSigner.create(tmp_path / "thief.key")
    mine = read_request(box.request())
    stolen = write_request(thief, csr=mine.csr, names=box.names, serial=1)
    assert read_request(stolen).code != mine.code, "the request holds for the thief's key, under another code"


def forged(box: Asking, **changes: object) -> bytes:
    content = {"v": 1, "key": box.signer.public.cose(), "csr": csr(box.tls), "names": box.names, "serial": 1}
    content |= changes
    head = {CONTENT_TYPE: MEDIA_TYPE, KID: box.signer.public.kid}
    return sign1(box.signer, head, cbor.dumps({k: v for k, v in content.items() if v != "left out"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"csr": b""},
        {"csr": "text"},
        {"csr": "left out"},
        {"names": {"member": "dairy"}},
        {"names": {"member": "", "site": "a", "gateway": "b"}},
        {"names": {"member": "x" * 64, "site": "a", "gateway": "b"}},
        {"names": []},
        {"serial": 0},
        {"serial": True},
        {"serial": 2**63},
        {"more": 1},
    ],
    ids=str,
)
def test_a_signed_request_that_is_wrong_inside_is_refused(box: Asking, changes: dict[str, object]) -> None:
    with pytest.raises(SealError, match="bad-request"):
        read_request(forged(box, **changes))


def test_a_certificate_request_has_to_be_signed_by_its_own_key(box: Asking) -> None:
    wrong = bytearray(csr(box.tls))
    wrong[-3] ^= 1
    with pytest.raises(SealError, match="bad-request"):
        read_request(forged(box, csr=bytes(wrong)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("abcd-efgh-jkmn", "ABCD-EFGH-JKMN"),
        ("ABCDEFGHJKMN", "ABCD-EFGH-JKMN"),
        ("O1Il-0000 0000", "0111-0000-0000"),
    ],
)
def test_a_code_is_read_as_people_write_it(written: str, meant: str) -> None:
    assert read_code(written) == meant


@pytest.mark.parametrize("written", ["", "ABCD", "ABCD-EFGH-JKMU", "ABCD-EFGH-JKMN-P", "ABCD-EFGH-JKM%"])
def test_what_is_no_code_is_refused(written: str) -> None:
    with pytest.raises(SealError, match="bad-code"):
        read_code(written)


STATEMENT = Statement(
    what="cut-off",
    sub=IDENTITY.urn,
    place=3,
    at_ms=1,
    by="eva",
    why="card stolen",
    key=bytes(32),
    successor=None,
    event=7,
    scan=90,
    doubted_scan=80,
)


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_statement_is_the_clusters_and_is_whole(box: Asking, place: int, bit: int) -> None:
    data = write_statement(box.signer, STATEMENT)
    assert read_statement(data, box.signer.public) == STATEMENT
    altered = bytearray(data)
    altered[place % len(data)] ^= 1 << bit
    with pytest.raises(SealError):
        read_statement(bytes(altered), box.signer.public)


OURS, ANOTHERS = bytes(8), b"another1"


@pytest.mark.parametrize(
    ("changes", "stream", "seq", "kid", "doubted"),
    [
        ({}, "scan", 79, OURS, False),
        ({}, "scan", 80, OURS, True),
        ({}, "scan", 80, ANOTHERS, True),  # with the copied key somebody has named another one
        ({}, "scan", 90, OURS, True),
        ({}, "scan", 90, ANOTHERS, False),  # the successor
        ({}, "event", 6, OURS, False),
        ({}, "event", 7, OURS, True),
        ({"doubted_event": 0}, "event", 0, OURS, True),
        ({"doubted_scan": None}, "scan", 89, OURS, False),
        ({"what": "replaced"}, "scan", 80, OURS, False),
        ({"what": "revoked", "event": None, "scan": None, "doubted_scan": None}, "scan", 99, OURS, False),
    ],
)
def test_a_cut_off_says_which_batches_are_not_believed(
    tmp_path: Path, changes: dict[str, Any], stream: Stream, seq: int, kid: bytes, doubted: bool
) -> None:
    batch = open_batch(Plant(tmp_path).batches[stream][0].body)._replace(seq=seq, kid=kid)
    assert replace(STATEMENT, **changes).doubts(batch) is doubted


def test_a_statement_of_the_first_days_is_read(box: Asking) -> None:
    data = write_statement(box.signer, STATEMENT)
    content = cbor.loads(parse1(data).payload or b"", "x")
    first = {name: value for name, value in content.items() if not name.startswith("doubted")}
    signed = sign1(box.signer, parse1(data).protected, cbor.dumps(first))
    assert read_statement(signed, box.signer.public) == replace(STATEMENT, doubted_scan=None)


def test_what_is_too_long_to_be_read_is_not_signed(box: Asking) -> None:
    with pytest.raises(SealError, match="fewer words"):
        write_statement(box.signer, replace(STATEMENT, why="x" * 9000))


@pytest.mark.parametrize("changes", [{"doubted_scan": -1}, {"doubted_event": True}, {"what": "x"}, {"key": b"k"}])
def test_what_is_no_statement_is_not_signed(box: Asking, changes: dict[str, Any]) -> None:
    with pytest.raises(SealError, match="bad-statement"):
        write_statement(box.signer, replace(STATEMENT, **changes))


def test_a_statement_by_another_key_is_refused(box: Asking, tmp_path: Path) -> None:
    other = FileSigner.create(tmp_path / "other.key")
    with pytest.raises(SealError, match="bad-signature"):
        read_statement(write_statement(other, STATEMENT), box.signer.public)
