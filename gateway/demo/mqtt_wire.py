"""What MQTT packets are made of: numbers, strings, properties, topics and reason codes.

Pure functions; section numbers are those of the OASIS standard "MQTT Version 5.0". Each malformed input raises
`MqttError` with its reason code, never another exception.
"""

import struct
from enum import IntEnum

from gateway.errors import AuroraError

__all__ = [
    "Cursor",
    "Kind",
    "MqttError",
    "Reason",
    "check_filter",
    "check_topic",
    "matches",
    "read_properties",
    "varint",
    "without",
    "write_text",
]

MAX_TOPIC = 512
MAX_LEVELS = 16


class Kind(IntEnum):
    """Packet types (2.1.2)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class Reason(IntEnum):
    """Reason codes (2.4)."""

    SUCCESS = 0x00
    NO_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION = 0x11
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    NOT_SUPPORTED_VERSION = 0x84
    BAD_IDENTIFIER = 0x85
    NOT_AUTHORIZED = 0x87
    BUSY = 0x89
    SHUTTING_DOWN = 0x8B
    BAD_METHOD = 0x8C
    KEEP_ALIVE = 0x8D
    TAKEN_OVER = 0x8E
    BAD_FILTER = 0x8F
    BAD_TOPIC = 0x90
    BAD_ALIAS = 0x94
    TOO_LARGE = 0x95
    QUOTA = 0x97
    NO_RETAIN = 0x9A
    NO_QOS2 = 0x9B
    NO_SUBSCRIPTION_IDS = 0xA1


class MqttError(AuroraError):
    """A packet cannot be accepted; ``reason`` is what a version 5 client is told."""

    def __init__(self, reason: Reason, what: str) -> None:
        self.reason = reason
        super().__init__(what)


class Cursor:
    """Reads a packet from front to end; whatever is not there is a malformed packet."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if self.left < size:
            raise MqttError(Reason.MALFORMED, "packet is too short")
        self.at += size
        return self.data[self.at - size : self.at]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def number(self, size: int) -> int:
        """An unsigned integer, high byte first."""
        return int.from_bytes(self.take(size), "big")

    def varint(self) -> int:
        """A variable byte integer (1.5.5), in its shortest form."""
        value = 0
        for index in range(4):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if index and byte == 0:
                    raise MqttError(Reason.MALFORMED, "integer is not in its shortest form")
                return value
        raise MqttError(Reason.MALFORMED, "integer is too long")

    def binary(self) -> bytes:
        """Bytes after a two-byte length."""
        return self.take(self.number(2))

    def text(self) -> str:
        """A UTF-8 string without null characters (1.5.4)."""
        try:
            value = self.binary().decode("utf-8")
        except UnicodeDecodeError as error:
            raise MqttError(Reason.MALFORMED, "string is not UTF-8") from error
        if "\0" in value:
            raise MqttError(Reason.MALFORMED, "string holds a null character")
        return value

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise MqttError(Reason.MALFORMED, "packet is too long")


# Property identifiers (2.2.2.2) by the shape of their value.
BYTES = frozenset({0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A})
TWO = frozenset({0x13, 0x21, 0x22, 0x23})
FOUR = frozenset({0x02, 0x11, 0x18, 0x27})
TEXTS = frozenset({0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F})
BINARIES = frozenset({0x09, 0x16})
SUBSCRIPTION_ID, USER = 0x0B, 0x26

FOR_CONNECT = frozenset({0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, USER, 0x27})
FOR_WILL = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x18, USER})
FOR_PUBLISH = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, SUBSCRIPTION_ID, 0x23, USER})
FOR_SUBSCRIBE = frozenset({SUBSCRIPTION_ID, USER})
FOR_UNSUBSCRIBE = frozenset({USER})
FOR_ACK = frozenset({0x1F, USER})
FOR_DISCONNECT = frozenset({0x11, 0x1C, 0x1F, USER})

Properties = dict[int, int | str | bytes]


def read_properties(cursor: Cursor, allowed: frozenset[int]) -> tuple[Properties, bytes]:
    """The properties at the cursor by identifier (user properties are skipped), and their bytes as they stand."""
    raw = cursor.take(cursor.varint())
    inner = Cursor(raw)
    found: Properties = {}
    while inner.left:
        key = inner.varint()
        if key not in allowed:
            raise MqttError(Reason.PROTOCOL_ERROR, f"property {key:#x} does not belong here")
        value: int | str | bytes
        if key == USER:
            inner.text()
            inner.text()
            continue
        if key in BYTES:
            value = inner.number(1)
        elif key in TWO:
            value = inner.number(2)
        elif key in FOUR:
            value = inner.number(4)
        elif key in TEXTS:
            value = inner.text()
        elif key in BINARIES:
            value = inner.binary()
        else:
            value = inner.varint()
        if key in found:
            raise MqttError(Reason.PROTOCOL_ERROR, f"property {key:#x} stands twice")
        found[key] = value
    return found, raw


def without(raw: bytes, keys: set[int]) -> bytes:
    """Encoded (and checked) properties without those named by ``keys``, all of them of four bytes."""
    kept, cursor = b"", Cursor(raw)
    while cursor.left:
        start = cursor.at
        key = cursor.varint()
        if key == USER:
            cursor.text()
            cursor.text()
        elif key in BYTES:
            cursor.take(1)
        elif key in FOUR:
            cursor.take(4)
        else:
            cursor.binary()
        if key not in keys:
            kept += raw[start : cursor.at]
    return kept


def check_topic(topic: str) -> None:
    """A topic to publish to: not empty, no wildcards, of reasonable size (4.7)."""
    if not topic or set(topic) & set("+#") or len(topic) > MAX_TOPIC or topic.count("/") >= MAX_LEVELS:
        raise MqttError(Reason.BAD_TOPIC, "topic is empty, too long or holds a wildcard")


def check_filter(pattern: str) -> None:
    """A filter: wildcards stand for whole levels, # is last (4.7.1)."""
    levels = pattern.split("/")
    good = bool(pattern) and len(pattern) <= MAX_TOPIC and len(levels) <= MAX_LEVELS
    for index, level in enumerate(levels):
        if "#" in level:
            good = good and level == "#" and index == len(levels) - 1
        elif "+" in level:
            good = good and level == "+"
    if not good:
        raise MqttError(Reason.BAD_FILTER, "filter is empty, too long or misuses a wildcard")


def matches(pattern: str, topic: str) -> bool:
    """Whether a filter covers a topic; wildcards at the front do not cover topics that start with $ (4.7.2)."""
    wanted, given = pattern.split("/"), topic.split("/")
    if given[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)


def varint(value: int) -> bytes:
    """A variable byte integer."""
    encoded = bytearray()
    while True:
        value, byte = divmod(value, 128)
        encoded.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def write_text(value: str) -> bytes:
    """A string with its length."""
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded
