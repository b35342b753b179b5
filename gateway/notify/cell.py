"""The room of one plugin: a thread with an event loop of its own, in which whatever the plugin does stays.

It may raise, block, run in circles or log without end: the caller gets an `OutputError` within the time limit, what
happened is counted, and the gateway's own loop never waits for it. A thread cannot be ended from outside; one that
does not come back is asked to by an exception (which Python code takes at its next step), and until it does, the
output counts as stopped.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.api import DeviceInfo, Host, Output, OutputError, PluginError, load_output
from gateway.site import Identity, OutputSpec

__all__ = ["Cell", "Faults", "LogLimit"]

log = logging.getLogger(__name__)

GRACE_S = 2.0
"""What an output gets to clean up after its time limit."""
CLOSE_S = 1.5
LINES_PER_MINUTE = 20


class Stopped(BaseException):
    """Thrown into a plugin that does not come back; no ``except Exception`` catches it."""


@dataclass(slots=True)
class Faults:
    """What a plugin did that it should not have."""

    raised: int = 0
    """Exceptions that are no `OutputError`."""
    late: int = 0
    """Calls beyond the time limit."""
    blocked: int = 0
    """Of these, those that did not come back even then."""
    silenced: int = 0
    """Log lines beyond 20 a minute, which were thrown away."""
    last: str = field(default="")


class LogLimit(logging.Filter):
    """Lets so many lines a minute pass; the rest is counted and not written."""

    def __init__(self, faults: Faults, clock: Callable[[], float], most: int = LINES_PER_MINUTE) -> None:
        super().__init__()
        self._faults = faults
        self._clock = clock
        self._most = most
        self._began_s = clock()
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        now_s = self._clock()
        if now_s - self._began_s >= 60:
            self._began_s, self._lines = now_s, 0
        self._lines += 1
        if self._lines == self._most:
            record.msg = f"{record.getMessage()} (further lines of this minute are not written)"
            record.args = None
        if self._lines > self._most:
            self._faults.silenced += 1
            return False
        return True


class _Room:
    """A thread, its loop, and the output that lives there."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.output: Output | None = None
        self.thread = threading.Thread(target=self._live, name=name, daemon=True)
        self.thread.start()

    def _live(self) -> None:
        try:
            with suppress(Stopped):
                self.loop.run_forever()
            self._cancel_all()
        except Stopped:  # thrown once more, between the steps of this end
            self._cancel_all()
        finally:
            with suppress(Stopped):
                self.loop.close()
            self.loop.close()

    def _cancel_all(self) -> None:
        with suppress(Stopped):
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def interrupt(self) -> None:
        """Have the thread raise `Stopped` at its next step of Python code."""
        import ctypes

        if self.thread.ident is not None and self.thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread.ident), ctypes.py_object(Stopped))

    def end(self) -> None:
        """Let the loop end; it does when the plugin lets it."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)


class Cell:
    """One output in its room, and what it did there that it should not have. ``make`` makes it, in its thread."""

    def __init__(
        self,
        spec: OutputSpec,
        identity: Identity,
        *,
        devices: tuple[DeviceInfo, ...] = (),
        grace_s: float = GRACE_S,
        make: Callable[[Host], Output] | None = None,
    ) -> None:
        self.spec = spec
        self.faults = Faults()
        self._grace_s = grace_s
        self._make = make or self._output
        self._room: _Room | None = None
        self._stuck = False
        self._one_at_a_time = asyncio.Lock()
        logger = logging.getLogger(f"gateway.output.{spec.id}")
        for old in [one for one in logger.filters if isinstance(one, LogLimit)]:
            logger.removeFilter(old)
        logger.addFilter(LogLimit(self.faults, asyncio.get_running_loop().time))
        self._host = Host(
            output=spec.id,
            member=identity.member,
            site=identity.site,
            gateway=identity.gateway,
            timeout_s=spec.timeout_s,
            log=logger,
            devices=devices,
        )

    @property
    def blocked(self) -> bool:
        """Whether the plugin has not come back from an earlier call."""
        return self._stuck

    async def call(self, work: Callable[[Output], Awaitable[None]], timeout_s: float | None = None) -> None:
        """Have the output do something. Raises `OutputError` when it fails, in whatever way, or takes too long."""
        async with self._one_at_a_time:
            await self._call(work, timeout_s or self.spec.timeout_s)

    async def _call(self, work: Callable[[Output], Awaitable[None]], limit_s: float) -> None:
        room = self._open()
        doing = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._guarded(room, work), room.loop))
        try:
            done, _ = await asyncio.wait([doing], timeout=limit_s)
        except asyncio.CancelledError:
            doing.cancel()
            raise
        if not done:
            self.faults.late += 1
            doing.cancel()
            if not await self._answers(room):
                self._stuck = True
                self.faults.blocked += 1
                room.interrupt()
                room.end()
            what = f"it was not done within {limit_s:g} s"
            self.faults.last = f"{what}; the plugin blocks" if self._stuck else what
            raise OutputError(self.faults.last, "see whether the other side is slow, or raise timeout")
        failure = doing.result()
        if failure is None:
            return
        if isinstance(failure, OutputError):
            raise failure
        if isinstance(failure, PluginError):
            raise OutputError(failure.what, failure.remedy)
        self.faults.raised += 1
        error = OutputError(
            f"the plugin {self.spec.type!r} failed by a defect of its own ({type(failure).__name__}: {failure})",
            "report it to its maker",
        )
        self.faults.last = error.what
        raise error from failure

    async def close(self) -> None:
        """Let the output give back what is open, for a few seconds."""
        room = self._room
        if room is None:
            return
        if not self._stuck and room.output is not None:
            self._grace_s = min(self._grace_s, 0.2)
            with suppress(OutputError):
                await self.call(lambda output: output.close(), CLOSE_S)
        self._room = None
        room.end()
        await asyncio.to_thread(room.thread.join, 1.0)

    def _open(self) -> _Room:
        """The room; a new one where the old has come to an end after all."""
        if self._stuck:
            assert self._room is not None
            if self._room.thread.is_alive():
                raise OutputError("the plugin still blocks since an earlier call", "report it to its maker")
            self._room, self._stuck = None, False
        if self._room is None or not self._room.thread.is_alive():
            self._room = _Room(f"output {self.spec.id}")
        return self._room

    def _output(self, host: Host) -> Output:
        kind = load_output(self.spec.type)
        return kind(kind.Settings(**self.spec.settings), host)

    async def _guarded(self, room: _Room, work: Callable[[Output], Awaitable[None]]) -> BaseException | None:
        """Runs in the room: the output, made at its first call, at work. What it raises is returned."""
        try:
            if room.output is None:
                room.output = self._make(self._host)
            await work(room.output)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the border to a plugin: also SystemExit must not end the thread
            return error
        return None

    async def _answers(self, room: _Room) -> bool:
        """Whether the room's loop still turns."""

        async def nothing() -> None:
            return None

        answer = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(nothing(), room.loop))
        done, _ = await asyncio.wait([answer], timeout=self._grace_s)
        if not done:
            answer.cancel()
        return bool(done)
