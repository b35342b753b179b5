"""Modbus TCP over TLS with a certificate on both sides (MODBUS/TCP Security Protocol Specification V21; port 802).

The device's certificate is always checked, its name too. What a device may be asked is decided by the role in the
gateway's own certificate (extension 1.3.6.1.4.1.50316.802.1), which is the device's business, not ours.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any

from firmware_interfaces.modbus.link import connect_tcp
from firmware_interfaces.modbus.tcp import TcpLink

__all__ = ["PORT", "TlsLink", "tls_context"]

PORT = 802
REFUSES_US = (
    "CERTIFICATE_REQUIRED",
    "UNKNOWN_CA",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "UNSUPPORTED_CERTIFICATE",
    "ACCESS_DENIED",
)


def tls_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """What this gateway believes and who it is. Raises `OSError` that names the file which cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise OSError(f"{ca} holds no certificate of an authority ({_reason(error)})") from error
    except OSError as error:
        raise OSError(f"{ca}: {error.strerror}") from error
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise OSError(f"{certificate} and {key} are no certificate with its key ({_reason(error)})") from error
    except OSError as error:
        missing = next((path for path in (certificate, key) if not path.is_file()), certificate)
        raise OSError(f"{missing}: {error.strerror}") from error
    return context


class TlsLink(TcpLink):
    """Modbus TCP inside TLS 1.2 or newer. ``server_name`` is the name in the device's certificate, where that is
    not ``host``. The files are read at each connection, so renewed certificates need no restart.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ca: Path,
        certificate: Path,
        key: Path,
        server_name: str = "",
        **timing: Any,
    ) -> None:
        super().__init__(host, port, **timing)
        self._files = ca, certificate, key
        self._server_name = server_name or host

    def __str__(self) -> str:
        return f"Modbus TLS {self.host}:{self.port}"

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        context = await asyncio.to_thread(tls_context, *self._files)
        try:
            await connect_tcp(self, loop, self.host, self.port, ssl=context, server_hostname=self._server_name)
        except ssl.SSLCertVerificationError as error:
            raise ConnectionError(f"its certificate is not believed: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise ConnectionError(_words(error)) from error
        except (ConnectionAbortedError, ConnectionResetError) as error:
            words = "it hung up during the TLS handshake: it may not accept this gateway's certificate"
            raise ConnectionError(words) from error

    def disconnected(self, exc: Exception | None) -> None:
        """As `Link.disconnected`; in TLS 1.3 a refusal of this gateway's certificate comes after the connection."""
        super().disconnected(ConnectionError(_words(exc)) if isinstance(exc, ssl.SSLError) else exc)


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _words(error: ssl.SSLError) -> str:
    if any(word in (error.reason or "") for word in REFUSES_US):
        return f"it refuses this gateway's certificate ({_reason(error)})"
    if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}:
        return "it does not speak TLS on this port"
    return f"no TLS connection ({_reason(error)})"
