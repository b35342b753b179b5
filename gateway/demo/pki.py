"""A certificate authority for demonstrations and tests: one CA, and certificates for broker, gateways and receiver.

Not for a plant: keys lie unencrypted in one folder and everything expires after a month. The common name of a
client certificate is its MQTT user name and client id (for a gateway `Identity.client`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=30)
SLACK = timedelta(hours=1)
"""How far the clock of the other side may be behind."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of one holder."""

    ca: Path
    certificate: Path
    key: Path


class Authority:
    """A CA in ``folder`` (made if missing); ``now`` is the UTC time at which its certificates begin."""

    def __init__(self, folder: Path, now: datetime) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.now = now
        self.ca = folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Aurora demo CA")])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str) -> Certificate:
        """A certificate for a broker on this machine (127.0.0.1, ::1, localhost)."""
        hosts: list[x509.GeneralName] = [x509.DNSName("localhost")]
        hosts += [x509.IPAddress(ip_address(address)) for address in ("127.0.0.1", "::1")]
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(hosts))

    def client(self, name: str) -> Certificate:
        """A certificate for a gateway or a receiver with this common name."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self, name: str, purpose: x509.ObjectIdentifier, alternative: x509.SubjectAlternativeName | None
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            self._builder(subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        paths = Certificate(self.ca, self.folder / f"{name}.pem", self.folder / f"{name}.key")
        certificate = builder.sign(self._key, hashes.SHA256())
        paths.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths.key.touch(mode=0o600)
        paths.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - SLACK)
            .not_valid_after(self.now + LIFE)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )


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
