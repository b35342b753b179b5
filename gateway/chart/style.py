"""How the primitives look: one table for the screen (light and dark) and for the printed page.

Contrast of the colours (WCAG 2, on their background): trace 11.5 light, 8.5 dark; text above 7; each mark is told
from its neighbours by shape, dash, hatch or letter too, never by its colour alone.
"""

from typing import Final, Literal, NamedTuple

__all__ = ["DARK", "LIGHT", "STYLES", "Style", "css"]

LIGHT: Final = {
    "back": "#ffffff",
    "text": "#1b1f23",
    "muted": "#4d555c",
    "grid": "#d5d9dd",
    "axis": "#767e86",
    "trace": "#1f3a5f",
    "band": "#e9f1f7",
    "alarm": "#b00020",
    "on-alarm": "#ffffff",
    "warn": "#ffc23d",
    "warn-line": "#7a4b00",
    "fault": "#2a3d9c",
    "on-fault": "#ffffff",
    "bar": "#8fa3ad",
    "on-bar": "#1b1f23",
}
DARK: Final = {
    "back": "#212529",
    "text": "#eceff1",
    "muted": "#b3bac1",
    "grid": "#3a4147",
    "axis": "#868e96",
    "trace": "#9fc3f0",
    "band": "#26303a",
    "alarm": "#ff9096",
    "on-alarm": "#1b1f23",
    "warn": "#ffc23d",
    "warn-line": "#ffc23d",
    "fault": "#8ab4ff",
    "on-fault": "#1b1f23",
    "bar": "#5c6870",
    "on-bar": "#ffffff",
}


class Style(NamedTuple):
    """Names of colours, widths in points, opacity of the fill; ``size`` makes it a text style."""

    fill: str = ""
    stroke: str = ""
    width: float = 0.0
    dash: tuple[float, ...] = ()
    opacity: float = 1.0
    size: float = 0.0
    bold: bool = False
    halo: bool = False
    """Text on a rim of the background, so that lines behind it do not matter."""
    hatch: Literal["", "rising", "dots"] = ""


STYLES: Final[dict[str, Style]] = {
    "back": Style(fill="back"),
    "band": Style(fill="band"),
    "frame": Style(stroke="axis", width=1),
    "grid": Style(stroke="grid", width=0.6),
    "tick": Style(fill="muted", size=11),
    "small": Style(fill="muted", size=10),
    "limit-label": Style(fill="alarm", size=10.5, bold=True, halo=True),
    "alert-label": Style(fill="warn-line", size=10.5, bold=True, halo=True),
    "gap-label": Style(fill="fault", size=10.5, bold=True, halo=True),
    "critical-zone": Style(fill="alarm", opacity=0.1),
    "alert-zone": Style(fill="warn", opacity=0.16),
    "critical-limit": Style(stroke="alarm", width=1.4),
    "alert-limit": Style(stroke="warn-line", width=1.2, dash=(6, 3)),
    "trace": Style(stroke="trace", width=1.5),
    "doubt": Style(stroke="trace", width=1.5, dash=(3, 2.5)),
    "indicated": Style(stroke="muted", width=0.9, dash=(1, 2)),
    "gap": Style(fill="fault", stroke="fault", width=0.5, hatch="rising"),
    "unsure": Style(fill="trace", hatch="dots"),
    "critical": Style(fill="alarm", opacity=0.2),
    "alert": Style(fill="warn", opacity=0.3),
    "other": Style(fill="fault", opacity=0.14),
    "critical-tag": Style(fill="alarm"),
    "critical-tag-text": Style(fill="on-alarm", size=10, bold=True),
    "alert-tag": Style(fill="warn", stroke="warn-line", width=0.8),
    "alert-tag-text": Style(fill="text", size=10, bold=True),
    "other-tag": Style(fill="fault"),
    "other-tag-text": Style(fill="on-fault", size=10, bold=True),
    "bar": Style(fill="bar"),
    "bar-text": Style(fill="on-bar", size=9.5, bold=True),
    "instant": Style(stroke="muted", width=0.8, dash=(1.5, 2)),
    "instant-text": Style(fill="text", size=10, bold=True, halo=True),
}
# The tag of an alert is yellow on every background: its text stays dark.
LIGHT["on-warn"] = DARK["on-warn"] = "#1b1f23"
STYLES["alert-tag-text"] = STYLES["alert-tag-text"]._replace(fill="on-warn")


def css() -> str:
    """The style sheet of every chart of a page: custom properties, dark by preference, light on paper.

    A page that has its own switch sets ``data-theme`` on the root element.
    """
    light, dark = _properties(LIGHT), _properties(DARK)
    rules = [
        f".ac{{{light};background:var(--ac-back);max-width:100%;height:auto;display:block}}",
        f'@media screen and (prefers-color-scheme:dark){{:root:not([data-theme="light"]) .ac{{{dark}}}}}',
        f'@media screen{{:root[data-theme="dark"] .ac{{{dark}}}}}',
        ".ac text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;"
        "font-variant-numeric:tabular-nums lining-nums}",
        "@media print{.ac{print-color-adjust:exact;-webkit-print-color-adjust:exact}}",
        "@media (forced-colors:active){.ac{forced-color-adjust:none}}",
    ]
    return "\n".join(rules + [f".ac-{name}{{{_rule(name, style)}}}" for name, style in STYLES.items()]) + "\n"


def _properties(colours: dict[str, str]) -> str:
    return ";".join(f"--ac-{name}:{value}" for name, value in colours.items())


def _rule(name: str, style: Style) -> str:
    parts = []
    if style.hatch:
        # The fill is a pattern with an id of its own picture: an attribute there.
        parts.append(f"stroke:var(--ac-{style.stroke});stroke-width:{style.width:g}" if style.stroke else "")
        return ";".join(filter(None, parts))
    parts.append(f"fill:var(--ac-{style.fill})" if style.fill else "fill:none")
    if style.opacity != 1:
        parts.append(f"fill-opacity:{style.opacity:g}")
    if style.stroke:
        parts.append(f"stroke:var(--ac-{style.stroke});stroke-width:{style.width:g}")
    if style.dash:
        parts.append("stroke-dasharray:" + " ".join(f"{length:g}" for length in style.dash))
    if name in {"trace", "doubt", "indicated"}:
        parts.append("stroke-linejoin:round;stroke-linecap:" + ("butt" if style.dash else "round"))
    if style.size:
        parts.append(f"font-size:{style.size:g}px")
    if style.bold:
        parts.append("font-weight:600")
    if style.halo:
        parts.append("paint-order:stroke;stroke:var(--ac-back);stroke-width:3px;stroke-linejoin:round")
    return ";".join(parts)
