"""Samples as a page of Prometheus text, written by its client library family by family.

A family at a time, so that whoever writes a long page can let others go on in between: a scrape of two thousand
series must not hold the loop that polls. The library is loaded when the first page is written: a box that nobody
scrapes does without its two megabytes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["CONTENT_TYPE", "Labels", "Row", "TextPage"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What the library writes; a test holds it against the library's own word."""

Labels = tuple[str, ...]

SAMPLES_AT_ONCE = 40
"""Of one family: the library writes them in a quarter of a millisecond."""


class Row(NamedTuple):
    """One metric: its type, its help and its labels."""

    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...] = ()


class _One:
    """A registry of one family."""

    def __init__(self, family: "Metric") -> None:
        self._family = family

    def collect(self) -> "Iterable[Metric]":
        return (self._family,)


class TextPage:
    """One exposition in the making. Samples may come in any order; families stand in the order of the table."""

    def __init__(self, table: Mapping[str, Row]) -> None:
        self._table = table
        self._families: dict[str, Metric] = {}

    def sample(self, name: str, labels: Labels, value: float) -> None:
        """A counter or a gauge. Raises `KeyError` for a name that is not in the table."""
        self._family(name).add_sample(name, self._named(name, labels), value)

    def histogram(self, name: str, labels: Labels, buckets: Iterable[tuple[str, float]], total: float) -> None:
        """Cumulative ``buckets`` by upper bound, the last of them ``+Inf``; ``total`` is the sum of it all."""
        family, named, count = self._family(name), self._named(name, labels), 0.0
        for bound, count in buckets:
            family.add_sample(f"{name}_bucket", {**named, "le": bound}, count)
        family.add_sample(f"{name}_count", named, count)
        family.add_sample(f"{name}_sum", named, total)

    def summary(self, name: str, labels: Labels, count: float, total: float) -> None:
        """How many were seen, and their sum."""
        family, named = self._family(name), self._named(name, labels)
        family.add_sample(f"{name}_count", named, count)
        family.add_sample(f"{name}_sum", named, total)

    def pieces(self) -> Iterator[bytes]:
        """The page, family by family; a large one in several pieces, since one of a hundred devices takes long."""
        from prometheus_client.core import Metric
        from prometheus_client.exposition import generate_latest

        for name in self._table:
            if (family := self._families.get(name)) is not None:
                samples = family.samples
                for first in range(0, len(samples), SAMPLES_AT_ONCE):
                    part = Metric(family.name, family.documentation, family.type)
                    part.samples = samples[first : first + SAMPLES_AT_ONCE]
                    text = generate_latest(_One(part))
                    # Help and type stand before the first piece only.
                    yield text if not first else text.split(b"\n", 2)[2]

    def text(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces())

    def _family(self, name: str) -> "Metric":
        family = self._families.get(name)
        if family is None:
            from prometheus_client.core import Metric

            row = self._table[name]
            # The library adds to a counter's family what it takes off here.
            bare = name.removesuffix("_total") if row.kind == "counter" else name
            family = self._families[name] = Metric(bare, row.help, row.kind)
        return family

    def _named(self, name: str, labels: Labels) -> dict[str, str]:
        names = self._table[name].labels
        if len(names) != len(labels):
            raise ValueError(f"{name} has the labels {names}, not {labels}")
        return dict(zip(names, labels, strict=True))
