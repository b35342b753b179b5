"""The authority that certifies gateways: the cluster's own, whose key lies here, or another one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.cluster.identity.certificates import (
    Issuer,
    Revoked,
    authority_certificate,
    client_certificate,
    new_key,
    pem,
    private_pem,
    revocation_list,
    self_issuer,
    server_certificate,
)
from gateway.errors import OperatorError, SealError
from gateway.seal.keys import FILE, read_private, write_private
from gateway.wholefile import write_whole

__all__ = ["Authority", "checked_certificate", "put", "until_ms"]

KEY_FILE = "ca.key"
CERTIFICATE_FILE = "ca.pem"
LIFE = timedelta(days=3650)
LIST_LIFE = timedelta(days=90)
"""The broker refuses everybody when its list is older than this: it is renewed daily (`aurora-cluster crl`)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority of this cluster. ``key`` is None where another one signs."""

    certificate: x509.Certificate
    pem: bytes
    """All certificates of the file: a gateway's broker may be certified by another authority of the bundle."""
    key: ec.EllipticCurvePrivateKey | None

    @classmethod
    def create(cls, folder: Path, name: str, now_ms: int) -> "Authority":
        """Make the cluster's own authority; raises `OperatorError` where there is one already."""
        if (folder / CERTIFICATE_FILE).exists() or (folder / KEY_FILE).exists():
            raise OperatorError(f"{folder} has an authority already", "it is never overwritten")
        key = new_key()
        certificate = authority_certificate(self_issuer(name, key), when(now_ms), LIFE)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_private(folder / KEY_FILE, private_pem(key))
        except SealError as error:
            raise OperatorError(error.what, "give another folder with --data") from error
        put(folder / CERTIFICATE_FILE, pem(certificate))
        return cls(certificate, pem(certificate), key)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """The authority of a folder; raises `OperatorError`."""
        path = folder / CERTIFICATE_FILE
        try:
            content = path.read_bytes()
            certificate = x509.load_pem_x509_certificates(content)[0]
        except FileNotFoundError as error:
            remedy = (
                f"aurora-cluster ca new, or put the certificate of another authority there as {CERTIFICATE_FILE}"
            )
            raise OperatorError(f"there is no authority in {folder}", remedy) from error
        except (OSError, ValueError) as error:
            raise OperatorError(f"{path} is no certificate ({error})", "put the authority's there") from error
        key = _load_key(folder / KEY_FILE)
        if key is not None and key.public_key() != certificate.public_key():
            raise OperatorError(f"{folder / KEY_FILE} is not the key of {path}", "put the right one there")
        return cls(certificate, content, key)

    @property
    def issuer(self) -> Issuer:
        """Who signs; raises `OperatorError` when the key lies elsewhere."""
        if self.key is None:
            raise OperatorError(
                "the authority's key is not here", "have the other authority sign, and give its answer"
            )
        return Issuer(self.certificate.subject, self.key)

    def client(self, name: str, key: ec.EllipticCurvePublicKey, now_ms: int, life: timedelta) -> x509.Certificate:
        """A certificate for an MQTT client; raises `OperatorError`."""
        return client_certificate(self.issuer, name, key, when(now_ms), self._within(now_ms, life))

    def server(
        self, hosts: list[str], key: ec.EllipticCurvePublicKey, now_ms: int, life: timedelta
    ) -> x509.Certificate:
        """A certificate for a broker; raises `OperatorError`."""
        return server_certificate(self.issuer, hosts, key, when(now_ms), self._within(now_ms, life))

    def revocation_list(self, revoked: Iterable[Revoked], now_ms: int) -> bytes:
        """The list in PEM form; its number rises with time (RFC 5280, 5.2.3)."""
        made = revocation_list(self.issuer, revoked, number=now_ms, now=when(now_ms), life=LIST_LIFE)
        return pem(made)

    def _within(self, now_ms: int, life: timedelta) -> timedelta:
        """Nothing that an authority signs is good for longer than itself."""
        left = self.certificate.not_valid_after_utc - when(now_ms)
        if left < timedelta(days=1):
            raise OperatorError("the authority's certificate has ended", "begin a new authority beside it")
        return min(life, left)


def checked_certificate(content: bytes, authority: Authority, client: str, key: ec.EllipticCurvePublicKey) -> str:
    """The PEM text of a certificate that another authority made; raises `OperatorError` that says what is wrong."""
    try:
        certificate = x509.load_pem_x509_certificate(content)
        certificate.verify_directly_issued_by(authority.certificate)
    except InvalidSignature as error:
        raise OperatorError("the certificate is not signed by the authority of this cluster", _ASK) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"not a certificate by the authority of this cluster ({error})", _ASK) from error
    names = [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [client]:
        raise OperatorError(f"the certificate is for {names}, not for {client!r}", _ASK)
    if certificate.public_key() != key:
        raise OperatorError("the certificate is for another key than the request", _ASK)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.ca:
            raise OperatorError("the certificate makes the gateway an authority", _ASK)
    except x509.ExtensionNotFound:
        pass
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
            raise OperatorError("the certificate is not for TLS clients", _ASK)
    except x509.ExtensionNotFound:
        pass
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


_ASK = "ask the other authority for one that follows the request"


def until_ms(certificate: x509.Certificate) -> int:
    """The end of a certificate's life, Unix milliseconds."""
    return int(certificate.not_valid_after_utc.timestamp() * 1000)


def when(now_ms: int) -> datetime:
    """Unix milliseconds as X.509 writes a time: whole seconds, UTC."""
    return datetime.fromtimestamp(now_ms // 1000, UTC)


def put(path: Path, content: bytes) -> None:
    """Put a file that everybody may read in the place of another one; raises `OperatorError`."""
    try:
        write_whole(path, content, 0o644)
    except OSError as error:
        raise OperatorError(f"{path} cannot be written ({error.strerror})", "look at the folder's mode") from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    if not path.exists():
        return None
    try:
        key = serialization.load_pem_private_key(read_private(path, FILE), password=None)
    except SealError as error:
        raise OperatorError(error.what, "mend it before anything is signed") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"{path} is no unencrypted private key", "put the authority's there") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OperatorError(f"{path} is not of the curve P-256", "the cluster's own authority uses P-256")
    return key
