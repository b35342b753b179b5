"""A certificate that the gateway makes for its own page, for sites that have no certificate authority."""

import datetime as dt
import ipaddress
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import AuroraError

__all__ = ["fingerprint_of", "own_certificate"]

log = logging.getLogger(__name__)

CERTIFICATE, KEY = "page.pem", "page.key"
BEGIN, END = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2046, 1, 1, tzinfo=dt.UTC)
"""The clock may not know the time when this is made, so it holds for as long as the box may hang there."""


def own_certificate(data_dir: Path, names: Iterable[str]) -> tuple[Path, Path]:
    """The files of the certificate and of its key, made where there are none; its fingerprint is logged.

    Raises `AuroraError` where they can be neither read nor written.
    """
    certificate, key = data_dir / CERTIFICATE, data_dir / KEY
    try:
        if not (certificate.exists() and key.exists()):
            _make(certificate, key, sorted(names))
        shown = fingerprint_of(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise AuroraError(
            f"{certificate} cannot be used ({error}); remove it and {key} to have both made anew"
        ) from error
    log.warning("the page's certificate has the SHA-256 fingerprint %s", shown)
    return certificate, key


def fingerprint_of(pem: bytes) -> str:
    """SHA-256 of a PEM certificate, as browsers show it. Raises ValueError for what is none."""
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def _make(certificate: Path, key: Path, names: list[str]) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Aurora Gateway")])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names if name.isascii()]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
