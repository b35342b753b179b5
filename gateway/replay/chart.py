"""A plain picture of a replay: the values of each point with its limits, and bars where an alarm was active."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from math import isnan
from pathlib import Path
from xml.sax.saxutils import escape

from gateway.errors import AuroraError
from gateway.model import Tier
from gateway.site import PointSpec, Site

__all__ = ["Chart"]

WIDTH, LEFT, RIGHT = 1200, 60, 1190
STRIP, BAR, HEAD, FOOT = 160, 8, 22, 20
COLOURS = {Tier.CRITICAL: "#b3001b", Tier.ALERT: "#c77700", Tier.MAINTENANCE: "#5b6770", Tier.ADVISORY: "#2a6f97"}


class Chart:
    """Collects values by "device.channel" and draws them, one strip for each point."""

    def __init__(self) -> None:
        self._times: dict[str, array[int]] = {}
        self._values: dict[str, array[float]] = {}

    def value(self, channel: str, utc_ms: int, value: float) -> None:
        """One value (NaN: none) at a time in Unix milliseconds; times rise."""
        if channel not in self._times:
            self._times[channel], self._values[channel] = array("q"), array("d")
        self._times[channel].append(utc_ms)
        self._values[channel].append(value)

    def write(self, path: Path, site: Site, spans: Mapping[str, Sequence[tuple[int, int | None]]]) -> None:
        """Draw into a file. Raises `AuroraError` when it cannot be written or nothing is to be drawn."""
        points = [point for point in site.points if f"{point.device}.{point.channel}" in self._times]
        if not points:
            raise AuroraError("there is nothing to draw: no values with a known time")
        first = min(times[0] for times in self._times.values())
        last = max(times[-1] for times in self._times.values())
        parts: list[str] = []
        top = 0
        for point in points:
            mine = {alarm: list(one) for alarm, one in spans.items() if alarm.startswith(f"{point.id}/")}
            parts.append(self._strip(point, mine, (first, max(last, first + 1)), top))
            top += HEAD + STRIP + BAR * len(mine) + FOOT
        body = "\n".join(parts)
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="sans-serif"'
            f' font-size="11">\n<rect width="{WIDTH}" height="{top}" fill="white"/>\n{body}\n</svg>\n'
        )
        try:
            path.write_text(svg, encoding="utf-8")
        except OSError as error:
            raise AuroraError(f"{path} cannot be written ({error.strerror})") from error

    def _strip(
        self,
        point: PointSpec,
        spans: Mapping[str, Sequence[tuple[int, int | None]]],
        time: tuple[int, int],
        top: int,
    ) -> str:
        channel = f"{point.device}.{point.channel}"
        times, values = self._times[channel], self._values[channel]
        limits = [] if point.profile is None else [(one.rule, one.limit, one.tier) for one in point.profile.limits]
        shown = [value for value in values if not isnan(value)] + [limit for _, limit, _ in limits]
        low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        upper, lower = top + HEAD, top + HEAD + STRIP

        def x(at_ms: int) -> float:
            return LEFT + (RIGHT - LEFT) * (at_ms - time[0]) / (time[1] - time[0])

        def y(value: float) -> float:
            return lower - (lower - upper) * (value - low) / (high - low)

        unit = "" if point.profile is None else point.profile.unit
        parts = [f'<text x="{LEFT}" y="{top + 15}" font-weight="bold">{escape(point.name)} ({escape(unit)})</text>']
        parts += [
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
            for value in (round(low, 2), round(high, 2))
        ]
        for rule, limit, tier in limits:
            parts.append(
                f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" stroke="{COLOURS[tier]}"'
                f' stroke-dasharray="4 3"><title>{rule} {limit:g}</title></line>'
            )
        path = "".join(self._path(times, values, time, y))
        parts.append(f'<path d="{path}" fill="none" stroke="#12355b" stroke-width="1"/>')
        for row, (alarm, one) in enumerate(sorted(spans.items())):
            bar_top = lower + 4 + row * BAR
            tier = next((t for r, _, t in limits if alarm.endswith(f"/{r}")), Tier.MAINTENANCE)
            for began, ended in one:
                width = max(1.0, x(time[1] if ended is None else ended) - x(began))
                title = f"<title>{escape(alarm)} from {_words(began)}</title>"
                parts.append(
                    f'<rect x="{x(began):.1f}" y="{bar_top}" width="{width:.1f}" height="{BAR - 2}"'
                    f' fill="{COLOURS[tier]}">{title}</rect>'
                )
        foot = lower + BAR * len(spans) + 16
        parts.append(f'<text x="{LEFT}" y="{foot}">{_words(time[0])}</text>')
        parts.append(f'<text x="{RIGHT}" y="{foot}" text-anchor="end">{_words(time[1])} UTC</text>')
        return "\n".join(parts)

    @staticmethod
    def _path(
        times: "array[int]", values: "array[float]", time: tuple[int, int], y: Callable[[float], float]
    ) -> list[str]:
        """Lowest and highest value of each pixel; a pixel without a value is a hole, as is a long silence."""
        pixels = RIGHT - LEFT
        edges = [bisect_left(times, time[0] + (time[1] - time[0]) * pixel // pixels) for pixel in range(pixels)]
        edges.append(len(times))
        sparse = len(times) < 2 * pixels
        found: list[str] = []
        pen_down, silent = False, 0
        for pixel, (start, end) in enumerate(pairwise(edges)):
            held = [value for value in values[start:end] if not isnan(value)]
            if not held:
                silent += 1
                pen_down = pen_down and end == start and (sparse and silent < 2 + 3 * pixels // max(1, len(times)))
                continue
            silent = 0
            low, high = min(held), max(held)
            found.append(f"{'L' if pen_down else 'M'}{LEFT + pixel} {y(low):.1f}")
            if high != low:
                found.append(f"L{LEFT + pixel} {y(high):.1f}")
            pen_down = True
        return found


def _words(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
