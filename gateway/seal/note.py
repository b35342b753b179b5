"""Signed notes: a text with signature lines under it, readable by people and by every transparency tool.

Source: C2SP signed-note (c2sp.org/signed-note) and, for the lines of witnesses, C2SP tlog-cosignature.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from gateway.errors import SealError
from gateway.seal.cose import ED25519, MessageSigner, PublicKey

__all__ = [
    "COSIGNATURE",
    "NOTE",
    "P256_COSIGNATURE",
    "Line",
    "Note",
    "NoteKey",
    "check_note_name",
    "cosignature_kind",
    "read_note",
    "unbase64",
]

NOTE = b"\x01"
"""Signature type of an Ed25519 signature over the text."""
COSIGNATURE = b"\x04"
"""Signature type of a witness's Ed25519 signature over time and text (``cosignature/v1``)."""
P256_COSIGNATURE = b"\xffaurora cosignature/v1 ESP256"
"""The same by a P-256 key, for which there is no number: 0xff and a name of our own; other tools pass over it."""

DASH = "\u2014 "
ID_BYTES = 4
MAX_NOTE = 256 * 1024
MAX_NAME = 256
_KIND = "bad-note"


class Line(NamedTuple):
    """One signature line: the key's name, its id of four bytes, and the signature."""

    name: str
    id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{DASH}{self.name} {b64encode(self.id + self.signature).decode()}\n"


class Note(NamedTuple):
    """A note taken apart. ``text`` ends in a newline; nothing of it counts before a line has been verified."""

    text: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"

    def signed_by(self, keys: Iterable["NoteKey"]) -> list["NoteKey"]:
        """Which of the keys signed it. Lines of other keys are passed over.

        Raises `SealError` ``bad-signature`` when the line of one of these keys does not hold.
        """
        known = {(key.name, key.id): key for key in keys}
        found = []
        for line in self.lines:
            key = known.get((line.name, line.id))
            if key is not None:
                key.verify(line.signature, self.text)
                found.append(key)
        return found


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key under a name and for one kind of signature: `NOTE`, `COSIGNATURE` or `P256_COSIGNATURE`."""

    name: str
    kind: bytes
    public: PublicKey

    @property
    def id(self) -> bytes:
        """SHA-256(name, newline, kind, key), its first four bytes."""
        return sha256(self.name.encode() + b"\n" + self.kind + _raw(self.public)).digest()[:ID_BYTES]

    def vkey(self) -> str:
        """The key as a text to give to others: ``name+id+base64(kind and key)``."""
        return f"{self.name}+{self.id.hex()}+{b64encode(self.kind + _raw(self.public)).decode()}"

    @classmethod
    def from_vkey(cls, text: str) -> "NoteKey":
        """The inverse of `vkey`; raises `SealError` ``bad-key``."""
        try:
            name, given, coded = text.strip().split("+", 2)
            data = unbase64(coded)
            check_note_name(name)
        except (ValueError, SealError) as error:
            raise SealError("bad-key", f"{text[:80]!r} is not name+id+key") from error
        kind = next((kind for kind in (NOTE, COSIGNATURE, P256_COSIGNATURE) if data.startswith(kind)), None)
        if kind is None:
            raise SealError("bad-key", "the kind of the key is not known here")
        key = cls(name, kind, _public(kind, data[len(kind) :]))
        if key.id.hex() != given:
            raise SealError("bad-key", f"the id is {given}, of this name and key it would be {key.id.hex()}")
        return key

    def verify(self, signature: bytes, text: str) -> None:
        """Check what stands in a line after the id; raises `SealError` ``bad-signature``."""
        if self.kind == NOTE:
            self.public.verify(signature, text.encode())
            return
        time_s, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        if time_s >= 1 << 63:
            raise SealError("bad-signature", f"time {time_s} s")
        self.public.verify(signature, cosigned(time_s, text))


def sign_line(text: str, name: str, signer: MessageSigner) -> Line:
    """The line of the one who issues a note; the key has to be Ed25519. Raises `SealError`."""
    check_note_name(name)
    if signer.public.alg != ED25519:
        raise SealError("wrong-algorithm", "a note is signed with an Ed25519 key")
    return Line(name, NoteKey(name, NOTE, signer.public).id, signer.sign(text.encode()))


def cosign_line(text: str, name: str, signer: MessageSigner, time_s: int) -> Line:
    """The line of a witness, which says when (Unix seconds) the text was the newest that it knew."""
    check_note_name(name)
    key = NoteKey(name, cosignature_kind(signer.public), signer.public)
    return Line(name, key.id, time_s.to_bytes(8, "big") + signer.sign(cosigned(time_s, text)))


def cosignature_kind(public: PublicKey) -> bytes:
    """Which kind of cosignature a key can make."""
    return COSIGNATURE if public.alg == ED25519 else P256_COSIGNATURE


def cosigned(time_s: int, text: str) -> bytes:
    """What a witness signs: a header, the time, the whole text."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def read_note(data: bytes, limit: int = MAX_NOTE) -> Note:
    """Take a note apart; raises `SealError` ``bad-note`` for anything that is not exactly one."""
    if len(data) > limit:
        raise SealError(_KIND, f"{len(data)} bytes, at most {limit} are read")
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        raise SealError(_KIND, "not in UTF-8") from error
    if any(sign < " " and sign != "\n" for sign in content):
        raise SealError(_KIND, "a control character")
    head, blank, tail = content.rpartition("\n\n")
    if not head or not blank or not tail.endswith("\n"):
        raise SealError(_KIND, "not a text, an empty line and signature lines")
    return Note(f"{head}\n", tuple(read_line(line) for line in tail[:-1].split("\n")))


def read_line(text: str) -> Line:
    """One signature line, without its newline; raises `SealError` ``bad-note``."""
    parts = text.removeprefix(DASH).split(" ")
    if not text.startswith(DASH) or len(parts) != 2:
        raise SealError(_KIND, "a signature line is not a dash, a name and a signature")
    check_note_name(parts[0])
    data = unbase64(parts[1])
    if len(data) <= ID_BYTES:
        raise SealError(_KIND, "a signature line without a signature")
    return Line(parts[0], data[:ID_BYTES], data[ID_BYTES:])


def check_note_name(name: str) -> None:
    """Raise `SealError` ``bad-note`` for what cannot be the name of a key or a log."""
    if not 0 < len(name) <= MAX_NAME or "+" in name or any(c.isspace() or not c.isprintable() for c in name):
        raise SealError(_KIND, f"{name[:80]!r} is no name of a key: no spaces, no +, 1 to {MAX_NAME} characters")


def unbase64(text: str) -> bytes:
    """Standard base64 in its one canonical form; raises `SealError` ``bad-note``."""
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise SealError(_KIND, "not base64") from error
    if b64encode(data).decode() != text:
        raise SealError(_KIND, "base64 that is not in its canonical form")
    return data


def _raw(public: PublicKey) -> bytes:
    parts = public.cose()
    raw: bytes = parts[-2] if public.alg == ED25519 else b"\x04" + parts[-2] + parts[-3]
    return raw


def _public(kind: bytes, raw: bytes) -> PublicKey:
    if kind != P256_COSIGNATURE:
        return PublicKey.from_cose({1: 1, -1: 6, -2: raw})
    if len(raw) != 65 or raw[:1] != b"\x04":
        raise SealError("bad-key", "not an uncompressed point")
    return PublicKey.from_cose({1: 2, -1: 1, -2: raw[1:33], -3: raw[33:]})
