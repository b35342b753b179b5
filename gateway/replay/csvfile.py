"""Past data from a CSV file of time, channel and value: read once, every row that cannot be used named by its line.

A row without a value is a sample without one. Times are ISO 8601, seconds since 1970, or of a format that is given;
times without an offset are of the zone that is given (UTC otherwise). In the hour that a change to winter time
repeats, the second run through is recognised by time going back.
"""

import csv
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import pairwise
from math import isfinite, nan
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

from gateway.errors import AuroraError

__all__ = ["Table", "read_csv", "time_reader"]

SHOWN = 20
"""Bad rows that are named; the rest is counted."""
NO_VALUE = {"", "nan", "null", "none", "na", "n/a"}
HEAD = {
    "time": ("time", "time_utc", "timestamp", "datetime"),
    "channel": ("channel", "sensor"),
    "value": ("value",),
}
TimeReader = Callable[[str], tuple[int, int]]
"""Text to Unix milliseconds, twice: for the first and for the second time that a local time comes."""


@dataclass(slots=True)
class Table:
    """The rows of a file in the order of time: Unix milliseconds, index of the channel, value (NaN: none)."""

    channels: list[str] = field(default_factory=list)
    times: "array[int]" = field(default_factory=lambda: array("q"))
    of: "array[int]" = field(default_factory=lambda: array("l"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    bad_rows: int = 0
    without_value: int = 0

    def periods_ms(self) -> list[int]:
        """The usual interval of each channel: the median of its first thousand rows (a minute for a single one)."""
        first: list[list[int]] = [[] for _ in self.channels]
        waiting = len(first)
        for at_ms, channel in zip(self.times, self.of, strict=True):
            mine = first[channel]
            if len(mine) < 1000:
                mine.append(at_ms)
                if len(mine) == 1000:
                    waiting -= 1
                    if not waiting:
                        break
        return [
            max(1, round(median(later - earlier for earlier, later in pairwise(mine)))) if len(mine) > 1 else 60_000
            for mine in first
        ]


def time_reader(time_format: str | None, zone: str | None) -> TimeReader:
    """How the times of a file are read. Raises `AuroraError` for a zone that there is not."""
    local: tzinfo = UTC
    if zone is not None:
        try:
            local = ZoneInfo(zone)
        except (ValueError, OSError, KeyError) as error:
            raise AuroraError(f"{zone!r} is no time zone; write an IANA name: Europe/Warsaw") from error

    @lru_cache(maxsize=100_000)
    def read(written: str) -> tuple[int, int]:
        text = written.strip()
        if time_format is None and text.replace(".", "", 1).isdigit():
            at_ms = round(float(text) * 1000)
            return at_ms, at_ms
        moment = datetime.fromisoformat(text) if time_format is None else _formatted(text, time_format)
        if moment.tzinfo is not None:
            at_ms = round(moment.timestamp() * 1000)
            return at_ms, at_ms
        first = round(moment.replace(tzinfo=local).timestamp() * 1000)
        return first, round(moment.replace(tzinfo=local, fold=1).timestamp() * 1000)

    return read


def _formatted(text: str, time_format: str) -> datetime:
    return datetime.strptime(text, time_format)  # noqa: DTZ007 - the zone follows where the text has none


def read_csv(
    path: Path,
    read_time: TimeReader,
    say: Callable[[str], None],
    *,
    delimiter: str = ",",
    known: Mapping[str, str] | None = None,
) -> Table:
    """Read a file. ``known`` maps the names of channels that are wanted to what they are called after; None: all.

    Raises `AuroraError` when the file cannot be read or has no row that can be used.
    """
    table = Table()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            _Rows(table, read_time, _Complaints(path, say, table), known).take(rows)
    except OSError as error:
        raise AuroraError(f"{path}: {error.strerror}; check the path and who may read the file") from error
    except UnicodeDecodeError as error:
        raise AuroraError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except csv.Error as error:
        raise AuroraError(f"{path}: is not a CSV file ({error}); check --delimiter") from error
    if table.bad_rows > SHOWN:
        say(f"{path}: and {table.bad_rows - SHOWN} more rows that cannot be used")
    if not table.times:
        raise AuroraError(f"{path}: has no row of time, channel, value that can be used")
    _sort(table)
    return table


class _Complaints:
    def __init__(self, path: Path, say: Callable[[str], None], table: Table) -> None:
        self._path, self._say, self._table = path, say, table
        self._channels: set[str] = set()

    def row(self, line: int, what: str) -> None:
        self._table.bad_rows += 1
        if self._table.bad_rows <= SHOWN:
            self._say(f"{self._path}: line {line}: {what}; the row is left out")

    def channel(self, name: str, line: int) -> None:
        if name not in self._channels:
            self._channels.add(name)
            what = f"{self._path}: line {line}: channel {name!r} is of no point"
            self._say(f"{what} of the site (its name there: device.channel, or the point's id); it is left out")


def _columns(head: Sequence[str]) -> tuple[int, int, int, int | None] | None:
    """Places of time, channel, value and device; None for a row that is no heading."""
    names = [name.strip().lower() for name in head]
    places = [next((names.index(word) for word in words if word in names), None) for words in HEAD.values()]
    if any(place is None for place in places):
        return None
    time, channel, value = (place or 0 for place in places)
    return time, channel, value, names.index("device") if "device" in names else None


class _Rows:
    """Takes the rows of one file."""

    def __init__(
        self, table: Table, read_time: TimeReader, complain: _Complaints, known: Mapping[str, str] | None
    ) -> None:
        self._table, self._read_time, self._complain, self._known = table, read_time, complain, known
        self._places: tuple[int, int, int, int | None] = (0, 1, 2, None)
        self._index: dict[str, int] = {}
        self._last: list[int] = []

    def take(self, rows: Iterable[list[str]]) -> None:
        """Every row, the heading if there is one. What is plain is taken here, the rest is looked at closely."""
        table, index, last, read_time = self._table, self._index, self._last, self._read_time
        add_time, add_channel, add_value = table.times.append, table.of.append, table.values.append
        time_at, channel_at, value_at, device_at = self._places
        for line, row in enumerate(rows, 1):
            if line == 1 and (places := _columns(row)) is not None:
                self._places = time_at, channel_at, value_at, device_at = places
                continue
            if device_at is None:
                try:
                    channel, (at_ms, _), value = (
                        index[row[channel_at]],
                        read_time(row[time_at]),
                        float(row[value_at]),
                    )
                except (LookupError, ValueError, OverflowError, OSError):
                    pass
                else:
                    if at_ms > last[channel] and isfinite(value):
                        last[channel] = at_ms
                        add_time(at_ms)
                        add_channel(channel)
                        add_value(value)
                        continue
            if row:
                self._take(line, row)

    def _take(self, line: int, row: list[str]) -> None:
        time_at, channel_at, value_at, device_at = self._places
        try:
            text, name, written = row[time_at], row[channel_at], row[value_at]
            if device_at is not None:
                name = f"{row[device_at].strip()}.{name.strip()}"
        except IndexError:
            self._complain.row(line, f"has {len(row)} fields where time, channel and value are wanted")
            return
        channel = self._index.get(name)
        if channel is None and (channel := self._new(name, line)) is None:
            return
        try:
            at_ms, again_ms = self._read_time(text)
        except (ValueError, OverflowError, OSError):
            self._complain.row(line, f"{text!r} is not a time (see --time-format)")
            return
        value = self._value(written, line)
        if value is None:
            return
        last_ms = self._last[channel]
        if at_ms <= last_ms < again_ms:
            at_ms = again_ms
        elif at_ms == last_ms:
            self._complain.row(line, f"a second value of {name} at {text}")
            return
        self._last[channel] = at_ms
        table = self._table
        table.times.append(at_ms)
        table.of.append(channel)
        table.values.append(value)

    def _new(self, written: str, line: int) -> int | None:
        name = written.strip()
        called = name if self._known is None else self._known.get(name)
        if not called:
            self._complain.channel(name, line)
            return None
        if called in self._table.channels:
            channel = self._table.channels.index(called)
        else:
            channel = len(self._table.channels)
            self._table.channels.append(called)
            self._last.append(-(2**62))
        self._index[written] = channel
        return channel

    def _value(self, written: str, line: int) -> float | None:
        """The value, NaN for none, None for what is neither."""
        try:
            value = float(written)
        except ValueError:
            if written.strip().lower() not in NO_VALUE:
                self._complain.row(line, f"{written!r} is not a number")
                return None
            value = nan
        if isfinite(value):
            return value
        self._table.without_value += 1
        return nan


def _sort(table: Table) -> None:
    """Rows in the order of time; those of one time stay in the order of the file."""
    times = table.times
    if all(earlier <= later for earlier, later in pairwise(times)):
        return
    order = sorted(range(len(times)), key=times.__getitem__)
    table.times = array("q", (times[i] for i in order))
    table.of = array("l", (table.of[i] for i in order))
    table.values = array("d", (table.values[i] for i in order))
