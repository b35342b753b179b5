"""Batteries and signals: told before they fail, with the days left where those can be known."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.assess.trend import DAY_MS, Trend
from gateway.assess.wear import BATTERY_LOW, OF_VALUES, WEAK_DBM, Wear, worn
from gateway.model import Column, Condition, DeviceLayout

HOUR = 3_600_000
BATTERY, SIGNAL = Column("battery", "%", 0), Column("rssi", "dBm", 0)


def trend_of(values: "list[float] | array[float]", step_ms: int = 6 * HOUR, least: float = 2.0) -> Trend:
    trend = Trend(least)
    for number, value in enumerate(values):
        trend.add(value, number * step_ms)
    return trend


def wear_of(column: Column, values: list[float], step_ms: int = HOUR) -> tuple[Wear, list[Condition]]:
    wear = Wear("probe", 0, column)
    told = [found for n, value in enumerate(values) if (found := wear.value(value, n * step_ms)) is not None]
    return wear, told


class TestForecast:
    def test_a_steady_fall(self) -> None:
        found = trend_of([80 - n / 4 for n in range(40)]).forecast(0.0)
        assert found is not None
        assert found.days == pytest.approx(70, abs=2)
        assert found.soonest <= found.days <= found.latest

    def test_wild_points_do_not_move_it(self) -> None:
        values = [80 - n / 4 for n in range(40)]
        for wild in (5, 17, 18, 30, 39):
            values[wild] = 3.0
        found = trend_of(values).forecast(0.0)
        assert found is not None
        assert found.days == pytest.approx(70, rel=0.15)

    @pytest.mark.parametrize(
        "values",
        [
            [80.0] * 40,  # it does not fall
            [80 + n / 4 for n in range(40)],  # it rises
            [80 - n / 4 for n in range(8)],  # a day is not enough
            [81.0] * 20 + [80.0] * 20,  # one step of the sensor is no fall
            [80.0 if n % 2 else 20.0 for n in range(40)],  # nothing is to be seen in it
            [80 - n / 100_000 for n in range(40)],  # years away
        ],
    )
    def test_what_cannot_be_known_is_not_said(self, values: list[float]) -> None:
        assert trend_of(values).forecast(0.0) is None

    def test_below_the_limit_there_is_nothing_left(self) -> None:
        found = trend_of([20 - n / 4 for n in range(40)]).forecast(30.0)
        assert found is not None
        assert found.days == 0

    def test_years_of_data_are_few_points(self) -> None:
        trend = trend_of([100 - n / 40 for n in range(3000)])
        assert len(trend.save()[1]) <= 31
        found = trend.forecast(0.0)
        assert found is not None
        assert found.days == pytest.approx(250, rel=0.1)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 10**9)), max_size=80))
    def test_any_values(self, rows: list[tuple[float, int]]) -> None:
        trend, at = Trend(2.0), 0
        for value, later in rows:
            at += later
            trend.add(value, at)
        found = trend.forecast(0.0)
        assert found is None or 0 <= found.soonest <= found.days <= found.latest

    def test_a_restart_goes_on(self) -> None:
        before = trend_of([80 - n / 4 for n in range(40)])
        after = Trend(2.0)
        after.load(before.save())
        said, again = before.forecast(0.0), after.forecast(0.0)
        assert said is not None
        assert again is not None
        assert again.days == pytest.approx(said.days, abs=0.5)

    def test_another_boot_moves_its_times(self) -> None:
        trend = trend_of([80 - n / 4 for n in range(40)])
        before = trend.forecast(0.0)
        trend.move(lambda at: None if at is None else at - 10 * DAY_MS)
        assert trend.forecast(0.0) == before


class TestBattery:
    def test_low_with_its_days(self) -> None:
        _, told = wear_of(BATTERY, [40 - n / 24 for n in range(24 * 22)])
        first = told[0]
        assert (first.alarm, first.active, first.value is not None) == ("probe.battery/battery-low", True, True)
        assert first.value is not None
        assert first.value < BATTERY_LOW
        assert first.detail["days_left"] == pytest.approx(19, abs=2)
        assert "about" in first.words

    def test_unknown_where_it_cannot_be_known(self) -> None:
        _, (told,) = wear_of(BATTERY, [19.0])
        assert told.detail["days_left"] is None
        assert "is not known" in told.words

    def test_what_will_soon_be_empty_is_told_before_it_is_low(self) -> None:
        _, told = wear_of(BATTERY, [90 - n / 5 for n in range(24 * 10)])
        assert told[0].active
        assert told[0].value is not None
        assert told[0].value > BATTERY_LOW
        assert told[0].detail["days_left"] < 14

    def test_a_changed_battery_is_good_and_its_trend_begins_anew(self) -> None:
        wear, told = wear_of(BATTERY, [*(40 - n / 24 for n in range(24 * 22)), 100.0])
        assert [condition.active for condition in (told[0], told[-1])] == [True, False]
        assert wear.trend.forecast(0.0) is None


class TestSignal:
    def test_one_weak_value_is_no_weak_signal(self) -> None:
        values = [-70.0] * OF_VALUES + [-99.0] * (OF_VALUES // 2)
        assert wear_of(SIGNAL, values)[1] == []

    def test_weak_and_well_again(self) -> None:
        values = [-93.0] * OF_VALUES + [-88.0] * OF_VALUES + [-80.0] * OF_VALUES
        _, told = wear_of(SIGNAL, values, step_ms=60_000)
        assert [(condition.rule, condition.active) for condition in told] == [
            ("signal-weak", True),
            ("signal-weak", False),
        ]

    def test_where_it_is_going(self) -> None:
        _, told = wear_of(SIGNAL, [-80 - n / 24 for n in range(24 * 12)])
        assert 10 < told[0].detail["days_left"] < 14
        assert told[0].value is not None
        assert told[0].value > WEAK_DBM, "it is told before it is weak"


def test_which_columns_wear() -> None:
    columns = (
        Column("temperature", "degC", 2),
        BATTERY,
        Column("battery_voltage", "V", 3),
        SIGNAL,
        Column("battery", "%", 0, "indicated"),
    )
    layout = DeviceLayout("probe", "air", "m", "", 60_000, 0, columns)
    assert [wear.column.channel for wear in worn(layout, ())] == ["battery", "rssi"]
    assert [wear.column.channel for wear in worn(layout, ("rssi",))] == ["battery"]


def test_what_stands_is_taken_over() -> None:
    wear, (told,) = wear_of(BATTERY, [10.0])
    after = Wear("probe", 0, BATTERY)
    after.load(wear.save())
    assert after.reconcile({told.alarm: told}, 5) == []
    assert [found.alarm for found in after.reconcile({}, 5)] == [told.alarm]
    forgotten = Wear("probe", 0, BATTERY)
    assert forgotten.reconcile({told.alarm: told}, 5) == []
    assert forgotten.since_ms == told.since_ms
