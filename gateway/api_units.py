"""Units of measurement as other systems write them: common codes of UN/ECE Recommendation 20."""

from collections.abc import Mapping

__all__ = ["CODES"]

CODES: Mapping[str, str] = {
    "degC": "CEL",
    "K": "KEL",
    "%RH": "P1",
    "g/m3": "A93",
    "Pa": "PAL",
    "hPa": "A97",
    "kPa": "KPA",
    "bar": "BAR",
    "V": "VLT",
    "A": "AMP",
    "W": "WTT",
    "kW": "KWT",
    "Wh": "WHR",
    "kWh": "KWH",
    "Hz": "HTZ",
    "ohm": "OHM",
    "s": "SEC",
    "kg": "KGM",
    "g": "GRM",
    "m/s": "MTS",
    "%": "P1",
    "g/kg": "GK",
    "pH": "Q30",
}
"""Our units to their common codes (annexes I to III)."""
