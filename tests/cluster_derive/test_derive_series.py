"""What pages, hand-on and proofs ask of the tables, and that the documentation tells the truth about them."""

import re
import zlib
from itertools import accumulate
from pathlib import Path
from typing import Any

import cbor2
import pytest
from derive_world import IDENTITY, LATER_MS, START_MS, Box, alarm, derived, enrol, scan, settings_changed, tables

from gateway.cluster.database import Database
from gateway.cluster.derive.segment import DAY_MS, HOUR_MS, decode
from gateway.cluster.derive.series import Rolled, alarms, channels, chart, events, gateways, points, values
from gateway.model import Miss, Quality
from gateway.seal.keys import FileSigner

DOC = (Path(__file__).parents[2] / "docs/cluster-data.md").read_text(encoding="utf-8")
POINT = {
    "point[cold].name": "Cold room",
    "point[cold].device": "room",
    "point[cold].channel": "air",
    "point[cold].critical": True,
    "point[cold].profile.limits[0].limit": 5.0,
    "point[far].device": "nowhere",
    "point[far].channel": "air",
}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Ten days: in the first hour of each two values and a miss."""
    box = Box(FileSigner.create(tmp_path / "gateway.key"))
    box.says_layout()
    box.happens(settings_changed(POINT, first=True))
    box.happens(alarm("cold/high", "raised", "unacknowledged"))
    for day in range(10):
        slot = day * 86_400
        box.measures(scan(slot + 1, float(day)), scan(slot + 2, day + 1.0), Miss(0, slot + 3, 1, Quality.TIMEOUT))
        box.happens(("note", {"day": day}), ("gap.opened", {"point": "cold", "device": "room"}))
        box.pass_ms(DAY_MS)
    box.happens(alarm("cold/low", "raised", "normal"))
    return box


async def test_gateways_and_points(database: Database, box: Box) -> None:
    gateway = await derived(database, box)
    await enrol(database, "gw-9", "bakery")
    async with database.transaction(write=False) as work:
        assert [(one.member_name, one.name) for one in await gateways(work)] == [
            ("bakery", "gw-9"),
            ("dairy", "gw-1"),
        ]
        [ours] = await gateways(work, 1)
        assert (ours.client, ours.events, ours.events_read, ours.scans, ours.scans_read, ours.unread) == (
            IDENTITY.client, 15, 15, 11, 11, 0,
        )  # fmt: skip
        cold, far = await points(work, 1, gateway)
        assert (cold.name, cold.critical, cold.settings) == (
            "Cold room",
            True,
            {"profile": {"limits": [{"limit": 5.0}]}},
        )
        assert cold.series is not None
        assert (cold.series.unit, cold.series.last_value, cold.series.last_quality) == (
            "degC",
            None,
            Quality.TIMEOUT,
        )
        assert (far.name, far.critical, far.series) == ("far", False, None)
        assert await points(work, 2) == await channels(work, 2) == []
        assert len(await channels(work, gateway=gateway)) == 4


async def test_a_chart_of_hours_and_of_values(database: Database, box: Box) -> None:
    await derived(database, box)
    async with database.transaction(write=False) as work:
        [air] = [c.id for c in await channels(work) if (c.channel, c.role) == ("air", "value")]
        end = START_MS + 10 * DAY_MS
        days = await chart(work, air, START_MS, end, most=10)
        assert days == [
            Rolled(START_MS + day * DAY_MS, 2, 0, 1, float(day), day + 1.0, day + 0.5) for day in range(10)
        ]
        hours = await chart(work, air, START_MS + HOUR_MS, end, most=1000)
        assert [row.start_ms for row in hours] == [START_MS + day * DAY_MS for day in range(1, 10)]
        halves = await chart(work, air, START_MS, end, most=2)
        assert [(row.good, row.low, row.high) for row in halves] == [(10, 0.0, 5.0), (10, 5.0, 10.0)]
        close = await chart(work, air, START_MS, START_MS + 4000, most=2)
        assert close == [
            Rolled(START_MS, 1, 0, 0, 0.0, 0.0, 0.0),
            Rolled(START_MS + 2000, 1, 0, 1, 1.0, 1.0, 1.0),
        ]
        assert await chart(work, air, START_MS + 5000, START_MS + 9000) == []
        assert await chart(work, air, end, START_MS) == []


async def test_values_by_the_day(database: Database, box: Box) -> None:
    await derived(database, box)
    async with database.transaction(write=False) as work:
        [air] = [c.id for c in await channels(work) if (c.channel, c.role) == ("air", "value")]
        found = [s async for s in values(work, air, START_MS + DAY_MS + 2000, START_MS + 3 * DAY_MS + 1500)]
    assert [list(segment.times) for segment in found] == [
        [START_MS + DAY_MS + ms for ms in (2003, 3000)],
        [START_MS + 2 * DAY_MS + ms for ms in (1003, 2003, 3000)],
        [START_MS + 3 * DAY_MS + 1003],
    ]


async def test_events_and_alarms(database: Database, box: Box) -> None:
    gateway = await derived(database, box)
    async with database.transaction(write=False) as work:
        [newest, *_] = everything = await events(work)
        assert len(everything) == 24
        assert (newest.kind, newest.utc_ms, newest.point) == ("alarm.raised", START_MS + 10 * DAY_MS, "cold")
        assert newest.data["alarm"] == "cold/low"
        notes = await events(work, 1, kinds=["note"], from_ms=START_MS + DAY_MS, to_ms=START_MS + 3 * DAY_MS)
        assert [event.data["day"] for event in notes] == [2, 1]
        assert {event.kind for event in await events(work, kinds=["alarm.", "gap."])} == {
            "alarm.raised",
            "gap.opened",
        }
        assert len(await events(work, gateway=gateway, point="cold", limit=5)) == 5
        assert await events(work, 2) == await events(work, point="nowhere") == []
        [high] = await alarms(work)
        assert (high.alarm, high.state, high.active, high.changed_ms) == (
            "cold/high",
            "unacknowledged",
            True,
            START_MS,
        )
        assert [one.alarm for one in await alarms(work, 1, gateway=gateway, open_only=False)] == [
            "cold/low",
            "cold/high",
        ]
        assert await alarms(work, 2) == []


def read_by_the_document(body: bytes) -> list[tuple[int, float | None, int]]:
    """A day's body, read by what docs/cluster-data.md says, with nothing of ours."""
    widths = {64: 1, 69: 2, 70: 4, 71: 8, 72: 1, 77: 2, 78: 4, 79: 8}

    def numbers(item: Any) -> list[int]:
        width, signed = widths[item.tag], item.tag >= 72
        cells = [item.value[at : at + width] for at in range(0, len(item.value), width)]
        return [int.from_bytes(cell, "little", signed=signed) for cell in cells]

    assert body[0] == 1
    found = cbor2.loads(zlib.decompress(body[1:]))
    count = found[1]
    times = [found[3] + i * found[4] + sum(b[i] << 8 * k for k, b in enumerate(found[5])) for i in range(count)]
    if 7 in found:
        marks = [mark for mark, length in zip(found[8], numbers(found[7]), strict=True) for _ in range(length)]
    else:
        marks = [0] * count
    assert found[2] == 1
    left = iter([(total + found[9]) / 10 ** found[2] for total in accumulate(numbers(found[6]))])
    return [(at, None if mark >= 128 else next(left), mark) for at, mark in zip(times, marks, strict=True)]


async def test_the_document_is_enough_to_read_a_day(database: Database, box: Box) -> None:
    found = await tables(database, await derived(database, box))
    bodies = [row[5] for row in found["day"] if row[1] == "air"]
    assert len(bodies) == 20
    for body in bodies:
        ours = [
            (at, None if value != value else value, mark) for at, value, mark in zip(*decode(body), strict=True)
        ]
        assert read_by_the_document(body) == ours


async def test_the_statements_of_the_document_run(database: Database, box: Box) -> None:
    await derived(database, box)
    statements = re.findall(r"```sql\n(.*?);\n```", DOC, re.DOTALL)
    assert len(statements) == 3
    async with database.transaction(write=False) as work:
        for statement in statements:
            if work.dialect.engine == "postgresql" or "aurora." not in statement:
                await work.fetch(statement)


async def test_the_tables_of_the_document_are_there(database: Database) -> None:
    listed = DOC[DOC.index("| table |") : DOC.index("Point and series")]
    names = {
        name for cell in re.findall(r"^\| (`.*?) \|", listed, re.MULTILINE) for name in re.findall("`(.*?)`", cell)
    }
    assert {"roll", "day", "erased"} < names
    async with database.transaction(write=False) as work:
        for name in names:
            await work.fetch(f"SELECT * FROM {name} LIMIT 1")


async def test_nothing_is_asked_for_in_vain(database: Database) -> None:
    async with database.transaction(write=False) as work:
        assert await gateways(work) == await points(work) == await channels(work) == []
        assert await events(work) == await alarms(work) == await chart(work, 1, 0, LATER_MS) == []
        assert [segment async for segment in values(work, 1, 0, LATER_MS)] == []
