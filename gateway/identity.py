"""Who this gateway is: its signing key, its registration, and the file with which the cluster enrols it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.errors import StorageError
from gateway.seal.batch import registration_payload
from gateway.seal.keys import FileSigner, load_or_create
from gateway.site import Site

__all__ = ["OpenIdentity", "enrolment", "key_directory", "open_identity"]


@dataclass(frozen=True, slots=True)
class OpenIdentity:
    """The key in use and the payload of leaf 0 of each stream."""

    signer: FileSigner
    registration: bytes


def key_directory(site: Site) -> Path:
    """Where the key file lies; made if missing, readable for the gateway's user alone."""
    directory = site.data_dir / "keys"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{directory} cannot be made ({error.strerror})",
            "choose another data_dir in [gateway], or give the gateway's user the right to write there",
        ) from error
    return directory


def open_identity(site: Site) -> OpenIdentity:
    """Load the key, or make it at the first start."""
    signer = load_or_create(key_directory(site))
    registration = registration_payload(
        signer.public,
        site.identity,
        config_digest=bytes.fromhex(site.digest),
        storage=signer.storage,
        software=f"aurora-gateway {__version__}",
    )
    return OpenIdentity(signer, registration)


def enrolment(site: Site, signer: FileSigner) -> dict[str, Any]:
    """What the cluster needs to know this gateway by: nothing in it is secret."""
    identity = site.identity
    return {
        "member": identity.member,
        "site": identity.site,
        "gateway": identity.gateway,
        "public_key_pem": signer.public.pem().decode(),
        "thumbprint": signer.thumbprint.hex(),
    }


def enrolment_text(site: Site, signer: FileSigner) -> str:
    """The enrolment as an indented JSON document."""
    return json.dumps(enrolment(site, signer), indent=2) + "\n"
