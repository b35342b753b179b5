"""What the cluster's staff decided about the key of a gateway, signed, so that a proof can show it.

A COSE_Sign1 (RFC 9052) with the cluster's key over a CBOR map:

    "v": 1, "what": one of `KINDS`, "sub": URN of the gateway, "place": 0, 1, 2 ... for each gateway,
    "at": Unix ms by the cluster's clock, "by": person, "why": text,
    "key": thumbprint of the key that it is about, "successor": thumbprint or null,
    "event": first batch of the event stream that the key no longer signs (for a new key: that it signs), or null,
    "scan": the same of the scan stream,
    "doubted_event": first batch of the event stream that stays in the tree, because a receipt vouches for it, and
        that staff do not believe, or null,
    "doubted_scan": the same of the scan stream

It says what staff decided and when; it does not make a signature of the gateway any better.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.batch import OpenBatch
from gateway.seal.cose import CONTENT_TYPE, KID, KID_BYTES, MessageSigner, PublicKey, parse1, sign1, verify1

__all__ = ["KINDS", "Statement", "read_statement", "write_statement"]

MEDIA_TYPE: Final = "application/vnd.aurora.key-statement+cbor"
LARGEST: Final = 8 * 1024
KINDS: Final = frozenset({"enrolled", "cut-off", "replaced", "revoked", "reinstated"})
_MEMBERS: Final = frozenset({"v", "what", "sub", "place", "at", "by", "why", "key", "successor", "event", "scan"})
_LATER: Final = frozenset({"doubted_event", "doubted_scan"})
"""Members that statements of the first days do not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One decision about a key; see the head of this module for each member."""

    what: str
    sub: str
    place: int
    at_ms: int
    by: str
    why: str
    key: bytes
    successor: bytes | None = None
    event: int | None = None
    scan: int | None = None
    doubted_event: int | None = None
    doubted_scan: int | None = None

    def doubts(self, batch: OpenBatch) -> bool:
        """Whether staff have said that they do not believe a batch of this gateway.

        Of the doubted batches none is believed, whoever signed it: a copied key may have named another one.
        """
        doubted, end = (
            (self.doubted_event, self.event) if batch.stream == "event" else (self.doubted_scan, self.scan)
        )
        if self.what != "cut-off" or end is None:
            return False
        if doubted is not None and doubted <= batch.seq < end:
            return True
        return batch.seq >= end and batch.kid == self.key[:KID_BYTES]


def write_statement(signer: MessageSigner, statement: Statement) -> bytes:
    """Sign a statement; raises `SealError` ``bad-statement`` for what `read_statement` would not take."""
    content = {
        "v": 1,
        "what": statement.what,
        "sub": statement.sub,
        "place": statement.place,
        "at": statement.at_ms,
        "by": statement.by,
        "why": statement.why,
        "key": statement.key,
        "successor": statement.successor,
        "event": statement.event,
        "scan": statement.scan,
        "doubted_event": statement.doubted_event,
        "doubted_scan": statement.doubted_scan,
    }
    _checked(content)
    signed = sign1(signer, {CONTENT_TYPE: MEDIA_TYPE, KID: signer.public.kid}, cbor.dumps(content))
    if len(signed) > LARGEST:
        raise SealError("bad-statement", f"{len(signed)} bytes, at most {LARGEST} are read: say it in fewer words")
    return signed


def read_statement(data: bytes, key: PublicKey) -> Statement:
    """A statement that the cluster's ``key`` signed.

    Raises `SealError`: ``bad-statement``, ``bad-signature``, ``wrong-algorithm``, and those of `parse1`.
    """
    parsed = parse1(data, LARGEST)
    if parsed.protected.get(CONTENT_TYPE) != MEDIA_TYPE or parsed.payload is None:
        raise SealError("bad-statement", "not a statement about a key")
    verify1(parsed, key)
    content = cbor.loads(parsed.payload, "bad-statement")
    if not isinstance(content, Mapping):
        raise SealError("bad-statement", "not a map")
    return _checked(content)


def _checked(content: Mapping[str, Any]) -> Statement:
    if set(content) - _LATER != _MEMBERS or content["v"] != 1:
        raise SealError("bad-statement", "not of version 1")
    if content["what"] not in KINDS:
        raise SealError("bad-statement", f"{content['what']!r} is none of {', '.join(sorted(KINDS))}")
    if not all(isinstance(content[name], str) for name in ("what", "sub", "by", "why")):
        raise SealError("bad-statement", "a text is not a text")
    batches = [content.get(name) for name in ("event", "scan", *_LATER)]
    counts = [content["place"], content["at"], *(batch for batch in batches if batch is not None)]
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        raise SealError("bad-statement", "a number is out of its range")
    prints = [content["key"], *([content["successor"]] if content["successor"] is not None else [])]
    if not all(isinstance(thumbprint, bytes) and len(thumbprint) == 32 for thumbprint in prints):
        raise SealError("bad-statement", "a key is not named by a thumbprint")
    return Statement(
        what=content["what"],
        sub=content["sub"],
        place=content["place"],
        at_ms=content["at"],
        by=content["by"],
        why=content["why"],
        key=content["key"],
        successor=content["successor"],
        event=content["event"],
        scan=content["scan"],
        doubted_event=content.get("doubted_event"),
        doubted_scan=content.get("doubted_scan"),
    )
