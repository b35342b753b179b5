"""Strip charts, drawn on the server: the same picture on the status page, in the printed report and in its PDF.

Pure, and below the stations like `seal`: a `Chart` (what is to be seen) becomes a `Drawing` (a list of primitives),
and that becomes SVG here or ink on a page elsewhere.
"""

from gateway.chart.content import Chart, Gap, Instant, Limit, Series, Span
from gateway.chart.drawing import Drawing
from gateway.chart.strip import draw
from gateway.chart.style import css
from gateway.chart.svg import svg

__all__ = ["Chart", "Drawing", "Gap", "Instant", "Limit", "Series", "Span", "css", "draw", "svg"]
