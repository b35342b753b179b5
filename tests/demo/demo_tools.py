"""What the tests of this folder share: waiting for a condition, processes, certificates."""

import asyncio
import os
import shutil
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip a test where an independent peer is not installed (Debian: mbpoll, mosquitto-clients)."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for a condition, looking at it often; fails when it does not come true."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'ext'}", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Pki:
    """A folder with ca.pem and NAME.pem, NAME.key for each name."""

    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def client(self, name: str) -> ssl.SSLContext:
        """What a client called ``name`` connects with."""
        context = ssl.create_default_context(cafile=self.file("ca.pem"))
        context.load_cert_chain(self.file(f"{name}.pem"), self.file(f"{name}.key"))
        return context

    def mosquitto(self, name: str) -> list[str]:
        """The same for the commands of mosquitto-clients."""
        return [
            "--cafile",
            self.file("ca.pem"),
            "--cert",
            self.file(f"{name}.pem"),
            "--key",
            self.file(f"{name}.key"),
        ]
