"""A certificate authority for demonstrations and tests: one CA, and certificates for broker, gateways and receiver.

Not for a plant: keys lie unencrypted in one folder and everything expires after a month. The common name of a
client certificate is its MQTT user name and client id (for a gateway `Identity.client`). The authority of a
cluster is `gateway.cluster.identity`, which makes the same certificates.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.cluster.identity.certificates import (
    authority_certificate,
    client_certificate,
    new_key,
    pem,
    private_pem,
    self_issuer,
    server_certificate,
)

LIFE = timedelta(days=30)


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
        self._key = new_key()
        self.issuer = self_issuer("Aurora demo CA", self._key)
        self.ca.write_bytes(pem(authority_certificate(self.issuer, now, LIFE)))

    def server(self, name: str) -> Certificate:
        """A certificate for a broker on this machine (127.0.0.1, ::1, localhost)."""
        key = new_key()
        hosts = ("localhost", "127.0.0.1", "::1")
        return self._write(name, key, server_certificate(self.issuer, hosts, key.public_key(), self.now, LIFE))

    def client(self, name: str) -> Certificate:
        """A certificate for a gateway or a receiver with this common name."""
        key = new_key()
        return self._write(name, key, client_certificate(self.issuer, name, key.public_key(), self.now, LIFE))

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Certificate:
        paths = Certificate(self.ca, self.folder / f"{name}.pem", self.folder / f"{name}.key")
        paths.certificate.write_bytes(pem(certificate))
        paths.key.touch(mode=0o600)
        paths.key.write_bytes(private_pem(key))
        return paths
