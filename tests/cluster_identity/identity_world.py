"""A gateway that asks, a cluster's desk, and a broker that knows nothing but the cluster's authority."""

import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path

from cluster_world import ROOT, Broker, free_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.cluster.database import Database
from gateway.cluster.identity.authority import Authority
from gateway.cluster.identity.certificates import new_key, pem, private_pem
from gateway.cluster.identity.rows import Staff
from gateway.mqtt import Endpoint
from gateway.seal.keys import FileSigner
from gateway.seal.request import write_request
from gateway.site import Identity

NOW_MS = 1_795_360_000_000
DAY_MS = 86_400_000
IDENTITY = Identity(member="dairy", site="north", gateway="gw-1")
OTHER = Identity(member="bakery", site="south", gateway="gw-9")


def csr(key: ec.EllipticCurvePrivateKey, name: str = "whatever") -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


class Asking:
    """A gateway with its two keys."""

    def __init__(self, folder: Path, identity: Identity | None = IDENTITY) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.identity = identity
        self.signer = FileSigner.create(folder / "gateway.key")
        self.tls = new_key()
        self.serial = 1

    @property
    def names(self) -> dict[str, str]:
        one = self.identity
        return {} if one is None else {"member": one.member, "site": one.site, "gateway": one.gateway}

    def request(self) -> bytes:
        return write_request(self.signer, csr=csr(self.tls), names=self.names, serial=self.serial)

    def renew(self) -> bytes:
        self.tls, self.serial = new_key(), self.serial + 1
        return self.request()

    def endpoint(self, port: int, ca: Path, certificate: bytes, client: str = IDENTITY.client) -> Endpoint:
        """How it calls the broker once it has a certificate."""
        (self.folder / "broker.pem").write_bytes(certificate)
        (self.folder / "broker.key").write_bytes(private_pem(self.tls))
        return Endpoint(
            host="127.0.0.1",
            port=port,
            client=client,
            ca=ca,
            certificate=self.folder / "broker.pem",
            key=self.folder / "broker.key",
        )


class Desk:
    """Staff of a cluster, with an authority and a store."""

    def __init__(self, folder: Path, database: Database, now_ms: int = NOW_MS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database = database
        self.now_ms = now_ms
        self.signer = FileSigner.create(folder / "cluster.key")
        self.authority = Authority.create(folder, "Test authority", now_ms)

    def staff(self, person: str = "eva", later_ms: int = 0) -> Staff:
        return Staff(person, self.now_ms + later_ms, self.signer)

    async def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        async with self.database.transaction(write=False) as work:
            return [tuple(row) for row in await work.fetch(sql, *values)]

    async def deeds(self) -> list[tuple[str, str, dict[str, object]]]:
        rows = await self.rows("SELECT person, what, data FROM deed ORDER BY id")
        return [(str(person), str(what), json.loads(str(data))) for person, what, data in rows]

    async def version(self, client: str = IDENTITY.client) -> int:
        rows = await self.rows("SELECT version FROM gateway WHERE client = $1", client)
        return int(str(rows[0][0]))

    def holder(self, name: str) -> Endpoint:
        """A receiver or another client with a certificate of this authority; the port is filled in later."""
        key = new_key()
        made = self.authority.client(name, key.public_key(), self.now_ms, timedelta(days=30))
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(pem(made))
        private.write_bytes(private_pem(key))
        ca = self.folder / "ca.pem"
        return Endpoint(host="127.0.0.1", port=0, client=name, ca=ca, certificate=certificate, key=private)


class OurBroker(Broker):
    """Mosquitto with the shipped configuration, certificates of the desk's authority, and its revocation list."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        key = new_key()
        hosts = ["localhost", "127.0.0.1"]
        made = desk.authority.server(hosts, key.public_key(), desk.now_ms, timedelta(days=30))
        (desk.folder / "server.pem").write_bytes(pem(made))
        (desk.folder / "server.key").write_bytes(private_pem(key))
        self.crl = folder / "revoked.pem"
        self.port = free_port()
        self.log = folder / "broker.log"
        self.ca = desk.folder / "ca.pem"
        self.process: subprocess.Popen[bytes] | None = None
        self.write_config(folder, self.ca, desk.folder / "server.pem", desk.folder / "server.key")

    def write_config(self, folder: Path, ca: Path, certificate: Path, key: Path) -> None:
        """The shipped files with these paths in them."""
        shipped = (ROOT / "docs/mosquitto/aurora.conf").read_text(encoding="utf-8")
        rules = (ROOT / "docs/mosquitto/aurora.acl").read_text(encoding="utf-8")
        (folder / "aurora.acl").write_text(rules)
        replaced = {
            "listener": f"{self.port} 127.0.0.1",
            "cafile": ca,
            "certfile": certificate,
            "keyfile": key,
            "crlfile": self.crl,
            "acl_file": folder / "aurora.acl",
        }
        for name, value in replaced.items():
            shipped, count = re.subn(rf"(?m)^(# )?{name} .*$", f"{name} {value}", shipped)
            assert count == 1, name
        self.config = folder / "broker.conf"
        self.config.write_text(shipped + "\nuser root\n")

    @property
    def reload(self) -> list[str]:
        """The command with which it reads its files again."""
        assert self.process is not None
        return ["kill", "-HUP", str(self.process.pid)]
