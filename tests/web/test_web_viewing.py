"""What pages show of the record: the chart says the same as the report, condensed or not; trends; printing."""

import asyncio
import math
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from app_tools import until
from hypothesis import given
from hypothesis import strategies as st
from page_house import Room, first_person, open_page, page_site

from gateway.errors import OperatorError
from gateway.language import language
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.report.collect import Collector
from gateway.report.period import Period, zone_of
from gateway.site import PointSpec
from gateway.viewing.printing import Printer
from gateway.viewing.strips import Strip, gaps_of
from gateway.viewing.trends import STEP_MS, STEPS, Ring, Trends
from gateway.web.desk import GAP, NOTHING, VALUE
from gateway.web.sparkline import sparkline

LAYOUT = Layout((DeviceLayout("d", "b", "m", "00" * 8, 10_000, 500, (Column("air", "degC", 1),)),))
CLOCK = ClockClaim(bytes(16), 0, 1_795_000_000_000, 10, ClockState.TRUSTED)
SLOTS = st.lists(
    st.one_of(
        st.floats(-30, 30).map(lambda value: round(value, 1)),
        st.sampled_from([Quality.SENSOR_FAULT, Quality.OUT_OF_RANGE]),
        st.just(Quality.TIMEOUT),
        st.none(),
    ),
    min_size=1,
    max_size=80,
)
"""A value, an answer without one, a miss, or nothing on record, for slot after slot."""


def records(slots: Sequence[Any]) -> list[Scan | Miss]:
    found: list[Scan | Miss] = []
    for slot, what in enumerate(slots):
        if what is None:
            continue
        if what is Quality.TIMEOUT:
            found.append(Miss(0, slot, 1, int(what)))
        elif isinstance(what, Quality):
            found.append(Scan(0, slot, slot * 10_000 + 600, array("d", [math.nan]), bytes([what])))
        else:
            found.append(Scan(0, slot, slot * 10_000 + 600, array("d", [what]), b"\0"))
    return found


@given(SLOTS)
def test_the_chart_has_the_gaps_and_the_extremes_of_the_report(slots: list[Any]) -> None:
    assert CLOCK.utc_ms is not None
    start, end = CLOCK.utc_ms, CLOCK.utc_ms + len(slots) * 10_000 + 500
    collector = Collector("d", "air", Period("stretch", start, end, end, zone_of("UTC")))
    strip = Strip("d", "air")
    some = records(slots)
    for part in (some[: len(some) // 2], some[len(some) // 2 :]):
        collector.add(CLOCK, LAYOUT, part, None)
        strip.add(CLOCK, LAYOUT, part)
    report = collector.finish(None, (10_000, 500))
    shown = gaps_of(strip.runs, start, end, untimed=False)
    if some:
        assert [(gap.start_ms, gap.end_ms) for gap in shown] == [(gap.start_ms, gap.end_ms) for gap in report.gaps]
    values = [value for value in report.values if not math.isnan(value)]
    assert (min(strip.values, default=None), max(strip.values, default=None)) == (
        min(values, default=None),
        max(values, default=None),
    )
    assert list(strip.times) == sorted(strip.times)
    for minute in {at // 60_000 for at in strip.times}:
        assert sum(at // 60_000 == minute for at in strip.times) <= 4, "two of each batch at the most"


class TestTrends:
    def test_values_gaps_and_what_is_not_known(self) -> None:
        ring = Ring()
        ring.value(100, 3.0, 3.0)
        ring.value(100, 2.0, 5.0)
        ring.missing(101, 102)
        ring.value(102, 4.0, 4.0)
        trend = ring.trend(103 * STEP_MS)
        assert list(trend.marks[-4:]) == [VALUE, GAP, VALUE, NOTHING]
        assert (trend.low[-4], trend.high[-4]) == (2.0, 5.0)
        assert set(trend.marks[:-4]) == {NOTHING}

    def test_what_is_older_than_the_ring_falls_out_and_stays_out(self) -> None:
        ring = Ring()
        ring.value(5, 1.0, 1.0)
        ring.value(5 + STEPS, 2.0, 2.0)
        ring.value(5, 9.0, 9.0)
        trend = ring.trend((5 + STEPS) * STEP_MS)
        assert trend.marks.count(VALUE) == 1
        assert trend.low[-1] == 2.0

    def test_the_past_is_merged_into_what_came_meanwhile(self) -> None:
        points = [PointSpec(id="p", name="P", device="d", channel="air")]
        now, before = Trends(points, LAYOUT), Trends(points, LAYOUT)
        for record in records([1.0, 2.0, Quality.TIMEOUT]):
            now.take(record, points, LAYOUT)
        before.add(CLOCK._replace(boot_ms=0), LAYOUT, records([7.0]), CLOCK)
        now.merge(before)
        trend = now.rings["p"].trend(0)
        assert (trend.low[-1], trend.high[-1], trend.marks[-1]) == (1.0, 7.0, VALUE)

    def test_the_picture_has_words_and_shows_no_gap_as_a_value(self) -> None:
        ring = Ring()
        ring.value(1, 3.0, 4.0)
        ring.missing(2, 3)
        ring.value(4, 3.5, 3.5)
        picture = sparkline(ring.trend(4 * STEP_MS), 1, "°C", language("fr"))
        assert picture.count("M") == 2
        assert picture.count("<rect") == 1
        assert "minimum 3,0\N{NO-BREAK SPACE}°C" in picture
        assert sparkline(Ring().trend(0), 1, "°C", language("en")) == ""


FILE = """
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "."

[[bus]]
id = "up"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}

[[device]]
id = "a"
bus = "up"
model = "generic-registers-20"
unit = 1
period_s = 0.1

[[point]]
id = "room"
name = "Cold room"
channel = "a.r0"
"""


async def test_a_report_is_made_by_a_process_of_its_own_and_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    async with Room(20) as room:
        file.write_text(FILE.format(port=room.port))
        site = page_site(tmp_path, room, source=str(file))
        async with open_page(site) as (_, address), first_person(site, address) as ana:
            assert (await ana.get("/reports/1")).status_code == 404
            assert (await ana.get("/reports/..%2fjournal.db")).status_code == 404
            asked = await ana.fill("/reports", "/reports/make", kind="calibration", format="html")
            assert "Calibration register" in asked.text
            async with asyncio.timeout(50):
                while "/reports/1" not in (page := (await ana.get("/reports")).text):
                    assert "could not be made" not in page, page
                    await asyncio.sleep(0.1)
            taken = await ana.get("/reports/1")
            assert taken.headers["content-disposition"].startswith("attachment")
            assert "Calibration register" in taken.text
            assert (tmp_path / "printed" / "1.html").exists()


async def test_a_report_that_makes_no_sense_is_refused_and_one_that_fails_says_why(tmp_path: Path) -> None:
    async with Room(20) as room:
        printer = Printer(page_site(tmp_path, room, source=str(tmp_path / "nowhere.toml")))
        for wrong in (
            {"kind": "week"},
            {"kind": "day", "point": "room"},
            {"kind": "day", "point": "x", "date": "1"},
        ):
            with pytest.raises(OperatorError):
                await printer.make(wrong)
        await printer.make({"kind": "lot", "lot": "--key=/etc/passwd", "person": "Ana"})
        await until(lambda: printer.plain()[0]["state"] not in {"waiting", "under way"}, 50)
        (made,) = printer.plain()
        assert made["state"] == "failed"
        assert "nowhere.toml" in made["problem"]
        assert printer.path(made["report"]) is None
        printer.close()
