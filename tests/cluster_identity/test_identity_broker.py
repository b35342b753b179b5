"""Identity at a real Mosquitto with the shipped configuration: who gets in, is thrown out, takes over whom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cluster_world import CLUSTER, Plant, running, until
from cryptography import x509
from identity_world import DAY_MS, IDENTITY, OTHER, Asking, Desk, OurBroker

from gateway.clock import wall_ms
from gateway.cluster.database import Database
from gateway.cluster.identity import requests
from gateway.cluster.identity.broker import Ended, close_session, end_sessions, publish_list, reload_broker
from gateway.cluster.identity.certificates import new_key, pem, private_pem
from gateway.cluster.identity.keys import revoke, revoke_certificate
from gateway.cluster.identity.share import share_group
from gateway.cluster.receiver import Receiver
from gateway.cluster.register import Register
from gateway.errors import ConfigError, OperatorError
from gateway.mqtt import Endpoint, Link, LinkError, connect
from gateway.seal.cose import ESP256
from gateway.seal.keys import FileSigner
from gateway.site import ClusterSpec
from gateway.sync.uplink import Uplink

SCANS, EVENTS = "aurora/v1/+/scan", "aurora/v1/+/event"


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Desk:
    """TLS libraries read the clock of this machine."""
    return Desk(tmp_path / "desk", database, wall_ms())


@pytest.fixture
async def broker(tmp_path: Path, desk: Desk) -> AsyncIterator[OurBroker]:
    broker = OurBroker(tmp_path, desk)
    await publish_list(desk.database, desk.authority, broker.crl, desk.now_ms)
    broker.start()
    yield broker
    broker.kill()


async def gateway(desk: Desk, broker: OurBroker, asking: Asking) -> Endpoint:
    """Ask, be approved, and be able to call."""
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    done = await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    return asking.endpoint(broker.port, broker.ca, done.certificate, done.identity.client)


def holder(desk: Desk, broker: OurBroker, name: str) -> Endpoint:
    return replace(desk.holder(name), port=broker.port)


async def end(desk: Desk, broker: OurBroker, *clients: str) -> Ended:
    staff = holder(desk, broker, "aurora-receiver")
    return await end_sessions(
        desk.database,
        desk.authority,
        clients,
        broker=staff,
        path=broker.crl,
        reload=broker.reload,
        now_ms=desk.now_ms,
    )


async def gets_in(endpoint: Endpoint) -> bool:
    try:
        async with connect(endpoint):
            return True
    except LinkError:
        return False


async def is_cut(link: Link) -> None:
    with pytest.raises(LinkError):
        async with asyncio.timeout(10):
            await link.receive(1)


async def test_revoking_ends_the_open_session_and_lets_nobody_back_in(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    endpoint = await gateway(desk, broker, asking)
    beside = Asking(tmp_path / "beside", OTHER)
    other = await gateway(desk, broker, beside)
    async with connect(endpoint) as link, connect(other) as untouched:
        await link.subscribe(f"aurora/v1/{IDENTITY.client}/receipt")
        await revoke(desk.database, IDENTITY.client, desk.staff(), "stolen")
        assert (await end(desk, broker, IDENTITY.client)).after_s < 15
        await is_cut(link)
        assert not untouched.lost
    assert not await gets_in(endpoint)
    assert await gets_in(other)


async def test_a_reload_alone_leaves_an_open_session(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    """What the broker does by itself, and why `end_sessions` is needed; measured with Mosquitto 2.0.11."""
    endpoint = await gateway(desk, broker, asking)
    other = await gateway(desk, broker, Asking(tmp_path / "beside", OTHER))
    async with connect(endpoint) as link:
        for client in (IDENTITY.client, OTHER.client):
            await revoke(desk.database, client, desk.staff(), "stolen")
        await publish_list(desk.database, desk.authority, broker.crl, desk.now_ms)
        await reload_broker(broker.reload)
        async with asyncio.timeout(10):
            while await gets_in(other):
                await asyncio.sleep(0.02)
        await link.subscribe(f"aurora/v1/{IDENTITY.client}/receipt")
        assert not link.lost
    assert not await gets_in(endpoint)


async def test_a_gateway_that_keeps_knocking_does_not_come_back(
    desk: Desk, broker: OurBroker, asking: Asking
) -> None:
    """A thief reconnects as fast as he can while he is thrown out: between reload and take-over there is no gap."""
    endpoint = await gateway(desk, broker, asking)
    knocks = 0

    async def knock() -> None:
        nonlocal knocks
        while True:
            with suppress(LinkError):
                async with connect(endpoint) as link:
                    knocks += 1
                    await link.receive(1)

    task = asyncio.ensure_future(knock())
    try:
        await until(lambda: knocks == 1)
        await revoke(desk.database, IDENTITY.client, desk.staff(), "stolen")
        await end(desk, broker, IDENTITY.client)
        before = knocks
        for _ in range(10):
            assert not await gets_in(endpoint)
        assert knocks == before
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_broker_that_does_not_read_the_list_is_found_out(
    desk: Desk, broker: OurBroker, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cluster.identity.broker.PATIENCE_S", 0.5)
    endpoint = await gateway(desk, broker, asking)
    await revoke(desk.database, IDENTITY.client, desk.staff(), "stolen")
    staff = holder(desk, broker, "aurora-receiver")
    with pytest.raises(OperatorError, match="does not refuse what is revoked"):
        await end_sessions(
            desk.database,
            desk.authority,
            [IDENTITY.client],
            broker=staff,
            path=broker.crl,
            reload=["true"],
            now_ms=desk.now_ms,
        )
    assert await gets_in(endpoint), "so it was right to complain"


@pytest.mark.parametrize(
    ("command", "words"),
    [(["/does/not/exist"], "cannot be run"), (["false"], "failed"), (["ls", "/nowhere"], "nowhere")],
)
async def test_a_reload_that_fails_is_told(command: list[str], words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        await reload_broker(command)


async def test_a_list_that_has_ended_shuts_everybody_out_and_is_named(
    desk: Desk, broker: OurBroker, asking: Asking
) -> None:
    endpoint = await gateway(desk, broker, asking)
    await publish_list(desk.database, desk.authority, broker.crl, desk.now_ms - 91 * DAY_MS)
    await reload_broker(broker.reload)
    async with asyncio.timeout(10):
        while await gets_in(endpoint):
            await asyncio.sleep(0.02)
    with pytest.raises(OperatorError, match="refuses everybody"):
        await close_session(endpoint)
    await publish_list(desk.database, desk.authority, broker.crl, desk.now_ms)
    await reload_broker(broker.reload)
    async with asyncio.timeout(10):
        while not await gets_in(endpoint):
            await asyncio.sleep(0.02)


async def test_after_a_renewal_the_old_certificate_can_go_and_the_gateway_stays(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    old = await gateway(desk, broker, asking)
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in (old.certificate, old.key):
        assert path is not None
        (kept / path.name).write_bytes(path.read_bytes())
    stolen = replace(old, certificate=kept / "broker.pem", key=kept / "broker.key")
    serial = f"{x509.load_pem_x509_certificate((kept / 'broker.pem').read_bytes()).serial_number:x}"
    asking.renew()
    new = await gateway(desk, broker, asking)
    await revoke_certificate(desk.database, serial, desk.staff(), "renewed")
    await end(desk, broker, IDENTITY.client)
    assert not await gets_in(stolen)
    assert await gets_in(new)


async def test_a_running_gateway_goes_on_with_its_new_pair_and_loses_nothing(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    """Receiver, uplink and broker are the real ones; the pair is exchanged under them, and the old one revoked."""
    plant = Plant(tmp_path / "plant")
    asking.signer = plant.signer
    old = await gateway(desk, broker, asking)
    register = Register(desk.database, desk.signer, iss=CLUSTER)
    receiver = Receiver(holder(desk, broker, "aurora-receiver"), register, utc_ms=wall_ms, group="g")
    settings = ClusterSpec(
        host="127.0.0.1",
        port=broker.port,
        receipt_key=tmp_path / "unused",
        ca=old.ca,
        certificate=old.certificate,
        key=old.key,
        in_flight=8,
    )
    up = Uplink(
        settings,
        plant.identity,
        plant,
        desk.signer.public,
        clock=plant.clock,
        on_event=plant.record,
        receipt_timeout_s=2.0,
    )
    async with running(receiver.run(), up.run()):
        plant.scans(5)
        await until(plant.done)
        serials = await desk.rows("SELECT serial FROM certificate WHERE client = $1", IDENTITY.client)
        asking.renew()
        await gateway(desk, broker, asking)
        plant.scans(5)
        await until(plant.done)
        assert up.stats.connects == 1, "the exchange alone ends no session"
        await revoke_certificate(desk.database, str(serials[0][0]), desk.staff(), "renewed")
        await end(desk, broker, IDENTITY.client)
        plant.scans(5)
        await until(plant.done)
        assert up.stats.connects == 2
        await revoke(desk.database, IDENTITY.client, desk.staff(), "sold")
        plant.scans(1)
        await until(lambda: up.stats.refused["revoked"])
        await end(desk, broker, IDENTITY.client)
        await until(lambda: not up.stats.connected)
        assert not plant.done("scan")
    assert await desk.rows("SELECT size FROM stream WHERE stream = 1") == [(16,)]


async def test_the_client_id_is_the_certificates_and_nobody_elses(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    """Another gateway that calls itself by this one's client id only gets its own, and takes over nothing."""
    endpoint = await gateway(desk, broker, asking)
    thief = Asking(tmp_path / "thief", OTHER)
    disguised = replace(await gateway(desk, broker, thief), client=IDENTITY.client)
    codes: list[int] = []
    async with connect(endpoint) as link:
        await link.subscribe(f"aurora/v1/{IDENTITY.client}/receipt")
        async with connect(disguised, on_puback=lambda _, code: codes.append(code)) as theirs:
            theirs.send(f"aurora/v1/{IDENTITY.client}/scan", b"forged")
            theirs.send(f"aurora/v1/{OTHER.client}/scan", b"their own")
            await until(lambda: len(codes) == 2)
            assert not link.lost
    assert codes == [135, 16], "not authorized; and their own topic, to which nobody listens"


async def test_a_certificate_of_another_authority_does_not_get_in(
    desk: Desk, broker: OurBroker, asking: Asking, tmp_path: Path
) -> None:
    (tmp_path / "foreign").mkdir()
    foreign = Desk(tmp_path / "foreign", desk.database, wall_ms())
    stranger = replace(foreign.holder(IDENTITY.client), port=broker.port, ca=broker.ca)
    assert not await gets_in(stranger)
    nobody = replace(stranger, certificate=None, key=None)
    assert not await gets_in(nobody)


async def test_a_probe_and_a_gateway_have_no_rights_on_others_topics(
    desk: Desk, broker: OurBroker, asking: Asking
) -> None:
    endpoint = await gateway(desk, broker, asking)
    probe = holder(desk, broker, "aurora-probe")
    receiver = holder(desk, broker, "aurora-receiver")
    codes: list[int] = []
    async with connect(probe, on_puback=lambda _, code: codes.append(code)) as link, connect(endpoint) as spy:
        await spy.subscribe("#")
        link.send(f"aurora/v1/{IDENTITY.client}/receipt", b"forged receipt")
        await until(lambda: codes == [135])
        async with connect(receiver) as ours:
            ours.send(f"aurora/v1/{OTHER.client}/receipt", b"not for the spy")
            ours.send(f"aurora/v1/{IDENTITY.client}/receipt", b"for it")
            assert [one.payload for one in await spy.receive(9)] == [b"for it"]


async def test_receivers_share_under_the_access_list_and_a_gateway_cannot_join_their_group(
    desk: Desk, broker: OurBroker, asking: Asking
) -> None:
    """The access list of Mosquitto grants any subscription and refuses only deliveries. So a gateway in the group
    would make its share vanish: here it guesses every name but the right one, and nothing is lost."""
    endpoint = await gateway(desk, broker, asking)
    group = share_group(desk.signer, "receivers")
    receivers = [holder(desk, broker, name) for name in ("aurora-receiver", "aurora-receiver-2")]
    got: list[set[bytes]] = [set(), set()]

    async def receive(place: int, link: Link) -> None:
        while True:
            got[place] |= {one.payload for one in await link.receive(50)}

    async with connect(receivers[0]) as one, connect(receivers[1]) as two, connect(endpoint) as link:
        tasks = []
        for place, receiver in enumerate((one, two)):
            await receiver.subscribe(f"$share/{group}/{SCANS}", f"$share/{group}/{EVENTS}")
            tasks.append(asyncio.ensure_future(receive(place, receiver)))
        await link.subscribe(f"$share/receivers/{SCANS}", f"$share/aurora/{SCANS}", SCANS)
        sent = {b"%d" % number for number in range(40)}
        for payload in sorted(sent):
            link.send(f"aurora/v1/{IDENTITY.client}/scan", payload)
        await until(lambda: got[0] | got[1] == sent)
        assert got[0]
        assert got[1]
        assert not got[0] & got[1]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_why_the_group_has_to_be_a_secret(desk: Desk, broker: OurBroker, asking: Asking) -> None:
    """The trap itself, so that a later broker that closes it is noticed: half of what is sent goes to nobody."""
    endpoint = await gateway(desk, broker, asking)
    async with connect(holder(desk, broker, "aurora-receiver")) as receiver, connect(endpoint) as link:
        await receiver.subscribe(f"$share/known/{SCANS}")
        await link.subscribe(f"$share/known/{SCANS}")
        codes: list[int] = []
        async with connect(holder(desk, broker, "aurora-receiver-3")) as watcher:
            await watcher.subscribe(SCANS)
            for number in range(10):
                link.send(f"aurora/v1/{IDENTITY.client}/scan", b"%d" % number)
            seen: set[bytes] = set()
            while len(seen) < 10:
                seen |= {one.payload for one in await watcher.receive(10)}
        taken = len(await receiver.receive(20))
        assert not codes
    assert taken < 10


def test_the_group_follows_from_the_clusters_key(tmp_path: Path) -> None:
    one, two = FileSigner.create(tmp_path / "one.key"), FileSigner.create(tmp_path / "two.key")
    assert share_group(one, "a") == share_group(FileSigner.load(tmp_path / "one.key"), "a")
    assert len({share_group(one, "a"), share_group(one, "b"), share_group(two, "a")}) == 3
    with pytest.raises(ConfigError, match="Ed25519"):
        share_group(FileSigner.create(tmp_path / "three.key", ESP256), "a")


async def test_a_key_that_follows_is_found_by_the_certificate_that_came_first(
    desk: Desk, broker: OurBroker, asking: Asking
) -> None:
    """Cut off between the two steps of an exchange, the gateway still gets in; then the old pair is no pair."""
    endpoint = await gateway(desk, broker, asking)
    assert endpoint.key is not None
    assert endpoint.certificate is not None
    key = new_key()
    made = desk.authority.client(IDENTITY.client, key.public_key(), desk.now_ms, timedelta(days=1))
    following = endpoint.key.with_name("broker.key.next")
    following.write_bytes(private_pem(key))
    assert await gets_in(endpoint), "a successor alone changes nothing"
    endpoint.certificate.write_bytes(pem(made))
    assert await gets_in(endpoint)
    following.replace(endpoint.key)
    assert await gets_in(endpoint)
    endpoint.key.write_bytes(private_pem(new_key()))
    with pytest.raises(LinkError, match="certificates cannot be used"):
        async with connect(endpoint):
            pass


async def test_the_list_is_written_whole_and_readable_and_its_number_rises(
    desk: Desk, asking: Asking, tmp_path: Path
) -> None:
    path = tmp_path / "revoked.pem"
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    await requests.approve(desk.database, found.code, desk.staff(), desk.authority)
    assert await publish_list(desk.database, desk.authority, path, desk.now_ms) == 0
    first = x509.load_pem_x509_crl(path.read_bytes())
    await revoke(desk.database, IDENTITY.client, desk.staff(), "stolen")
    await asyncio.gather(*(publish_list(desk.database, desk.authority, path, desk.now_ms + n) for n in range(1, 6)))
    second = x509.load_pem_x509_crl(path.read_bytes())
    public = desk.authority.certificate.public_key()
    assert second.is_signature_valid(public)  # type: ignore[arg-type]
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (first, second)]
    assert numbers[0] < numbers[1]
    rows = await desk.rows("SELECT serial FROM certificate")
    assert [one.serial_number for one in second] == [int(str(rows[0][0]), 16)]
    assert path.stat().st_mode & 0o777 == 0o644
    assert not list(tmp_path.glob(".revoked.pem*.draft"))
    later = desk.now_ms + 400 * DAY_MS
    assert await publish_list(desk.database, desk.authority, path, later) == 0, "what has ended need not be listed"
    with pytest.raises(OperatorError, match="cannot be written"):
        await publish_list(desk.database, desk.authority, tmp_path / "no/where.pem", desk.now_ms)
