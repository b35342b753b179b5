"""One thread that works for the event loop: one thing after the other, in the order in which they were asked for.

An executor does the same at about twice the processor time, which counts at every commit.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

_T = TypeVar("_T")


class Worker:
    """A thread that begins at once and ends with `end`, or with the program."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[object, ...]] | None]
        self._queue = SimpleQueue()
        Thread(target=self._work, name=name, daemon=True).start()

    def run(self, work: Callable[..., _T], *args: object) -> "asyncio.Future[_T]":
        """Have ``work(*args)`` done on the thread; it is done even if nobody waits for the future any more."""
        future: asyncio.Future[_T] = self._loop.create_future()
        self._queue.put((future, work, args))
        return future

    def end(self) -> None:
        """End the thread once all is done that was asked for before."""
        self._queue.put(None)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            future, work, args = item
            result, failure = None, None
            try:
                result = work(*args)
            except BaseException as error:  # noqa: BLE001 - it is raised where the future is awaited
                failure = error
            # Where the loop is closed, nobody waits.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, future, result, failure)
            # What was done must not stay in memory until the next thing comes.
            del item, future, work, args, result, failure


def _settle(future: "asyncio.Future[Any]", result: object, failure: BaseException | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)
