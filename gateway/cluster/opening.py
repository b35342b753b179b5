"""Messages are taken apart and their signatures checked: the receiver's work of the processor.

It needs the keys and no database. So it can be done while another group of messages is written, and in a process
beside the receiver (`Opener`): that is where most of a second core goes when a cluster is large.
"""

import asyncio
import logging
import pickle
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from itertools import compress
from typing import BinaryIO, NamedTuple

from gateway.errors import SealError
from gateway.garbage import settle
from gateway.seal import cbor
from gateway.seal.batch import SCAN_TYPE, OpenBatch, open_batch
from gateway.seal.columns import peek_scans
from gateway.seal.cose import PublicKey

__all__ = ["Keys", "Message", "Opened", "Opener", "beside", "open_message"]

log = logging.getLogger(__name__)

MAX_REMEMBERED = 50_000
"""Keys that the process beside keeps ready."""
SIZE_BYTES = 4
LARGEST_BESIDE = 128 * 1024
"""Bytes; a longer message, which a good gateway does not send, is opened here: it would be there several times."""
PATIENCE_S = 10.0
"""A group of messages takes a tenth of a second."""
PAUSE_S = 10.0
"""After a process has failed, the next one is started so much later."""
GOODBYE_S = 2.0


class Message(NamedTuple):
    """One message from the broker: the client and the stream are those of its topic."""

    client: str
    stream: str
    payload: bytes


class Opened(NamedTuple):
    """A message taken apart; ``verified`` is the key by which its signature has been found good, if one was."""

    client: str
    stream: str
    payload: bytes
    batch: OpenBatch | None
    verified: PublicKey | None
    values: int | None
    """How many a verified batch of scans holds; None where that was not counted or cannot be read."""
    error: SealError | None


class Keys(NamedTuple):
    """The keys of a gateway by their identifiers, and as bytes for another process."""

    ready: Mapping[bytes, PublicKey]
    cose: tuple[bytes, ...]

    @classmethod
    def of(cls, keys: Iterable[PublicKey]) -> "Keys":
        """From the keys themselves."""
        ready = {key.kid: key for key in keys}
        return cls(ready, tuple(cbor.dumps(key.cose()) for key in ready.values()))


class Good(NamedTuple):
    """What the process beside answers for a message that one of the keys has signed."""

    batch: OpenBatch
    values: int | None


NO_KEYS = Keys({}, ())


def open_message(message: Message, keys: Keys) -> Opened:
    """Take a message apart, and check its signature if the key that it names is among them; never raises."""
    batch: OpenBatch | None = None
    verified: PublicKey | None = None
    values: int | None = None
    error: SealError | None = None
    try:
        batch = open_batch(message.payload)
        verified = keys.ready.get(batch.kid)
        if verified is not None:
            batch.verify(verified)
            values = _count(batch)
    except SealError as failure:
        error = failure
    return Opened(message.client, message.stream, message.payload, batch, verified, values, error)


def _count(batch: OpenBatch) -> int | None:
    with suppress(SealError):
        if batch.content_type == SCAN_TYPE:
            return peek_scans(batch.payload).values
    return None


class Opener:
    """Opens messages in a process beside this one; without it, when that has ended, here."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._lost = False

    async def open(self, messages: Sequence[tuple[Message, Keys]]) -> list[Opened]:
        """As `open_message` for each, in the same order."""
        there = [bool(keys.cose) and len(message.payload) <= LARGEST_BESIDE for message, keys in messages]
        asked = [(message.payload, keys.cose) for message, keys in compress(messages, there)]
        # Whoever is cancelled leaves no answer behind for the next one to take for its own.
        asking = asyncio.ensure_future(self._ask(pickle.dumps(asked, 5), len(asked)))
        answers = iter(await asyncio.shield(asking))
        return [
            _opened(message, keys, next(answers) if asked_there else None)
            for (message, keys), asked_there in zip(messages, there, strict=True)
        ]

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            process, self._process = self._process, None
            self._not_before = float("inf")
        if process is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await _end(process)
        except TimeoutError:
            await _kill(process)

    async def _ask(self, request: bytes, count: int) -> list[Good | None]:
        async with self._turn:
            loop = asyncio.get_running_loop()
            if loop.time() < self._not_before:
                return [None] * count
            try:
                self._process = self._process or await _start()
                async with asyncio.timeout(PATIENCE_S):
                    found = await _answer(self._process, request)
            except (OSError, EOFError) as error:
                if not self._lost:
                    self._lost = True
                    why = str(error) or type(error).__name__
                    log.error(
                        "the process that checks signatures does not answer (%s); this one does it meanwhile", why
                    )
                self._not_before = loop.time() + PAUSE_S
                process, self._process = self._process, None
                if process is not None:
                    await _kill(process)
                return [None] * count
            if self._lost:
                self._lost = False
                log.warning("the process that checks signatures answers again")
            return found


def _opened(message: Message, keys: Keys, good: Good | None) -> Opened:
    # What is not good has its reason found in one place.
    if good is None:
        return open_message(message, keys)
    return Opened(*message, good.batch, keys.ready[good.batch.kid], good.values, None)


@asynccontextmanager
async def beside() -> AsyncIterator[Opener]:
    """An opener whose process is there when the first messages come, and ends with the block."""
    opener = Opener()
    try:
        await opener.open(())
        yield opener
    finally:
        await opener.close()


async def _start() -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    # Not with -m: what it answers with must be of the classes that this process knows. And from the same places.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"
    return await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", code, stdin=pipe, stdout=pipe)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask for nothing more, and wait for its end and that of both pipes."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    await process.stdout.read()
    with suppress(OSError):
        await process.stdin.wait_closed()
    await process.wait()


async def _answer(process: asyncio.subprocess.Process, request: bytes) -> list[Good | None]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(request).to_bytes(SIZE_BYTES, "big") + request)
    await process.stdin.drain()
    size = int.from_bytes(await process.stdout.readexactly(SIZE_BYTES), "big")
    answer: list[Good | None] = pickle.loads(await process.stdout.readexactly(size))  # noqa: S301  # our own process
    return answer


@lru_cache(MAX_REMEMBERED)
def _key(cose: bytes) -> PublicKey:
    return PublicKey.from_cose(cbor.loads(cose, "bad-key"))


def _open_good(payload: bytes, keys: Iterable[bytes]) -> Good | None:
    try:
        batch = open_batch(payload)
        for key in map(_key, keys):
            if key.kid == batch.kid:
                batch.verify(key)
                return Good(batch, _count(batch))
    except SealError:
        pass
    return None


def work(requests: BinaryIO, answers: BinaryIO) -> None:
    """What the process beside does until nobody asks any more."""
    while size := int.from_bytes(requests.read(SIZE_BYTES), "big"):
        request = requests.read(size)
        if len(request) < size:
            return
        asked = pickle.loads(request)  # noqa: S301  # from our own parent
        found = pickle.dumps([_open_good(payload, keys) for payload, keys in asked], 5)
        answers.write(len(found).to_bytes(SIZE_BYTES, "big") + found)
        answers.flush()


def main() -> None:
    """The process beside: it ends when the receiver closes the pipe or is gone, and by no signal meant for that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    settle()
    with suppress(BrokenPipeError):
        work(sys.stdin.buffer, sys.stdout.buffer)
