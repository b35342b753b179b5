"""The cluster's daily checkpoint: one signed line of text for everything that all gateways have delivered.

Once a day one leaf for each stream that has grown, its `StreamHead`, goes into one append-only log (RFC 9162); the
checkpoint (C2SP tlog-checkpoint) names the log's size and root. Who keeps a checkpoint can show years later that
nothing before it was changed. Format with a worked example: docs/cluster-proofs.md.
"""

from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.cose import MessageSigner, PublicKey
from gateway.seal.note import NOTE, Note, NoteKey, check_note_name, read_note, sign_line, unbase64
from gateway.seal.tree import HASH_BYTES, MAX_SIZE, leaf_hash

__all__ = [
    "Checkpoint",
    "StreamHead",
    "log_key",
    "open_checkpoint",
    "read_checkpoint",
    "read_head",
    "sign_checkpoint",
]

HEAD = "aurora/v1/head"
"""First element of a leaf: no other message of ours begins so."""
MAX_HEAD = 1024
_KIND = "bad-checkpoint"


class Checkpoint(NamedTuple):
    """Size and root of a log at one moment; ``origin`` is the log's name."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text of the note."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


class StreamHead(NamedTuple):
    """How far a gateway's stream had come: its name (``sub``), its batches, and the root of their tree."""

    sub: str
    size: int
    root: bytes

    def data(self) -> bytes:
        """The leaf's content: deterministic CBOR of [`HEAD`, sub, size, root]."""
        return cbor.dumps([HEAD, *self])

    @property
    def leaf(self) -> bytes:
        """The leaf's hash."""
        return leaf_hash(self.data())


def read_head(data: bytes) -> StreamHead:
    """The inverse of `StreamHead.data`; raises `SealError` ``bad-checkpoint``."""
    if len(data) > MAX_HEAD:
        raise SealError(_KIND, f"a leaf of {len(data)} bytes")
    match cbor.loads(data, _KIND):
        case [str(domain), str(sub), int(size), bytes(root)] if (
            domain == HEAD and type(size) is int and 0 < size <= MAX_SIZE and len(root) == HASH_BYTES
        ):
            head = StreamHead(sub, size, root)
        case _:
            raise SealError(_KIND, "a leaf is not made of domain, stream, size and root")
    if head.data() != data:
        raise SealError(_KIND, "a leaf that is not in the deterministic encoding")
    return head


def read_checkpoint(text: str) -> Checkpoint:
    """What the text of a note says; raises `SealError` ``bad-checkpoint``. Extension lines are passed over."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise SealError(_KIND, "not at least three lines with something in them")
    origin, digits, coded = lines[:3]
    if not (digits.isascii() and digits.isdecimal()) or str(int(digits[:20])) != digits or int(digits) > MAX_SIZE:
        raise SealError(_KIND, f"{digits[:40]!r} is no size")
    root = unbase64(coded)
    if len(root) != HASH_BYTES:
        raise SealError(_KIND, f"a root of {len(root)} bytes")
    return Checkpoint(origin, int(digits), root)


def log_key(origin: str, public: PublicKey) -> NoteKey:
    """The key of a log: it signs under the log's name."""
    return NoteKey(origin, NOTE, public)


def sign_checkpoint(checkpoint: Checkpoint, signer: MessageSigner) -> Note:
    """The note of a checkpoint; raises `SealError` for a name or a key that cannot sign one."""
    check_note_name(checkpoint.origin)
    text = checkpoint.text()
    return Note(text, (sign_line(text, checkpoint.origin, signer),))


def open_checkpoint(data: bytes, keys: Iterable[NoteKey]) -> tuple[Checkpoint, Note]:
    """A checkpoint that one of the logs' keys has signed under its origin.

    Raises `SealError`: ``bad-note``, ``bad-checkpoint``, ``unknown-log`` (no key for its origin),
    ``unsigned`` (none of the keys signed), ``bad-signature``.
    """
    note = read_note(data)
    checkpoint = read_checkpoint(note.text)
    trusted = [key for key in keys if key.name == checkpoint.origin and key.kind == NOTE]
    if not trusted:
        raise SealError("unknown-log", f"no key is known for {checkpoint.origin}")
    if not note.signed_by(trusted):
        raise SealError("unsigned", f"not signed by a known key of {checkpoint.origin}")
    return checkpoint, note
