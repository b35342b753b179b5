"""One gateway that is enrolled and means harm: what it signs is named, and never stops what the others deliver."""

from pathlib import Path

import pytest
from cluster_world import NOW_MS, OTHER, Plant
from hypothesis import given
from hypothesis import strategies as st
from test_cluster_register import Desk, receipts, refusals

from gateway.cluster.fleet.pointpages import _cell
from gateway.cluster.opening import Message
from gateway.cluster.store import Store
from gateway.errors import UnfitError

MONTH_MS = 32 * 86_400_000


@pytest.fixture
def both(tmp_path: Path, plant: Plant, where: str):
    """A desk with the one that means harm and an honest one."""
    honest = Plant(tmp_path / "honest", OTHER)
    desk = Desk(tmp_path, plant, honest, where=where)
    yield desk, honest
    desk.close()


def together(desk: Desk, *groups: tuple[Plant, list], now: int = NOW_MS) -> list:
    messages = [Message(plant.identity.client, b.stream, b.body) for plant, batches in groups for b in batches]
    return desk.runner.run(desk.register.take(messages, now))


def test_a_key_that_is_to_sign_from_the_end_of_all_numbers_on(both: tuple[Desk, Plant], plant: Plant) -> None:
    desk, honest = both
    scans = plant.batches["scan"]
    plant.batches["scan"] = [type(scans[0])("scan", 2**63 - 1, scans[0].leaf, scans[0].body)]
    plant.rotate()
    answers = together(desk, (plant, plant.batches["event"]), (honest, honest.batches["scan"]))
    assert [one.sub for one in receipts(answers) if OTHER.urn in one.sub]
    assert desk.store.terms(1)[0].end["scan"] < 2**62


def test_a_deletion_of_more_than_a_journal_deletes_at_once(both: tuple[Desk, Plant], plant: Plant) -> None:
    desk, honest = both
    count = 20_000
    plant.event("deleted", stream="scan", first=1, last=count, leaves=bytes(32 * count), reason="full")
    answers = together(desk, (plant, plant.batches["event"]), (honest, honest.batches["event"]))
    assert len(receipts(answers)) == 2
    state = desk.state(plant, "event")
    assert (state.size, state.unreadable, desk.state(plant).held) == (2, 1, 0)


def test_heads_from_the_end_of_all_numbers_still_add_up(both: tuple[Desk, Plant], plant: Plant) -> None:
    desk, _ = both
    other = plant.batches["scan"][0]
    plant.batches["scan"] = [type(other)("scan", 2**63 - 2, other.leaf, other.body)]
    plant.event("note")
    together(desk, (plant, plant.batches["event"]))
    assert 10_000 * desk.state(plant).announced < 2**63


def test_the_body_of_an_old_hole_comes_months_later(both: tuple[Desk, Plant], plant: Plant) -> None:
    desk, _ = both
    plant.scans(3)
    plant.delete("scan", 2, 2)
    late = plant.batches["scan"]
    together(desk, (plant, plant.batches["event"] + late[:2] + late[3:]))
    desk.runner.run(desk.database.prepare(NOW_MS + MONTH_MS))
    together(desk, (plant, late[2:3]), now=NOW_MS + MONTH_MS)
    assert [entry.body for entry in desk.store.entries(1, "scan")] == [batch.body for batch in late]
    assert desk.state(plant).deleted == 0


def test_what_the_store_cannot_hold_is_refused_alone(
    both: tuple[Desk, Plant], plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, honest = both
    plant.scans(3)
    honest.scans(3)
    poison = plant.batches["scan"][2]
    add = Store.add

    async def checked(self: Store, entries: object) -> None:
        found = list(entries)
        if any(entry.leaf == poison.leaf for *_, entry in found):
            raise UnfitError("no room for such a thing", "see which value it was given")
        await add(self, found)

    monkeypatch.setattr(Store, "add", checked)
    scans = zip(plant.batches["scan"], honest.batches["scan"], strict=True)
    messages = [
        Message(one.identity.client, batch.stream, batch.body)
        for pair in scans
        for one, batch in zip((plant, honest), pair, strict=True)
    ]
    answers = desk.runner.run(desk.register.take(messages, NOW_MS))
    assert desk.state(honest).size == 4
    assert (desk.state(plant).size, desk.state(plant).held) == (2, 1)
    assert [one.seq for one in refusals(answers) if one.reason == "unfit"] == [2]
    assert desk.ledger(plant)["rejected"][0]["reason"] == "unfit"


@given(st.text(alphabet=st.sampled_from('=+-@,"\r\n\tAB °%'), max_size=12))
def test_a_unit_stays_in_its_cell(text: str) -> None:
    cell = _cell(text)
    assert not cell.startswith(("=", "+", "-", "@"))
    assert cell.isprintable()
    inner = cell[1:-1].replace('""', "") if cell.startswith('"') else cell
    assert '"' not in inner
    assert cell.startswith('"') or "," not in cell
