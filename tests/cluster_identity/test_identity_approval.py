"""Requests and approvals, on both engines: once, by the right code, for the right keys, or not at all."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography import x509
from identity_world import DAY_MS, IDENTITY, OTHER, Asking, Desk

from gateway.cluster.identity import requests
from gateway.cluster.identity.authority import Authority
from gateway.cluster.identity.certificates import new_key, pem
from gateway.cluster.identity.keys import cut_off, revoke
from gateway.errors import OperatorError
from gateway.seal.request import read_request
from gateway.seal.statement import read_statement
from gateway.site import Identity


async def test_an_approval_enrols_the_key_and_certifies_the_name(desk: Desk, asking: Asking) -> None:
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    assert (found.state, found.kind, found.code) == ("open", "new", read_request(asking.request()).code)
    assert await desk.rows("SELECT client FROM gateway") == [], "nothing counts before a person has decided"
    done = await requests.approve(desk.database, found.code.lower(), desk.staff("ole"), desk.authority)
    certificate = x509.load_pem_x509_certificate(done.certificate)
    certificate.verify_directly_issued_by(desk.authority.certificate)
    assert certificate.subject.rfc4514_string() == f"CN={IDENTITY.client}", "not the name that the CSR asked for"
    assert certificate.public_key() == asking.tls.public_key()
    terms = await desk.rows("SELECT public, origin, event_first, scan_first, event_end, scan_end FROM term")
    assert terms == [(asking.signer.public.pem().decode(), "enrolled", 0, 0, None, None)]
    assert await desk.rows("SELECT stream, size FROM stream ORDER BY stream") == [(0, 0), (1, 0)]
    assert await desk.version() == 1
    assert [(who, what) for who, what, _ in await desk.deeds()] == [
        ("eva", "request"),
        ("ole", "enrolled"),
        ("ole", "approved"),
    ]
    ((statement,),) = await desk.rows("SELECT statement FROM key_statement")
    told = read_statement(bytes(statement), desk.signer.public)
    assert (told.what, told.sub, told.key, told.by) == ("enrolled", IDENTITY.urn, done.thumbprint, "ole")


async def test_the_answer_can_be_had_again_and_is_the_same(desk: Desk, asking: Asking) -> None:
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    with pytest.raises(OperatorError, match="is open"):
        await requests.approved(desk.database, found.code)
    done = await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    assert await requests.approved(desk.database, found.code) == done


async def test_a_request_is_approved_once_whoever_is_faster(desk: Desk, asking: Asking) -> None:
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    both = await asyncio.gather(
        *(requests.approve(desk.database, found.code, desk.staff(p), desk.authority) for p in ("eva", "ole")),
        return_exceptions=True,
    )
    failures = [one for one in both if isinstance(one, BaseException)]
    assert len(failures) == 1
    assert isinstance(failures[0], OperatorError)
    assert "is approved by" in str(failures[0])
    assert len(await desk.rows("SELECT serial FROM certificate")) == 1


async def test_the_same_request_any_number_of_times_is_one(desk: Desk, asking: Asking) -> None:
    data = asking.request()
    for _ in range(3):
        found = await requests.take_in(desk.database, data, desk.staff())
    await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    again = await requests.take_in(desk.database, data, desk.staff())
    assert again.state == "approved", "a replay of an approved request opens nothing"
    assert len(await desk.rows("SELECT code FROM request")) == 1


async def test_a_wrong_code_approves_nothing(desk: Desk, asking: Asking) -> None:
    await requests.take_in(desk.database, asking.request(), desk.staff())
    for wrong, words in (("0000-0000-0000", "no request has the code"), ("hello", "is not a code")):
        with pytest.raises(OperatorError, match=words):
            await requests.approve(desk.database, wrong, desk.staff(), desk.authority)
    assert await desk.rows("SELECT client FROM gateway") == []


async def test_a_request_with_exchanged_keys_has_another_code(desk: Desk, asking: Asking, tmp_path: Path) -> None:
    """Somebody on the way keeps the names and puts his own key in: the code at the gateway finds nothing."""
    thief = Asking(tmp_path / "thief")
    thief.identity = asking.identity
    shown = read_request(asking.request()).code
    await requests.take_in(desk.database, thief.request(), desk.staff())
    with pytest.raises(OperatorError, match="somebody exchanged keys"):
        await requests.approve(desk.database, shown, desk.staff(), desk.authority)


async def test_an_older_request_does_not_come_back(desk: Desk, asking: Asking) -> None:
    old = asking.request()
    new = asking.renew()
    found = await requests.take_in(desk.database, new, desk.staff())
    await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    with pytest.raises(OperatorError, match="replayed"):
        await requests.take_in(desk.database, old, desk.staff())


async def test_what_is_kept_is_checked_again_when_it_is_approved(
    desk: Desk, asking: Asking, tmp_path: Path
) -> None:
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    thief = Asking(tmp_path / "thief")
    async with desk.database.transaction() as work:
        put = "UPDATE request SET content = $1 WHERE code = $2"
        await work.execute(put, b64encode(thief.request()).decode(), found.code)
    with pytest.raises(OperatorError, match="altered in the database"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority)


async def test_a_refused_key_stays_refused_until_somebody_reopens_it(desk: Desk, asking: Asking) -> None:
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    await requests.refuse(desk.database, found.code, desk.staff(), "nobody knows this box")
    with pytest.raises(OperatorError, match="is refused by eva"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    with pytest.raises(OperatorError, match="is refused by eva"):
        await requests.refuse(desk.database, found.code, desk.staff(), "again")
    with pytest.raises(OperatorError, match="was refused"):
        await requests.take_in(desk.database, asking.renew(), desk.staff())
    await requests.reopen(desk.database, found.code, desk.staff(), "a mistake")
    await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    assert [what for _, what, _ in await desk.deeds()] == ["request", "refused", "reopened", "enrolled", "approved"]


async def test_a_flood_of_requests_is_stopped_and_what_nobody_decides_makes_room(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MOST_OPEN", 3)
    boxes = [Asking(tmp_path / f"box-{n}", None) for n in range(4)]
    for box in boxes[:3]:
        await requests.take_in(desk.database, box.request(), desk.staff())
    with pytest.raises(OperatorError, match="3 requests wait"):
        await requests.take_in(desk.database, boxes[3].request(), desk.staff())
    await requests.take_in(desk.database, boxes[0].request(), desk.staff())
    later = desk.staff(later_ms=requests.FORGOTTEN_MS + 1)
    assert (await requests.take_in(desk.database, boxes[3].request(), later)).state == "open"
    assert len(await requests.listed(desk.database)) == 1


async def test_a_box_without_names_is_named_by_staff(desk: Desk, tmp_path: Path) -> None:
    box = Asking(tmp_path / "box", None)
    found = await requests.take_in(desk.database, box.request(), desk.staff())
    with pytest.raises(OperatorError, match="is no name"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    for bad in ("a.b", "a/b", "a+b", "#", ""):
        names = {"member": bad, "site": "north", "gateway": "gw-1"}
        with pytest.raises(OperatorError, match="is no name"):
            await requests.approve(desk.database, found.code, desk.staff(), desk.authority, names=names)
    names = {"member": "dairy", "site": "north", "gateway": "gw-1"}
    done = await requests.approve(desk.database, found.code, desk.staff(), desk.authority, names=names)
    assert done.identity == IDENTITY


async def test_names_that_were_asked_for_are_not_exchanged_on_the_way_to_an_approval(
    desk: Desk, asking: Asking
) -> None:
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    names = {"member": "dairy", "site": "north", "gateway": "gw-2"}
    with pytest.raises(OperatorError, match="asks as gateway 'gw-1'"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority, names=names)


async def test_a_name_too_long_for_a_certificate_is_refused_before_anything_is_done(
    desk: Desk, tmp_path: Path
) -> None:
    box = Asking(tmp_path / "box", Identity(member="m" * 40, site="s", gateway="g" * 40))
    found = await requests.take_in(desk.database, box.request(), desk.staff())
    with pytest.raises(OperatorError, match="does not fit a certificate"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    assert await desk.rows("SELECT client FROM gateway") == []


async def test_names_with_signs_of_topics_are_not_even_taken_in(desk: Desk, tmp_path: Path) -> None:
    for name in ("#", "+", "a/b", "a.b", "a b"):
        box = Asking(tmp_path / name.replace("/", "_"), Identity(member=name, site="s", gateway="g"))
        with pytest.raises(OperatorError, match="is no name"):
            await requests.take_in(desk.database, box.request(), desk.staff())


async def test_a_renewal_leaves_the_signing_key_and_adds_a_certificate(desk: Desk, asking: Asking) -> None:
    first = await requests.take_in(desk.database, asking.request(), desk.staff())
    await requests.approve(desk.database, first.code, desk.staff(), desk.authority)
    version = await desk.version()
    second = await requests.take_in(desk.database, asking.renew(), desk.staff(later_ms=DAY_MS))
    assert (second.state, second.kind) == ("open", "renewal")
    done = await requests.approve(desk.database, second.code, desk.staff(later_ms=DAY_MS), desk.authority)
    assert x509.load_pem_x509_certificate(done.certificate).public_key() == asking.tls.public_key()
    assert len(await desk.rows("SELECT place FROM term")) == 1
    assert len(await desk.rows("SELECT serial FROM certificate")) == 2
    assert await desk.version() == version, "receivers need not look: no key has changed"


async def test_another_key_for_an_enrolled_gateway_needs_a_cut_off_and_to_be_said(
    desk: Desk, asking: Asking, tmp_path: Path
) -> None:
    first = await requests.take_in(desk.database, asking.request(), desk.staff())
    await requests.approve(desk.database, first.code, desk.staff(), desk.authority)
    other = Asking(tmp_path / "other")
    found = await requests.take_in(desk.database, other.request(), desk.staff())
    assert found.kind == "replacement"
    with pytest.raises(OperatorError, match="enrolled with another key"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    with pytest.raises(OperatorError, match="still signs"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority, replacing=True)
    await cut_off(desk.database, IDENTITY.client, desk.staff(), event=5, scan=9, why="card stolen")
    await requests.approve(desk.database, found.code, desk.staff(), desk.authority, replacing=True)
    terms = await desk.rows("SELECT origin, event_first, event_end, scan_first, scan_end FROM term ORDER BY place")
    assert terms == [("enrolled", 0, 5, 0, 9), ("replaced", 5, None, 9, None)]
    statements = await desk.rows("SELECT statement FROM key_statement ORDER BY place")
    told = [read_statement(bytes(row[0]), desk.signer.public) for row in statements]
    assert [(one.what, one.place, one.event, one.scan) for one in told] == [
        ("enrolled", 0, 0, 0),
        ("cut-off", 1, 5, 9),
        ("replaced", 2, 5, 9),
    ]
    assert told[2].successor == other.signer.thumbprint


async def test_a_key_of_before_does_not_replace_its_successor(desk: Desk, asking: Asking) -> None:
    first = await requests.take_in(desk.database, asking.request(), desk.staff())
    await requests.approve(desk.database, first.code, desk.staff(), desk.authority)
    await cut_off(desk.database, IDENTITY.client, desk.staff(), event=None, scan=None, why="stolen")
    again = await requests.take_in(desk.database, asking.renew(), desk.staff())
    with pytest.raises(OperatorError, match="was the gateway's before"):
        await requests.approve(desk.database, again.code, desk.staff(), desk.authority, replacing=True)
    with pytest.raises(OperatorError, match="enrolled with another key"):
        await requests.approve(desk.database, again.code, desk.staff(), desk.authority)


async def test_a_revoked_gateway_is_not_renewed(desk: Desk, asking: Asking) -> None:
    first = await requests.take_in(desk.database, asking.request(), desk.staff())
    await requests.approve(desk.database, first.code, desk.staff(), desk.authority)
    await revoke(desk.database, IDENTITY.client, desk.staff(), "sold")
    again = await requests.take_in(desk.database, asking.renew(), desk.staff())
    with pytest.raises(OperatorError, match="is revoked"):
        await requests.approve(desk.database, again.code, desk.staff(), desk.authority)


async def test_a_name_of_another_site_is_not_taken_over(desk: Desk, asking: Asking, tmp_path: Path) -> None:
    first = await requests.take_in(desk.database, asking.request(), desk.staff())
    await requests.approve(desk.database, first.code, desk.staff(), desk.authority)
    moved = Asking(tmp_path / "moved", Identity(member="dairy", site="west", gateway="gw-1"))
    found = await requests.take_in(desk.database, moved.request(), desk.staff())
    with pytest.raises(OperatorError, match="keeps its names"):
        await requests.approve(desk.database, found.code, desk.staff(), desk.authority)


async def test_another_authority_signs_and_only_what_it_was_asked_for_is_taken(
    desk: Desk, asking: Asking, tmp_path: Path
) -> None:
    elsewhere = Authority.create(tmp_path / "elsewhere", "Another authority", desk.now_ms)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ca.pem").write_bytes(elsewhere.pem)
    here = Authority.load(tmp_path / "data")
    assert here.key is None
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    asked = x509.load_pem_x509_csr(await requests.csr_of(desk.database, found.code))
    assert asked.public_key() == asking.tls.public_key()
    with pytest.raises(OperatorError, match="authority's key is not here"):
        await requests.approve(desk.database, found.code, desk.staff(), here)

    def signed(by: Authority, name: str, key: object = None) -> bytes:
        public = asking.tls.public_key() if key is None else key
        return pem(by.client(name, public, desk.now_ms, requests.LIFE))  # type: ignore[arg-type]

    wrong = {
        "not signed by the authority|not a certificate by": signed(desk.authority, IDENTITY.client),
        "not for 'dairy.gw-1'": signed(elsewhere, OTHER.client),
        "another key": signed(elsewhere, IDENTITY.client, new_key().public_key()),
        "an authority": elsewhere.pem,
        "not a certificate": b"hello",
    }
    for words, content in wrong.items():
        pattern = "not for|an authority" if words == "an authority" else words
        with pytest.raises(OperatorError, match=pattern):
            await requests.approve(desk.database, found.code, desk.staff(), here, certificate=content)
    assert await desk.rows("SELECT client FROM gateway") == []
    good = signed(elsewhere, IDENTITY.client)
    done = await requests.approve(desk.database, found.code, desk.staff(), here, certificate=good)
    assert done.certificate == good


async def test_a_certificate_does_not_outlive_its_authority(desk: Desk, asking: Asking) -> None:
    almost = desk.staff(later_ms=3600 * DAY_MS)
    found = await requests.take_in(desk.database, asking.request(), almost)
    done = await requests.approve(desk.database, found.code, almost, desk.authority)
    ends = x509.load_pem_x509_certificate(done.certificate).not_valid_after_utc
    assert ends == desk.authority.certificate.not_valid_after_utc
    later = desk.staff(later_ms=3650 * DAY_MS)
    again = await requests.take_in(desk.database, asking.renew(), later)
    with pytest.raises(OperatorError, match="has ended"):
        await requests.approve(desk.database, again.code, later, desk.authority)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"request": 7}', '{"request": "%%"}', "x" * 70_000])
def test_a_file_that_holds_no_request_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "box.json"
    path.write_text(text)
    with pytest.raises(OperatorError, match=r"box\.json"):
        requests.read_file(path)


def test_the_authority_is_never_overwritten_and_its_key_is_its_own(tmp_path: Path) -> None:
    made = Authority.create(tmp_path, "One", 1_795_360_000_000)
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OperatorError, match="never overwritten"):
        Authority.create(tmp_path, "Two", 1_795_360_000_000)
    assert Authority.load(tmp_path).pem == made.pem
    (tmp_path / "ca.key").chmod(0o644)
    with pytest.raises(OperatorError, match="can be used by others"):
        Authority.load(tmp_path)
    (tmp_path / "ca.key").unlink()
    Authority.create(tmp_path / "other", "Other", 1_795_360_000_000)
    (tmp_path / "other/ca.key").rename(tmp_path / "ca.key")
    with pytest.raises(OperatorError, match="is not the key of"):
        Authority.load(tmp_path)


def test_no_file_no_authority(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no authority"):
        Authority.load(tmp_path)
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(OperatorError, match="is no certificate"):
        Authority.load(tmp_path)


def test_requests_as_files_are_json(asking: Asking, tmp_path: Path) -> None:
    path = tmp_path / "box.json"
    data = asking.request()
    path.write_text(json.dumps({"request": b64encode(data).decode(), "thumbprint": "for people"}))
    assert requests.read_file(path) == data
