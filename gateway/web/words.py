"""Values, ages and sizes for the eye."""

from gateway.language import DASH, Language

__all__ = ["age", "size"]


def age(seconds: float | None, t: Language) -> str:
    """How long ago or until, in the largest fitting unit; a dash where it is not known."""
    if seconds is None:
        return DASH
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{t.number(seconds / divisor, 0)} {unit}"
    return f"{t.number(seconds / 86_400, 0)} {t.facts.day}"


def size(count: float, t: Language) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{t.number(count, 0 if unit == 'B' else 1)} {unit}"
        count /= 1000
    return f"{t.number(count, 1)} GB"
