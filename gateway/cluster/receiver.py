"""The receiver: messages from the broker into the register, receipts back; until cancelled.

A message is acknowledged to the broker after its transaction is on disk, so that the broker's limit of
unacknowledged messages holds back what the disk cannot take. A clean session that ends with the connection is
meant: what is lost on the way, the gateways send again, because no receipt came for it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from gateway.cluster.register import Answer, Message, Register
from gateway.errors import AuroraError
from gateway.mqtt import Backoff, Endpoint, Link, LinkError, Received, connect

log = logging.getLogger(__name__)

TOPICS = "aurora/v1"
SUBSCRIPTIONS = (f"{TOPICS}/+/event", f"{TOPICS}/+/scan")
GROUP = 100
"""Messages in one transaction at most, and under way from the broker without acknowledgement."""
MAX_UNACKNOWLEDGED = 5000
"""Answers that the broker may owe us the acknowledgement of before the connection is given up."""


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
    last_error: str = ""


class Receiver:
    """One receiver of a cluster. ``utc_ms`` gives the time that receipts and ledger carry."""

    def __init__(
        self,
        endpoint: Endpoint,
        register: Register,
        *,
        utc_ms: Callable[[], int],
        random: Random | None = None,
    ) -> None:
        self.stats = ReceiverStats()
        self._endpoint = endpoint
        self._register = register
        self._utc_ms = utc_ms
        self._backoff = Backoff(random or Random(), 0.1, 10.0)  # noqa: S311  # jitter, not a secret
        self._unacknowledged: set[int] = set()
        self._lost = False

    async def run(self) -> None:
        """Connect, serve, and begin again when broker or store fail."""
        # The register belongs to one thread at a time, and commits must not hold the connection up.
        with ThreadPoolExecutor(1, "aurora-register") as thread:
            while True:
                try:
                    async with connect(
                        self._endpoint, on_puback=self._puback, manual=True, receive_maximum=GROUP
                    ) as link:
                        await self._serve(link, thread)
                except AuroraError as error:
                    self._down(error)
                await asyncio.sleep(self._backoff.next())

    def _down(self, error: AuroraError) -> None:
        self.stats.connected = False
        self.stats.last_error = str(error)
        if not self._lost:
            self._lost = True
            log.error("receiving stopped: %s", error)

    async def _serve(self, link: Link, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        self._unacknowledged.clear()
        await link.subscribe(*SUBSCRIPTIONS)
        self.stats.connects += 1
        self.stats.connected = True
        log.info("receiving from %s:%d", self._endpoint.host, self._endpoint.port)
        while True:
            # While one group is written the next one gathers: the busier, the larger, and no message ever waits.
            group = await link.receive(GROUP)
            messages = [_message(received) for received in group]
            answers = await loop.run_in_executor(thread, self._register.take, messages, self._utc_ms())
            for answer in answers:
                self._send(link, answer)
            for received in group:
                link.acknowledge(received)
            self._count(group, answers)

    def _send(self, link: Link, answer: Answer) -> None:
        if len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            raise LinkError("the broker takes no answers")
        self._unacknowledged.add(link.send(f"{TOPICS}/{answer.client}/receipt", answer.payload))

    def _puback(self, message: int, reason: int) -> None:
        self._unacknowledged.discard(message)
        if reason:
            self.stats.refused[reason] += 1

    def _count(self, group: list[Received], answers: list[Answer]) -> None:
        self.stats.groups += 1
        self.stats.messages += len(group)
        self.stats.bytes_received += sum(len(received.payload) for received in group)
        self.stats.answers += len(answers)
        self._backoff.reset()
        if self._lost:
            self._lost = False
            log.warning("receiving again")


def _message(received: Received) -> Message:
    _, _, client, stream = received.topic.split("/")
    return Message(client, stream, received.payload)
