"""A batch: a closed stretch of one stream as a signed statement (COSE_Sign1, RFC 9943) that names its predecessor.

Header and payload are described for outsiders in docs/batch-format.md; the code below is its reference.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cbor2 import CBORTag

from gateway.errors import SealError
from gateway.model import Batch, ClockClaim, ClockState, Head, Stream
from gateway.seal import cbor
from gateway.seal.cose import (
    ALG,
    CONTENT_TYPE,
    CWT_CLAIMS,
    ESP256,
    IAT,
    ISS,
    KID,
    KID_BYTES,
    MAX_MESSAGE,
    SUB,
    MessageSigner,
    PublicKey,
    check,
    low_s,
    parse1,
    sign1,
)
from gateway.seal.tree import HASH_BYTES, leaf_hash
from gateway.site import Identity

SCAN_TYPE: Final = "application/vnd.aurora.scan+cbor"
EVENT_TYPE: Final = "application/vnd.aurora.event+cbor"
REGISTRATION_TYPE: Final = "application/vnd.aurora.registration+cbor"

CHAIN = -65537
"""Private header label of [seq, prev, boot, boot_ms, clock, clock state, head of the other stream]."""
EXTENDED_TIME = 1001
"""CBOR tag of RFC 9581."""
_SECONDS, _MILLISECONDS, _GUARANTEE = 1, -3, -8

NO_PREVIOUS = bytes(HASH_BYTES)
"""``prev`` of the first batch of a stream."""
BOOT_BYTES = 16
MAX_NUMBER = 2**63 - 1
MAX_NAME = 256
MAX_REGISTRATION = 4096


class OpenBatch(NamedTuple):
    """A batch taken apart. Its structure is right; its signature counts only after `verify`."""

    iss: str
    sub: str
    stream: Stream
    seq: int
    prev: bytes
    clock: ClockClaim
    other: Head | None
    content_type: str
    kid: bytes
    payload: bytes
    leaf: bytes
    alg: int
    protected: bytes
    """The protected header as it was received and signed."""
    signature: bytes

    def verify(self, key: PublicKey) -> None:
        """Check key identifier and signature; raises `SealError` ``wrong-key``, ``bad-signature`` ..."""
        if self.kid != key.kid:
            raise SealError("wrong-key", f"names key {self.kid.hex()}, not {key.kid.hex()}")
        if key.alg == ESP256 and low_s(self.signature) != self.signature:
            raise SealError("bad-signature", "s is in the upper half of the order")
        check(self.alg, self.protected, self.payload, self.signature, key)


class Registration(NamedTuple):
    """What leaf 0 of each stream says about the gateway."""

    public: PublicKey
    member: str
    site: str
    gateway: str
    config_digest: bytes
    """SHA-256 of the site file."""
    storage: str
    """Where the private key is kept."""
    software: str
    policy: int
    """Version of the rules by which the cluster admits batches."""

    @property
    def thumbprint(self) -> bytes:
        """COSE Key Thumbprint of the key, 32 bytes."""
        return self.public.thumbprint

    @property
    def iss(self) -> str:
        """The issuer that this registration speaks for."""
        return Identity(member=self.member, site=self.site, gateway=self.gateway).urn


def seal_batch(
    signer: MessageSigner,
    *,
    iss: str,
    stream: Stream,
    seq: int,
    prev: bytes,
    other: Head | None,
    clock: ClockClaim,
    payload: bytes,
    content_type: str,
) -> Batch:
    """Sign one batch. ``prev`` is the leaf hash of batch ``seq`` - 1, `NO_PREVIOUS` for the first.

    ``other`` is the head of the other stream at this moment. Raises `SealError` ``bad-header`` when the
    header would not be accepted by `open_batch`, ``too-large`` when the message would not.
    """
    claims: dict[int, object] = {ISS: iss, SUB: subject(iss, stream)}
    if clock.utc_ms is not None:
        claims[IAT] = clock.utc_ms // 1000
    chain = [seq, prev, clock.boot, clock.boot_ms, _write_time(clock), int(clock.state), other and list(other)]
    header = {CONTENT_TYPE: content_type, KID: signer.public.kid, CWT_CLAIMS: claims, CHAIN: chain}
    # By the rules of `open_batch`, but before the signature: nothing is signed that would not be accepted.
    _read_header(header)
    body = sign1(signer, header, payload)
    if len(body) > MAX_MESSAGE:
        raise SealError("too-large", f"{len(body)} bytes, at most {MAX_MESSAGE} are read")
    return Batch(stream, seq, leaf_hash(body), body)


def open_batch(body: bytes) -> OpenBatch:
    """Take a batch apart and check everything but its signature.

    Raises `SealError`: those of `parse1`, and ``bad-header`` for what a batch must have and has not.
    """
    parsed = parse1(body)
    if parsed.unprotected:
        raise SealError("bad-header", "the unprotected header is not empty")
    if parsed.payload is None:
        raise SealError("not-cose", "the payload is detached")
    said = _read_header(parsed.protected)
    alg = parsed.protected[ALG]
    return OpenBatch(*said, parsed.payload, leaf_hash(body), alg, parsed.protected_bytes, parsed.signature)


class _Header(NamedTuple):
    """What the protected header says, checked."""

    iss: str
    sub: str
    stream: Stream
    seq: int
    prev: bytes
    clock: ClockClaim
    other: Head | None
    content_type: str
    kid: bytes


def _read_header(header: Mapping[Any, Any]) -> _Header:
    kid = header.get(KID)
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise SealError("bad-header", f"key identifier is not {KID_BYTES} bytes")
    claims = header.get(CWT_CLAIMS)
    if not isinstance(claims, Mapping):
        raise SealError("bad-header", "no CWT claims")
    iss, sub = _name(claims, ISS), _name(claims, SUB)
    stream = _stream(iss, sub)
    seq, prev, clock, other = _read_chain(header.get(CHAIN))
    expected = None if clock.utc_ms is None else clock.utc_ms // 1000
    if claims.get(IAT) != expected or isinstance(claims.get(IAT), float | bool):
        raise SealError("bad-header", "time of issue is not that of the clock")
    return _Header(iss, sub, stream, seq, prev, clock, other, _content_type(header, stream, seq), kid)


def subject(iss: str, stream: Stream) -> str:
    """The name of a gateway's stream (``sub``)."""
    return f"{iss}:{stream}"


def registration_payload(
    public: PublicKey,
    identity: Identity,
    *,
    config_digest: bytes,
    storage: str,
    software: str,
    policy: int = 1,
) -> bytes:
    """The payload of leaf 0, the same for both streams: deterministic CBOR of a map with the labels 1 to 9."""
    payload = cbor.dumps(
        {
            1: public.cose(),
            2: public.thumbprint,
            3: identity.member,
            4: identity.site,
            5: identity.gateway,
            6: config_digest,
            7: storage,
            8: software,
            9: policy,
        }
    )
    read_registration(payload)
    return payload


def read_registration(payload: bytes) -> Registration:
    """The inverse of `registration_payload`; raises `SealError` ``bad-registration`` or ``bad-key``."""
    kind = "bad-registration"
    if len(payload) > MAX_REGISTRATION:
        raise SealError(kind, f"{len(payload)} bytes")
    data = cbor.loads(payload, kind)
    if not isinstance(data, dict):
        raise SealError(kind, "not a map")
    public = PublicKey.from_cose(data.get(1))
    if data.get(2) != public.thumbprint:
        raise SealError(kind, "the thumbprint is not that of the key")
    texts: list[Any] = [data.get(label) for label in (3, 4, 5, 7, 8)]
    if not all(isinstance(text, str) and 0 < len(text) <= MAX_NAME for text in texts):
        raise SealError(kind, "a name is missing, empty or too long")
    digest: Any = data.get(6)
    policy: Any = data.get(9)
    if not isinstance(digest, bytes) or len(digest) != HASH_BYTES:
        raise SealError(kind, "the digest of the configuration is not 32 bytes")
    if not _uint(policy):
        raise SealError(kind, "the version of the policy is no number")
    member, site, gateway, storage, software = texts
    return Registration(public, member, site, gateway, digest, storage, software, policy)


def _content_type(header: Mapping[Any, Any], stream: Stream, seq: int) -> str:
    due = REGISTRATION_TYPE if seq == 0 else SCAN_TYPE if stream == "scan" else EVENT_TYPE
    if header.get(CONTENT_TYPE) != due:
        raise SealError("bad-header", f"content type of batch {seq} of stream {stream} is not {due}")
    return due


def _stream(iss: str, sub: str) -> Stream:
    if sub == subject(iss, "scan"):
        return "scan"
    if sub == subject(iss, "event"):
        return "event"
    raise SealError("bad-header", "the subject is not a stream of the issuer")


def _read_chain(chain: object) -> tuple[int, bytes, ClockClaim, Head | None]:
    if not isinstance(chain, list | tuple) or len(chain) != 7:
        raise SealError("bad-header", f"label {CHAIN} is not an array of seven")
    seq, prev, boot, boot_ms, time, state, head = chain
    if not (_uint(seq) and _uint(boot_ms)):
        raise SealError("bad-header", "sequence or boot time is no number")
    if not _hash(prev) or (prev == NO_PREVIOUS) != (seq == 0):
        raise SealError("bad-header", "hash of the previous batch is not what the sequence asks for")
    if not isinstance(boot, bytes) or len(boot) != BOOT_BYTES:
        raise SealError("bad-header", f"boot id is not {BOOT_BYTES} bytes")
    if not _uint(state) or state not in tuple(ClockState):
        raise SealError("bad-header", f"clock state {state!r}")
    utc_ms, error_ms = _read_time(time)
    if (utc_ms is None) != (state == ClockState.UNTRUSTED):
        raise SealError("bad-header", "clock state and time contradict each other")
    return seq, prev, ClockClaim(boot, boot_ms, utc_ms, error_ms, ClockState(state)), _read_head(head)


def _read_head(head: object) -> Head | None:
    if head is None:
        return None
    if isinstance(head, list | tuple) and len(head) == 2 and _uint(head[0]) and _hash(head[1]):
        return Head(head[0], head[1])
    raise SealError("bad-header", "head of the other stream is not [sequence, leaf hash]")


def _write_time(clock: ClockClaim) -> CBORTag | None:
    if clock.utc_ms is None and clock.error_ms is None:
        return None
    if clock.utc_ms is None or clock.error_ms is None:
        raise SealError("bad-header", "a time without an error bound, or a bound without a time")
    seconds, milliseconds = divmod(clock.utc_ms, 1000)
    guarantee = dict(zip((_SECONDS, _MILLISECONDS), divmod(clock.error_ms, 1000), strict=True))
    return CBORTag(EXTENDED_TIME, {_SECONDS: seconds, _MILLISECONDS: milliseconds, _GUARANTEE: guarantee})


def _read_time(time: object) -> tuple[int | None, int | None]:
    """Unix milliseconds and guarantee in milliseconds of a tagged time, (None, None) of null."""
    if time is None:
        return None, None
    if not isinstance(time, CBORTag) or time.tag != EXTENDED_TIME or not isinstance(time.value, Mapping):
        raise SealError("bad-header", f"time is not of tag {EXTENDED_TIME}")
    if set(time.value) != {_SECONDS, _MILLISECONDS, _GUARANTEE}:
        raise SealError("bad-header", "time has not exactly seconds, milliseconds and guarantee")
    guarantee = time.value[_GUARANTEE]
    if not isinstance(guarantee, Mapping) or set(guarantee) != {_SECONDS, _MILLISECONDS}:
        raise SealError("bad-header", "guarantee has not exactly seconds and milliseconds")
    return _milliseconds(time.value), _milliseconds(guarantee)


def _milliseconds(parts: Mapping[Any, Any]) -> int:
    seconds, fraction = parts[_SECONDS], parts[_MILLISECONDS]
    if not (_uint(seconds) and _uint(fraction) and fraction < 1000 and seconds < MAX_NUMBER // 1000):
        raise SealError("bad-header", "time out of range")
    return int(seconds * 1000 + fraction)


def _name(claims: Mapping[Any, Any], label: int) -> str:
    name = claims.get(label)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise SealError("bad-header", f"claim {label} is no name")
    return name


def _uint(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER


def _hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES
