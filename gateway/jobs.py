"""Work that takes longer than a person waits for one page: begun, looked at, cancelled, its result fetched."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from firmware_interfaces.errors import FirmwareError
from gateway.errors import AuroraError, OperatorError

__all__ = ["Job", "Jobs"]

log = logging.getLogger(__name__)

KEPT = 30
"""Jobs that are remembered; the oldest that has ended goes first."""
AT_ONCE = 8
ABOUT = frozenset({"bus", "connection", "unit", "model", "address", "device", "session", "which"})
"""What of a request leads on from its job."""


@dataclass(slots=True, eq=False)
class Job:
    """One piece of work. Who does it counts ``done`` up to ``total`` (0: not known), and says in ``words`` how far.

    ``found`` is what there is to show already; ``result`` what came of it in the end.
    """

    id: str
    kind: str
    title: str
    place: str
    total: int = 0
    done: int = 0
    words: str = ""
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    found: list[Any] = field(default_factory=list)
    result: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, so that a page can go on from there."""
    task: "asyncio.Task[None] | None" = None

    def of(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """As `data`, with what a request asked for kept in ``about``."""
        self.about = {key: value for key, value in request.items() if key in ABOUT}
        return self.data()

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "job": self.id,
            "kind": self.kind,
            "title": self.title,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "words": self.words,
            "remedy": self.remedy,
            "about": dict(self.about),
            "found": list(self.found),
            "result": dict(self.result),
        }


class Jobs:
    """The jobs of one gateway. `close` ends them all."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._number = 0

    def begin(
        self, kind: str, title: str, place: str, work: Callable[[Job], Awaitable[Mapping[str, Any]]], total: int = 0
    ) -> Job:
        """Start a job; only one of a kind runs at a place. Raises `OperatorError` while another one does."""
        running = [job for job in self._jobs.values() if job.state == "running"]
        for job in running:
            if (job.kind, job.place) == (kind, place):
                raise OperatorError(f"{job.title} is under way already ({job.id})", "wait for it, or cancel it")
        if len(running) >= AT_ONCE:
            raise OperatorError(f"{AT_ONCE} jobs are under way", "wait for one, or cancel one")
        self._forget()
        self._number += 1
        job = Job(f"J{self._number}", kind, title, place, total)
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._run(job, work), name=f"job {job.id} {kind}")
        job.task.add_done_callback(lambda _: _unbegun(job))
        return job

    def get(self, name: str) -> Job:
        """The job of an id; raises `OperatorError` for one that is not known."""
        job = self._jobs.get(name)
        if job is None:
            raise OperatorError(f"there is no job {name!r:.40}", "it may have been forgotten; begin it again")
        return job

    @property
    def all(self) -> list[Job]:
        """All that are remembered, the newest first."""
        return list(reversed(self._jobs.values()))

    def cancel(self, name: str) -> Job:
        """Have a job end. One that has ended stays as it is."""
        job = self.get(name)
        if job.task is not None and job.state == "running":
            job.task.cancel()
        return job

    async def close(self) -> None:
        """End all of them."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None and not job.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @staticmethod
    async def _run(job: Job, work: Callable[[Job], Awaitable[Mapping[str, Any]]]) -> None:
        try:
            job.result = await work(job)
            job.state = "done"
        except asyncio.CancelledError:
            job.state, job.words = "cancelled", "cancelled"
        except (AuroraError, FirmwareError) as error:
            job.state, job.words = "failed", getattr(error, "what", None) or str(error)
            job.remedy = getattr(error, "remedy", "")
        except Exception:
            log.exception("job %s (%s) failed", job.id, job.title)
            job.state, job.words, job.remedy = "failed", "a defect of the gateway", "see its log, and report it"

    def _forget(self) -> None:
        ended = [name for name, job in self._jobs.items() if job.state != "running"]
        for name in ended[: max(0, len(self._jobs) - KEPT + 1)]:
            del self._jobs[name]


def _unbegun(job: Job) -> None:
    """A task that was cancelled before its first step has not said so."""
    if job.state == "running":
        job.state, job.words = "cancelled", "cancelled"
