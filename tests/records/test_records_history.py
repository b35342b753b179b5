"""A lot's temperature history: stretches, figures, gaps with their cause, coverage, limits that were passed."""

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records_tools import TOML, recording, site_of

from gateway.buffer.reader import Reader
from gateway.cli import main
from gateway.control import ask
from gateway.holdings import readings_of
from gateway.logbook.entry import Moment
from gateway.logbook.index import Index
from gateway.logbook.lots import Stretch
from gateway.model import Event, Quality
from gateway.recordkeeping.events import Recorded, recorded_events
from gateway.recordkeeping.lots import StretchHistory, lot_history
from gateway.records import Archive, Reading

SLOW_MACHINE = [HealthCheck.too_slow]
"""Other jobs on the machine are no fault of a test."""

BOOT, OTHER = b"b" * 16, b"o" * 16
START = 1_795_500_000_000
SITE = site_of(Path("/nowhere"), 1)
PERIOD = 100


def at(slot: float, *, boot: bytes = BOOT, utc: bool = True) -> Moment:
    return Moment(boot, round(slot * PERIOD), START + round(slot * PERIOD) if utc else None)


def value(slot: int, number: float, quality: Quality = Quality.GOOD, *, utc: bool = True, **other: Any) -> Reading:
    reading = Reading(
        START + slot * PERIOD + 7 if utc else None, 1, BOOT, slot * PERIOD + 7, slot, 1, "a", "temperature",
        "value", None if quality.bad else number, 1, "degC", quality, 0,
    )  # fmt: skip
    return reading._replace(**other)


def miss(slot: int, slots: int, quality: Quality = Quality.TIMEOUT) -> Reading:
    return Reading(
        START + slot * PERIOD, 1, BOOT, slot * PERIOD, slot, slots, "a", "", "", None, None, "", quality, 0
    )  # fmt: skip


def stretch(came: Moment, left: Moment | None, point: str = "room") -> Stretch:
    return Stretch("L1", point, came, left, None, None, ("R1-aa",))


def history(readings, came: Moment, left: Moment | None, events=(), now: Moment | None = None) -> StretchHistory:
    (found,) = lot_history([stretch(came, left)], readings, events, SITE, now)
    return found


class TestFigures:
    def test_only_what_was_measured_there_while_it_was_there(self) -> None:
        readings = [value(slot, slot / 10) for slot in range(100)]
        others = [
            value(20, 99.0, channel="humidity"),
            value(20, 99.0, role="indicated"),
            value(20, 99.0, device="b"),
        ]
        found = history([*others, *readings], at(10), at(20))
        assert (found.values, found.scheduled, found.coverage) == (10, 10, 100.0)
        assert (found.minimum, found.maximum, found.mean, found.unit) == (1.0, 1.9, pytest.approx(1.45), "degC")
        assert (found.minimum_ms, found.maximum_ms) == (START + 1000, START + 1900)
        assert found.gaps == []

    def test_uncertain_values_count_and_are_counted(self) -> None:
        readings = [value(0, 1.0), value(1, 2.0, Quality.UNCALIBRATED), value(2, 0.0, Quality.SENSOR_FAULT)]
        found = history(readings, at(0), at(3))
        assert (found.values, found.uncertain, found.scheduled) == (2, 1, 3)
        assert found.coverage == pytest.approx(200 / 3)
        assert [(gap.cause, gap.slots) for gap in found.gaps] == [("sensor_fault", 1)]

    def test_a_stretch_without_any_sample_has_no_figures(self) -> None:
        found = history([], at(5), at(5))
        assert (found.minimum, found.mean, found.coverage, found.scheduled) == (None, None, None, 0)
        assert found.plain()["coverage_percent"] is None

    def test_a_stretch_that_lasts(self) -> None:
        readings = [value(slot, 1.0) for slot in range(20)]
        assert history(readings, at(10), None).scheduled == 10, "until the last reading"
        assert history(readings, at(10), None, now=at(30)).scheduled == 20, "until now"

    def test_a_point_that_the_site_no_longer_has(self) -> None:
        assert lot_history([stretch(at(0), None, "attic")], [], [], SITE) == []


class TestGaps:
    def test_a_missed_run_is_cut_at_the_ends_of_the_stretch(self) -> None:
        found = history([miss(0, 100, Quality.GATEWAY_DOWN)], at(10), at(30))
        assert [(gap.from_ms, gap.slots, gap.cause) for gap in found.gaps] == [(START + 1000, 20, "gateway_down")]
        assert (found.scheduled, found.coverage) == (20, 0.0)
        assert found.gaps[0].words == "gateway was not running"

    def test_what_is_not_on_record_is_a_gap_too(self) -> None:
        readings = [value(slot, 1.0) for slot in range(100) if slot < 3 or 50 <= slot < 60]
        found = history(readings, at(0), at(100))
        assert [(gap.cause, gap.slots) for gap in found.gaps] == [("not on record", 47), ("not on record", 40)]
        assert (found.values, found.scheduled) == (13, 100)

    def test_neighbours_of_one_cause_are_one_gap(self) -> None:
        readings = [miss(0, 2), miss(2, 3), value(5, 1.0), miss(6, 1), value(7, 0.0, Quality.BAD_FRAME)]
        found = history(readings, at(0), at(8))
        assert [(gap.cause, gap.slots) for gap in found.gaps] == [("timeout", 5), ("timeout", 1), ("bad_frame", 1)]

    @settings(deadline=None, suppress_health_check=SLOW_MACHINE)
    @given(
        st.lists(st.tuples(st.sampled_from(["value", "miss", "hole"]), st.integers(1, 5)), max_size=20),
        st.integers(0, 40), st.integers(0, 40), st.randoms(use_true_random=False),
    )  # fmt: skip
    def test_values_and_gaps_are_all_that_was_scheduled(self, runs, begin: int, length: int, source) -> None:
        readings: list[Reading] = []
        usable: set[int] = set()
        slot = 0
        for kind, count in runs:
            if kind == "value":
                readings += [value(slot + number, 1.0) for number in range(count)]
                usable |= set(range(slot, slot + count))
            elif kind == "miss":
                readings.append(miss(slot, count))
            slot += count
        source.shuffle(readings)
        found = history(readings, at(begin), at(begin + length))
        assert found.values == len(usable & set(range(begin, begin + length)))
        assert found.scheduled == length
        assert found.values + sum(gap.slots for gap in found.gaps) == found.scheduled


class TestAnotherSchedule:
    def test_slots_of_another_period_are_placed_by_their_answers(self) -> None:
        """The site file's period was changed: slot numbers of before say nothing on today's grid."""
        readings = [value(slot, 1.0)._replace(slot=slot * 50) for slot in range(20)]
        found = history(readings, at(5), at(15))
        assert (found.values, found.coverage) == (10, 100.0)


class TestTime:
    def test_readings_without_a_time_are_counted_and_not_placed(self) -> None:
        readings = [value(0, 1.0), value(1, 99.0, utc=False), value(2, 99.0, boot=OTHER, utc_ms=None)]
        found = history(readings, at(0), at(3))
        assert (found.values, found.unplaced, found.maximum) == (1, 2, 1.0)

    def test_without_a_clock_the_boot_s_own_line_serves(self) -> None:
        readings = [value(slot, 1.0, utc=False) for slot in range(10)] + [value(3, 99.0, boot=OTHER, utc_ms=None)]
        found = history(readings, at(2, utc=False), at(6, utc=False))
        assert (found.values, found.scheduled, found.unplaced, found.utc) == (4, 4, 1, False)


def alarm(kind: str, slot: float, **other: Any) -> Recorded:
    data = {
        "alarm": "room/high", "tier": "critical", "rule": "high", "point": "room", "value": 9.0, "limit": 7.0,
        "unit": "degC", "words": "too warm", "since_ms": round(slot * PERIOD) - 300, **other,
    }  # fmt: skip
    moment = at(slot)
    return Recorded(Event(f"alarm.{kind}", moment.boot_ms, data), BOOT, moment.utc_ms, 0)


class TestViolations:
    @pytest.mark.parametrize(
        ("raised", "returned", "seen"),
        [
            (12, 14, True),
            (5, 12, True),
            (18, 40, True),
            (5, None, True),
            (2, 9, False),
            (24, 30, False),
            (22, 30, True),
        ],
    )
    def test_those_that_overlap_the_stretch(self, raised: float, returned: float | None, seen: bool) -> None:
        events = [alarm("raised", raised)] + ([] if returned is None else [alarm("returned", returned)])
        found = history([], at(10), at(20), events)
        assert bool(found.violations) is seen, "an excursion began 3 slots before its alarm"
        if seen:
            (violation,) = found.violations
            assert (violation.value, violation.limit, violation.certain) == (9.0, 7.0, True)
            assert violation.since_ms == START + raised * PERIOD - 300

    @pytest.mark.parametrize("other", [{"tier": "maintenance"}, {"point": "dock"}, {"point": None}])
    def test_others_are_none(self, other: dict[str, Any]) -> None:
        assert history([], at(10), at(20), [alarm("raised", 12, **other)]).violations == []

    def test_of_an_unknown_time_it_is_said_that_it_is_not_certain(self) -> None:
        event = Recorded(alarm("raised", 12).event, OTHER, None, 0)
        (violation,) = history([], at(10), at(20), [event]).violations
        assert (violation.certain, violation.raised_ms) == (False, None)

    def test_a_later_correction_gives_the_time(self) -> None:
        events = [
            Recorded(alarm("raised", 12).event, OTHER, None, 0),
            Recorded(Event("clock.correction", 1, {"boot": OTHER, "offset_ms": START}), OTHER, None, 0),
        ]
        (violation,) = history([], at(10), at(20), events).violations
        assert violation.certain is True


async def test_from_the_record_of_a_real_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lot comes and goes while a gateway polls a device that does not answer: all is a gap, and accounted for."""
    site = site_of(tmp_path, 1)
    lot = {"do": "record.lot", "person": "A", "point": "room", "lot": "L1"}
    async with recording(site) as desk:
        await asyncio.to_thread(ask, tmp_path, {**lot, "direction": "in"}, timeout_s=20.0)
        begin = desk.clock.now_ms()
        while desk.clock.now_ms() - begin < 600:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(ask, tmp_path, {**lot, "direction": "out"}, timeout_s=20.0)
        await asyncio.sleep(0.2)  # the last slot before is recorded within a period
    with closing(Reader(tmp_path / "journal.db")) as journal:
        events, archive, index = list(recorded_events(journal)), Archive(), Index()
        list(archive.add_events(batch.body for batch in journal.batches("event", 0, 1000) if batch.body))
        for recorded in events:
            index.take(recorded.event, recorded.boot, recorded.utc_ms)
        (found,) = lot_history(index.stretches("L1"), readings_of(archive, journal), events, site)
    (tmp_path / "site.toml").write_text(TOML.format(port=1))
    assert await asyncio.to_thread(main, ["record", str(tmp_path / "site.toml"), "history", "L1"]) == 0
    assert json.loads(capsys.readouterr().out) == [found.plain()], "from sealed batches, as a command"
    assert found.coverage == 0.0
    assert 5 <= found.scheduled <= 12
    assert {gap.cause for gap in found.gaps} == {"bus_down"}
