"""What each calculation does with a course of values: decisions, gaps, refusals, uncertainty."""

import math
from typing import Any, ClassVar

import pytest
from process_tools import feed, ramp

from gateway.assess.process.catalogue import CALCULATIONS, make
from gateway.assess.process.offline import Row, calculate, trace
from gateway.assess.process.outcome import Outcome, Refusal, Result
from gateway.assess.process.parameters import ParameterError

HTST: dict[str, Any] = {"legal_c": 72.0, "legal_s": 15.0, "cut_in_c": 72.5, "cut_out_c": 72.2, "holding_s": 16.0}
SMALLEST: dict[str, dict[str, Any]] = {
    "lethality": {"definition": "f0", "target": 3.0},
    "heat-table": {"table": "fsis-a-6.5log"},
    "htst": HTST | {"valve": "derived"},
    "cooling": {"rule": "food-code-two-stage", "start_at_first": True},
    "mkt": {"limit_c": 25.0},
    "growth": {"model": "gropin-355", "limit": 1.0},
    "shelf-life": {"kind": "q10", "q10": 2.5, "known_c": 5.0, "known_days": 10.0},
    "moisture": {"rh": 60.0, "limit_dew_c": 15.0},
    "time-outside": {"limit_c": 8.0, "most_total_s": 3600.0},
    "degree-minutes": {"limit_c": 8.0, "most": 100.0},
    "out-of-refrigeration": {"budgets": [[8.0, 3600], [25.0, 600]]},
    "product": {"tau_min": 60.0},
}


def good(outcome: Outcome) -> Result:
    assert isinstance(outcome, Result), outcome
    return outcome


def refused(outcome: Outcome) -> Refusal:
    assert isinstance(outcome, Refusal), outcome
    return outcome


def test_every_calculation_has_an_example_here() -> None:
    assert set(SMALLEST) == set(CALCULATIONS)


@pytest.mark.parametrize("name", SMALLEST)
class TestAll:
    def test_a_result_names_formula_source_uncertainty_and_coverage(self, name: str) -> None:
        calculation = feed(make(name, SMALLEST[name] | {"probe_u": 0.3}), [20.0] * 5)
        result = good(calculation.result())
        assert result.formula.startswith(name)
        assert len(result.source) > 10
        assert result.words
        assert result.uncertainty["probe_u_k"] == 0.3
        assert result.coverage.samples == 5
        assert result.coverage.share == 1.0
        assert result.coverage.longest_gap_s == 10.0
        assert math.isfinite(result.value)

    def test_a_gap_beyond_the_longest_is_no_number(self, name: str) -> None:
        calculation = make(name, SMALLEST[name] | {"max_gap_s": 30.0})
        feed(calculation, [20.0, 20.0, 20.0])
        feed(calculation, [20.0, 20.0], start=51.0)
        refusal = refused(calculation.result())
        assert refusal.reason == "gap"
        assert refusal.remedy
        assert refusal.coverage is not None
        assert refusal.coverage.longest_gap_s == 31.0

    def test_a_gap_that_is_just_allowed_is_stood(self, name: str) -> None:
        calculation = make(name, SMALLEST[name] | {"max_gap_s": 30.0})
        feed(calculation, [20.0, 20.0, 20.0])
        feed(calculation, [20.0, 20.0], start=50.0)
        assert good(calculation.result()).coverage.longest_gap_s == 30.0

    def test_silence_up_to_now_counts_and_heals(self, name: str) -> None:
        calculation = feed(make(name, SMALLEST[name] | {"max_gap_s": 30.0}), [20.0, 20.0])
        assert isinstance(calculation.result(40.0), Result)
        assert refused(calculation.result(41.0)).reason == "gap"
        calculation.feed(40.0, 20.0)
        assert isinstance(calculation.result(41.0), Result)

    def test_missing_values_are_counted_by_reason(self, name: str) -> None:
        calculation = make(name, SMALLEST[name])
        calculation.feed(0.0, 20.0)
        calculation.feed(1.0, None, "device did not answer in time")
        calculation.feed(2.0, math.nan)
        calculation.feed(3.0, -300.0)
        calculation.feed(4.0, 20.0)
        coverage = good(calculation.result()).coverage
        assert coverage.missing == {"device did not answer in time": 1, "not a temperature": 2}
        assert coverage.longest_gap_s == 4.0

    def test_nothing_is_no_number(self, name: str) -> None:
        calculation = make(name, SMALLEST[name])
        assert refused(calculation.result()).reason == "no-value"
        calculation.feed(0.0, None, "gateway was not running")
        assert refused(calculation.result()).reason == "no-value"

    def test_time_must_rise(self, name: str) -> None:
        calculation = feed(make(name, SMALLEST[name]), [20.0, 20.0])
        for wrong in (10.0, 5.0, math.nan, math.inf):
            with pytest.raises(ValueError, match="time must rise"):
                calculation.feed(wrong, 20.0)

    def test_fahrenheit_is_the_same_course(self, name: str) -> None:
        values = ramp(10.0, 21.0, 12)
        celsius = feed(make(name, SMALLEST[name]), values)
        changed: dict[str, Any] = {"unit": "F"}
        if name == "out-of-refrigeration":
            changed["budgets"] = [[limit * 1.8 + 32, seconds] for limit, seconds in SMALLEST[name]["budgets"]]
        if name == "cooling":
            changed = {"unit": "F", "rule": "fsis-b-option-1"}  # its limits stand in degF alone
            celsius = feed(make(name, SMALLEST[name] | {"rule": "fsis-b-option-1"}), values)
        fahrenheit = feed(make(name, SMALLEST[name] | changed), [value * 1.8 + 32 for value in values])
        assert good(fahrenheit.result()).value == pytest.approx(good(celsius.result()).value, rel=1e-9, abs=1e-9)

    def test_the_trace_ends_as_the_whole(self, name: str) -> None:
        rows = [(10.0 * number, 20.0 + number) for number in range(6)]
        traced = list(trace(name, SMALLEST[name], rows))
        assert [t for t, _ in traced] == [t for t, _ in rows]
        assert traced[-1][1] == calculate(name, SMALLEST[name], rows)


class TestLethality:
    def test_a_target_is_reached_or_not(self) -> None:
        hold = [(t * 10.0, 121.11) for t in range(19)]
        assert good(calculate("lethality", {"definition": "f0", "target": 3.0}, hold)).passed is True
        assert good(calculate("lethality", {"definition": "f0", "target": 3.1}, hold)).passed is False
        assert good(calculate("lethality", {"definition": "f0"}, hold)).passed is None

    def test_the_probe_may_take_the_safe_side_away(self) -> None:
        hold = [(t * 10.0, 121.11) for t in range(20)]
        safe = {"definition": "f0", "target": 3.0, "safe_side": True}
        assert good(calculate("lethality", safe, hold)).passed is True
        off = good(calculate("lethality", safe | {"probe_u": 0.5}, hold))
        assert off.passed is False
        assert off.value == pytest.approx(190 / 60 * 10**-0.05)
        assert off.uncertainty["probe"] == pytest.approx([190 / 60 * 10**-0.05, 190 / 60 * 10**0.05])

    def test_what_was_reached_before_a_gap_stays_reached(self) -> None:
        calculation = make("lethality", {"definition": "f0", "target": 3.0, "max_gap_s": 60.0})
        feed(calculation, [121.11] * 20)
        feed(calculation, [121.11] * 2, start=1000.0)
        refusal = refused(calculation.result())
        assert refusal.reason == "gap"
        assert refusal.settled is True

    def test_what_comes_after_a_gap_decides_nothing(self) -> None:
        calculation = make("lethality", {"definition": "f0", "target": 3.0, "max_gap_s": 60.0})
        feed(calculation, [121.11] * 5)
        feed(calculation, [121.11] * 100, start=1000.0)
        assert refused(calculation.result(ended=True)).settled is None


class TestHeatTable:
    def test_held_without_a_break(self) -> None:
        parameters = {"table": "eu-milk"}
        held = [(float(t), 72.0) for t in range(16)]
        assert good(calculate("heat-table", parameters, held)).passed is True
        short = good(calculate("heat-table", parameters, held[:-1]))
        assert short.passed is False
        assert short.value == pytest.approx(14 / 15)

    def test_two_halves_are_not_one_hold(self) -> None:
        values = [72.0] * 10 + [71.9] + [72.0] * 10
        rows = [(float(t), value) for t, value in enumerate(values)]
        assert good(calculate("heat-table", {"table": "eu-milk"}, rows)).passed is False

    def test_parts_add_up_where_the_table_allows_it(self) -> None:
        rows = [(t * 10.0, 60.0) for t in range(37)] + [(360.0 + t * 10.0, 58.9) for t in range(1, 55)]
        found = good(calculate("heat-table", {"table": "fsis-a-6.5log"}, rows))
        assert found.passed is True
        assert found.values["held"] == pytest.approx(900 / 1080)
        assert found.values["sum"] == pytest.approx(0.5 + 0.5 * (1 + 10 / 1080 * (1080 / 720 - 1)), abs=0.01)

    def test_below_the_table_there_is_no_credit(self) -> None:
        rows = [(t * 60.0, 54.3) for t in range(600)]
        assert good(calculate("heat-table", {"table": "fsis-a-6.5log"}, rows)).value == 0.0

    def test_at_158_fahrenheit_it_is_done_at_once(self) -> None:
        found = good(calculate("heat-table", {"table": "fsis-a-7log", "unit": "F"}, [(0.0, 100.0), (10.0, 158.0)]))
        assert found.passed is True

    def test_a_legal_table_does_not_add_up(self) -> None:
        with pytest.raises(ParameterError, match="follows no single z"):
            make("heat-table", {"table": "us-milk", "rule": "sum"})
        with pytest.raises(ParameterError, match="not a parameter"):
            make("heat-table", {"table": "us-milk", "z_k": 4.3})
        with pytest.raises(ParameterError, match="not allowed by this table"):
            make("heat-table", {"table": "us-milk", "interpolate": "log"})

    def test_rows_of_your_own(self) -> None:
        own = {"rows": [[60.0, 100.0], [70.0, 10.0]], "rule": "sum", "interpolate": "log"}
        found = make("heat-table", own).at(65.0)
        assert found.value == 32.0  # type: ignore[union-attr]
        fahrenheit = {"rows": [[140.0, 100.0], [158.0, 10.0]], "rule": "sum", "interpolate": "log", "unit": "F"}
        assert make("heat-table", fahrenheit).at(149.0).value == 32.0  # type: ignore[union-attr]
        with pytest.raises(ParameterError, match="row 2"):
            make("heat-table", {"rows": [[60.0, 100.0], [70.0, 200.0]]})

    def test_the_probe_on_the_safe_side_needs_more(self) -> None:
        plain = make("heat-table", {"table": "fsis-a-6.5log"}).at(60.0)
        safe = make("heat-table", {"table": "fsis-a-6.5log", "safe_side": True, "probe_u": 0.6}).at(60.6)
        assert safe.value == plain.value  # type: ignore[union-attr]


def htst(rows: list[tuple[float, float, float | None]], **changes: Any) -> Outcome:
    fed = [Row(t, value, {"forward": forward}) for t, value, forward in rows]
    return calculate("htst", HTST | changes, fed)


class TestHolding:
    def test_a_plant_that_diverts_in_time(self) -> None:
        rows = [
            (0.0, 60.0, 0.0),
            (1.0, 72.6, 1.0),
            (2.0, 73.0, 1.0),
            (3.0, 72.1, 0.0),
            (4.0, 71.0, 0.0),
            (5.0, 72.7, 1.0),
            (6.0, 73.0, 1.0),
        ]
        found = good(htst(rows))
        assert found.passed is True
        assert found.value == 2.0
        assert found.uncertainty["sampling"] == [2.0, 5.0]
        assert found.values["diversions"] == 1
        assert found.values["cut_in_c"] == 72.6
        assert found.values["cut_out_between_c"] == [73.0, 72.1]

    def test_forward_flow_below_the_limit_is_a_finding(self) -> None:
        rows = [(float(t), 73.0 if t < 5 else 71.5, 1.0) for t in range(10)]
        found = good(htst(rows))
        assert found.passed is False
        assert found.values["diversion_not_seen"] == 1
        assert "diversion not seen" in found.words
        assert found.values["lowest_forward_c"] == 71.5

    def test_a_valve_that_takes_its_second_is_none(self) -> None:
        rows = [(0.0, 73.0, 1.0), (1.0, 71.9, 1.0), (2.0, 71.8, 0.0), (3.0, 71.5, 0.0)]
        assert good(htst(rows)).passed is True

    def test_too_fast_a_flow_is_held_too_shortly(self) -> None:
        changes = {"holding_s": None, "tube_l": 20.0, "fastest": 0.5}
        parameters = {name: value for name, value in (HTST | changes).items() if value is not None}
        calculation = make("htst", parameters)
        for t, flow in enumerate((2400.0, 2400.0, 2500.0, 2500.0)):
            calculation.feed(float(t), 73.0, "", {"forward": 1.0, "flow": flow})
        found = good(calculation.result(ended=True))
        assert found.passed is False
        assert found.values["least_holding_s"] == pytest.approx(20 / 2500 * 3600 / 2)
        assert calculation.at(73.0, {"flow": 2400.0}).values["mean_residence_s"] == pytest.approx(30.0)  # type: ignore[union-attr]

    def test_without_a_valve_signal_nothing_is_proven(self) -> None:
        rows: list[tuple[float, float, float | None]] = [(float(t), 73.0 - 0.2 * t, None) for t in range(10)]
        found = good(htst(rows, valve="derived"))
        assert found.passed is None
        assert found.values["diversions"] == 1
        assert "not proven" in found.words

    def test_a_lost_valve_signal_is_a_lost_sample(self) -> None:
        found = good(htst([(0.0, 73.0, 1.0), (1.0, 73.0, None), (2.0, 73.0, 1.0)]))
        assert found.coverage.missing == {"no value of forward": 1}

    def test_limits_in_the_wrong_order(self) -> None:
        with pytest.raises(ParameterError) as caught:
            make("htst", HTST | {"cut_out_c": 71.0, "cut_in_c": 70.0, "tube_l": 3.0})
        assert {problem.name for problem in caught.value.problems} == {"cut_out_c", "cut_in_c", "holding_s"}


class TestCooling:
    RULE: ClassVar[dict[str, Any]] = {"rule": "food-code-two-stage"}

    def course(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        """(minutes, degC) as rows."""
        return [(minutes * 60, celsius) for minutes, celsius in points]

    def test_both_stages_met(self) -> None:
        rows = [(minute * 60.0, max(3.0, 80.0 - minute * 0.6)) for minute in range(0, 200, 5)]
        found = good(calculate("cooling", self.RULE, rows))
        assert found.passed is True
        assert [stage["state"] for stage in found.values["stages"]] == ["met", "met"]

    def test_crossings_lie_on_the_safe_side(self) -> None:
        rows = self.course((0, 60.0), (10, 57.5), (20, 56.0), (30, 40.0), (40, 21.5), (50, 20.5))
        (first, second) = good(calculate("cooling", self.RULE, rows)).values["stages"]
        assert first["took_s"] == 40 * 60, "from the last value at or above 57 to the first at or below 21"
        assert first["took_least_s"] == 20 * 60, "from the first value below 57 to the last above 21"
        assert second["state"] == "running"

    def test_the_time_left_is_live_and_the_deadline_passes_between_two_values(self) -> None:
        calculation = make("cooling", self.RULE)
        for minute in range(0, 120, 5):
            calculation.feed(minute * 60.0, 60.0 if minute == 0 else 50.0)
        found = good(calculation.result(7000.0))
        assert found.passed is None
        assert found.values["left_s"] == 200.0
        assert good(calculation.result(7201.0)).passed is False

    def test_a_deadline_that_passes_in_silence_is_not_known_to_be_missed(self) -> None:
        calculation = make("cooling", self.RULE)
        calculation.feed(0.0, 60.0)
        calculation.feed(300.0, 56.0)
        assert refused(calculation.result(8000.0)).settled is None

    def test_too_slow_is_too_slow_whatever_follows(self) -> None:
        rows = [(minute * 60.0, 58.0 - minute * 0.25) for minute in range(0, 215, 5)]
        found = good(calculate("cooling", self.RULE, rows))
        assert found.passed is False
        assert found.values["stages"][0]["state"] == "late"

    def test_a_start_that_was_not_seen_is_refused(self) -> None:
        rows = self.course((0, 50.0), (10, 40.0), (20, 20.0), (30, 4.0))
        assert refused(calculate("cooling", self.RULE, rows)).reason == "start-not-seen"
        found = good(calculate("cooling", self.RULE | {"start_at_first": True}, rows))
        assert found.passed is True
        assert found.values["stages"][1]["took_s"] == 1800.0

    def test_a_probe_put_into_hot_food_begins_when_that_falls(self) -> None:
        rows = self.course((0, 20.0), (5, 78.0), (10, 70.0), (15, 55.0), (20, 20.0), (25, 4.0))
        found = good(calculate("cooling", self.RULE, rows))
        assert found.values["stages"][0]["took_s"] == 600.0

    def test_reheating_begins_anew_and_warming_up_does_not(self) -> None:
        warmed = self.course((0, 60.0), (10, 50.0), (15, 58.0), (20, 50.0), (30, 20.0), (40, 4.0))
        assert good(calculate("cooling", self.RULE, warmed)).values["stages"][0]["took_s"] == 1800.0
        reheated = self.course((0, 60.0), (10, 50.0), (15, 74.0), (20, 50.0), (30, 20.0), (40, 4.0))
        assert good(calculate("cooling", self.RULE, reheated)).values["stages"][0]["took_s"] == 900.0

    def test_advice_does_not_fail(self) -> None:
        rows = [(minute * 60.0, max(10.0, 60.0 - minute * 0.2)) for minute in range(0, 300, 5)]
        found = good(calculate("cooling", {"rule": "fsis-b-option-2"}, rows))
        assert [stage["state"] for stage in found.values["stages"]] == ["exceeded", "met"]
        assert found.passed is True

    def test_the_probe_widens_the_stage(self) -> None:
        rows = self.course((-10, 60.0), (0, 57.2), (10, 56.8), (20, 40.0), (30, 20.8), (40, 20.2))
        plain = good(calculate("cooling", self.RULE, rows)).values["stages"][0]
        safe = good(calculate("cooling", self.RULE | {"safe_side": True, "probe_u": 0.5}, rows)).values["stages"][0]
        assert plain["took_s"] == 1800.0
        assert safe["took_s"] == 3000.0

    def test_stages_of_your_own(self) -> None:
        own: dict[str, Any] = {"stages": [[60.0, 10.0, 5400.0]]}
        rows = self.course((0, 65.0), (10, 30.0), (20, 9.0))
        assert good(calculate("cooling", own, rows)).passed is True
        fahrenheit = [(t, celsius * 1.8 + 32) for t, celsius in rows]
        converted = {"stages": [[140.0, 50.0, 5400.0]], "unit": "F"}
        assert calculate("cooling", converted, fahrenheit) == calculate("cooling", own, rows)
        with pytest.raises(ParameterError, match="no cooling"):
            make("cooling", {"stages": [[10.0, 60.0, 5400.0]]})


class TestMeanKinetic:
    def test_frozen_product_is_refused(self) -> None:
        assert refused(calculate("mkt", {}, [(0.0, 4.0), (60.0, -0.1), (120.0, 5.0)])).reason == "frozen"
        assert isinstance(calculate("mkt", {"frozen_below_c": -25.0}, [(0.0, -20.0), (60.0, -18.0)]), Result)

    def test_uneven_spacing_is_weighed_by_time(self) -> None:
        uneven = good(
            calculate("mkt", {}, [(0.0, 5.0), (10.0, 5.0), (1000.0, 5.0), (1010.0, 25.0), (1020.0, 25.0)])
        )
        assert uneven.value < 6.5
        equal = good(
            calculate(
                "mkt",
                {"weighting": "equal"},
                [(0.0, 5.0), (10.0, 5.0), (1000.0, 5.0), (1010.0, 25.0), (1020.0, 25.0)],
            )
        )
        assert equal.value > 15

    def test_a_limit_is_judged_at_the_end(self) -> None:
        rows = [(float(hour * 3600), 26.0) for hour in range(5)]
        assert good(calculate("mkt", {"limit_c": 25.0}, rows)).passed is False
        assert good(calculate("mkt", {"limit_c": 26.5}, rows)).passed is True


class TestGrowth:
    def test_an_excursion_in_log10(self) -> None:
        rows = [(t * 60.0, 20.0) for t in range(601)]
        found = good(calculate("growth", {"model": "gropin-355"}, rows))
        assert found.value == pytest.approx(10 * (0.0356 * 17.67) ** 2 / math.log(10))

    def test_outside_the_domain_there_is_no_number(self) -> None:
        for celsius in (3.9, 38.1):
            refusal = refused(
                calculate("growth", {"model": "gropin-355"}, [(0.0, 10.0), (60.0, celsius), (120.0, 10.0)])
            )
            assert refusal.reason == "outside-domain"
            assert "gropin-355" in refusal.words

    def test_a_bound_below_the_domain_says_at_most(self) -> None:
        rows = [(t * 60.0, 2.0 if t < 300 else 10.0) for t in range(601)]
        found = good(calculate("growth", {"model": "gropin-355", "below": "bound"}, rows))
        assert found.words.startswith("at most")
        assert found.values["bounded_s"] == 299 * 60.0
        assert isinstance(
            calculate("growth", {"model": "gropin-355", "below": "bound"}, [(0.0, 10.0), (60.0, 39.0)]), Refusal
        )

    def test_a_limit_once_exceeded_stays_so(self) -> None:
        calculation = feed(make("growth", {"model": "gropin-355", "limit": 0.5}), [30.0] * 400, step=60.0)
        assert good(calculation.result()).passed is False

    def test_what_is_no_rate_is_not_summed_up(self) -> None:
        refusal = refused(calculate("growth", {"model": "gropin-1314"}, [(0.0, 5.0), (60.0, 6.0)]))
        assert refusal.reason == "not-a-growth-rate"

    def test_a_model_with_ph(self) -> None:
        made = make("growth", {"model": "gropin-274", "conditions": {"pH": 5.7}})
        assert made.at(0.0).value == pytest.approx(0.026)  # type: ignore[union-attr]
        with pytest.raises(ParameterError, match="lacks pH"):
            make("growth", {"model": "gropin-274"})
        outside = make("growth", {"model": "gropin-274", "conditions": {"pH": 7.0}}).at(5.0)
        assert isinstance(outside, Refusal)

    def test_your_own_formula_and_units(self) -> None:
        own: dict[str, Any] = {
            "formula": "a*T",
            "constants": {"a": 0.1},
            "response": "mu",
            "low_c": 1.0,
            "high_c": 30.0,
        }
        assert make("growth", own).at(10.0).value == pytest.approx(1.0)  # type: ignore[union-attr]
        daily = make("growth", own | {"base": "log10", "per": "d"}).at(10.0)
        assert daily.value == pytest.approx(math.log(10) / 24)  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("wrong", "name"),
        [
            ({"formula": "a*T", "response": "mu", "low_c": 1.0, "high_c": 30.0}, "domain"),
            ({"formula": "import os", "response": "mu", "low_c": 1.0, "high_c": 30.0}, "formula"),
            ({"formula": "T", "response": "mu"}, "low_c"),
            ({"formula": "T", "low_c": 1.0, "high_c": 30.0}, "response"),
            ({"form": "rosso", "low_c": 1.0, "high_c": 30.0}, "domain"),
            ({"formula": "T", "response": "mu", "low_c": 30.0, "high_c": 1.0}, "domain"),
            ({}, "model"),
            ({"model": "gropin-355", "low_c": 1.0}, "low_c"),
        ],
    )
    def test_wrong_models_are_named(self, wrong: dict[str, Any], name: str) -> None:
        with pytest.raises(ParameterError) as caught:
            make("growth", wrong)
        assert caught.value.problems[0].remedy
        assert name in {caught.value.problems[0].name, "domain"}


class TestShelfLife:
    def test_life_is_used_up(self) -> None:
        own = SMALLEST["shelf-life"]
        rows = [(hour * 3600.0, 5.0) for hour in range(121)]
        found = good(calculate("shelf-life", own, rows))
        assert found.values["used"] == pytest.approx(0.5)
        assert found.value == pytest.approx(5.0)
        assert good(calculate("shelf-life", own | {"later_c": 15.0}, rows)).value == pytest.approx(2.0)

    def test_outside_the_range_there_is_no_number(self) -> None:
        own = {"product": "cold-smoked-salmon", "known_c": 5.0, "known_days": 30.0}
        assert refused(calculate("shelf-life", own, [(0.0, 5.0), (60.0, 25.5)])).reason == "outside-domain"
        with pytest.raises(ParameterError, match="later_c"):
            make("shelf-life", own | {"later_c": 30.0})

    def test_below_tmin_there_is_no_number(self) -> None:
        own = {"kind": "square-root", "t_min_c": -2.0, "known_c": 5.0, "known_days": 30.0}
        assert refused(calculate("shelf-life", own, [(0.0, 5.0), (60.0, -2.0)])).reason == "outside-domain"


class TestMoisture:
    def test_below_zero_the_phase_must_be_said(self) -> None:
        rows = [Row(0.0, -10.0, {"rh": 80.0}), Row(60.0, -10.0, {"rh": 80.0})]
        assert refused(calculate("moisture", {}, rows)).reason == "phase-not-said"
        water = good(calculate("moisture", {"rh_over": "water"}, rows))
        ice = good(calculate("moisture", {"rh_over": "ice"}, rows))
        assert water.values["rh_over_water"] == pytest.approx(80.0)
        assert ice.values["rh_over_ice"] == pytest.approx(80.0)
        assert water.values["vapour_pressure_pa"] > ice.values["vapour_pressure_pa"]

    @pytest.mark.parametrize("rh", [-1.0, 101.0])
    def test_no_humidity(self, rh: float) -> None:
        rows = [Row(0.0, 10.0, {"rh": rh})]
        assert refused(calculate("moisture", {}, rows)).reason == "no-humidity"

    def test_a_missing_humidity_is_a_missing_sample(self) -> None:
        rows = [Row(0.0, 10.0, {"rh": 50.0}), Row(60.0, 10.0, {"rh": None}), Row(120.0, 10.0, {"rh": 50.0})]
        assert good(calculate("moisture", {}, rows)).coverage.missing == {"no value of rh": 1}

    def test_a_cold_surface(self) -> None:
        rows = [Row(t * 60.0, 20.0, {"rh": 40.0 + t}) for t in range(30)]
        assert good(calculate("moisture", {"limit_dew_c": 10.0}, rows)).passed is False
        assert good(calculate("moisture", {"limit_dew_c": 15.0}, rows)).passed is True

    def test_outside_the_formulas(self) -> None:
        assert isinstance(make("moisture", {"rh": 50.0}).at(250.0), Refusal)
        assert isinstance(make("moisture", {"rh": 100.0}).at(150.0), Refusal), "the water boils at this pressure"
        assert isinstance(make("moisture", {"by": "wet", "wet_c": 30.0}).at(20.0), Refusal)


class TestExposure:
    def test_time_above_is_counted_on_the_safe_side(self) -> None:
        values = [4.0, 9.0, 9.0, 4.0, 4.0, 9.0, 4.0]
        found = good(calculate("time-outside", {"limit_c": 8.0}, [(t * 60.0, v) for t, v in enumerate(values)]))
        assert found.value == 300.0
        assert found.uncertainty["sampling"] == [60.0, 300.0]
        assert found.values["longest_s"] == 180.0
        assert found.values["stays"] == 2
        assert found.values["linear_s"] == pytest.approx(60 + 4 * 12)

    def test_the_limit_itself_is_not_outside(self) -> None:
        found = good(calculate("time-outside", {"limit_c": 8.0}, [(t * 60.0, 8.0) for t in range(5)]))
        assert found.value == 0.0

    def test_single_and_total_are_judged_apart(self) -> None:
        values = [9.0, 9.0, 4.0, 9.0, 9.0, 4.0]
        rows = [(t * 60.0, v) for t, v in enumerate(values)]
        assert good(calculate("time-outside", {"limit_c": 8.0, "most_single_s": 180.0}, rows)).passed is True
        assert good(calculate("time-outside", {"limit_c": 8.0, "most_total_s": 200.0}, rows)).passed is False

    def test_below(self) -> None:
        found = good(
            calculate(
                "time-outside", {"limit_c": 63.0, "side": "below"}, [(0.0, 65.0), (60.0, 62.0), (120.0, 64.0)]
            )
        )
        assert found.value == 120.0

    def test_degree_minutes_are_cut_at_the_crossing(self) -> None:
        found = good(calculate("degree-minutes", {"limit_c": 8.0}, [(0.0, 6.0), (60.0, 10.0), (120.0, 10.0)]))
        assert found.value == pytest.approx(0.5 + 2.0)

    def test_budgets(self) -> None:
        rows = [(t * 60.0, 26.0 if t < 5 else 10.0) for t in range(31)]
        found = good(calculate("out-of-refrigeration", {"budgets": [[8.0, 3600], [25.0, 600]]}, rows))
        assert found.passed is True
        assert [row["left_s"] for row in found.values["budgets"]] == [1800.0, 300.0]
        spent = {"budgets": [[8.0, 3600], [25.0, 600]], "spent_s": 400.0}
        assert good(calculate("out-of-refrigeration", spent, rows)).passed is False


class TestProduct:
    def test_the_exact_step_response_for_any_spacing(self) -> None:
        calculation = make("product", {"tau_min": 10.0, "start_c": 0.0})
        t = 0.0
        calculation.feed(t, 20.0)
        for dt in (1.0, 30.0, 7.5, 600.0, 60.0):
            t += dt
            calculation.feed(t, 20.0)
            assert good(calculation.result()).value == pytest.approx(20 * (1 - math.exp(-t / 600)), rel=1e-12)
        assert good(calculation.result()).values["simulated"] is True

    def test_the_exact_ramp_response(self) -> None:
        calculation = make("product", {"tau_min": 10.0, "hold": "ramp"})
        for t in (0.0, 13.0, 200.0, 777.0):
            calculation.feed(t, 5.0 + 0.01 * t)
        expected = 5 + 0.01 * (777 - 600) + 0.01 * 600 * math.exp(-777 / 600)
        assert good(calculation.result()).value == pytest.approx(expected, rel=1e-12)

    def test_after_a_gap_it_settles_before_it_speaks(self) -> None:
        calculation = make("product", {"tau_min": 1.0, "max_gap_s": 60.0})
        feed(calculation, [5.0] * 5, step=30.0)
        feed(calculation, [5.0] * 5, step=30.0, start=1000.0)
        assert "settles" in refused(calculation.result()).words
        feed(calculation, [5.0] * 12, step=30.0, start=1150.0)
        assert good(calculation.result()).value == pytest.approx(5.0)
