"""Words, numbers, dates and units in five languages, for everything that people read: pages, charts, reports.

The sources of the words are the gettext catalogues ``locale/<tag>/LC_MESSAGES/*.po``; they are read as they are, so
there is no compiled form that could be older than its source. In code and templates a text to be translated is the
first argument of a call of a `Language` (``t("no data")``), of ``t.many`` or of `N_`; a test holds the catalogues
against these calls. Facts of the locales: Unicode CLDR, "gregorian" and "numbers", but for the deviations named.
"""

import ast
import gettext
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from gateway.errors import AuroraError

__all__ = ["LANGUAGES", "N_", "Language", "Message", "language", "no_text", "offset_words", "read_catalogue"]

LANGUAGES: Final = ("en", "fr", "nl", "pl", "es")
FOLDER: Final = Path(__file__).parent / "locale"
MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"
DASH = "\N{EN DASH}"


def N_(text: str) -> str:  # noqa: N802 - the name that every gettext tool knows
    """Mark a text that is translated later, by a name that is not known where it stands."""
    return text


class Message(NamedTuple):
    """One entry of a catalogue; ``plural`` is the plural msgid, empty where there is none."""

    msgid: str
    plural: str
    strings: tuple[str, ...]
    fuzzy: bool
    line: int


class _Facts(NamedTuple):
    name: str
    decimal: str
    group: str
    group_from: int
    """Fewest digits before the decimal mark from which groups are made."""
    day: str
    """Letter for a day in a duration."""
    months: tuple[str, ...]
    short_months: tuple[str, ...]
    weekdays: tuple[str, ...]
    """Monday first, short."""
    month_year: str
    humidity: str


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


FACTS: Final = {
    "en": _Facts(
        "English",
        ".",
        ",",
        4,
        "d",
        _split("January February March April May June July August September October November December"),
        _split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"),
        _split("Mon Tue Wed Thu Fri Sat Sun"),
        "{month} {year}",
        "% RH",
    ),
    # CLDR groups French digits by U+202F, which some printers' fonts lack.
    "fr": _Facts(
        "Français",
        ",",
        NBSP,
        4,
        "j",
        _split("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
        _split("janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."),
        _split("lun. mar. mer. jeu. ven. sam. dim."),
        "{month} {year}",
        "% HR",
    ),
    "nl": _Facts(
        "Nederlands",
        ",",
        ".",
        4,
        "d",
        _split("januari februari maart april mei juni juli augustus september oktober november december"),
        _split("jan feb mrt apr mei jun jul aug sep okt nov dec"),
        _split("ma di wo do vr za zo"),
        "{month} {year}",
        "% RV",
    ),
    "pl": _Facts(
        "Polski",
        ",",
        NBSP,
        5,
        "d",
        _split("styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad grudzień"),
        _split("sty lut mar kwi maj cze lip sie wrz paź lis gru"),
        _split("pon. wt. śr. czw. pt. sob. niedz."),
        "{month} {year}",
        "% RH",
    ),
    "es": _Facts(
        "Español",
        ",",
        ".",
        5,
        "d",
        _split("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
        _split("ene feb mar abr may jun jul ago sept oct nov dic"),
        _split("lun mar mié jue vie sáb dom"),
        "{month} de {year}",
        "% HR",
    ),
}

SIGNS: Final = {"degC": "\N{DEGREE SIGN}C", "ohm": "\N{GREEK CAPITAL LETTER OMEGA}", "uS/cm": "µS/cm"}


@dataclass(frozen=True, slots=True)
class Language:
    """One language. Calling it translates; an unknown text comes back as it is, since a record names it so."""

    tag: str
    facts: _Facts = field(repr=False)
    _words: dict[str, tuple[str, ...]] = field(repr=False)
    _form: Callable[[int], int] = field(repr=False)

    @property
    def name(self) -> str:
        """The language's own name for itself."""
        return self.facts.name

    def __call__(self, text: str, /, **values: Any) -> str:
        """The text in this language, with the values put in their ``{places}``."""
        found = self._words.get(text)
        words = found[0] if found else text
        return words.format(**values) if values else words

    def many(self, one: str, several: str, count: int, /, **values: Any) -> str:
        """The form that goes with ``count``, which is put in the place ``{n}``."""
        found = self._words.get(one)
        words = found[self._form(count)] if found else one if count == 1 else several
        return words.format(n=self.number(count, 0), **values)

    def number(self, value: float | None, decimals: int | None) -> str:
        """A number with fixed decimals (None: six significant digits) and a real minus; a dash for None."""
        if value is None:
            return DASH
        text = f"{value:z.{decimals}f}" if decimals is not None else f"{value:z.6g}"
        whole, dot, fraction = text.lstrip("-").partition(".")
        if len(whole) >= self.facts.group_from and whole.isdecimal():
            head = len(whole) % 3 or 3
            whole = self.facts.group.join([whole[:head], *re.findall("...", whole[head:])])
        sign = MINUS if text.startswith("-") else ""
        exponent = fraction.replace("e-", f"e{MINUS}")
        return sign + whole.replace("e-", f"e{MINUS}") + (self.facts.decimal + exponent if dot else "")

    def unit(self, unit: str) -> str:
        """The sign of a unit as a person reads it."""
        return self.facts.humidity if unit == "%RH" else SIGNS.get(unit, unit)

    def quantity(self, value: float | None, decimals: int | None, unit: str) -> str:
        """Number and unit, not to be torn apart."""
        number = self.number(value, decimals)
        return number if value is None or not unit else f"{number}{NBSP}{self.unit(unit)}"

    def percent(self, part: float, whole: float) -> str:
        """A share with two decimals, cut and not rounded up: 100 % means all of it. A dash of nothing."""
        if whole <= 0:
            return DASH
        hundredths = int(part * 10_000 / whole)
        return f"{self.number(hundredths / 100, 2)}{NBSP}%"

    def duration(self, ms: float) -> str:
        """A length of time in its two largest units: ``2 h 05 min``."""
        seconds = round(ms / 1000)
        if seconds < 60:
            return f"{seconds}{NBSP}s"
        minutes, seconds = divmod(seconds, 60)
        if minutes < 60:
            return f"{minutes}{NBSP}min" + (f" {seconds:02}{NBSP}s" if seconds else "")
        hours, minutes = divmod(minutes, 60)
        if hours < 48:
            return f"{hours}{NBSP}h" + (f" {minutes:02}{NBSP}min" if minutes else "")
        days, hours = divmod(hours, 24)
        return f"{days}{NBSP}{self.facts.day}" + (f" {hours}{NBSP}h" if hours else "")

    def day_of_year(self, day: date) -> str:
        """Day, short name of the month, year: never ambiguous."""
        return f"{day.day}{NBSP}{self.facts.short_months[day.month - 1]}{NBSP}{day.year}"

    def day(self, day: date) -> str:
        """Day and short name of the month."""
        return f"{day.day}{NBSP}{self.facts.short_months[day.month - 1]}"

    def weekday(self, day: date) -> str:
        """Weekday, day and month, short."""
        return f"{self.facts.weekdays[day.weekday()]} {self.day(day)}"

    def month(self, day: date) -> str:
        """Name of the month and year."""
        return self.facts.month_year.format(month=self.facts.months[day.month - 1], year=day.year)

    def moment(self, utc_ms: int | None, zone: ZoneInfo, *, seconds: bool = True) -> str:
        """Local date and time with its offset; says so where the time is not known."""
        if utc_ms is None:
            return self("time not known")
        local = local_time(utc_ms, zone)
        clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
        return f"{self.day_of_year(local)} {clock} ({offset_words(local)})"


def local_time(utc_ms: int, zone: ZoneInfo) -> datetime:
    """Unix milliseconds as local time."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(zone)


def offset_words(moment: datetime) -> str:
    """The offset of a local time: ``UTC+01:00``."""
    offset = moment.utcoffset() or timedelta()
    sign = MINUS if offset < timedelta() else "+"
    minutes = abs(offset) // timedelta(minutes=1)
    return f"UTC{sign}{minutes // 60:02}:{minutes % 60:02}"


DISGUISES: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
"""Marks of writing direction: with them a record can read otherwise than it is stored."""
FORBIDDEN: Final = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are no text: controls, halves of surrogate pairs, private and unassigned characters."""


def no_text(text: str, *, lines: bool) -> str | None:
    """The first character that must not stand in a record; None where all may. ``lines`` allows line ends."""
    for character in text:
        if character in DISGUISES:
            return character
        if unicodedata.category(character) in FORBIDDEN and not (lines and character in "\n\t"):
            return character
    return None


@lru_cache(maxsize=len(LANGUAGES))
def language(tag: str) -> Language:
    """The language of a tag (``fr``); raises `AuroraError` for one that there is no catalogue of."""
    if tag not in FACTS:
        raise AuroraError(f"there is no language {tag!r}; there are: {', '.join(LANGUAGES)}")
    words, rule = {}, "n != 1"
    for message in chain.from_iterable(map(read_catalogue, sorted((FOLDER / tag / "LC_MESSAGES").glob("*.po")))):
        if not message.msgid:
            found = re.search(r"plural=([^;\n]+);", message.strings[0])
            rule = found[1] if found else rule
        elif not message.fuzzy and all(message.strings):
            words[message.msgid] = message.strings
    return Language(tag, FACTS[tag], words, gettext.c2py(rule))


def read_catalogue(path: Path) -> list[Message]:
    """The messages of a ``.po`` file, its header with the empty msgid included.

    Raises `AuroraError` with the line for what is not of that form (GNU gettext manual, section 3).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuroraError(f"{path} cannot be read ({error}); install the package again") from error
    return [message for message in _blocks(path, text) if message is not None]


_LINE = re.compile(r'(?:(msgid|msgid_plural|msgstr(?:\[(\d)\])?)\s+)?("(?:[^"\\]|\\.)*")$')


def _blocks(path: Path, text: str) -> Iterator[Message | None]:
    parts: dict[str, str] = {}
    current, fuzzy, start = "", False, 1
    for number, line in enumerate(map(str.strip, [*text.splitlines(), ""]), 1):
        if not line or (line.startswith(("#", "msgid ")) and "msgstr" in "".join(parts)):
            yield _message(parts, fuzzy, start)
            parts, current, fuzzy, start = {}, "", False, number
        if line.startswith("#"):
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
        elif line:
            match = _LINE.match(line)
            if match is None or not (match[1] or current):
                raise AuroraError(f"{path}: line {number}: not a line of a gettext catalogue; see its neighbours")
            current = match[1] or current
            parts[current] = parts.get(current, "") + str(ast.literal_eval(match[3]))


def _message(parts: dict[str, str], fuzzy: bool, line: int) -> Message | None:
    if "msgid" not in parts:
        return None
    strings = tuple(parts[key] for key in sorted(parts) if key.startswith("msgstr"))
    return Message(parts["msgid"], parts.get("msgid_plural", ""), strings, fuzzy, line)
