"""The running gateway's certificate before it ends: asked for over the line, and exchanged without ending it."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from gateway.errors import OperatorError, SealError
from gateway.seal.keys import FileSigner
from gateway.seal.setupfile import read_setup
from gateway.setup.asking import KEPT, ask
from gateway.setup.files import CERTIFICATE, KEY, Kind, checked, make_request
from gateway.setup.place import Place
from gateway.setup.renew import check_certificate, exchange
from gateway.site import Site

__all__ = ["Recertifier"]

log = logging.getLogger(__name__)

EARLIEST: Final = timedelta(days=60)
SERIAL: Final = "serial"


class Recertifier:
    """Asks when a third of the certificate's life is left (60 days at most), for pairs that `setup` has made.

    ``trusted`` is the thumbprint of the cluster's key, ``utc_ms`` the time, None while it is not known. Methods
    read and write files, and are meant for a thread.
    """

    def __init__(
        self, site: Site, signer: Callable[[], FileSigner], trusted: bytes, *, utc_ms: Callable[[], int | None]
    ) -> None:
        self._identity = site.identity
        self._place = Place(Path(site.source).parent)
        self._signer = signer
        self._trusted = trusted
        self._utc_ms = utc_ms
        cluster = site.cluster
        ours = self._place.folder / CERTIFICATE, self._place.folder / KEY
        self._possible = cluster is not None and (cluster.certificate, cluster.key) == ours
        self._said = ""

    def request(self) -> bytes | None:
        """The request to send now; None while there is no need, or no way."""
        try:
            if not self._possible or not self._due():
                return None
            make_request(self._place, self._identity.client, following=True)
            ask(self._place, self._signer(), self._identity)
            return self._place.read(KEPT)
        except (OperatorError, SealError) as error:
            if str(error) != self._said:
                self._said = str(error)
                log.warning("no new certificate can be asked for: %s", error)
            return None

    def take(self, answer: bytes) -> None:
        """Put an answer of the cluster in place; raises `SealError` for one that is not to be believed."""
        place, memory = self._place, self._place.memory()
        before = memory.get(SERIAL, 0)
        found = read_setup(
            answer,
            trusted=self._trusted,
            box=self._signer().thumbprint,
            last_serial=before if isinstance(before, int) else 0,
        )
        certificate = found.files.get(CERTIFICATE)
        if certificate is None or found.answers or not self._possible:
            raise SealError("bad-setup", "not a certificate alone")
        try:
            checked(certificate, Kind.CERTIFICATE, CERTIFICATE)
            check_certificate(place, certificate, self._identity.client)
            exchange(place, certificate)
            place.remember({**memory, SERIAL: found.serial})
        except OperatorError as error:
            raise SealError("bad-certificate", error.what) from error
        log.info("a new certificate has come; it is used from the next connection on")

    def _due(self) -> bool:
        now_ms, content = self._utc_ms(), self._place.read(CERTIFICATE)
        if now_ms is None or content is None:
            return False
        try:
            certificate = x509.load_pem_x509_certificates(content)[0]
        except ValueError:
            return False
        ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        left = timedelta(seconds=ends.timestamp() - now_ms / 1000)
        return left < min((ends - begins) / 3, EARLIEST)
