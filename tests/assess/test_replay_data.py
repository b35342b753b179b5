"""Replay: the same code as live over past data, against a reference written from the rule's words alone."""

import asyncio
import json
import random
from array import array
from collections.abc import Sequence
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_interfaces.modbus.model import load_model
from gateway.acquire.poller import device_layout
from gateway.buffer.journal import Journal
from gateway.cli import main
from gateway.config import load_site
from gateway.config.profiles import builtin_profile
from gateway.errors import AuroraError
from gateway.identity import open_identity
from gateway.model import ClockClaim, ClockState, Event, Layout, Miss, Quality, Scan
from gateway.replay.csvfile import Table, read_csv, time_reader
from gateway.replay.engine import Player, csv_site, play_csv, with_periods
from gateway.site import PointSpec

START = datetime(2021, 6, 24, tzinfo=UTC)


def replay(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[list[dict[str, Any]], str]:
    """Run the command; its lines and its summary."""
    assert main(["replay", *map(str, words)]) == 0
    output = capsys.readouterr()
    return [json.loads(line) for line in output.out.splitlines()], output.err


def of_limits(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines about limits: other judges have their own to say."""
    rules = {"high-critical", "low-critical", "high-alert", "stale"}
    return [line for line in lines if line["event"].startswith("alarm.") and line["rule"] in rules]


def write(path: Path, rows: Sequence[tuple[datetime, str, float | None]]) -> Path:
    lines = ["time,channel,value", *(f"{t.isoformat()},{c},{'' if v is None else v}" for t, c, v in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# the rule of a commercial system: alarm at the fourth sample in a row beyond the limit, over at the first good one


def reference(values: Sequence[float | None], high: float, low: float) -> list[tuple[int, int | None, str]]:
    """Episodes (sample at which the alarm comes, sample at which it is over, side), from the words of the rule."""
    episodes: list[tuple[int, int | None, str]] = []
    for side in ("high", "low"):
        row, raised = 0, None
        for number, value in enumerate(values):
            if value is None:
                continue
            if (value > high) if side == "high" else (value < low):
                row += 1
                if row == 4:
                    raised = number
            else:
                if raised is not None:
                    episodes.append((raised, number, side))
                row, raised = 0, None
        if raised is not None:
            episodes.append((raised, None, side))
    return sorted(episodes)


def eleven_months(seed: int) -> list[float | None]:
    """A room that swings about its limits, with defrosts, open doors, stuck values and missing samples."""
    source = random.Random(seed)
    values: list[float | None] = []
    level = -22.0
    for number in range(330 * 96):
        level += 0.3 * (-22.5 - level) + source.gauss(0, 0.6)
        value = level
        if number % 32 < 3:
            value += source.uniform(0, 6)  # defrost
        if source.random() < 0.002:
            level += source.uniform(3, 9)  # door left open
        value = round(value, 1)
        if source.random() < 0.1:
            value = -22.0  # a value at the limit is not beyond it
        values.append(None if source.random() < 0.004 else value)
    return values


FOURTH = (
    "--set=high-critical.limit=-22",
    "--set=high-critical.samples=4",
    "--set=low-critical.limit=-24",
    "--set=low-critical.samples=4",
    "--set=unit=degC",
    "--set=stale=24h",
)


def test_the_fourth_sample_in_a_row_over_eleven_months(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = eleven_months(1)
    times = [START + timedelta(minutes=15) * number for number in range(len(values))]
    path = write(tmp_path / "room.csv", [(t, "freezer", v) for t, v in zip(times, values, strict=True)])
    lines, summary = replay(capsys, path, *FOURTH)
    found: list[tuple[int, int | None, str]] = []
    number = {t: n for n, t in enumerate(times)}
    began: dict[str, int] = {}
    for line in of_limits(lines):
        side = line["rule"].partition("-")[0]
        at = number[datetime.fromisoformat(line["time"])]
        if line["event"] == "alarm.raised":
            began[side] = at
        elif line["event"] == "alarm.returned":
            found.append((began.pop(side), at, side))
    found += [(at, None, side) for side, at in began.items()]
    expected = reference(values, -22.0, -24.0)
    assert len(expected) > 500
    assert sorted(found, key=lambda one: (one[0], one[2])) == sorted(expected, key=lambda one: (one[0], one[2]))
    assert "31680 values of 1 channels" in summary


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([-25.0, -24.0, -23.0, -22.0, -21.0, None]), min_size=1, max_size=80))
def test_the_rule_for_any_series(values: list[float | None]) -> None:
    rules = {"samples": 4, "delay_s": 0.0, "hysteresis": 0.0}
    base = builtin_profile("chilled-meat")
    high = changed(base.limits[0], limit=-22.0, **rules)
    low = changed(base.limits[2], limit=-24.0, rule="deficit", **rules)
    profile = changed(base, limits=(high, low), stale_s=1e9)
    table = Table(["f.value"])
    for number, value in enumerate(values):
        table.times.append(number * 900_000)
        table.of.append(0)
        table.values.append(float("nan") if value is None else value)
    point = PointSpec(id="f", name="f", device="f", channel="value", profile=profile)
    site, layout, where = with_periods(csv_site(["f"], {"f": point}), table, lambda words: None)
    events: list[tuple[int | None, Event]] = []
    play_csv(Player(site, layout, lambda utc, event, claim: events.append((utc, event))), table, where)
    limits = {"f/high-critical", "f/deficit"}
    found = [(utc or 0, event) for utc, event in events if event.data.get("alarm") in limits]
    raised = sorted(utc // 900_000 for utc, event in found if event.kind == "alarm.raised")
    assert raised == sorted(at for at, _, _ in reference(values, -22.0, -24.0))


# what it tells


def test_every_line_has_its_time_in_utc_and_the_rule_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(START + timedelta(minutes=n), "room", 9.0 if 10 <= n < 90 else 4.0) for n in range(120)]
    lines, summary = replay(capsys, write(tmp_path / "a.csv", rows), "--profile", "chilled-meat")
    lines = of_limits(lines)
    assert [line["event"] for line in lines] == ["alarm.raised", "alarm.raised", "alarm.returned", "alarm.returned"]
    alert, critical = lines[0], lines[1]
    assert (alert["alarm"], alert["time"], alert["since"]) == (
        "room/high-alert",
        "2021-06-24T00:55:00.000Z",
        "2021-06-24T00:10:00.000Z",
    )
    assert critical["time"] == "2021-06-24T01:10:00.000Z"
    assert critical["detail"]["profile_hash"] == builtin_profile("chilled-meat").digest
    assert "room/high-critical" in summary
    assert "120 values of 1 channels" in summary


def test_stale_data_and_time_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(START + timedelta(minutes=n), "room", 4.0) for n in [*range(10), *range(180, 190)]]
    lines, _ = replay(capsys, write(tmp_path / "a.csv", rows), "--profile", "chilled-meat")
    stale = [line for line in of_limits(lines) if line["alarm"] == "room/stale"]
    assert [line["event"] for line in stale if line["event"] != "alarm.grouped"] == [
        "alarm.raised",
        "alarm.returned",
    ]
    assert stale[0]["time"].startswith("2021-06-24T00:39:00")


def test_settings_are_by_channel_and_do_not_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(START + timedelta(minutes=n), name, 4.5) for n in range(60) for name in ("a", "b", "c")]
    path = write(tmp_path / "a.csv", rows)
    lines, _ = replay(
        capsys, path, "--profile", "chilled-meat", "--set", "b:high-alert=4", "--set", "high-alert.delay=5min"
    )
    assert {line["alarm"] for line in of_limits(lines)} == {"b/high-alert"}
    assert of_limits(lines)[0]["time"].startswith("2021-06-24T00:05:00")


def test_a_chart_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:

    rows = [
        (START + timedelta(minutes=n), name, 9.0 if n > 30 else 4.0) for n in range(120) for name in ("a", "<b>")
    ]
    replay(capsys, write(tmp_path / "a.csv", rows), "--profile", "chilled-meat", "--chart", tmp_path / "c.svg")
    root = ElementTree.fromstring((tmp_path / "c.svg").read_text())
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}path")) == 2
    assert len(root.findall(f"{space}line")) == 6
    assert len(root.findall(f"{space}rect")) == 5


# how files are read


def table_of(path: Path, text: str, **named: Any) -> tuple[Table, list[str]]:
    path.write_text(text, encoding="utf-8")
    said: list[str] = []
    reader = time_reader(named.pop("time_format", None), named.pop("zone", None))
    return read_csv(path, reader, said.append, **named), said


def test_bad_rows_are_named_by_line_and_left_out(tmp_path: Path) -> None:
    text = (
        "time,channel,value\n2021-06-24,a,1.0\nyesterday,a,1.0\n2021-06-24T00:01,a,###\n2021-06-24T00:02,a\n"
        "2021-06-24T00:03,a,\n2021-06-24T00:04,a,inf\n2021-06-24T00:04,a,2.0\n\n2021-06-24T00:05,a,3.0\n"
    )
    table, said = table_of(tmp_path / "a.csv", text)
    assert [words.partition("a.csv: ")[2].partition(":")[0] for words in said] == [
        "line 3",
        "line 4",
        "line 5",
        "line 8",
    ]
    assert (len(table.times), table.bad_rows, table.without_value) == (4, 4, 2)


@pytest.mark.parametrize("text", ["", "time,channel,value\n", "a,b\n", "x,y,z\n1,2\n"])
def test_a_file_without_a_row_that_can_be_used_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AuroraError, match="no row"):
        table_of(tmp_path / "a.csv", text)


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(AuroraError, match="UTF-8"):
        read_csv(tmp_path / "a.csv", time_reader(None, None), print)
    with pytest.raises(AuroraError, match="check the path"):
        read_csv(tmp_path / "b.csv", time_reader(None, None), print)


def test_rows_in_any_order_are_put_in_the_order_of_time(tmp_path: Path) -> None:
    table, said = table_of(tmp_path / "a.csv", "60,a,1\n120,a,2\n60,b,3\n120,b,4\n0,c,5\n")
    assert said == []
    assert list(table.times) == [0, 60_000, 60_000, 120_000, 120_000]
    assert list(table.values) == [5, 1, 3, 2, 4]


def test_times_as_a_logger_writes_them(tmp_path: Path) -> None:
    table, said = table_of(
        tmp_path / "a.csv",
        "24/06/21 00:15;a;1,5\n24/06/21 00:30;a;2.5\n",
        time_format="%d/%m/%y %H:%M",
        delimiter=";",
    )
    assert len(said) == 1
    assert table.times[0] == int(datetime(2021, 6, 24, 0, 30, tzinfo=UTC).timestamp() * 1000)


def test_the_hour_that_comes_twice_and_the_one_that_does_not_come(tmp_path: Path) -> None:
    text = "".join(f"2021-11-07T0{h}:{m:02},a,1\n" for h in (0, 1, 1, 2) for m in (0, 30))
    table, said = table_of(tmp_path / "a.csv", text, zone="America/New_York")
    assert said == []
    steps = {later - earlier for earlier, later in pairwise(table.times)}
    assert steps == {1_800_000}
    with pytest.raises(AuroraError, match="time zone"):
        time_reader(None, "America/Old_York")


def test_an_export_of_the_gateway_itself_can_be_read(tmp_path: Path) -> None:
    text = "time_utc,device,channel,role,value\n2026-11-01T00:00:00.000Z,room,temperature,value,3.1\n"
    table, said = table_of(tmp_path / "a.csv", text, known={"room.temperature": "room.temperature"})
    assert (table.channels, said) == (["room.temperature"], [])
    with pytest.raises(AuroraError, match="no row"):
        table_of(tmp_path / "a.csv", text, known={"other.temperature": "other.temperature"})


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "name the rules"),
        (["--profile", "chiled-meat"], "chilled-meat"),
        (["--profile", "chilled-meat", "--set", "high-alrt=5"], "high-alert"),
        (["--profile", "chilled-meat", "--set", "high-alert"], "KEY=VALUE"),
        (["--profile", "chilled-meat", "--set", "b:high-alert=5"], "no channel"),
        (["--profile", "chilled-meat", "--set", "high-alert=8"], "beyond the critical limit"),
        (["--profile", "chilled-meat", "--set", "high-alert.delay=5"], "no unit"),
        (["--profile", "chilled-meat", "--set", "stale=soon"], "duration"),
        (["--profile", "chilled-meat", "--delimiter", "::"], "one character"),
        (["--set", "high-alert.samples=4"], "limit"),
    ],
)
def test_rules_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], hint: str
) -> None:
    path = write(tmp_path / "a.csv", [(START, "a", 1.0)])
    assert main(["replay", str(path), *words]) == 2
    assert hint in capsys.readouterr().err


# a site


SITE = """\
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"
data_dir = "data"

[[bus]]
id = "plant"
type = "modbus-tcp"
host = "10.0.0.1"

[[device]]
id = "room"
bus = "plant"
model = "xy-md02"
unit = 1
period_s = 60

[[point]]
id = "cold"
name = "Cold room"
channel = "room.temperature"
[point.limits]
high-critical = { limit = 5.0, delay = "10min" }
"""


def test_a_file_is_judged_by_the_points_of_a_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    rows = [(START + timedelta(minutes=n), name, 6.0) for n in range(20) for name in ("room.temperature", "other")]
    lines, said = replay(capsys, write(tmp_path / "a.csv", rows), "--site", tmp_path / "site.toml")
    assert [line["alarm"] for line in of_limits(lines)] == ["cold/high-critical"]
    assert "channel 'other' is of no point" in said
    assert said.count("'other'") == 1


async def record(
    folder: Path, values: Sequence[float | None], *, boots: Sequence[int] = (), down: bool = False
) -> None:
    """A journal with one scan a minute (None: a missed slot); the machine restarts before the samples ``boots``."""
    site = load_site(folder / "site.toml")
    layout = Layout((device_layout(site.devices[0], load_model("xy-md02")),))
    identity = open_identity(site)
    utc_ms = int(START.timestamp() * 1000)
    edges = [0, *boots, len(values)]
    for number, (first, last) in enumerate(pairwise(edges)):
        now = [60_000]

        def claim(number: int = number, first: int = first, now: list[int] = now) -> ClockClaim:
            at_utc = utc_ms + first * 60_000 + now[0] - 60_000
            return ClockClaim(bytes((number,)) * 16, now[0], at_utc, 5, ClockState.TRUSTED)

        journal = await Journal.open(
            site.data_dir / "journal.db",
            signer=identity.signer,
            iss=site.identity.urn,
            layout=layout,
            spec=site.buffer,
            clock=claim,
            registration=identity.registration,
        )
        running = asyncio.create_task(journal.run())
        for value in values[first:last]:
            slot = now[0] // 60_000
            if value is None:
                journal.put(Miss(0, slot, 1, Quality.GATEWAY_DOWN if down else Quality.TIMEOUT))
            else:
                journal.put(Scan(0, slot, now[0], array("d", [value, 80.0]), bytes(2)))
            now[0] += 60_000
        await journal.flush(seal=True)
        running.cancel()
        await asyncio.wait([running])
        await journal.close()


async def test_a_journal_is_judged_over_its_reboots_as_it_was_live(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    values: list[float | None] = [4.0] * 5 + [6.0] * 4 + [None] * 2 + [6.0] * 8 + [4.0] * 5
    await record(tmp_path, values, boots=[12])
    lines, summary = await asyncio.to_thread(replay, capsys, tmp_path / "site.toml", "--chart", tmp_path / "c.svg")
    alarms = [(line["event"], line["time"][11:16]) for line in lines if line.get("alarm") == "cold/high-critical"]
    assert alarms == [("alarm.raised", "00:15"), ("alarm.returned", "00:19")]
    assert "cold/high-critical" in summary
    assert (tmp_path / "c.svg").stat().st_size > 500


@pytest.mark.parametrize(("down", "alarms"), [(False, 1), (True, 0)])
async def test_silence_while_the_gateway_was_down_is_not_the_device_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], down: bool, alarms: int
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    await record(tmp_path, [4.0] * 5 + [None] * 20 + [4.0] * 5, down=down)
    lines, summary = await asyncio.to_thread(replay, capsys, tmp_path / "site.toml")
    assert (
        sum(line.get("rule") == "communication-loss" for line in lines if line["event"] == "alarm.raised") == alarms
    )
    assert "10 scans of 1 devices" in summary
    assert "2021-06-24T00:00:00.000Z to 2021-06-24T00:29:00.000Z" in summary


def test_a_site_without_a_journal_and_options_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    assert main(["replay", str(tmp_path / "site.toml")]) == 2
    assert "no journal" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "site.toml"), "--profile", "poultry"]) == 2
    assert "CSV" in capsys.readouterr().err
    path = write(tmp_path / "a.csv", [(START, "a", 1.0)])
    assert main(["replay", str(path), "--site", str(tmp_path / "site.toml"), "--set", "high-alert=5"]) == 2
    assert "own rules" in capsys.readouterr().err


def test_profiles_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles"]) == 0
    assert "quick-frozen" in capsys.readouterr().out
    assert main(["profiles", "quick-frozen"]) == 0
    output = capsys.readouterr().out
    assert "89/108/EEC" in output
    assert builtin_profile("quick-frozen").digest in output
    assert main(["profiles", "quick-frosen"]) == 2
    assert "quick-frozen" in capsys.readouterr().err
