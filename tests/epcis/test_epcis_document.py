"""The EPCIS export: events of the form that the standard's schema demands, with figures that can be recomputed."""

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.epcis.document import CONTEXT, UNITS, Naming, Summary, document, lot_event, sensor_event, summaries
from gateway.epcis.eventhash import event_hash
from gateway.epcis.export import overlaps, places_of
from gateway.errors import AuroraError
from gateway.logbook.entry import LOT, Entry, Moment
from gateway.model import Quality
from gateway.recordkeeping.episodes import Episode
from gateway.records import Reading
from gateway.site import BusSpec, DeviceSpec, Identity, PointSpec, Site

SLOW_MACHINE = [HealthCheck.too_slow]
"""Other jobs on the machine are no fault of a test."""

SITE = Site(
    identity=Identity(member="m", site="s", gateway="g"),
    data_dir=Path("/nowhere"),
    buses=(BusSpec(id="b", kind="modbus-tcp"),),
    devices=(DeviceSpec(id="a", bus="b", model="xy-md02", unit=1, period_ms=60_000),),
    points=(
        PointSpec(id="room", name="Room", device="a", channel="temperature"),
        PointSpec(id="same", name="Same probe", device="a", channel="temperature"),
        PointSpec(id="damp", name="Damp", device="a", channel="humidity"),
    ),
)
NAMING = Naming(SITE)
HOUR = 3_600_000
START = 1_795_500_000_000
"""2026-11-24T06:00Z, the beginning of an hour."""


def value(
    minute: int, number: float | None, channel: str = "temperature", quality: Quality = Quality.GOOD
) -> Reading:
    unit = "degC" if channel == "temperature" else "%RH"
    return Reading(START + minute * 60_000, 1, b"b" * 16, minute * 60_000, minute, 1, "a", channel, "value",
                   number, 1, unit, quality, 0)  # fmt: skip


def miss(minute: int, slots: int, quality: Quality = Quality.TIMEOUT) -> Reading:
    return Reading(START + minute * 60_000, 1, b"b" * 16, minute * 60_000, minute, slots, "a", "", "",
                   None, None, "", quality, 0)  # fmt: skip


FIELDS = {
    "type": str, "eventID": "uri", "eventTime": "time",
    "eventTimeZoneOffset": re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d"),
    "epcList": ["uri"], "action": {"OBSERVE", "ADD", "DELETE"},
    "bizStep": {"arriving", "departing", "sensor_reporting"}, "disposition": {"in_progress"},
    "readPoint": {"id": "uri"}, "bizLocation": {"id": "uri"},
    "quantityList": [{"epcClass": "uri", "quantity": float, "uom": re.compile(r"[A-Z0-9]{2,3}")}],
    "sensorElementList": [
        {
            "sensorMetadata": {"startTime": "time", "endTime": "time", "deviceID": "uri"},
            "sensorReport": [
                {"type": {kind for kind, _ in UNITS.values()}, "exception": {"ALARM_CONDITION", "ERROR_CONDITION"},
                 "minValue": float, "maxValue": float, "meanValue": float, "sDev": float, "booleanValue": bool,
                 "uriValue": "uri", "uom": re.compile(r"[A-Z0-9]{2,3}")},
            ],
        }
    ],
}  # fmt: skip
"""The properties that our events use, as the JSON schema of EPCIS 2.0 types them."""


def check(value: Any, form: Any, where: str = "event") -> None:
    """Fail unless a piece of an event has the form that the standard's schema gives it."""
    if isinstance(form, dict):
        assert isinstance(value, Mapping), where
        for key, item in value.items():
            if not key.startswith("aurora:"):
                assert key in form, f"{where}.{key} is no property of EPCIS 2.0"
                check(item, form[key], f"{where}.{key}")
    elif isinstance(form, list):
        assert isinstance(value, list), where
        for item in value:
            check(item, form[0], where)
    elif isinstance(form, set):
        assert value in form, f"{where}: {value}"
    elif isinstance(form, re.Pattern):
        assert form.fullmatch(value), f"{where}: {value}"
    elif form == "uri":
        assert urlsplit(value).scheme, f"{where}: {value}"
        assert re.fullmatch(r"[\x21-\x7e]+", value), f"{where}: {value}"
    elif form == "time":
        assert datetime.fromisoformat(value).tzinfo is not None, where
    elif form is float:
        assert isinstance(value, int | float), where
        assert not isinstance(value, bool), where
    else:
        assert isinstance(value, form), where


def check_document(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The events of a document that has the form of an EPCISDocument; their ids are their hashes."""
    assert list(found) == ["@context", "type", "schemaVersion", "creationDate", "epcisBody"]
    assert found["@context"][0] == "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
    assert (found["type"], found["schemaVersion"]) == ("EPCISDocument", "2.0")
    check(found["creationDate"], "time")
    events: list[dict[str, Any]] = found["epcisBody"]["eventList"]
    for event in events:
        check(event, FIELDS)
        assert {"type", "eventTime", "eventTimeZoneOffset", "action"} <= event.keys()
        assert "epcList" in event or event["quantityList"], (
            "an object event has objects, or sensor values and a place"
        )
        for element in event.get("sensorElementList", []):
            assert element["sensorReport"]
            assert all("type" in report for report in element["sensorReport"])
        rest = {key: item for key, item in event.items() if key != "eventID"}
        assert event["eventID"] == event_hash(rest, CONTEXT)
    return events


class TestSummaries:
    def test_figures_of_an_hour(self) -> None:
        numbers = [4.0 + minute % 7 / 10 for minute in range(60)]
        readings = [value(minute, number) for minute, number in enumerate(numbers)] + [value(60, 99.0)]
        found, lost = summaries(readings, SITE, HOUR)
        assert [(s.point, s.start_ms, s.end_ms) for s in found] == [
            ("room", START, START + HOUR), ("same", START, START + HOUR),
        ]  # fmt: skip
        summary = found[0]
        assert (summary.minimum, summary.maximum, summary.values, lost) == (4.0, 4.6, 60, 0)
        assert summary.mean == pytest.approx(statistics.fmean(numbers))
        assert summary.spread == pytest.approx(statistics.stdev(numbers))

    def test_the_newest_interval_may_not_be_over(self) -> None:
        assert summaries([value(0, 1.0), value(59, 1.0)], SITE, HOUR) == ([], 0)

    def test_a_missed_run_is_shared_out(self) -> None:
        found, _ = summaries([miss(50, 100, Quality.GATEWAY_DOWN), value(200, 1.0)], SITE, HOUR)
        of_room = [s for s in found if s.point == "room"]
        assert [(s.scheduled, s.causes) for s in of_room] == [
            (10, {Quality.GATEWAY_DOWN: 10}), (60, {Quality.GATEWAY_DOWN: 60}), (30, {Quality.GATEWAY_DOWN: 30}),
        ]  # fmt: skip

    def test_what_has_no_time_is_counted(self) -> None:
        readings = [value(0, 1.0)._replace(utc_ms=None), miss(1, 5)._replace(utc_ms=None), value(0, 1.0, "other")]
        found, lost = summaries(readings, SITE, HOUR)
        assert (found, lost) == ([], 1 + 5 * 2)

    @settings(deadline=None, suppress_health_check=SLOW_MACHINE)
    @given(st.lists(st.floats(-50, 150), min_size=1, max_size=60))
    def test_figures_are_those_of_the_values(self, numbers: list[float]) -> None:
        readings = [value(minute, number) for minute, number in enumerate(numbers)] + [value(61, 0.0)]
        summary = summaries(readings, SITE, HOUR)[0][0]
        assert (summary.minimum, summary.maximum) == (min(numbers), max(numbers))
        assert summary.mean == pytest.approx(statistics.fmean(numbers), abs=1e-9)
        if len(numbers) > 1:
            assert summary.spread == pytest.approx(statistics.stdev(numbers), abs=1e-6)


class TestSensorEvents:
    def event(self, readings: list[Reading], point: str = "room", *, alarm: bool = False) -> dict[str, Any]:
        units = {("a", "temperature"): "degC", ("a", "humidity"): "%RH"}
        found, _ = summaries([*readings, value(300, 0.0), value(300, 0.0, "humidity")], SITE, HOUR, units)
        event = sensor_event(next(s for s in found if s.point == point), NAMING, alarm=alarm)
        assert event is not None
        return check_document(document([event], START))[0]

    def test_an_hour_as_object_event(self) -> None:
        event = self.event([value(0, 4.0), value(1, 5.0, quality=Quality.UNCALIBRATED)])
        assert (event["eventTime"], event["bizStep"], event["epcList"]) == (
            "2026-11-24T07:00:00.000Z", "sensor_reporting", [],
        )  # fmt: skip
        assert event["readPoint"] == {"id": "urn:aurora:m:g:point:room"}
        (element,) = event["sensorElementList"]
        assert element["sensorMetadata"] == {
            "startTime": "2026-11-24T06:00:00.000Z",
            "endTime": "2026-11-24T06:59:59.999Z",
            "deviceID": "urn:aurora:m:g:device:a",
        }
        assert element["sensorReport"] == [
            {
                "type": "Temperature",
                "minValue": 4.0,
                "maxValue": 5.0,
                "meanValue": 4.5,
                "sDev": 0.707107,
                "uom": "CEL",
            }
        ]
        extensions = {key: item for key, item in event.items() if key.startswith("aurora:")}
        assert extensions == {"aurora:scheduledSamples": 2, "aurora:values": 2, "aurora:uncertainValues": 1}

    def test_alarms_and_faults_are_exceptions(self) -> None:
        event = self.event([value(0, 9.0), miss(1, 2), value(3, None, quality=Quality.SENSOR_FAULT)], alarm=True)
        reports = event["sensorElementList"][0]["sensorReport"][1:]
        assert reports == [
            {"type": "Temperature", "exception": "ALARM_CONDITION", "booleanValue": True},
            {"type": "Temperature", "exception": "ERROR_CONDITION", "uriValue": "urn:aurora:quality:timeout"},
            {"type": "Temperature", "exception": "ERROR_CONDITION", "uriValue": "urn:aurora:quality:sensor-fault"},
        ]
        assert (event["aurora:scheduledSamples"], event["aurora:values"]) == (4, 1)

    def test_an_hour_without_a_value_has_no_figures(self) -> None:
        event = self.event([miss(0, 60)], "damp")
        (report,) = event["sensorElementList"][0]["sensorReport"]
        assert report == {
            "type": "RelativeHumidity", "exception": "ERROR_CONDITION", "uriValue": "urn:aurora:quality:timeout",
        }  # fmt: skip

    def test_a_unit_without_a_name_is_no_event(self) -> None:
        summary = Summary("room", "a", START, START + HOUR)
        summary.add(1.0, Quality.GOOD, "furlong")
        assert sensor_event(summary, NAMING, alarm=False) is None

    def test_units_have_measurement_types_of_the_vocabulary(self) -> None:
        for kind, uom in UNITS.values():
            assert re.fullmatch(r"[A-Z][A-Za-z]+", kind)
            assert re.fullmatch(r"[A-Z0-9]{2,3}", uom)


class TestAlarmsInAnInterval:
    @pytest.mark.parametrize(
        ("since", "returned", "inside"),
        [
            (START, None, True), (START - 1, START + 1, True), (START - 9, START, False),
            (START + HOUR, None, False),
            (START + HOUR - 1, START + 2 * HOUR, True), (None, None, False),
        ],
    )  # fmt: skip
    def test_those_that_were_active_in_it(self, since: int | None, returned: int | None, inside: bool) -> None:
        moment = Moment(b"b", 1, since)
        alarm = Episode("room", {}, moment, moment, None if returned is None else Moment(b"b", 1, returned))
        assert overlaps(alarm, Summary("room", "a", START, START + HOUR)) is inside
        assert overlaps(alarm, Summary("damp", "a", START, START + HOUR)) is False


def lot(**fields: Any) -> Entry:
    data = {
        "record": "R1-aa", "person": "A", "text": None, "supersedes": None, "withdrawn": False, "done_ms": None,
        "lot": "L 1/\u00e9", "gtin": None, "serial": None, "sscc": None, "direction": "in", "point": "room",
        "quantity": None, "unit": None, **fields,
    }  # fmt: skip
    return Entry.read(LOT, Moment(b"b", 1, START), data)


class TestLotEvents:
    @pytest.mark.parametrize(
        ("fields", "objects"),
        [
            ({}, {"quantityList": [{"epcClass": "urn:aurora:m:g:lot:L%201%2F%C3%A9"}]}),
            (
                {"gtin": "09506000134352", "lot": "A/1", "quantity": 1.5, "unit": "KGM"},
                {"quantityList": [
                    {"epcClass": "https://id.gs1.org/01/09506000134352/10/A%2F1", "quantity": 1.5, "uom": "KGM"}
                ]},
            ),
            ({"sscc": "376104250021234569"}, {"epcList": ["https://id.gs1.org/00/376104250021234569"]}),
            (
                {"gtin": "09506000134352", "serial": "7"},
                {"epcList": ["https://id.gs1.org/01/09506000134352/21/7"]},
            ),
            (
                {"quantity": 12, "unit": "boxes"},
                {"quantityList": [{"epcClass": "urn:aurora:m:g:lot:L%201%2F%C3%A9"}],
                 "aurora:quantity": "12 boxes"},
            ),
        ],
    )  # fmt: skip
    def test_what_moved(self, fields: dict[str, Any], objects: dict[str, Any]) -> None:
        (event,) = check_document(document([lot_event(lot(**fields), START, NAMING)], START))
        assert {key: event[key] for key in objects} == objects
        assert event["aurora:record"] == "R1-aa"

    def test_in_and_out(self) -> None:
        came = lot_event(lot(), START, NAMING)
        went = lot_event(lot(direction="out"), START, NAMING)
        assert (came["bizStep"], went["bizStep"]) == ("arriving", "departing")
        assert came["bizLocation"] == came["readPoint"] == went["readPoint"]
        assert "bizLocation" not in went, "where it is afterwards is not known here"

    def test_a_place_may_have_a_gln(self) -> None:
        places = places_of(["room=https://id.gs1.org/414/9521321000010"], SITE)
        event = lot_event(lot(), START, Naming(SITE, places))
        assert event["readPoint"] == {"id": "https://id.gs1.org/414/9521321000010"}

    @pytest.mark.parametrize("word", ["room", "room=here", "attic=urn:x:y", "room=urn:x y"])
    def test_a_place_that_is_none(self, word: str) -> None:
        with pytest.raises(AuroraError, match="--place"):
            places_of([word], SITE)


class TestCommand:
    """On the record of a gateway whose device does not answer; see tests/records for lots in it."""

    @pytest.fixture(scope="class")
    @staticmethod
    def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("epcis")
        tools = Path(__file__).parents[1] / "records"
        program = f"""
import asyncio, sys
sys.path.insert(0, {str(tools)!r})
from pathlib import Path
from records_tools import recording, site_of, TOML
from gateway.control import ask
folder = Path({str(folder)!r})
(folder / "site.toml").write_text(TOML.format(port=1))
async def main():
    async with recording(site_of(folder, 1)) as desk:
        lot = {{"do": "record.lot", "person": "A", "point": "room", "lot": "L1", "direction": "in"}}
        await asyncio.to_thread(ask, folder, lot)
        begin = desk.clock.now_ms()
        while desk.clock.now_ms() - begin < 2500:
            await asyncio.sleep(0.05)
asyncio.run(main())
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
        return folder

    def export(self, folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "gateway.cli", "export", str(folder / "site.toml"), "--format", "epcis"]
        return subprocess.run(
            [*line, *map(str, words)], capture_output=True, text=True, timeout=50, check=False,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def test_the_journal_as_a_document(self, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonld"
        done = self.export(folder, "--interval", "1s", "--out", out)
        assert done.returncode == 0, done.stderr
        events = check_document(json.loads(out.read_text(encoding="utf-8")))
        steps = [event["bizStep"] for event in events]
        assert steps.count("arriving") == 1
        of_room = [e for e in events if e["bizStep"] != "arriving" and e["readPoint"]["id"].endswith(":room")]
        assert len(of_room) >= 2
        assert of_room[0]["sensorElementList"][0]["sensorReport"][0]["type"] == "Temperature", "though none came"
        assert sum(event["aurora:scheduledSamples"] for event in of_room) >= 10
        assert [e["eventTime"] for e in events] == sorted(e["eventTime"] for e in events)

    def test_a_time_without_anything(self, folder: Path) -> None:
        done = self.export(folder, "--until", "2020-01-01")
        assert check_document(json.loads(done.stdout)) == []

    @pytest.mark.parametrize("words", [("--interval", "7s"), ("--place", "attic=urn:x:y"), ("--interval", "7")])
    def test_what_is_refused(self, folder: Path, words: tuple[str, str]) -> None:
        done = self.export(folder, *words)
        assert done.returncode == 2
        assert done.stdout == ""
        assert words[0].lstrip("-") in done.stderr or "duration" in done.stderr
