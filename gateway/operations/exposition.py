"""Samples as a page of Prometheus text (exposition format 0.0.4), family by family.

Written here and not by the client library, which brings a web server, a web client and a mail parser along: two
megabytes for a few lines of text. A page comes in pieces, so that whoever writes a long one can let others go on in
between: a scrape of two thousand series must not hold the loop that polls.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format).
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf, isnan
from typing import Literal, NamedTuple

__all__ = ["CONTENT_TYPE", "Labels", "Row", "TextPage"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]

SAMPLES_AT_ONCE = 40
"""Of one family: joined and encoded in a fraction of a millisecond."""
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Row(NamedTuple):
    """One metric: its type, its help and its labels."""

    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...] = ()


class TextPage:
    """One exposition in the making. Samples may come in any order; families stand in the order of the table."""

    def __init__(self, table: Mapping[str, Row]) -> None:
        self._table = table
        self._lines: dict[str, list[str]] = {}

    def sample(self, name: str, labels: Labels, value: float) -> None:
        """A counter or a gauge. Raises `KeyError` for a name that is not in the table."""
        lines, pairs = self._family(name, labels)
        lines.append(_line(name, pairs, value))

    def histogram(self, name: str, labels: Labels, buckets: Iterable[tuple[str, float]], total: float) -> None:
        """Cumulative ``buckets`` by upper bound, the last of them ``+Inf``; ``total`` is the sum of it all."""
        (lines, pairs), count = self._family(name, labels), 0.0
        for bound, count in buckets:
            lines.append(_line(f"{name}_bucket", sorted([*pairs, f'le="{bound}"']), count))
        lines.append(_line(f"{name}_count", pairs, count))
        lines.append(_line(f"{name}_sum", pairs, total))

    def summary(self, name: str, labels: Labels, count: float, total: float) -> None:
        """How many were seen, and their sum."""
        lines, pairs = self._family(name, labels)
        lines.append(_line(f"{name}_count", pairs, count))
        lines.append(_line(f"{name}_sum", pairs, total))

    def pieces(self) -> Iterator[bytes]:
        """The page, family by family; a large one in several pieces, since one of a hundred devices takes long."""
        for name, row in self._table.items():
            if (lines := self._lines.get(name)) is not None:
                head = f"# HELP {name} {row.help.translate(_IN_HELP)}\n# TYPE {name} {row.kind}\n"
                for first in range(0, len(lines), SAMPLES_AT_ONCE):
                    text = "".join(lines[first : first + SAMPLES_AT_ONCE])
                    yield (text if first else head + text).encode()

    def text(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces())

    def _family(self, name: str, labels: Labels) -> tuple[list[str], list[str]]:
        """The lines of a family so far, and these labels as they are written, in the order of their names."""
        names = self._table[name].labels
        if len(names) != len(labels):
            raise ValueError(f"{name} has the labels {names}, not {labels}")
        pairs = sorted(f'{key}="{text.translate(_IN_LABEL)}"' for key, text in zip(names, labels, strict=True))
        return self._lines.setdefault(name, []), pairs


def _line(name: str, pairs: list[str], value: float) -> str:
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    return f"{name}{labels} {_number(float(value))}\n"


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if value in {inf, -inf}:
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
