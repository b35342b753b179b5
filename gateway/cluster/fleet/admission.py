"""Deciding requests and cutting gateways off, where the cluster's keys lie on the machine that serves the page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gateway.cluster.database import Database
from gateway.cluster.identity import keys, requests
from gateway.cluster.identity.authority import CERTIFICATE_FILE, Authority
from gateway.cluster.identity.requests import Approved
from gateway.cluster.identity.rows import Staff
from gateway.errors import OperatorError, SealError
from gateway.seal.keys import FileSigner
from gateway.seal.setupfile import write_setup

__all__ = ["Admission"]


@dataclass(frozen=True, slots=True)
class Admission:
    """``folder`` holds the cluster's key and its authority; where they lie elsewhere, nothing is admitted here."""

    database: Database
    folder: Path
    now_ms: Callable[[], int]
    key_file: str = "cluster.key"
    life: timedelta = requests.LIFE
    """Of a gateway's certificate."""

    @property
    def ready(self) -> bool:
        """Whether the keys are here. What is wrong with them is told by whoever needs them."""
        return (self.folder / self.key_file).exists() and (self.folder / CERTIFICATE_FILE).exists()

    async def approve(self, code: str, person: str) -> Approved:
        """Enrol and certify a gateway that has named itself; raises `OperatorError`."""
        return await requests.approve(
            self.database, code, self._staff(person), Authority.load(self.folder), life=self.life
        )

    async def refuse(self, code: str, person: str, why: str) -> None:
        """Turn a request down; raises `OperatorError`."""
        await requests.refuse(self.database, code, self._staff(person), _said(why))

    async def revoke(self, client: str, person: str, why: str) -> None:
        """Take nothing from a gateway any more; raises `OperatorError`.

        The broker learns of it by its list: ``aurora-cluster crl``.
        """
        await keys.revoke(self.database, client, self._staff(person), _said(why))

    async def answer(self, code: str) -> tuple[str, bytes]:
        """Name and content of the signed file that an approved gateway applies; raises `OperatorError`."""
        done = await requests.approved(self.database, code)
        files = {"ca.pem": Authority.load(self.folder).pem, "broker.pem": done.certificate}
        content = write_setup(self._signer(), box=done.thumbprint, serial=done.at_ms, answers={}, files=files)
        return f"aurora-setup-{done.thumbprint.hex()[:8]}.cose", content

    def _staff(self, person: str) -> Staff:
        return Staff(person, self.now_ms(), self._signer())

    def _signer(self) -> FileSigner:
        path = self.folder / self.key_file
        if not path.exists():
            raise OperatorError("the cluster's key is not on this machine", "use aurora-cluster where it is")
        try:
            return FileSigner.load(path)
        except SealError as error:
            raise OperatorError(
                f"the cluster's key cannot be used ({error.what})", "see the file's owner"
            ) from error


def _said(why: str) -> str:
    if not why:
        raise OperatorError("it is not said why", "write a reason: it stands in the record")
    return why[:500]
