"""The small picture of the last hours beside a value: one bar a step from lowest to highest, gaps as gaps."""

from gateway.language import Language
from gateway.web.desk import GAP, VALUE, Trend

__all__ = ["sparkline"]

STEP = 2
HEIGHT = 32
LEAST = 10.0
"""The full height stands for ten of the last digit at least: noise must not look like an excursion."""


def sparkline(trend: Trend, decimals: int | None, unit: str, t: Language) -> str:
    """The picture as SVG; empty while there is nothing to show."""
    known = [n for n, mark in enumerate(trend.marks) if mark == VALUE]
    gaps = _runs([n for n, mark in enumerate(trend.marks) if mark == GAP])
    if not known and not gaps:
        return ""
    low, high = (min(trend.low[n] for n in known), max(trend.high[n] for n in known)) if known else (0.0, 0.0)
    rim = max(0.0, LEAST * 10.0 ** -(1 if decimals is None else decimals) - (high - low)) / 2
    bottom, top = low - rim, high + rim
    scale = (HEIGHT - 4) / (top - bottom) if top > bottom else 0.0
    width = STEP * len(trend.marks)
    hours = t.number(len(trend.marks) * trend.step_ms / 3_600_000, 0)
    if known:
        words = t(
            "Last {hours} h: lowest {low}, highest {high}",
            hours=hours,
            low=f"{t.number(low, decimals)}\N{NO-BREAK SPACE}{unit}",
            high=f"{t.number(high, decimals)}\N{NO-BREAK SPACE}{unit}",
        )
    else:
        words = t("Last {hours} h: no values", hours=hours)
    boxes = "".join(
        f'<rect x="{STEP * first}" y="0" width="{STEP * (last - first + 1)}" height="{HEIGHT}"/>'
        for first, last in gaps
    )
    bars = []
    for n in known:
        y1 = HEIGHT - 2 - (trend.low[n] - bottom) * scale
        y2 = HEIGHT - 2 - (trend.high[n] - bottom) * scale
        bars.append(f"M{STEP * n + 1} {y1 + 0.8:.0f}V{y2 - 0.8:.0f}")
    label = words.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return (
        f'<svg class="spark" viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><g class="gap">{boxes}</g><path d="{"".join(bars)}"/></svg>'
    )


def _runs(places: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1] = runs[-1][0], place
        else:
            runs.append((place, place))
    return runs
