"""X.509 as the cluster uses it (RFC 5280): one authority, certificates for clients and brokers, a revocation list.

P-256 and SHA-256 throughout, which every TLS 1.2 and 1.3 library speaks. All times are given, none is read.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import OperatorError

__all__ = [
    "LONGEST_NAME",
    "Issuer",
    "Revoked",
    "authority_certificate",
    "client_certificate",
    "new_key",
    "pem",
    "private_pem",
    "revocation_list",
    "self_issuer",
    "server_certificate",
]

SLACK = timedelta(hours=1)
"""How far the clock of the other side may be behind."""
LONGEST_NAME = 64
"""Characters of a common name (RFC 5280, appendix A: ub-common-name)."""


class Issuer(NamedTuple):
    """Who signs: the authority's subject and private key."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey


class Revoked(NamedTuple):
    """One line of a revocation list. ``serial`` is that of the certificate."""

    serial: int
    at_ms: int


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def self_issuer(name: str, key: ec.EllipticCurvePrivateKey) -> Issuer:
    """An authority that signs for itself."""
    return Issuer(_name(name), key)


def authority_certificate(issuer: Issuer, now: datetime, life: timedelta) -> x509.Certificate:
    """The authority's own certificate; nothing below it may be an authority."""
    return (
        _builder(issuer, issuer.name, issuer.key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .sign(issuer.key, hashes.SHA256())
    )


def client_certificate(
    issuer: Issuer, name: str, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.Certificate:
    """For a gateway, a receiver or staff; ``name`` becomes the MQTT user name and client id."""
    builder = _leaf(_builder(issuer, _name(name), key, now, life), ExtendedKeyUsageOID.CLIENT_AUTH)
    return builder.sign(issuer.key, hashes.SHA256())


def server_certificate(
    issuer: Issuer, hosts: Sequence[str], key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.Certificate:
    """For a broker that is reached by these names and addresses."""
    names = x509.SubjectAlternativeName([_host(host) for host in hosts])
    return (
        _leaf(_builder(issuer, _name(hosts[0]), key, now, life), ExtendedKeyUsageOID.SERVER_AUTH)
        .add_extension(names, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def revocation_list(
    issuer: Issuer, revoked: Iterable[Revoked], *, number: int, now: datetime, life: timedelta
) -> x509.CertificateRevocationList:
    """The list as it holds from ``now`` on; brokers refuse **everybody** once its life has ended."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.name)
        .last_update(now - SLACK)
        .next_update(now + life)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for one in revoked:
        when = datetime.fromtimestamp(one.at_ms / 1000, UTC)
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(when).build()
        )
    return builder.sign(issuer.key, hashes.SHA256())


def pem(what: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """In PEM form."""
    return what.public_bytes(serialization.Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key, unencrypted, in PKCS #8 and PEM form."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*form, serialization.NoEncryption())


def _leaf(builder: x509.CertificateBuilder, purpose: x509.ObjectIdentifier) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )


def _builder(
    issuer: Issuer, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )


def _name(name: str) -> x509.Name:
    if not 0 < len(name) <= LONGEST_NAME:
        raise OperatorError(
            f"{name!r} does not fit a certificate", f"a common name has 1 to {LONGEST_NAME} characters"
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise OperatorError(f"{host!r} is no host ({error})", "write a name or an address") from error


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
