"""Where the signing key lives: a PEM file that only the gateway's user reads, or a systemd credential.

Change of key, safe at every moment against a power cut: `begin_rotation` writes the new key beside the old one;
the caller seals the event ``key.rotated`` with the old key; `finish_rotation` puts the new key in the old one's
place. After a start, `load_in_force` chooses by what the journal says, so it does not matter where it stopped.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.cose import ED25519, ESP256, PublicKey, low_s

KEY_NAME = "aurora-gateway.key"
NEXT_SUFFIX = ".next"
FILE = "file"
CREDENTIAL = "systemd-credential"
MAX_KEY_FILE = 16 * 1024


class Signer(Protocol):
    """A private key in some store. ``alg`` is the COSE algorithm, ``storage`` says where the key is kept."""

    @property
    def alg(self) -> int:
        """COSE algorithm: -19 Ed25519 or -9 ESP256."""

    @property
    def thumbprint(self) -> bytes:
        """COSE Key Thumbprint, 32 bytes."""

    @property
    def public(self) -> PublicKey:
        """The public half."""

    @property
    def storage(self) -> str:
        """Where the key is kept, in the words of the registration: ``file``, ``systemd-credential``."""

    def sign(self, data: bytes) -> bytes:
        """Signature of 64 bytes; for ESP256 raw r and s, s in the lower half of the order."""


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A private key read from a file."""

    path: Path
    storage: str
    public: PublicKey
    _key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    @classmethod
    def create(cls, path: Path, alg: int = ED25519) -> "FileSigner":
        """Make a key and write it, durably and never over another file; raises `SealError` ``bad-key``."""
        key = _generate(alg)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(path, pem)
        return cls(path, FILE, PublicKey.of(key.public_key()), key)

    @classmethod
    def load(cls, path: Path, storage: str = FILE) -> "FileSigner":
        """Read a key that nobody else can read; raises `SealError` ``bad-key`` or ``key-exposed``."""
        pem = read_private(path, storage)
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SealError("bad-key", f"{path} holds no unencrypted private key in PEM form") from error
        if not isinstance(key, Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise SealError("bad-key", f"{path} is neither Ed25519 nor P-256, but {type(key).__name__}")
        return cls(path, storage, PublicKey.of(key.public_key()), key)

    @property
    def alg(self) -> int:
        """COSE algorithm: -19 Ed25519 or -9 ESP256."""
        return self.public.alg

    @property
    def thumbprint(self) -> bytes:
        """COSE Key Thumbprint, 32 bytes."""
        return self.public.thumbprint

    def sign(self, data: bytes) -> bytes:
        """Signature of 64 bytes; for ESP256 raw r and s, s in the lower half of the order."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return low_s(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of key that has begun: ``old`` is to sign an event of kind ``key.rotated`` with ``data``."""

    old: FileSigner
    new: FileSigner

    @property
    def data(self) -> dict[str, Any]:
        """Data of the event: both thumbprints, the new public key (CBOR of its COSE_Key) and its storage."""
        return {
            "old": self.old.thumbprint,
            "new": self.new.thumbprint,
            "key": cbor.dumps(self.new.public.cose()),
            "storage": self.new.storage,
        }


def rotated_key(data: Mapping[str, Any]) -> PublicKey:
    """The public key that the data of a ``key.rotated`` event names; raises `SealError` ``bad-key``."""
    encoded = data.get("key")
    if not isinstance(encoded, bytes):
        raise SealError("bad-key", "the event names no key")
    key = PublicKey.from_cose(cbor.loads(encoded, "bad-key"))
    if data.get("new") != key.thumbprint:
        raise SealError("bad-key", "the event's thumbprint is not that of its key")
    return key


def load_or_create(directory: Path, environ: Mapping[str, str] = os.environ) -> FileSigner:
    """The gateway's key: the systemd credential when there is one, else the file in ``directory``, made if missing.

    A credential is ``$CREDENTIALS_DIRECTORY/aurora-gateway.key`` (``LoadCredentialEncrypted=`` in the unit).
    """
    path, storage = _place(directory, environ)
    if storage == CREDENTIAL or path.exists():
        return FileSigner.load(path, storage)
    return FileSigner.create(path)


def load_in_force(directory: Path, thumbprint: bytes, environ: Mapping[str, str] = os.environ) -> FileSigner:
    """The key that the journal names as in force, finishing a rotation whose event has been sealed.

    ``thumbprint`` is that of the newest ``key.rotated`` event, or of the registration when there is none.
    Raises `SealError` ``wrong-key`` when neither the key nor its successor is that one.
    """
    path, storage = _place(directory, environ)
    signer = FileSigner.load(path, storage)
    if signer.thumbprint == thumbprint:
        return signer
    successor = _successor(path)
    if successor.exists():
        rotation = Rotation(signer, FileSigner.load(successor, storage))
        if rotation.new.thumbprint == thumbprint:
            return finish_rotation(rotation)
    raise SealError(
        "wrong-key",
        f"{path} is not key {thumbprint.hex()[:16]}, with which the journal goes on; restore that key, "
        "or register the gateway anew",
    )


def begin_rotation(old: FileSigner, alg: int = ED25519) -> Rotation:
    """Have a successor beside the key: the one that is there already, or a new one.

    A successor of a systemd credential has to be provided by the operator; without it `SealError` ``bad-key``.
    """
    path = _successor(old.path)
    if path.exists():
        return Rotation(old, FileSigner.load(path, old.storage))
    if old.storage == CREDENTIAL:
        raise SealError("bad-key", f"no credential {path.name}; add it with LoadCredentialEncrypted= and restart")
    return Rotation(old, FileSigner.create(path, alg))


def finish_rotation(rotation: Rotation) -> FileSigner:
    """Put the new key in the old one's place, once the event is sealed; returns the signer to go on with.

    Credentials are read-only and stay as they are until the operator exchanges them.
    """
    new = rotation.new
    if new.storage == CREDENTIAL:
        return new
    new.path.replace(rotation.old.path)
    _sync_directory(rotation.old.path.parent)
    return FileSigner.load(rotation.old.path, new.storage)


def _place(directory: Path, environ: Mapping[str, str]) -> tuple[Path, str]:
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / KEY_NAME).exists():
        return Path(credentials) / KEY_NAME, CREDENTIAL
    return directory / KEY_NAME, FILE


def _successor(path: Path) -> Path:
    return path.with_name(path.name + NEXT_SUFFIX)


def _generate(alg: int) -> Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    if alg == ED25519:
        return Ed25519PrivateKey.generate()
    if alg == ESP256:
        return ec.generate_private_key(ec.SECP256R1())
    raise SealError("wrong-algorithm", f"algorithm {alg}; known are {ED25519} and {ESP256}")


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that is whole or not there, and that was not there before."""
    draft = path.with_name(f"{path.name}.{token_hex(4)}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(draft)
        finally:
            draft.unlink()
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise SealError("bad-key", f"{path} exists already; a key is never overwritten") from error
    except OSError as error:
        raise SealError("bad-key", f"{path} cannot be written ({error.strerror})") from error


def read_private(path: Path, storage: str) -> bytes:
    # systemd grants a credential by an access list, whose mask shows in the group bits.
    forbidden = stat.S_IRWXO if storage == CREDENTIAL else stat.S_IRWXG | stat.S_IRWXO
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & forbidden:
                raise SealError(
                    "key-exposed",
                    f"{path} can be used by others (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}, "
                    "and change the key if it may have been read",
                )
            return file.read(MAX_KEY_FILE)
    except OSError as error:
        raise SealError("bad-key", f"{path} cannot be read ({error.strerror})") from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
