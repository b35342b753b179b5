"""Moist air: saturation pressure over water and over ice, dew point, humidity ratio, wet bulb. Pure functions, SI.

Source: ASHRAE Handbook Fundamentals (2017) chapter 1 (Hyland and Wexler 1983) over water from 0 to 200 degC and
over ice from -100 to 0 degC; over supercooled water, for which that has no formula, Murphy and Koop 2005 (Q. J. R.
Meteorol. Soc. 131, eq. 10). The enhancement factor of real air (below 0.5 % at atmospheric pressure) is left out,
as in ASHRAE's equations.
"""

import math
from collections.abc import Callable
from typing import Literal

__all__ = [
    "MOLAR_RATIO",
    "Phase",
    "absolute_humidity",
    "dew_point",
    "enthalpy",
    "humidity_from_wet_bulb",
    "humidity_ratio",
    "saturation_pressure",
    "standard_pressure",
    "wet_bulb",
]

Phase = Literal["water", "ice"]

MOLAR_RATIO = 0.621945
GAS_VAPOUR = 461.524
"""J/(kg K)."""
LOWEST_C = -100.0
HIGHEST_C = 200.0
SUPERCOOLED_C = -100.0
SPAN_C = 1e-9
"""How closely inversions are driven."""


def saturation_pressure(celsius: float, over: Phase) -> float:
    """Pa over a plane surface of water or of ice. Raises `ValueError` outside -100 to 200 degC, and over ice above
    0.01."""
    if not LOWEST_C <= celsius <= HIGHEST_C:
        raise ValueError(f"{celsius:g} degC lies outside {LOWEST_C:g} to {HIGHEST_C:g} degC")
    kelvin = celsius + 273.15
    if over == "ice":
        if celsius > 0.01:
            raise ValueError(f"there is no ice at {celsius:g} degC")
        return _over_ice(kelvin)
    return _over_water(kelvin) if celsius >= 0 else _over_supercooled(kelvin)


def _over_ice(t: float) -> float:
    return math.exp(
        -5.6745359e3 / t
        + 6.3925247
        - 9.677843e-3 * t
        + 6.2215701e-7 * t**2
        + 2.0747825e-9 * t**3
        - 9.484024e-13 * t**4
        + 4.1635019 * math.log(t)
    )


def _over_water(t: float) -> float:
    return math.exp(
        -5.8002206e3 / t
        + 1.3914993
        - 4.8640239e-2 * t
        + 4.1764768e-5 * t**2
        - 1.4452093e-8 * t**3
        + 6.5459673 * math.log(t)
    )


def _over_supercooled(t: float) -> float:
    return math.exp(
        54.842763
        - 6763.22 / t
        - 4.210 * math.log(t)
        + 0.000367 * t
        + math.tanh(0.0415 * (t - 218.8)) * (53.878 - 1331.22 / t - 9.44523 * math.log(t) + 0.014025 * t)
    )


def dew_point(pressure_pa: float, over: Phase) -> float:
    """Temperature in degC at which a vapour pressure saturates over water (dew point) or over ice (frost point).

    Raises `ValueError` where there is none: over ice above 611.2 Pa, or outside -100 to 200 degC.
    """
    top = 0.0 if over == "ice" else HIGHEST_C
    low, high = saturation_pressure(LOWEST_C, over), saturation_pressure(top, over)
    if not low <= pressure_pa <= high:
        raise ValueError(f"{pressure_pa:g} Pa has no saturation over {over} between {LOWEST_C:g} and {top:g} degC")
    return _root(lambda celsius: saturation_pressure(celsius, over) - pressure_pa, LOWEST_C, top)


def humidity_ratio(vapour_pa: float, pressure_pa: float) -> float:
    """kg of vapour in a kg of dry air. Raises `ValueError` where the vapour is not below the pressure."""
    if not 0 <= vapour_pa < pressure_pa:
        raise ValueError(f"a vapour pressure of {vapour_pa:g} Pa is not below {pressure_pa:g} Pa: the water boils")
    return MOLAR_RATIO * vapour_pa / (pressure_pa - vapour_pa)


def absolute_humidity(vapour_pa: float, celsius: float) -> float:
    """g of vapour in a cubic metre, as an ideal gas."""
    return 1000 * vapour_pa / (GAS_VAPOUR * (celsius + 273.15))


def enthalpy(celsius: float, ratio: float) -> float:
    """J for a kg of dry air, from 0 degC (ASHRAE 2017, ch. 1 eq. 30)."""
    return (1.006 * celsius + ratio * (2501 + 1.86 * celsius)) * 1000


def humidity_from_wet_bulb(celsius: float, wet_c: float, pressure_pa: float) -> float:
    """Humidity ratio from dry and wet bulb (ASHRAE 2017, ch. 1 eq. 33 and 35: over ice below 0 degC)."""
    if wet_c > celsius:
        raise ValueError("the wet bulb cannot be warmer than the dry bulb")
    frozen = wet_c < 0
    saturated = humidity_ratio(saturation_pressure(wet_c, "ice" if frozen else "water"), pressure_pa)
    if frozen:
        above = (2830 - 0.24 * wet_c) * saturated - 1.006 * (celsius - wet_c)
        return above / (2830 + 1.86 * celsius - 2.1 * wet_c)
    above = (2501 - 2.326 * wet_c) * saturated - 1.006 * (celsius - wet_c)
    return above / (2501 + 1.86 * celsius - 4.186 * wet_c)


def wet_bulb(celsius: float, ratio: float, pressure_pa: float) -> float:
    """degC of the thermodynamic wet bulb. Raises `ValueError` where there is none in -100 degC up to the dry
    bulb."""

    def surplus(wet_c: float) -> float:
        return humidity_from_wet_bulb(celsius, wet_c, pressure_pa) - ratio

    low = LOWEST_C
    if surplus(low) > 0 or surplus(celsius) < -1e-9:
        raise ValueError("no wet bulb between -100 degC and the dry bulb")
    return _root(surplus, low, celsius)


def standard_pressure(altitude_m: float) -> float:
    """Pa of the standard atmosphere (ASHRAE 2017, ch. 1 eq. 3). Raises `ValueError` outside -5000 to 11000 m."""
    if not -5000 <= altitude_m <= 11000:
        raise ValueError(f"{altitude_m:g} m lies outside -5000 to 11000 m")
    return float(101325 * (1 - 2.25577e-5 * altitude_m) ** 5.2559)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is zero, by halving."""
    while high - low > SPAN_C:
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
