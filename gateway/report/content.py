"""What a printed report is made of, in one language: the same blocks become a page and a PDF."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.chart import Drawing
from gateway.language import Language

__all__ = ["Block", "Document", "Facts", "Heading", "Paragraph", "Picture", "Signatures", "Table"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A section begins. ``level`` 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or two. ``warning`` is what a reader must not miss."""

    text: str
    kind: Literal["normal", "note", "warning"] = "normal"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``align`` has l or r for each column, ``widths`` their shares of the width."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str
    widths: Sequence[float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart for paper and wide screens, and the same for a phone."""

    wide: Drawing
    narrow: Drawing


@dataclass(frozen=True, slots=True)
class Signatures:
    """Lines to be signed by hand: what each is for."""

    lines: Sequence[str]


Block = Heading | Paragraph | Facts | Table | Picture | Signatures


@dataclass(slots=True)
class Document:
    """A report in words. ``running`` stands at the foot of every page, ``identity`` is a hash of what it says."""

    language: Language
    title: str
    subtitle: str
    running: str
    identity: str
    moment_ms: int
    """The end of what it speaks of: the date that a file of it carries."""
    blocks: list[Block] = field(default_factory=list)
