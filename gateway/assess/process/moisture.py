"""Dew point, frost point, absolute humidity and their like from temperature and relative humidity (or wet bulb)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gateway.assess.process.air import (
    HIGHEST_C,
    LOWEST_C,
    MOLAR_RATIO,
    Phase,
    absolute_humidity,
    dew_point,
    enthalpy,
    humidity_from_wet_bulb,
    humidity_ratio,
    saturation_pressure,
    standard_pressure,
    wet_bulb,
)
from gateway.assess.process.calculation import COMMON, Calculation, Sample, Unusable, max_gap, to_celsius
from gateway.assess.process.outcome import PointValue, Result
from gateway.assess.process.parameters import Parameter, ParameterProblem

__all__ = ["Moisture"]

MEND = "check the sensors, their units and the pressure"
TOO_DRY = "so dry that there is no dew point above -100 degC"


class Moisture(Calculation):
    """Moist air as it is now, and the extremes of its dew point.

    Below 0 degC a relative humidity may be over water (capacitive sensors, meteorology) or over ice; they differ by
    up to 22 % at -20 degC, so which one is meant must be said.
    """

    name = "moisture"
    title = "dew point, frost point, absolute humidity, humidity ratio, wet bulb, saturation pressure"
    also: ClassVar[Mapping[str, str]] = {"rh": "relative humidity, %", "wet": "wet bulb, degC"}
    shortest = 1
    parameters = (
        *COMMON,
        max_gap(3600.0),
        Parameter(
            name="rh_over",
            kind="text",
            words='below 0 degC: relative humidity is over "water" or over "ice"; must be said',
            choices=lambda: ("water", "ice"),
        ),
        Parameter(
            name="by",
            kind="text",
            words='"rh" or "wet": what is measured beside the temperature',
            default="rh",
            choices=lambda: ("rh", "wet"),
        ),
        Parameter(
            name="rh",
            kind="number",
            unit="%",
            words="fixed relative humidity, where none is measured",
            low=0.0,
            high=100.0,
        ),
        Parameter(
            name="wet_c",
            kind="number",
            unit="degC",
            words="fixed wet bulb, where none is measured",
            low=-100.0,
            high=100.0,
        ),
        Parameter(
            name="pressure_pa",
            kind="number",
            unit="Pa",
            words="air pressure",
            default=101325.0,
            low=20000,
            high=120000,
        ),
        Parameter(
            name="altitude_m",
            kind="number",
            unit="m",
            words="altitude, instead of the pressure",
            low=-500,
            high=9000,
        ),
        Parameter(
            name="rh_u",
            kind="number",
            unit="%",
            words="expanded uncertainty of the relative humidity",
            low=0,
            high=20,
        ),
        Parameter(
            name="limit_dew_c",
            kind="number",
            unit="degC",
            words="dew point that must not be exceeded (a cold surface)",
            low=-100,
            high=100,
        ),
    )
    fields: ClassVar[tuple[str, ...]] = (*Calculation.fields, "latest", "highest_dew_c", "lowest_dew_c")

    def prepare(self) -> list[ParameterProblem]:
        """What is measured."""
        p = self.p
        by_wet = p["by"] == "wet"
        fixed = p["wet_c"] if by_wet else p["rh"]
        self.needs = () if fixed is not None else (("wet",) if by_wet else ("rh",))
        self.pressure = p["pressure_pa"] if p["altitude_m"] is None else standard_pressure(p["altitude_m"])
        self.formula = "moisture/hyland-wexler"
        self.source = (
            "ASHRAE Handbook Fundamentals 2017 ch. 1 (Hyland and Wexler 1983), over water and over ice; supercooled"
            " water: Murphy and Koop 2005"
        )
        return []

    @property
    def criterion(self) -> bool:
        """With a limit."""
        return self.p["limit_dew_c"] is not None

    def start(self) -> None:
        """Nothing measured."""
        self.latest: list[float] | None = None
        self.highest_dew_c: float | None = None
        self.lowest_dew_c: float | None = None

    def _second(self, more: Mapping[str, float | None]) -> float:
        name = "wet" if self.p["by"] == "wet" else "rh"
        given = more.get(name)
        if given is not None and name == "wet":
            given = to_celsius(given, self.p["unit"])
        fixed = self.p["wet_c" if name == "wet" else "rh"]
        second = given if given is not None else fixed
        if second is None:
            words = "no relative humidity is given" if name == "rh" else "no wet bulb is given"
            raise Unusable("input-missing", words, f"give {name}")
        return float(second)

    def account(self, celsius: float, second: float) -> dict[str, Any]:
        """All quantities of one state of the air. Raises `Unusable`."""
        self._within(celsius)
        try:
            vapour = self._vapour(celsius, second)
            ratio = humidity_ratio(vapour, self.pressure)
            return self._quantities(celsius, vapour, ratio)
        except ValueError as error:
            raise Unusable("outside-domain", str(error), MEND) from None

    def _vapour(self, celsius: float, second: float) -> float:
        if self.p["by"] == "wet":
            ratio = humidity_from_wet_bulb(celsius, second, self.pressure)
            if ratio < 0:
                raise ValueError("the wet bulb is colder than perfectly dry air could make it")
            return ratio * self.pressure / (MOLAR_RATIO + ratio)
        if not 0 <= second <= 100:
            words = f"{second:g} % is no relative humidity"
            raise Unusable("no-humidity", words, "check the humidity channel and its unit (%)")
        over: Phase = "water"
        if celsius < 0:
            if self.p["rh_over"] is None:
                words = "below 0 degC a relative humidity may be over water or over ice, and it is not said which"
                raise Unusable("phase-not-said", words, 'set rh_over = "water" (most sensors) or "ice"')
            over = self.p["rh_over"]
        return second / 100 * saturation_pressure(celsius, over)

    def _quantities(self, celsius: float, vapour: float, ratio: float) -> dict[str, Any]:
        over_water = saturation_pressure(celsius, "water")
        over_ice = saturation_pressure(celsius, "ice") if celsius <= 0 else None

        def or_none(find: Any, *arguments: Any) -> float | None:
            try:
                return float(find(*arguments))
            except ValueError:
                return None

        return {
            "vapour_pressure_pa": vapour,
            "saturation_water_pa": over_water,
            "saturation_ice_pa": over_ice,
            "rh_over_water": 100 * vapour / over_water,
            "rh_over_ice": 100 * vapour / over_ice if over_ice is not None else None,
            "dew_point_c": or_none(dew_point, vapour, "water"),
            "frost_point_c": or_none(dew_point, vapour, "ice"),
            "humidity_ratio": ratio,
            "absolute_humidity_g_m3": absolute_humidity(vapour, celsius),
            "wet_bulb_c": or_none(wet_bulb, celsius, ratio, self.pressure),
            "enthalpy_j_kg": enthalpy(celsius, ratio),
            "pressure_pa": self.pressure,
        }

    def _dew(self, celsius: float, second: float) -> float:
        """Dew point over water alone: what is followed at every sample."""
        self._within(celsius)
        try:
            vapour = self._vapour(celsius, second)
            humidity_ratio(vapour, self.pressure)
        except ValueError as error:
            raise Unusable("outside-domain", str(error), MEND) from None
        try:
            return dew_point(vapour, "water")
        except ValueError:
            raise Unusable("too-dry", TOO_DRY, MEND) from None

    def _within(self, celsius: float) -> None:
        if not LOWEST_C <= celsius <= HIGHEST_C:
            words = f"{celsius:g} degC lies outside -100 to 200 degC, where the formulas hold"
            raise Unusable("outside-domain", words, MEND)

    def step(self, sample: Sample) -> None:
        """Keep the newest state and the extremes."""
        second = self._second(sample.more)
        dew = self._dew(sample.value, second)
        self.latest = [sample.value, second]
        self.highest_dew_c = dew if self.highest_dew_c is None else max(dew, self.highest_dew_c)
        self.lowest_dew_c = dew if self.lowest_dew_c is None else min(dew, self.lowest_dew_c)
        limit = self.p["limit_dew_c"]
        if limit is not None and dew > limit:
            self.settled = False

    def answer(self, now: float, ended: bool) -> Result:
        """The air at the newest sample."""
        assert self.latest is not None
        celsius, second = self.latest
        values = self.account(celsius, second)
        limit = self.p["limit_dew_c"]
        passed = self.settled if limit is None or self.settled is False or not ended else True
        u_c, u_rh = self.u or 0.0, self.p["rh_u"] or 0.0
        top = 100.0 if self.p["by"] == "rh" else celsius - u_c
        values |= {"highest_dew_c": self.highest_dew_c, "lowest_dew_c": self.lowest_dew_c, "temperature_c": celsius}
        probe = None
        if self.u is not None:
            probe = (
                self._dew(celsius - u_c, max(second - u_rh, 0.01 if self.p["by"] == "rh" else second - u_rh)),
                self._dew(celsius + u_c, min(second + u_rh, top)),
            )
        dew = values["dew_point_c"]
        words = f"dew point {dew:.2f} degC over water"
        if values["frost_point_c"] is not None:
            words += f", frost point {values['frost_point_c']:.2f} degC over ice"
        return self.made(dew, "degC", words, now, passed=passed, probe=probe, values=values)

    def evaluate(self, sample: Sample) -> PointValue:
        """Saturation pressures at a temperature, and everything else where humidity or wet bulb is given."""
        name = "wet" if self.p["by"] == "wet" else "rh"
        if self.needs and sample.more.get(name) is None:
            return self._saturation(sample.value)
        values = self.account(sample.value, self._second(sample.more))
        dew = values["dew_point_c"]
        if dew is None:
            raise Unusable("too-dry", TOO_DRY, MEND)
        return self.point(sample.value, dew, "degC", f"dew point {dew:.2f} degC over water", values)

    def _saturation(self, value: float) -> PointValue:
        self._within(value)
        water = saturation_pressure(value, "water")
        ice = saturation_pressure(value, "ice") if value <= 0 else None
        over = self.p["rh_over"] or ("ice" if value < 0 else "water")
        if over == "ice" and ice is None:
            over = "water"
        pressure = ice if over == "ice" and ice is not None else water
        ratio = humidity_ratio(pressure, self.pressure) if pressure < self.pressure else None
        words = f"saturation pressure {pressure:.6g} Pa over {over}"
        values = {"over": over, "saturation_water_pa": water, "saturation_ice_pa": ice, "humidity_ratio": ratio}
        return self.point(value, pressure, "Pa", words, values)
