"""What must hold for every course of temperature: monotony, additivity, restart, bounds that enclose, no crash."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_process_calculations import SMALLEST

from gateway.assess.process import air
from gateway.assess.process.catalogue import make
from gateway.assess.process.formula import Formula, FormulaError
from gateway.assess.process.heattable import HeatTable
from gateway.assess.process.integral import Integral
from gateway.assess.process.outcome import PointValue, Refusal, Result
from gateway.assess.process.tables import entries
from gateway.errors import StorageError

QUICK = settings(max_examples=40, deadline=None)
TEMPERATURES = st.lists(st.floats(-30, 130).map(lambda value: round(value, 2)), min_size=2, max_size=40)
STEPS = st.lists(st.floats(0.5, 400).map(lambda value: round(value, 1)), min_size=40, max_size=40)


def fed(name: str, parameters: dict[str, Any], values: list[float], steps: list[float]) -> Any:
    calculation = make(name, parameters)
    t = 0.0
    for value, step in zip(values, steps, strict=False):
        t += step
        calculation.feed(t, value)
    return calculation


@QUICK
@given(st.sampled_from(sorted(SMALLEST)), TEMPERATURES, STEPS, st.integers(0, 40))
def test_a_restart_anywhere_changes_nothing(name: str, values: list[float], steps: list[float], cut: int) -> None:
    whole = fed(name, SMALLEST[name], values, steps)
    parted = make(name, SMALLEST[name])
    t = 0.0
    for number, (value, step) in enumerate(zip(values, steps, strict=False)):
        if number == cut:
            again = make(name, SMALLEST[name])
            again.restore(parted.state())
            parted = again
        t += step
        parted.feed(t, value)
    assert parted.result(ended=True) == whole.result(ended=True)
    assert parted.state() == whole.state()


@QUICK
@given(st.sampled_from(sorted(SMALLEST)), TEMPERATURES, STEPS)
def test_a_result_is_finite_and_its_bounds_rise(name: str, values: list[float], steps: list[float]) -> None:
    outcome = fed(name, SMALLEST[name] | {"probe_u": 0.4}, values, steps).result(ended=True)
    if isinstance(outcome, Refusal):
        assert outcome.reason
        assert outcome.words
        return
    assert math.isfinite(outcome.value)
    for bounds in (outcome.uncertainty["probe"], outcome.uncertainty["sampling"]):
        if bounds is not None:
            assert bounds[0] <= bounds[1] + 1e-9


@QUICK
@given(TEMPERATURES, STEPS, st.integers(1, 38))
def test_lethality_adds_up_over_a_split_at_a_sample(values: list[float], steps: list[float], cut: int) -> None:
    parameters = {"definition": "f0", "max_gap_s": 1e6}
    cut = min(cut, len(values) - 1)
    whole = fed("lethality", parameters, values, steps).result()
    first = fed("lethality", parameters, values[: cut + 1], steps)
    second = fed("lethality", parameters, values[cut:], steps[cut:])
    parts = sum(part.integral.value / 60 for part in (first, second))
    assert whole.value == pytest.approx(parts, rel=1e-9, abs=1e-12)


@QUICK
@given(TEMPERATURES, STEPS, st.floats(0, 5))
def test_a_hotter_course_is_never_less_lethal(values: list[float], steps: list[float], by: float) -> None:
    for name, parameters in (
        ("lethality", {"definition": "p90-cfa", "max_gap_s": 1e6}),
        ("heat-table", {"table": "fsis-a-6.5log", "max_gap_s": 1e6}),
        ("time-outside", {"limit_c": 8.0, "max_gap_s": 1e6}),
        ("degree-minutes", {"limit_c": 8.0, "max_gap_s": 1e6}),
    ):
        cool = fed(name, parameters, values, steps).result()
        hot = fed(name, parameters, [value + by for value in values], steps).result()
        assert hot.value >= cool.value - 1e-9


@QUICK
@given(st.lists(st.floats(0, 40), min_size=2, max_size=40), STEPS)
def test_mean_kinetic_temperature_lies_between_mean_and_maximum(values: list[float], steps: list[float]) -> None:
    found = fed("mkt", {}, values, steps).result()
    assert isinstance(found, Result)
    assert found.values["mean_c"] - 1e-9 <= found.value <= max(values) + 1e-9


@given(st.floats(0, 60))
@QUICK
def test_mean_kinetic_temperature_of_a_constant_is_that(celsius: float) -> None:
    assert fed("mkt", {}, [celsius] * 5, [3.0, 100.0, 7.0, 900.0, 1.0]).result().value == pytest.approx(celsius)


@QUICK
@given(TEMPERATURES, STEPS)
def test_the_trapezoid_lies_between_the_bounds_of_sampling(values: list[float], steps: list[float]) -> None:
    integral = Integral(lambda celsius: math.exp(celsius / 10), 0.5)
    for value, step in zip(values, steps, strict=False):
        integral.step(step, value)
    assert integral.sure_low <= integral.low <= integral.value * (1 + 1e-12)
    assert integral.value <= integral.high * (1 + 1e-12) <= integral.sure_high * (1 + 1e-11)


def test_the_bounds_of_one_interval() -> None:
    integral = Integral(lambda celsius: celsius, 1.0)
    integral.step(None, 10.0)
    integral.step(2.0, 20.0)
    assert (integral.low, integral.value, integral.high) == (20.0, 30.0, 40.0)
    assert (integral.probe_low, integral.probe_high) == (28.0, 32.0)
    assert (integral.sure_low, integral.sure_high) == (18.0, 42.0)


@pytest.mark.parametrize("name", sorted(entries("heat", "table")))
def test_required_times_never_rise_and_rows_stay_as_printed(name: str) -> None:
    table = HeatTable({"table": name}).required
    at = table.knots[0].from_c
    before = math.inf
    while at < table.knots[-1].until_c + 5:
        seconds = table.rounded(at)
        assert seconds is not None
        assert seconds <= before
        before = seconds
        at += 0.013
    for knot in table.knots:
        assert table.rounded(knot.from_c) == knot.seconds
        assert table.rounded(knot.until_c) == knot.seconds


@pytest.mark.parametrize("name", ["fsis-a-6.5log", "fsis-a-7log", "cfa-90c-10min"])
def test_interpolation_is_log_linear_and_rounded_up_to_whole_seconds(name: str) -> None:
    required = HeatTable({"table": name}).required
    for knot, following in zip(required.knots, required.knots[1:], strict=False):
        for part in (0.1, 0.5, 0.9):
            seconds = required.rounded(knot.until_c + part * (following.from_c - knot.until_c))
            assert seconds is not None
            if following.seconds == 0:
                assert seconds == knot.seconds, "towards an instantaneous row the row below counts"
                continue
            line = knot.seconds * (following.seconds / knot.seconds) ** part
            assert line - 1e-6 <= seconds < line + 1 + 1e-6


@QUICK
@given(st.floats(-100, 200), st.floats(0.001, 0.5))
def test_saturation_rises_and_inverts(celsius: float, more: float) -> None:
    pressure = air.saturation_pressure(celsius, "water")
    if celsius + more <= 200:
        assert air.saturation_pressure(celsius + more, "water") > pressure * (1 - 2e-4)
    if -99.9 < celsius < 199.9 and abs(celsius) > 0.05:
        assert air.dew_point(pressure, "water") == pytest.approx(celsius, abs=1e-5)
    if -99.9 < celsius <= 0:
        over_ice = air.saturation_pressure(celsius, "ice")
        assert air.dew_point(over_ice, "ice") == pytest.approx(celsius, abs=1e-5)
        assert over_ice <= pressure * (1 + 1e-3)


@QUICK
@given(st.floats(-40, 60), st.floats(1, 100))
def test_wet_bulb_lies_between_dew_point_and_dry_bulb_and_inverts(celsius: float, rh: float) -> None:
    found = make("moisture", {"rh": rh, "rh_over": "ice" if celsius < 0 else "water"}).at(celsius)
    assert isinstance(found, PointValue)
    wet = found.values["wet_bulb_c"]
    assert wet is not None
    assert wet <= celsius + 1e-6
    ratio = air.humidity_from_wet_bulb(celsius, wet, 101325.0)
    # At 0 degC the formulas over ice and over water meet to a part in ten thousand only.
    margin = 1e-6 if abs(wet) < 1e-3 else 1e-8
    assert ratio == pytest.approx(found.values["humidity_ratio"], abs=margin)


@QUICK
@given(st.binary(max_size=200))
def test_foreign_state_is_refused(junk: bytes) -> None:
    with pytest.raises(StorageError):
        make("lethality", {"definition": "f0"}).restore(junk)


def test_state_of_other_parameters_is_refused() -> None:
    state = make("lethality", {"definition": "f0"}).state()
    with pytest.raises(StorageError, match="other parameters"):
        make("lethality", {"definition": "pu-z7"}).restore(state)
    with pytest.raises(StorageError, match="another calculation"):
        make("mkt", {}).restore(state)
    damaged = bytearray(state)
    damaged[-3] ^= 1
    with pytest.raises(StorageError, match="damaged"):
        make("lethality", {"definition": "f0"}).restore(bytes(damaged))


@pytest.mark.parametrize("name", sorted(SMALLEST))
def test_memory_does_not_grow(name: str) -> None:
    calculation = make(name, SMALLEST[name])
    lengths = []
    for number in range(3000):
        calculation.feed(number * 10.0, 20.0 + math.sin(number))
        if number in {1000, 2999}:
            lengths.append(len(calculation.state()))
    assert abs(lengths[1] - lengths[0]) < 60


@QUICK
@given(st.text(alphabet="T0123456789.+-*/^()expasqrtlogn ,_[]{}'\"=:", max_size=60))
def test_any_text_is_a_formula_or_is_refused(text: str) -> None:
    try:
        formula = Formula(text, {"a": 1.0})
    except FormulaError:
        return
    if set(formula.names) <= {"T"}:
        value = formula({"T": 3.0})
        assert value is None or math.isfinite(value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "T.real",
        "T[0]",
        "lambda: 1",
        "exp(T, 2)",
        "exp(*T)",
        "open(T)",
        "1 if T else 2",
        "'a'",
        "True",
        "",
        "(" * 300 + "T" + ")" * 300,
        "T+" * 500 + "T",
        "1" * 3000,
    ],
)
def test_what_is_not_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-T^2", -9.0),
        ("2^-1", 0.5),
        ("2^3^2", 512.0),
        ("log(exp(T))", 3.0),
        ("sqrt(T+1)", 2.0),
        ("log10(1000)", 3.0),
        ("(T-5)^0.5", None),
        ("1/(T-3)", None),
        ("exp(T^9)", None),
        ("log(0)", None),
        ("9^9^9^9", None),
    ],
)
def test_arithmetic(text: str, value: float | None) -> None:
    found = Formula(text)({"T": 3.0})
    assert found == (pytest.approx(value) if value is not None else None)
