"""What a gateway signs to do harm costs the follower no more than a note."""

from dataclasses import replace
from pathlib import Path

import pytest
from derive_world import EAGER, IDENTITY, LATER_MS, Box, derived, enrol, scan, store_all, tables

from gateway.cluster.database import Database
from gateway.cluster.derive.follower import REST_MS, Follower
from gateway.cluster.derive.tables import Tables
from gateway.model import Miss, Quality
from gateway.seal.keys import FileSigner


async def unread(database: Database) -> list[tuple[object, ...]]:
    async with database.transaction(write=False) as work:
        return [tuple(row) for row in await work.fetch("SELECT stream, seq, why FROM unread ORDER BY stream, seq")]


async def test_a_small_batch_about_months_makes_no_rows_for_each_hour_of_them(
    database: Database, tmp_path: Path
) -> None:
    box = Box(FileSigner.create(tmp_path / "gateway.key"))
    box.says_layout()
    box.measures(scan(1, 4.0))
    box.measures(Miss(0, 10, 3_000_000, Quality.TIMEOUT))
    gateway = await derived(database, box)
    assert [row[:2] for row in await unread(database)] == [(1, 2)]
    assert len((await tables(database, gateway))["roll"]) <= 3


async def test_a_boot_of_impossible_length_is_corrected_nowhere(database: Database, tmp_path: Path) -> None:
    box = Box(FileSigner.create(tmp_path / "gateway.key"))
    box.says_layout()
    box.happens(("clock.correction", {"boot": bytes(9000), "offset_ms": 5, "error_ms": 5}))
    box.measures(scan(1, 4.0))
    gateway = await derived(database, box)
    found = await tables(database, gateway)
    assert len(found["event"]) == 2
    assert found["roll"]


async def test_a_defect_over_one_gateway_leaves_the_others_and_its_rest_ends_though_the_clock_is_set_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = []
    for name in ("gw-1", "gw-2"):
        box = Box(FileSigner.create(tmp_path / f"{name}.key"), replace(IDENTITY, gateway=name))
        box.says_layout()
        box.measures(scan(1, 4.0))
        numbers.append(await enrol(database, name))
        await store_all(database, numbers[-1], box)
    good, broken = Tables.write_events, [numbers[0]]

    async def breaks(self: Tables, *rest: object) -> None:
        if self.gateway in broken:
            raise ValueError("nobody thought of this")
        await good(self, *rest)

    monkeypatch.setattr(Tables, "write_events", breaks)
    follower = Follower(database, EAGER)
    for _ in range(3):
        await follower.step(LATER_MS)
    assert [len((await tables(database, number))["event"]) for number in numbers] == [0, 1]
    assert sum("nobody thought of this" in record.message for record in caplog.records) == 1
    broken.clear()
    await follower.step(LATER_MS + REST_MS - 1)
    assert (await tables(database, numbers[0]))["event"] == []
    await follower.step(LATER_MS - 86_400_000)
    assert len((await tables(database, numbers[0]))["event"]) == 1
