"""Values, durations and units as a person reads them in the words of an alarm."""

__all__ = ["duration", "quantity"]

SIGNS = {"degC": "\N{DEGREE SIGN}C", "degF": "\N{DEGREE SIGN}F", "": ""}


def quantity(value: float, unit: str) -> str:
    """``7.25 °C``: at most two decimals, no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    sign = SIGNS.get(unit, unit)
    return f"{'0' if text == '-0' else text}{' ' if sign else ''}{sign}"


def duration(ms: float) -> str:
    """``45 s``, ``1 h 12 min``, ``3 d 4 h``: two steps at most."""
    seconds = max(0, round(ms / 1000))
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
