"""Child processes of the demonstration: each with a log file, ended by its own process id."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import AuroraError

__all__ = ["Child", "free_ports", "until_listening"]

STOP_S = 15.0


class Child:
    """A process of the demonstration, in a session of its own so that Ctrl-C reaches the demonstration alone."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def start(cls, name: str, command: Sequence[str], logs: Path) -> "Child":
        """Start a command; both its outputs go to ``logs/NAME.log``."""
        log = logs / f"{name}.log"
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        return cls(name, process, log)

    @classmethod
    async def python(cls, name: str, module: str, *arguments: str | Path, logs: Path) -> "Child":
        """Start a module of ours with the Python that runs the demonstration."""
        return await cls.start(name, [sys.executable, "-m", module, *map(str, arguments)], logs)

    async def kill(self) -> None:
        """SIGKILL: what a power cut is to a process."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL when it does not end; returns its exit status."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
        return await self.process.wait()

    def require_alive(self) -> None:
        """Raise `AuroraError` with the end of its log when it has ended."""
        if self.process.returncode is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-6:]
            raise AuroraError(f"{self.name} ended with status {self.process.returncode}:\n  " + "\n  ".join(lines))


async def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody uses at this moment."""
    servers = [await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) for _ in range(count)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    for server in servers:
        server.close()
        await server.wait_closed()
    return ports


async def until_listening(child: Child, port: int, limit_s: float = 15.0) -> None:
    """Wait until something accepts connections on a loopback port; raises `AuroraError` when it does not."""
    try:
        async with asyncio.timeout(limit_s):
            while True:
                child.require_alive()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return
    except TimeoutError as error:
        raise AuroraError(f"{child.name} does not listen on port {port}; see {child.log}") from error
