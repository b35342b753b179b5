"""The way to the cluster: files, certificate dates, and whether the broker answers."""

import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cryptography import x509

from gateway.doctor.fact import Fact, bad, care, good, unknown
from gateway.errors import SealError
from gateway.seal.cose import PublicKey
from gateway.site import BusSpec, ClusterSpec

__all__ = ["broker", "bus_certificates", "certificates", "receipt_key"]

SOON_DAYS: Final = 30
CONNECT_S: Final = 5.0
VERDICT_S: Final = 1.0
"""With TLS 1.3 a server that does not like our certificate says so just after the handshake."""


def receipt_key(cluster: ClusterSpec) -> Fact:
    """The key without which no receipt is believed."""
    path = cluster.receipt_key
    try:
        key = PublicKey.from_pem(path.read_bytes())
    except OSError as error:
        words = f"{path} cannot be read ({error.strerror})"
        return bad(
            "receipt-key", "Receipt key", words, "put the cluster's public key there: nothing is delivered now"
        )
    except SealError as error:
        return bad("receipt-key", "Receipt key", f"{path}: {error.what}", "ask the cluster for its public key")
    return good("receipt-key", "Receipt key", key.thumbprint.hex()[:16])


def certificates(cluster: ClusterSpec, utc_ms: int | None) -> Iterator[Fact]:
    """How long the gateway's own certificate and that of the authority are valid, at a time that is known."""
    for check, name, path in (
        ("certificate", "Certificate", cluster.certificate),
        ("authority", "Authority", cluster.ca),
    ):
        if path is not None:
            yield _certificate(check, name, path, utc_ms)


def bus_certificates(buses: Iterable[BusSpec], utc_ms: int | None) -> Iterator[Fact]:
    """The same for devices that are asked over TLS."""
    for bus in buses:
        for name, path in (("certificate", bus.certificate), ("authority", bus.ca)):
            if path is not None:
                yield _certificate(f"bus-{name}", f"Bus {bus.id}, {name}", path, utc_ms)


def _certificate(check: str, name: str, path: Path, utc_ms: int | None) -> Fact:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        words = f"{path} cannot be read ({error.strerror})"
        return bad(check, name, words, "put it there, readable for the gateway's user")
    except ValueError:
        return bad(check, name, f"{path} holds no certificate in PEM form", "ask the cluster for it")
    return dated(check, name, found[0], utc_ms)


def dated(check: str, name: str, certificate: x509.Certificate, utc_ms: int | None) -> Fact:
    """Whether a certificate is valid at a time, and for how long."""
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    words = f"valid until {ends:%Y-%m-%d}"
    if utc_ms is None:
        return unknown(check, name, f"{words}; the time now is not known")
    left = (ends.timestamp() - utc_ms / 1000) / 86400
    if begins.timestamp() > utc_ms / 1000:
        return bad(check, name, f"valid only from {begins:%Y-%m-%d}", "see the clock")
    if left < 0:
        return bad(
            check, name, f"ended on {ends:%Y-%m-%d}", "ask the cluster for a new one: nothing is delivered now"
        )
    if left < SOON_DAYS:
        return care(check, name, f"{words}: {left:.0f} days", "ask the cluster for a new one")
    return good(check, name, words)


def broker(cluster: ClusterSpec, utc_ms: int | None) -> Iterator[Fact]:
    """Reach the broker and make the TLS handshake; the running gateway's session is left alone."""
    where = f"{cluster.host}:{cluster.port}"
    try:
        plain = socket.create_connection((cluster.host, cluster.port), CONNECT_S)
    except OSError as error:
        words = f"{where} is not reached ({error.strerror or error})"
        yield bad("broker", "Broker", words, "see the network, the name and the firewall; records wait on the disk")
        return
    with plain:
        if cluster.ca is None:
            yield care("broker", "Broker", f"{where} answers, without TLS", "use mqtts:// outside of trials")
            return
        yield from _handshake(cluster, plain, where, utc_ms)


def _handshake(cluster: ClusterSpec, plain: socket.socket, where: str, utc_ms: int | None) -> Iterator[Fact]:
    from gateway.mqtt import Endpoint

    endpoint = Endpoint(
        host=cluster.host, port=cluster.port, client="doctor", ca=cluster.ca,
        certificate=cluster.certificate, key=cluster.key,
    )  # fmt: skip
    try:
        context = endpoint.tls()
        assert context is not None
    except OSError as error:
        words = f"certificate and key cannot be used ({getattr(error, 'reason', None) or error})"
        yield bad("tls", "TLS", words, "see that certificate, key and ca belong together")
        return
    try:
        with context.wrap_socket(plain, server_hostname=cluster.host) as secure:
            theirs = secure.getpeercert(binary_form=True)
            secure.settimeout(VERDICT_S)
            refused = _refused(secure)
    except ssl.SSLCertVerificationError as error:
        words = f"{where} is not trusted: {error.verify_message}"
        yield bad("tls", "TLS", words, "see the name in broker, the ca file, and the clock")
        return
    except OSError as error:
        words = f"{where}: no TLS ({getattr(error, 'reason', None) or error.strerror or error})"
        yield bad("tls", "TLS", words, "see the port: 8883 is for TLS, 1883 is not")
        return
    if refused:
        words = f"{where} refuses this gateway's certificate ({refused})"
        yield bad("tls", "TLS", words, "ask the cluster whether it is enrolled and its certificate is theirs")
        return
    yield good("broker", "Broker", f"{where} answers, with TLS")
    if theirs is not None:
        yield dated("broker-certificate", "Broker's certificate", x509.load_der_x509_certificate(theirs), utc_ms)


def _refused(secure: ssl.SSLSocket) -> str:
    """What the server has against us; it says nothing before it was spoken to when all is well."""
    try:
        return "" if secure.recv(1) else "the connection was closed"
    except TimeoutError:
        return ""
    except OSError as error:
        return str(getattr(error, "reason", None) or error.strerror or error)
