"""Kernel files that take their time, read off the event loop: one thread for each bus, as the bus has one line.

A read that hangs in the kernel cannot be taken back. Whoever waits for it gives up at its time limit, and until it
returns nothing else is asked of that bus; the other buses and the loop do not notice.
"""

import asyncio
import contextlib
import errno
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from firmware_interfaces.errors import BusError, NoAnswer
from firmware_interfaces.quality import Quality

__all__ = ["FileThread", "ReadFailed", "read_text"]

T = TypeVar("T")
GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESTALE})
SILENT = frozenset({errno.ETIMEDOUT, errno.EREMOTEIO, errno.EAGAIN})
LARGEST = 4096
"""Bytes of a sysfs attribute: one page (Documentation/filesystems/sysfs.rst)."""


class ReadFailed(BusError):  # noqa: N818 - named for what happened on the line
    """The kernel's driver refused with an error number; ``number`` holds it."""

    quality = Quality.DEVICE_EXCEPTION

    def __init__(self, what: str, number: int = 0) -> None:
        self.number = number
        super().__init__(what)


def read_text(path: Path) -> str:
    """The content of a kernel file. Raises `NoAnswer` where the device is gone or silent, else `ReadFailed`."""
    try:
        with path.open("rb", buffering=0) as file:
            data = file.read(LARGEST)
    except OSError as error:
        words = error.strerror or str(error)
        if error.errno in GONE:
            raise NoAnswer(f"{path.parent.name} is not there ({path.name}: {words})") from error
        if error.errno in SILENT:
            raise NoAnswer(f"{path.parent.name} does not answer ({path.name}: {words})") from error
        raise ReadFailed(f"{path.parent.name}: {path.name}: {words}", error.errno or 0) from error
    return (data or b"").decode("ascii", "replace")


class FileThread:
    """Runs one blocking function at a time on a thread of its own; the thread never keeps a process from ending."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._under_way: asyncio.Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        """Whether something that was given up has not returned yet."""
        return self._under_way is not None and not self._under_way.done()

    async def do(self, work: Callable[[], T], limit_s: float) -> T:
        """What ``work`` returns or raises; `NoAnswer` after ``limit_s``, and at once while an earlier one hangs."""
        if self.stuck:
            raise NoAnswer(f"{self._name}: an earlier reading has not returned yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._under_way = done

        def run() -> None:
            try:
                answer, error = work(), None
            except Exception as why:  # noqa: BLE001 - handed to whoever waits
                answer, error = None, why
            # A loop that has ended meanwhile refuses: nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, done, answer, error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._jobs.put(run)
        await asyncio.wait([done], timeout=limit_s)
        if not done.done():
            done.add_done_callback(_forget)
            raise NoAnswer(f"{self._name}: no answer within {limit_s:g} s")
        return done.result()

    def close(self) -> None:
        """Let the thread end when it is free."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    def _work(self) -> None:
        jobs = self._jobs
        while (job := jobs.get()) is not None:
            job()


def _settle(done: "asyncio.Future[Any]", answer: object, error: Exception | None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(answer)


def _forget(done: "asyncio.Future[Any]") -> None:
    """What came too late is thrown away, an error with it."""
    if not done.cancelled():
        done.exception()
