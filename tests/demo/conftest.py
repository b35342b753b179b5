"""Certificates made for one test run, and processes that are always ended."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from demo_tools import Pki, Start, environment


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a Python module as a process of its own; every process is ended with the test."""
    running: list[asyncio.subprocess.Process] = []

    async def begin(module: str, *words: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *words, env=environment(), stdout=asyncio.subprocess.PIPE
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def certificate(
    name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer_name, signer_key = issuer or (subject, key)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
    )
    return builder.sign(signer_key, hashes.SHA256()), key


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """An authority, a broker, two members' gateways, the cluster's receiver, and a stranger's certificate."""
    folder = tmp_path_factory.mktemp("pki")
    authority, authority_key = certificate("authority", None)
    stranger, stranger_key = certificate("stranger", None)
    names: dict[str, tuple[x509.Certificate, ec.EllipticCurvePrivateKey]] = {
        "ca": (authority, authority_key),
        "stranger": (stranger, stranger_key),
    }
    for name in ("broker", "dairy.gw1", "butcher.gw1", "cluster"):
        names[name] = certificate(name, (authority.subject, authority_key))
    for name, (cert, key) in names.items():
        (folder / f"{name}.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return Pki(folder)
