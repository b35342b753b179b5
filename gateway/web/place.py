"""Where the page is: its address, its certificate, its listening socket. Loads nothing of what serves it."""

import asyncio
import socket
import ssl
from pathlib import Path

from gateway.errors import AuroraError

__all__ = ["Place", "own_names"]


def own_names() -> frozenset[str]:
    """Names under which this machine is asked on a local network."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return frozenset({"localhost", name, short, f"{short}.local", f"{short}.lan"})


class Place:
    """One address. ``tls`` are the files of a certificate and of its key."""

    def __init__(self, host: str, port: int, tls: tuple[Path, Path] | None = None) -> None:
        self.host = host
        self.port = port
        self.tls = tls

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"{'http' if self.tls is None else 'https'}://{self.address}/"

    @property
    def address(self) -> str:
        """``host:port`` as it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def bind(self) -> socket.socket:
        """The listening socket; port 0 takes a free one.

        Raises `AuroraError` when the address is taken, or the certificate is none.
        """
        if self.tls is not None:
            _check_certificate(*self.tls)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(64)
        except OSError as error:
            listener.close()
            raise AuroraError(
                f"status page: cannot listen on {self.address} ({error.strerror}); "
                "choose another [web] listen address"
            ) from error
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        return listener

    @staticmethod
    async def visited(listener: socket.socket) -> None:
        """Wait until somebody connects; the connection stays for whoever accepts it."""
        loop, somebody = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(listener.fileno(), somebody.set)
        try:
            await somebody.wait()
        finally:
            loop.remove_reader(listener.fileno())


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # An SSLError is one, too.
        why = error.strerror or str(error)
        remedy = 'put a PEM certificate and its key there, or write tls = "self"'
        raise AuroraError(f"status page: {certificate} and {key} cannot be used ({why}); {remedy}") from error
