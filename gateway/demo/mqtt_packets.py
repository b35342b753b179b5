"""MQTT packets as bytes: what the demonstration broker reads and writes, for versions 5.0 and 3.1.1.

Pure functions; section numbers are those of the OASIS standards "MQTT Version 5.0" and "MQTT Version 3.1.1". Each
malformed input raises `MqttError` with the reason code of version 5, never another exception.
"""

import struct
from dataclasses import dataclass, field

from gateway.demo.mqtt_wire import (
    FOR_ACK,
    FOR_CONNECT,
    FOR_DISCONNECT,
    FOR_PUBLISH,
    FOR_SUBSCRIBE,
    FOR_UNSUBSCRIBE,
    FOR_WILL,
    SUBSCRIPTION_ID,
    Cursor,
    Kind,
    MqttError,
    Properties,
    Reason,
    check_filter,
    check_topic,
    read_properties,
    varint,
    without,
    write_text,
)

__all__ = [
    "Connect",
    "Message",
    "Subscription",
    "packet",
    "read_ack",
    "read_connect",
    "read_disconnect",
    "read_publish",
    "read_subscribe",
    "read_unsubscribe",
    "write_ack",
    "write_connack",
    "write_publish",
    "write_suback",
]

MAX_FILTERS = 32


@dataclass(frozen=True, slots=True)
class Message:
    """An application message; ``properties`` are those that travel with it, encoded for version 5."""

    topic: str
    payload: bytes
    qos: int
    properties: bytes = b""

    @property
    def size(self) -> int:
        """Bytes that it occupies in a queue, about."""
        return len(self.topic) + len(self.payload) + len(self.properties) + 64


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT packet (3.1). ``version`` is 4 (3.1.1) or 5."""

    version: int
    client_id: str
    clean: bool
    keep_alive_s: int
    will: Message | None
    username: str | None
    session_s: int
    receive_maximum: int
    maximum_packet: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of a SUBSCRIBE packet (3.8.3); ``group`` is the share name of a shared subscription."""

    filter: str
    qos: int
    no_local: bool = False
    group: str | None = None
    full: str = field(default="", compare=False)
    """The filter as the client wrote it."""


def read_connect(body: bytes) -> Connect:
    """Parse the variable header and payload of a CONNECT packet."""
    cursor = Cursor(body)
    if cursor.text() != "MQTT":
        raise MqttError(Reason.NOT_SUPPORTED_VERSION, "protocol name is not MQTT")
    version = cursor.number(1)
    if version not in (4, 5):
        raise MqttError(Reason.NOT_SUPPORTED_VERSION, f"protocol version {version}")
    flags, keep_alive_s = cursor.number(1), cursor.number(2)
    _check_flags(flags, version)
    properties: Properties = {}
    if version == 5:
        properties, _ = read_properties(cursor, FOR_CONNECT)
        if 0x15 in properties:
            raise MqttError(Reason.BAD_METHOD, "enhanced authentication is not offered")
    client_id = cursor.text()
    will = _will(cursor, version, flags >> 3 & 3) if flags & 0x04 else None
    username = cursor.text() if flags & 0x80 else None
    if flags & 0x40:
        cursor.binary()
    cursor.end()
    clean = bool(flags & 0x02)
    session_s = int(properties.get(0x11, 0)) if version == 5 else 0 if clean else 0xFFFFFFFF
    receive_maximum = int(properties.get(0x21, 65535))
    maximum_packet = int(properties.get(0x27, 268_435_460))
    if receive_maximum == 0 or maximum_packet == 0:
        raise MqttError(Reason.PROTOCOL_ERROR, "a maximum of zero")
    if not client_id and version == 4 and not clean:
        raise MqttError(Reason.BAD_IDENTIFIER, "no client identifier")
    return Connect(
        version, client_id, clean, keep_alive_s, will, username, session_s, receive_maximum, maximum_packet
    )


def _check_flags(flags: int, version: int) -> None:
    """Connect flags (3.1.2.3) that contradict each other, or ask for what is not offered."""
    will, qos = flags & 0x04, flags >> 3 & 3
    if flags & 0x01 or qos == 3 or (not will and flags & 0x38) or (version == 4 and flags & 0xC0 == 0x40):
        raise MqttError(Reason.MALFORMED, "connect flags contradict each other")
    if qos == 2:
        raise MqttError(Reason.NO_QOS2, "quality of service 2 is not offered")
    if will and flags & 0x20:
        raise MqttError(Reason.NO_RETAIN, "retained messages are not offered")


def _will(cursor: Cursor, version: int, qos: int) -> Message:
    raw = b""
    if version == 5:
        _, raw = read_properties(cursor, FOR_WILL)
        raw = without(raw, {0x18})
    topic = cursor.text()
    check_topic(topic)
    return Message(topic, cursor.binary(), qos, raw)


def read_publish(flags: int, body: bytes, version: int) -> tuple[int, Message]:
    """Packet identifier (0 for QoS 0) and message of a PUBLISH packet (3.3)."""
    qos = flags >> 1 & 3
    if qos == 3 or (qos == 0 and flags & 0x08):
        raise MqttError(Reason.MALFORMED, "publish flags contradict each other")
    if qos == 2:
        raise MqttError(Reason.NO_QOS2, "quality of service 2 is not offered")
    if flags & 1:
        raise MqttError(Reason.NO_RETAIN, "retained messages are not offered")
    cursor = Cursor(body)
    topic = cursor.text()
    identifier = read_identifier(cursor) if qos else 0
    raw = b""
    if version == 5:
        properties, raw = read_properties(cursor, FOR_PUBLISH)
        if 0x23 in properties:
            raise MqttError(Reason.BAD_ALIAS, "topic aliases are not offered")
        if SUBSCRIPTION_ID in properties:
            raise MqttError(Reason.PROTOCOL_ERROR, "subscription identifier from a client")
    check_topic(topic)
    return identifier, Message(topic, cursor.rest(), qos, raw)


def read_identifier(cursor: Cursor) -> int:
    """A packet identifier, which is never zero (2.2.1)."""
    identifier = cursor.number(2)
    if identifier == 0:
        raise MqttError(Reason.PROTOCOL_ERROR, "packet identifier is zero")
    return identifier


def read_ack(body: bytes, version: int) -> int:
    """Packet identifier of a PUBACK packet (3.4)."""
    cursor = Cursor(body)
    identifier = read_identifier(cursor)
    if version == 5 and cursor.left:
        cursor.number(1)
        if cursor.left:
            read_properties(cursor, FOR_ACK)
    cursor.end()
    return identifier


def read_subscribe(body: bytes, version: int) -> tuple[int, list[Subscription]]:
    """Packet identifier and filters of a SUBSCRIBE packet (3.8)."""
    cursor = Cursor(body)
    identifier = read_identifier(cursor)
    if version == 5:
        properties, _ = read_properties(cursor, FOR_SUBSCRIBE)
        if SUBSCRIPTION_ID in properties:
            raise MqttError(Reason.NO_SUBSCRIPTION_IDS, "subscription identifiers are not offered")
    wanted: list[Subscription] = []
    while cursor.left:
        text, options = cursor.text(), cursor.number(1)
        if options & 3 == 3 or options & (0xC0 if version == 5 else 0xFC) or options & 0x30 == 0x30:
            raise MqttError(Reason.MALFORMED, "subscription options contradict each other")
        wanted.append(_subscription(text, options))
    if not 1 <= len(wanted) <= MAX_FILTERS:
        raise MqttError(Reason.PROTOCOL_ERROR, f"{len(wanted)} filters in a subscription")
    return identifier, wanted


def _subscription(text: str, options: int) -> Subscription:
    group, pattern = None, text
    if text.startswith("$share/"):
        _, group, pattern = [*text.split("/", 2), "", ""][:3]
        if not group or set(group) & set("+#"):
            raise MqttError(Reason.MALFORMED, "share name is empty or holds a wildcard")
    check_filter(pattern)
    no_local = bool(options & 4)
    if no_local and group is not None:
        raise MqttError(Reason.PROTOCOL_ERROR, "no-local on a shared subscription")
    return Subscription(pattern, min(1, options & 3), no_local, group, text)


def read_unsubscribe(body: bytes, version: int) -> tuple[int, list[str]]:
    """Packet identifier and filters of an UNSUBSCRIBE packet (3.10)."""
    cursor = Cursor(body)
    identifier = read_identifier(cursor)
    if version == 5:
        read_properties(cursor, FOR_UNSUBSCRIBE)
    filters = []
    while cursor.left:
        filters.append(cursor.text())
    if not 1 <= len(filters) <= MAX_FILTERS:
        raise MqttError(Reason.PROTOCOL_ERROR, f"{len(filters)} filters to unsubscribe")
    return identifier, filters


def read_disconnect(body: bytes, version: int) -> tuple[int, int | None]:
    """Reason code of a DISCONNECT packet (3.14), and the session expiry that it changes to, where it does."""
    cursor = Cursor(body)
    reason, session_s = 0, None
    if version == 5 and cursor.left:
        reason = cursor.number(1)
        if cursor.left:
            properties, _ = read_properties(cursor, FOR_DISCONNECT)
            session_s = int(properties[0x11]) if 0x11 in properties else None
    cursor.end()
    return reason, session_s


def packet(kind: Kind, body: bytes = b"", flags: int = 0) -> bytes:
    """A whole packet."""
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def write_connack(
    version: int,
    reason: int,
    *,
    present: bool = False,
    assigned: str = "",
    receive: int = 0,
    largest: int = 0,
    session_s: int | None = None,
) -> bytes:
    """CONNACK (3.2). Version 3.1.1 knows five refusals only."""
    if version == 4:
        old = {0x00: 0, 0x84: 1, 0x85: 2, 0x89: 3}.get(reason, 5)
        return packet(Kind.CONNACK, bytes([present and not old, old]))
    properties = b""
    if reason == Reason.SUCCESS:
        # maximum QoS 1, no retained messages, no subscription identifiers, and the limits
        properties = b"\x24\x01\x25\x00\x29\x00" + struct.pack(">BHBI", 0x21, receive, 0x27, largest)
        if session_s is not None:
            properties += struct.pack(">BI", 0x11, session_s)
        if assigned:
            properties += b"\x12" + write_text(assigned)
    return packet(Kind.CONNACK, bytes([present, reason]) + varint(len(properties)) + properties)


def write_publish(version: int, message: Message, qos: int, identifier: int, *, again: bool) -> bytes:
    """PUBLISH to a subscriber (3.3)."""
    body = write_text(message.topic) + (struct.pack(">H", identifier) if qos else b"")
    if version == 5:
        body += varint(len(message.properties)) + message.properties
    return packet(Kind.PUBLISH, body + message.payload, qos << 1 | (0x08 if again else 0))


def write_ack(kind: Kind, version: int, identifier: int, reason: int) -> bytes:
    """PUBACK (3.4); the reason is left out where it is success or cannot be said."""
    body = struct.pack(">H", identifier)
    return packet(kind, body + bytes([reason]) if version == 5 and reason else body)


def write_suback(kind: Kind, version: int, identifier: int, reasons: list[int]) -> bytes:
    """SUBACK or UNSUBACK (3.9, 3.11)."""
    body = struct.pack(">H", identifier)
    if version == 5:
        return packet(kind, body + b"\0" + bytes(reasons))
    if kind is Kind.UNSUBACK:
        return packet(kind, body)
    return packet(kind, body + bytes(min(reason, 0x80) for reason in reasons))
