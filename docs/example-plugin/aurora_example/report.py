"""A form of reports: indented plain text of whatever the report holds, for a terminal or a mail."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.api import Report


class PlainText(Report):
    """Every kind of report, as it is."""

    title = "plain text"

    def make(self, kind: str, data: Mapping[str, Any], language: str) -> bytes:
        """One line a fact; what is not known is said to be unknown."""
        lines = [f"{kind} ({language})", *_lines(data, 1)]
        return ("\n".join(lines) + "\n").encode()


def _lines(part: Any, depth: int) -> Iterator[str]:
    pairs = part.items() if isinstance(part, Mapping) else enumerate(part, 1)
    for name, value in pairs:
        margin = "  " * depth
        if isinstance(value, Mapping | list | tuple):
            yield f"{margin}{name}:"
            yield from _lines(value, depth + 1)
        else:
            yield f"{margin}{name}: {'unknown' if value is None else value}"
