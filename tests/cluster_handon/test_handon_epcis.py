"""EPCIS out of the cluster: the gateway's builder, the gateway's hashes, from the signed batches alone."""

from pathlib import Path

import pytest
from derive_world import LATER_MS, START_MS, derived
from handon_world import HOUR_MS, plant, signed

from gateway.cluster.database import Database
from gateway.cluster.handon.choice import Choice
from gateway.cluster.handon.epcis import epcis_document
from gateway.cluster.handon.evidence import Left
from gateway.epcis.document import CONTEXT, Naming, sensor_event, summaries
from gateway.epcis.eventhash import event_hash
from gateway.errors import RecordError
from gateway.site import DeviceSpec, Identity, PointSpec, Site

GLN = "https://id.gs1.org/414/9521321000010"
WHOLE = Choice("dairy", "north", "", START_MS, START_MS + 4 * HOUR_MS)


async def test_events_are_those_that_the_gateway_itself_would_make(database: Database, tmp_path: Path) -> None:
    box = plant(tmp_path / "box")
    await derived(database, box)
    left = Left()
    async with database.transaction(write=False) as work:
        made = await epcis_document(work, WHOLE, left, interval_s=3600, places={"cold": GLN}, now_ms=LATER_MS)
    site = Site(
        identity=Identity(member="dairy", site="north", gateway="gw-1"),
        data_dir=tmp_path,
        buses=(),
        devices=(DeviceSpec(id="room", bus="line", model="probe", unit=1, period_ms=1000),),
        points=(PointSpec(id="cold", name="Cold room", device="room", channel="air"),),
    )
    found, _ = summaries(signed(box), site, HOUR_MS)
    own = [sensor_event(summary, Naming(site, {"cold": GLN}), alarm=False) for summary in found]
    events = made["epcisBody"]["eventList"]
    assert len(events) == 2
    assert events == own
    for event in events:
        assert event["eventID"] == event_hash(event, CONTEXT)
        assert event["eventID"].startswith("ni:///sha-256;")
        assert event["eventID"].endswith("?ver=CBV2.0")
        assert event["readPoint"] == {"id": GLN}
        assert event["aurora:values"] == 30
        assert event["aurora:scheduledSamples"] == 54
    assert made["creationDate"].endswith("Z")
    assert left.words() == []


async def test_an_alarm_marks_the_interval_that_it_falls_in(database: Database, tmp_path: Path) -> None:
    from derive_world import alarm, scan

    box = plant(tmp_path / "box")
    box.pass_ms(600_000)
    box.measures(scan(10_800, -15.0))
    box.pass_ms(HOUR_MS)
    box.happens(alarm("cold/high-critical", "returned", "normal"))
    box.measures(scan(14_500, -18.0))
    await derived(database, box)
    async with database.transaction(write=False) as work:
        made = await epcis_document(work, WHOLE, Left(), interval_s=3600, places={}, now_ms=LATER_MS)
    marked = [
        any(r.get("exception") == "ALARM_CONDITION" for e in event["sensorElementList"] for r in e["sensorReport"])
        for event in made["epcisBody"]["eventList"]
    ]
    assert marked == [False, False, False, True]
    assert made["epcisBody"]["eventList"][0]["readPoint"]["id"] == "urn:aurora:dairy:gw-1:point:cold"


async def test_what_was_asked_wrongly(database: Database, tmp_path: Path) -> None:
    await derived(database, plant(tmp_path / "box"))
    async with database.transaction(write=False) as work:
        with pytest.raises(RecordError, match="does not divide a day"):
            await epcis_document(work, WHOLE, Left(), interval_s=7000, places={}, now_ms=0)
        with pytest.raises(RecordError, match="there is no point freezer"):
            await epcis_document(work, WHOLE, Left(), interval_s=3600, places={"freezer": GLN}, now_ms=0)
