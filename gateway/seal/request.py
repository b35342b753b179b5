"""The request of a gateway to be known by its cluster, and the short code by which two people know it again.

A COSE_Sign1 (RFC 9052) with the gateway's signing key over a CBOR map:

    "v": 1, "key": the gateway's COSE_Key, "csr": a PKCS #10 request (RFC 2986, DER) by its TLS key,
    "names": {"member", "site", "gateway"} or {} while the box has none, "serial": rising number

Both keys sign for themselves here (proof of possession), and the signing key signs for the TLS key. That the keys
are those of the box and not of somebody on the way is what the code is for: people compare it over the telephone.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.cose import CONTENT_TYPE, KID, MessageSigner, PublicKey, parse1, sign1, verify1

__all__ = ["LARGEST", "NAMES", "Request", "read_code", "read_request", "request_code", "write_request"]

MEDIA_TYPE: Final = "application/vnd.aurora.request+cbor"
LARGEST: Final = 8 * 1024
NAMES: Final = ("member", "site", "gateway")
_MEMBERS: Final = {"v", "key", "csr", "names", "serial"}
_LONGEST_NAME: Final = 63

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U, which are misread or misheard."""
_DIGITS: Final = 12
_ALIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_SALT: Final = b"aurora request code 1"
_COST: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Request:
    """A request both of whose signatures hold. ``names`` is empty for a box that has none yet."""

    public: PublicKey
    tls: ec.EllipticCurvePublicKey
    names: Mapping[str, str]
    serial: int
    code: str
    csr: bytes
    """The PKCS #10 request, DER."""

    def csr_pem(self) -> bytes:
        """The PKCS #10 request in PEM form."""
        return x509.load_der_x509_csr(self.csr).public_bytes(serialization.Encoding.PEM)

    @property
    def spki(self) -> bytes:
        """SHA-256 of the TLS key (SubjectPublicKeyInfo, DER)."""
        return spki_digest(self.tls)


def write_request(signer: MessageSigner, *, csr: bytes, names: Mapping[str, str], serial: int) -> bytes:
    """Sign a request. ``csr`` is DER; ``serial`` has to rise from request to request of one signing key.

    Raises `SealError` ``bad-request`` for what `read_request` would not take.
    """
    content = {"v": 1, "key": signer.public.cose(), "csr": csr, "names": dict(names), "serial": serial}
    _checked(content)
    return sign1(signer, {CONTENT_TYPE: MEDIA_TYPE, KID: signer.public.kid}, cbor.dumps(content))


def read_request(data: bytes) -> Request:
    """Read a request; raises `SealError`: ``bad-request``, ``bad-signature``, and those of `parse1`."""
    parsed = parse1(data, LARGEST)
    if parsed.protected.get(CONTENT_TYPE) != MEDIA_TYPE or parsed.payload is None:
        raise SealError("bad-request", "not a request of a gateway")
    content = cbor.loads(parsed.payload, "bad-request")
    if not isinstance(content, Mapping):
        raise SealError("bad-request", "not a map")
    public = PublicKey.from_cose(content.get("key"))
    verify1(parsed, public)
    tls, names, serial = _checked(content)
    return Request(public, tls, names, serial, request_code(public, tls, names), content["csr"])


def request_code(public: PublicKey, tls: ec.EllipticCurvePublicKey, names: Mapping[str, str]) -> str:
    """The code of a pair of keys under these names: twelve characters in three groups.

    60 bits of scrypt (RFC 7914; N 16384, r 8: about 0.1 s on small hardware): whoever wants other keys with this
    code has to try 2^60 of them at that price each.
    """
    content = cbor.dumps([public.thumbprint, spki_digest(tls), dict(names)])
    digest = hashlib.scrypt(content, salt=_SALT, n=_COST, r=8, p=1, dklen=8)
    number = int.from_bytes(digest, "big") >> 4
    text = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_DIGITS)))
    return "-".join(text[start : start + 4] for start in range(0, _DIGITS, 4))


def read_code(text: str) -> str:
    """A code as a person writes it, in the form of `request_code`; raises `SealError` ``bad-code``."""
    plain = text.upper().translate(_ALIKE)
    if len(plain) != _DIGITS or not set(plain) <= set(_ALPHABET):
        raise SealError("bad-code", f"{text!r} is not a code of {_DIGITS} letters and digits")
    return "-".join(plain[start : start + 4] for start in range(0, _DIGITS, 4))


def spki_digest(key: ec.EllipticCurvePublicKey) -> bytes:
    """SHA-256 of a public key as SubjectPublicKeyInfo in DER."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(*form)).digest()


def _checked(content: Mapping[str, Any]) -> tuple[ec.EllipticCurvePublicKey, dict[str, str], int]:
    if set(content) != _MEMBERS or content["v"] != 1:
        raise SealError("bad-request", "not of version 1")
    names, serial = content["names"], content["serial"]
    if isinstance(serial, bool) or not isinstance(serial, int) or not 0 < serial < 2**63:
        raise SealError("bad-request", "the serial is no number above 0")
    if not isinstance(names, Mapping) or not (names == {} or set(names) == set(NAMES)):
        raise SealError("bad-request", f"names are {', '.join(NAMES)}, or none")
    if not all(isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME for name in names.values()):
        raise SealError("bad-request", f"a name is a text of 1 to {_LONGEST_NAME} characters")
    return _tls_key(content["csr"]), dict(names), serial


def _tls_key(csr: object) -> ec.EllipticCurvePublicKey:
    """The key of a PKCS #10 request that signs for itself; what else it asks for counts for nothing."""
    if not isinstance(csr, bytes):
        raise SealError("bad-request", "no PKCS #10 request in it")
    try:
        request = x509.load_der_x509_csr(csr)
        holds = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise SealError("bad-request", f"no PKCS #10 request in it ({error})") from error
    if not holds:
        raise SealError("bad-request", "the TLS key did not sign its own request")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SealError("bad-request", "the TLS key is not of the curve P-256")
    return key
