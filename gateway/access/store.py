"""What is kept of people, sessions and tokens: one small file, replaced as a whole, readable by its owner alone."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway.access.roles import Rank, Role
from gateway.errors import AuroraError
from gateway.wholefile import write_whole

__all__ = ["Book", "Person", "Session", "Token", "plain"]

FILE = "access.json"
FORM = 1


@dataclass(slots=True, kw_only=True)
class Person:
    """Somebody who may sign in. ``password`` is empty until they have used their ``code``."""

    name: str
    role: Rank
    password: str = ""
    pin: str = ""
    code: str = ""
    by: str = ""
    """Who let them in."""
    scope: str = ""
    """The one part of the house that they see; empty for all of it."""


@dataclass(slots=True, kw_only=True)
class Session:
    """A browser that has signed in. Times are boot milliseconds of the boot ``boot``."""

    person: str
    boot: str
    began_ms: int
    seen_ms: int
    shared: bool = False
    """A device that several people use: what they do asks for name and PIN each time."""


@dataclass(slots=True, kw_only=True)
class Token:
    """A program that may ask. Kept under the fingerprint of what it shows."""

    label: str
    role: Rank
    by: str
    scope: str = ""


@dataclass(slots=True)
class Book:
    """All of it. People by the folded form of their name, sessions and tokens by fingerprint."""

    path: Path
    people: dict[str, Person] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)

    @classmethod
    def open(cls, data_dir: Path, ranks: type[Rank] = Role) -> "Book":
        """Read the file; an absent one is an empty book.

        Raises `AuroraError` for one that is damaged: to go on as if nobody was known would let the label's code in.
        """
        path = data_dir / FILE
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(path)
        except (OSError, UnicodeDecodeError) as error:
            raise AuroraError(f"{path} cannot be read ({error}); {_REMEDY}") from error
        try:
            found = json.loads(text)
            if found["form"] != FORM:
                raise AuroraError(f"{path} is of form {found['form']}, not {FORM}; a newer gateway has written it")
            return cls(
                path,
                {key: Person(**{**entry, "role": ranks(entry["role"])}) for key, entry in found["people"].items()},
                {key: Session(**entry) for key, entry in found["sessions"].items()},
                {key: Token(**{**entry, "role": ranks(entry["role"])}) for key, entry in found["tokens"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AuroraError(f"{path} is damaged ({error!r}); {_REMEDY}") from error

    def text(self) -> str:
        """The book as it is written."""
        parts: Mapping[str, Mapping[str, Any]] = {
            "people": self.people,
            "sessions": self.sessions,
            "tokens": self.tokens,
        }
        body = {name: {key: plain(entry) for key, entry in part.items()} for name, part in parts.items()}
        return json.dumps({"form": FORM, **body}, indent=1, ensure_ascii=False)

    def write(self, text: str) -> None:
        """Put a text in the place of the file, so that at any moment one or the other is whole on the disk."""
        try:
            write_whole(self.path, text.encode(), 0o600)
        except OSError as error:
            raise AuroraError(f"{self.path} cannot be written ({error.strerror}); see the disk") from error


def plain(entry: Person | Session | Token) -> dict[str, Any]:
    """An entry as it is kept: without a scope where it has none, as older programs know it."""
    found = asdict(entry)
    if not found.get("scope", "-"):
        del found["scope"]
    return found


_REMEDY = "put back a copy, or remove it: then the code on the label makes a first administrator again"
