"""The drawing list: primitives in points from the upper left corner, each with the name of a style."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Box", "Drawing", "Item", "Line", "Shape", "Stroke", "Words", "text_width"]

Points = Sequence[tuple[int, int]]


class Box(NamedTuple):
    """A rectangle; ``detail`` is shown when a pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    style: str
    detail: str = ""


class Line(NamedTuple):
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    style: str


class Stroke(NamedTuple):
    """Open polylines in tenths of a point: small numbers for many points. One point alone is a dot."""

    lines: Sequence[Points]
    style: str


class Shape(NamedTuple):
    """A filled polygon."""

    points: Sequence[tuple[float, float]]
    style: str


class Words(NamedTuple):
    """One line of text on its base line."""

    x: float
    y: float
    text: str
    style: str
    anchor: Literal["start", "middle", "end"] = "start"


Item = Box | Line | Stroke | Shape | Words


@dataclass(slots=True)
class Drawing:
    """A picture with its words for those who cannot see it, and facts for a script (``data-`` attributes)."""

    width: float
    height: float
    title: str
    description: str
    items: list[Item] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


def text_width(text: str, size: float) -> float:
    """About how wide a text is; generous, since nobody knows the reader's font."""
    return len(text) * size * 0.57
