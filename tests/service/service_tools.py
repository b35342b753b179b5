"""A service manager's end of the notification socket, and a gateway as a process under it."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

ROOT = Path(__file__).parents[2]


class Manager:
    """Receives what a service tells; ``messages`` holds each as a dictionary, in order."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify.sock")
        self.messages: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def read(self) -> list[dict[str, str]]:
        while True:
            try:
                text = self._socket.recv(1 << 16).decode()
            except BlockingIOError:
                return self.messages
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    def has(self, name: str, value: str = "1") -> bool:
        return any(message.get(name) == value for message in self.read())

    def said(self, words: str) -> bool:
        return any(words in message.get("STATUS", "") for message in self.read())

    def fed(self) -> int:
        return sum(message.get("WATCHDOG") == "1" for message in self.read())

    def close(self) -> None:
        self._socket.close()


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """The same outside a loop."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


SITE = """
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"
[web]
listen = false
"""
SENSORS = """
[[bus]]
id = "up"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}
[[device]]
id = "a"
bus = "up"
model = "generic-registers-20"
unit = 1
period = "{period}"
"""


@contextmanager
def daemon(
    folder: Path,
    manager: Manager,
    port: int,
    *,
    watchdog_s: float = 2.0,
    sensors: bool = True,
    period: str = "200ms",
) -> Iterator[Popen[str]]:
    """The gateway as systemd would start it; what it logs is in ``folder/log``."""
    site = folder / "site.toml"
    site.write_text(SITE + (SENSORS.format(port=port, period=period) if sensors else ""))
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": str(int(watchdog_s * 1e6)),
    }
    words = [sys.executable, "-m", "gateway.cli", "run", str(site)]
    with (folder / "log").open("w") as log:
        process = Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=STDOUT, stdin=PIPE, text=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
