"""A document as one HTML file that needs nothing else: for the screen, for a phone, and for an A4 printer."""

from collections.abc import Iterator

from gateway.chart import css as chart_css
from gateway.chart import svg
from gateway.chart.svg import escape
from gateway.report.content import Block, Document, Facts, Heading, Paragraph, Picture, Signatures, Table

__all__ = ["page"]

STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1b1f23;--muted:#4d555c;--line:#c4c9ce;--warn-back:#fff3d6;
--warn-line:#7a4b00;--head:#eef1f4}
@media screen and (prefers-color-scheme:dark){:root{--back:#212529;--text:#eceff1;--muted:#b3bac1;--line:#4a5157;
--warn-back:#3a3016;--warn-line:#ffc23d;--head:#2b3035}}
*{box-sizing:border-box}
body{margin:0 auto;padding:16px;max-width:820px;background:var(--back);color:var(--text);
font:15px/1.45 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums lining-nums;overflow-wrap:anywhere}
h1{font-size:1.5em;line-height:1.2;margin:0}
.sub{font-size:1.1em;margin:.2em 0 1em}
h2{font-size:1.12em;margin:1.6em 0 .5em;padding-bottom:.2em;border-bottom:2px solid var(--line)}
h3{font-size:1em;margin:1.1em 0 .4em}
dl{display:grid;grid-template-columns:minmax(9em,max-content) 1fr;gap:.15em 1em;margin:.6em 0}
dt{color:var(--muted)}dd{margin:0}
.scroll{overflow-x:auto}
figure{margin:1em 0}
table{border-collapse:collapse;width:100%;margin:.5em 0;font-size:.87em}
table{table-layout:fixed}
th,td{text-align:left;vertical-align:top;padding:.28em .5em;border-bottom:1px solid var(--line)}
th{background:var(--head);font-weight:600}
th{font-size:.93em;hyphens:auto}
td.r{white-space:nowrap}.r{text-align:right}
.note{color:var(--muted);font-size:.9em}
.warning{background:var(--warn-back);border-left:4px solid var(--warn-line);padding:.4em .7em}
svg.narrow{display:none}
.sign{display:grid;grid-template-columns:repeat(auto-fit,minmax(13em,1fr));gap:3.2em 1.6em;margin-top:3.5em}
.sign div{border-top:1px solid var(--text);padding-top:.2em;font-size:.85em}
footer{margin-top:2em;color:var(--muted);font-size:.85em}
@media screen and (max-width:640px){body{padding:10px}svg.wide{display:none}svg.narrow{display:block}
dl{grid-template-columns:8.4em 1fr}dt{font-size:.9em}table{min-width:860px}}
@media print{@page{size:A4;margin:14mm 13mm 16mm}body{font-size:9.5pt;max-width:none;padding:0}
h2,h3{break-after:avoid}tr,svg,.sign,dl{break-inside:avoid}thead{display:table-header-group}
.scroll{overflow:visible}.warning,th{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def page(document: Document) -> str:
    """The whole file. The same document gives the same bytes."""
    language = document.language
    body = "".join(_block(block, number) for number, block in enumerate(document.blocks))
    return (
        f'<!DOCTYPE html>\n<html lang="{language.tag}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        # Nothing in it may run or be fetched, whatever a name in the record holds.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(document.title)} \N{EM DASH} {escape(document.subtitle)}</title>\n"
        f"<style>{STYLE}{chart_css()}</style>\n</head>\n<body>\n<main>\n<h1>{escape(document.title)}</h1>\n"
        f'<p class="sub">{escape(document.subtitle)}</p>\n{body}</main>\n'
        f"<footer>{escape(document.running)}</footer>\n</body>\n</html>\n"
    )


def _block(block: Block, number: int) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>\n"
        case Paragraph(text, kind):
            return f'<p class="{kind}">{escape(text)}</p>\n' if kind != "normal" else f"<p>{escape(text)}</p>\n"
        case Facts(pairs):
            rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(what)}</dd>" for name, what in pairs)
            return f"<dl>{rows}</dl>\n"
        case Table():
            return "".join(_table(block))
        case Picture(wide, narrow):
            both = svg(wide, name=f"w{number}", extra="wide"), svg(narrow, name=f"n{number}", extra="narrow")
            return "<figure>" + "".join(both) + "</figure>\n"
        case Signatures(lines):
            return '<div class="sign">' + "".join(f"<div>{escape(line)}</div>" for line in lines) + "</div>\n"
    raise AssertionError(block)


def _table(table: Table) -> Iterator[str]:
    marks = [' class="r"' if side == "r" else "" for side in table.align]
    head = "".join(
        f'<th scope="col"{mark}>{escape(name)}</th>' for name, mark in zip(table.head, marks, strict=True)
    )
    whole = sum(table.widths)
    columns = "".join(f'<col style="width:{100 * part / whole:.4g}%">' for part in table.widths)
    yield f'<div class="scroll" tabindex="0"><table>{columns}<thead><tr>{head}</tr></thead><tbody>'
    for row in table.rows:
        cells = "".join(f"<td{mark}>{escape(cell)}</td>" for cell, mark in zip(row, marks, strict=True))
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>\n"
