"""A month's report, every number computed again from the exported data by code that shares nothing with it."""

import argparse
import csv
import hashlib
import io
import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from report_site import Plant

from gateway.export import export_site

PARIS = ZoneInfo("Europe/Paris")
AS_OF = "2027-01-02T00:00Z"


class Exported:
    """The rows of `aurora-gateway export --format csv` for one channel, by the rules of docs/reports.md."""

    def __init__(self, text: str, report: dict[str, Any]) -> None:
        (grid,) = report["data"]["grids"]
        self.period, self.phase = (
            timedelta(milliseconds=grid["period_ms"]),
            timedelta(milliseconds=grid["phase_ms"]),
        )
        self.values: list[tuple[datetime, datetime, str, str, dict[str, str]]] = []
        self.missed: list[tuple[datetime, str, dict[str, str], int]] = []
        for row in csv.DictReader(io.StringIO(text)):
            assert row["time_utc"]
            moment = datetime.fromisoformat(row["time_utc"])
            zero = moment - timedelta(milliseconds=int(row["boot_ms"]))
            due = zero + int(row["slot"]) * self.period + self.phase
            if row["channel"] == "":
                for place in range(int(row["slots"])):
                    self.missed.append((due + place * self.period, row["reason"], row, int(row["slot"]) + place))
            elif row["channel"] == "temperature" and row["role"] == "value":
                self.values.append((due, moment, row["value"], row["reason"], row))

    def figures(self, start: datetime, end: datetime) -> dict[str, Any]:
        inside = [
            (at, float(value))
            for due, at, value, _, row in self.values
            if start <= due < end and row["severity"] != "bad"
        ]
        slots = [(due, row["severity"]) for due, _, _, _, row in self.values if start <= due < end]
        missed: dict[str, int] = {}
        for due, reason, _, _ in self.missed:
            if start <= due < end:
                missed[reason] = missed.get(reason, 0) + 1
        recorded = sorted({due for due, *_ in self.values} | {due for due, *_ in self.missed})
        off = sum(
            start <= before + place * self.period < end
            for before, after in pairwise(recorded)
            for place in range(1, round((after - before) / self.period))
        )
        if off:
            missed["machine-off"] = off
        values = [value for _, value in inside]
        low, high = min(values, default=None), max(values, default=None)
        return {
            "scheduled": len(slots) + sum(missed.values()),
            "good": sum(severity == "good" for _, severity in slots),
            "uncertain": sum(severity == "uncertain" for _, severity in slots),
            "bad": sum(severity == "bad" for _, severity in slots),
            "missed": missed,
            "low": low,
            "high": high,
            "low_utc": next((at for at, value in inside if value == low), None),
            "high_utc": next((at for at, value in inside if value == high), None),
            "mean": sum(values) / len(values) if values else None,
        }

    def beyond(self, limit: float, start: datetime, end: datetime) -> tuple[int, timedelta, float | None]:
        over = [
            float(value)
            for due, _, value, _, _ in self.values
            if start <= due < end and value and float(value) > limit
        ]
        return len(over), len(over) * self.period, max(over, default=None)

    def digest(self, start: datetime, end: datetime) -> str:
        lines = []
        for due, _, value, reason, row in self.values:
            if start <= due < end:
                lines.append(
                    (due, row["boot"], int(row["slot"]), f"{row['boot']},{row['slot']},1,{value},{reason}\n")
                )
        runs: dict[tuple[str, str], list[tuple[datetime, int, str]]] = {}
        for due, reason, row, slot in self.missed:
            if start <= due < end:
                runs.setdefault((row["boot"], row["slot"]), []).append((due, slot, reason))
        for (boot, _), slots in runs.items():
            due, slot, reason = min(slots)
            lines.append((due, boot, slot, f"{boot},{slot},{len(slots)},,{reason}\n"))
        return hashlib.sha256("".join(line for *_, line in sorted(lines)).encode()).hexdigest()


@pytest.fixture(scope="module")
def data(month: Plant, report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    out = tmp_path_factory.mktemp("export") / "data.csv"
    wanted = argparse.Namespace(format="csv", out=out, since=None, until=None, device=["room-probe"])
    export_site(month.site(), wanted)
    return Exported(out.read_text(), report)


@pytest.fixture(scope="module")
def report(month: Plant, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("report") / "month.json"
    month.command(
        "month", "--point", "cold-room-1", "--date", "2026-11", "--format", "json", "--as-of", AS_OF, out=out
    )
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def compare(stated: dict[str, Any], computed: dict[str, Any]) -> None:
    for name in ("scheduled", "good", "uncertain", "bad", "missed", "low", "high"):
        assert stated[name] == computed[name], name
    assert moment(stated["low_at_utc"]) == computed["low_utc"]
    assert moment(stated["high_at_utc"]) == computed["high_utc"]
    assert stated["mean"] == pytest.approx(computed["mean"], abs=1e-9)
    assert stated["covered"] == computed["good"] + computed["uncertain"]
    assert stated["coverage"] == pytest.approx(stated["covered"] / computed["scheduled"], abs=1e-12)


class TestAMonth:
    START, END = datetime(2026, 11, 1, tzinfo=PARIS), datetime(2026, 12, 1, tzinfo=PARIS)

    def test_the_figures_of_the_month(self, report: dict[str, Any], data: Exported) -> None:
        computed = data.figures(self.START, self.END)
        compare(report["figures"], computed)
        assert computed["scheduled"] == 30 * 24 * 12, "every slot of the month, over a boot too"
        assert computed["missed"].keys() == {"timeout", "machine-off"}
        assert computed["bad"] == 12
        assert computed["uncertain"] == 288

    def test_the_figures_of_each_day(self, report: dict[str, Any], data: Exported) -> None:
        assert len(report["days"]) == 30
        for number, day in enumerate(report["days"], 1):
            start = datetime(2026, 11, number, tzinfo=PARIS)
            end = datetime(2026, 11, number + 1, tzinfo=PARIS) if number < 30 else self.END
            assert moment(day["start_utc"]) == start
            assert moment(day["end_utc"]) == end
            compare(day, data.figures(start, end))
            count, lasted, _ = data.beyond(7.0, start, end)
            assert timedelta(milliseconds=day["beyond_critical_ms"]) == lasted
            assert (count > 0) == (number in {1, 8, 15, 22, 29})
        for name in ("scheduled", "good", "uncertain", "bad"):
            assert sum(day[name] for day in report["days"]) == report["figures"][name]

    def test_the_time_beyond_the_limit(self, report: dict[str, Any], data: Exported) -> None:
        (past,) = report["beyond"]
        assert past["limit"]["value"] == 7.0
        assert past["limit"]["sources"] == ["Regulation (EC) No 853/2004, Annex III, Section I"]
        count, lasted, worst = data.beyond(7.0, self.START, self.END)
        assert (past["samples"], past["worst"]) == (count, worst)
        assert timedelta(milliseconds=past["duration_ms"]) == lasted
        assert count > 20
        assert report["beyond_critical_ms"] == past["duration_ms"]

    def test_the_hash_of_the_data(self, report: dict[str, Any], data: Exported) -> None:
        assert report["data"]["sha256"] == data.digest(self.START, self.END)

    def test_the_batches_are_those_that_hold_the_month(self, report: dict[str, Any], data: Exported) -> None:
        used = {int(row["batch"]) for due, *_, row in data.values if self.START <= due < self.END}
        used |= {int(row["batch"]) for due, _, row, _ in data.missed if self.START <= due < self.END}
        assert set(report["data"]["batches"]) == used

    def test_gaps_hold_what_is_missing(self, report: dict[str, Any]) -> None:
        figures, gaps = report["figures"], report["data"]["gaps"]
        assert sum(gap["slots"] for gap in gaps) == figures["bad"] + sum(figures["missed"].values())
        assert [next(iter(gap["causes"])) for gap in gaps] == ["timeout", "sensor_fault", "machine-off"]
        # From the first slot without a value to the next with one; slots are due half a second past the minute.
        assert (gaps[0]["start_local"], gaps[0]["end_local"]) == (
            "2026-11-07T08:00:00.500+01:00",
            "2026-11-07T09:40:00.500+01:00",
        )

    def test_alarms_with_their_worst_value(self, report: dict[str, Any], data: Exported) -> None:
        assert [alarm["occurrence"] for alarm in report["alarms"]] == [1, 2]
        for alarm in report["alarms"]:
            since, back = datetime.fromisoformat(alarm["since_utc"]), datetime.fromisoformat(alarm["returned_utc"])
            values = [float(value) for _, at, value, _, _ in data.values if since <= at <= back and value]
            assert alarm["worst"] == max(values)
        steps = [step["kind"] for step in report["alarms"][0]["transitions"]]
        assert steps == ["alarm.raised", "alarm.acknowledged", "alarm.returned", "alarm.confirmed"]
        assert report["alarms"][0]["transitions"][1]["person"] == "J. Kowalska"

    def test_csv_has_the_same_figures(self, month: Plant, report: dict[str, Any], tmp_path: Path) -> None:
        out = tmp_path / "month.csv"
        month.command(
            "month", "--point", "cold-room-1", "--date", "2026-11", "--format", "csv", "--as-of", AS_OF, out=out
        )
        rows = list(csv.DictReader(io.StringIO(out.read_text())))
        values = {(row["section"], row["name"]): row["value"] for row in rows}
        assert int(values["period", "scheduled"]) == report["figures"]["scheduled"]
        assert float(values["period", "mean"]) == report["figures"]["mean"]
        assert float(values["day 2026-11-08", "highest"]) == report["days"][7]["high"]
        assert float(values["limit", "high-critical: time beyond"]) * 1000 == report["beyond"][0]["duration_ms"]

    def test_the_chain_was_verified(self, report: dict[str, Any]) -> None:
        assert report["proof"]["result"] == "whole"
        assert report["proof"]["scan_batches"] == len(report["data"]["batches"])
        assert report["proof"]["findings"] == []
        assert report["proof"]["anchored"] is False
