"""MQTT packets are read strictly: every byte string is a packet or an `MqttError`."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.mqtt_packets import (
    Message,
    packet,
    read_ack,
    read_connect,
    read_disconnect,
    read_publish,
    read_subscribe,
    read_unsubscribe,
    write_connack,
    write_publish,
    write_suback,
)
from gateway.demo.mqtt_session import Link, Session, SessionKey
from gateway.demo.mqtt_wire import Cursor, Kind, MqttError, Reason, check_filter, matches, varint


def connect(version: int = 5, flags: int = 2, properties: bytes = b"\0", payload: bytes = b"\0\1a") -> bytes:
    return b"\0\4MQTT" + bytes([version, flags]) + b"\0\x3c" + (properties if version == 5 else b"") + payload


def test_connect_of_version_5() -> None:
    properties = struct.pack(">BIBHBI", 0x11, 3600, 0x21, 10, 0x27, 1000) + b"\x26\0\1k\0\1v"
    seen = read_connect(connect(properties=varint(len(properties)) + properties))
    assert (seen.version, seen.client_id, seen.clean, seen.keep_alive_s) == (5, "a", True, 60)
    assert (seen.session_s, seen.receive_maximum, seen.maximum_packet) == (3600, 10, 1000)


def test_connect_of_version_3_1_1_keeps_its_session_unless_it_is_clean() -> None:
    assert read_connect(connect(4)).session_s == 0
    assert read_connect(connect(4, flags=0)).session_s == 0xFFFFFFFF


def test_a_will_travels_without_its_delay() -> None:
    will = varint(7) + b"\x18\0\0\0\x05\x01\x01"
    seen = read_connect(connect(flags=0x0E, payload=b"\0\1a" + will + b"\0\1t\0\2by"))
    assert seen.will == Message("t", b"by", 1, b"\x01\x01")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.MALFORMED),
        (b"\0\6MQIsdp\3\2\0\x3c\0\1a", Reason.NOT_SUPPORTED_VERSION),
        (connect(6), Reason.NOT_SUPPORTED_VERSION),
        (connect(flags=3), Reason.MALFORMED),
        (connect(flags=0x0A), Reason.MALFORMED),
        (connect(flags=0x16), Reason.NO_QOS2),
        (connect(flags=0x26), Reason.NO_RETAIN),
        (connect(4, flags=0x42), Reason.MALFORMED),
        (connect(payload=b"\0\2a"), Reason.MALFORMED),
        (connect(payload=b"\0\1a!"), Reason.MALFORMED),
        (connect(payload=b"\0\1\xff"), Reason.MALFORMED),
        (connect(payload=b"\0\1\0"), Reason.MALFORMED),
        (connect(payload=b"\0\3\xed\xa0\x80"), Reason.MALFORMED),
        (connect(4, flags=0, payload=b"\0\0"), Reason.BAD_IDENTIFIER),
        (connect(properties=b"\x03\x21\0\0"), Reason.PROTOCOL_ERROR),
        (connect(properties=b"\x06\x21\0\1\x21\0\1"), Reason.PROTOCOL_ERROR),
        (connect(properties=b"\x02\x24\1"), Reason.PROTOCOL_ERROR),
        (connect(properties=b"\x04\x15\0\1x"), Reason.BAD_METHOD),
        (connect(properties=b"\x05\x11\0\0"), Reason.MALFORMED),
    ],
)
def test_a_bad_connect_has_its_reason(body: bytes, reason: Reason) -> None:
    with pytest.raises(MqttError) as seen:
        read_connect(body)
    assert seen.value.reason is reason


@pytest.mark.parametrize(
    ("flags", "body", "reason"),
    [
        (6, b"\0\1t\0\1\0", Reason.MALFORMED),
        (8, b"\0\1t\0", Reason.MALFORMED),
        (4, b"\0\1t\0\1\0", Reason.NO_QOS2),
        (1, b"\0\1t\0", Reason.NO_RETAIN),
        (2, b"\0\1t\0\0\0", Reason.PROTOCOL_ERROR),
        (0, b"\0\0\0", Reason.BAD_TOPIC),
        (0, b"\0\1+\0", Reason.BAD_TOPIC),
        (0, b"\0\1t\x03\x23\0\1", Reason.BAD_ALIAS),
        (0, b"\0\1t\x02\x0b\1", Reason.PROTOCOL_ERROR),
        (0, b"\0\1t\x80\x00", Reason.MALFORMED),
        (0, b"\0\1t\xff\xff\xff\xff", Reason.MALFORMED),
    ],
)
def test_a_bad_publish_has_its_reason(flags: int, body: bytes, reason: Reason) -> None:
    with pytest.raises(MqttError) as seen:
        read_publish(flags, body, 5)
    assert seen.value.reason is reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\0\1\0", Reason.PROTOCOL_ERROR),
        (b"\0\0\0\0\1t\0", Reason.PROTOCOL_ERROR),
        (b"\0\1\0\0\1t\3", Reason.MALFORMED),
        (b"\0\1\0\0\1t\x30", Reason.MALFORMED),
        (b"\0\1\0\0\1t\x40", Reason.MALFORMED),
        (b"\0\1\0\0\2t#\0", Reason.BAD_FILTER),
        (b"\0\1\0\0\x08$share/a\0", Reason.BAD_FILTER),
        (b"\0\1\0\0\x0a$share/+/t\0", Reason.MALFORMED),
        (b"\0\1\0\0\x0a$share/g/t\4", Reason.PROTOCOL_ERROR),
        (b"\0\1\2\x0b\1\0\1t\0", Reason.NO_SUBSCRIPTION_IDS),
        (b"\0\1\0" + b"\0\1t\0" * 33, Reason.PROTOCOL_ERROR),
    ],
)
def test_a_bad_subscribe_has_its_reason(body: bytes, reason: Reason) -> None:
    with pytest.raises(MqttError) as seen:
        read_subscribe(body, 5)
    assert seen.value.reason is reason


def test_a_shared_subscription_is_taken_apart() -> None:
    identifier, (wanted,) = read_subscribe(b"\0\7\0\0\x0e$share/g/a/+/b\2", 5)
    assert (identifier, wanted.group, wanted.filter, wanted.full) == (7, "g", "a/+/b", "$share/g/a/+/b")
    assert wanted.qos == 1


@given(st.binary(max_size=200), st.integers(0, 15), st.sampled_from([4, 5]))
def test_any_bytes_are_a_packet_or_an_mqtt_error(body: bytes, flags: int, version: int) -> None:
    for read in (
        lambda: read_connect(body),
        lambda: read_connect(b"\0\4MQTT" + bytes([version, flags << 1]) + body),
        lambda: read_publish(flags, body, version),
        lambda: read_ack(body, version),
        lambda: read_subscribe(body, version),
        lambda: read_unsubscribe(body, version),
        lambda: read_disconnect(body, version),
    ):
        with suppress(MqttError):
            read()


TOPICS = st.lists(st.text("ab/é", max_size=4), min_size=1, max_size=3).map("/".join).filter(bool)


@given(TOPICS, st.binary(max_size=300), st.sampled_from([0, 1]), st.sampled_from([4, 5]))
def test_a_written_publish_reads_back(topic: str, payload: bytes, qos: int, version: int) -> None:
    message = Message(topic, payload, qos, b"\x01\x01" if version == 5 else b"")
    data = write_publish(version, message, qos, 9 if qos else 0, again=False)
    cursor = Cursor(data[1:])
    size = cursor.varint()
    body = cursor.rest()
    assert size == len(body)
    assert read_publish(data[0] & 15, body, version) == (9 if qos else 0, message)


@given(st.integers(0, 268_435_455))
def test_lengths_read_back(value: int) -> None:
    assert Cursor(varint(value)).varint() == value


@pytest.mark.parametrize(
    ("pattern", "topic", "covers"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("+/+", "/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
        ("aurora/v1/+/scan", "aurora/v1/dairy.gw1/scan", True),
        ("aurora/v1/+/scan", "aurora/v1/dairy.gw1/event", False),
    ],
)
def test_filters_cover_topics_as_section_4_7_says(pattern: str, topic: str, covers: bool) -> None:
    assert matches(pattern, topic) is covers


@pytest.mark.parametrize("pattern", ["", "a#", "a/#/b", "a+/b", "##", "/".join("a" * 20), "x" * 600])
def test_a_filter_that_misuses_wildcards_is_refused(pattern: str) -> None:
    with pytest.raises(MqttError):
        check_filter(pattern)


def test_refusals_in_the_words_of_3_1_1() -> None:
    assert write_connack(4, Reason.NOT_SUPPORTED_VERSION) == bytes.fromhex("20020001")
    assert write_connack(4, Reason.NOT_AUTHORIZED, present=True) == bytes.fromhex("20020005")
    assert write_suback(Kind.SUBACK, 4, 1, [1, Reason.NOT_AUTHORIZED]) == bytes.fromhex("900400010180")
    assert packet(Kind.PINGRESP) == bytes.fromhex("d000")


def test_a_session_drops_what_it_cannot_hold_and_what_its_client_cannot_take() -> None:
    session = Session(SessionKey("", "a"), max_messages=2, max_bytes=10_000)
    link = Link(None, 5, receive_maximum=9, maximum_packet=100)  # type: ignore[arg-type]
    session.resume(link)
    for size in (10, 500, 10):
        session.offer(Message("t", bytes(size), 1), 1)
    assert session.lost == 1
    first = session.next(link)
    assert first is not None
    assert first.endswith(bytes(10))
    assert session.next(link) is None
    assert session.lost == 2
    session.offer(Message("t", bytes(20_000), 1), 1)
    assert session.lost == 3
