"""Reports made on demand, each by a process of its own: neither their work nor their memory is the daemon's."""

import asyncio
import importlib.util
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.errors import OperatorError
from gateway.language import LANGUAGES, no_text
from gateway.site import Site

__all__ = ["Printer"]

FOLDER: Final = "printed"
KEPT: Final = 12
"""So many reports lie ready; the oldest makes room for a new one."""
LONGEST_S: Final = 900.0
WORSE_NICE: Final = 10
"""A report has time; the values have not."""
KINDS: Final = ("day", "month", "lot", "calibration")
FORMATS: Final = ("html", "pdf")
COMMAND: Final = "import sys; from gateway.cli import main; sys.exit(main())"


@dataclass(slots=True)
class _Report:
    number: str
    kind: str
    about: str
    form: str
    person: str
    state: str = "waiting"
    begun_s: float = 0.0
    took_s: float = 0.0
    size: int = 0
    problem: str = ""
    words: list[str] = field(default_factory=list)


class Printer:
    """Makes one report at a time, in the order in which they were asked for."""

    def __init__(self, site: Site) -> None:
        self.pdf = importlib.util.find_spec("reportlab") is not None
        self._site = site
        self._folder = site.data_dir / FOLDER
        self._reports: dict[str, _Report] = {}
        self._number = 0
        self._queue: asyncio.Queue[_Report] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def close(self) -> None:
        """End what is under way."""
        if self._worker is not None:
            self._worker.cancel()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def plain(self) -> list[dict[str, Any]]:
        """All of them, newest first."""
        now = asyncio.get_running_loop().time()
        return [
            {
                "report": one.number,
                "kind": one.kind,
                "about": one.about,
                "format": one.form,
                "person": one.person,
                "state": one.state,
                "seconds": round(now - one.begun_s, 1) if one.state == "under way" else round(one.took_s, 1),
                "bytes": one.size,
                "problem": one.problem,
            }
            for one in reversed(self._reports.values())
        ]

    def path(self, number: str) -> Path | None:
        """The file of one that is ready."""
        one = self._reports.get(number)
        return self._file(one) if one is not None and one.state == "ready" else None

    async def make(self, request: Any) -> dict[str, Any]:
        """Take an order; raises `OperatorError` for one that cannot be carried out."""
        report = self._checked(request)
        if sum(one.state in {"waiting", "under way"} for one in self._reports.values()) >= KEPT // 2:
            raise OperatorError("many reports are waiting to be made", "wait for them")
        self._number += 1
        report.number = f"{self._number}"
        self._reports[report.number] = report
        for old in [one for one in self._reports.values() if one.state in {"ready", "failed"}][: -KEPT + 1]:
            del self._reports[old.number]
            self._file(old).unlink(missing_ok=True)
        self._queue.put_nowait(report)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="printer")
        return {"report": report.number, "state": report.state}

    def _checked(self, request: Any) -> _Report:
        kind, form = request.get("kind"), request.get("format", "html")
        if kind not in KINDS:
            raise OperatorError("there is no such report", f"there are: {', '.join(KINDS)}")
        if form not in FORMATS or (form == "pdf" and not self.pdf):
            raise OperatorError("that form of a report cannot be made here", "take the page, or install reportlab")
        words, about = [self._site.source, kind, "--format", form], ""
        tag = request.get("language")
        words += ["--lang", tag if tag in LANGUAGES else self._site.language]
        if kind in {"day", "month"}:
            point, date = request.get("point"), request.get("date")
            known = {one.id: one.name for one in self._site.points}
            if point not in known:
                raise OperatorError("there is no such point", "see the overview")
            pattern = r"\d{4}-\d{2}-\d{2}" if kind == "day" else r"\d{4}-\d{2}"
            if not isinstance(date, str) or not re.fullmatch(pattern, date):
                raise OperatorError("the date is missing", "give a day as 2026-11-24, a month as 2026-11")
            words += ["--point", point, "--date", date]
            about = f"{known[point]}, {date}"
        elif kind == "lot":
            lot = request.get("lot")
            if not isinstance(lot, str) or not 0 < len(lot) <= 200 or no_text(lot, lines=False) is not None:
                raise OperatorError("the lot is missing", "name it as it was recorded")
            words.append(f"--lot={lot}")
            about = lot
        person = request.get("person")
        return _Report("", kind, about, form, person if isinstance(person, str) else "", words=words)

    def _file(self, report: _Report) -> Path:
        return self._folder / f"{report.number}.{report.form}"

    async def _work(self) -> None:
        if self._number == 1:
            await asyncio.to_thread(_emptied, self._folder)
        while not self._queue.empty():
            report = self._queue.get_nowait()
            loop = asyncio.get_running_loop()
            report.state, report.begun_s = "under way", loop.time()
            try:
                async with asyncio.timeout(LONGEST_S):
                    report.problem = await self._run(report)
                if not report.problem:
                    report.size = self._file(report).stat().st_size
            except TimeoutError:
                report.problem = f"it took longer than {LONGEST_S:.0f} s"
            except Exception as error:  # noqa: BLE001 - one order must not hold up those that wait behind it
                report.problem = str(error)
            report.took_s = loop.time() - report.begun_s
            report.state = "failed" if report.problem else "ready"

    async def _run(self, report: _Report) -> str:
        """Why it failed, empty where it did not."""
        words = ["report", *report.words, "--out", str(self._file(report))]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            COMMAND,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        process = self._process
        try:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, WORSE_NICE)
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            self._process = None
        if process.returncode == 0:
            return ""
        return said.decode(errors="replace").strip()[-500:] or f"it ended with status {process.returncode}"


def _emptied(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in folder.iterdir():
        old.unlink(missing_ok=True)
