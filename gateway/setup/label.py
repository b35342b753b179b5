"""The label of a box: who it is, its key's fingerprint, and the one-time code of its first owner."""

from pathlib import Path

from gateway.chart.svg import escape
from gateway.site import Identity

__all__ = ["fingerprint", "label_svg", "label_text", "owner_code"]

WIDTH_MM, HEIGHT_MM = 90, 50


def owner_code(data_dir: Path) -> str | None:
    """The one-time code with which the first administrator signs in at the page; None once there is one.

    This is the one place where the set-up asks the access to the page for something.
    """
    from gateway.access.firstcode import first_code
    from gateway.access.roles import Role
    from gateway.access.store import Book

    people = Book.open(data_dir).people.values()
    known = any(person.role is Role.ADMINISTRATOR and person.password for person in people)
    return None if known else first_code(data_dir)


def fingerprint(thumbprint: bytes) -> str:
    """A thumbprint (32 bytes) in groups that two people can compare over the telephone."""
    digits = thumbprint.hex()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def _rows(identity: Identity, thumbprint: bytes, code: str | None, page: str) -> list[tuple[str, str]]:
    digits = fingerprint(thumbprint).split(" ")
    rows = [
        ("gateway", f"{identity.member} / {identity.site} / {identity.gateway}"),
        ("fingerprint", " ".join(digits[:8])),
        ("", " ".join(digits[8:])),
    ]
    if code is not None:
        rows.append(("first code", code))
    if page:
        rows.append(("page", page))
    return rows


def label_text(identity: Identity, thumbprint: bytes, code: str | None, page: str) -> str:
    """The label as lines of text."""
    rows = _rows(identity, thumbprint, code, page)
    return "\n".join(f"  {name:<12} {value}" for name, value in rows)


def label_svg(identity: Identity, thumbprint: bytes, code: str | None, page: str) -> str:
    """The label as an SVG of 90 x 50 mm, black on white, to be printed from any browser."""
    rows, parts, top = _rows(identity, thumbprint, code, page), [], 17.0
    for name, value in rows:
        if name:
            parts.append(f'<text x="4" y="{top:g}" class="n">{escape(name)}</text>')
        parts.append(f'<text x="22" y="{top:g}" class="v">{escape(value)}</text>')
        top += 6.0
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" role="img" aria-labelledby="t"><title id="t">Label of '
        f"{escape(identity.urn)}</title><style>text{{font-family:sans-serif;fill:#000}}.h{{font-size:5px;"
        "font-weight:bold}.n{font-size:2.6px}.v{font-size:3px;font-family:monospace}</style>"
        f'<rect x="0.5" y="0.5" width="{WIDTH_MM - 1}" height="{HEIGHT_MM - 1}" rx="2" fill="#fff" stroke="#000" '
        'stroke-width="0.4"/><text x="4" y="9" class="h">Aurora Gateway</text>'
        f"{''.join(parts)}</svg>\n"
    )
