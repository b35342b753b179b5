"""Control of the running daemon: a Unix socket in the data directory, one JSON object a line each way.

A request is ``{"do": NAME, ...}``; its answer ``{"ok": true, ...}`` or ``{"error": WHAT, "remedy": HOW}``. The
socket belongs to the daemon's user alone (mode 0600): whoever may open it may do what the daemon may do.
"""

import asyncio
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

from gateway.errors import AuroraError

__all__ = ["Control", "ControlError", "Handler", "ask"]

log = logging.getLogger(__name__)

Handler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Does what a request asks and returns what belongs in the answer; raises `AuroraError` to refuse."""

SOCKET = "control.sock"
LOCK = "control.lock"
LONGEST_REQUEST = 5 << 20
"""Bytes of a request with its end of line: one that holds a whole site file of 1000 devices fits."""
LONGEST_ANSWER = 16 << 20
CLIENTS = 32
IDLE_S = 30.0
"""A client that sends nothing for so long, or takes its answer for so long, is cut off."""
HANDLER_S = 120.0
LONGEST_PATH = 100
"""Bytes; a socket address holds 108 with its end (unix(7)). Longer paths go by way of /proc."""


class ControlError(AuroraError):
    """The daemon does not answer, or refuses; ``remedy`` says what would help."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}" if remedy else what)


class Control:
    """The server. Register handlers at any time; `open` it, and `close` it at the end."""

    def __init__(self, data_dir: Path, *, idle_s: float = IDLE_S, handler_s: float = HANDLER_S) -> None:
        self.path = data_dir / SOCKET
        self.failed = 0
        """Requests that ended in a defect of their handler."""
        self._lock_path = data_dir / LOCK
        self._idle_s = idle_s
        self._handler_s = handler_s
        self._handlers: dict[str, Handler] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._lock: IO[bytes] | None = None
        self._server: asyncio.Server | None = None

    def handle(self, name: str, handler: Handler) -> None:
        """From now on ``handler`` answers requests to do ``name``."""
        if name in self._handlers:
            raise ValueError(f"{name} has a handler already")
        self._handlers[name] = handler

    async def carry_out(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do ``name`` as if it had been asked for over the socket; raises `AuroraError` when it is refused."""
        handler = self._handlers.get(name)
        if handler is None:
            raise ControlError(f"{name} is nothing that this gateway can do now", "try again in a moment")
        async with asyncio.timeout(self._handler_s):
            return await handler(request)

    async def open(self) -> None:
        """Begin to listen. A socket that a killed daemon has left is replaced.

        Raises `ControlError` when a daemon is running on this data directory, or none can listen there.
        """
        try:
            self._lock = _take_lock(self._lock_path)
            listener = _bind(self.path)
        except OSError as error:
            self._release()
            raise ControlError(
                f"{error.filename or self.path} cannot be used ({error.strerror})",
                "make the data directory one that the gateway's user may write to",
            ) from error
        except BaseException:
            self._release()
            raise
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_REQUEST)

    async def close(self) -> None:
        """Stop listening and cut off whoever is connected; harmless when it is not open."""
        if self._server is None:
            return
        server, self._server = self._server, None
        self.path.unlink(missing_ok=True)
        server.close()
        for client in list(self._clients):
            client.cancel()
        if self._clients:
            await asyncio.wait(list(self._clients))
        await server.wait_closed()
        self._release()

    async def run(self) -> None:
        """Open, serve until cancelled, close: for a task of its own."""
        await self.open()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) > CLIENTS:
                await self._answer(writer, _refusal(f"{CLIENTS} clients are connected", "try again in a moment"))
            else:
                await self._converse(reader, writer)
        except (TimeoutError, ConnectionError):
            pass  # Silent, too slow, or gone: the next one may be better.
        except asyncio.CancelledError:
            if self._server is not None:
                raise
        finally:
            self._clients.discard(task)
            if self._server is None:
                writer.transport.abort()
            else:
                writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    line = await reader.readline()
            except ValueError:  # Beyond the limit; what follows in the stream has no beginning.
                await self._answer(
                    writer, _refusal(f"a request is longer than {LONGEST_REQUEST} bytes", "say less")
                )
                return
            if not line.endswith(b"\n"):
                return
            await self._answer(writer, await self._do(line))

    async def _answer(self, writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
        writer.write(json.dumps(answer, allow_nan=False).encode() + b"\n")
        async with asyncio.timeout(self._idle_s):
            await writer.drain()

    async def _do(self, line: bytes) -> Mapping[str, Any]:
        """The answer to one request, whatever it is and whatever becomes of it."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _refusal("a request is not JSON", 'send one object a line: {"do": "..."}')
        name = request.get("do") if isinstance(request, dict) else None
        if not isinstance(name, str):
            return _refusal("a request does not say what to do", 'send one object a line: {"do": "..."}')
        handler = self._handlers.get(name)
        if handler is None:
            close = get_close_matches(name, self._handlers, n=1)
            known = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(self._handlers))}"
            return _refusal(f"{name[:100]!r} is nothing that this gateway can do", known)
        try:
            async with asyncio.timeout(self._handler_s):
                answer = {"ok": True, **await handler(request)}
            json.dumps(answer, allow_nan=False)
        except AuroraError as error:
            return _refusal(getattr(error, "what", None) or str(error), getattr(error, "remedy", ""))
        except TimeoutError:
            return _refusal(f"{name} took longer than {self._handler_s:g} s", "see the log; it may still be done")
        except Exception:
            self.failed += 1
            log.exception("control: %s failed", name)
            return _refusal(f"{name} failed by a defect of the gateway", "see its log, and report it")
        return answer


def _refusal(what: str, remedy: str) -> dict[str, Any]:
    return {"error": what, "remedy": remedy}


def _take_lock(path: Path) -> IO[bytes]:
    """The lock ends with the process that holds it, however that ends: it tells a live socket from a stale one."""
    lock = path.open("ab")
    try:
        path.chmod(0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ControlError(
            f"a gateway is running on {path.parent}", "stop it first, or give this one a data_dir of its own"
        ) from None
    except BaseException:
        lock.close()
        raise
    return lock


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On Linux the file that bind() makes takes its mode from the socket: at no moment is it open to others.
        os.fchmod(listener.fileno(), 0o600)
        path.unlink(missing_ok=True)
        with _address(path) as address:
            listener.bind(address)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """The path as a socket address, by way of its open folder where it is too long for one."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask(data_dir: Path, request: Mapping[str, Any], *, timeout_s: float = HANDLER_S + 10.0) -> dict[str, Any]:
    """Have the daemon of this data directory do something, and return its answer.

    Raises `ControlError` when it is not running, does not answer in time, or refuses.
    """
    path = data_dir / SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            with _address(path) as address:
                connection.connect(address)
            with suppress(BrokenPipeError):  # a gateway that refuses the connection has said why before
                connection.sendall(json.dumps(dict(request), allow_nan=False).encode() + b"\n")
            line = _read_line(connection, time.monotonic() + timeout_s)
        except (FileNotFoundError, ConnectionRefusedError):
            raise ControlError(
                f"no gateway is running on {data_dir}", "start it: aurora-gateway run SITE"
            ) from None
        except PermissionError:
            raise ControlError(f"{path} belongs to another user", "be the gateway's user, or root") from None
        except TimeoutError:
            raise ControlError(f"the gateway does not answer within {timeout_s:g} s", "see its log") from None
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror}", "see whether the gateway is running") from error
    return _checked(line)


def _read_line(connection: socket.socket, until: float) -> bytes:
    found = bytearray()
    while not found.endswith(b"\n"):
        connection.settimeout(max(0.001, until - time.monotonic()))
        part = connection.recv(1 << 16)
        found += part
        if not part or len(found) > LONGEST_ANSWER:
            raise ControlError("the gateway ended the connection before its answer", "see its log, and ask again")
    return bytes(found)


def _checked(line: bytes) -> dict[str, Any]:
    answer: Any = None
    with suppress(ValueError):
        answer = json.loads(line)
    if not isinstance(answer, dict) or not ("error" in answer or answer.get("ok") is True):
        raise ControlError("what answers is no gateway", "see which process holds the socket")
    if "error" in answer:
        raise ControlError(str(answer["error"]), str(answer.get("remedy", "")))
    return answer
