"""What a gateway signs to do harm costs the follower no more than a note."""

from pathlib import Path

from derive_world import Box, derived, scan, tables

from gateway.cluster.database import Database
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
