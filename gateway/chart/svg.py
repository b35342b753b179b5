"""A drawing as SVG: small, without script, readable by a screen reader, coloured by custom properties."""

from collections.abc import Iterator

from gateway.chart.drawing import Box, Drawing, Item, Line, Shape, Stroke, Words
from gateway.chart.style import STYLES, css

__all__ = ["escape", "svg"]

DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
"""Marks by which a name could make a line read otherwise than it was written."""


def escape(text: str) -> str:
    """Text for SVG, in content and attributes; characters that XML cannot hold become U+FFFD."""
    kept = "".join(char if _allowed(char) else "\N{REPLACEMENT CHARACTER}" for char in text)
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _allowed(char: str) -> bool:
    """The Char production of XML 1.0 (section 2.2), without controls and marks that turn the direction of text."""
    code = ord(char)
    if char in DIRECTIONS:
        return False
    return (
        char in "\t\n" or 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code <= 0xFFFD or code > 0xFFFF
    )


def svg(drawing: Drawing, *, name: str = "chart", extra: str = "", alone: bool = False) -> str:
    """The SVG element. ``name`` (letters, digits, hyphens) keeps the ids of several charts on one page apart.

    ``extra`` is a further class. ``alone`` makes a file of its own, with the style sheet (`css`) that is otherwise
    the page's: a strict content security policy allows none inside.
    """
    classes = f"ac {extra}".strip()
    facts = "".join(f' data-{key}="{escape(value)}"' for key, value in drawing.facts.items())
    space = ' xmlns="http://www.w3.org/2000/svg"' if alone else ""
    head = (
        f'<svg{space} class="{classes}" viewBox="0 0 {drawing.width:g} {drawing.height:g}" '
        f'width="{drawing.width:g}" height="{drawing.height:g}" role="img" '
        f'aria-labelledby="{name}-t {name}-d"{facts}>'
        f'<title id="{name}-t">{escape(drawing.title)}</title>'
        f'<desc id="{name}-d">{escape(drawing.description)}</desc>'
    )
    style = f"<style>{css()}</style>" if alone else ""
    return head + style + _patterns(drawing, name) + "".join(_items(drawing, name)) + "</svg>"


def _patterns(drawing: Drawing, name: str) -> str:
    used = {STYLES[item.style].hatch for item in drawing.items if isinstance(item, Box)} - {""}
    if not used:
        return ""
    parts = ["<defs>"]
    if "rising" in used:
        parts.append(
            f'<pattern id="{name}-rising" width="7" height="7" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path d="M0 0V7" stroke="var(--ac-fault)" stroke-width="1.6"/></pattern>'
        )
    if "dots" in used:
        parts.append(
            f'<pattern id="{name}-dots" width="4" height="4" patternUnits="userSpaceOnUse">'
            '<rect x="1" y="1" width="2" height="2" fill="var(--ac-trace)"/></pattern>'
        )
    return "".join(parts) + "</defs>"


def _items(drawing: Drawing, name: str) -> Iterator[str]:
    """Neighbours of one style share a group: most of a chart's bytes would be class names."""
    style = ""
    for item in drawing.items:
        if item.style != style:
            if style:
                yield "</g>"
            style = item.style
            hatch = STYLES[style].hatch
            fill = f' fill="url(#{name}-{hatch})"' if hatch else ""
            scale = ' transform="scale(.1)"' if isinstance(item, Stroke) else ""
            yield f'<g class="ac-{style}"{fill}{scale}>' if not scale else f"<g{scale}>"
        yield _item(item)
    if style:
        yield "</g>"


def _item(item: Item) -> str:
    match item:
        case Box(x, y, width, height, _, detail):
            shape = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
            return f"{shape}><title>{escape(detail)}</title></rect>" if detail else f"{shape}/>"
        case Line(x1, y1, x2, y2):
            if y1 == y2:
                return f'<path d="M{_n(x1)} {_n(y1)}H{_n(x2)}"/>'
            return f'<path d="M{_n(x1)} {_n(y1)}V{_n(y2)}"/>' if x1 == x2 else _slanted(item)
        case Shape(points):
            return '<path d="M' + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) + 'Z"/>'
        case Words(x, y, text, _, anchor):
            turn = f' text-anchor="{anchor}"' if anchor != "start" else ""
            return f'<text x="{_n(x)}" y="{_n(y)}"{turn}>{escape(text)}</text>'
        case Stroke(lines, style):
            # Widths are set in tenths like the points, since the group is scaled.
            look = STYLES[style]
            dash = f' stroke-dasharray="{" ".join(f"{10 * part:g}" for part in look.dash)}"' if look.dash else ""
            path = "".join(_polyline(points) for points in lines)
            cap = "butt" if look.dash else "round"
            return (
                f'<path fill="none" stroke="var(--ac-{look.stroke})" stroke-width="{10 * look.width:g}"{dash} '
                f'stroke-linejoin="round" stroke-linecap="{cap}" d="{path}"/>'
            )
    raise AssertionError(item)


def _slanted(line: Line) -> str:
    return f'<path d="M{_n(line.x1)} {_n(line.y1)}L{_n(line.x2)} {_n(line.y2)}"/>'


def _polyline(points: object) -> str:
    """Relative integers: ``M3200 140l10-3 10 4``; a dot is a line of no length."""
    assert isinstance(points, list | tuple)
    (x, y), rest = points[0], points[1:]
    if not rest:
        return f"M{x} {y}h0"
    parts = [f"M{x} {y}"]
    last = ""
    for to_x, to_y in rest:
        step_x, step_y = to_x - x, to_y - y
        if step_x == 0:
            kind, text = "v", str(step_y)
        elif step_y == 0:
            kind, text = "h", str(step_x)
        else:
            kind, text = "l", f"{step_x}{step_y}" if step_y < 0 else f"{step_x} {step_y}"
        parts.append(text if kind == last and text[0] == "-" else f" {text}" if kind == last else kind + text)
        last, x, y = kind, to_x, to_y
    return "".join(parts)


def _n(value: float) -> str:
    """At most one decimal, no trailing zero."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
