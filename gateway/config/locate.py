"""Where each key of a TOML document stands: the line numbers that tomllib does not give.

The text must have been accepted by tomllib; of that much the scanner is sure, and it only keeps count of keys
(TOML v1.0.0).
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping

__all__ = ["Key", "Scanner", "locate"]

Key = tuple[str | int, ...]
"""Path of a value: names of keys, and indices from 0 in arrays and arrays of tables."""

_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL)
_PLAIN = re.compile(r"[^,\]}\n#]*")


def locate(text: str) -> Mapping[Key, int]:
    """Line (from 1) of every key path of a valid TOML document, tables and array elements included."""
    scanner = Scanner(text)
    scanner.document()
    return scanner.lines


class Scanner:
    """Goes through a text once; ``at`` is where it stands. A subclass may note more than lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Key, int] = {}
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._tables: dict[Key, int] = {}
        """Arrays of tables: how many tables each has so far."""

    def document(self) -> None:
        """Read all of it."""
        table: Key = ()
        while True:
            self._skip(_SPACE)
            if self.at >= len(self.text):
                return
            line = self._line()
            if self.text.startswith("[[", self.at):
                table = self.header(2, line)
            elif self.text[self.at] == "[":
                table = self.header(1, line)
            else:
                self.pair(table)

    def header(self, brackets: int, line: int) -> Key:
        """Read the header of a table, or of one of an array of tables; returns its path."""
        self.at += brackets
        names = self._names()
        self.at += brackets
        path: Key = ()
        for name in names[:-1]:
            path = self._enter((*path, name), line)
        path = (*path, names[-1])
        if brackets == 1:
            return self._enter(path, line)
        number = self._tables.get(path, 0)
        self._tables[path] = number + 1
        self._note(path, line)
        self._note((*path, number), line)
        return (*path, number)

    def _enter(self, path: Key, line: int) -> Key:
        """A table that a header passes through; of an array of tables it means the last."""
        self._note(path, line)
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def pair(self, table: Key) -> None:
        """Read a key and its value."""
        path, _ = self.key(table)
        self.value(path)

    def key(self, table: Key) -> tuple[Key, int]:
        """Read up to a value; returns its path and where it begins."""
        line = self._line()
        path = table
        for name in self._names():
            path = (*path, name)
            self._note(path, line)
        self.at += 1
        self._skip(_BLANK)
        return path, self.at

    def value(self, path: Key) -> None:
        """Read a value."""
        first = self.text[self.at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline(path)
        elif self.text.startswith('"""', self.at):
            self._take(_LONG_BASIC)
        elif self.text.startswith("'''", self.at):
            self._take(_LONG_LITERAL)
        elif first == '"':
            self._take(_BASIC)
        elif first == "'":
            self._take(_LITERAL)
        else:
            self._take(_PLAIN)

    def _array(self, path: Key) -> None:
        self.at += 1
        number = 0
        while True:
            self._skip(_SPACE)
            if self.text[self.at] == "]":
                self.at += 1
                return
            self._note((*path, number), self._line())
            self.value((*path, number))
            number += 1
            self._skip(_SPACE)
            if self.text[self.at] == ",":
                self.at += 1

    def _inline(self, path: Key) -> None:
        self.at += 1
        while True:
            self._skip(_SPACE)
            if self.text[self.at] == "}":
                self.at += 1
                return
            self.pair(path)
            self._skip(_SPACE)
            if self.text[self.at] == ",":
                self.at += 1

    def _names(self) -> list[str]:
        """The parts of a dotted key; leaves the scanner at what follows it."""
        names = []
        while True:
            self._skip(_BLANK)
            first = self.text[self.at]
            if first == '"':
                names.append(str(tomllib.loads(f"key = {self._take(_BASIC)}")["key"]))
            elif first == "'":
                names.append(self._take(_LITERAL)[1:-1])
            else:
                names.append(self._take(_BARE))
            self._skip(_BLANK)
            if self.text[self.at] != ".":
                return names
            self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"not TOML at line {self._line()}")
        self.at = match.end()
        return match.group()

    def _line(self) -> int:
        return bisect_left(self._ends, self.at) + 1

    def _note(self, path: Key, line: int) -> None:
        self.lines.setdefault(path, line)
