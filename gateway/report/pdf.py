"""A document as PDF (A4, fonts embedded) with ReportLab, the extra ``report``: the same blocks as the page, and the
same drawing list of the chart.

The same document gives the same bytes: identifiers come from the content, and the date of the file is the end of
what the report speaks of.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gateway import __version__
from gateway.chart import Drawing
from gateway.chart.svg import escape
from gateway.errors import AuroraError
from gateway.report.content import Block, Document, Facts, Heading, Paragraph, Picture, Signatures, Table
from gateway.report.fonts import Fonts, find_fonts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["pdf"]

MARGIN = 38.0
FOOT = 30.0
REGULAR, BOLD = "AuroraReport", "AuroraReport-Bold"
MUTED, LINE, WARN, HEAD = "#4d555c", "#c4c9ce", "#fff3d6", "#eef1f4"


def pdf(document: Document, fonts: Fonts | None = None) -> bytes:
    """The bytes of the PDF; raises `AuroraError` without ReportLab or without a font."""
    try:
        import reportlab  # noqa: F401 - to say what is missing before anything else is done
    except ImportError as error:
        raise AuroraError(
            "PDF reports need ReportLab, which is not installed; pip install 'aurora-gateway[report]' "
            "(or print the HTML form from a browser)"
        ) from error
    glyphs = _register(fonts or find_fonts())
    pages = _build(document, glyphs, None)[1]
    return _build(document, glyphs, pages)[0]


@lru_cache(maxsize=4)
def _register(fonts: Fonts) -> frozenset[int]:
    """Make the fonts known to ReportLab; the characters that they have."""
    from reportlab.lib.fonts import addMapping
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    try:
        regular, bold = TTFont(REGULAR, str(fonts.regular)), TTFont(BOLD, str(fonts.bold))
    except (TTFError, OSError) as error:
        raise AuroraError(
            f"{fonts.regular} cannot be used ({error}); install one: apt-get install fonts-dejavu-core"
        ) from error
    for font in (regular, bold):
        pdfmetrics.registerFont(font)
    addMapping(REGULAR, 0, 0, REGULAR)
    addMapping(REGULAR, 1, 0, BOLD)
    return frozenset(regular.face.charToGlyph) & frozenset(bold.face.charToGlyph)


class _Text:
    """Texts as ReportLab takes them: escaped, and a character that the font lacks as its number."""

    def __init__(self, glyphs: frozenset[int]) -> None:
        self._glyphs = glyphs

    def plain(self, text: str) -> str:
        """For drawing: no control character, nothing that would be an empty box."""
        kept = text.replace("\n", " ").replace("\t", " ")
        return "".join(char if ord(char) in self._glyphs else f"[U+{ord(char):04X}]" for char in kept)

    def markup(self, text: str) -> str:
        """For a paragraph: the text as text, whatever it holds."""
        lines = (escape(self.plain(line)) for line in text.split("\n"))
        return "<br/>".join(lines)


def _build(document: Document, glyphs: frozenset[int], total: int | None) -> tuple[bytes, int]:
    """One pass; the first counts the pages that the second states."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    text = _Text(glyphs)
    out = io.BytesIO()
    template = BaseDocTemplate(
        out,
        pagesize=A4,
        invariant=1,
        lang=document.language.tag,
        title=text.plain(f"{document.title} - {document.subtitle}"),
        author=text.plain(document.running),
        subject=f"SHA-256 {document.identity}",
        creator=f"aurora-gateway {__version__}",
        producer="ReportLab",
        initialFontName=REGULAR,
    )
    frame = Frame(
        MARGIN, MARGIN + FOOT / 2, A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN - FOOT / 2, 0, 0, 0, 0, id="body"
    )
    made = datetime.fromtimestamp(document.moment_ms / 1000, UTC)

    def foot(canvas: Any, build: Any) -> None:
        canvas.setDateFormatter(lambda *_: f"D:{made:%Y%m%d%H%M%S}Z")
        canvas.saveState()
        canvas.setFont(REGULAR, 7.5)
        canvas.setFillColor(MUTED)
        page = document.language("page {n} of {m}", n=build.page, m=total or build.page)
        canvas.drawRightString(A4[0] - MARGIN, MARGIN - 8, page)
        room = A4[0] - 2 * MARGIN - canvas.stringWidth(page, REGULAR, 7.5) - 12
        running = text.plain(document.running)
        while running and canvas.stringWidth(running, REGULAR, 7.5) > room:
            running = running[:-2] + "\N{HORIZONTAL ELLIPSIS}" if len(running) > 2 else ""
        canvas.drawString(MARGIN, MARGIN - 8, running)
        canvas.setFont(REGULAR, 5.5)
        canvas.drawString(MARGIN, MARGIN - 16, f"SHA-256 {document.identity}")
        canvas.restoreState()

    template.addPageTemplates([PageTemplate(id="page", frames=[frame], onPage=foot)])
    template.build(list(_Flow(text, A4[0] - 2 * MARGIN).all(document)))
    return out.getvalue(), template.page


class _Flow:
    """Blocks as flowables."""

    def __init__(self, text: _Text, width: float) -> None:
        from reportlab.lib.styles import ParagraphStyle

        self._text = text
        self._width = width
        base: dict[str, Any] = {"fontName": REGULAR, "fontSize": 8.6, "leading": 11.4, "splitLongWords": 1}

        def style(name: str, **changes: Any) -> Any:
            return ParagraphStyle(name, **(base | changes))

        self._styles = {
            "title": style("title", fontName=BOLD, fontSize=15, leading=19),
            "subtitle": style("subtitle", fontSize=10.5, leading=14, spaceAfter=6),
            "h2": style("h2", fontName=BOLD, fontSize=10.5, leading=14, spaceBefore=11, spaceAfter=3),
            "h3": style("h3", fontName=BOLD, fontSize=9, leading=12, spaceBefore=6, spaceAfter=2),
            "normal": style("normal", spaceAfter=3),
            "note": style("note", fontSize=7.4, leading=9.6, textColor=MUTED, spaceAfter=2),
            "warning": style(
                "warning", backColor=WARN, borderPadding=(3, 4, 3, 4), spaceBefore=5, spaceAfter=6, leftIndent=4
            ),
            "name": style("name", fontSize=8, leading=10.2, textColor=MUTED),
            "what": style("what", fontSize=8, leading=10.2),
            "l": style("l", fontSize=6.9, leading=8.6),
            "r": style("r", fontSize=6.9, leading=8.6, alignment=2),
            "hl": style("hl", fontName=BOLD, fontSize=6.7, leading=8.4),
            "hr": style("hr", fontName=BOLD, fontSize=6.7, leading=8.4, alignment=2),
        }

    def all(self, document: Document) -> Iterator[Any]:
        """The title and every block; a heading stays with what follows it."""
        from reportlab.platypus import CondPageBreak

        yield self._paragraph(document.title, "title")
        yield self._paragraph(document.subtitle, "subtitle")
        for block in document.blocks:
            if isinstance(block, Heading):
                yield CondPageBreak(70)
            yield from self._block(block)

    def _paragraph(self, text: str, style: str) -> Any:
        from reportlab.platypus import Paragraph as Flowing

        return Flowing(self._text.markup(text), self._styles[style])

    def _block(self, block: Block) -> Iterator[Any]:
        match block:
            case Heading(text, level):
                yield self._paragraph(text, f"h{level}")
            case Paragraph(text, kind):
                yield self._paragraph(text, kind)
            case Facts(pairs):
                rows = [[self._paragraph(name, "name"), self._paragraph(what, "what")] for name, what in pairs]
                yield self._table(rows, (28, 72), [("TOPPADDING", (0, 0), (-1, -1), 0.6)])
            case Table(head, rows, align, widths):
                cells = [[self._paragraph(name, f"h{side}") for name, side in zip(head, align, strict=True)]]
                cells += [[self._paragraph(c, side) for c, side in zip(row, align, strict=True)] for row in rows]
                look = [
                    ("BACKGROUND", (0, 0), (-1, 0), HEAD),
                    ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                    ("LEFTPADDING", (0, 0), (-1, -1), 2.5),
                    ("RIGHTPADDING", (0, 0), (-1, -1), 2.5),
                ]
                yield self._table(cells, widths, look, repeat=1)
            case Picture(wide, _):
                yield _flowable(wide, self._width, self._text.plain)
            case Signatures(lines):
                yield from self._signatures(lines)

    def _table(self, rows: list[list[Any]], widths: Any, look: list[Any], repeat: int = 0) -> Any:
        from reportlab.platypus import LongTable, TableStyle

        whole = sum(widths)
        base = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("FONTNAME", (0, 0), (-1, -1), REGULAR),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 1.4),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
        ]
        return LongTable(
            rows,
            colWidths=[self._width * part / whole for part in widths],
            repeatRows=repeat,
            # A text that is longer than a page goes on the next.
            splitInRow=1,
            style=TableStyle(base + look),
            spaceAfter=4,
            hAlign="LEFT",
        )

    def _signatures(self, lines: Any) -> Iterator[Any]:
        from reportlab.platypus import KeepTogether, Spacer, TableStyle
        from reportlab.platypus import Table as Grid

        cells = [[self._paragraph(line, "name") for line in lines]]
        grid = Grid(cells, colWidths=[self._width / len(lines)] * len(lines))
        marks = [("LINEABOVE", (i, 0), (i, 0), 0.7, "#1b1f23") for i in range(len(lines))]
        grid.setStyle(
            TableStyle([*marks, ("FONTNAME", (0, 0), (-1, -1), REGULAR), ("LEFTPADDING", (0, 0), (-1, -1), 0)])
        )
        yield KeepTogether([Spacer(1, 46), grid])


def _flowable(drawing: Drawing, width: float, plain: "Callable[[str], str]") -> Any:
    from reportlab.platypus import Flowable

    from gateway.report.ink import ink

    class Chart(Flowable):  # type: ignore[misc]
        """The drawing, as wide as the page."""

        def wrap(self, *_: float) -> tuple[float, float]:
            return width, drawing.height * width / drawing.width + 6

        def draw(self) -> None:
            scale = width / drawing.width
            self.canv.saveState()
            self.canv.translate(0, drawing.height * scale)
            self.canv.scale(scale, -scale)
            ink(self.canv, drawing, REGULAR, BOLD, plain)
            self.canv.restoreState()

    return Chart()
