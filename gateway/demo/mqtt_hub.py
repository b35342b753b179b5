"""The heart of the demonstration broker, without any socket: who is there, who wants what, who may what."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.demo.mqtt_packets import (
    Connect,
    Message,
    Subscription,
    packet,
    read_ack,
    read_disconnect,
    read_publish,
    read_subscribe,
    read_unsubscribe,
    write_ack,
    write_suback,
)
from gateway.demo.mqtt_session import Link, Session, SessionKey
from gateway.demo.mqtt_wire import Kind, MqttError, Reason, matches

log = logging.getLogger(__name__)

__all__ = ["Allow", "Hub", "Left", "Limits", "Stats"]

Allow = Callable[[str, str, bool], bool]
"""Whether a user (first) may write to a topic (third True) or subscribe to a filter (False)."""

REQUIRED_FLAGS: dict[int, int] = {Kind.SUBSCRIBE: 2, Kind.UNSUBSCRIBE: 2}
"""Lower half of the first byte, where it is not zero (2.1.3); that of PUBLISH has a meaning of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may cost."""

    packet: int = 5 * 1024 * 1024
    connect_packet: int = 16 * 1024
    connect_s: float = 10.0
    body_s: float = 120.0
    clients: int = 200
    queue_messages: int = 100_000
    queue_bytes: int = 64 * 1024 * 1024
    session_s: int = 24 * 3600
    close_s: float = 2.0


@dataclass(slots=True)
class Stats:
    """Counters since the start."""

    connects: int = 0
    refused: int = 0
    malformed: int = 0
    published: int = 0
    denied: int = 0


class Left(Exception):  # noqa: N818 - not an error: the way out of a client's loop
    """The client said goodbye; ``will`` tells whether its will is to be published all the same."""

    def __init__(self, will: bool) -> None:
        self.will = will


class Hub:
    """Sessions, and the routing between them."""

    def __init__(self, allow: Allow, limits: Limits) -> None:
        self.allow = allow
        self.limits = limits
        self.stats = Stats()
        self.sessions: dict[SessionKey, Session] = {}
        self._turn = 0

    def close(self) -> None:
        """Forget what was to end later."""
        for session in self.sessions.values():
            if session.expires is not None:
                session.expires.cancel()

    def publish(self, message: Message, origin: Session | None = None) -> bool:
        """Hand a message to every session that wants it; False where there is none."""
        found = False
        shared: dict[str, list[tuple[Session, Subscription]]] = {}
        for session in self.sessions.values():
            qos = session.wants(message, own=session is origin)
            if qos is not None:
                session.offer(message, qos)
                found = True
            for wanted in session.subscriptions.values():
                if wanted.group is not None and matches(wanted.filter, message.topic):
                    shared.setdefault(wanted.full, []).append((session, wanted))
        for members in shared.values():
            present = [member for member in members if member[0].link is not None] or members
            self._turn += 1
            session, wanted = present[self._turn % len(present)]
            session.offer(message, min(message.qos, wanted.qos))
        return found or bool(shared)

    def attach(self, key: SessionKey, connect: Connect, link: Link) -> tuple[Session, bool]:
        """The client's session, and whether it was there already."""
        session = self.sessions.get(key)
        if session is not None and session.link is not None:
            self.dismiss(session.link, Reason.TAKEN_OVER)
            session.link.writer.transport.abort()
            session.link = None
        present = session is not None and not connect.clean
        if session is None or connect.clean:
            session = Session(key, self.limits.queue_messages, self.limits.queue_bytes)
        previous = self.sessions.get(key)
        if previous is not None and previous.expires is not None:
            previous.expires.cancel()
            previous.expires = None
        self.sessions[key] = session
        session.expiry_s = min(connect.session_s, self.limits.session_s)
        session.resume(link)
        return session, present

    def detach(self, session: Session, link: Link) -> None:
        """The connection is over; the session ends now or later."""
        if session.link is not link:
            return
        session.link = None
        log.info("client %s disconnected", session.key.client_id)
        if session.expiry_s == 0:
            self._forget(session)
        else:
            session.expires = asyncio.get_running_loop().call_later(session.expiry_s, self._forget, session)

    def _forget(self, session: Session) -> None:
        if self.sessions.get(session.key) is session:
            del self.sessions[session.key]

    def dismiss(self, link: Link, reason: Reason) -> None:
        """Tell a version 5 client why its connection ends (3.1.1 has no words for it)."""
        if link.version == 5 and not link.writer.is_closing():
            link.writer.write(packet(Kind.DISCONNECT, bytes([reason])))

    def handle(self, first: int, body: bytes, session: Session, link: Link) -> bytes:
        """The answer to one packet (empty for none)."""
        kind, flags = first >> 4, first & 0x0F
        if kind == Kind.PUBLISH:
            return self._published(flags, body, session, link)
        if flags != REQUIRED_FLAGS.get(kind, 0):
            raise MqttError(Reason.MALFORMED, "reserved flags are set")
        if kind == Kind.PUBACK:
            session.confirm(read_ack(body, link.version))
            return b""
        if kind == Kind.SUBSCRIBE:
            identifier, wanted = read_subscribe(body, link.version)
            reasons = [self._subscribed(session, one) for one in wanted]
            return write_suback(Kind.SUBACK, link.version, identifier, reasons)
        if kind == Kind.UNSUBSCRIBE:
            identifier, filters = read_unsubscribe(body, link.version)
            gone = [session.subscriptions.pop(one, None) for one in filters]
            codes = [Reason.NO_SUBSCRIPTION if one is None else Reason.SUCCESS for one in gone]
            return write_suback(Kind.UNSUBACK, link.version, identifier, list(map(int, codes)))
        if kind == Kind.PINGREQ and not body:
            return packet(Kind.PINGRESP)
        if kind == Kind.DISCONNECT:
            reason, session_s = read_disconnect(body, link.version)
            if session_s is not None and session.expiry_s:
                session.expiry_s = min(session_s, self.limits.session_s)
            raise Left(reason != Reason.SUCCESS)
        raise MqttError(Reason.PROTOCOL_ERROR, f"packet of type {kind}")

    def _published(self, flags: int, body: bytes, session: Session, link: Link) -> bytes:
        identifier, message = read_publish(flags, body, link.version)
        if self.allow(session.key.user, message.topic, True):
            self.stats.published += 1
            reason = Reason.SUCCESS if self.publish(message, session) else Reason.NO_SUBSCRIBERS
        else:
            self._deny(session, "publish to", message.topic)
            reason = Reason.NOT_AUTHORIZED
        return write_ack(Kind.PUBACK, link.version, identifier, reason) if message.qos else b""

    def _subscribed(self, session: Session, wanted: Subscription) -> int:
        if not self.allow(session.key.user, wanted.filter, False):
            self._deny(session, "subscribe to", wanted.full)
            return Reason.NOT_AUTHORIZED
        return wanted.qos if session.subscribe(wanted) else Reason.QUOTA

    def _deny(self, session: Session, what: str, where: str) -> None:
        self.stats.denied += 1
        if not session.denied:  # one line a session: a client that insists shall not fill the log
            log.warning("user %r may not %s %s", session.key.user, what, where)
        session.denied += 1
