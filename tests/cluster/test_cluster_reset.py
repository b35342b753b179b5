"""A broker that breaks off with a reset: the end of the connection is known at once, on either event loop."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from threading import Thread
from typing import Any

import pytest
import uvloop

from gateway.mqtt import PACKETS_AT_ONCE, READ_AHEAD, Endpoint, Link, LinkError, connect

CONNACK = b"\x20\x03\x00\x00\x00"
DISCONNECT = b"\xe0\x01\x8e"
"""With the reason that the session was taken over (MQTT 5, 3.14.2.1)."""
TOPIC = b"\x00\x01a"
MESSAGE = b"\x30\x05" + TOPIC + b"\x00" + b"1"
AT_ONCE_S = 5.0
"""Far below the keepalive, after which a dead connection would be known in any case."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: `close` sends a reset."""


class Breaker:
    """A broker of few words: it takes one connection, and `break_off` ends that with a reset."""

    def __init__(self) -> None:
        self.answer = CONNACK
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        self.endpoint = Endpoint(host="127.0.0.1", port=port, client="x", keepalive_s=60)
        self._taken: socket.socket | None = None
        self._thread = Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        taken, _ = self._server.accept()
        taken.recv(4096)
        taken.sendall(self.answer)
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
        self._thread.join()
        if self._taken is not None:
            self._taken.close()


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


@LOOPS
def test_an_end_that_comes_with_the_answer_is_known(breaker: Breaker, loop: Loop) -> None:
    async def listen() -> None:
        async with asyncio.timeout(AT_ONCE_S), connect(breaker.endpoint) as link:
            assert link.lost
            await ends(link)

    breaker.answer = CONNACK + DISCONNECT
    run(loop, listen())


@LOOPS
@pytest.mark.parametrize(
    "nonsense",
    [b"\x30\x05\x00\x01\xff\x00x", b"\x30\x05\x00\x01+\x00x", b"\x30\x01\x00", b"\x90\x02\x00\x01", b"\x00\x00"],
    ids=["topic-no-text", "topic-with-wildcard", "cut-off", "suback-cut-off", "no-such-packet"],
)
def test_what_nobody_can_read_ends_the_connection_and_it_is_closed(
    breaker: Breaker, loop: Loop, nonsense: bytes
) -> None:
    async def listen() -> None:
        async with asyncio.timeout(AT_ONCE_S), connect(breaker.endpoint) as link:
            breaker.send(nonsense)
            await ends(link)
        assert link._paho.socket() is None, "or it would be read for ever"

    run(loop, listen())


@LOOPS
@pytest.mark.parametrize("unanswered", [0, 200])
def test_what_comes_in_one_piece_is_read_to_its_end_and_others_have_their_turn(
    breaker: Breaker, loop: Loop, unanswered: int
) -> None:
    """Whatever of ours is under way, and though there is more than is read ahead at once."""
    count = READ_AHEAD // len(MESSAGE) + 3000

    async def listen() -> None:
        async with asyncio.timeout(AT_ONCE_S * 4), connect(breaker.endpoint) as link:
            for _ in range(unanswered):
                link.send("a", b"1")
            breaker.send(*[MESSAGE] * count)
            arrived = most = 0
            while arrived < count:
                before, arrived = arrived, link._inbox.qsize()
                most = max(most, arrived - before)
                await asyncio.sleep(0)
            assert most <= 2 * PACKETS_AT_ONCE
            breaker.break_off()
            await ends(link)

    run(loop, listen())
