"""Every published value is reproduced within its printed rounding. Sources stand in tests/process/data."""

import math

import pytest
from process_tools import published

from gateway.assess.process import air
from gateway.assess.process.formula import Formula
from gateway.assess.process.models import built_in
from gateway.assess.process.offline import calculate, evaluate
from gateway.assess.process.outcome import PointValue, Refusal, Result
from gateway.assess.process.tables import entries

FSIS = published("fsis_appendix_a_beef_salmonella")["rows"]
MODELS = published("growth_models_sample")["models"]


def value(name: str, parameters: dict[str, object], at: float, **more: float) -> PointValue:
    found = evaluate(name, parameters, at, more)
    assert isinstance(found, PointValue), found
    return found


def refusal(name: str, parameters: dict[str, object], at: float) -> Refusal:
    found = evaluate(name, parameters, at)
    assert isinstance(found, Refusal), found
    return found


def result(name: str, parameters: dict[str, object], rows: list[tuple[float, float]]) -> Result:
    found = calculate(name, parameters, rows)
    assert isinstance(found, Result), found
    return found


class TestHeat:
    @pytest.mark.parametrize(("table", "column"), [("fsis-a-6.5log", "t_6_5log_s"), ("fsis-a-7log", "t_7log_s")])
    @pytest.mark.parametrize("row", FSIS, ids=lambda row: f"{row['temp_f']}F")
    def test_fsis_appendix_a_on_both_scales(self, row: dict[str, float], table: str, column: str) -> None:
        assert value("heat-table", {"table": table}, row["temp_c"]).value == row[column]
        assert value("heat-table", {"table": table, "unit": "F"}, row["temp_f"]).value == row[column]
        assert value("heat-table", {"table": table}, (row["temp_f"] - 32) / 1.8).value == row[column]

    def test_fsis_appendix_a_below_and_above_the_table(self) -> None:
        assert refusal("heat-table", {"table": "fsis-a-6.5log"}, 54.3).reason == "below-the-table"
        assert value("heat-table", {"table": "fsis-a-6.5log"}, 75.0).value == 0

    @pytest.mark.parametrize("row", published("fsa_cfa_nonproteolytic_cbotulinum_90C_10min")["rows"])
    def test_90_degrees_10_minutes_equivalents(self, row: dict[str, float]) -> None:
        assert value("heat-table", {"table": "cfa-90c-10min"}, row["temp_c"]).value / 60 == pytest.approx(
            row["minutes"], abs=1e-9
        )
        pair = value("lethality", {"definition": "p90-cfa", "target": 10.0}, row["temp_c"])
        assert pair.values["seconds_for_target"] / 60 == pytest.approx(row["minutes"], rel=0.033)

    @pytest.mark.parametrize("row", published("milk_pasteurisation_legal")["us_milk"])
    def test_milk_law(self, row: dict[str, float]) -> None:
        assert value("heat-table", {"table": "us-milk"}, row["temp_c"]).value == row["seconds"]
        assert value("heat-table", {"table": "us-milk", "unit": "F"}, row["temp_f"]).value == row["seconds"]
        raised = row.get("fat_or_sweetener_plus_c", 0)
        rich = {"table": "us-milk", "fat_percent": 10.0}
        assert value("heat-table", rich, row["temp_c"] + raised).value == row["seconds"]
        sweet = {"table": "us-milk", "sweetened": True, "unit": "F"}
        assert (
            value("heat-table", sweet, row["temp_f"] + row.get("fat_or_sweetener_plus_f", 0)).value
            == row["seconds"]
        )

    def test_rich_milk_at_the_plain_temperature_needs_the_longer_time(self) -> None:
        assert value("heat-table", {"table": "us-milk"}, 72.0).value == 15
        assert value("heat-table", {"table": "us-milk", "fat_percent": 12.0}, 72.0).value == 1800
        assert value("heat-table", {"table": "us-milk", "fat_percent": 9.9}, 72.0).value == 15
        assert refusal("heat-table", {"table": "us-milk", "fat_percent": 12.0}, 63.0).reason == "below-the-table"

    @pytest.mark.parametrize("row", published("milk_pasteurisation_legal")["us_eggnog"])
    def test_eggnog(self, row: dict[str, float]) -> None:
        assert value("heat-table", {"table": "us-eggnog"}, row["temp_c"]).value == row["seconds"]

    def test_european_milk(self) -> None:
        assert value("heat-table", {"table": "eu-milk"}, 72.0).value == 15
        assert value("heat-table", {"table": "eu-milk"}, 71.9).value == 1800

    @pytest.mark.parametrize(
        ("table", "at", "unit", "seconds"),
        [
            ("food-code-comminuted", 63, "C", 180),
            ("food-code-comminuted", 150, "F", 60),
            ("food-code-comminuted", 155, "F", 17),
            ("food-code-comminuted", 70, "C", 0),
            ("food-code-roast", 140, "F", 720),
            ("food-code-roast", 132, "F", 5340),
            ("food-code-roast-7log", 134, "F", 2820),
            ("uk-70c-2min", 60, "C", 2700),
            ("uk-70c-2min", 79, "C", 30),
            ("uk-ice-cream", 71.1, "C", 600),
            ("us-egg-albumen", 134, "F", 210),
            ("us-egg-salt-yolk", 144, "F", 372),
            ("us-egg-whole", 60, "C", 210),
        ],
    )
    def test_other_tables(self, table: str, at: float, unit: str, seconds: float) -> None:
        assert value("heat-table", {"table": table, "unit": unit}, at).value == seconds

    @pytest.mark.parametrize("vector", published("f0_lethality")["vectors"])
    def test_lethal_rate(self, vector: dict[str, float]) -> None:
        own = {"reference_c": vector["Tref"], "z_k": vector["z"]}
        assert value("lethality", own, vector["T"]).value == pytest.approx(vector["L"], abs=0.0005)
        assert value("lethality", {"definition": "f0"}, vector["T"]).value == pytest.approx(vector["L"], abs=0.0005)

    @pytest.mark.parametrize(
        ("celsius", "rate"),
        [(63, 0.117), (64, 0.158), (65, 0.215), (68, 0.541), (70, 1.0), (75, 4.642), (80, 21.544)],
    )
    def test_listeria_rates_of_the_fda_guidance(self, celsius: float, rate: float) -> None:
        assert value("lethality", {"definition": "p70-listeria"}, celsius).value == pytest.approx(rate, abs=0.0006)

    @pytest.mark.parametrize(("celsius", "minutes"), [(85, 51.8), (90, 10.0), (91, 7.9), (95, 3.2), (100, 1.0)])
    def test_nonproteolytic_botulinum_times_of_the_fda_guidance(self, celsius: float, minutes: float) -> None:
        found = value("lethality", {"definition": "p90-fda", "target": 10.0}, celsius)
        assert found.values["seconds_for_target"] / 60 == pytest.approx(minutes, abs=0.06)

    @pytest.mark.parametrize("vector", published("pasteurisation_units")["vectors"])
    def test_pasteurisation_units(self, vector: dict[str, object]) -> None:
        profile = vector["profile"]
        assert isinstance(profile, list)
        ((celsius, minutes),) = profile
        parameters: dict[str, object] = {"reference_c": float(str(vector["tref"])), "z_k": float(str(vector["z"]))}
        parameters |= {"cutoff_c": float(str(vector["cutoff"]))} if "cutoff" in vector else {}
        parameters["max_gap_s"] = 1e6
        found = result("lethality", parameters, [(0.0, celsius), (minutes * 60, celsius)])
        assert found.value == pytest.approx(float(str(vector["pu"])), abs=1e-9)

    def test_the_two_definitions_of_beer_differ_as_stated(self) -> None:
        one = value("lethality", {"definition": "pu-del-vecchio"}, 70).value
        other = value("lethality", {"definition": "pu-z7"}, 70).value
        assert one == pytest.approx(1.393**10)
        assert one / other == pytest.approx(1.025, abs=0.001)


class TestMeanKinetic:
    def test_52_weekly_means(self) -> None:
        for case in published("mean_kinetic_temperature")["published"]:
            rows = [(week * 604800.0, celsius) for week, celsius in enumerate(case["temps_c"])]
            assert result("mkt", {}, rows).value == pytest.approx(case["mkt_c"], abs=case["tol"])

    @pytest.mark.parametrize("case", published("mean_kinetic_temperature")["derived_mpmath_30_digits"])
    @pytest.mark.parametrize(("kelvin", "key"), [(273.1, "mkt_offset_273_1"), (273.15, "mkt_offset_273_15")])
    def test_series_computed_with_30_digits(self, case: dict[str, list[float]], kelvin: float, key: str) -> None:
        weights = case["weights"] or [1] * len(case["temps_c"])
        series = [
            celsius for celsius, weight in zip(case["temps_c"], weights, strict=True) for _ in range(int(weight))
        ]
        listed = result("mkt", {"kelvin": kelvin, "weighting": "equal"}, list(enumerate(map(float, series))))
        assert listed.value == pytest.approx(case[key], abs=1e-8)
        if not case["weights"]:
            even = [(number * 600.0, celsius) for number, celsius in enumerate(series)]
            assert result("mkt", {"kelvin": kelvin}, even).value == pytest.approx(case[key], abs=1e-8)


class TestGrowth:
    @pytest.mark.parametrize("model", MODELS, ids=lambda model: f"gropin-{model['gropin_id']}")
    def test_formulas_as_filed(self, model: dict[str, object]) -> None:
        constants = {str(name): float(text) for name, text in dict(model["constants"]).items()}  # type: ignore[call-overload]
        formula = Formula(str(model["formula"]), constants)
        for celsius, filed in model["vectors"]:  # type: ignore[attr-defined]
            assert formula({"T": celsius}) == pytest.approx(filed, rel=1e-8)

    @pytest.mark.parametrize("model", MODELS, ids=lambda model: f"gropin-{model['gropin_id']}")
    def test_models_by_id(self, model: dict[str, object]) -> None:
        for celsius, filed in model["vectors"]:  # type: ignore[attr-defined]
            found = value("growth", {"model": f"gropin-{model['gropin_id']}"}, celsius)
            assert found.values["formula_value"] == pytest.approx(filed, rel=1e-8)

    def test_every_built_in_model_has_a_real_rate_over_its_whole_domain(self) -> None:
        for name in entries("growth", "model"):
            model = built_in(name)
            conditions = {key: sum(ends) / 2 for key, ends in model.domain.items() if key != "T"}
            low, high = model.domain["T"]
            if model.no_rate:
                continue
            for part in range(21):
                assert model.mu(low + (high - low) * part / 20, conditions) >= 0, name

    @pytest.mark.parametrize(
        ("model", "celsius", "mu"),
        [
            ("gropin-364", 5.0, (0.024 * 7.32) ** 2),
            ("gropin-253", 5.0, 2.302585 * (0.058 * 6.03) ** 2 / 24),
            ("gropin-429", 5.0, (0.03346 * 12.7) ** 2),
            ("gropin-355", 20.0, (0.0356 * 17.67) ** 2),
            ("gropin-1253", 20.0, (0.02991 * (20 - 3.581)) ** 2),
            ("gropin-269", 40.0, 0.00243 * 26.5**2 * (1 - math.exp(0.41 * (40 - 50.6)))),
        ],
    )
    def test_rates_in_one_unit(self, model: str, celsius: float, mu: float) -> None:
        found = value("growth", {"model": model}, celsius)
        assert found.unit == "1/h"
        assert found.value == pytest.approx(mu, rel=1e-12)

    @pytest.mark.parametrize("form", ["square-root", "ratkowsky", "rosso", "arrhenius", "log-linear", "huang"])
    def test_named_forms(self, form: str) -> None:
        constants = {
            "square-root": {"b": 0.024, "Tmin": -2.32},
            "ratkowsky": {"b": 0.03772, "Tmin": -6.1, "c": 0.1719, "Tmax": 41.2},
            "rosso": {"mu_opt": 0.58, "Tmin": -7.8, "Topt": 24.6, "Tmax": 30.0},
            "arrhenius": {"mu_ref": 0.067, "Ea": 68.4, "T_ref": 0.0},
            "log-linear": {"a": -2.5, "b": 0.2},
            "huang": {"a": 0.07, "Tmin": 3.47},
        }[form]
        expected = {
            "square-root": (0.024 * 12.32) ** 2,
            "ratkowsky": (0.03772 * 16.1 * (1 - math.exp(0.1719 * (10 - 41.2)))) ** 2,
            "rosso": 0.58
            * (10 - 30)
            * (10 + 7.8) ** 2
            / ((24.6 + 7.8) * ((24.6 + 7.8) * (10 - 24.6) - (24.6 - 30) * (24.6 - 7.8 - 20))),
            "arrhenius": 0.067 * math.exp(-68.4 / 0.008314462618 * (1 / 283.15 - 1 / 273.15)),
            "log-linear": math.exp(-0.5),
            "huang": (0.07 * (10 - 3.47) ** 0.75) ** 2,
        }[form]
        own: dict[str, object] = {"form": form, "constants": constants, "low_c": 4.0, "high_c": 25.0}
        assert value("growth", own, 10.0).value == pytest.approx(expected, rel=1e-12)


class TestShelfLife:
    def test_sssp_examples(self) -> None:
        known: dict[str, object] = {"known_c": 5.0, "known_days": 21.0}
        root = value("shelf-life", {"kind": "square-root", "t_min_c": -10.0, **known}, 0.0)
        assert root.value == pytest.approx(47.2, abs=0.1)
        arrhenius = value("shelf-life", {"kind": "arrhenius", "ea_kj": 100.0, **known}, 0.0)
        assert arrhenius.value == pytest.approx(46.4, abs=0.1)

    def test_q10(self) -> None:
        own: dict[str, object] = {"kind": "q10", "q10": 2.5, "known_c": 20.0, "known_days": 14.0}
        assert value("shelf-life", own, 4.0).value == pytest.approx(60.7, abs=0.06)
        own = {"kind": "q10", "q10": 2.0, "known_c": 20.0, "known_days": 20.0}
        assert value("shelf-life", own, 30.0).value == pytest.approx(10.0)

    @pytest.mark.parametrize(("first", "second", "total"), [(5.0, 15.0, 20), (15.0, 5.0, 24)])
    @pytest.mark.parametrize("at_zero", [57.0, 57.9])
    def test_cold_smoked_salmon_in_two_phases(
        self, first: float, second: float, total: float, at_zero: float
    ) -> None:
        phase_s = 8.9 * 86400
        rows = [(number * 3600.0, first) for number in range(int(phase_s // 3600))]
        parameters: dict[str, object] = {
            "product": "cold-smoked-salmon",
            "known_c": 0.0,
            "known_days": at_zero,
            "later_c": second,
        }
        found = result("shelf-life", parameters, [*rows, (phase_s, first)])
        assert 8.9 + found.value == pytest.approx(total, abs=0.55)


class TestMoistAir:
    VECTORS = published("psychrometrics_ashrae")

    @pytest.mark.parametrize("vector", VECTORS["sat_vapour_pressure_pa"])
    def test_saturation_pressure(self, vector: dict[str, float]) -> None:
        margin = vector["abs"] if "abs" in vector else vector["rel"] * vector["p"]
        assert value("moisture", {}, vector["T"]).value == pytest.approx(vector["p"], abs=margin)

    @pytest.mark.parametrize("vector", VECTORS["sat_hum_ratio_101325"])
    def test_saturated_humidity_ratio(self, vector: dict[str, float]) -> None:
        ratio = value("moisture", {}, vector["T"]).values["humidity_ratio"]
        assert ratio == pytest.approx(vector["W"], rel=vector["rel"])

    def test_example_1(self) -> None:
        example = self.VECTORS["example1"]
        found = value("moisture", {"by": "wet", "wet_c": float(example["T_wet"])}, example["T_dry"]).values
        assert found["humidity_ratio"] == pytest.approx(example["W"], abs=0.0001)
        assert found["dew_point_c"] == pytest.approx(example["T_dew"], abs=example["T_dew_abs"])
        assert found["rh_over_water"] / 100 == pytest.approx(example["RH"], abs=example["RH_abs"])
        assert found["enthalpy_j_kg"] == pytest.approx(example["h"], abs=example["h_abs"])

    @pytest.mark.parametrize("vector", VECTORS["std_atm"])
    def test_standard_atmosphere(self, vector: dict[str, float]) -> None:
        assert air.standard_pressure(vector["alt"]) == pytest.approx(vector["p"], abs=vector["abs"])

    def test_water_and_ice_differ_as_measured(self) -> None:
        """A Magnus formula over water is 22.0 % above the ice table at -20 degC, 5.1 % at -5 degC."""
        for celsius, percent in ((-20.0, 22.0), (-5.0, 5.1)):
            ratio = air.saturation_pressure(celsius, "water") / air.saturation_pressure(celsius, "ice")
            assert 100 * (ratio - 1) == pytest.approx(percent, abs=0.6)

    @pytest.mark.parametrize(("celsius", "pascal"), [(-20.0, 125.4), (-40.0, 18.9), (-10.0, 286.6)])
    def test_supercooled_water(self, celsius: float, pascal: float) -> None:
        """WMO (Goff and Gratch) values over water, which Murphy and Koop follow closely down to -40 degC."""
        assert air.saturation_pressure(celsius, "water") == pytest.approx(pascal, rel=0.005)


class TestCooling:
    def test_the_rules_as_published(self) -> None:
        rules = {rule["id"]: rule for rule in published("cooling_rules")["rules"]}
        ours = entries("cooling", "rule")
        pairs = {
            "food-code-two-stage": "food_code_two_stage",
            "food-code-ambient": "food_code_ambient_ingredients",
            "fsis-b-option-1": "fsis_b_option1_uncured",
            "fsis-b-option-3-cured": "fsis_b_option3_cured",
            "california-910-15": "california_910_15",
        }
        for mine, theirs in pairs.items():
            for stage, given in zip(ours[mine]["stage"], rules[theirs]["stages"], strict=True):
                assert stage["max_h"] == given["max_h"]
                for key in ("from_c", "to_c", "from_f", "to_f"):
                    if given.get(key) is not None:
                        assert stage[key] == given[key]
