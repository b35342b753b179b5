"""The pure rules of acquire: grid, breaker, patience, calibration."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.acquire.breaker import Breaker, Patience, ProbeBudget
from gateway.acquire.calibration import Correction
from gateway.acquire.schedule import Grid

periods = st.integers(50, 86_400_000)


@given(periods.flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p - 1))), st.integers(0, 10**13))
def test_the_newest_due_slot_is_due_and_the_next_is_not(grid: tuple[int, int], now: int) -> None:
    it = Grid(*grid)
    slot = it.slot_at(now)
    assert it.due_ms(slot) <= now < it.due_ms(slot + 1)


@given(periods, st.integers(0, 10**9))
def test_the_grid_does_not_drift(period: int, slot: int) -> None:
    it = Grid(period, 0)
    assert it.due_ms(slot + 1) - it.due_ms(slot) == period
    assert it.slot_at(it.due_ms(slot)) == slot


class TestBreaker:
    def test_one_silence_opens_it_and_one_answer_closes_it(self) -> None:
        breaker = Breaker(ProbeBudget())
        assert breaker.may_ask(0.0)
        breaker.silent(1.0, 1.0)
        assert breaker.open
        assert not breaker.may_ask(1.5)
        assert breaker.may_ask(2.0)
        breaker.answered()
        assert breaker.may_ask(2.0)

    def test_noise_passes_but_a_wrong_baud_rate_does_not(self) -> None:
        breaker = Breaker(ProbeBudget())
        breaker.damaged(0.0, 0.1)
        breaker.damaged(1.0, 0.1)
        assert not breaker.open
        breaker.damaged(2.0, 0.1)
        assert breaker.open

    @given(
        st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12),
        st.floats(0.5, 5.0),
    )
    def test_all_dead_units_of_a_bus_together_cost_at_most_five_percent_of_it(
        self, costs: list[float], period: float
    ) -> None:
        """However many units are dead and however long a probe takes, over an hour."""
        budget = ProbeBudget()
        breakers = [Breaker(budget) for _ in costs]
        for breaker, cost in zip(breakers, costs, strict=True):
            breaker.silent(0.0, cost)
        now = spent = 0.0
        while now < 3600.0:
            for breaker, cost in zip(breakers, costs, strict=True):
                if breaker.may_ask(now):
                    now += cost
                    spent += cost
                    breaker.silent(now, cost)
            now += period
        assert spent <= 0.05 * now + max(costs)

    def test_dead_units_take_turns(self) -> None:
        """Whoever comes first in the queue must not get every probe."""
        budget = ProbeBudget()
        breakers = [Breaker(budget) for _ in range(5)]
        probes = [0] * 5
        for breaker in breakers:
            breaker.silent(0.0, 0.18)
        for now in range(1, 3600):
            for index, breaker in enumerate(breakers):
                if breaker.may_ask(float(now)):
                    probes[index] += 1
                    breaker.silent(float(now), 0.18)
        assert min(probes) > 0.8 * max(probes), probes

    def test_a_flapping_unit_pays_from_the_budget(self) -> None:
        breaker = Breaker(ProbeBudget())
        breaker.silent(0.0, 1.0)
        breaker.answered()
        breaker.silent(2.0, 1.0)
        assert not breaker.may_ask(10.0)

    def test_a_dead_unit_is_probed_for_ever(self) -> None:
        breaker = Breaker(ProbeBudget())
        now, probes = 0.0, 0
        breaker.silent(now, 0.1)
        while now < 86_400.0:
            now += 1.0
            if breaker.may_ask(now):
                probes += 1
                breaker.silent(now, 0.1)
        assert 86_400 / 5 - 600 < probes <= 86_400 / 5 + 600


class TestPatience:
    def test_a_stranger_gets_the_whole_limit(self) -> None:
        assert Patience(1.0).timeout_s == Patience(1.0).probe_s == 1.0

    def test_a_quick_device_is_given_up_sooner_but_not_at_once(self) -> None:
        patience = Patience(1.0)
        patience.heard(0.004)
        assert patience.timeout_s == Patience.FLOOR_S
        assert patience.probe_s == 0.05

    def test_one_late_answer_is_remembered(self) -> None:
        patience = Patience(1.0)
        patience.heard(0.004)
        patience.heard(0.3)
        for _ in range(50):
            patience.heard(0.004)
        assert patience.timeout_s > 0.6

    @given(st.lists(st.floats(0.0, 100.0)), st.floats(0.3, 10.0))
    def test_never_beyond_the_limit(self, heard: list[float], limit: float) -> None:
        patience = Patience(limit)
        for seconds in heard:
            patience.heard(seconds)
        assert patience.probe_s <= patience.timeout_s <= limit


class TestCalibration:
    def test_one_point_is_an_offset(self) -> None:
        assert Correction([(0.0, -0.3)], 1)(5.0) == 4.7

    def test_between_two_points_it_is_interpolated_and_beyond_it_stays(self) -> None:
        correct = Correction([(-20.0, -20.4), (0.0, 0.2)], 1)
        assert correct(-20.0) == -20.4
        assert correct(-10.0) == -10.1
        assert correct(0.0) == 0.2
        assert correct(30.0) == 30.2
        assert correct(-40.0) == -40.4

    def test_no_value_stays_no_value(self) -> None:
        assert math.isnan(Correction([(0.0, 1.0)], 1)(math.nan))

    def test_zero_has_no_sign(self) -> None:
        assert math.copysign(1.0, Correction([(0.0, -0.0001)], 1)(0.0)) == 1.0

    @pytest.mark.parametrize("points", [[], [(1.0, 1.0), (1.0, 2.0)], [(2.0, 1.0), (1.0, 2.0)]])
    def test_points_that_do_not_rise_are_refused(self, points: list[tuple[float, float]]) -> None:
        with pytest.raises(ValueError, match="calibration"):
            Correction(points, 1)

    @given(
        st.lists(
            st.tuples(st.integers(-500, 3000), st.integers(-50, 50)),
            min_size=1,
            max_size=5,
            unique_by=lambda p: p[0],
        ),
        st.integers(-600, 3100),
    )
    def test_the_corrected_value_is_recorded_exactly(self, pairs: list[tuple[int, int]], raw: int) -> None:
        points = [(a / 10, (a + d) / 10) for a, d in sorted(pairs)]
        corrected = Correction(points, 1)(raw / 10)
        assert round(corrected * 1000) / 1000 == corrected
        assert abs(corrected - raw / 10) <= max(abs(d) for _, d in pairs) / 10 + 0.001
