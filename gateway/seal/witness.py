"""What a witness does: cosign a log's checkpoint if, and only if, it continues the one cosigned before.

The request, the order of the checks and the answers are those of C2SP tlog-witness; the same code serves a
witness behind HTTP and a gateway that is handed the request over MQTT. Where the state is kept is the caller's: it
has to be on disk before the answer goes out.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from gateway.errors import SealError
from gateway.seal.checkpoint import Checkpoint, open_checkpoint
from gateway.seal.note import MAX_NOTE, Note, NoteKey, read_note, unbase64
from gateway.seal.tree import HASH_BYTES, verify_consistency

__all__ = ["REFUSALS", "Request", "Seen", "judge", "read_request", "write_request"]

MAX_PROOF = 63
MAX_REQUEST = MAX_NOTE + MAX_PROOF * 45 + 64
REFUSALS = {
    "bad-request": 400,
    "bad-note": 400,
    "bad-checkpoint": 400,
    "unsigned": 403,
    "bad-signature": 403,
    "unknown-log": 404,
    "conflict": 409,
    "other-root": 409,
    "bad-proof": 422,
}
"""Kind of `SealError` that `read_request` and `judge` raise to the status by which HTTP says so."""
_KIND = "bad-request"


class Request(NamedTuple):
    """A checkpoint (the bytes of its note) with the proof that it continues the tree of ``old`` leaves."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes


class Seen(NamedTuple):
    """The newest checkpoint that a witness has cosigned of one log; size 0: none yet."""

    size: int = 0
    root: bytes = b""


def write_request(request: Request) -> bytes:
    """The body of an ``add-checkpoint`` call."""
    lines = [f"old {request.old}", *(b64encode(node).decode() for node in request.proof), ""]
    return "".join(f"{line}\n" for line in lines).encode() + request.note


def read_request(data: bytes) -> Request:
    """The inverse of `write_request`; raises `SealError` ``bad-request`` or ``bad-note``."""
    if len(data) > MAX_REQUEST:
        raise SealError(_KIND, f"{len(data)} bytes, at most {MAX_REQUEST} are read")
    head, blank, note = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise SealError(_KIND, "the proof is not ASCII") from error
    digits = first.removeprefix("old ")
    plain = digits.isdecimal() and len(digits) < 20 and str(int(digits)) == digits
    if not blank or not first.startswith("old ") or not plain:
        raise SealError(_KIND, "does not begin with the old size")
    if len(lines) > MAX_PROOF:
        raise SealError(_KIND, f"more than {MAX_PROOF} lines of proof")
    proof = tuple(unbase64(line) for line in lines)
    if any(len(node) != HASH_BYTES for node in proof):
        raise SealError(_KIND, f"a hash that is not {HASH_BYTES} bytes")
    read_note(note)
    return Request(int(digits), proof, note)


def judge(request: Request, seen: Seen, keys: Iterable[NoteKey]) -> tuple[Checkpoint, Note]:
    """The checkpoint that may be cosigned and is to be remembered; ``keys`` are those of the logs one witnesses.

    Raises `SealError`: those of `open_checkpoint`; ``bad-request``; ``conflict`` when the request does not begin at
    the size that was seen; ``other-root`` and ``bad-proof`` when the log has not been shown to go on from there.
    """
    checkpoint, note = open_checkpoint(request.note, keys)
    if request.old > checkpoint.size:
        raise SealError(_KIND, f"old size {request.old} is above that of the checkpoint, {checkpoint.size}")
    if request.old != seen.size:
        raise SealError("conflict", f"begins at {request.old}, seen was {seen.size}")
    if request.old == checkpoint.size and seen.size and checkpoint.root != seen.root:
        raise SealError("other-root", f"another root than the one seen for size {seen.size}")
    _continue(request, seen, checkpoint)
    return checkpoint, note


def _continue(request: Request, seen: Seen, checkpoint: Checkpoint) -> None:
    if request.old:
        verify_consistency(request.old, checkpoint.size, seen.root, checkpoint.root, request.proof)
    elif request.proof:
        raise SealError("bad-proof", "from nothing on there is nothing to prove")
    elif not checkpoint.size and checkpoint.root != sha256(b"").digest():
        raise SealError("bad-proof", "the root of an empty log is the hash of nothing")
