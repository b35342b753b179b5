"""An output: each notice becomes a line of a CSV file, for a spreadsheet or another program."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.api import Mistake, Notice, Output, OutputError, setting

COLUMNS = (
    "key",
    "transition",
    "tier",
    "name",
    "value",
    "unit",
    "limit",
    "raised_utc_ms",
    "words",
    "person",
    "text",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCsvSettings:
    """Where the file is. A `Path` is relative to the site file."""

    file: Path = setting(example="alarms.csv")
    separator: str = setting(";", example=";", least=1, most=1)


class AlarmCsv(Output):
    """Delivered when the line is on the disk."""

    title = "lines of a CSV file"
    Settings = AlarmCsvSettings
    settings: AlarmCsvSettings

    @classmethod
    def check(cls, settings: AlarmCsvSettings) -> Iterable[Mistake]:
        """What is wrong with the settings together; `aurora-gateway check` asks this."""
        if settings.file.suffix != ".csv":
            yield Mistake(f"{settings.file.name} is no CSV file", 'let its name end in ".csv"', "file")

    async def send(self, notice: Notice) -> None:
        """Append one line. Blocking is allowed here: this is the output's own thread."""
        fields = notice.fields()
        try:
            with self.settings.file.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, delimiter=self.settings.separator)
                if file.tell() == 0:
                    writer.writerow(COLUMNS)
                writer.writerow([fields[column] for column in COLUMNS])
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self.settings.file} cannot be written ({error.strerror})",
                "see whether the folder is there, and whether the gateway's user may write to it",
            ) from error

    async def test(self) -> None:
        """Whether it could write, without writing anything."""
        if not os.access(self.settings.file.parent, os.W_OK):
            raise OutputError(f"{self.settings.file.parent} cannot be written to", "see who may write to it")
