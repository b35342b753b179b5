"""One connection to an MQTT 5 broker: the only module that knows the client library, aiomqtt over paho.

Habits of the library are mended here, which is why its private attributes are used, and only here:
``publish`` returns normally when the broker has refused the message, so the reason codes of PUBACK are read in
paho's callback; messages are acknowledged before anybody has seen them, so a receiver acknowledges by hand
through paho; a connection that ends before the CONNACK (a broker that does not like the certificate) is only seen
by a time-out, so its end is watched; leaving a silent connection would wait and leak the socket, so it is cut; how
the library waits for its socket fits asyncio's own event loop only (`_Client`).

A `Link` lives for one connection. A client that is used again sends its own old queue after a reconnect, beside
what the caller sends from its store; hence always a new one, with a clean start.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import aiomqtt
from paho.mqtt.client import MQTT_ERR_CONN_LOST, MQTT_ERR_SUCCESS
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import AuroraError

log = logging.getLogger(__name__)

NO_MATCHING_SUBSCRIBERS = 0x10
"""PUBACK: the broker took the message and nobody was there to read it (MQTT 5, 3.4.2.1)."""
REFUSED = 0x80
"""PUBACK reason codes from here on say that the broker did not take the message."""

CONNECT_TIMEOUT_S = 5.0
GOODBYE_S = 1.0
READ_AHEAD = 65_536
PACKETS_AT_ONCE = 100
"""After so many others have their turn."""
UNLIMITED = 1 << 30
NEXT_SUFFIX = ".next"
"""Ends the name of the key that is to follow: its certificate comes first, then it takes the old one's place."""


class LinkError(AuroraError):
    """The broker cannot be reached, refuses, or is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the broker is and who calls. TLS where ``ca`` is given, mutual where a certificate is given too.

    ``client`` is the MQTT client id; the certificate's common name has to be the same. ``keepalive_s`` bounds
    how long a silent connection goes unnoticed (about one and a half times that). ``user`` and ``password`` are for
    brokers that ask for them.
    """

    host: str
    port: int
    client: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    keepalive_s: int = 15
    user: str = ""
    password: str = field(default="", repr=False)

    def tls(self) -> ssl.SSLContext | None:
        """A context from the files as they are now, so that exchanged certificates are used; reads files."""
        if self.ca is None:
            return None
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            self._load_chain(context, self.certificate)
        return context

    def _load_chain(self, context: ssl.SSLContext, certificate: Path) -> None:
        """Certificate and key; while both are being exchanged, the key's successor fits (`gateway.setup.renew`)."""
        successor = None if self.key is None else self.key.with_name(self.key.name + NEXT_SUFFIX)
        try:
            context.load_cert_chain(certificate, self.key)
        except ssl.SSLError:
            if successor is None or not successor.exists():
                raise
            context.load_cert_chain(certificate, successor)


class _Context(ssl.SSLContext):
    """Closes the socket when the handshake fails, which paho leaves to the garbage collector."""

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        wrapped = super().wrap_socket(*args, **options)
        try:
            wrapped.settimeout(CONNECT_TIMEOUT_S)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


class _Client(aiomqtt.Client):
    """Waits for its socket as long as it has it, and ends with it, whichever event loop runs.

    uvloop gives up a socket that was reset after one more call, even if that call only read what had come before:
    from then on nothing came or went, and nobody knew before the keepalive had run out. And a wait that
    begins when the socket is closed already would be for whoever has got its number by then.

    The library asks the system for each byte of a header, and sends each acknowledgement by itself: here as much as
    there is is read at once, and what is sent in one go leaves in one piece.
    """

    def __init__(self, *address: Any, **options: Any) -> None:
        super().__init__(*address, **options)
        self._ahead, self._taken = b"", 0
        self._more = False
        self._receive = self._client._sock_recv
        self._client._sock_recv = self._take  # type: ignore[method-assign, assignment]

    def _take(self, size: int) -> bytes:
        """At most so many bytes of what was read ahead; reads when there is nothing more."""
        if self._taken == len(self._ahead):
            self._ahead, self._taken = self._receive(READ_AHEAD), 0
        piece = self._ahead[self._taken : self._taken + size]
        self._taken += len(piece)
        return piece

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        self._loop.call_soon_threadsafe(self._listen, sock)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        self._loop.call_soon_threadsafe(self._wait_for_room, sock)

    def _listen(self, sock: socket.socket) -> None:
        if self._client.socket() is sock:
            self._misc_task = self._loop.create_task(self._misc_loop())
            self._loop.add_reader(sock.fileno(), self._read, sock)

    def _wait_for_room(self, sock: socket.socket) -> None:
        if self._client.socket() is sock:
            self._loop.add_writer(sock.fileno(), self._write, sock)

    def _read(self, sock: socket.socket) -> None:
        # While there is more, it is read turn by turn, whatever the socket says meanwhile.
        if not self._more:
            self._read_on(sock)

    def _read_on(self, sock: socket.socket) -> None:
        self._more = False
        if self._client.socket() is not sock:
            return
        try:
            for _ in range(PACKETS_AT_ONCE):
                # Not `loop_read`, which takes one more for each message of ours that is under way.
                code = self._client._packet_read()
                if code > 0:
                    self._client._loop_rc_handle(code)
                if self._client.socket() is not sock:
                    return
                # What was read ahead, or decrypted by TLS, makes no socket readable.
                if self._taken == len(self._ahead) and not _pending(sock):
                    break
            else:
                self._more = True
                self._loop.call_soon(self._read_on, sock)
                return
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._client._loop_rc_handle(MQTT_ERR_CONN_LOST)
        except Exception as error:  # noqa: BLE001  # whatever the library stumbles over ends this connection
            self._fail(error)

    def _write(self, sock: socket.socket) -> None:
        try:
            with _in_one_piece(sock):
                self._client.loop_write()
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._disconnected.done():
            self._disconnected.set_exception(error)
            self._disconnected.exception()
        self._client._loop_rc_handle(MQTT_ERR_CONN_LOST)


def _pending(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


@contextmanager
def _in_one_piece(sock: socket.socket) -> Iterator[None]:
    """What is sent inside goes out in as few segments as possible, at the end at the latest (tcp(7), TCP_CORK)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    try:
        yield
    finally:
        if sock.fileno() >= 0:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


class _Words(logging.Handler):
    """Keeps the last error that the library logs: what it raises says less, and each attempt would log it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


@dataclass(frozen=True, slots=True)
class Received:
    """One message from the broker; ``id`` is what `Link.acknowledge` takes."""

    topic: str
    payload: bytes
    id: int


class Backoff:
    """Delays in seconds: ``first``, doubled each time up to ``last``, each scaled by a random half to one.

    The jitter keeps a thousand clients from coming back in one moment.
    """

    __slots__ = ("_delay", "_first", "_last", "_random")

    def __init__(self, random: Random, first: float, last: float) -> None:
        self._first = first
        self._last = last
        self._random = random
        self._delay = first

    def next(self) -> float:
        """The delay to wait now; the one after it is twice as long."""
        delay = self._delay
        self._delay = min(2 * delay, self._last)
        return delay * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again at ``first``."""
        self._delay = self._first


class Link:
    """An open connection. Every method raises `LinkError` once it is lost."""

    def __init__(self, client: aiomqtt.Client, on_puback: Callable[[int, int], None] | None) -> None:
        self._client = client
        self._paho = client._client
        self._inbox = client._queue
        self._on_puback = on_puback
        self._library_on_publish = client._on_publish
        self._paho.on_publish = self._published

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        return bool(self._client._disconnected.done())

    def send(self, topic: str, payload: bytes, *, retain: bool = False, qos: Literal[0, 1] = 1) -> int:
        """Hand a message to the socket and return its message id, without waiting for the PUBACK.

        With QoS 1, the callback of the connection is called with the id and the reason code when it comes. QoS 0
        has no answer: it is for protocols that demand it.
        """
        info = self._paho.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != MQTT_ERR_SUCCESS:
            raise LinkError(f"the connection takes no message ({info.rc.name})")
        return info.mid

    async def subscribe(self, *topics: str) -> None:
        """Subscribe with QoS 1; a refusal raises."""
        # asyncio.wait_for, with which the library waits, loses a cancellation that comes with the answer (3.11):
        # so it waits in a task of its own, and only that one.
        asking = asyncio.ensure_future(self._client.subscribe([(topic, 1) for topic in topics]))
        asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            await asyncio.wait((asking,))
        finally:
            asking.cancel()
        try:
            granted = asking.result()
        except aiomqtt.MqttError as error:
            raise LinkError(f"subscribing failed ({error})") from error
        refused = [str(code) for code in granted if isinstance(code, ReasonCode) and code.is_failure]
        if refused:
            raise LinkError(f"the broker refuses the subscription ({', '.join(refused)})")

    async def receive(self, limit: int) -> list[Received]:
        """The messages that are waiting, at least one, at most ``limit``; waits for the first."""
        try:
            first = await anext(self._client.messages)
        except aiomqtt.MqttError as error:
            raise LinkError(_words(error)) from error
        found = [_received(first)]
        while len(found) < limit and not self._inbox.empty():
            found.append(_received(self._inbox.get_nowait()))
        return found

    def acknowledge(self, received: Received) -> None:
        """Send the PUBACK of a message received on a connection that was opened with ``manual``, if it is due one.

        A message of QoS 0 has no id, and a broker ends the connection of whoever acknowledges it.
        """
        if received.id:
            self._paho.ack(received.id, 1)

    def _published(self, client: Any, userdata: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
        self._library_on_publish(client, userdata, mid, reason, properties)
        if self._on_puback is not None:
            self._on_puback(mid, reason.value)


@asynccontextmanager
async def connect(
    endpoint: Endpoint,
    *,
    on_puback: Callable[[int, int], None] | None = None,
    manual: bool = False,
    receive_maximum: int | None = None,
    will: tuple[str, bytes] | None = None,
    will_retain: bool = True,
) -> AsyncIterator[Link]:
    """Connect, and disconnect at the end; raises `LinkError` when the broker is not reached or refuses.

    ``receive_maximum`` is how many unacknowledged messages the broker may have under way to us, ``will`` the
    topic and content that it is to publish, retained unless ``will_retain`` says otherwise, when the connection
    ends without a goodbye. An error inside cuts the connection at once; a normal end, or a cancellation, says
    goodbye for at most a second.
    """
    words = _Words()
    client = await _client(endpoint, receive_maximum, will, words, will_retain=will_retain)
    client._client.manual_ack_set(manual)
    await _open(client, endpoint, words)
    # Whoever waits for messages is told of the end; when nobody waits, asyncio must not complain of that.
    client._disconnected.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        yield Link(client, on_puback)
    except asyncio.CancelledError:
        await _close(client)
        raise
    except BaseException:
        _abort(client)
        raise
    else:
        await _close(client)


async def _client(
    endpoint: Endpoint,
    receive_maximum: int | None,
    will: tuple[str, bytes] | None,
    words: _Words,
    *,
    will_retain: bool,
) -> aiomqtt.Client:
    properties = None
    if receive_maximum is not None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = receive_maximum
    try:
        context = await asyncio.to_thread(endpoint.tls)
    except (OSError, ssl.SSLError) as error:
        raise LinkError(f"certificates cannot be used ({error})") from error
    logger = logging.Logger("gateway.mqtt.library", logging.ERROR)
    logger.addHandler(words)
    client = _Client(
        endpoint.host,
        endpoint.port,
        identifier=endpoint.client,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        username=endpoint.user or None,
        password=endpoint.password or None,
        will=aiomqtt.Will(will[0], will[1], qos=1, retain=will_retain) if will is not None else None,
        keepalive=endpoint.keepalive_s,
        timeout=CONNECT_TIMEOUT_S,
        properties=properties,
        tls_context=context,
        logger=logger,
        socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
    )
    client.pending_calls_threshold = UNLIMITED
    client._client.connect_timeout = CONNECT_TIMEOUT_S
    return client


async def _open(client: aiomqtt.Client, endpoint: Endpoint, words: _Words) -> None:
    """Open, and see to it that a connection which comes about after a cancellation does not stay."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    library = client._on_disconnect

    def on_disconnect(*details: Any) -> None:
        library(*details)
        if client._disconnected.done():
            client._disconnected.exception()  # Seen: whoever waits is told all the same.
        loop.call_soon_threadsafe(ended.set)

    client._client.on_disconnect = on_disconnect
    opening = asyncio.ensure_future(client.__aenter__())
    ending = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((opening, ending), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            raise LinkError(f"no connection to {endpoint.host}:{endpoint.port} ({words.last or 'closed'})")
        await opening
        # The library forgets an end that came with the answer.
        if client._client.socket() is None and not client._disconnected.done():
            client._disconnected.set_exception(aiomqtt.MqttError("the broker ended the connection at once"))
    except asyncio.CancelledError:
        opening.add_done_callback(lambda task: _abort(client) if task.cancelled() or not task.exception() else None)
        raise
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        _abort(client)
        raise LinkError(f"no connection to {endpoint.host}:{endpoint.port} ({_words(error)})") from error
    finally:
        ending.cancel()


async def _close(client: aiomqtt.Client) -> None:
    client.timeout = GOODBYE_S
    try:
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)
    finally:
        _abort(client)


def _abort(client: aiomqtt.Client) -> None:
    """Shut the socket down; the library sees its end and cleans up after itself. Harmless when it is closed."""
    opened = client._client.socket()
    if isinstance(opened, socket.socket):
        with suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)


async def beside(*work: Coroutine[Any, Any, None]) -> None:
    """Do things beside each other until one of them ends or fails; then the others are cancelled.

    For work that goes on as long as a connection does. Unlike a `asyncio.TaskGroup`, which in Python 3.11 forgets
    a cancellation that comes in the moment in which a part fails, it is always cancelled when it is told to be.
    """
    parts = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()
    finally:
        for part in parts:
            part.cancel()
        ended = asyncio.gather(*parts, return_exceptions=True)
        # A second cancellation does not leave the parts behind: they are told already.
        await asyncio.shield(ended)


def _words(error: BaseException) -> str:
    cause = error.__cause__
    return str(cause) if isinstance(cause, aiomqtt.MqttError) else str(error)


def _received(message: aiomqtt.Message) -> Received:
    payload = message.payload
    content = bytes(payload) if isinstance(payload, bytes | bytearray) else b""
    return Received(str(message.topic), content, message.mid)
