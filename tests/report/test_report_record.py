"""Alarms, lots, calibrations and the verification as reports tell them; and the command."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_site import DAY_MS, HOUR_MS, PARIS, Clock, Pen, Plant, day_period, month_period, utc, wave

from gateway.buffer.reader import Reader
from gateway.config import check_site
from gateway.errors import AuroraError
from gateway.report.haccp import HaccpRecord
from gateway.report.lots import lot_stays
from gateway.report.samples import Happening
from gateway.reporting.data import Record, limits_of
from gateway.seal.keys import FileSigner, load_or_create
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier, leaf_hash
from gateway.site import ClusterSpec

START = utc("2026-11-24T00:00+01:00")
LATER = utc("2027-01-01T00:00+00:00")


def written(plant: Plant) -> None:
    plant.write(
        Clock(bytes(16), START - 3 * HOUR_MS), lambda pen: pen.scans(START - HOUR_MS, START + 2 * DAY_MS, wave)
    )


class TestAlarms:
    def fill(self, plant: Plant) -> None:
        """One alarm over midnight, one of the day before that is over, one that only shelved, one of the device."""

        def write(pen: Pen) -> None:
            pen.scans(START - 2 * HOUR_MS, START + DAY_MS, lambda due: 9.0 if due < START + HOUR_MS else 4.0)
            over = {"occurrence": 7, "since": START - 2 * HOUR_MS, "raised": START - HOUR_MS}
            pen.alarm("alarm.raised", START - HOUR_MS, **over)
            pen.alarm(
                "alarm.returned", START + HOUR_MS, state="returned to normal, unacknowledged", active=False, **over
            )
            old = {
                "alarm": "cold-room-1/deficit",
                "rule": "deficit",
                "limit": 0.0,
                "value": -0.2,
                "raised": START - HOUR_MS,
            }
            pen.alarm("alarm.raised", START - 3_000_000, **old)
            pen.alarm("alarm.returned", START - 2_000_000, state="normal", active=False, **old)
            pen.alarm(
                "alarm.shelved",
                START + HOUR_MS,
                alarm="cold-room-1/high-alert",
                rule="high-alert",
                tier="alert",
                limit=5.0,
                state="shelved",
                person="JK",
                text="probe moved",
                until=START + 3 * HOUR_MS,
            )
            pen.alarm(
                "alarm.raised",
                START + 4 * HOUR_MS,
                alarm="room-probe/communication-loss",
                rule="communication-loss",
                point=None,
                tier="maintenance",
                value=None,
                limit=None,
                unit="",
                detail={},
            )
            pen.alarm(
                "alarm.raised",
                START + 4 * HOUR_MS,
                alarm="room-probe.humidity/calibration-due",
                rule="calibration-due",
                point=None,
                tier="maintenance",
                value=None,
                limit=None,
                unit="",
                detail={},
            )
            pen.alarm(
                "alarm.raised",
                START + 5 * HOUR_MS,
                alarm="freezer-1/high-critical",
                point="freezer-1",
                device="freezer-probe",
            )

        plant.write(Clock(bytes(16), START - 5 * HOUR_MS), write)

    def test_those_of_the_point_that_touch_the_day(self, plant: Plant) -> None:
        self.fill(plant)
        record = plant.record(day_period("2026-11-24", PARIS, LATER))
        assert [(held.number, held.alarm) for held in record.alarms] == [
            (1, "cold-room-1/high-critical"),
            (2, "cold-room-1/high-alert"),
            (3, "room-probe/communication-loss"),
        ]
        first, shelved, device = record.alarms
        assert (first.since_ms, first.raised_ms, first.returned_ms) == (
            START - 2 * HOUR_MS,
            START - HOUR_MS,
            START + HOUR_MS,
        )
        assert (first.worst, first.state) == (9.0, "returned to normal, unacknowledged")
        assert [step.kind for step in first.transitions] == ["alarm.raised", "alarm.returned"]
        assert shelved.transitions[0].until_ms == START + 3 * HOUR_MS
        assert (device.limit, device.worst, device.tier) == (None, None, "maintenance")

    def test_the_day_before_does_not_know_what_came_after(self, plant: Plant) -> None:
        self.fill(plant)
        record = plant.record(day_period("2026-11-23", PARIS, LATER))
        by_alarm = {held.alarm: held for held in record.alarms}
        assert by_alarm.keys() == {"cold-room-1/high-critical", "cold-room-1/deficit"}
        assert by_alarm["cold-room-1/high-critical"].returned_ms is None
        assert by_alarm["cold-room-1/high-critical"].active

    def test_limits_come_from_alarms_with_their_steps(self, plant: Plant) -> None:
        def write(pen: Pen) -> None:
            pen.scans(START, START + DAY_MS, wave)
            pen.alarm("alarm.raised", START + HOUR_MS, limit=8.0)
            pen.alarm("alarm.raised", START + 9 * HOUR_MS, limit=7.0, occurrence=2)
            # A simulated product, a rate and the goal of a stage are no limits of what was measured.
            pen.alarm(
                "alarm.raised",
                START + HOUR_MS,
                alarm="cold-room-1/x",
                rule="x",
                limit=3.0,
                detail={"delay_s": 1.0, "simulated": True, "extreme": 3.4},
            )
            pen.alarm("alarm.raised", START + HOUR_MS, alarm="cold-room-1/rise", rule="rise", limit=1.0, detail={})

        plant.write(Clock(bytes(16), START - HOUR_MS), write)
        record = plant.record(day_period("2026-11-24", PARIS, LATER))
        assert [(limit.value, limit.since_ms, limit.until_ms) for limit in record.limits] == [
            (8.0, None, START + 9 * HOUR_MS),
            (7.0, START + 9 * HOUR_MS, None),
        ]
        assert next(held for held in record.alarms if held.rule == "x").worst == 3.4


class TestLots:
    def happening(self, number: int, hour: int, **data: Any) -> Happening:
        base = {
            "record": f"R{number}",
            "person": "JK",
            "text": "",
            "supersedes": None,
            "lot": "L-1",
            "point": "a",
            "direction": "in",
        }
        return Happening(START + hour * HOUR_MS, bytes(16), hour * HOUR_MS, "record.lot", base | data, number)

    def test_stays_strays_and_what_does_not_hold(self) -> None:
        events = [
            self.happening(1, 0),
            self.happening(2, 1, direction="in"),
            self.happening(3, 2, direction="out"),
            self.happening(4, 3, point="b"),
            self.happening(5, 4, point="c", direction="out"),
            self.happening(6, 5, lot="L-2"),
            self.happening(7, 6, point="d"),
            self.happening(8, 7, point="d", supersedes="R7", withdrawn=True),
            self.happening(9, 8, point="e", done_ms=START - HOUR_MS),
        ]
        stays, stray, gone = lot_stays(events, "L-1")
        assert [(s.point, s.enter.record, s.leave.record if s.leave else None) for s in stays] == [
            ("e", "R9", None),
            ("a", "R1", "R3"),
            ("b", "R4", None),
        ]
        assert [entry.record for entry in stray] == ["R2", "R5"]
        assert [(entry.record, entry.superseded_by) for entry in gone] == [("R7", "R8"), ("R8", None)]

    def test_a_lot_that_nobody_recorded(self) -> None:
        with pytest.raises(AuroraError, match="did you mean L-2026-1"):
            lot_stays([self.happening(1, 0, lot="L-2026-1")], "L-2026-7")

    def test_the_passport_holds_what_each_zone_had(self, month: Plant, tmp_path: Path) -> None:
        out = tmp_path / "lot.json"
        month.command("lot", "--lot", "L-2026-118", "--format", "json", "--as-of", "2026-11-25T00:00Z", out=out)
        first, second = json.loads(out.read_text())["stays"]
        record = first["record"]
        assert record["period"]["start_local"] == "2026-11-04T09:00:00.000+01:00"
        assert record["period"]["end_local"] == "2026-11-06T15:00:00.000+01:00"
        assert record["figures"]["scheduled"] == 54 * 12
        assert record["proof"]["result"] == "whole"
        assert second["out"] is None
        assert second["record"]["figures"]["high"] == -20.0
        assert second["record"]["period"]["end_utc"] == "2026-11-25T00:00:00.000Z"


class TestCalibrations:
    def test_the_register(self, month: Plant, tmp_path: Path) -> None:
        for moment, state in (
            ("2026-11-25", "valid"),
            ("2027-04-15", "soon"),
            ("2027-06-10", "due"),
            ("2027-07-01", "expired"),
        ):
            out = tmp_path / "register.json"
            month.command("calibration", "--format", "json", "--as-of", moment, out=out)
            register = json.loads(out.read_text())
            room, freezer = register["instruments"]
            assert (room["device"], room["channel"], room["critical"]) == ("room-probe", "temperature", True)
            assert room["certificate"]["certificate"] == "K-2026-0815"
            assert room["state"] == state
            assert freezer["state"] == "none"
            assert [entry["record"] for entry in room["entries"]] == ["R1"]

    def test_a_certificate_that_changed_within_the_month(self, plant: Plant) -> None:
        plant.write(Clock(bytes(16), START - HOUR_MS), lambda pen: pen.scans(START, START + 2 * HOUR_MS, wave))
        room, other = plant.layout.devices
        newer = replace(
            room,
            calibration={
                "temperature": {"certificate": "K-2", "valid_until": "2028-01-01", "points": [[0.0, 0.0]]}
            },
        )
        plant.layout = replace(plant.layout, devices=(newer, other))
        plant.write(
            Clock(bytes([1]) * 16, START + 3 * HOUR_MS),
            lambda pen: pen.scans(START + 4 * HOUR_MS, START + DAY_MS, wave),
        )
        record = plant.record(month_period("2026-11", PARIS, LATER))
        assert [used.certificate for used in record.certificates] == ["K-2026-0815", "K-2"]


class TestVerification:
    def record(self, plant: Plant, keys: tuple[Any, ...] = (), **changes: Any) -> HaccpRecord:
        site = plant.site(**changes)
        with closing(Reader(plant.folder / "journal.db")) as reader:
            return Record.open(site, reader, keys).haccp(site.points[0], day_period("2026-11-24", PARIS, LATER))

    def change(self, plant: Plant, query: str) -> None:
        with closing(sqlite3.connect(plant.folder / "journal.db")) as db:
            assert db.execute(query).rowcount > 0
            db.commit()

    def test_a_day_in_the_middle_is_whole(self, plant: Plant) -> None:
        written(plant)
        proof = self.record(plant).proof
        assert (proof.result, proof.anchored, proof.findings) == ("whole", False, ())
        assert 0 < proof.scan_batches < 12, "of the day alone"

    def test_a_key_from_outside_anchors_it(self, plant: Plant) -> None:
        written(plant)
        own = load_or_create(plant.folder / "keys").public
        assert self.record(plant, (own,)).proof.anchored
        foreign = FileSigner.create(plant.folder / "other.key").public
        proof = self.record(plant, (foreign,)).proof
        assert (proof.result, proof.anchored) == ("broken", False)
        assert any("unanchored" in finding for finding in proof.findings)

    def test_an_altered_batch_is_told_from_one_that_retention_took(self, plant: Plant) -> None:
        written(plant)
        used = self.record(plant).samples.batches
        middle = sorted(used)[len(used) // 2]
        self.change(plant, f"UPDATE scan_batch SET body = NULL WHERE seq = {middle}")
        record = self.record(plant)
        assert (record.proof.result, record.proof.absent) == ("held", 1)
        assert record.figures.missed == {"no-record": 360}
        self.change(plant, f"UPDATE scan_batch SET body = zeroblob(900) WHERE seq = {middle}")
        broken = self.record(plant).proof
        assert broken.result == "broken"
        assert any("missing" in finding for finding in broken.findings)

    def test_a_batch_that_was_cut_out(self, plant: Plant) -> None:
        written(plant)
        used = sorted(self.record(plant).samples.batches)
        self.change(plant, f"DELETE FROM scan_batch WHERE seq = {used[1]}")
        assert self.record(plant).proof.result == "broken"

    def test_a_forged_event(self, plant: Plant) -> None:
        plant.write(Clock(bytes(16), START), lambda pen: pen.alarm("alarm.raised", START + HOUR_MS))
        with closing(sqlite3.connect(plant.folder / "journal.db")) as db:
            (seq, body) = db.execute("SELECT seq, body FROM event_batch ORDER BY seq DESC LIMIT 1").fetchone()
            forged = body[:-1] + bytes([body[-1] ^ 1])
            db.execute("UPDATE event_batch SET body = ?, leaf = ? WHERE seq = ?", (forged, leaf_hash(forged), seq))
            db.commit()
        proof = self.record(plant).proof
        assert proof.result == "broken"
        assert any("altered" in finding for finding in proof.findings)

    def test_receipts_of_the_cluster(self, plant: Plant) -> None:
        written(plant)
        cluster = FileSigner.create(plant.folder / "cluster.key")
        (plant.folder / "cluster.pem").write_bytes(cluster.public.pem())
        spec = ClusterSpec(host="broker", port=8883, receipt_key=plant.folder / "cluster.pem")
        with closing(Reader(plant.folder / "journal.db")) as reader:
            leaves = reader.leaves("scan", 0, 5)
        for tree, result in ((leaves, "whole"), ([*leaves[:-1], bytes(32)], "broken")):
            receipt = issue_receipt(cluster, iss="c", sub="s", frontier=Frontier.of(tree), iat=0)
            with closing(sqlite3.connect(plant.folder / "journal.db")) as db:
                db.execute("DELETE FROM stream_state")
                db.execute(
                    "INSERT INTO stream_state(id, stream, delivered_size, frontier, receipt)"
                    " VALUES (0, 0, 5, x'00', ?)",
                    (receipt,),
                )
                db.commit()
            proof = self.record(plant, cluster=spec).proof
            assert proof.result == result
            assert proof.covered == ({"scan": 4} if result == "whole" else {})


SITE = """\
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"
time_zone = "Europe/Paris"
language = "fr"

[web]
listen = false

[[bus]]
id = "b"
type = "modbus-tcp"
host = "127.0.0.1"

[[device]]
id = "room"
bus = "b"
model = "danfoss-ekc202d"
unit = 1
period_s = 10
channels = ["air"]

[[point]]
id = "cold-room-1"
name = "Chambre froide"
channel = "room.air"
"""


class TestCommand:
    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "gateway.cli", "report", *map(str, words)]
        root = Path(__file__).parents[2]
        return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=50, check=False)

    def test_before_the_first_run(self, tmp_path: Path) -> None:
        (tmp_path / "site.toml").write_text(SITE)
        done = self.run(tmp_path / "site.toml", "day", "--point", "cold-room-1", "--date", "2026-11-24")
        assert done.returncode == 2
        assert "the gateway has not run with this site file yet" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("zone", ["Europe/Lutetia", "../passwd", "UTC+1 "])
    def test_a_zone_that_the_site_file_has_wrong(self, tmp_path: Path, zone: str) -> None:
        site, problems = check_site(SITE.replace("Europe/Paris", zone), "site.toml", tmp_path)
        assert site is None
        (problem,) = problems
        assert (problem.path, problem.line) == ("gateway.time_zone", 6)
        assert "Europe/Paris" in problem.remedy

    def test_zone_and_language_of_the_site_file(self, tmp_path: Path) -> None:
        site, problems = check_site(SITE, "site.toml", tmp_path)
        assert problems == []
        assert site is not None
        assert (site.time_zone, site.language) == ("Europe/Paris", "fr")
        plain, _ = check_site(
            SITE.replace('time_zone = "Europe/Paris"\nlanguage = "fr"\n', ""), "site.toml", tmp_path
        )
        assert plain is not None
        assert (plain.time_zone, plain.language) == ("UTC", "en")

    @pytest.mark.parametrize(
        ("words", "remedy"),
        [
            (("day", "--date", "2026-11-08"), "there are: cold-room-1, freezer-1"),
            (("day", "--point", "x", "--date", "2026-11-08"), "no point 'x'"),
            (("day", "--point", "cold-room-1"), "--date 2026-11-24"),
            (("month", "--point", "cold-room-1", "--date", "2026-11-08"), "write it as 2026-11"),
            (("lot",), "needs --lot"),
            (("lot", "--lot", "L-2026-119"), "did you mean L-2026-118"),
            (("day", "--point", "cold-room-1", "--date", "2026-11-08", "--zone", "Mars/Base"), "IANA name"),
            (("calibration", "--as-of", "yesterday"), "is no time"),
            (("calibration", "--key", "/nonexistent.pem"), "cannot be read"),
        ],
    )
    def test_what_is_missing_is_named(self, month: Plant, words: tuple[str, ...], remedy: str) -> None:
        as_of = () if "--as-of" in words else ("--as-of", "2027-01-01")
        with pytest.raises(AuroraError, match=remedy):
            month.command(*words, *as_of)

    def test_a_report_beside_the_running_daemon_writes_nothing(self, plant: Plant, tmp_path: Path) -> None:
        written(plant)
        before = {path.name for path in plant.folder.iterdir()}
        db = sqlite3.connect(plant.folder / "journal.db", isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        try:
            out = tmp_path.parent / f"{tmp_path.name}.html"
            plant.command("day", "--point", "cold-room-1", "--date", "2026-11-24", "--as-of", "2027-01-01", out=out)
            assert out.stat().st_size > 10_000
        finally:
            db.execute("ROLLBACK")
            db.close()
        assert {path.name for path in plant.folder.iterdir()} <= before | {"journal.db-wal", "journal.db-shm"}

    def test_a_place_that_cannot_be_written(self, month: Plant, tmp_path: Path) -> None:
        words = ("day", "--point", "cold-room-1", "--date", "2026-11-08", "--as-of", "2027-01-01")
        with pytest.raises(AuroraError, match="cannot be written"):
            month.command(*words, out=tmp_path / "no" / "report.html")


def test_limits_of_a_profile_are_those_of_values() -> None:
    """The profile of a point, as far as reports know it: its limits and times, not its rates and stages."""
    limit = SimpleNamespace(
        rule="high-critical", side="above", tier="critical", limit=7.0, delay_s=3600.0, hysteresis=0.5
    )
    spent = SimpleNamespace(rule="below-63", side="below", tier="critical", limit=63.0)
    profile = SimpleNamespace(
        id="chilled-meat",
        digest="cd",
        unit="degC",
        sources=("law",),
        limits=(limit,),
        times=(spent,),
        rates=(None,),
    )
    point = SimpleNamespace(id="p", profile=profile)
    first, second = limits_of(point)  # type: ignore[arg-type]
    assert (first.side, first.value, first.delay_s, first.sources, first.known_by) == (
        "high",
        7.0,
        3600.0,
        ("law",),
        "site file",
    )
    assert (second.side, second.value, second.delay_s) == ("low", 63.0, None)
    assert limits_of(Plant(Path()).points[0]) == ()
