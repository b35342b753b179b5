"""A person at a terminal, a cluster with a certificate authority, and a stick between them."""

import os
import pty
import select
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway.clock import wall_ms
from gateway.demo.pki import Authority

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "gateway.cli", "setup"]


class Terminal:
    """`aurora-gateway setup` on a pseudo-terminal."""

    def __init__(self, *words: str | Path) -> None:
        self.shown = ""
        self._fd, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *map(str, words)],
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def expect(self, words: str, within_s: float = 30.0) -> None:
        """Wait until these words are shown, after those expected before."""
        end = time.monotonic() + within_s
        while (at := self.shown.find(words, self._seen)) < 0:
            assert time.monotonic() < end, f"not shown: {words!r}\n{self.shown}"
            self._read(0.1)
        self._seen = at + len(words)

    def answer(self, words: str, reply: str) -> None:
        self.expect(words)
        os.write(self._fd, f"{reply}\n".encode())

    def leave(self) -> None:
        """Ctrl-D."""
        os.write(self._fd, b"\x04")

    def end(self) -> int:
        """Read to the end; the exit status."""
        while self._read(1.0):
            pass
        return self.process.wait(30)

    def _read(self, wait_s: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], wait_s)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)


def setup(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        stdin=subprocess.DEVNULL,
    )


def cluster(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command, *rest = map(str, words)
    program = [sys.executable, "-m", "gateway.cluster.cli", command, "--data", str(folder), *rest]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def issue(authority: Authority, request: bytes, client: str, out: Path) -> None:
    """What the cluster's authority makes of a request: it chooses the name, and takes the key."""
    found = x509.load_pem_x509_csr(request)
    assert found.is_signature_valid
    other = authority.client(f"issuer-of-{client}")
    template = x509.load_pem_x509_certificate(other.certificate.read_bytes())
    now = datetime.fromtimestamp(wall_ms() / 1000, UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, client)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(template.issuer)
        .public_key(found.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(template.not_valid_after_utc)
        .sign(authority._key, hashes.SHA256())
    )
    out.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
