"""What the demonstration broker remembers of a client: its filters, and the messages it has not confirmed."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.demo.mqtt_packets import Message, Subscription, write_publish
from gateway.demo.mqtt_wire import matches

log = logging.getLogger(__name__)

__all__ = ["Link", "Session", "SessionKey"]

MAX_SUBSCRIPTIONS = 64


class SessionKey(NamedTuple):
    """Sessions belong to a user: nobody takes over another's by using its client identifier."""

    user: str
    client_id: str


class Link:
    """One connection: where packets go, and what the client can take."""

    def __init__(
        self, writer: asyncio.StreamWriter, version: int, receive_maximum: int, maximum_packet: int
    ) -> None:
        self.writer = writer
        self.version = version
        self.receive_maximum = receive_maximum
        self.maximum_packet = maximum_packet
        self.wake = asyncio.Event()

    async def send(self, data: bytes) -> None:
        """Write a packet; waits while the client does not read."""
        self.writer.write(data)
        await self.writer.drain()


@dataclass(eq=False)
class Session:
    """Subscriptions and undelivered messages. Bounded: what a client does not fetch is dropped and counted."""

    key: SessionKey
    max_messages: int
    max_bytes: int
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    link: Link | None = None
    expiry_s: int = 0
    expires: asyncio.TimerHandle | None = None
    lost: int = 0
    denied: int = 0

    def __post_init__(self) -> None:
        self._queue: deque[tuple[Message, int]] = deque()
        self._bytes = 0
        self._unconfirmed: dict[int, Message] = {}
        self._again: deque[int] = deque()
        self._last_identifier = 0
        self._dropping = False

    def subscribe(self, wanted: Subscription) -> bool:
        """Add or replace a subscription; False where there are too many."""
        if wanted.full not in self.subscriptions and len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            return False
        self.subscriptions[wanted.full] = wanted
        return True

    def wants(self, message: Message, *, own: bool) -> int | None:
        """Quality of service at which the message is to be delivered, None where no own filter covers it."""
        levels = [
            min(message.qos, wanted.qos)
            for wanted in self.subscriptions.values()
            if wanted.group is None and not (own and wanted.no_local) and matches(wanted.filter, message.topic)
        ]
        return max(levels, default=None)

    def offer(self, message: Message, qos: int) -> None:
        """Queue a message for this client, or drop it when the client is too slow (QoS 0: or away)."""
        if self.link is None and qos == 0:
            return
        if len(self._queue) >= self.max_messages or self._bytes + message.size > self.max_bytes:
            self.lost += 1
            if not self._dropping:
                self._dropping = True
                log.warning("client %s does not keep up: messages to it are dropped", self.key.client_id)
            return
        self._queue.append((message, qos))
        self._bytes += message.size
        if self.link is not None:
            self.link.wake.set()

    def resume(self, link: Link) -> None:
        """A connection for this session: what was not confirmed on the one before is sent again."""
        self.link = link
        self._again = deque(self._unconfirmed)
        link.wake.set()

    def confirm(self, identifier: int) -> None:
        """The client has this message; unknown identifiers are ignored, as after a lost session."""
        self._unconfirmed.pop(identifier, None)
        if self.link is not None:
            self.link.wake.set()

    def next(self, link: Link) -> bytes | None:
        """The next PUBLISH packet for ``link``, None where there is none or the client must confirm first."""
        while self._again:
            identifier = self._again.popleft()
            if (message := self._unconfirmed.get(identifier)) is not None:
                return write_publish(link.version, message, 1, identifier, again=True)
        while self._queue:
            message, qos = self._queue[0]
            if qos and len(self._unconfirmed) >= link.receive_maximum:
                return None
            self._queue.popleft()
            self._bytes -= message.size
            if self._dropping and not self._queue:
                self._dropping = False
                log.warning("client %s keeps up again; %d messages were dropped", self.key.client_id, self.lost)
            identifier = self._new_identifier() if qos else 0
            data = write_publish(link.version, message, qos, identifier, again=False)
            if len(data) > link.maximum_packet:
                self.lost += 1  # too large for this client: as if it had been delivered (3.1.2.11.4)
                continue
            if qos:
                self._unconfirmed[identifier] = message
            return data
        return None

    def _new_identifier(self) -> int:
        while True:
            self._last_identifier = self._last_identifier % 65535 + 1
            if self._last_identifier not in self._unconfirmed:
                return self._last_identifier
