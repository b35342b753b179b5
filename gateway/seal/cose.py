"""COSE_Sign1 messages and public keys: RFC 9052, with the algorithms of RFC 9864 and the thumbprint of RFC 9679.

Two algorithms are spoken: Ed25519 (-19), which files can hold, and ESP256 (-9), which the hardware key stores of
small computers can do. A signature is checked over the protected bytes as they were received.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from cbor2 import CBORTag
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.errors import SealError
from gateway.seal import cbor

ED25519 = -19
ESP256 = -9
ALGORITHMS: Mapping[int, str] = {ED25519: "Ed25519", ESP256: "ESP256"}

SIGN1_TAG = 18
SIGNATURE_BYTES = 64
MAX_MESSAGE = 4 * 1024 * 1024

ALG, CRIT, CONTENT_TYPE, KID, CWT_CLAIMS = 1, 2, 3, 4, 15
ISS, SUB, IAT = 1, 2, 6
"""Claims inside header 15 (RFC 8392)."""

KID_BYTES = 8

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_KTY, _KEY_ALG, _CRV, _X, _Y, _D = 1, 3, -1, -2, -3, -4
_OKP, _EC2 = 1, 2
_CRV_P256, _CRV_ED25519 = 1, 6


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that can check signatures; two are equal when their thumbprints are."""

    alg: int
    """COSE algorithm: `ED25519` or `ESP256`."""
    thumbprint: bytes
    """COSE Key Thumbprint, 32 bytes (RFC 9679)."""
    _key: Ed25519PublicKey | ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def of(cls, key: object) -> "PublicKey":
        """The key of the cryptography package, if it is one of the two kinds used here."""
        if isinstance(key, Ed25519PublicKey):
            return cls(ED25519, _thumbprint(_members(key)), key)
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(ESP256, _thumbprint(_members(key)), key)
        raise SealError("bad-key", f"neither Ed25519 nor P-256, but {type(key).__name__}")

    @classmethod
    def from_pem(cls, data: bytes) -> "PublicKey":
        """From a PEM file's bytes (``BEGIN PUBLIC KEY``)."""
        try:
            return cls.of(serialization.load_pem_public_key(data))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SealError("bad-key", "no public key in PEM form") from error

    @classmethod
    def from_cose(cls, key: object) -> "PublicKey":
        """From a COSE_Key map (RFC 9053, 7): kty, crv, x and for P-256 an uncompressed y."""
        if not isinstance(key, Mapping) or _D in key:
            raise SealError("bad-key", "not a public COSE_Key")
        family = [key.get(_KTY), key.get(_CRV)]
        alg = ED25519 if family == [_OKP, _CRV_ED25519] else ESP256 if family == [_EC2, _CRV_P256] else None
        if alg is None or key.get(_KEY_ALG, alg) != alg:
            raise SealError("bad-key", "a COSE_Key that is neither for Ed25519 nor for ESP256")
        parts: list[Any] = [key.get(name) for name in ((_X,) if alg == ED25519 else (_X, _Y))]
        if not all(isinstance(part, bytes) and len(part) == 32 for part in parts):
            raise SealError("bad-key", "a coordinate that is not 32 bytes")
        try:
            if alg == ED25519:
                return cls.of(Ed25519PublicKey.from_public_bytes(parts[0]))
            point = b"\x04" + b"".join(parts)
            return cls.of(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
        except ValueError as error:
            raise SealError("bad-key", "coordinates that are no point of the curve") from error

    @property
    def kid(self) -> bytes:
        """Key identifier in batches and receipts: the first 8 bytes of the thumbprint. A hint, not a proof."""
        return self.thumbprint[:KID_BYTES]

    def cose(self) -> dict[int, Any]:
        """The COSE_Key map with the members that the thumbprint covers and no others."""
        return _members(self._key)

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM form."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature of 64 bytes over ``data``; raises `SealError` ``bad-signature``."""
        if len(signature) != SIGNATURE_BYTES:
            raise SealError("bad-signature", f"{len(signature)} bytes instead of {SIGNATURE_BYTES}")
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                self._key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise SealError("bad-signature", f"not signed by key {self.thumbprint.hex()[:16]}") from error


class MessageSigner(Protocol):
    """What signs a message: ``sign`` returns 64 bytes, raw r and s for ESP256."""

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A COSE_Sign1 whose structure is right and whose signature has not been looked at."""

    protected_bytes: bytes
    protected: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    """None where it is detached."""
    signature: bytes


def sign1(
    signer: MessageSigner,
    protected: Mapping[int, object],
    payload: bytes,
    *,
    unprotected: Mapping[int, object] | None = None,
    detached: bool = False,
) -> bytes:
    """A tagged COSE_Sign1. The ``alg`` header is the signer's; a detached payload is signed but not carried."""
    header = cbor.dumps({**protected, ALG: signer.public.alg})
    signature = signer.sign(_signed_bytes(header, payload))
    message = [header, dict(unprotected or {}), None if detached else payload, signature]
    return cbor.dumps(CBORTag(SIGN1_TAG, message))


def parse1(data: bytes, limit: int = MAX_MESSAGE) -> Parsed:
    """Take a tagged COSE_Sign1 apart.

    Only the deterministic encoding of the message is accepted: a longer form of a length would leave the
    signature good and change the hash of the leaf. Raises `SealError`: ``too-large``, ``not-cose``,
    ``bad-header``, ``wrong-algorithm``.
    """
    if len(data) > limit:
        raise SealError("too-large", f"{len(data)} bytes, at most {limit} are read")
    message = cbor.loads(data, "not-cose")
    if not (isinstance(message, CBORTag) and message.tag == SIGN1_TAG):
        raise SealError("not-cose", "no COSE_Sign1 tag (18)")
    parts = message.value
    if not (isinstance(parts, list | tuple) and len(parts) == 4):
        raise SealError("not-cose", "not an array of four")
    header, unprotected, payload, signature = parts
    if not (
        isinstance(header, bytes)
        and isinstance(unprotected, Mapping)
        and (payload is None or isinstance(payload, bytes))
        and isinstance(signature, bytes)
    ):
        raise SealError("not-cose", "a part of the wrong type")
    if len(signature) != SIGNATURE_BYTES:
        raise SealError("bad-signature", f"{len(signature)} bytes instead of {SIGNATURE_BYTES}")
    if cbor.dumps(CBORTag(SIGN1_TAG, [header, dict(unprotected), payload, signature])) != data:
        raise SealError("not-cose", "not in the deterministic encoding")
    protected = cbor.loads(header, "bad-header")
    if not isinstance(protected, dict):
        raise SealError("bad-header", "protected header is not a map")
    if CRIT in protected:
        raise SealError("bad-header", "has critical headers, of which this reader knows none")
    alg = protected.get(ALG)
    if type(alg) is not int or alg not in ALGORITHMS:
        raise SealError("wrong-algorithm", f"algorithm {alg!r}, known are {sorted(ALGORITHMS)}")
    return Parsed(header, protected, unprotected, payload, signature)


def verify1(parsed: Parsed, key: PublicKey, payload: bytes | None = None) -> None:
    """Check the signature with ``key``; a detached payload has to be given.

    Raises `SealError`: ``wrong-algorithm`` when message and key do not fit, ``bad-signature``.
    """
    content = parsed.payload if payload is None else payload
    if content is None or (payload is not None and parsed.payload is not None):
        raise SealError("not-cose", "payload is neither carried nor given, or both")
    check(parsed.protected[ALG], parsed.protected_bytes, content, parsed.signature, key)


def check(alg: int, header: bytes, payload: bytes, signature: bytes, key: PublicKey) -> None:
    """Check the signature of a message that is taken apart; ``header`` is its protected bytes, in which ``alg`` is.

    Raises `SealError`: ``wrong-algorithm`` when message and key do not fit, ``bad-signature``.
    """
    if alg != key.alg:
        raise SealError("wrong-algorithm", f"{alg}, but the key is for {key.alg}")
    key.verify(signature, _signed_bytes(header, payload))


def thumbprint(key: PublicKey) -> bytes:
    """COSE Key Thumbprint of a public key, 32 bytes (RFC 9679, SHA-256 over the required members)."""
    return key.thumbprint


def low_s(signature: bytes) -> bytes:
    """The one of the two equivalent ESP256 signatures whose s is in the lower half of the group order.

    Both verify, so without this rule anyone could turn a batch into a second valid one with another leaf hash.
    """
    s = int.from_bytes(signature[32:], "big")
    return signature if s <= P256_ORDER // 2 else signature[:32] + (P256_ORDER - s).to_bytes(32, "big")


def _signed_bytes(header: bytes, payload: bytes) -> bytes:
    return cbor.dumps(["Signature1", header, b"", payload])


def _members(key: Ed25519PublicKey | ec.EllipticCurvePublicKey) -> dict[int, Any]:
    if isinstance(key, Ed25519PublicKey):
        return {_KTY: _OKP, _CRV: _CRV_ED25519, _X: key.public_bytes_raw()}
    point = key.public_numbers()
    return {_KTY: _EC2, _CRV: _CRV_P256, _X: point.x.to_bytes(32, "big"), _Y: point.y.to_bytes(32, "big")}


def _thumbprint(members: Mapping[int, object]) -> bytes:
    return sha256(cbor.dumps(members)).digest()
