"""Peers of the Modbus tests: units on loopback with or without TLS, a slave on libmodbus, certificates."""

import asyncio
import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.demo.modbus_server import Registers, Table, answer

HERE = Path(__file__).parent
Meddle = Callable[[bytes, bytes], bytes | None]
"""From the request's PDU and the answer's: what is sent instead; None: nothing, the connection stays."""


def silence(request: bytes) -> bytes:
    """What a converter answers for a unit that does not: exception 11. It spares the tests the wait."""
    return bytes((request[0] | 0x80, 11))


class Plant:
    """Units behind one endpoint on loopback. ``most_clients``: further ones are hung up on."""

    def __init__(self, units: Mapping[int, Registers], *, tls: ssl.SSLContext | None = None) -> None:
        self.units = units
        self.port = 0
        self.most_clients = 1000
        self.connects = 0
        self.refused = 0
        self.clients: set[asyncio.StreamWriter] = set()
        self.requests: list[tuple[int, bytes]] = []
        self.meddle: Meddle = lambda request, reply: reply
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.clients:
            writer.transport.abort()
        await self._server.wait_closed()
        async with asyncio.timeout(20):
            while self.clients:
                await asyncio.sleep(0.005)

    def hang_up(self) -> None:
        for writer in self.clients:
            writer.transport.abort()

    def asked(self, function: int) -> list[bytes]:
        return [pdu for _, pdu in self.requests if pdu[0] == function]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.clients) >= self.most_clients:
            self.refused += 1
            writer.transport.abort()
            return
        self.connects += 1
        self.clients.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                self.requests.append((head[6], pdu))
                unit = self.units.get(head[6])
                reply = self.meddle(pdu, answer(unit, pdu)) if unit is not None else silence(pdu)
                if reply is not None:
                    writer.write(head[:4] + struct.pack(">HB", len(reply) + 1, head[6]) + reply)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            self.clients.discard(writer)


@asynccontextmanager
async def plant_of(units: Mapping[int, Registers], *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Plant]:
    plant = Plant(units, tls=tls)
    await plant.start()
    try:
        yield plant
    finally:
        await plant.stop()


def holding(cells: Mapping[int, int], *, writable: bool = True, coils: int = 0) -> Registers:
    """A unit of holding registers, and of coils where ``coils`` says how many, all off."""
    tables = {Table.HOLDING: dict(cells), **({Table.COIL: dict.fromkeys(range(coils), 0)} if coils else {})}
    allowed = [(table, at) for table, held in tables.items() for at in held] if writable else []
    return Registers(tables, writable=allowed)  # type: ignore[arg-type]


# libmodbus


def slave_program(folder: Path) -> Path:
    """The slave of slave.c, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "no C compiler: run scripts/install-system-packages test"
    target = folder / "slave"
    subprocess.run([compiler, "-O1", "-o", target, HERE / "slave.c", "-lmodbus"], check=True)
    return target


@contextmanager
def slave(program: Path, *arguments: str) -> Iterator[None]:
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def wire() -> Iterator[tuple[str, str]]:
    """A serial cable: two ends, what is written to one is read at the other."""
    with subprocess.Popen(
        ["socat", "-d", "-d", "pty,raw,echo=0", "pty,raw,echo=0"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            ends = [
                line.rpartition(" ")[2].strip()
                for line in (process.stderr.readline() for _ in range(2))
                if "PTY is" in line
            ]
            assert len(ends) == 2
            yield ends[0], ends[1]
        finally:
            process.kill()


@contextmanager
def bare_pty() -> Iterator[str]:
    master, end = os.openpty()
    tty.setraw(end)
    try:
        yield os.ttyname(end)
    finally:
        for descriptor in (master, end):
            with suppress(OSError):
                os.close(descriptor)


# certificates


class Papers(NamedTuple):
    """Files of one party: who it believes, its certificate, its key."""

    ca: Path
    certificate: Path
    key: Path


class Authority:
    """Signs certificates, written as PEM files into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.name, self.key, authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, host: str = "", expired: bool = False) -> Papers:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, host=host, expired=expired)
        paper, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paper.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Papers(self.path, paper, secret)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        host: str = "",
        expired: bool = False,
        authority: bool = False,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        end = now - dt.timedelta(days=1) if expired else now + dt.timedelta(days=2)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=3))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if host:
            try:
                name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
            except ValueError:
                name = x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def device_tls(papers: Papers, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """What a device wants: its own certificate shown, the client's required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.certificate, papers.key)
    context.load_verify_locations(papers.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = newest
    return context


@contextmanager
def strict_device(tls: ssl.SSLContext) -> Iterator[int]:
    """The port of a device that takes one client, and tells it in TLS why it is refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            secured = tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            with suppress(OSError):
                secured.do_handshake()
                secured.recv(1)
            # Closing over data that was not read would reset the connection, and the reason be lost.
            with socket.socket(fileno=secured.detach()) as bare, suppress(OSError):
                bare.shutdown(socket.SHUT_WR)
                while bare.recv(4096):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)


@contextmanager
def plant_beside(units: Mapping[int, Registers], *, tls: ssl.SSLContext | None = None) -> Iterator[Plant]:
    """A plant on a loop of its own, for commands that run one themselves."""
    loop = asyncio.new_event_loop()
    plant = Plant(units, tls=tls)
    loop.run_until_complete(plant.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield plant
    finally:
        asyncio.run_coroutine_threadsafe(plant.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()
