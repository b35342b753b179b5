"""TCP proxy between a gateway and the broker: counts bytes, and plays the ways in which an uplink fails.

Run as ``python -m bench.proxy BROKER_PORT``; writes ``{"port": P, "control": P}`` when ready. One command a line
on the control port, one answer a line:

``up``        everything passes; links that lived through a silence are reset
``refuse``    nobody listens, and links are reset
``silent``    links stay up and new ones are accepted, but every byte is swallowed
``rate N``    the gateway may send N bytes a second, 0 for as many as it likes
``stats``     bytes sent by the gateway (``sent``), bytes it received (``received``), ``links``, as JSON
"""

import asyncio
import json
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field

BLOCK = 65536
HOST = "127.0.0.1"


@dataclass
class Stats:
    """Payload bytes of the TCP links, both ways, and how many links there were."""

    sent: int = 0
    received: int = 0
    links: int = 0


@dataclass
class Proxy:
    """One listening port in front of one broker port."""

    broker_port: int
    port: int = 0
    stats: Stats = field(default_factory=Stats)
    silent: bool = False
    rate: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[None] | None] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Accept links, on the same port as before."""
        if self.server is None:
            self.server = await asyncio.start_server(self.link, HOST, self.port)
            self.port = self.server.sockets[0].getsockname()[1]

    def reset_links(self) -> None:
        """End all links with a reset, as a broken route does."""
        for writer in list(self.writers):
            reset(writer)

    async def command(self, line: str) -> str:
        """Obey one line of the control port and return its answer."""
        match line.split():
            case ["stats"]:
                return json.dumps(asdict(self.stats))
            case ["up"]:
                if self.silent:
                    self.silent = False
                    self.reset_links()
                await self.listen()
            case ["refuse"]:
                if self.server:
                    self.server.close()
                    self.server = None
                self.reset_links()
            case ["silent"]:
                self.silent = True
            case ["rate", number]:
                self.rate = int(number)
            case _:
                return "not understood"
        return "ok"

    async def link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One link of the gateway: both directions until either side ends."""
        self.stats.links += 1
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            broker_reader, broker_writer = await asyncio.open_connection(HOST, self.broker_port)
        except OSError:
            reset(writer)
            self.tasks.discard(task)
            return
        pair = {writer, broker_writer}
        self.writers |= pair
        try:
            await asyncio.gather(
                self.pump(reader, broker_writer, "sent"), self.pump(broker_reader, writer, "received")
            )
        finally:
            self.writers -= pair
            for one in pair:
                with suppress(OSError):
                    await one.wait_closed()
            self.tasks.discard(task)

    async def close(self) -> None:
        """Refuse, and wait until no link is open."""
        await self.command("refuse")
        await asyncio.gather(*(task for task in self.tasks if task))

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: str) -> None:
        """One direction of a link."""
        try:
            while data := await reader.read(BLOCK if not self.rate else max(1, self.rate // 20)):
                if self.silent:
                    continue
                setattr(self.stats, counter, getattr(self.stats, counter) + len(data))
                writer.write(data)
                await writer.drain()
                if self.rate and counter == "sent":
                    await asyncio.sleep(len(data) / self.rate)
        except OSError:
            pass
        finally:
            writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a link with a TCP reset: without lingering (RFC 9293, 3.10.4), instead of in order."""
    link: socket.socket = writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def control(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one client of the control port."""
    while line := await reader.readline():
        writer.write((await proxy.command(line.decode()) + "\n").encode())
    writer.close()


async def main(broker_port: int) -> None:
    """Serve until ended by a signal."""
    proxy = Proxy(broker_port)
    await proxy.listen()
    server = await asyncio.start_server(lambda r, w: control(proxy, r, w), HOST, 0)
    print(json.dumps({"port": proxy.port, "control": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
