"""One table of a model file while it is being checked: every mistake is noted, none stops the checking.

Each ``take`` method answers with its default after a mistake, so that the rest of the file is checked, too.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from difflib import get_close_matches

from firmware_interfaces.errors import ModelProblem

__all__ = ["Section", "did_you_mean", "raw_number"]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """What a mistyped word was probably meant to be, or all that it could be."""
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(sorted(known))}"


def raw_number(value: object) -> int | None:
    """A register's content as a person writes it: 219, -112, 0x8000 or "0x8000"; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            return None
    return None


class Section:
    """A table, its place in the words of the file, and the list that collects the file's mistakes."""

    def __init__(self, table: Mapping[str, object], path: str, problems: list[ModelProblem]) -> None:
        self.table = table
        self.path = path
        self.problems = problems
        self._known: list[str] = []

    def problem(self, name: str, what: str, remedy: str) -> None:
        """Note a mistake at an entry of this table (at the table itself where ``name`` is empty)."""
        path = f"{self.path}.{name}" if self.path and name else self.path or name
        self.problems.append(ModelProblem(path, what, remedy))

    def given(self, name: str) -> bool:
        """Whether the table has the entry."""
        return name in self.table

    def take(self, name: str, required: bool = False, remedy: str = "add it") -> object:
        """The entry as it is, None where it is missing."""
        self._known.append(name)
        value = self.table.get(name)
        if value is None and required:
            self.problem(name, "is missing", remedy)
        return value

    def take_text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty; required where there is no default."""
        value = self.take(name, default is None, 'add it, as text in "quotes"')
        if value is None:
            return default or ""
        if not isinstance(value, str) or not value.strip():
            self.problem(name, f"{value!r} is not a text", 'write it in "quotes"')
            return default or ""
        return value

    def take_whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``; required where there is no default."""
        span = f"a whole number from {low} to {high}"
        value = self.take(name, default is None, f"add it: {span}")
        fallback = low if default is None else default
        if value is None:
            return fallback
        number = raw_number(value)
        if number is None or not low <= number <= high:
            self.problem(name, f"{value!r} is not {span}", f"write {span}")
            return fallback
        return number

    def take_optional_whole(self, name: str, low: int, high: int) -> int | None:
        """As `take_whole`, None where it is missing."""
        if self.given(name):
            return self.take_whole(name, low, high)
        self.take(name)
        return None

    def take_choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One of the words; required where there is no default."""
        value = self.take(name, default is None, f"add one of: {', '.join(sorted(choices))}")
        fallback = next(iter(choices)) if default is None else default
        if value is None:
            return fallback
        if value not in choices:
            self.problem(name, f"{value!r} is not known", did_you_mean(str(value), choices))
            return fallback
        return str(value)

    def take_decimal(self, name: str, default: str) -> Decimal:
        """A number as exact as it is written, of a size that a scale or an offset can have."""
        value = self.take(name)
        if value is None:
            return Decimal(default)
        number = self.decimal(name, value)
        if number is None:
            return Decimal(default)
        if abs(number) >= 10**12 or places(number) > 12:
            self.problem(name, f"{value} has more than 12 places", "write it in another unit")
            return Decimal(default)
        return number

    def decimal(self, name: str, value: object) -> Decimal | None:
        """``value`` as an exact number; None, and a mistake noted, where it is none."""
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            number = Decimal(value)
            if number.is_finite():
                return number
        self.problem(name, f"{value!r} is not a number", "write a number such as 0.1")
        return None

    def take_flag(self, name: str) -> bool:
        """true or false; false where it is missing."""
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.problem(name, f"{value!r} is neither true nor false", "write true or false")
        return False

    def take_list(self, name: str) -> list[object]:
        """A list; empty where it is missing."""
        value = self.take(name)
        if value is None or isinstance(value, list):
            return value or []
        self.problem(name, f"{value!r} is not a list", "put it in [brackets]")
        return []

    def take_table(self, name: str, required: bool = False) -> "Section":
        """A table; an empty one where it is missing."""
        value = self.take(name, required, f"add a [{name}] table")
        if value is not None and not isinstance(value, dict):
            self.problem(name, "is not a table", "write it as a table: { ... }")
            value = None
        path = f"{self.path}.{name}" if self.path else name
        return Section(value if isinstance(value, dict) else {}, path, self.problems)

    def take_tables(self, name: str) -> list["Section"]:
        """Tables of a list, counted from 1 in their paths; none where it is missing."""
        path = f"{self.path}.{name}" if self.path else name
        sections = []
        for number, entry in enumerate(self.take_list(name), 1):
            if isinstance(entry, dict):
                sections.append(Section(entry, f"{path}[{number}]", self.problems))
            else:
                self.problem(f"{name}[{number}]", "is not a table", "write it as a table: { ... }")
        return sections

    def finish(self) -> None:
        """Note every entry that nobody asked for."""
        for name in self.table:
            if name not in self._known:
                self.problem(name, "is not known here", did_you_mean(name, self._known))


def places(number: Decimal) -> int:
    """Decimal places of a number, without trailing zeros."""
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
