"""Keys that are cut off, replaced and revoked, as the register sees them: both engines, really signed batches."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from cluster_world import CLUSTER, Plant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from identity_world import IDENTITY, NOW_MS, Asking, Desk

from gateway.cluster.database import open_database
from gateway.cluster.identity import requests
from gateway.cluster.identity.keys import cut_off, reinstate, revoke, revoke_certificate, revoke_client
from gateway.cluster.opening import Message
from gateway.cluster.register import Register
from gateway.errors import OperatorError
from gateway.seal.keys import FileSigner
from gateway.seal.receipt import Refusal, parse_answer
from gateway.seal.statement import read_statement


async def enrol(desk: Desk, asking: Asking) -> requests.Approved:
    found = await requests.take_in(desk.database, asking.request(), desk.staff())
    replacing = found.kind == "replacement"
    return await requests.approve(desk.database, found.code, desk.staff(), desk.authority, replacing=replacing)


class World:
    """A gateway whose batches reach two registers that remember keys, as two receivers would."""

    def __init__(self, desk: Desk, asking: Asking, folder: Path) -> None:
        self.desk = desk
        self.plant = Plant(folder / "plant")
        asking.signer = self.plant.signer
        self.registers = [Register(desk.database, desk.signer, iss=CLUSTER) for _ in range(2)]

    async def deliver(self, plant: Plant | None = None, first: tuple[int, int] = (0, 0)) -> list[str]:
        """Send everything from these batches on, by turns; the reasons of the refusals."""
        plant = plant or self.plant
        bodies = [("event", b.body) for b in plant.batches["event"][first[0] :]]
        bodies += [("scan", b.body) for b in plant.batches["scan"][first[1] :]]
        reasons = []
        for place, (stream, body) in enumerate(bodies):
            answers = await self.registers[place % 2].take([Message(IDENTITY.client, stream, body)], NOW_MS)
            told = [parse_answer(answer.payload) for answer in answers]
            reasons += [one.reason for one in told if isinstance(one, Refusal)]
        return reasons

    async def sizes(self) -> tuple[int, int]:
        rows = await self.desk.rows("SELECT size FROM stream ORDER BY stream")
        return int(str(rows[0][0])), int(str(rows[1][0]))


@pytest.fixture
def world(desk: Desk, asking: Asking, tmp_path: Path) -> World:
    return World(desk, asking, tmp_path)


def successor(plant: Plant, folder: Path) -> None:
    """The gateway gets another key and goes on with its journal: what `replace` is for."""
    folder.mkdir()
    plant.signer = FileSigner.create(folder / "new.key")


async def test_a_stolen_key_signs_nothing_from_a_batch_on_and_its_successor_goes_on(
    world: World, desk: Desk, asking: Asking, tmp_path: Path
) -> None:
    plant = world.plant
    await enrol(desk, asking)
    plant.scans(3)
    plant.event("alarm")
    assert await world.deliver() == []
    assert await world.sizes() == (2, 4)
    version = await desk.version()
    done = await cut_off(desk.database, IDENTITY.client, desk.staff(), event=None, scan=None, why="card stolen")
    assert (done.event, done.scan, done.doubted) == (2, 4, "")
    assert await desk.version() == version + 1
    thief = Plant(tmp_path / "thief")
    thief.signer, thief.batches = plant.signer, {s: list(b) for s, b in plant.batches.items()}
    thief.scans(2)
    thief.event("alarm")
    assert set(await world.deliver(thief, (2, 4))) == {"superseded-key"}, "both registers remembered the key"
    successor(plant, tmp_path / "new")
    asking.signer, asking.serial = plant.signer, 1
    await enrol(desk, asking)
    plant.scans(2)
    plant.event("alarm")
    assert await world.deliver(first=(2, 4)) == []
    assert await world.sizes() == (3, 6)
    assert set(await world.deliver(thief, (2, 4))) == {"superseded-key"}
    assert await world.deliver() == [], "what the old key signed before is what it was"


async def test_a_key_can_be_cut_off_from_batches_that_are_still_to_come(
    world: World, desk: Desk, asking: Asking
) -> None:
    """The gateway is offline, and staff know from the site how far its own record goes."""
    await enrol(desk, asking)
    world.plant.scans(6)
    await cut_off(desk.database, IDENTITY.client, desk.staff(), event=1, scan=4, why="stolen after scan 3")
    reasons = await world.deliver()
    assert reasons == ["superseded-key"] * 3
    assert await world.sizes() == (1, 4)


async def test_what_waits_behind_a_hole_is_not_taken_when_its_key_has_been_cut_off(
    world: World, desk: Desk, asking: Asking
) -> None:
    await enrol(desk, asking)
    world.plant.scans(5)
    scans = [Message(IDENTITY.client, "scan", batch.body) for batch in world.plant.batches["scan"]]
    await world.registers[0].take([scans[0], scans[2], scans[3]], NOW_MS)
    assert await world.sizes() == (0, 1)
    await cut_off(desk.database, IDENTITY.client, desk.staff(), event=1, scan=3, why="stolen")
    await world.registers[1].take([scans[1]], NOW_MS)
    assert await world.sizes() == (0, 3), "2 was signed before the cut, 3 was not"


async def test_what_is_in_the_tree_stays_and_the_doubt_is_signed(world: World, desk: Desk, asking: Asking) -> None:
    await enrol(desk, asking)
    world.plant.scans(5)
    await world.deliver()
    done = await cut_off(desk.database, IDENTITY.client, desk.staff("ole"), event=0, scan=2, why="lent out")
    assert (done.event, done.scan, done.doubted) == (1, 6, "event 0 to 0, scan 2 to 5")
    rows = await desk.rows("SELECT statement FROM key_statement ORDER BY place DESC LIMIT 1")
    told = read_statement(bytes(rows[0][0]), desk.signer.public)
    assert told.why == "lent out; doubted: event 0 to 0, scan 2 to 5"
    assert (told.what, told.by, told.event, told.scan) == ("cut-off", "ole", 1, 6)
    assert (told.doubted_event, told.doubted_scan) == (0, 2)
    assert await world.sizes() == (1, 6)


async def test_a_key_is_cut_off_once(world: World, desk: Desk, asking: Asking) -> None:
    await enrol(desk, asking)
    await cut_off(desk.database, IDENTITY.client, desk.staff(), event=3, scan=3, why="stolen")
    with pytest.raises(OperatorError, match="cut off from event 3"):
        await cut_off(desk.database, IDENTITY.client, desk.staff(), event=9, scan=9, why="later, please")
    with pytest.raises(OperatorError, match="no gateway is enrolled"):
        await cut_off(desk.database, "dairy.gw-2", desk.staff(), event=0, scan=0, why="x")


async def test_nothing_is_taken_from_a_revoked_gateway_until_it_is_reinstated(
    world: World, desk: Desk, asking: Asking
) -> None:
    await enrol(desk, asking)
    world.plant.scans(2)
    assert await world.deliver() == []
    serials = await revoke(desk.database, IDENTITY.client, desk.staff(), "sold")
    assert len(serials) == 1
    world.plant.scans(2)
    assert set(await world.deliver(first=(1, 3))) == {"revoked"}
    assert await world.sizes() == (1, 3)
    with pytest.raises(OperatorError, match="revoked already"):
        await revoke(desk.database, IDENTITY.client, desk.staff(), "again")
    await reinstate(desk.database, IDENTITY.client, desk.staff(), "bought back")
    with pytest.raises(OperatorError, match="is not revoked"):
        await reinstate(desk.database, IDENTITY.client, desk.staff(), "again")
    assert await world.deliver(first=(1, 3)) == []
    assert await world.sizes() == (1, 5)
    rows = await desk.rows("SELECT revoked_ms, reason FROM certificate")
    assert rows == [(NOW_MS, "sold")], "what is on a revocation list stays on it"
    rows = await desk.rows("SELECT what FROM key_statement ORDER BY place")
    assert [what for (what,) in rows] == ["enrolled", "revoked", "reinstated"]


async def test_one_certificate_can_be_revoked_alone(desk: Desk, asking: Asking) -> None:
    await enrol(desk, asking)
    asking.renew()
    await enrol(desk, asking)
    rows = await desk.rows("SELECT serial FROM certificate ORDER BY issued_ms, serial")
    version = await desk.version()
    assert await revoke_certificate(desk.database, str(rows[0][0]), desk.staff(), "key copied") == IDENTITY.client
    assert await desk.version() == version
    with pytest.raises(OperatorError, match="revoked already"):
        await revoke_certificate(desk.database, str(rows[0][0]), desk.staff(), "again")
    with pytest.raises(OperatorError, match="is not known"):
        await revoke_certificate(desk.database, "abc", desk.staff(), "x")
    with pytest.raises(OperatorError, match="no certificate of nobody"):
        await revoke_client(desk.database, "nobody", desk.staff(), "x")


async def test_a_cut_and_a_delivery_at_once_leave_nothing_beyond_the_cut(
    world: World, desk: Desk, asking: Asking
) -> None:
    """Whoever is first: what is in the tree is before the cut."""
    await enrol(desk, asking)
    world.plant.scans(20)
    messages = [Message(IDENTITY.client, "scan", batch.body) for batch in world.plant.batches["scan"]]

    async def send(register: Register) -> None:
        for start in range(0, 21, 3):
            await register.take(messages[start : start + 3], NOW_MS)

    await asyncio.gather(
        *(send(register) for register in world.registers),
        cut_off(desk.database, IDENTITY.client, desk.staff(), event=None, scan=None, why="stolen"),
    )
    rows = await desk.rows("SELECT scan_end FROM term")
    assert (await world.sizes())[1] == rows[0][0]


STEPS = st.lists(st.sampled_from(["enrol", "cut", "replace", "revoke", "reinstate", "renew"]), max_size=7)


@given(steps=STEPS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_any_order_terms_meet_each_other_and_every_change_is_seen(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(_walk(steps, tmp_path_factory.mktemp("walk")))


async def _walk(steps: list[str], folder: Path) -> None:
    database = await open_database(folder / "cluster.db")
    await database.prepare(NOW_MS)
    desk = Desk(folder / "desk", database)
    number = 0
    asking = Asking(folder / "first")
    seen = (0, 0)
    for step in steps:
        try:
            if step in {"enrol", "replace"}:
                number += step == "replace"
                asking = Asking(folder / f"{step}-{number}") if step == "replace" else asking
                await enrol(desk, asking)
            elif step == "renew":
                asking.renew()
                await enrol(desk, asking)
            elif step == "cut":
                await cut_off(database, IDENTITY.client, desk.staff(), event=number, scan=2 * number, why="w")
            elif step == "revoke":
                await revoke(database, IDENTITY.client, desk.staff(), "w")
            else:
                await reinstate(database, IDENTITY.client, desk.staff(), "w")
        except OperatorError:
            pass
        rows = await desk.rows("SELECT version, (SELECT count(*) FROM key_statement) FROM gateway")
        now = (int(str(rows[0][0])), int(str(rows[0][1]))) if rows else (0, 0)
        assert now[0] - seen[0] == now[1] - seen[1], "each decision about a key is one version and one statement"
        seen = now
    terms = await desk.rows("SELECT event_first, event_end, scan_first, scan_end FROM term ORDER BY place")
    for before, after in pairwise(terms):
        assert (before[1], before[3]) == (after[0], after[2])
    await database.close()
