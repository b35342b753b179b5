"""Verification of evidence: whole evidence is found whole, and each way to tamper with it is named exactly."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sealing import (
    CLOCK,
    CLUSTER,
    IDENTITY,
    LAYOUT,
    Gateway,
    event,
    fill,
    later,
    lay_out,
    rotate,
    scans,
)

from gateway.model import ClockState, Stream
from gateway.seal.batch import REGISTRATION_TYPE, registration_payload
from gateway.seal.columns import encode_scans
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier
from gateway.seal.verify import Finding, Report, verify_files, verify_folder
from gateway.site import Identity

SCAN, EVENT = f"{IDENTITY.urn}:scan", f"{IDENTITY.urn}:event"


def errors(report: Report) -> list[tuple[str, str, int | None]]:
    """Kind, stream and batch of each error."""
    return [(found.kind, found.stream, found.seq) for found in report.findings if found.severity == "error"]


def others(report: Report) -> list[tuple[str, str, int | None]]:
    """Kind, stream and batch of each finding that is no error."""
    return [(found.kind, found.stream, found.seq) for found in report.findings if found.severity != "error"]


@pytest.fixture
def folder(tmp_path: Path, gateway: Gateway, cluster: FileSigner) -> Path:
    """Whole evidence: six scan batches, four event batches, both receipts, both keys."""
    return lay_out(tmp_path / "evidence", fill(gateway), cluster)


def test_whole_evidence_is_whole(folder: Path, gateway: Gateway) -> None:
    report = verify_folder(folder)
    assert report.ok
    assert report.findings == []
    thumbprint = (gateway.signer.thumbprint.hex(),)
    events, readings = report.streams
    assert (events.stream, events.first, events.last, events.count, events.values) == (EVENT, 0, 3, 4, 3)
    assert (readings.stream, readings.first, readings.last, readings.count, readings.values) == (SCAN, 0, 5, 6, 50)
    assert (events.covered, readings.covered) == (3, 5)
    assert events.keys == readings.keys == thumbprint


def test_batches_may_lie_in_one_file(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway)
    path = tmp_path / "all.cbor-seq"
    path.write_bytes(b"".join(batch.body for stream in gateway.streams.values() for batch in stream))
    report = verify_files([path], gateway_keys=[gateway.signer.public], issuer=IDENTITY.urn)
    assert report.ok
    assert report.findings == []
    assert [stream.covered for stream in report.streams] == [None, None]


def test_nothing_is_not_whole(tmp_path: Path) -> None:
    assert not verify_folder(tmp_path).ok


@pytest.mark.parametrize("stream", ["scan", "event"])
@pytest.mark.parametrize("place", [20, 150, 230, -70, -1])
def test_an_altered_batch_is_named(folder: Path, stream: Stream, place: int) -> None:
    path = folder / f"{stream}-2.cose"
    body = bytearray(path.read_bytes())
    body[place] ^= 1
    path.write_bytes(body)
    report = verify_folder(folder)
    assert not report.ok
    assert any(found.file == str(path) for found in report.findings if found.severity == "error")
    assert ("missing", f"{IDENTITY.urn}:{stream}", 2) in errors(report)


def test_an_altered_payload_with_the_old_signature_is_altered(folder: Path, gateway: Gateway) -> None:
    path = folder / "scan-3.cose"
    body = gateway.streams["scan"][3].body
    path.write_bytes(body[:-70] + bytes([body[-70] ^ 1]) + body[-69:])
    report = verify_folder(folder)
    assert errors(report) == [("altered", SCAN, 3), ("missing", SCAN, 3)]
    assert report.streams[1].covered == 5


def test_a_missing_batch_is_named(folder: Path) -> None:
    (folder / "scan-2.cose").unlink()
    (folder / "scan-3.cose").unlink()
    report = verify_folder(folder)
    assert errors(report) == [("missing", SCAN, 2)]
    assert "batches 2 to 3 not here" in str(report.findings[0])


def test_evidence_that_begins_later_says_so(folder: Path) -> None:
    for number in range(3):
        (folder / f"scan-{number}.cose").unlink()
    report = verify_folder(folder)
    assert report.ok
    assert others(report) == [("partial", SCAN, 3)]
    assert (report.streams[1].first, report.streams[1].covered) == (3, 5)


def test_reordered_batches_are_named(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway)
    batches = [batch.body for batch in gateway.streams["scan"]]
    batches[2], batches[3] = batches[3], batches[2]
    path = tmp_path / "scan.cbor-seq"
    path.write_bytes(b"".join(batches))
    report = verify_files([path], gateway_keys=[gateway.signer.public])
    assert errors(report) == []
    assert ("reordered", SCAN, 2) in others(report)


def test_ten_files_are_in_the_order_of_their_numbers(tmp_path: Path, gateway: Gateway) -> None:
    report = verify_folder(lay_out(tmp_path / "evidence", fill(gateway, batches=12)))
    assert report.findings == []


def test_a_copy_is_harmless(folder: Path) -> None:
    shutil.copy(folder / "scan-2.cose", folder / "scan-2-copy.cose")
    report = verify_folder(folder)
    assert report.ok
    assert others(report) == [("duplicate", SCAN, 2)]


def clone(gateway: Gateway, size: int) -> Gateway:
    """The same gateway as it was after ``size`` scan batches, as from a copied SD card."""
    copy = Gateway(gateway.signer)
    copy.streams = {"scan": gateway.streams["scan"][:size], "event": list(gateway.streams["event"])}
    copy.clock = gateway.clock
    return copy


def test_a_fork_names_both_files(folder: Path, gateway: Gateway) -> None:
    other = clone(gateway, 5).seal("scan", encode_scans(LAYOUT, scans(140, 11)))
    (folder / "other.cose").write_bytes(other.body)
    report = verify_folder(folder)
    forks = [found for found in report.findings if found.kind == "forked"]
    assert [(found.stream, found.seq) for found in forks] == [(SCAN, 5)]
    assert "other.cose" in str(forks[0])
    assert "scan-5.cose" in str(forks[0])


def test_a_batch_of_the_other_branch_does_not_follow(folder: Path, gateway: Gateway) -> None:
    branch = clone(gateway, 3)
    branch.seal("scan", encode_scans(LAYOUT, scans(120, 9)))
    (folder / "scan-4.cose").write_bytes(branch.seal("scan", encode_scans(LAYOUT, scans(130, 10))).body)
    assert ("wrong-prev", SCAN, 4) in errors(verify_folder(folder))


def test_a_receipt_shows_what_was_cut_off_at_the_end(folder: Path) -> None:
    (folder / "scan-5.cose").unlink()
    report = verify_folder(folder)
    assert errors(report) == [("truncated", SCAN, 5)]
    assert report.streams[1].covered is None


def test_the_other_stream_shows_what_was_cut_off_at_the_end(folder: Path) -> None:
    for number in (2, 3, 4, 5):
        (folder / f"scan-{number}.cose").unlink()
    (folder / "scan.receipt").unlink()
    report = verify_folder(folder)
    assert ("truncated", SCAN, 1) in errors(report)
    assert "event-3.cose names batch 4" in " ".join(map(str, report.findings))


def test_a_stream_that_names_another_branch_is_found(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway)
    branch = clone(gateway, 5)
    branch.seal("scan", encode_scans(LAYOUT, scans(140, 11)))
    gateway.streams["event"].append(branch.seal("event", event("config", digest=b"")))
    report = verify_folder(lay_out(tmp_path / "evidence", gateway))
    assert errors(report) == [("forked", EVENT, 4)]


def test_a_head_that_goes_back_is_named(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway)
    events = gateway.streams["event"]
    gateway.streams["event"] = events[:2]
    gateway.seal("scan", encode_scans(LAYOUT, scans(150, 10)))
    gateway.streams["event"] = events
    assert errors(verify_folder(lay_out(tmp_path / "evidence", gateway))) == [("bad-head", SCAN, 6)]


def test_another_issuer_is_named(folder: Path) -> None:
    report = verify_files(sorted(folder.glob("*.cose")), issuer="urn:aurora:member-18:gw-0001")
    assert not report.ok
    assert {kind for kind, _, _ in errors(report)} == {"wrong-issuer"}


def test_a_registration_for_somebody_else_is_named(tmp_path: Path, gateway: Gateway) -> None:
    other = Identity(member="member-18", site="south", gateway="gw-0001")
    payload = registration_payload(
        gateway.signer.public, other, config_digest=bytes(32), storage="file", software="1.0"
    )
    gateway.streams = {"scan": [], "event": []}
    gateway.seal("event", payload, REGISTRATION_TYPE)
    report = verify_folder(lay_out(tmp_path / "evidence", gateway))
    assert errors(report) == [("wrong-issuer", EVENT, 0)]
    assert "urn:aurora:member-18:gw-0001" in report.findings[0].what


def test_a_registration_that_cannot_be_read_is_named(tmp_path: Path, gateway: Gateway) -> None:
    gateway.streams = {"scan": [], "event": []}
    gateway.seal("event", b"nonsense", REGISTRATION_TYPE)
    assert errors(verify_folder(lay_out(tmp_path / "evidence", gateway))) == [("bad-registration", EVENT, 0)]


def test_a_key_nobody_vouches_for_is_reported(folder: Path, gateway: Gateway) -> None:
    (folder / "gateway.pem").unlink()
    report = verify_folder(folder)
    assert others(report) == [("unanchored", EVENT, None)]
    assert gateway.signer.thumbprint.hex() in report.findings[0].what


def test_a_key_that_is_neither_given_nor_registered_is_an_error(folder: Path) -> None:
    (folder / "gateway.pem").unlink()
    for stream in ("scan", "event"):
        (folder / f"{stream}-0.cose").unlink()
    report = verify_folder(folder)
    assert {kind for kind, _, _ in errors(report)} == {"unknown-key", "stray-receipt"}
    assert report.streams == []


def test_after_a_change_of_key_the_new_key_is_in_force(
    tmp_path: Path, gateway: Gateway, make_signer: Callable[..., FileSigner]
) -> None:
    old = gateway.signer
    fill(gateway)
    rotate(gateway, make_signer(2))
    gateway.seal("scan", encode_scans(LAYOUT, scans(150, 10)))
    gateway.seal("event", event("config", digest=b""))
    path = lay_out(tmp_path / "evidence", gateway)
    (path / "gateway.pem").write_bytes(old.public.pem())
    report = verify_folder(path)
    assert report.ok
    assert report.findings == []
    assert report.streams[1].keys == (old.thumbprint.hex(), gateway.signer.thumbprint.hex())


def test_a_new_key_vouches_for_what_the_old_one_signed(
    tmp_path: Path, gateway: Gateway, make_signer: Callable[..., FileSigner]
) -> None:
    rotate(fill(gateway), make_signer(2))
    gateway.seal("event", event("config", digest=b""))
    report = verify_folder(lay_out(tmp_path / "evidence", gateway))
    assert report.ok
    assert report.findings == []


def test_a_registration_by_a_stranger_does_not_displace_the_given_key(
    folder: Path, make_signer: Callable[..., FileSigner]
) -> None:
    stranger = Gateway(make_signer(9)).streams["event"][0]
    (folder / "a.cose").write_bytes(stranger.body)
    assert errors(verify_folder(folder)) == [("wrong-key", EVENT, 0), ("wrong-key", EVENT, 0)]


@pytest.mark.parametrize("stream", ["scan", "event"])
def test_the_old_key_is_not_accepted_after_a_change(
    tmp_path: Path, gateway: Gateway, make_signer: Callable[..., FileSigner], stream: Stream
) -> None:
    old = gateway.signer
    fill(gateway)
    rotate(gateway, make_signer(2))
    gateway.signer = old
    seq = gateway.seal(stream, event("config") if stream == "event" else encode_scans(LAYOUT, scans(150, 5))).seq
    report = verify_folder(lay_out(tmp_path / "evidence", gateway))
    assert errors(report) == [("wrong-key", f"{IDENTITY.urn}:{stream}", seq)]


def test_a_key_without_an_event_is_not_accepted(
    tmp_path: Path, gateway: Gateway, make_signer: Callable[..., FileSigner]
) -> None:
    fill(gateway)
    gateway.signer = make_signer(2)
    gateway.seal("scan", encode_scans(LAYOUT, scans(150, 5)))
    path = lay_out(tmp_path / "evidence", gateway)
    (path / "gateway.pem").write_bytes(make_signer(1).public.pem())
    assert errors(verify_folder(path)) == [("wrong-key", SCAN, 6)]


def test_both_streams_register_one_key(tmp_path: Path, make_signer: Callable[..., FileSigner]) -> None:
    gateway, other = Gateway(make_signer(1)), Gateway(make_signer(2))
    gateway.streams["scan"] = other.streams["scan"]
    path = lay_out(tmp_path / "evidence", gateway)
    assert ("wrong-key", SCAN, 0) in errors(verify_folder(path))


def change(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0, 30, 60, -1, -80, -120])
def test_a_changed_receipt_is_named(folder: Path, place: int) -> None:
    change(folder / "scan.receipt", place)
    report = verify_folder(folder)
    assert not report.ok
    assert {found.file for found in report.findings} == {str(folder / "scan.receipt")}
    assert report.streams[1].covered is None


def test_a_receipt_of_another_cluster_is_named(folder: Path, gateway: Gateway) -> None:
    (folder / "scan.receipt").write_bytes(gateway.receipt(gateway.signer, "scan"))
    assert errors(verify_folder(folder)) == [("bad-receipt", SCAN, 5)]


def test_a_receipt_over_another_tree_is_a_mismatch(folder: Path, gateway: Gateway, cluster: FileSigner) -> None:
    leaves = gateway.leaves("scan")
    frontier = Frontier.of([leaves[0], bytes(32), *leaves[2:]])
    (folder / "scan.receipt").write_bytes(
        issue_receipt(cluster, iss=CLUSTER, sub=SCAN, frontier=frontier, iat=1_795_360_100)
    )
    assert errors(verify_folder(folder)) == [("root-mismatch", SCAN, 5)]


def test_a_receipt_without_the_key_of_the_cluster_is_not_checked(folder: Path) -> None:
    (folder / "cluster.pem").unlink()
    report = verify_folder(folder)
    assert report.ok
    assert {kind for kind, _, _ in others(report)} == {"unchecked-receipt"}


def test_a_receipt_for_a_stream_of_which_nothing_is_here_is_stray(
    folder: Path, make_signer: Callable[..., FileSigner]
) -> None:
    other = Gateway(make_signer(3), identity=Identity(member="m", site="s", gateway="g"))
    (folder / "other.receipt").write_bytes(other.receipt(make_signer(200), "scan"))
    report = verify_folder(folder)
    assert errors(report) == [("stray-receipt", "urn:aurora:m:g:scan", 0)]


def test_a_receipt_for_what_came_before_is_not_checked(folder: Path, gateway: Gateway, cluster: FileSigner) -> None:
    for number in range(3):
        (folder / f"scan-{number}.cose").unlink()
    (folder / "scan.receipt").write_bytes(gateway.receipt(cluster, "scan", 2))
    report = verify_folder(folder)
    assert others(report) == [("unchecked-receipt", SCAN, 1), ("partial", SCAN, 3)]


def test_boot_time_that_goes_back_is_named(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway)
    gateway.seal("scan", encode_scans(LAYOUT, scans(150, 1)), clock=later(gateway.clock, -5000))
    assert errors(verify_folder(lay_out(tmp_path / "e", gateway))) == [("clock-backwards", SCAN, 6)]


def test_a_boot_does_not_come_back(tmp_path: Path, gateway: Gateway) -> None:
    before = gateway.clock
    gateway.seal("scan", encode_scans(LAYOUT, scans(0, 1)), clock=CLOCK._replace(boot=b"second boot 1234"))
    gateway.seal("scan", encode_scans(LAYOUT, scans(0, 1)), clock=later(before, 1000))
    assert errors(verify_folder(lay_out(tmp_path / "e", gateway))) == [("clock-backwards", SCAN, 2)]


def test_a_wall_clock_that_goes_back_by_more_than_its_error_is_reported(tmp_path: Path, gateway: Gateway) -> None:
    assert gateway.clock.utc_ms is not None
    for ahead in (-20, -60_000):
        clock = later(gateway.clock, 1000)
        assert clock.utc_ms is not None
        gateway.seal("scan", encode_scans(LAYOUT, scans(0, 1)), clock=clock._replace(utc_ms=clock.utc_ms + ahead))
    report = verify_folder(lay_out(tmp_path / "e", gateway))
    assert [found for found in others(report) if found[0] == "clock-step"] == [("clock-step", SCAN, 2)]


def test_an_untrusted_clock_is_no_fault(tmp_path: Path, gateway: Gateway) -> None:
    clock = gateway.clock._replace(utc_ms=None, error_ms=None, state=ClockState.UNTRUSTED)
    gateway.seal("scan", encode_scans(LAYOUT, scans(0, 1)), clock=later(clock, 1000))
    assert verify_folder(lay_out(tmp_path / "e", gateway)).findings == []


def test_a_deleted_batch_is_known_by_its_leaf(tmp_path: Path, gateway: Gateway, cluster: FileSigner) -> None:
    fill(gateway)
    gone = gateway.leaves("scan")[2:4]
    gateway.seal("event", event("deleted", stream="scan", first=2, last=3, leaves=gone, reason="store is full"))
    path = lay_out(tmp_path / "e", gateway, cluster)
    for number in (2, 3):
        (path / f"scan-{number}.cose").unlink()
    report = verify_folder(path)
    assert report.ok
    assert others(report) == [("deleted", SCAN, 2)]
    assert report.streams[1].covered == 5


def test_a_deletion_that_names_another_leaf_does_not_hold(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway)
    gateway.seal("event", event("deleted", stream="scan", first=2, last=2, leaves=bytes(32), reason="?"))
    path = lay_out(tmp_path / "e", gateway)
    (path / "scan-2.cose").unlink()
    assert ("wrong-prev", SCAN, 3) in errors(verify_folder(path))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("deleted", {"stream": "scan", "first": 2, "last": 3, "leaves": bytes(32)}),
        ("deleted", {"stream": "scan"}),
        ("deleted", {"stream": "scan", "first": "2", "last": 3, "leaves": [1]}),
        ("layout", {"id": bytes(8)}),
        ("layout", {"id": bytes(8), "layout": b"\xff"}),
        ("layout", {"id": "text", "layout": 5}),
        ("key.rotated", {}),
    ],
)
def test_events_that_make_no_sense_are_named(
    tmp_path: Path, gateway: Gateway, kind: str, data: dict[str, object]
) -> None:
    gateway.seal("event", event(kind, **data))
    assert errors(verify_folder(lay_out(tmp_path / "e", gateway))) == [("bad-payload", EVENT, 1)]


@pytest.mark.parametrize("stream", ["scan", "event"])
def test_a_signed_payload_that_cannot_be_read_is_named(tmp_path: Path, gateway: Gateway, stream: Stream) -> None:
    gateway.seal(stream, b"nonsense")
    report = verify_folder(lay_out(tmp_path / "e", gateway))
    assert errors(report) == [("bad-payload", f"{IDENTITY.urn}:{stream}", 1)]


def test_slots_that_are_nowhere_or_twice_are_named(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway, batches=2)
    gateway.seal("scan", encode_scans(LAYOUT, scans(123, 10)))
    gateway.seal("scan", encode_scans(LAYOUT, scans(130, 10)))
    report = verify_folder(lay_out(tmp_path / "e", gateway))
    assert errors(report) == [("unaccounted", SCAN, 3)] * 2 + [("unaccounted", SCAN, 4)] * 2
    texts = " ".join(finding.what for finding in report.findings)
    assert "cold-1: 3 slots from 120 on are recorded nowhere" in texts
    assert "cold-2: slot 130 is recorded twice" in texts


def test_slots_are_counted_anew_after_a_boot(tmp_path: Path, gateway: Gateway) -> None:
    fill(gateway)
    clock = CLOCK._replace(boot=b"another boot 123", boot_ms=5)
    gateway.seal("scan", encode_scans(LAYOUT, scans(3, 10)), clock=clock)
    assert verify_folder(lay_out(tmp_path / "e", gateway)).findings == []


def test_scans_can_be_verified_without_their_layout(tmp_path: Path, gateway: Gateway) -> None:
    gateway.seal("scan", encode_scans(LAYOUT, scans(0, 10)))
    report = verify_folder(lay_out(tmp_path / "e", gateway))
    assert report.ok
    assert report.streams[1].values == 10


def test_broken_files_are_named_and_the_rest_is_verified(folder: Path) -> None:
    (folder / "a.cose").write_bytes(b"nonsense")
    (folder / "b.receipt").write_bytes(b"")
    (folder / "c.pem").write_bytes(b"no key")
    (folder / "z.cbor-seq").write_bytes((folder / "scan-1.cose").read_bytes() + b"\xd2\x84")
    (folder / "readme.txt").write_bytes(b"left alone")
    report = verify_folder(folder)
    assert {(Path(found.file).name, found.kind) for found in report.findings} == {
        ("a.cose", "unreadable"),
        ("b.receipt", "bad-receipt"),
        ("c.pem", "bad-key"),
        ("z.cbor-seq#1", "duplicate"),
        ("z.cbor-seq#2", "unreadable"),
    }
    assert report.streams[1].covered == 5


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    report = verify_files([tmp_path / "none.cose", tmp_path / "none.cbor-seq"])
    assert [found.kind for found in report.findings] == ["unreadable", "unreadable"]


def test_a_finding_can_be_read_aloud() -> None:
    found = Finding("error", "missing", SCAN, 7, "", "batch 7 not here")
    assert str(found) == f"error missing: {SCAN} batch 7: batch 7 not here"
    assert str(Finding("error", "bad-key", "", None, "k.pem", "no key")) == "error bad-key: k.pem: no key"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bit_can_be_changed_without_an_error(folder: Path, data: st.DataObject) -> None:
    paths = sorted([*folder.glob("*.cose"), *folder.glob("*.receipt")])
    path = data.draw(st.sampled_from(paths))
    whole = path.read_bytes()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        path.write_bytes(damaged)
        report = verify_folder(folder)
    finally:
        path.write_bytes(whole)
    assert not report.ok
    assert str(path) in {found.file for found in report.findings if found.severity == "error"}
