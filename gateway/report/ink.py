"""The drawing list of a chart on a ReportLab canvas, in the colours of paper."""

from collections.abc import Callable
from typing import Any

from gateway.chart.drawing import Box, Drawing, Line, Shape, Stroke, Words
from gateway.chart.style import LIGHT, STYLES, Style

__all__ = ["ink"]


def ink(canvas: Any, drawing: Drawing, regular: str, bold: str, plain: Callable[[str], str]) -> None:
    """Draw on a canvas whose origin is the drawing's upper left corner, with y downwards."""
    for item in drawing.items:
        style = STYLES[item.style]
        canvas.saveState()
        match item:
            case Box(x, y, width, height):
                _box(canvas, (x, y, width, height), style)
            case Line(x1, y1, x2, y2):
                _pen(canvas, style)
                canvas.line(x1, y1, x2, y2)
            case Stroke(lines):
                _pen(canvas, style)
                canvas.setLineCap(0 if style.dash else 1)
                canvas.setLineJoin(1)
                path = canvas.beginPath()
                for points in lines:
                    path.moveTo(points[0][0] / 10, points[0][1] / 10)
                    for px, py in points[1:] or points:
                        path.lineTo(px / 10, py / 10)
                canvas.drawPath(path, stroke=1, fill=0)
            case Shape(points):
                path = canvas.beginPath()
                path.moveTo(*points[0])
                for point in points[1:]:
                    path.lineTo(*point)
                path.close()
                canvas.setFillColor(LIGHT[style.fill])
                if style.stroke:
                    _pen(canvas, style)
                canvas.drawPath(path, stroke=1 if style.stroke else 0, fill=1)
            case Words():
                _words(canvas, item._replace(text=plain(item.text)), style, bold if style.bold else regular)
        canvas.restoreState()


def _pen(canvas: Any, style: Style) -> None:
    canvas.setStrokeColor(LIGHT[style.stroke])
    canvas.setLineWidth(style.width)
    if style.dash:
        canvas.setDash(list(style.dash))


def _box(canvas: Any, place: tuple[float, float, float, float], style: Style) -> None:
    x, y, width, height = place
    if not style.hatch:
        canvas.setFillColor(LIGHT[style.fill])
        if style.opacity != 1:
            canvas.setFillAlpha(style.opacity)
        canvas.rect(x, y, width, height, stroke=0, fill=1)
        return
    path = canvas.beginPath()
    path.rect(x, y, width, height)
    canvas.saveState()
    canvas.clipPath(path, stroke=0, fill=0)
    if style.hatch == "rising":
        canvas.setStrokeColor(LIGHT[style.fill])
        canvas.setLineWidth(1.1)
        # Lines 7 apart across the slope, from the same raster for every box.
        step = 9.9
        start = x - height - (x - height) % step
        while start < x + width + step:
            canvas.line(start, y + height, start + height, y)
            start += step
    else:
        canvas.setFillColor(LIGHT[style.fill])
        column = x - x % 4
        while column < x + width:
            row = y - y % 4
            while row < y + height:
                canvas.rect(column + 1, row + 1, 2, 2, stroke=0, fill=1)
                row += 4
            column += 4
    canvas.restoreState()
    if style.stroke:
        _pen(canvas, style)
        canvas.rect(x, y, width, height, stroke=1, fill=0)


def _words(canvas: Any, words: Words, style: Style, font: str) -> None:
    text, anchor = words.text, words.anchor
    canvas.translate(words.x, words.y)
    # The canvas is upside down for the drawing; letters are not.
    canvas.scale(1, -1)
    length = canvas.stringWidth(text, font, style.size)
    x = -length if anchor == "end" else -length / 2 if anchor == "middle" else 0.0
    canvas.setFont(font, style.size)
    if style.halo:
        canvas.setStrokeColor(LIGHT["back"])
        canvas.setLineWidth(2.4)
        canvas.setLineJoin(1)
        canvas.drawString(x, 0, text, mode=1)
    canvas.setFillColor(LIGHT[style.fill])
    canvas.drawString(x, 0, text)
