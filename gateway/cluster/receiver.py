"""The receiver: messages from the broker into the register, receipts back; until cancelled.

A message is acknowledged to the broker after its transaction is on disk, so that the broker's limit of
unacknowledged messages holds back what the disk cannot take. A clean session that ends with the connection is
meant: what is lost on the way, the gateways send again, because no receipt came for it. Receivers that name a
``group`` share the work; each is told only of what it took.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from gateway.cluster.opening import Message, Opened
from gateway.cluster.register import Grown, Outcome, Register
from gateway.errors import AuroraError
from gateway.model import Stream
from gateway.mqtt import Backoff, Endpoint, Link, LinkError, Received, beside, connect

log = logging.getLogger(__name__)

TOPICS = "aurora/v1"
SUBSCRIPTIONS = (f"{TOPICS}/+/event", f"{TOPICS}/+/scan")
GROUP = 200
"""Messages in one transaction at most."""
UNDER_WAY = 2 * GROUP
"""Messages that the broker may have sent without acknowledgement: one group is written, the next gathers."""
MAX_UNACKNOWLEDGED = 5000
"""Answers that the broker may owe us the acknowledgement of before the connection is given up."""
BUSY_S = 0.1
"""While groups are full, receipts wait this long for the next tree of their stream, which vouches for more."""


@dataclass(slots=True)
class ReceiverStats:
    """Counters since the start of the process."""

    connected: bool = False
    connects: int = 0
    messages: int = 0
    bytes_received: int = 0
    groups: int = 0
    answers: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Answers that the broker did not take, by reason code (16: the gateway is not connected)."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Messages that were not taken, by reason."""
    failures: int = 0
    """Times that broker or store failed."""
    committed_ms: int | None = None
    """When the last transaction was on the disk, Unix milliseconds."""
    last_error: str = ""


class Receiver:
    """One receiver of a cluster. ``utc_ms`` gives the time that receipts and ledger carry."""

    def __init__(
        self,
        endpoint: Endpoint,
        register: Register,
        *,
        utc_ms: Callable[[], int],
        group: str = "",
        random: Random | None = None,
    ) -> None:
        self.stats = ReceiverStats()
        self._endpoint = endpoint
        self._register = register
        self._utc_ms = utc_ms
        self._topics = tuple(f"$share/{group}/{topic}" if group else topic for topic in SUBSCRIPTIONS)
        self._backoff = Backoff(random or Random(), 0.1, 10.0)  # noqa: S311  # jitter, not a secret
        self._unacknowledged: set[int] = set()
        self._due: dict[tuple[str, Stream], Grown] = {}
        self._sent_at = 0.0
        self._lost = False

    async def run(self) -> None:
        """Connect, serve, and begin again when broker or store fail."""
        while True:
            try:
                async with connect(
                    self._endpoint, on_puback=self._puback, manual=True, receive_maximum=UNDER_WAY
                ) as link:
                    await self._serve(link)
            except AuroraError as error:
                self._down(error)
            await asyncio.sleep(self._backoff.next())

    def _down(self, error: AuroraError) -> None:
        self.stats.connected = False
        self.stats.failures += 1
        self.stats.last_error = str(error)
        if not self._lost:
            self._lost = True
            log.error("receiving stopped: %s", error)

    async def _serve(self, link: Link) -> None:
        self._unacknowledged.clear()
        self._due.clear()
        await link.subscribe(*self._topics)
        self.stats.connects += 1
        self.stats.connected = True
        log.info("receiving from %s:%d", self._endpoint.host, self._endpoint.port)
        opened: asyncio.Queue[tuple[list[Received], list[Opened]]] = asyncio.Queue(1)
        await beside(self._open(link, opened), self._write(link, opened))

    async def _open(self, link: Link, opened: asyncio.Queue[tuple[list[Received], list[Opened]]]) -> None:
        """Signatures are checked while the group before is written."""
        while True:
            # The busier, the larger the groups; no message ever waits for another.
            group = await link.receive(GROUP)
            await opened.put((group, await self._register.open(map(_message, group))))

    async def _write(self, link: Link, opened: asyncio.Queue[tuple[list[Received], list[Opened]]]) -> None:
        """One group after the other: a later one is never written before an earlier one."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                wait = self._sent_at + BUSY_S - loop.time() if self._due else None
                # Not `wait_for`, which in Python 3.11 can lose a cancellation.
                async with asyncio.timeout(wait):
                    group, messages = await opened.get()
            except TimeoutError:
                self._vouch(link)
                continue
            outcome = await self._register.admit(messages, self._utc_ms())
            self._answer(link, outcome)
            if len(group) < GROUP // 2 or loop.time() >= self._sent_at + BUSY_S:
                self._vouch(link)
            for received in group:
                link.acknowledge(received)
            self._count(group, outcome)

    def _answer(self, link: Link, outcome: Outcome) -> None:
        self._due.update(outcome.grown)
        for answer in outcome.refusals:
            self._send(link, answer.client, answer.payload)

    def _vouch(self, link: Link) -> None:
        """Send the receipts that are due."""
        for (client, _), grown in self._due.items():
            self._send(link, client, self._register.receipt(grown))
        self._due.clear()
        self._sent_at = asyncio.get_running_loop().time()

    def _send(self, link: Link, client: str, payload: bytes) -> None:
        if len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            raise LinkError("the broker takes no answers")
        self._unacknowledged.add(link.send(f"{TOPICS}/{client}/receipt", payload))
        self.stats.answers += 1

    def _puback(self, message: int, reason: int) -> None:
        self._unacknowledged.discard(message)
        if reason:
            self.stats.refused[reason] += 1

    def _count(self, group: list[Received], outcome: Outcome) -> None:
        self.stats.groups += 1
        self.stats.committed_ms = self._utc_ms()
        self.stats.refusals.update(outcome.rejected)
        self.stats.messages += len(group)
        self.stats.bytes_received += sum(len(received.payload) for received in group)
        self._backoff.reset()
        if self._lost:
            self._lost = False
            log.warning("receiving again")


def _message(received: Received) -> Message:
    _, _, client, stream = received.topic.split("/")
    return Message(client, stream, received.payload)
