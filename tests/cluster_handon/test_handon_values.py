"""Values handed on are those that were signed: read again from the files, on both engines."""

import argparse
import csv
import io
import json
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet
import pytest
from derive_world import LATER_MS, START_MS, Box, derived, enrol, scan, store_all
from handon_world import END_MS, HOUR_MS, plant, signed
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster.database import Database
from gateway.cluster.handon import cli, commands, values
from gateway.cluster.handon.choice import Choice, rows
from gateway.cluster.handon.evidence import Left
from gateway.cluster.handon.values import COLUMNS, CsvWriter, ParquetWriter, Row, plain, shown, write
from gateway.errors import AuroraError, RecordError
from gateway.records import Reading

WHOLE = Choice("dairy", "", "", START_MS, LATER_MS)


async def handed(
    database: Database, choice: Choice, left: Left | None = None, points: Sequence[str] = ()
) -> list[Row]:
    async with database.transaction(write=False) as work:
        return [row async for part in rows(work, choice, left or Left(), points) for row in part]


def as_row(r: Reading) -> tuple[object, ...]:
    return (
        r.utc_ms, r.error_ms, r.device, r.channel, r.role, r.value, r.unit, r.quality.name.lower(), r.slot, r.slots,
        r.boot.hex(), r.boot_ms, r.batch,
    )  # fmt: skip


def of_row(row: Row) -> tuple[object, ...]:
    return (
        row.time_utc, row.error_ms, row.device, row.channel, row.role, row.value, row.unit, row.quality, row.slot,
        row.slots, row.boot, row.boot_ms, row.batch,
    )  # fmt: skip


async def test_rows_are_what_was_signed(database: Database, tmp_path: Path) -> None:
    box = plant(tmp_path / "box")
    await derived(database, box)
    found = await handed(database, WHOLE)
    assert [of_row(row) for row in found] == [as_row(reading) for reading in signed(box)]
    assert len(found) > 300
    assert {(row.member, row.site, row.gateway, row.stream) for row in found} == {
        ("dairy", "north", "gw-1", "scan")
    }
    assert {row.points for row in found if row.channel == "air" and row.role == "value"} == {"cold"}
    assert {row.points for row in found if row.channel == "hum"} == {""}


async def test_a_stretch_has_its_rows_and_no_others(database: Database, tmp_path: Path) -> None:
    box = plant(tmp_path / "box")
    await derived(database, box)
    whole = await handed(database, WHOLE)
    first, end = START_MS + HOUR_MS + 2_003, START_MS + 2 * HOUR_MS + 1
    part = await handed(database, WHOLE._replace(from_ms=first, to_ms=end))
    inside = [
        row for row in whole if (row.time_utc or 0) < end and (row.time_utc or 0) + (row.slots - 1) * 1000 >= first
    ]
    assert part == inside
    assert 0 < len(part) < len(whole)
    assert await handed(database, WHOLE, points=["cold"]) == [
        row for row in whole if row.channel in {"air", ""} and row.device == "room"
    ]


async def test_files_read_again_are_equal_to_the_rows(database: Database, tmp_path: Path) -> None:
    box = plant(tmp_path / "box")
    await derived(database, box)
    expected = await handed(database, WHOLE)
    async with database.transaction(write=False) as work:
        text = io.StringIO()
        assert await write(rows(work, WHOLE, Left()), CsvWriter(text)) == len(expected)
        parquet = tmp_path / "values.parquet"
        assert await write(rows(work, WHOLE, Left()), ParquetWriter(parquet, {"member": "dairy"})) == len(expected)

    lines = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [from_csv(line) for line in lines] == expected

    table = pyarrow.parquet.read_table(parquet)
    stored = [
        Row(
            **{**line, "time_utc": None if line["time_utc"] is None else round(line["time_utc"].timestamp() * 1000)}
        )
        for line in table.to_pylist()
    ]
    assert stored == expected
    assert json.loads(table.schema.metadata[b"aurora"]) == {"format": "aurora-values/1", "member": "dairy"}
    assert str(table.schema.field("time_utc").type) == "timestamp[ms, tz=UTC]"
    assert not table.schema.field("batch").nullable


def from_csv(line: dict[str, str]) -> Row:
    from datetime import datetime

    numbers = {"error_ms", "decimals", "slot", "slots", "boot_ms", "batch"}
    cells: dict[str, object] = {}
    for name, cell in line.items():
        if name == "time_utc":
            cells[name] = round(datetime.fromisoformat(cell).timestamp() * 1000) if cell else None
        elif name in numbers:
            cells[name] = int(cell) if cell else None
        elif name == "value":
            cells[name] = float(cell) if cell else None
        else:
            cells[name] = plain(cell)
    return Row(**cells)  # type: ignore[arg-type]


WORDS = st.text(max_size=6) | st.builds(str.__add__, st.sampled_from("'=+-@\t\r"), st.text(max_size=4))


@given(
    WORDS, WORDS, st.none() | st.floats(allow_nan=False, allow_infinity=False), st.none() | st.integers(0, 2**42)
)
def test_any_row_survives_csv(device: str, unit: str, value: float | None, time_ms: int | None) -> None:
    row = Row(
        time_ms, None, device, unit, "g", device, unit, "value", "", value, unit, None, "good", "good", 1, 1, "", 0,
        "scan", -1,
    )  # fmt: skip
    text = io.StringIO(newline="")
    with CsvWriter(text) as writer:
        writer.add([row])
    text.seek(0)
    head, line = csv.reader(text)
    assert head == list(COLUMNS)
    assert repr(from_csv(dict(zip(COLUMNS, line, strict=True)))) == repr(row)
    for name, cell in zip(COLUMNS, line, strict=True):
        if isinstance(getattr(row, name), str):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@given(WORDS)
def test_the_apostrophe_comes_off_again(text: str) -> None:
    assert plain(shown(text)) == text


@given(st.integers(-(10**12), 10**12), st.integers(0, 9))
def test_a_number_with_decimals_is_exact_and_never_a_text(count: int, decimals: int) -> None:
    value = count / 10**decimals
    row = Row(
        0, 0, "m", "s", "g", "d", "c", "value", "", value, "degC", decimals, "good", "good", 0, 1, "", 0, "scan", 0
    )
    text = io.StringIO()
    with CsvWriter(text) as writer:
        writer.add([row])
    cell = text.getvalue().splitlines()[1].split(",")[COLUMNS.index("value")]
    assert float(cell) == value
    assert math.copysign(1, float(cell)) == math.copysign(1, value)
    assert not cell.startswith("'")


async def test_a_boot_without_time_is_dated_by_its_correction_or_counted(
    database: Database, tmp_path: Path
) -> None:
    box = plant(tmp_path / "box")
    box.reboot(bytes(range(16, 32)), None)
    box.pass_ms(20_000)
    box.measures(scan(2, 1.5), scan(3, 1.6))
    gateway = await derived(database, box)
    left = Left()
    assert len(await handed(database, WHOLE, left)) == len([r for r in signed(box) if r.utc_ms is not None])
    assert left.timeless == 6
    assert left.words() == ["6 readings have no known time and are left out"]

    box.says_time(END_MS + HOUR_MS)
    await store_all(database, gateway, box)
    from derive_world import EAGER

    from gateway.cluster.derive.follower import Follower

    await Follower(database, EAGER).catch_up(LATER_MS)
    left = Left()
    found = await handed(database, WHOLE, left)
    assert [of_row(row) for row in found] == [as_row(reading) for reading in signed(box)]
    assert found[-1].error_ms == 50
    assert left.words() == []


async def test_erased_and_unreadable_batches_are_counted(database: Database, tmp_path: Path) -> None:
    box = plant(tmp_path / "box")
    await derived(database, box)
    async with database.transaction() as work:
        await work.execute("UPDATE batch SET body = NULL WHERE stream = 1 AND seq = 3")
        await work.execute("UPDATE batch SET body = $1 WHERE stream = 1 AND seq = 5", b"rubbish")
    left = Left()
    found = await handed(database, WHOLE, left)
    assert {row.batch for row in found} == set(range(1, 19)) - {3, 5}
    assert (left.erased, left.unread) == (1, 1)


async def test_members_do_not_meet(database: Database, tmp_path: Path) -> None:
    await derived(database, plant(tmp_path / "box"))
    await enrol(database, "gw-9", "bakery")
    assert await handed(database, WHOLE)
    with pytest.raises(RecordError, match="do not yet hold all events"):
        await handed(database, WHOLE._replace(member="bakery"))
    with pytest.raises(RecordError, match=r"there is no member 'fish'.*there are: bakery, dairy"):
        await handed(database, WHOLE._replace(member="fish"))
    with pytest.raises(RecordError, match="dairy has no such gateway; there are: north/gw-1"):
        await handed(database, WHOLE._replace(gateway="gw-9"))
    with pytest.raises(RecordError, match="the stretch of time is empty"):
        await handed(database, WHOLE._replace(to_ms=START_MS))


async def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files, one three times as long: what Python holds at most while writing is nearly the same."""
    import tracemalloc

    row = Row(1, 1, "m", "s", "g", "d", "c", "value", "", 1.5, "degC", 1, "good", "good", 0, 1, "b", 0, "scan", 0)

    async def many(parts: int) -> AsyncIterator[Sequence[Row]]:
        for _ in range(parts):
            yield [Row(*row) for _ in range(500)]

    monkeypatch.setattr(values, "GROUP", 2000)
    peaks = {}
    for parts in (100, 300):
        tracemalloc.start()
        await write(many(parts), ParquetWriter(tmp_path / f"{parts}.parquet", {}))
        peaks[parts] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    written = pyarrow.parquet.ParquetFile(tmp_path / "300.parquet").metadata
    assert (written.num_rows, written.num_row_groups) == (150_000, 75)
    # A hundred thousand rows more: what stays is the index of the row groups, some bytes a row here and far less
    # with groups of the usual size. Kept rows would be over fifty bytes each.
    assert (peaks[300] - peaks[100]) / 100_000 < 10


def test_without_pyarrow_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordError, match=r"needs the package pyarrow.*aurora-gateway\[parquet\], or write CSV"):
        ParquetWriter(tmp_path / "x", {})
    assert values.FORMAT


async def test_a_file_that_failed_is_not_there(tmp_path: Path) -> None:
    async def failing() -> AsyncIterator[Sequence[Row]]:
        yield []
        raise AuroraError("the store is gone")

    out = tmp_path / "values.parquet"
    with pytest.raises(AuroraError, match="the store is gone"), commands._draft(out) as draft:
        await write(failing(), ParquetWriter(draft, {}))
    assert list(tmp_path.iterdir()) == []


def commanded(place: str, *words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.add(parser.add_subparsers(required=True), [])
    arguments = parser.parse_args(["hand-on", *words])
    return int(arguments.command(SimpleNamespace(store=place, name="urn:test"), arguments))


def test_the_commands(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    from gateway.cluster.database import open_database

    async def fill() -> Box:
        database = await open_database(place)
        await database.prepare(START_MS)
        box = plant(tmp_path / "box")
        await derived(database, box)
        await database.close()
        return box

    box = asyncio.run(fill())
    stretch = ["--member", "dairy", "--from", "2026-01-01", "--to", "2027-06-01T00:00+02:00"]
    for form in ("csv", "parquet"):
        out = tmp_path / f"values.{form}"
        assert commanded(place, "values", *stretch, "--format", form, "--out", str(out)) == 0
        assert capsys.readouterr().out == f"{out}: {len(signed(box))} rows\n"
    out = tmp_path / "events.jsonld"
    assert (
        commanded(
            place, "epcis", *stretch, "--place", "cold=https://id.gs1.org/414/9521321000010", "--out", str(out)
        )
        == 0
    )
    assert json.loads(out.read_text())["type"] == "EPCISDocument"
    with pytest.raises(RecordError, match="cannot be written"):
        commanded(place, "values", *stretch, "--out", str(tmp_path / "no" / "folder.csv"))
    with pytest.raises(SystemExit):
        commanded(place, "values", "--member", "dairy", "--from", "yesterday", "--to", "2027-01-01", "--out", "x")
