"""Certificates and keys that come with a set-up: taken only when they are what they should be."""

from enum import Enum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import OperatorError, SealError
from gateway.mqtt import NEXT_SUFFIX
from gateway.seal.cose import PublicKey
from gateway.setup.place import Place

__all__ = ["Kind", "belong", "checked", "checked_file", "fits", "make_request"]

LARGEST: Final = 64 * 1024
KEY, REQUEST, CERTIFICATE = "broker.key", "broker.csr", "broker.pem"
NEXT_KEY: Final = KEY + NEXT_SUFFIX
LONGEST_NAME: Final = 64
"""Characters of a common name (RFC 5280); the cluster writes the right one into the certificate anyway."""


class Kind(Enum):
    """What a PEM file may hold."""

    PUBLIC_KEY = "a public key (Ed25519 or P-256) in PEM form"
    CERTIFICATE = "a certificate in PEM form"
    PRIVATE_KEY = "an unencrypted private key in PEM form"


def checked_file(path: Path, kind: Kind) -> bytes:
    """The content of a file; raises `OperatorError` when it is not of that kind."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be read ({error.strerror})", "see its name, and whether the stick is in"
        ) from error
    return checked(content, kind, str(path))


def checked(content: bytes, kind: Kind, name: str) -> bytes:
    """The same bytes; raises `OperatorError` when they are not of that kind."""
    try:
        if len(content) > LARGEST:
            raise ValueError
        if kind is Kind.PUBLIC_KEY:
            PublicKey.from_pem(content)
        elif kind is Kind.CERTIFICATE:
            x509.load_pem_x509_certificates(content)
        else:
            serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, SealError) as error:
        raise OperatorError(f"{name} is not {kind.value}", "see whether it is the right file") from error
    return content


def make_request(place: Place, client: str, *, following: bool = False) -> bool:
    """Have a private key for the broker that never leaves this box, and a request for a certificate with the
    common name ``client``; False when there is a key already.

    ``following`` has a successor made beside a key that is there, which goes on until its certificate has come.
    """
    name = NEXT_KEY if following else KEY
    there = place.read(name)
    if there is not None and (not following or _asks(place.read(REQUEST), there)):
        return False
    # A successor without its request was cut off between the two.
    key = _p256(there) if there is not None else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, client[:LONGEST_NAME])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The key first: a request without its key would be answered for nothing.
    if there is None:
        place.write(name, private)
    place.write(REQUEST, request.public_bytes(serialization.Encoding.PEM), replace=True)
    return True


def fits(place: Place, key_name: str = KEY) -> bool | None:
    """Whether certificate and key belong together; None while one of them is not there."""
    certificate, key = place.read(CERTIFICATE), place.read(key_name)
    return None if certificate is None or key is None else belong(certificate, key)


def belong(certificate: bytes, key: bytes) -> bool:
    """Whether a certificate is for a key, both in PEM form."""
    kept = serialization.load_pem_private_key(key, password=None).public_key()
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    theirs = x509.load_pem_x509_certificates(certificate)[0].public_key()
    return kept.public_bytes(*form) == theirs.public_bytes(*form)


def _p256(key: bytes) -> ec.EllipticCurvePrivateKey:
    found = serialization.load_pem_private_key(key, password=None)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise OperatorError(f"{NEXT_KEY} is not of the curve P-256", f"remove {NEXT_KEY}, and run setup again")
    return found


def _asks(request: bytes | None, key: bytes) -> bool:
    """Whether a request is by this key."""
    if request is None:
        return False
    try:
        return x509.load_pem_x509_csr(request).public_key() == _p256(key).public_key()
    except ValueError:
        return False
