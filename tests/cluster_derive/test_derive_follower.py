"""The follower: what a gateway has signed stands in the tables, once."""

from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from derive_world import (
    EAGER,
    EVENT,
    IDENTITY,
    LAYOUT,
    SCAN,
    START_MS,
    Box,
    alarm,
    day_values,
    derived,
    enrol,
    scan,
    settings_changed,
    store,
    tables,
)

from gateway.cluster.database import Database
from gateway.cluster.derive.follower import Follower
from gateway.cluster.derive.segment import DAY_MS, HOUR_MS
from gateway.model import Column, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.seal.backfill import BACKFILL, Backfill, Row, backfill_data
from gateway.seal.keys import FileSigner

POINT = {
    "point[cold].name": "Cold room 1",
    "point[cold].device": "room",
    "point[cold].channel": "air",
    "point[cold].critical": True,
    "point[cold].profile.id": "chilled",
    "point[cold].profile.limits[0].rule": "high",
    "point[cold].profile.limits[0].limit": 5.0,
    "point[cold].profile.limits[1].rule": "low",
    "point[cold].profile.states[defrost].longest_s": 900.0,
    "device[room].period_ms": 1000,
}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(FileSigner.create(tmp_path / "gateway.key"))
    box.says_layout()
    return box


async def test_values_hours_and_the_newest(database: Database, box: Box) -> None:
    box.pass_ms(10_000)
    box.measures(scan(1, 4.0), scan(2, 4.5), scan(3, None), Miss(0, 4, 2, Quality.TIMEOUT))
    found = await tables(database, await derived(database, box))
    at = START_MS
    assert day_values(found["day"], "room", "air") == [
        (at + 1003, 4.0, 0),
        (at + 2003, 4.5, 0),
        (at + 3003, None, Quality.SENSOR_FAULT),
        (at + 4000, None, Quality.TIMEOUT),
        (at + 5000, None, Quality.TIMEOUT),
    ]
    hour = at // HOUR_MS
    assert [row for row in found["roll"] if row[1:3] == ("air", "value")] == [
        ("room", "air", "value", hour, 2, 0, 3, 4.0, 4.5, 8.5)
    ]
    assert ("room", "air", "value", "degC", 1, 1000, at + 5000, None, Quality.TIMEOUT) in found["channel"]
    assert ("room", "hum", "value", "%", None, 1000, at + 5000, None, Quality.TIMEOUT) in found["channel"]
    assert ("door", "open", "value", "", 0, 5000, None, None, None) in found["channel"]
    assert found["unread"] == found["chunk"] == found["value"] == []


async def test_rows_for_plain_sql_where_they_are_asked_for(database: Database, box: Box) -> None:
    box.measures(scan(1, 4.0), Miss(0, 2, 1, Quality.TIMEOUT))
    found = await tables(database, await derived(database, box, EAGER._replace(values=True)))
    assert [row[3:] for row in found["value"] if row[1:3] == ("air", "value")] == [
        (START_MS + 1003, 4.0, 0),
        (START_MS + 2000, None, Quality.TIMEOUT),
    ]


async def test_settings_become_points(database: Database, box: Box) -> None:
    box.happens(settings_changed(POINT, first=True))
    box.happens(settings_changed({"point[cold].critical": None, "point[cold].profile.limits[0].limit": 4.0}))
    box.happens(settings_changed({"point[warm].name": "no device"}))
    found = await tables(database, await derived(database, box))
    settings = (
        '{"profile":{"id":"chilled","limits":[{"limit":4.0,"rule":"high"},{"rule":"low"}],'
        '"states":{"defrost":{"longest_s":900.0}}}}'
    )
    assert found["point"] == [("cold", "Cold room 1", "room", "air", 0, settings)]
    assert ("device[room].period_ms", "1000") in found["setting"]


async def test_changes_without_a_beginning_say_nothing(database: Database, box: Box) -> None:
    box.happens(settings_changed(POINT))
    found = await tables(database, await derived(database, box))
    assert found["point"] == found["setting"] == []


async def test_an_alarm_is_as_its_newest_event_left_it(database: Database, box: Box) -> None:
    box.pass_ms(60_000)
    box.happens(alarm("cold/high", "raised", "unacknowledged", raised_ms=59_000))
    box.pass_ms(60_000)
    box.happens(
        alarm("cold/high", "acknowledged", "acknowledged", raised_ms=59_000),
        alarm("cold/low", "raised", "unacknowledged", raised_ms=119_000),
        alarm("cold/high", "returned", "normal", raised_ms=59_000),
    )
    found = await tables(database, await derived(database, box))
    rows = [row[:9] for row in found["alarm"]]
    assert rows == [
        ("cold/high", "cold", "room", "critical", "normal", 0, START_MS + 59_000, START_MS + 120_000, 3),
        ("cold/low", "cold", "room", "critical", "unacknowledged", 1, START_MS + 119_000, START_MS + 120_000, 3),
    ]
    assert [(row[0], row[1], row[4], row[7]) for row in found["event"] if row[6].startswith("alarm.")] == [
        (2, 0, START_MS + 60_000, "cold"),
        (3, 0, START_MS + 120_000, "cold"),
        (3, 1, START_MS + 120_000, "cold"),
        (3, 2, START_MS + 120_000, "cold"),
    ]


async def test_what_was_without_time_gets_it(database: Database, box: Box) -> None:
    """Events, alarms and values of a boot are dated when its correction comes, and not before."""
    box.reboot(b"b" * 16, None)
    box.pass_ms(10_000)
    box.happens(alarm("cold/high", "raised", "unacknowledged", raised_ms=9_000))
    box.measures(scan(1, 4.0))
    gateway = await derived(database, box)
    before = await tables(database, gateway)
    assert [row[7] for row in before["alarm"]] == [None]
    assert before["day"] == before["roll"] == []
    assert [row[:2] + row[3:] for row in before["unread"]] == [(SCAN, 1, b"b" * 16)]
    box.pass_ms(10_000)
    box.says_time(START_MS + DAY_MS + 20_000)
    await store(database, gateway, EVENT, box.batches[EVENT])
    await Follower(database, EAGER).catch_up(START_MS + 9 * DAY_MS)
    found = await tables(database, gateway)
    assert found["boot"] == [(b"b" * 16, START_MS + DAY_MS, 50)]
    assert [row[6:8] for row in found["alarm"]] == [(START_MS + DAY_MS + 9_000, START_MS + DAY_MS + 10_000)]
    assert [row[4:6] for row in found["event"] if row[0] == 2] == [(START_MS + DAY_MS + 10_000, 50)]
    assert day_values(found["day"], "room", "air") == [(START_MS + DAY_MS + 1003, 4.0, 0)]
    assert found["unread"] == []


async def test_values_read_later_stand_beside_the_missed_slots(database: Database, box: Box) -> None:
    box.measures(Miss(0, 1, 1, Quality.BUS_DOWN))
    backfill = Backfill(
        device="room",
        source="log",
        period_ms=1000,
        phase_ms=0,
        columns=LAYOUT.devices[0].columns[:1],
        rows=(Row(1, 900, 10, (4.2,), b"\1"),),
        sha256="0" * 64,
        part=1,
        parts=1,
    )
    box.happens((BACKFILL, backfill_data(backfill)))
    found = await tables(database, await derived(database, box))
    assert day_values(found["day"], "room", "air") == [
        (START_MS + 900, 4.2, Quality.BACKFILLED),
        (START_MS + 1000, None, Quality.BUS_DOWN),
    ]
    assert [row[4:7] for row in found["roll"] if row[1:3] == ("air", "value")] == [(0, 1, 1)]


async def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(database: Database, box: Box) -> None:
    box.seal_anything(SCAN, b"no zlib")
    box.seal_anything(EVENT, b"no zlib")
    other = LAYOUT.__class__(LAYOUT.devices[:1])
    box.measures(scan(1, 4.0), layout=other)
    box.measures(scan(2, 4.0))
    box.happens(
        ("note", {}), ("layout", {"id": b"x", "layout": b"y"}), (BACKFILL, {}), ("alarm.raised", {"alarm": 3})
    )
    found = await tables(database, await derived(database, box))
    assert [row[:2] for row in found["unread"]] == [(EVENT, 2), (EVENT, 3), (SCAN, 1), (SCAN, 2)]
    assert day_values(found["day"], "room", "air") == [(START_MS + 2003, 4.0, 0)]
    assert [row[6] for row in found["event"]] == ["layout", "note", "layout", BACKFILL, "alarm.raised"]


async def test_scans_wait_for_events_on_their_way(database: Database, tmp_path: Path) -> None:
    """The layout is in an event batch that has not come: nothing is unreadable yet."""
    box = Box(FileSigner.create(tmp_path / "gateway.key"))
    gateway = await enrol(database)
    box.says_layout()
    box.measures(scan(1, 4.0))
    await store(database, gateway, SCAN, box.batches[SCAN])
    await store(database, gateway, EVENT, box.batches[EVENT][:1])
    follower = Follower(database, EAGER)
    await follower.catch_up(START_MS + 9 * DAY_MS)
    assert (await tables(database, gateway))["unread"] == []
    await store(database, gateway, EVENT, box.batches[EVENT])
    await follower.catch_up(START_MS + 9 * DAY_MS)
    assert len(day_values((await tables(database, gateway))["day"], "room", "air")) == 1


async def test_bodies_that_come_after_all(database: Database, box: Box) -> None:
    """Batches that a gateway had given up are read when their bodies come, events as if they had come in turn."""
    box.happens(settings_changed(POINT, first=True))
    box.happens(alarm("cold/high", "raised", "unacknowledged"))
    box.happens(settings_changed({"point[cold].name": "Renamed"}), alarm("cold/high", "returned", "normal"))
    box.measures(scan(1, 4.0))
    box.measures(scan(2, 4.1))
    whole = await tables(database, await derived(database, box))
    gateway = await enrol(database, "gw-2")
    await store(database, gateway, EVENT, box.batches[EVENT], without=[1, 2, 3])
    await store(database, gateway, SCAN, box.batches[SCAN], without=[2])
    follower = Follower(database, EAGER)
    await follower.catch_up(START_MS + 40 * DAY_MS)
    assert len((await tables(database, gateway))["unread"]) == 5
    async with database.transaction() as work:
        for stream in (EVENT, SCAN):
            sql = "UPDATE batch SET body = $4 WHERE gateway = $1 AND stream = $2 AND seq = $3"
            await work.execute_each(
                sql, [(gateway, stream, batch.seq, batch.body) for batch in box.batches[stream]]
            )
    box.happens(("note", {}))
    await store(database, gateway, EVENT, box.batches[EVENT])
    await follower.catch_up(START_MS + 40 * DAY_MS)
    found = await tables(database, gateway)
    found["event"] = [row for row in found["event"] if row[6] != "note"]
    assert found == whole


async def test_two_members_with_the_same_names(database: Database, box: Box) -> None:
    box.happens(settings_changed(POINT, first=True))
    box.measures(scan(1, 4.0))
    first = await derived(database, box)
    second = await enrol(database, IDENTITY.gateway, "bakery")
    await store(database, second, EVENT, box.batches[EVENT])
    await Follower(database, EAGER).catch_up(START_MS + 9 * DAY_MS)
    assert (await tables(database, second))["day"] == []
    assert len((await tables(database, first))["day"]) == 3
    async with database.transaction(write=False) as work:
        rows = await work.fetch("SELECT gateway, member FROM point ORDER BY gateway")
    assert [tuple(row) for row in rows] == [(first, 1), (second, 2)]


async def test_names_that_no_table_can_hold(database: Database, box: Box) -> None:
    """It is signed, but it is not ours: signs, lengths and numbers that a database refuses stop nothing."""
    long = "x" * 5000
    box.happens(
        ("note\0", {"point": "a\0b", "text": "c\0d", "big": 2**64 - 1, "no": float("nan"), "raw": b"\0" * 5000}),
        ("note", {"point": long, "list": [float("inf"), {"deep": b"\1"}]}),
        (long, {}),
        alarm(long, "raised", "unacknowledged"),
        alarm("a\0", "raised", "x\0", point=long, device=long, raised_ms=2**63),
        settings_changed({long: 1, "point[\0].device": "d\0", "point[\0].channel": "c", "x\0": "y\0"}, first=True),
        ("clock.correction", {"boot": b"q", "offset_ms": 2**63, "error_ms": 1}),
        ("clock.correction", {"boot": 5}),
    )
    strange = DeviceLayout("ro\0om", "b", "m", "0" * 16, 1000, 0, (Column("ai\0r", "\0", 1),))
    box.says_layout(Layout((strange,)))
    box.says_layout(Layout((replace(strange, id=long),)))
    box.measures(Scan(0, 1, 1000, array("d", [4.0]), b"\0"), layout=Layout((strange,)))
    found = await tables(database, await derived(database, box))
    assert day_values(found["day"], "ro\ufffdom", "ai\ufffdr") == [(START_MS + 1000, 4.0, 0)]
    assert [row[:2] for row in found["point"]] == [("\ufffd", "\ufffd")]
    assert [(row[0], row[1], row[4]) for row in found["alarm"]] == [("a\ufffd", None, "x\ufffd")]
    assert [row[7] for row in found["event"] if row[6] == "note\ufffd"] == ["a\ufffdb"]
    assert sorted(row[1] for row in found["unread"]) == [2, 4]
    assert len(found["event"]) == 11


async def test_times_that_no_record_can_have(database: Database, box: Box) -> None:
    box.utc_ms = 2**62
    box.measures(scan(1, 4.0))
    box.happens(("note", {}))
    box.utc_ms = START_MS
    box.measures(Miss(0, 1, 2**40, Quality.TIMEOUT))
    box.measures(scan(2, 4.0))
    found = await tables(database, await derived(database, box))
    reasons = [(row[0], row[1], row[2][:9]) for row in found["unread"]]
    assert reasons == [
        (SCAN, 1, "bad-time:"),
        (SCAN, 2, "too-large"),
    ]
    assert [row[4] for row in found["event"] if row[6] == "note"] == [None]
    assert len(day_values(found["day"], "room", "air")) == 1
