"""What stands around the trace: axes over changes of the clocks, limits, gaps, alarms, words; and hostile text."""

from datetime import date
from itertools import pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from chart_tools import DAY_MS, HOUR_MS, PARIS, START_MS, chart, series

from gateway.chart import Gap, Instant, Limit, Span, css, draw, svg
from gateway.chart.axes import clock_changes, day_start, time_ticks, value_ticks
from gateway.chart.drawing import Box, Drawing, Line, Words
from gateway.chart.style import STYLES
from gateway.language import LANGUAGES, language, local_time

EN = language("en")


def texts(drawing: Drawing) -> list[str]:
    return [item.text for item in drawing.items if isinstance(item, Words)]


class TestTime:
    @pytest.mark.parametrize(
        ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)]
    )
    def test_a_local_day_has_its_hours(self, day: date, hours: int) -> None:
        following = date.fromordinal(day.toordinal() + 1)
        start, end = day_start(day, PARIS), day_start(following, PARIS)
        assert end - start == hours * HOUR_MS
        changes = list(clock_changes(start, end, PARIS))
        assert len(changes) == (hours != 24)
        ticks, days = time_ticks(start, end, 1500, PARIS, EN)
        spacing = {after.at - before.at for before, after in pairwise(ticks)}
        assert spacing == {HOUR_MS}, "marks stand where the hours are, not where 24 of them would be"
        labels = [tick.label for tick in ticks]
        assert labels.count("02:00") == {23: 0, 24: 1, 25: 2}[hours]
        assert [tick.at for tick in days] == [start]

    def test_the_change_is_written_at_its_place(self) -> None:
        start, end = day_start(date(2026, 10, 25), PARIS), day_start(date(2026, 10, 26), PARIS)
        drawing = draw(chart(series([4.0], start_ms=start), start_ms=start, end_ms=end), EN)
        assert "\N{RIGHTWARDS ARROW} UTC+01:00" in texts(drawing)
        assert "local time, Europe/Paris" in texts(drawing)
        plain = draw(chart(series([4.0])), EN)
        assert "local time, Europe/Paris (UTC+01:00)" in texts(plain)

    def test_a_midnight_that_does_not_exist(self) -> None:
        zone = ZoneInfo("Africa/Cairo")
        start = day_start(date(2026, 4, 24), zone)
        assert local_time(start, zone).hour == 1
        assert local_time(start - 1, zone).date() == date(2026, 4, 23)

    @pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "UTC"])
    @pytest.mark.parametrize("days", [1, 3, 7, 30, 366])
    def test_marks_are_whole_local_times(self, zone: str, days: int) -> None:
        place = ZoneInfo(zone)
        ticks, below = time_ticks(START_MS, START_MS + days * DAY_MS, 660, place, EN)
        assert 3 <= len(ticks) <= 60
        assert below
        for tick in ticks:
            local = local_time(int(tick.at), place)
            assert local.minute % 15 == 0
            assert local.second == 0

    def test_a_stretch_that_is_none_is_refused(self) -> None:
        with pytest.raises(ValueError, match="cannot be drawn"):
            draw(chart(series([4.0]), end_ms=START_MS), EN)


class TestValues:
    @pytest.mark.parametrize(
        ("low", "high"),
        [(0.0, 0.0), (4.0, 4.1), (-25.3, -18.0), (63.0, 95.2), (1e-9, 2e-9), (-1e6, 1e6), (7.0, 7.0)],
    )
    def test_the_axis_holds_what_it_is_for(self, low: float, high: float) -> None:
        bottom, top, ticks = value_ticks(low, high, 250, 1)
        assert bottom <= low <= high <= top
        assert bottom < top
        assert 2 <= len(ticks) <= 12

    def test_no_data_has_no_invented_figures(self) -> None:
        drawing = draw(
            chart(series([None] * 10), gaps=(Gap(START_MS, START_MS + DAY_MS, "gateway was not running"),)), EN
        )
        assert "No values in this period." in drawing.description
        assert "no data: gateway was not running" in texts(drawing)
        assert not any(text in {"0", "1", "0.5"} for text in texts(drawing))


class TestMarks:
    def test_limits_have_zones_lines_and_words(self) -> None:
        limits = (
            Limit(8.0, "high", True, "critical limit 8.0 °C"),
            Limit(6.0, "high", False, "alert limit 6.0 °C"),
        )
        drawing = draw(chart(series([4.0] * 60), limits=limits), EN)
        zones = {
            item.style: item for item in drawing.items if isinstance(item, Box) and item.style.endswith("-zone")
        }
        assert zones.keys() == {"alert-zone", "critical-zone"}
        assert zones["critical-zone"].y + zones["critical-zone"].height == pytest.approx(zones["alert-zone"].y)
        lines = {item.style for item in drawing.items if isinstance(item, Line)}
        assert {"critical-limit", "alert-limit"} <= lines
        assert {"critical limit 8.0 °C", "alert limit 6.0 °C"} <= set(texts(drawing))

    def test_a_limit_that_changed_is_a_step(self) -> None:
        noon = START_MS + DAY_MS // 2
        limits = (Limit(8.0, "high", True, "a", None, noon), Limit(5.0, "high", True, "b", noon, None))
        drawing = draw(chart(series([4.0] * 60), limits=limits), EN)
        first, second = [
            item for item in drawing.items if isinstance(item, Line) and item.style == "critical-limit"
        ]
        assert first.x2 == second.x1
        assert first.y1 < second.y1

    def test_short_gaps_are_seen_and_told(self) -> None:
        gap = Gap(START_MS + HOUR_MS, START_MS + HOUR_MS + 10_000, "device did not answer in time")
        drawing = draw(chart(series([4.0] * 1440), gaps=(gap,)), EN)
        inside = [item for item in drawing.items if isinstance(item, Box) and item.style == "gap" and item.detail]
        assert [box.width for box in inside] == [1.0]
        assert "device did not answer in time" in svg(drawing)
        assert "1 gap without data, 10\N{NO-BREAK SPACE}s long." in drawing.description

    def test_alarms_that_have_no_room_share_a_tag(self) -> None:
        spans = tuple(
            Span(START_MS + i * 60_000, START_MS + i * 60_000 + 30_000, "critical", str(i + 1), "alarm")
            for i in range(9)
        )
        drawing = draw(chart(series([4.0] * 60), spans=spans), EN)
        assert "1\N{EN DASH}9" in texts(drawing)
        assert sum(item.style == "critical" for item in drawing.items) == 9
        assert "9 alarms." in drawing.description

    def test_what_has_not_ended_reaches_the_edge(self) -> None:
        drawing = draw(
            chart(series([4.0] * 60), spans=(Span(START_MS + HOUR_MS, None, "alert", "1", "alarm"),)), EN
        )
        tint = next(item for item in drawing.items if item.style == "alert")
        assert isinstance(tint, Box)
        assert tint.x + tint.width == pytest.approx(float(drawing.facts["right"]), abs=0.1)

    def test_every_style_in_use_exists_and_no_text_leaves_the_picture(self) -> None:
        spans = (
            Span(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, "bar", "D", "defrost"),
            Span(START_MS + 23 * HOUR_MS, None, "other", "12", "alarm"),
        )
        instants = (
            Instant(START_MS + 5 * HOUR_MS, "P", "power-up"),
            Instant(START_MS + DAY_MS + 1, "X", "outside"),
        )
        for width in (320, 360, 720):
            for tag in LANGUAGES:
                drawing = draw(
                    chart(series([4.0, None, 5.0] * 400), spans=spans, instants=instants),
                    language(tag),
                    width=width,
                )
                assert {item.style for item in drawing.items} <= STYLES.keys()
                assert "X" not in texts(drawing)
                for item in drawing.items:
                    if isinstance(item, Words):
                        assert 0 <= item.x <= width
                        assert 0 <= item.y <= drawing.height


class TestBorder:
    HOSTILE = "</title><script>alert(1)</script>\"'&\x00\x1b[31m\u202e]]><!--"

    def test_hostile_text_stays_text(self) -> None:
        text = self.HOSTILE
        drawing = draw(
            chart(
                series([4.0, None] * 30),
                title=text,
                unit=text,
                gaps=(Gap(START_MS, START_MS + HOUR_MS, text),),
                limits=(Limit(8.0, "high", True, text),),
                spans=(Span(START_MS, START_MS + 1, "bar", text, text, text),),
                instants=(Instant(START_MS, text, text, text),),
            ),
            EN,
        )
        for alone in (False, True):
            tree = ElementTree.fromstring(svg(drawing, alone=alone))
            names = {element.tag.rpartition("}")[2] for element in tree.iter()}
            assert names <= {"svg", "title", "desc", "defs", "pattern", "path", "rect", "g", "text", "style"}
            title = next(element for element in tree.iter() if element.tag.endswith("title"))
            assert title.text == text.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace(
                "\u202e", "\ufffd"
            )

    def test_pictures_on_one_page_do_not_share_ids(self) -> None:
        drawing = draw(chart(series([4.0, None] * 30), gaps=(Gap(START_MS, START_MS + HOUR_MS, "timeout"),)), EN)
        one, other = svg(drawing, name="a"), svg(drawing, name="b")
        ids = [{element.get("id") for element in ElementTree.fromstring(x).iter()} - {None} for x in (one, other)]
        assert ids[0]
        assert not ids[0] & ids[1]

    def test_no_style_or_script_inside_a_page(self) -> None:
        text = svg(draw(chart(series([4.0] * 60)), EN))
        assert "<style" not in text
        assert "style=" not in text
        assert "script" not in text
        assert "http" not in text

    def test_the_style_sheet_has_a_dark_and_a_printed_form(self) -> None:
        sheet = css()
        assert "prefers-color-scheme:dark" in sheet
        assert sheet.count("{") == sheet.count("}")
        for name in STYLES:
            assert f".ac-{name}{{" in sheet
