"""A scripted Modbus peer on loopback: the test says, request by request, which bytes come back and when."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

Script = Callable[[bytes], bytes | None]


class Peer:
    """Accepts connections; for each request it hands the bytes to `script` and sends what that returns."""

    def __init__(self) -> None:
        self.script: Script = lambda request: None
        self.requests: list[bytes] = []
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while data := await reader.read(4096):
            self.requests.append(data)
            if (answer := self.script(data)) is not None:
                writer.write(answer)
        writer.close()

    def send(self, data: bytes) -> None:
        """Bytes that nobody asked for at this moment."""
        self._writers[-1].write(data)

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    async def stop(self) -> None:
        self.hang_up()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    it = Peer()
    await it.start()
    yield it
    await it.stop()
