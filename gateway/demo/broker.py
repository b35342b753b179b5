"""An MQTT broker for demonstrations and tests, where no Mosquitto is installed. NOT FOR PRODUCTION.

It exists because no maintained MQTT 5 broker library for Python was found. MQTT 5.0 and 3.1.1, quality of service 0
and 1, wildcards and shared subscriptions, wills, sessions in memory, mutual TLS. No retained messages, no bridging,
nothing on disk: after a restart every session is gone, and publishers have to send again what was not receipted.

    python -m gateway.demo.broker --port 8883 --ca ca.pem --cert broker.pem --key broker.key

The common name of the client's certificate is the user. A gateway ``NAME`` may write below ``aurora/v1/NAME/`` and
read ``aurora/v1/NAME/receipt``; the users `RECEIVERS` may do everything.
"""

import argparse
import asyncio
import contextlib
import logging
import secrets
import signal
import ssl
from collections.abc import Sequence

from gateway.demo.mqtt_hub import Allow, Hub, Left, Limits
from gateway.demo.mqtt_packets import Connect, read_connect, write_connack
from gateway.demo.mqtt_session import Link, Session, SessionKey
from gateway.demo.mqtt_wire import Kind, MqttError, Reason

log = logging.getLogger(__name__)

__all__ = ["RECEIVERS", "Broker", "Limits", "may", "server_context"]

RECEIVERS = frozenset({"aurora-receiver", "cluster"})
"""Common names of the cluster's receivers."""

RECEIVE_MAXIMUM = 64


def may(user: str, topic: str, write: bool) -> bool:
    """The rule of the house, by common name of the certificate."""
    if user in RECEIVERS:
        return True
    own = f"aurora/v1/{user}/"
    return topic.startswith(own) if write else topic == own + "receipt"


def anyone(user: str, topic: str, write: bool) -> bool:  # noqa: ARG001 - the shape of Allow
    """No rule: for a broker without TLS on the loopback, which knows no users."""
    return True


class Broker:
    """Listens with ``context`` (mutual TLS), or in the clear without users where it is None."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None = None,
        allow: Allow | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.limits = limits or Limits()
        self.hub = Hub(allow or (may if context is not None else anyone), self.limits)
        self._context = context
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; ``port`` 0 becomes the port that the kernel chose."""
        options = {"ssl_handshake_timeout": self.limits.connect_s} if self._context else {}
        self._server = await asyncio.start_server(
            self._accept, self.host, self.port, ssl=self._context, limit=256 * 1024, **options
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Say goodbye to every client and stop."""
        if self._server is not None:
            self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self.hub.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._client(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError) as error:
            log.debug("client left: %s", error)
        except asyncio.CancelledError:  # by close(); asyncio's stream server reports an accepted task that ends so
            log.debug("client dismissed")
        finally:
            self._clients.discard(task)
            await self._hang_up(writer)

    async def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        """Close; a client that does not take its last packets is cut off."""
        writer.close()
        try:
            async with asyncio.timeout(self.limits.close_s):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted = await self._greet(reader, writer)
        if greeted is None:
            return
        connect, session, link = greeted
        sender = asyncio.get_running_loop().create_task(self._deliver(session, link))
        will = connect.will
        try:
            await self._listen(reader, connect, session, link)
        except Left as goodbye:
            will = connect.will if goodbye.will else None
        except MqttError as error:
            self.hub.stats.malformed += 1
            log.warning("client %s dismissed: %s", session.key.client_id, error)
            self.hub.dismiss(link, error.reason)
        except TimeoutError:
            log.warning("client %s is silent", session.key.client_id)
            self.hub.dismiss(link, Reason.KEEP_ALIVE)
        except asyncio.CancelledError:
            self.hub.dismiss(link, Reason.SHUTTING_DOWN)
            raise
        finally:
            sender.cancel()
            self.hub.detach(session, link)
            if will is not None:
                self.hub.publish(will)

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Connect, Session, Link] | None:
        """CONNECT and CONNACK; None where the client was refused."""
        version = 5
        try:
            async with asyncio.timeout(self.limits.connect_s):
                first, body = await read_packet(reader, self.limits.connect_packet)
            if first != Kind.CONNECT << 4:
                raise MqttError(Reason.PROTOCOL_ERROR, "the first packet is not CONNECT")
            version = 4 if body[6:7] in (b"\x03", b"\x04") or body[2:6] == b"MQIs" else 5
            connect = read_connect(body)
            user = self._user(writer)
            if connect.will is not None and not self.hub.allow(user, connect.will.topic, True):
                raise MqttError(Reason.NOT_AUTHORIZED, f"user {user!r} may not publish its will")
            if len(self._clients) > self.limits.clients:
                raise MqttError(Reason.BUSY, "too many clients")
        except MqttError as error:
            self.hub.stats.refused += 1
            log.warning("client refused: %s", error)
            writer.write(write_connack(version, error.reason))
            return None
        self.hub.stats.connects += 1
        client_id = connect.client_id or f"auto-{secrets.token_hex(8)}"
        link = Link(writer, version, connect.receive_maximum, connect.maximum_packet)
        session, present = self.hub.attach(SessionKey(user, client_id), connect, link)
        writer.write(
            write_connack(
                version,
                Reason.SUCCESS,
                present=present,
                assigned="" if connect.client_id else client_id,
                receive=RECEIVE_MAXIMUM,
                largest=self.limits.packet,
                session_s=None if session.expiry_s == connect.session_s else session.expiry_s,
            )
        )
        log.info("client %s (user %r) connected", client_id, user)
        return connect, session, link

    def _user(self, writer: asyncio.StreamWriter) -> str:
        """Common name of the client's certificate, which must be fit for a level of a topic."""
        if self._context is None:
            return ""
        certificate = writer.get_extra_info("peercert") or {}
        names = [value for rdn in certificate.get("subject", ()) for key, value in rdn if key == "commonName"]
        if len(names) != 1 or not names[0] or set(names[0]) & set("/+#$\0"):
            raise MqttError(Reason.NOT_AUTHORIZED, "certificate without a usable common name")
        return str(names[0])

    async def _deliver(self, session: Session, link: Link) -> None:
        """Send what the session has, at the pace of the client."""
        with contextlib.suppress(ConnectionError):  # the reading side ends the connection
            while True:
                await link.wake.wait()
                link.wake.clear()
                while (data := session.next(link)) is not None:
                    await link.send(data)

    async def _listen(self, reader: asyncio.StreamReader, connect: Connect, session: Session, link: Link) -> None:
        """Handle packets until the client leaves (raises `Left`), errs or falls silent."""
        patience = 1.5 * connect.keep_alive_s or None
        while True:
            async with asyncio.timeout(patience):
                first = await reader.readexactly(1)
            async with asyncio.timeout(self.limits.body_s):
                body = await read_body(reader, self.limits.packet)
            answer = self.hub.handle(first[0], body, session, link)
            if answer:
                async with asyncio.timeout(patience):
                    await link.send(answer)


async def read_packet(reader: asyncio.StreamReader, largest: int) -> tuple[int, bytes]:
    """First byte and body of one packet of at most ``largest`` bytes."""
    first = await reader.readexactly(1)
    return first[0], await read_body(reader, largest)


async def read_body(reader: asyncio.StreamReader, largest: int) -> bytes:
    """Length and body of a packet whose first byte has been read."""
    size = 0
    for index in range(4):
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            break
    else:
        raise MqttError(Reason.MALFORMED, "length is too long")
    if size > largest:
        raise MqttError(Reason.TOO_LARGE, f"packet of {size} bytes")
    return await reader.readexactly(size)


def server_context(ca: str, cert: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, and a certificate of ``ca`` demanded from every client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo.broker", description="An MQTT broker for demonstrations, not for production."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8883, help="0: any free port")
    parser.add_argument("--ca", help="certificate of the authority that signs clients (PEM)")
    parser.add_argument("--cert", help="certificate of this broker (PEM)")
    parser.add_argument("--key", help="its private key (PEM)")
    parser.add_argument("--plain", action="store_true", help="no TLS, no users, everything allowed; loopback only")
    options = parser.parse_args(words)
    files = [options.ca, options.cert, options.key]
    if options.plain:
        if any(files) or options.host not in ("127.0.0.1", "::1", "localhost"):
            parser.error("--plain goes with a loopback address and without certificates")
    elif not all(files):
        parser.error("--ca, --cert and --key are needed (or --plain)")
    return options


async def _main(options: argparse.Namespace) -> None:
    context = None if options.plain else server_context(options.ca, options.cert, options.key)
    broker = Broker(options.host, options.port, context=context)
    await broker.open()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"broker ready: {broker.host}:{broker.port}", flush=True)
    await stop.wait()
    await broker.close()


def main() -> None:
    """Entry point of ``python -m gateway.demo.broker``."""
    logging.basicConfig(level=logging.INFO, format="broker: %(levelname)s %(message)s")
    options = arguments()
    try:
        asyncio.run(_main(options))
    except OSError as error:
        raise SystemExit(f"broker: {error}") from error


if __name__ == "__main__":
    main()
