"""A real Chromium, driven over its own protocol (Chrome DevTools Protocol) on two pipes: no driver, no network."""

import asyncio
import fcntl
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and writes answers to descriptor 4."""
LIMIT_S = 60.0


class Tab:
    """One page. ``complaints`` gathers what the console shows as warnings and errors, CSP violations included."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.complaints: list[str] = []
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session = ""
        self.loaded = asyncio.Event()

    async def open(self) -> None:
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = len(self._answers) + 1
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(LIMIT_S):
            return await answer

    async def close(self) -> None:
        """End the browser; its helpers end with it."""
        self._session = ""
        await self.call("Browser.close")

    async def listen(self) -> None:
        while True:
            message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            params = message.get("params", {})
            match message.get("method"):
                case None:
                    self._answers[message["id"]].set_result(
                        message.get("result") or {"error": message.get("error")}
                    )
                case "Page.loadEventFired":
                    self.loaded.set()
                case "Log.entryAdded":
                    entry = params["entry"]
                    if entry["level"] in {"warning", "error"} or entry["source"] == "security":
                        self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(params["exceptionDetails"]))
                case "Runtime.consoleAPICalled":
                    self.complaints.append(str(params["args"]))

    async def go(self, url: str) -> None:
        """Load a page; returns after its load event."""
        self.loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(LIMIT_S):
            await self.loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str, limit_s: float = LIMIT_S) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(limit_s):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.05)

    async def later(self, seconds: float) -> None:
        """Let the page believe that so much time has passed."""
        shift = f"const now = performance.now.bind(performance); performance.now = () => now() + {seconds * 1000}"
        await self.evaluate(f"{{ {shift} }}")

    async def text(self, selector: str) -> str:
        """What a person reads there."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))


@asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Tab]:
    """A tab of a browser that keeps its things in ``folder``."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: run scripts/install-system-packages test"
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    # Out of the way of descriptors 3 and 4, which the child gives to these two.
    theirs = tuple(fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (their_in, their_out))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LAUNCH, *map(str, theirs), program, *FLAGS, f"--user-data-dir={folder}"),
        pass_fds=theirs,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    for descriptor in (their_in, their_out, *theirs):
        os.close(descriptor)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    incoming, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(our_in, "rb")
    )
    outgoing, flow = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(our_out, "wb"))
    page = Tab(reader, asyncio.StreamWriter(outgoing, flow, None, loop))
    listening = asyncio.create_task(page.listen())
    try:
        await page.open()
        yield page
    finally:
        try:
            await page.close()
            async with asyncio.timeout(LIMIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        listening.cancel()
        await asyncio.wait([listening])
        outgoing.close()
        incoming.close()
