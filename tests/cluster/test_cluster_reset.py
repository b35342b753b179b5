"""A broker that breaks off with a reset: the end of the connection is known at once, on either event loop."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from threading import Thread
from typing import Any

import pytest
import uvloop

from gateway.mqtt import PACKETS_AT_ONCE, Endpoint, Link, LinkError, connect

CONNACK = b"\x20\x03\x00\x00\x00"
TOPIC = b"\x00\x01a"
MESSAGE = b"\x30\x05" + TOPIC + b"\x00" + b"1"
AT_ONCE_S = 5.0
"""Far below the keepalive, after which a dead connection would be known in any case."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: `close` sends a reset."""


class Breaker:
    """A broker of few words: it takes one connection, and `break_off` ends that with a reset."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        self.endpoint = Endpoint(host="127.0.0.1", port=port, client="x", keepalive_s=60)
        self._thread = Thread(target=self._take)
        self._thread.start()
        self._taken: socket.socket | None = None

    def _take(self) -> None:
        taken, _ = self._server.accept()
        taken.recv(4096)
        taken.sendall(CONNACK)
        self._taken = taken

    def send(self, *messages: bytes) -> socket.socket:
        """Send in one piece; returns when the other side's kernel has it."""
        self._thread.join()
        assert self._taken is not None
        self._taken.sendall(b"".join(messages))
        return self._taken

    def break_off(self, *last: bytes) -> None:
        """Send what is to come last, and reset; returns when the other side's kernel knows."""
        taken = self.send(*last)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        taken.close()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def breaker() -> Iterator[Breaker]:
    breaker = Breaker()
    yield breaker
    breaker.close()


Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


def run(loop: Loop, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; the event loop has nothing to complain of."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        runner.run(work)
    assert complaints == []


@LOOPS
def test_what_comes_in_one_piece_is_read_to_its_end_and_others_have_their_turn(
    breaker: Breaker, loop: Loop
) -> None:
    async def count() -> int:
        turns = 0
        while True:
            turns += 1
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                return turns

    async def listen() -> None:
        async with asyncio.timeout(AT_ONCE_S), connect(breaker.endpoint) as link:
            others = asyncio.ensure_future(count())
            breaker.send(*[MESSAGE] * 2000)
            found = 0
            while found < 2000:
                found += len(await link.receive(2000))
            others.cancel()
            assert await others > 2000 / PACKETS_AT_ONCE
            breaker.break_off()
            await ends(link)

    run(loop, listen())


async def ends(link: Link, *, sending: bool = False) -> None:
    """Send, when asked to, and read what is there; the end comes."""
    with pytest.raises(LinkError):  # noqa: PT012  # messages first
        if sending:
            link.send("a", b"1")
        while True:
            await link.receive(10)


@LOOPS
@pytest.mark.parametrize("last", [(), (MESSAGE,), (MESSAGE, MESSAGE, MESSAGE)], ids=["nothing", "one", "three"])
def test_a_reset_ends_the_connection_whatever_came_before_it(
    breaker: Breaker, loop: Loop, last: tuple[bytes, ...]
) -> None:
    async def listen() -> None:
        async with asyncio.timeout(AT_ONCE_S), connect(breaker.endpoint) as link:
            breaker.break_off(*last)
            await ends(link)

    run(loop, listen())


@LOOPS
@pytest.mark.parametrize("last", [(), (MESSAGE,)], ids=["nothing", "one"])
def test_what_was_to_be_sent_as_the_connection_broke_waits_for_no_other_socket(
    breaker: Breaker, loop: Loop, last: tuple[bytes, ...]
) -> None:
    async def send() -> None:
        async with asyncio.timeout(AT_ONCE_S), connect(breaker.endpoint) as link:
            breaker.break_off(*last)
            # asyncio reads the end after the next step and before what that step begins; uvloop before it.
            await asyncio.sleep(0)
            await ends(link, sending=True)

    run(loop, send())
