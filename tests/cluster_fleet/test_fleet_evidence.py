"""From signed batches, through the register and the follower, to what staff see: nothing is made by hand here."""

from array import array
from pathlib import Path
from typing import Any

from derive_world import EAGER, EVENT, SCAN, START_MS, Box, settings_changed
from fleet_page import Clock, page

from gateway.cluster.database import Database
from gateway.cluster.derive.follower import Follower
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.cluster.opening import Message
from gateway.cluster.register import Register
from gateway.model import Column, DeviceLayout, Layout, Scan
from gateway.seal.keys import FileSigner

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
LAYOUT = Layout((DeviceLayout("room", "line", "probe", "0" * 16, MINUTE_MS, 0, (Column("air", "degC", 1),)),))
NOW_MS = START_MS + 30 * HOUR_MS
SETTINGS: dict[str, Any] = {
    "point[cold].name": "Cold <store>",
    "point[cold].device": "room",
    "point[cold].channel": "air",
    "point[cold].critical": True,
    "point[cold].profile.limits[0].rule": "high-critical",
    "point[cold].profile.limits[0].side": "above",
    "point[cold].profile.limits[0].limit": 7.0,
    "point[cold].profile.limits[0].tier": "critical",
    "point[cold].profile.limits[1].rule": "high-alert",
    "point[cold].profile.limits[1].side": "above",
    "point[cold].profile.limits[1].limit": 5.0,
    "point[cold].profile.limits[1].tier": "alert",
}


def value(slot: int) -> float:
    """3 degrees with a saw of an hour, and a warm quarter of an hour at slot 1500."""
    return 8.5 if 1500 <= slot < 1515 else round(3 + slot % 60 / 60, 1)


def measured(first: int, last: int) -> list[Scan]:
    """An hour lacks altogether, half an hour has a broken sensor."""
    found = []
    for slot in range(first, last):
        if 600 <= slot < 660:
            continue
        bad = 900 <= slot < 930
        values = array("d", [float("nan") if bad else value(slot)])
        found.append(
            Scan(0, slot, slot * MINUTE_MS + 3, values, bytes([0x85 if bad else 0]), b"\1" if bad else None)
        )
    return found


def box_of_a_day(folder: Path) -> Box:
    box = Box(FileSigner.create(folder / "box.key"))
    box.happens(settings_changed(SETTINGS, first=True))
    box.says_layout(LAYOUT)
    for hour in range(30):
        box.pass_ms(HOUR_MS)
        records = measured(hour * 60, hour * 60 + 60)
        if records:
            box.measures(*records, layout=LAYOUT)
        if hour == 25:
            common = {"alarm": "cold/high-critical", "tier": "critical", "point": "cold", "device": "room"}
            common |= {"occurrence": 1, "rule": "high-critical", "words": "too warm: 8.5, limit 7"}
            box.happens(
                ("alarm.raised", {**common, "state": "unacknowledged", "active": True, "raised_ms": box.boot_ms})
            )
            defrost = {"device": "room", "channel": "air", "start_ms": box.boot_ms - HOUR_MS, "end_ms": box.boot_ms}
            box.happens(("label.defrost", defrost))
    calibrated = {"channel": "room.air", "valid_until": "2026-12-15", "record": "R1", "person": "Ana"}
    box.happens(("record.calibration", calibrated))
    return box


async def delivered(store: Database, box: Box, folder: Path, without: frozenset[int] = frozenset()) -> Register:
    """Through the register, which checks every signature; scan batches of ``without`` get lost on the way."""
    await enrol(store, Enrolment(box.identity, box.signer.public), START_MS)
    register = Register(store, FileSigner.create(folder / "cluster.key"), iss="urn:aurora:cluster:test")
    for stream, name in ((EVENT, "event"), (SCAN, "scan")):
        batches = [batch for batch in box.batches[stream] if stream == EVENT or batch.seq not in without]
        await register.take([Message(box.identity.client, name, batch.body) for batch in batches], NOW_MS)
    await Follower(store, EAGER).catch_up(NOW_MS)
    return register


async def test_a_day_of_signed_values_is_seen_as_it_was(store: Database, tmp_path: Path) -> None:
    box = box_of_a_day(tmp_path)
    await delivered(store, box, tmp_path)
    clock = Clock()
    clock.ms = NOW_MS
    async with page(store, tmp_path / "page", clock=clock) as here, here.first() as ana:
        front = (await ana.get("/")).text
        gateway = int(front.partition('href="/gateways/')[2].partition('"')[0])
        assert "A calibration ends within 30 days" in front
        assert "1 critical" in front
        one = (await ana.get(f"/gateways/{gateway}")).text
        assert "Cold &lt;store&gt;" in one
        assert "too warm: 8.5, limit 7" in one
        # 24 h from 06:00: of 1440 minutes 60 have no record and 30 no value.
        assert "1,350 of 1,440 values" in one
        shown = (await ana.get(f"/gateways/{gateway}/points/cold")).text
        for words in (
            "critical limit 7.0",
            "alert limit 5.0",
            "nothing has come",
            "device reports a sensor fault",
            "defrost",
            ": raised",
            "too warm: 8.5, limit 7",
        ):
            assert words in shown, words
        assert shown.count('class="ac-critical-limit"') == 2, "in the wide picture and in the narrow one"
        month = (await ana.get(f"/gateways/{gateway}/points/cold?span=month")).text
        assert "nothing has come" in month
        assert "8.5" in month, "the extreme of an hour is drawn"
        assert "29 d" not in month, "before the gateway was enrolled nothing is missing"
        wrong = await ana.get(f"/gateways/{gateway}/points/cold?from=2026-11-24T06:00&to=yesterday")
        assert (wrong.status_code, "that is no time" in wrong.text) == (409, True)
        span = {"from_ms": START_MS, "to_ms": NOW_MS}
        csv = await ana.get(f"/gateways/{gateway}/points/cold/values.csv", params=span)
        lines = csv.text.splitlines()
        assert lines[0] == "utc_ms,utc,value,unit,quality"
        assert len(lines) == 1 + 1740
        assert lines[1] == f"{START_MS + 3},2026-11-23T00:00:00.003000+00:00,3.0,degC,0"
        assert sum(line.endswith(",degC,133") and ",,degC" in line for line in lines) == 30
        async with here.program("viewer") as program:
            asked = {"gateway": gateway, "point": "cold", **span}
            rows = (await program.get("/api/v1/chart", params=asked)).json()["rows"]
            assert sum(row["good"] for row in rows) == 1710
            assert sum(row["bad"] for row in rows) == 30
            assert max(row["high"] for row in rows if row["high"] is not None) == 8.5
            values = (await program.get("/api/v1/values", params=asked)).json()
            assert len(values["times"]) == len(values["values"]) == len(values["quality"]) == 1740
            assert values["values"].count(None) == 30
            longer = await program.get("/api/v1/values", params={**asked, "from_ms": 0})
            assert longer.status_code == 409
            events = (await program.get("/api/v1/events", params={"gateway": gateway, "kind": "alarm."})).json()
            assert [event["kind"] for event in events["events"]] == ["alarm.raised"]


async def test_a_lost_batch_is_seen_as_missing_and_a_second_history_as_red(store: Database, tmp_path: Path) -> None:
    box = box_of_a_day(tmp_path)
    register = await delivered(store, box, tmp_path, without=frozenset({20}))
    other = Box(box.signer)
    other.pass_ms(5)
    forged = other.measures(*measured(0, 5), layout=LAYOUT)
    await register.take([Message(box.identity.client, "scan", forged.body)], NOW_MS)
    await register.take([Message("stranger.gw-0", "scan", forged.body)], NOW_MS)
    clock = Clock()
    clock.ms = NOW_MS
    async with page(store, tmp_path / "page", clock=clock) as here, here.first() as ana:
        front = (await ana.get("/?show=red")).text
        assert "Two signed histories" in front
        gateway = int(front.partition('href="/gateways/')[2].partition('"')[0])
        one = (await ana.get(f"/gateways/{gateway}")).text
        assert "behind a hole" in one
        assert ">fork<" in one
        refused = (await ana.get("/refused")).text
        assert "stranger.gw-0" in refused
        clock.ms = NOW_MS + 26 * HOUR_MS
        async with here.program("viewer") as program:
            told = (await program.get("/api/v1/gateway", params={"gateway": gateway})).json()["gateway"]
            assert told["missing"] == 1
            assert "Batches are missing for more than a day" in told["reasons"]
            assert "Nothing has come for a while: box or line is down" in told["reasons"]
