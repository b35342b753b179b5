"""Renewal over the line: a running gateway, the desk and the broker are the real ones; nobody else gets any."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cluster_world import Plant, running, until
from cryptography import x509
from identity_world import DAY_MS, IDENTITY, OTHER, Asking, Desk, OurBroker

from gateway.clock import wall_ms
from gateway.cluster.database import Database
from gateway.cluster.identity import desk as desk_module
from gateway.cluster.identity import requests
from gateway.cluster.identity.broker import publish_list
from gateway.cluster.identity.certificates import pem, private_pem
from gateway.cluster.identity.desk import Desk as Service
from gateway.cluster.identity.desk import answer_of, renewed
from gateway.cluster.identity.keys import cut_off, revoke
from gateway.errors import OperatorError, SealError
from gateway.mqtt import connect
from gateway.recertify import Recertifier
from gateway.seal.request import read_request
from gateway.seal.setupfile import write_setup
from gateway.setup.place import Place
from gateway.site import ClusterSpec, Site
from gateway.sync.uplink import Uplink

LIFE = timedelta(days=3)
AGE_MS = int(2.5 * DAY_MS)
"""How old the certificate is when these tests begin: half a day is left of three."""


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Desk:
    return Desk(tmp_path / "desk", database, wall_ms())


@pytest.fixture
async def broker(tmp_path: Path, desk: Desk) -> AsyncIterator[OurBroker]:
    broker = OurBroker(tmp_path, desk)
    await publish_list(desk.database, desk.authority, broker.crl, desk.now_ms)
    broker.start()
    yield broker
    broker.kill()


class Box:
    """The folder of settings of a gateway that has been set up 2.5 days ago, with a certificate for three."""

    def __init__(self, folder: Path, asking: Asking, certificate: bytes, ca: Path, port: int = 1) -> None:
        folder.mkdir()
        self.folder = folder
        self.signer = asking.signer
        self.place = Place(folder)
        (folder / "broker.pem").write_bytes(certificate)
        (folder / "broker.key").write_bytes(private_pem(asking.tls))
        self.cluster = ClusterSpec(
            host="127.0.0.1",
            port=port,
            receipt_key=folder / "unused",
            ca=ca,
            certificate=folder / "broker.pem",
            key=folder / "broker.key",
            in_flight=8,
        )

    def certifier(self, desk: Desk, now_ms: int | None = None) -> Recertifier:
        site = Site(
            identity=IDENTITY,
            data_dir=self.folder,
            buses=(),
            devices=(),
            digest="",
            cluster=self.cluster,
            source=str(self.folder / "site.toml"),
        )
        at_ms = now_ms or desk.now_ms
        return Recertifier(site, lambda: self.signer, desk.signer.thumbprint, utc_ms=lambda: at_ms)

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / "broker.pem").read_bytes())


async def enrolled(desk: Desk, asking: Asking) -> bytes:
    before = desk.staff(later_ms=-AGE_MS)
    found = await requests.take_in(desk.database, asking.request(), before)
    done = await requests.approve(desk.database, found.code, before, desk.authority, life=LIFE)
    return done.certificate


async def ask(desk: Desk, data: bytes, client: str = IDENTITY.client, later_ms: int = 0) -> requests.Approved:
    staff = desk.staff("desk", later_ms)
    return await renewed(desk.database, client, data, staff=staff, authority=desk.authority, life=LIFE)


async def test_a_running_gateway_renews_itself_over_the_line(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    plant = Plant(tmp_path / "plant")
    asking.signer = plant.signer
    box = Box(tmp_path / "etc", asking, await enrolled(desk, asking), broker.ca, broker.port)
    before = box.certificate
    endpoint = replace(desk.holder("aurora-desk"), port=broker.port)
    service = Service(endpoint, desk.database, desk.signer, desk.authority, life=LIFE, utc_ms=wall_ms)

    def uplink() -> Uplink:
        return Uplink(
            box.cluster,
            plant.identity,
            plant,
            desk.signer.public,
            clock=plant.clock,
            on_event=plant.record,
            certifier=box.certifier(desk),
        )

    async with running(service.run()):
        await until(lambda: service.connected)
        first = uplink()
        async with running(first.run()):
            await until(lambda: box.certificate != before and not (box.folder / "broker.key.next").exists())
            assert first.stats.connected, "nothing was interrupted"
            assert first.stats.bad_answers == {}
        second = uplink()
        async with running(second.run()):
            await until(lambda: second.stats.connected)
    assert box.certificate.not_valid_after_utc > before.not_valid_after_utc
    assert service.answered == 1, "a fresh certificate asks for nothing"
    assert ("desk", "approved") in [(who, what) for who, what, _ in await desk.deeds()]
    assert (box.folder / "broker.pem.old-1").exists()


async def test_the_same_request_is_answered_again_and_the_same(desk: Desk, asking: Asking) -> None:
    """An answer that was lost on the way: asked for again, and no second certificate."""
    await enrolled(desk, asking)
    data = asking.renew()
    assert await ask(desk, data) == await ask(desk, data, later_ms=5000)
    assert len(await desk.rows("SELECT serial FROM certificate")) == 2


async def test_what_is_not_a_renewal_is_left_to_people(
    desk: Desk, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrolled(desk, asking)
    stranger = Asking(tmp_path / "stranger")
    data = asking.renew()
    cases = [
        (stranger.request(), IDENTITY.client, "not signed by the key in force"),
        (data, OTHER.client, "on the topic of"),
        (b"hello", IDENTITY.client, "does not hold"),
        (bytes(9000), IDENTITY.client, "too large"),
        (Asking(tmp_path / "other", OTHER).request(), OTHER.client, "not enrolled"),
    ]
    for content, client, words in cases:
        with pytest.raises(OperatorError, match=words):
            await ask(desk, content, client)
    with pytest.raises(OperatorError, match="half through"):
        await ask(desk, data, later_ms=-2 * DAY_MS)
    assert len(await desk.rows("SELECT serial FROM certificate")) == 1
    assert [one.kind for one in await requests.listed(desk.database)] == ["renewal"], (
        "the early one waits for people"
    )


async def test_a_key_that_was_cut_off_or_a_gateway_that_was_revoked_renews_nothing(
    desk: Desk, asking: Asking
) -> None:
    await enrolled(desk, asking)
    data = asking.renew()
    await cut_off(desk.database, IDENTITY.client, desk.staff(), event=None, scan=None, why="copied")
    with pytest.raises(OperatorError, match="key in force"):
        await ask(desk, data)
    await revoke(desk.database, IDENTITY.client, desk.staff(), "stolen")
    with pytest.raises(OperatorError, match="revoked"):
        await ask(desk, data)


async def test_a_gateway_is_heard_once_a_minute(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    certificate = await enrolled(desk, asking)
    caller = asking.endpoint(broker.port, broker.ca, certificate)
    now = [desk.now_ms]
    endpoint = replace(desk.holder("aurora-desk"), port=broker.port)
    service = Service(endpoint, desk.database, desk.signer, desk.authority, life=LIFE, utc_ms=lambda: now[0])
    data = asking.renew()
    async with running(service.run()), connect(caller) as link:
        await until(lambda: service.connected)
        await link.subscribe(f"aurora/v1/{IDENTITY.client}/certificate")
        for _ in range(20):
            link.send(f"aurora/v1/{IDENTITY.client}/request", data)
        first = await link.receive(1)
        now[0] += desk_module.PAUSE_MS
        link.send(f"aurora/v1/{IDENTITY.client}/request", data)
        second = await link.receive(1)
    assert service.answered == 2
    assert first[0].payload == second[0].payload


async def test_only_the_clusters_answer_for_this_box_is_taken_and_once(
    desk: Desk, asking: Asking, tmp_path: Path
) -> None:
    box = Box(tmp_path / "etc", asking, await enrolled(desk, asking), desk.folder / "ca.pem")
    certifier = box.certifier(desk)
    data = certifier.request()
    assert data is not None
    assert certifier.request() == data, "until it is answered it is the same request"
    done = await ask(desk, data)
    good = answer_of(desk.signer, desk.authority, done, {})
    thief = Asking(tmp_path / "thief")
    files = {"ca.pem": desk.authority.pem, "broker.pem": done.certificate}
    of_another_key = desk.authority.client(IDENTITY.client, thief.tls.public_key(), desk.now_ms, LIFE)
    of_another_name = desk.authority.client(OTHER.client, asking.tls.public_key(), desk.now_ms, LIFE)
    answered = {"language": "en"}
    wrong = {
        "wrong-key": write_setup(thief.signer, box=done.thumbprint, serial=1, answers={}, files=files),
        "wrong-gateway": write_setup(desk.signer, box=bytes(32), serial=1, answers={}, files=files),
        "bad-setup": write_setup(desk.signer, box=done.thumbprint, serial=1, answers=answered, files=files),
        "not-cose": b"hello",
    }
    for number, made in enumerate((of_another_key, of_another_name)):
        content = {"broker.pem": pem(made)}
        wrong["bad-certificate" + " " * number] = write_setup(
            desk.signer, box=done.thumbprint, serial=1, answers={}, files=content
        )
    before = {path.name: path.read_bytes() for path in box.folder.iterdir()}
    for kind, answer in wrong.items():
        with pytest.raises(SealError) as caught:
            certifier.take(answer)
        assert caught.value.kind == kind.strip()
    assert {path.name: path.read_bytes() for path in box.folder.iterdir()} == before
    certifier.take(good)
    assert box.certificate == x509.load_pem_x509_certificate(done.certificate)
    with pytest.raises(SealError, match="replayed"):
        certifier.take(good)
    assert certifier.request() is None


async def test_a_fresh_certificate_an_unknown_time_and_foreign_files_ask_for_nothing(
    desk: Desk, asking: Asking, tmp_path: Path
) -> None:
    box = Box(tmp_path / "etc", asking, await enrolled(desk, asking), desk.folder / "ca.pem")
    assert box.certifier(desk, desk.now_ms - AGE_MS).request() is None
    certifier = box.certifier(desk)
    certifier._utc_ms = lambda: None
    assert certifier.request() is None
    box.cluster = replace(box.cluster, certificate=tmp_path / "elsewhere.pem")
    assert box.certifier(desk).request() is None
    assert not (box.folder / "broker.key.next").exists()


async def test_what_was_cut_off_between_key_and_request_goes_on(desk: Desk, asking: Asking, tmp_path: Path) -> None:
    box = Box(tmp_path / "etc", asking, await enrolled(desk, asking), desk.folder / "ca.pem")
    first = box.certifier(desk).request()
    following = (box.folder / "broker.key.next").read_bytes()
    for name in ("broker.csr", "request.cose"):
        (box.folder / name).unlink()
    again = box.certifier(desk).request()
    assert again is not None
    assert first is not None
    assert (box.folder / "broker.key.next").read_bytes() == following
    assert read_request(again).tls == read_request(first).tls
    assert read_request(again).serial > read_request(first).serial
    await ask(desk, again)
