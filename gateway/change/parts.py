"""Where the parts of a TOML text begin and end: its tables with their comments, its pairs of key and value.

Built on the scanner that finds line numbers for problems; the text must have been accepted by tomllib.
"""

import re
from dataclasses import dataclass, field

from gateway.config.locate import Key, Scanner

__all__ = ["Pair", "Parts", "Table", "parts_of"]

_REST = re.compile(r"[ \t]*(#[^\n]*)?")


@dataclass(slots=True)
class Pair:
    """A key and its value: offsets of where it begins (its line), of its value, and of what follows that."""

    path: Key
    start: int
    value: int
    end: int
    inline: bool
    """It stands inside braces, not on a line of its own."""


@dataclass(slots=True)
class Table:
    """A header with what belongs to it. ``start`` is the header's line, ``head`` the end of that line; ``end`` is
    the end of the last line that says something, comments that follow it at once included."""

    path: Key
    start: int
    head: int
    end: int
    pairs: list[Pair] = field(default_factory=list)


@dataclass(slots=True)
class Parts:
    """``root`` is what stands before the first header; ``tables`` follow in the order of the text."""

    text: str
    root: Table
    tables: list[Table]
    pairs: dict[Key, Pair]

    def table(self, path: Key) -> Table | None:
        """The table of a path, None where it has no header of its own."""
        if not path:
            return self.root
        return next((table for table in self.tables if table.path == path), None)

    def under(self, path: Key) -> list[Table]:
        """The table of a path and those below it, in the order of the text."""
        return [table for table in self.tables if table.path[: len(path)] == path]

    def lead(self, table: Table) -> int:
        """Where the comments begin that stand directly before a header."""
        start = table.start
        floor = max((other.end for other in (self.root, *self.tables) if other.start < table.start), default=0)
        while start > floor:
            before = self.text.rfind("\n", 0, start - 1) + 1
            if before < floor or not self.text[before:start].lstrip(" \t").startswith("#"):
                break
            start = before
        return start


def parts_of(text: str) -> Parts:
    """The parts of a valid TOML text without byte order mark."""
    scanner = _PartScanner(text)
    scanner.document()
    return Parts(text, scanner.root, scanner.tables, scanner.pairs)


class _PartScanner(Scanner):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.root = Table((), 0, 0, 0)
        self.tables: list[Table] = []
        self.pairs: dict[Key, Pair] = {}
        self._depth = 0

    def header(self, brackets: int, line: int) -> Key:
        start = self._line_start()
        path = super().header(brackets, line)
        end = self._line_end()
        self.tables.append(Table(path, start, end, self._comments(end)))
        return path

    def pair(self, table: Key) -> None:
        start, outer = self.at, self._depth
        self._depth += 1
        path, value = self.key(table)
        self.value(path)
        self._depth = outer
        end = self.at
        while self.text[end - 1] in " \t\r":  # a bare value is taken up to what follows it
            end -= 1
        owner = self.tables[-1] if self.tables else self.root
        pair = Pair(path, start if outer else self._line_start(start), value, end, outer > 0)
        self.pairs[path] = pair
        if not outer:
            owner.pairs.append(pair)
            owner.end = self._comments(self._line_end())

    def _line_start(self, at: int | None = None) -> int:
        return self.text.rfind("\n", 0, self.at if at is None else at) + 1

    def _line_end(self) -> int:
        """Behind the end of the present line, whose rest is blank or a comment."""
        match = _REST.match(self.text, self.at)
        end = self.text.find("\n", self.at if match is None else match.end())
        return len(self.text) if end < 0 else end + 1

    def _comments(self, at: int) -> int:
        """Behind the comment lines that follow at once; those before the next header are its own."""
        end = at
        while end < len(self.text):
            stop = self.text.find("\n", end)
            stop = len(self.text) if stop < 0 else stop + 1
            line = self.text[end:stop].strip()
            if line.startswith("["):
                return at
            if not line.startswith("#"):
                return end
            end = stop
        return end
