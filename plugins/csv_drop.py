"""CSV files dropped into a folder, for whoever fetches them: a file appears whole, or not at all.

Rows go into a hidden file that gets its name when it is full or old enough. What an earlier process left
unfinished is finished at the start, up to its last whole row. It leaves the journal its room: below a reserve of
free disk nothing is written, and the values wait.
"""

import csv
import errno
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.api import Host, Mistake, Notice, Output, OutputError, Reading, setting

__all__ = ["COLUMNS", "CsvDrop", "CsvDropSettings"]

COLUMNS = tuple(
    "utc boot_ms device slot count channel points value unit severity reason stored".split()  # noqa: SIM905 - a line
)
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
PART = ".aurora-drop.part"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvDropSettings:
    """Where files go and when one is finished. At most ``keep`` files stay (0: all), the oldest go first."""

    folder: Path = setting(example="/srv/drop")
    minutes: int = setting(60, example=60, least=1, most=10_080)
    largest_mb: int = setting(10, example=10, least=1, most=1000)
    keep: int = setting(1000, example=1000, least=0, most=1_000_000)
    reserve_mb: int = setting(500, example=500, least=0, most=1_000_000)
    separator: str = setting(",", example=";", least=1, most=1)


class CsvDrop(Output):
    """Taken when the rows are with the operating system; on the disk for certain when the file has its name."""

    title = "CSV files in a folder"
    Settings = CsvDropSettings
    sends = False
    values = True
    settings: CsvDropSettings

    def __init__(self, settings: CsvDropSettings, host: Host) -> None:
        super().__init__(settings, host)
        self._part = settings.folder / PART
        self._name = ""
        self._began_ms: int | None = None
        self._looked = False

    @classmethod
    def check(cls, settings: CsvDropSettings) -> Iterable[Mistake]:
        """What cannot separate the columns."""
        if settings.separator in '"\r\n' or settings.separator.isalnum() or settings.separator in ".-:":
            yield Mistake(f"{settings.separator!r} stands in values", 'use ",", ";" or a tabulator', "separator")

    async def send(self, notice: Notice) -> None:  # noqa: ARG002 - only asked for by a test of a person
        """Whether it could write."""
        await self.test()

    async def test(self) -> None:
        """Whether it could write, without writing anything."""
        self._room(0)
        if not os.access(self.settings.folder, os.W_OK):
            raise OutputError(f"{self.settings.folder} cannot be written to", "see who may write to it")

    async def take(self, readings: Sequence[Reading]) -> None:
        """Append the rows of all of them, or none."""
        try:
            self._finish_old()
            rows = self._rows(readings)
            self._room(len(rows))
            if self._due(readings[0].boot_ms, len(rows)):
                self._finish()
            self._append(rows, readings[0])
        except OSError as error:
            raise OutputError(
                f"{self.settings.folder} cannot be written to ({error.strerror})",
                "free disk space"
                if error.errno in {errno.ENOSPC, errno.EDQUOT}
                else "see whether the folder is there",
            ) from error

    async def close(self) -> None:
        """Finish the file."""
        if self._began_ms is not None:
            self._finish()

    # rows

    def _rows(self, readings: Sequence[Reading]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.settings.separator, lineterminator="\n")
        for reading in readings:
            head = (_utc(reading.utc_ms), reading.boot_ms, reading.device, reading.slot, reading.count)
            for value in reading.values:
                number = "" if value.value is None else _number(value.value, value.decimals)
                row = (
                    *head,
                    value.channel,
                    " ".join(value.points),
                    number,
                    value.unit,
                    value.severity,
                    value.reason,
                )
                writer.writerow((*row, int(reading.stored)))
        return text.getvalue().encode()

    def _append(self, rows: bytes, first: Reading) -> None:
        new = self._began_ms is None
        if new:
            rows = self.settings.separator.join(COLUMNS).encode() + b"\n" + rows
        file = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            before = os.fstat(file).st_size
            try:
                left = memoryview(rows)
                while left:
                    left = left[os.write(file, left) :]
            except OSError:
                # A row that is cut in the middle would be read as another value.
                os.ftruncate(file, before)
                raise
        finally:
            os.close(file)
        if new:
            self._began_ms = first.boot_ms
            self._name = _stamp(first)

    # files

    def _due(self, boot_ms: int, more: int) -> bool:
        if self._began_ms is None:
            return False
        # What was stored before a restart has the times of another boot.
        old = not 0 <= boot_ms - self._began_ms < self.settings.minutes * 60_000
        return old or self._part.stat().st_size + more > self.settings.largest_mb * 10**6

    def _room(self, more: int) -> None:
        try:
            space = os.statvfs(self.settings.folder)
        except OSError as error:
            what = f"{self.settings.folder} is not there ({error.strerror})"
            raise OutputError(what, "make the folder, for the gateway's user to write to") from error
        if space.f_bavail * space.f_frsize - more < self.settings.reserve_mb * 10**6:
            what = f"less than {self.settings.reserve_mb} MB of the disk are free: they are left to the journal"
            raise OutputError(what, "take files away, or free disk space")

    def _finish_old(self) -> None:
        """What an earlier process left: its whole rows become a file."""
        if self._looked:
            return
        if self._part.exists():
            content = self._part.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole.count(b"\n") > 1:
                if len(whole) != len(content):
                    os.truncate(self._part, len(whole))
                first = whole.split(b"\n", 2)[1].split(self.settings.separator.encode())[0].decode()
                self._name = _digits(first)
                self._finish()
            else:
                self._part.unlink()
        self._looked = True

    def _finish(self) -> None:
        """On the disk first, then under its name: whoever sees the name can read it all."""
        file = os.open(self._part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)
        folder = self.settings.folder
        base = f"aurora-{self.host.gateway}-{self._name}"
        number = next(n for n in range(1, 1_000_000) if not (folder / f"{base}-{n:03}.csv").exists())
        self._part.rename(folder / f"{base}-{number:03}.csv")
        self._began_ms = None
        self._clear()

    def _clear(self) -> None:
        if not self.settings.keep:
            return
        mine = sorted(
            self.settings.folder.glob(f"aurora-{self.host.gateway}-*.csv"), key=lambda path: path.stat().st_mtime_ns
        )
        for path in mine[: -self.settings.keep]:
            path.unlink()
            self.log.warning("%s was deleted: more than %d files wait", path.name, self.settings.keep)


def _utc(utc_ms: int | None) -> str:
    if utc_ms is None:
        return ""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _digits(utc: str) -> str:
    """``2026-11-24T10:00:00.000Z`` as it stands in a name; an unknown time is said to be unknown."""
    return utc[:19].replace("-", "").replace(":", "") + "Z" if utc else "time-unknown"


def _stamp(reading: Reading) -> str:
    return _digits(_utc(reading.utc_ms))


def _number(value: float, decimals: int | None) -> str:
    return repr(value) if decimals is None else f"{value:z.{decimals}f}"
