"""Writes samples in the text format of Prometheus (version 0.0.4), one line at a time.

A line at a time, so that whoever writes a long page can let others go on in between: a scrape of two thousand
series must not hold the loop that polls.
"""

from collections.abc import Iterable, Mapping
from math import inf, isnan
from typing import Literal, NamedTuple

__all__ = ["CONTENT_TYPE", "Labels", "Row", "TextPage", "number"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]


class Row(NamedTuple):
    """One metric: its type, its help and its labels."""

    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...] = ()


def number(value: float) -> str:
    """A sample's value as the format writes it."""
    value = float(value)
    if isnan(value):
        return "NaN"
    if value in {inf, -inf}:
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return text


class TextPage:
    """One exposition in the making. Samples may come in any order; families stand in the order of the table."""

    def __init__(self, table: Mapping[str, Row]) -> None:
        self._table = table
        self._lines: dict[str, list[str]] = {}

    def sample(self, name: str, labels: Labels, value: float) -> None:
        """A counter or a gauge. Raises `KeyError` for a name that is not in the table."""
        self._add(name, f"{name}{self._braces(name, labels)} {number(value)}\n")

    def histogram(self, name: str, labels: Labels, buckets: Iterable[tuple[str, float]], total: float) -> None:
        """Cumulative ``buckets`` by upper bound, the last of them ``+Inf``; ``total`` is the sum of it all."""
        count = 0.0
        lines = []
        for bound, count in buckets:
            lines.append(f"{name}_bucket{self._braces(name, labels, ('le', bound))} {number(count)}\n")
        lines.append(f"{name}_count{self._braces(name, labels)} {number(count)}\n")
        lines.append(f"{name}_sum{self._braces(name, labels)} {number(total)}\n")
        self._add(name, "".join(lines))

    def summary(self, name: str, labels: Labels, count: float, total: float) -> None:
        """How many were seen, and their sum."""
        braces = self._braces(name, labels)
        self._add(name, f"{name}_count{braces} {number(count)}\n{name}_sum{braces} {number(total)}\n")

    def text(self) -> bytes:
        """All of it."""
        parts = []
        for name, row in self._table.items():
            if (lines := self._lines.get(name)) is not None:
                help_ = row.help.replace("\\", r"\\").replace("\n", r"\n")
                parts.append(f"# HELP {name} {help_}\n# TYPE {name} {row.kind}\n")
                parts.extend(lines)
        return "".join(parts).encode()

    def _add(self, name: str, line: str) -> None:
        lines = self._lines.get(name)
        if lines is None:
            self._lines[name] = [line]
        else:
            lines.append(line)

    def _braces(self, name: str, labels: Labels, *more: tuple[str, str]) -> str:
        names = self._table[name].labels
        if len(names) != len(labels):
            raise ValueError(f"{name} has the labels {names}, not {labels}")
        if not labels and not more:
            return ""
        pairs = sorted((*zip(names, labels, strict=True), *more))
        return "{" + ",".join([f'{label}="{_escaped(value)}"' for label, value in pairs]) + "}"
