"""Slots counted: over restarts, boots, changes of the clocks, days without data, values without a time."""

from array import array
from datetime import date
from itertools import pairwise
from math import isnan, nan
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_site import DAY_MS, HOUR_MS, PARIS, Clock, Pen, Plant, make_layout, utc, wave

from gateway.chart.axes import day_start
from gateway.errors import AuroraError
from gateway.model import ClockClaim, ClockState, Miss, Quality, Scan
from gateway.report.collect import Collector
from gateway.report.figures import LimitLine, beyond, figures, time_beyond
from gateway.report.period import Period, day_period, month_period, zone_of
from gateway.report.samples import ABSENT, OFF, UNTIMED, Samples

LAYOUT = make_layout(60_000, 500)
PERIOD_MS = 60_000
LATER = utc("2027-01-01T00:00+00:00")
CLAIM = ClockClaim(bytes(16), 0, utc("2026-11-23T00:00+01:00"), 20, ClockState.TRUSTED)


def day(text: str = "2026-11-24") -> Period:
    return day_period(text, PARIS, LATER)


def scan(slot: int, value: float = 4.0, quality: int = 0) -> Scan:
    number = nan if quality >= 0x80 else value
    return Scan(0, slot, slot * PERIOD_MS + 620, array("d", [number, number, 50.0]), bytes([quality, quality, 0]))


def collect(period: Period, *batches: tuple[ClockClaim, list[Scan | Miss]], **more: int) -> Samples:
    collector = Collector("room-probe", "temperature", period)
    for number, (claim, records) in enumerate(batches, 1):
        collector.add(claim, LAYOUT, records, (number, bytes([number % 256]) * 32))
    return collector.finish(**more)


class TestCounting:
    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(["scan", "bad", "miss", "hole"]), st.integers(1, 70)), max_size=30))
    def test_every_slot_of_a_day_is_counted_once(self, parts: list[tuple[str, int]]) -> None:
        """Whatever was recorded of it, the day has its 1440 slots (none where nothing says how it was polled)."""
        slot, records, expected = 1440, list[Scan | Miss](), {"scan": 0, "bad": 0, "miss": 0}
        for kind, count in parts:
            inside = max(0, min(slot + count, 2880) - slot)
            if kind == "miss":
                records.append(Miss(0, slot, count, Quality.TIMEOUT))
            elif kind != "hole":
                records += [scan(n, quality=0x85 if kind == "bad" else 0) for n in range(slot, slot + count)]
            if kind != "hole":
                expected[kind] += inside
            slot += count
        samples = collect(day(), (CLAIM, records))
        found = figures(samples, samples.period.start_ms, samples.period.end_ms)
        assert found.scheduled == (1440 if records else 0)
        assert (found.good, found.bad) == (expected["scan"], expected["bad"])
        assert found.missed.get("timeout", 0) == expected["miss"]
        assert sum(gap.slots for gap in samples.gaps) == found.scheduled - found.good
        for before, after in pairwise(samples.gaps):
            assert before.end_ms <= after.start_ms, "gaps are apart, and in order"

    def test_a_slot_belongs_to_the_day_in_which_it_was_due(self) -> None:
        """The last one of the day before is answered after midnight: no sample of this day, and no gap in it."""
        late = Scan(0, 1439, 1440 * PERIOD_MS + 5, array("d", [9.0, 9.0, 50.0]), bytes(3))
        samples = collect(day(), (CLAIM, [late, *map(scan, range(1440, 2881))]))
        assert len(samples.due) == 1440
        assert samples.missed == {}
        assert max(samples.values) == 4.0

    def test_two_boots_lose_what_fits_between_them(self) -> None:
        other = ClockClaim(bytes([1]) * 16, 0, utc("2026-11-24T12:07+01:00"), 20, ClockState.TRUSTED)
        before = [scan(n) for n in range(1440, 2160)]
        after = [scan(n) for n in range(3, 800)]
        samples = collect(day(), (CLAIM, before), (other, after))
        assert samples.missed == {OFF: 10}
        assert samples.scheduled == 1440
        ((start, end, slots, _),) = samples.gaps
        assert (slots, end - start) == (10, 10 * PERIOD_MS)

    def test_a_restart_without_loss_loses_nothing(self) -> None:
        other = ClockClaim(bytes([1]) * 16, 0, utc("2026-11-24T11:59:50+01:00"), 20, ClockState.TRUSTED)
        samples = collect(
            day(), (CLAIM, [scan(n) for n in range(1440, 2160)]), (other, [scan(n) for n in range(0, 900)])
        )
        assert samples.missed == {}

    def test_batches_that_are_not_here_leave_a_hole_of_exact_size(self) -> None:
        samples = collect(
            day(), (CLAIM, [scan(n) for n in range(1440, 1500)]), (CLAIM, [scan(n) for n in range(1600, 2880)])
        )
        assert samples.missed == {ABSENT: 100}

    def test_a_change_of_period_within_the_day(self) -> None:
        faster = make_layout(30_000, 500)
        collector = Collector("room-probe", "temperature", day())
        collector.add(CLAIM, LAYOUT, [scan(n) for n in range(1440, 2160)], (1, bytes(32)))
        quick = [Scan(0, n, n * 30_000 + 620, array("d", [6.0, 6.0, 50.0]), bytes(3)) for n in range(4320, 5760)]
        collector.add(CLAIM, faster, quick, (2, bytes(32)))
        samples = collector.finish()
        found = figures(samples, samples.period.start_ms, samples.period.end_ms)
        assert found.scheduled == 720 + 1440
        assert found.mean == pytest.approx(5.0), "half of the day each, whatever the number of samples"
        assert samples.grids == [(60_000, 500), (30_000, 500)]

    def test_the_clock_of_a_boot_drifts_between_two_batches(self) -> None:
        """A few milliseconds at midnight make no slot appear or disappear."""
        moved = CLAIM._replace(utc_ms=(CLAIM.utc_ms or 0) - 501)
        samples = collect(
            day(), (CLAIM, [scan(n) for n in range(1300, 1440)]), (moved, [scan(n) for n in range(1440, 3000)])
        )
        assert samples.missed == {}

    def test_a_day_without_any_record(self) -> None:
        collector = Collector("room-probe", "temperature", day())
        samples = collector.finish(grid=(60_000, 500))
        found = figures(samples, samples.period.start_ms, samples.period.end_ms)
        assert (found.scheduled, found.covered, found.mean, found.low) == (1440, 0, None, None)
        assert [gap.slots for gap in samples.gaps] == [1440]

    def test_a_sensor_set_up_at_noon_counts_from_noon(self) -> None:
        noon = utc("2026-11-24T12:00+01:00")
        samples = collect(day(), (CLAIM, [scan(n) for n in range(2170, 2880)]), known_from_ms=noon)
        assert samples.missed == {ABSENT: 10}
        assert samples.scheduled == 720
        assert samples.scheduled_from_ms == noon

    def test_a_day_that_is_not_over_ends_where_it_is_known(self) -> None:
        now = utc("2026-11-24T06:00+01:00")
        samples = collect(day_period("2026-11-24", PARIS, now), (CLAIM, [scan(n) for n in range(1440, 1790)]))
        assert samples.missed == {ABSENT: 10}
        assert samples.scheduled == 360

    def test_other_devices_and_channels_are_none_of_it(self) -> None:
        collector = Collector("freezer-probe", "temperature", day())
        collector.add(CLAIM, LAYOUT, [scan(1500)], (1, bytes(32)))
        assert collector.finish().scheduled == 0


class TestUnknownTime:
    DARK = ClockClaim(bytes([7]) * 16, 0, None, None, ClockState.UNTRUSTED)

    def test_values_without_a_time_are_said_to_be_there(self) -> None:
        other = ClockClaim(bytes([1]) * 16, 0, utc("2026-11-24T12:00+01:00"), 20, ClockState.TRUSTED)
        samples = collect(
            day(),
            (CLAIM, [scan(n) for n in range(1440, 2000)]),
            (self.DARK, [scan(n) for n in range(30)]),
            (other, [scan(n) for n in range(0, 900)]),
        )
        (lost,) = samples.unplaced
        assert (lost.samples, lost.boot) == (30, bytes([7]) * 16)
        assert lost.after_ms == utc("2026-11-24T09:19+01:00") + 500
        assert lost.before_ms == utc("2026-11-24T12:00+01:00") + 500
        assert samples.missed == {UNTIMED: 160}
        assert samples.scheduled == 1440

    def test_those_of_another_day_are_not(self) -> None:
        after = ClockClaim(bytes([1]) * 16, 0, utc("2026-11-24T00:00+01:00"), 20, ClockState.TRUSTED)
        samples = collect(
            day(),
            (CLAIM, [scan(n) for n in range(1000, 1200)]),
            (self.DARK, [scan(n) for n in range(30)]),
            (after._replace(boot=bytes([2]) * 16, utc_ms=(after.utc_ms or 0) - HOUR_MS), [scan(0)]),
            (after, [scan(n) for n in range(0, 1440)]),
        )
        assert samples.unplaced == []

    def test_a_time_that_was_corrected_later_counts(self, plant: Plant) -> None:
        zero = utc("2026-11-24T00:00+01:00")
        clock = Clock(bytes([3]) * 16, zero, known=False)

        def dark(pen: Pen) -> None:
            pen.scans(zero + HOUR_MS, zero + 3 * HOUR_MS, lambda _: 4.0, Quality.CLOCK_UNTRUSTED)
            pen.event("clock.correction", zero + 3 * HOUR_MS, boot=clock.boot, offset_ms=zero, error_ms=700)

        plant.write(clock, dark)
        record = plant.record(day())
        assert record.samples.unplaced == []
        assert record.samples.clock == {"corrected": 120}
        assert record.samples.error_ms == 700
        assert record.figures.uncertain == 120

    def test_a_boot_that_never_knew_the_time(self, plant: Plant) -> None:
        zero = utc("2026-11-24T00:00+01:00")
        plant.write(Clock(bytes([3]) * 16, zero), lambda pen: pen.scans(zero, zero + HOUR_MS, lambda _: 4.0))
        dark = Clock(bytes([4]) * 16, zero + HOUR_MS, known=False)
        plant.write(dark, lambda pen: pen.scans(zero + 2 * HOUR_MS, zero + 3 * HOUR_MS, lambda _: 4.0, 0x43))
        plant.write(
            Clock(bytes([5]) * 16, zero + 4 * HOUR_MS),
            lambda pen: pen.scans(zero + 5 * HOUR_MS, zero + DAY_MS, lambda _: 4.0),
        )
        record = plant.record(day())
        (lost,) = record.samples.unplaced
        assert (lost.samples, lost.boot) == (60, bytes([4]) * 16)
        assert record.figures.scheduled == 1440
        assert record.figures.missed == {UNTIMED: 240}


class TestDays:
    @pytest.mark.parametrize(("text", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
    def test_a_day_has_the_samples_of_its_hours(self, plant: Plant, text: str, hours: int) -> None:
        start = day_start(date.fromisoformat(text), PARIS)
        end = start + hours * HOUR_MS
        plant.write(
            Clock(bytes(16), start - 5 * HOUR_MS), lambda pen: pen.scans(start - HOUR_MS, end + HOUR_MS, wave)
        )
        period = day_period(text, PARIS, LATER)
        assert (period.start_ms, period.end_ms) == (start, end)
        record = plant.record(period)
        assert record.figures.scheduled == record.figures.good == hours * 60
        assert record.samples.gaps == []

    def test_the_month_of_the_change_is_the_sum_of_its_days(self) -> None:
        period = month_period("2026-10", PARIS, LATER)
        days = period.days()
        assert len(days) == 31
        assert {end - start for _, start, end in days} == {24 * HOUR_MS, 25 * HOUR_MS}
        assert (days[0][1], days[-1][2]) == (period.start_ms, period.end_ms)
        assert all(before[2] == after[1] for before, after in pairwise(days))

    def test_a_day_of_faults_only(self, plant: Plant) -> None:
        start = utc("2026-11-24T00:00+01:00")
        plant.write(
            Clock(bytes(16), start - HOUR_MS),
            lambda pen: pen.scans(start, start + DAY_MS, wave, Quality.SENSOR_FAULT),
        )
        record = plant.record(day())
        assert (record.figures.scheduled, record.figures.bad, record.figures.covered) == (1440, 1440, 0)
        assert record.figures.mean is None
        ((_, _, slots, causes),) = record.samples.gaps
        assert (slots, causes) == (1440, {"sensor_fault": 1440})

    def test_a_day_on_which_the_gateway_was_off(self, plant: Plant) -> None:
        start = utc("2026-11-24T00:00+01:00")
        plant.write(
            Clock(bytes(16), start - 30 * DAY_MS),
            lambda pen: pen.scans(start - 9 * DAY_MS, start - 8 * DAY_MS, wave),
        )
        record = plant.record(day())
        assert (record.figures.scheduled, record.figures.covered) == (1440, 0)
        assert record.proof.result == "whole"
        before = plant.record(day("2026-10-01"))
        assert before.figures.scheduled == 0, "it was not there yet"

    @pytest.mark.parametrize("text", ["2026-13-01", "2026-11", "24.11.2026", "2026-11-31", "", "2026-11-24T00:00"])
    def test_a_day_that_is_none(self, text: str) -> None:
        with pytest.raises(AuroraError, match="write it as 2026-11-24"):
            day_period(text, PARIS)

    @pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-11-24", "november"])
    def test_a_month_that_is_none(self, text: str) -> None:
        with pytest.raises(AuroraError, match="write it as 2026-11"):
            month_period(text, PARIS)

    def test_a_day_to_come(self) -> None:
        with pytest.raises(AuroraError, match="has not begun"):
            day_period("2026-11-25", PARIS, utc("2026-11-24T12:00+01:00"))

    @pytest.mark.parametrize("name", ["Europe/Lutetia", "../../etc/passwd", "", "CET ", "/etc/localtime"])
    def test_a_zone_that_is_none(self, name: str) -> None:
        with pytest.raises(AuroraError, match="Europe/Paris"):
            zone_of(name)


class TestLimits:
    HIGH = LimitLine(rule="high-critical", side="high", tier="critical", value=7.0, unit="degC")

    def test_beyond_is_strict_and_holds_over_missing_values(self) -> None:
        values = [7.0, 7.1, nan, 7.2, 6.9, 8.0, 7.0]
        records: list[Scan | Miss] = [scan(1440 + n, v, 0x85 if isnan(v) else 0) for n, v in enumerate(values)]
        samples = collect(day(), (CLAIM, records))
        (past,) = beyond(samples, [self.HIGH], samples.period.start_ms, samples.period.end_ms)
        assert (past.samples, past.duration_ms, past.longest_ms, past.worst) == (
            3,
            3 * PERIOD_MS,
            2 * PERIOD_MS,
            8.0,
        )

    def test_time_beyond_several_limits_is_counted_once(self) -> None:
        records: list[Scan | Miss] = [scan(1440 + n, v) for n, v in enumerate([9.0, 9.0, -3.0, 4.0, 8.0])]
        samples = collect(day(), (CLAIM, records))
        limits = [
            self.HIGH,
            LimitLine(rule="high-tolerance", side="high", tier="critical", value=8.0, unit="degC"),
            LimitLine(rule="low-critical", side="low", tier="critical", value=0.0, unit="degC"),
        ]
        start, end = samples.period.start_ms, samples.period.end_ms
        assert time_beyond(samples, limits, start, end) == 4 * PERIOD_MS
        assert [past.samples for past in beyond(samples, limits, start, end)] == [3, 2, 1]

    def test_only_while_it_was_in_force(self) -> None:
        samples = collect(day(), (CLAIM, [scan(n, 8.0) for n in range(1440, 2880)]))
        noon = utc("2026-11-24T12:00+01:00")
        limit = LimitLine(rule="r", side="high", tier="critical", value=7.0, unit="degC", since_ms=noon)
        (past,) = beyond(samples, [limit], samples.period.start_ms, samples.period.end_ms)
        assert past.duration_ms == 12 * HOUR_MS
        low = LimitLine(rule="r", side="low", tier="critical", value=9.0, unit="degC", until_ms=noon)
        (past,) = beyond(samples, [low], samples.period.start_ms, samples.period.end_ms)
        assert (past.duration_ms, past.worst) == (12 * HOUR_MS, 8.0)


def test_periods_know_their_zone() -> None:
    for name in ("America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"):
        zone = ZoneInfo(name)
        period = month_period("2026-11", zone, LATER)
        assert len(period.days()) == 30
        assert period.complete
