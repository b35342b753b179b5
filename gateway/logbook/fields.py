"""The border: what a person or a program asks to record, field by field. Every refusal names field and remedy."""

import math
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, Final

from gateway.errors import RecordError
from gateway.language import no_text

__all__ = ["Fields"]

LONGEST_TEXT: Final = 4000
LONGEST_WORD: Final = 200
LONGEST_NAME: Final = 100
MOST_ITEMS: Final = 100
LARGEST: Final = 1e9


class Fields:
    """Reads the fields of one request; `done` refuses what nobody asked about."""

    def __init__(self, request: Mapping[str, Any], *, where: str = "") -> None:
        self._request = request
        self._where = where
        self._asked: set[str] = {"do"}

    def text(self, name: str, *, need: str = "", most: int = LONGEST_WORD, lines: bool = False) -> str | None:
        """A text in Unicode normal form C, without outer blanks.

        ``need`` says why it must be there (empty: it may be absent, which gives None); ``lines`` allows line ends.
        """
        value = self._take(name)
        if value is None or value == "":
            if need:
                raise self._wrong(name, "is missing", need)
            return None
        if not isinstance(value, str):
            raise self._wrong(name, f"is {value!r:.40}, not a text", "write it as a text")
        clean = unicodedata.normalize("NFC", value.replace("\r\n", "\n")).strip()
        if not clean:
            raise self._wrong(name, "is blank", need or "leave it out, or say something")
        if len(clean) > most:
            raise self._wrong(name, f"has {len(clean)} characters", f"at most {most} are kept; say it shorter")
        if (wrong := no_text(clean, lines=lines)) is not None:
            raise self._wrong(name, f"holds U+{ord(wrong):04X}, which is no text", "type it again")
        return clean

    def person(self) -> str:
        """Who records. Demanded of every record (21 CFR 117.305: signature or initials of the person)."""
        name = self.text("person", need="give the name or initials of the person who did it", most=LONGEST_NAME)
        assert name is not None
        return name

    def number(self, name: str, *, need: str = "", least: float = -LARGEST) -> float | None:
        """A finite number; a text is none."""
        value = self._take(name)
        if value is None:
            if need:
                raise self._wrong(name, "is missing", need)
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, f"is {value!r:.40}, not a number", "write it with a point: 4.5")
        if not math.isfinite(value) or not least <= value <= LARGEST:
            raise self._wrong(name, f"is {value}", f"a number between {least:g} and {LARGEST:g} is needed")
        return float(value)

    def day(self, name: str, *, need: str = "") -> date | None:
        """A calendar day, YYYY-MM-DD."""
        value = self._take(name)
        if value is None or value == "":
            if need:
                raise self._wrong(name, "is missing", need)
            return None
        try:
            if not isinstance(value, str) or len(value) != 10:
                raise ValueError
            return date.fromisoformat(value)
        except ValueError:
            raise self._wrong(name, f"is {value!r:.40}, not a day", "write it as 2027-06-30") from None

    def instant(self, name: str) -> int | None:
        """A moment with its offset from UTC (2026-11-24T14:05+01:00), as Unix milliseconds."""
        value = self._take(name)
        if value is None or value == "":
            return None
        try:
            if not isinstance(value, str):
                raise ValueError
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError
            return round(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            remedy = "write it with its offset from UTC: 2026-11-24T14:05+01:00, or ...Z"
            raise self._wrong(name, f"is {value!r:.40}, not a moment", remedy) from None

    def choice(self, name: str, words: Sequence[str], *, default: str | None = None) -> str:
        """One of a few words."""
        value = self._take(name)
        if (value is None or value == "") and default is not None:
            return default
        if value is None or value == "":
            raise self._wrong(name, "is missing", f"write one of: {', '.join(words)}")
        if not isinstance(value, str) or value not in words:
            raise self._wrong(name, f"is {value!r:.40}", _nearest(value, words))
        return value

    def known(self, name: str, known: Collection[str], what: str, *, need: str = "") -> str | None:
        """The id of something that the site file has."""
        value = self.text(name, need=need)
        if value is not None and value not in known:
            raise self._wrong(name, f"is {value!r:.60}, and the site has no such {what}", _nearest(value, known))
        return value

    def flag(self, name: str) -> bool:
        """True or false; absent is false."""
        value = self._take(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self._wrong(name, f"is {value!r:.40}", "true or false is needed")
        return value

    def items(self, name: str) -> list[Any]:
        """A list of at most `MOST_ITEMS`; absent is empty."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            raise self._wrong(name, "is not a list, or too long a one", f"a list of at most {MOST_ITEMS} is needed")
        return value

    def table(self, name: str) -> Mapping[str, Any] | None:
        """Fields within a field; None where it is absent."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self._wrong(name, f"is {value!r:.40}, not a set of fields", 'write it as {"...": ...}')
        return value

    def raw(self, name: str) -> str | None:
        """A text as it came, with the control characters that a scanner sends; None where it is absent."""
        value = self._take(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self._wrong(name, f"is {value!r:.40}, not a text", "send the line as the scanner gave it")
        return value

    def replace(self, name: str, value: str) -> None:
        """Use another value for a field from now on."""
        self._request = {**self._request, name: value}

    def done(self) -> None:
        """Refuse fields that this kind of record does not have: a misspelt one must not be lost in silence."""
        for name in self._request:
            if name not in self._asked:
                raise self._wrong(
                    str(name)[:60], "is not a field of this request", _nearest(name, self._asked - {"do"})
                )

    def wrong(self, name: str, what: str, remedy: str) -> RecordError:
        """A refusal of one field."""
        return self._wrong(name, what, remedy)

    def _take(self, name: str) -> Any:
        self._asked.add(name)
        return self._request.get(name)

    def _wrong(self, name: str, what: str, remedy: str) -> RecordError:
        return RecordError(f"{self._where}{name} {what}", remedy)


def _nearest(value: object, known: Collection[str]) -> str:
    close = get_close_matches(str(value), list(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    words = sorted(known)
    return f"there are: {', '.join(words[:12])}{' ...' if len(words) > 12 else ''}" if words else "there is none"
