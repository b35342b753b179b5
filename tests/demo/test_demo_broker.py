"""The demonstration broker with independent clients, and with clients that misbehave."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import aiomqtt
import pytest
from demo_tools import Pki, Start, needs, until

from gateway.demo.broker import Broker, Limits, may, server_context
from gateway.demo.mqtt_wire import Reason

CONNECT = bytes.fromhex("100e00044d515454050200000000 0161")
"""A minimal CONNECT of version 5, clean, without keep-alive, client identifier a."""


@pytest.fixture
async def secure(pki: Pki) -> AsyncIterator[Broker]:
    context = server_context(pki.file("ca.pem"), pki.file("broker.pem"), pki.file("broker.key"))
    broker = Broker("127.0.0.1", 0, context=context)
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture
async def plain() -> AsyncIterator[Broker]:
    limits = Limits(packet=100_000, connect_s=0.3, queue_messages=20, queue_bytes=200_000, close_s=0.2, clients=5)
    broker = Broker("127.0.0.1", 0, limits=limits)
    await broker.open()
    yield broker
    await broker.close()


def member(broker: Broker, pki: Pki, name: str, **options: object) -> aiomqtt.Client:
    """A client of version 5 with the certificate of ``name``."""
    return aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        identifier=str(options.pop("identifier", name)),
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=pki.client(name),
        **options,  # type: ignore[arg-type]
    )


def anyone(broker: Broker, identifier: str, **options: object) -> aiomqtt.Client:
    """A client without TLS."""
    options.setdefault("protocol", aiomqtt.ProtocolVersion.V5)
    return aiomqtt.Client("127.0.0.1", broker.port, identifier=identifier, **options)  # type: ignore[arg-type]


async def receive(client: aiomqtt.Client, count: int) -> list[tuple[str, bytes]]:
    """The next messages of a client."""
    got = []
    async with asyncio.timeout(20):
        async for message in client.messages:
            got.append((str(message.topic), bytes(message.payload)))
            if len(got) == count:
                break
    return got


class Raw:
    """A client of bytes."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def open(self, hello: bytes = CONNECT) -> bytes:
        """Send ``hello``, return the first packet that comes back."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.broker.port)
        return await self.ask(hello) if hello else b""

    async def ask(self, data: bytes) -> bytes:
        """Send bytes, return the next packet (empty: the connection has ended)."""
        self.writer.write(data)
        async with asyncio.timeout(20):
            head = await self.reader.read(2)
            return head + await self.reader.readexactly(head[1]) if len(head) == 2 else head

    async def ended(self) -> bool:
        """Whether the broker closes the connection."""
        async with asyncio.timeout(20):
            return await self.reader.read() == b""


Dial = Callable[[], Raw]


@pytest.fixture
async def dial(plain: Broker) -> AsyncIterator[Dial]:
    """Makes clients of bytes, and closes them in the end."""
    made: list[Raw] = []

    def new() -> Raw:
        made.append(Raw(plain))
        return made[-1]

    yield new
    for client in made:
        client.writer.close()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


@pytest.fixture
async def raw(dial: Dial) -> Raw:
    """A client that has been greeted."""
    client = dial()
    assert (await client.open(CONNECT))[0] == 0x20
    return client


# the rule of who may what


@pytest.mark.parametrize(
    ("user", "topic", "write", "allowed"),
    [
        ("dairy.gw1", "aurora/v1/dairy.gw1/scan", True, True),
        ("dairy.gw1", "aurora/v1/dairy.gw1/receipt", False, True),
        ("dairy.gw1", "aurora/v1/dairy.gw10/scan", True, False),
        ("dairy.gw1", "aurora/v1/butcher.gw1/scan", True, False),
        ("dairy.gw1", "aurora/v1/dairy.gw1/scan", False, False),
        ("dairy.gw1", "aurora/v1/+/receipt", False, False),
        ("dairy.gw1", "#", False, False),
        ("cluster", "aurora/v1/+/scan", False, True),
        ("cluster", "aurora/v1/dairy.gw1/receipt", True, True),
        ("aurora-receiver", "$share/receivers/aurora/v1/+/scan", False, True),
        ("", "aurora/v1/dairy.gw1/scan", True, False),
    ],
)
def test_members_see_their_own_topics_only(user: str, topic: str, write: bool, allowed: bool) -> None:
    assert may(user, topic, write) is allowed


async def test_a_batch_goes_to_the_cluster_and_the_receipt_comes_back(secure: Broker, pki: Pki) -> None:
    batch = bytes(range(256)) * 8000
    async with member(secure, pki, "cluster") as cluster, member(secure, pki, "dairy.gw1") as gateway:
        await cluster.subscribe("$share/receivers/aurora/v1/+/scan", qos=1)
        await gateway.subscribe("aurora/v1/dairy.gw1/receipt", qos=1)
        await gateway.publish("aurora/v1/dairy.gw1/scan", batch, qos=1)
        assert await receive(cluster, 1) == [("aurora/v1/dairy.gw1/scan", batch)]
        await cluster.publish("aurora/v1/dairy.gw1/receipt", b"thanks", qos=1)
        assert await receive(gateway, 1) == [("aurora/v1/dairy.gw1/receipt", b"thanks")]


async def test_a_member_cannot_reach_another(secure: Broker, pki: Pki) -> None:
    async with member(secure, pki, "butcher.gw1") as butcher, member(secure, pki, "cluster") as cluster:
        await cluster.subscribe("aurora/v1/#", qos=1)
        (granted,) = await butcher.subscribe("aurora/v1/dairy.gw1/receipt", qos=1)
        assert granted.value == Reason.NOT_AUTHORIZED
        await butcher.publish("aurora/v1/dairy.gw1/scan", b"forged", qos=1)
        await butcher.publish("aurora/v1/butcher.gw1/scan", b"own", qos=1)
        assert await receive(cluster, 1) == [("aurora/v1/butcher.gw1/scan", b"own")]
        assert secure.hub.stats.denied == 2


async def test_a_client_identifier_of_another_user_takes_nothing_over(secure: Broker, pki: Pki) -> None:
    async with member(secure, pki, "dairy.gw1") as gateway:
        await gateway.subscribe("aurora/v1/dairy.gw1/receipt", qos=1)
        async with member(secure, pki, "butcher.gw1", identifier="dairy.gw1"):
            assert len(secure.hub.sessions) == 2
        async with member(secure, pki, "cluster") as cluster:
            await cluster.publish("aurora/v1/dairy.gw1/receipt", b"x", qos=1)
        assert await receive(gateway, 1) == [("aurora/v1/dairy.gw1/receipt", b"x")]


async def greet_over_tls(broker: Broker, context: ssl.SSLContext) -> bytes:
    """First byte that the broker answers, empty where it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port, ssl=context)
    try:
        writer.write(CONNECT)
        return await asyncio.wait_for(reader.read(1), 5)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


async def test_a_stranger_and_a_client_without_certificate_are_refused(secure: Broker, pki: Pki) -> None:
    bare = ssl.create_default_context(cafile=pki.file("ca.pem"))
    stranger = ssl.create_default_context(cafile=pki.file("ca.pem"))
    stranger.load_cert_chain(pki.file("stranger.pem"), pki.file("stranger.key"))
    assert await greet_over_tls(secure, bare) == b""
    assert await greet_over_tls(secure, stranger) == b""
    assert secure.hub.stats.connects == 0
    assert await greet_over_tls(secure, pki.client("dairy.gw1")) == b"\x20"


async def mosquitto(command: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("stdbuf", "-oL", command, "-h", "localhost", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest.mark.parametrize("version", ["mqttv5", "mqttv311"])
@needs("mosquitto_sub")
async def test_the_mosquitto_clients_speak_with_the_process(start: Start, pki: Pki, version: str) -> None:
    process = await start(
        "gateway.demo.broker",
        *(
            "--port",
            "0",
            "--ca",
            pki.file("ca.pem"),
            "--cert",
            pki.file("broker.pem"),
            "--key",
            pki.file("broker.key"),
        ),
    )
    assert process.stdout is not None
    port = (await process.stdout.readline()).decode().strip().rpartition(":")[2]
    listener = await mosquitto(
        "mosquitto_sub",
        *("-d", "-v", "-p", port, "-V", version, "-q", "1", "-t", "aurora/v1/+/scan", "-C", "3"),
        *pki.mosquitto("cluster"),
    )
    assert listener.stdout is not None
    while b"SUBACK" not in (line := await listener.stdout.readline()):
        assert line, "mosquitto_sub has ended"
    for text in ("one", "two", "three"):
        sender = await mosquitto(
            "mosquitto_pub",
            *("-p", port, "-V", version, "-q", "1", "-t", "aurora/v1/dairy.gw1/scan", "-m", text),
            *pki.mosquitto("dairy.gw1"),
        )
        out, _ = await sender.communicate()
        assert sender.returncode == 0, out
    out, _ = await asyncio.wait_for(listener.communicate(), 5)
    assert [line for line in out.decode().splitlines() if line.startswith("aurora")] == [
        f"aurora/v1/dairy.gw1/scan {text}" for text in ("one", "two", "three")
    ]
    process.terminate()
    assert await process.wait() == 0


# sessions and routing


async def test_a_session_keeps_what_its_client_missed(plain: Broker) -> None:
    async with anyone(plain, "old", protocol=aiomqtt.ProtocolVersion.V311, clean_session=False) as away:
        await away.subscribe("t/#", qos=1)
    async with anyone(plain, "sender") as sender:
        await sender.publish("t/1", b"kept", qos=1)
        await sender.publish("t/2", b"not kept", qos=0)
    async with anyone(plain, "old", protocol=aiomqtt.ProtocolVersion.V311, clean_session=False) as back:
        assert await receive(back, 1) == [("t/1", b"kept")]
    assert {key.client_id for key in plain.hub.sessions} == {"old"}


async def test_a_shared_subscription_gives_each_message_to_one(plain: Broker) -> None:
    async with anyone(plain, "r1") as first, anyone(plain, "r2") as second, anyone(plain, "s") as sender:
        for one in (first, second):
            await one.subscribe("$share/g/t/+", qos=1)
        for number in range(8):
            await sender.publish(f"t/{number}", b"", qos=1)
        got = await receive(first, 4) + await receive(second, 4)
        assert sorted(topic for topic, _ in got) == [f"t/{number}" for number in range(8)]


async def test_a_will_is_published_when_its_client_dies_and_not_when_it_leaves(plain: Broker, dial: Dial) -> None:
    async with anyone(plain, "watcher") as watcher:
        await watcher.subscribe("wills/#", qos=1)
        async with anyone(plain, "polite", will=aiomqtt.Will("wills/polite", b"dead", qos=1)):
            pass
        raw = dial()
        await raw.open(bytes.fromhex("101b00044d5154540506000000000162 00 0007 77696c6c732f78 0001 21"))
        raw.writer.transport.abort()
        assert await receive(watcher, 1) == [("wills/x", b"!")]


# clients that misbehave, byte by byte


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("10 0e 00044d515454 05 02 0000 00 0000 61", Reason.PROTOCOL_ERROR),
        ("30 ffffffff", Reason.MALFORMED),
        ("30 ffffff7f", Reason.TOO_LARGE),
        ("34 07 000174 0001 00 21", Reason.NO_QOS2),
        ("31 05 000174 00 21", Reason.NO_RETAIN),
        ("36 07 000174 0001 00 21", Reason.MALFORMED),
        ("30 03 0001ff", Reason.MALFORMED),
        ("80 07 0001 00 000174 00", Reason.MALFORMED),
        ("82 03 0001 00", Reason.PROTOCOL_ERROR),
        ("c1 00", Reason.MALFORMED),
        ("c0 01 00", Reason.PROTOCOL_ERROR),
        ("00 00", Reason.PROTOCOL_ERROR),
        ("f0 00", Reason.PROTOCOL_ERROR),
        ("62 02 0001", Reason.MALFORMED),
        ("50 02 0001", Reason.PROTOCOL_ERROR),
        ("40 01 00", Reason.MALFORMED),
    ],
)
async def test_a_malformed_packet_ends_its_connection_with_the_reason(
    raw: Raw, data: str, reason: Reason, dial: Dial
) -> None:
    answer = await raw.ask(bytes.fromhex(data))
    assert answer == bytes([0xE0, 1, reason])
    assert await raw.ended()
    other = dial()
    assert (await other.open())[0] == 0x20


@pytest.mark.parametrize(
    ("hello", "answer"),
    [
        ("c000", "20 03 00 82 00"),
        ("10 0f 00064d5149736470 03 02 0000 000161", "20 02 00 01"),
        ("10 0d 00044d515454 04 42 0000 000161", "20 02 00 05"),
        ("10 05 0004 4d5154", "20 03 00 81 00"),
        ("10 ffff7f", "20 03 00 95 00"),
    ],
)
async def test_a_bad_greeting_is_refused(plain: Broker, hello: str, answer: str, dial: Dial) -> None:
    client = dial()
    assert await client.open(bytes.fromhex(hello)) == bytes.fromhex(answer)
    assert await client.ended()
    assert plain.hub.stats.refused == 1


async def test_a_client_that_says_nothing_is_dropped(plain: Broker, dial: Dial) -> None:
    client = dial()
    await client.open(b"")
    assert await client.ended()


async def test_silence_of_one_and_a_half_keep_alives_ends_a_connection(plain: Broker, dial: Dial) -> None:
    loop = asyncio.get_running_loop()
    client = dial()
    await client.open(CONNECT[:10] + b"\0\1" + CONNECT[12:])
    begun = loop.time()
    assert await client.ask(b"") == bytes([0xE0, 1, Reason.KEEP_ALIVE])
    assert 1.4 < loop.time() - begun < 3
    assert await client.ended()


async def test_the_same_client_again_takes_its_place(raw: Raw, dial: Dial) -> None:
    again = dial()
    assert (await again.open())[0] == 0x20
    assert await raw.ask(b"") == bytes([0xE0, 1, Reason.TAKEN_OVER])
    assert await again.ask(b"\xc0\0") == b"\xd0\0"


async def test_too_many_clients_are_told_so(plain: Broker, dial: Dial) -> None:
    clients = []
    for number in range(6):
        client = dial()
        answer = await client.open(CONNECT[:-1] + bytes([ord("a") + number]))
        clients.append((client, answer[3]))
    assert [code for _, code in clients] == [0, 0, 0, 0, 0, Reason.BUSY]


async def test_a_topic_with_no_listener_is_named_as_such(raw: Raw) -> None:
    assert await raw.ask(bytes.fromhex("3207000174000100 21")) == bytes.fromhex("4003000110")


async def test_no_more_messages_are_under_way_than_the_client_allows(plain: Broker, dial: Dial) -> None:
    client = dial()
    await client.open(bytes.fromhex("101100044d51545405020000 03210002 000161"))
    assert (await client.ask(bytes.fromhex("8207000100000174 01")))[0] == 0x90
    async with anyone(plain, "sender") as sender:
        for number in range(4):
            await sender.publish("t", bytes([48 + number]), qos=1)
    assert [(await client.ask(b""))[-1:] for _ in range(2)] == [b"0", b"1"]
    assert (await client.ask(b"\xc0\0"))[0] == 0xD0
    third = await client.ask(bytes.fromhex("40020001"))
    assert third[-1:] == b"2"


async def test_unconfirmed_messages_are_sent_again_to_a_session_that_returns(plain: Broker, dial: Dial) -> None:
    hello = bytes.fromhex("101300044d51545405000000 05110000ffff 000161")
    client = dial()
    await client.open(hello)
    await client.ask(bytes.fromhex("820700010000017401"))
    async with anyone(plain, "sender") as sender:
        await sender.publish("t", b"!", qos=1)
        first = await client.ask(b"")
        client.writer.transport.abort()
        await until(lambda: len([s for s in plain.hub.sessions.values() if s.link]) == 1)
    back = dial()
    connack = await back.open(hello)
    assert connack[2] == 1
    again = await back.ask(b"")
    assert (first[0], again[0]) == (0x32, 0x3A)
    assert first[1:] == again[1:]


async def test_a_client_that_does_not_read_has_a_bounded_queue(plain: Broker, dial: Dial) -> None:
    slow = dial()
    await slow.open()
    await slow.ask(bytes.fromhex("820700010000017401"))
    async with anyone(plain, "fast") as fast, anyone(plain, "sender") as sender:
        await fast.subscribe("u", qos=1)
        session = next(session for key, session in plain.hub.sessions.items() if key.client_id == "a")
        payload = bytes(90_000)
        for _ in range(400):
            await sender.publish("t", payload, qos=1)
            if session.lost:
                break
        assert session.lost > 0
        assert session._bytes <= plain.limits.queue_bytes
        await sender.publish("u", b"still here", qos=1)
        assert await receive(fast, 1) == [("u", b"still here")]


async def test_a_packet_beyond_the_limit_is_refused_before_it_is_read(raw: Raw) -> None:
    answer = await raw.ask(bytes.fromhex("30c1843d"))
    assert answer == bytes([0xE0, 1, Reason.TOO_LARGE])


async def test_closing_says_goodbye(plain: Broker, dial: Dial) -> None:
    client = dial()
    await client.open()
    await plain.close()
    assert await client.ask(b"") == bytes([0xE0, 1, Reason.SHUTTING_DOWN])
    assert await client.ended()


async def test_unsubscribing_ends_delivery(raw: Raw) -> None:
    await raw.ask(bytes.fromhex("820700010000017401"))
    assert await raw.ask(bytes.fromhex("a209 0002 00 000174 000175")) == bytes.fromhex("b005 0002 00 0011")
    assert (await raw.ask(bytes.fromhex("320700017400030021")))[-1] == Reason.NO_SUBSCRIBERS


@pytest.mark.parametrize("words", [[], ["--plain", "--host", "0.0.0.0"], ["--plain", "--ca", "x"], ["--ca", "x"]])
async def test_a_wrong_command_line_of_the_broker_is_refused(start: Start, words: list[str]) -> None:
    process = await start("gateway.demo.broker", "--port", "0", *words)
    assert await process.wait() == 2
