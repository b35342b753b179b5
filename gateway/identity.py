"""Who this gateway is: its signing key, its registration, and the file with which the cluster enrols it."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.buffer.reader import Reader
from gateway.errors import AuroraError, SealError, StorageError
from gateway.seal.batch import registration_payload
from gateway.seal.cose import PublicKey
from gateway.seal.keys import FileSigner, load_in_force, load_or_create
from gateway.site import Site

__all__ = ["OpenIdentity", "enrolment", "key_directory", "open_identity", "public_keys"]


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
    """Load the key, or make it at the first start.

    A change of key that was cut off after its event had been sealed is finished here: the journal says which key
    is in force. Raises `SealError` when that key is not there any more.
    """
    directory = key_directory(site)
    signer = load_or_create(directory)
    in_force = _key_of_journal(site)
    if in_force is not None and in_force != signer.thumbprint:
        signer = load_in_force(directory, in_force)
    registration = registration_payload(
        signer.public,
        site.identity,
        config_digest=bytes.fromhex(site.digest),
        storage=signer.storage,
        software=f"aurora-gateway {__version__}",
    )
    return OpenIdentity(signer, registration)


def _key_of_journal(site: Site) -> bytes | None:
    """Thumbprint of the key that the journal goes on with; None without a journal, or with a damaged one."""
    path = site.data_dir / "journal.db"
    if not path.exists():
        return None
    with closing(Reader(path)) as reader:
        try:
            return reader.key_in_force()
        except StorageError:
            return None


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


def public_keys(paths: Sequence[Path]) -> list[PublicKey]:
    """Public keys of PEM files; raises `AuroraError` for one that cannot be read."""
    keys = []
    for path in paths:
        try:
            keys.append(PublicKey.from_pem(path.read_bytes()))
        except OSError as error:
            raise AuroraError(f"{path} cannot be read ({error.strerror})") from error
        except SealError as error:
            raise AuroraError(f"{path}: {error.what}") from error
    return keys
