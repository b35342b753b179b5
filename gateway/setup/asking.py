"""What the box asks its cluster for: a signed request for signing key and TLS key, and a code to compare."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.clock import wall_ms
from gateway.errors import OperatorError, SealError
from gateway.seal.cose import MessageSigner
from gateway.seal.request import NAMES, Request, read_request, write_request
from gateway.setup.files import REQUEST
from gateway.setup.place import Place
from gateway.site import Identity

__all__ = ["ask", "with_request"]

KEPT: Final = "request.cose"
SERIAL: Final = "request_serial"


def ask(place: Place, signer: MessageSigner, identity: Identity | None) -> Request | None:
    """The request for the certificate request that lies here; None where there is none.

    As long as keys and names are the same it is the same request, byte for byte, so that it can be handed over any
    number of times. A new one has a larger serial than all before it, whatever the clock says.
    """
    csr = place.read(REQUEST)
    if csr is None:
        return None
    names = {} if identity is None else {name: getattr(identity, name) for name in NAMES}
    try:
        der = x509.load_pem_x509_csr(csr).public_bytes(serialization.Encoding.DER)
        kept = _kept(place)
        if kept is not None and kept.public == signer.public and kept.csr == der and kept.names == names:
            return kept
        memory = place.memory()
        before = memory.get(SERIAL, 0)
        serial = max(wall_ms(), (before if isinstance(before, int) else 0) + 1)
        made = write_request(signer, csr=der, names=names, serial=serial)
    except (ValueError, SealError) as error:
        raise OperatorError(
            f"{place.folder / REQUEST} cannot be asked with ({error})",
            "remove it and the key beside it, run setup again",
        ) from error
    place.remember({**memory, SERIAL: serial})
    place.write(KEPT, made, replace=True)
    return read_request(made)


def with_request(place: Place, content: Mapping[str, Any], request: Request | None) -> str:
    """A file for the cluster as JSON, with the signed request in it where there is one."""
    signed = place.read(KEPT) if request is not None else None
    extra = (
        {} if signed is None else {"request": b64encode(signed).decode(), "code": request.code if request else ""}
    )
    return json.dumps({**content, **extra}, indent=2) + "\n"


def _kept(place: Place) -> Request | None:
    """The request made before, where it is sound."""
    found = place.read(KEPT)
    try:
        return read_request(found) if found is not None else None
    except SealError:
        return None
