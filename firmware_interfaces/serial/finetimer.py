"""Waiting for a fraction of a millisecond without keeping a processor busy: timerfd_create(2).

Event loops count in whole milliseconds; the silence between two frames on a fast serial line is 1.75 ms.
"""

import asyncio
import ctypes
import os

__all__ = ["FineTimer"]

CLOCK_MONOTONIC = 1
EXPIRATIONS = 8
"""Bytes of the number of expirations that is read from the timer."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class FineTimer:
    """A timer of the kernel in an event loop; one waiter at a time. Raises `OSError` where there is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        self._setting = _Setting()
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        loop.add_reader(self._fd, self._rang)

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` (above 0, below 1)."""
        self._waiter = waiter = self._loop.create_future()
        self._setting.value.nanoseconds = max(1, round(seconds * 1e9))
        if self._libc.timerfd_settime(self._fd, 0, ctypes.byref(self._setting), None):
            raise OSError(ctypes.get_errno(), "the timer cannot be set")
        await waiter

    def close(self) -> None:
        """Give the timer back; who waits is woken."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._wake()

    def _rang(self) -> None:
        try:
            os.read(self._fd, EXPIRATIONS)
        except BlockingIOError:
            return
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
