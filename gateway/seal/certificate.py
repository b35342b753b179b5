"""A certificate of completeness: the cluster's signed account of a point in a period, and what it rests on.

A COSE_Sign1 (RFC 9052) over a CBOR map. It states nothing that cannot be computed again from the batches it names;
an evidence pack holds them, and its verification does so. Format: docs/cluster-proofs.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway.errors import SealError
from gateway.model import Stream
from gateway.seal import cbor
from gateway.seal.checkpoint import Checkpoint
from gateway.seal.completeness import Completeness
from gateway.seal.cose import (
    CONTENT_TYPE,
    CWT_CLAIMS,
    IAT,
    ISS,
    KID,
    SUB,
    MessageSigner,
    PublicKey,
    parse1,
    sign1,
    verify1,
)
from gateway.seal.tree import HASH_BYTES

__all__ = ["Certificate", "Ground", "read_certificate", "write_certificate"]

MEDIA_TYPE: Final = "application/vnd.aurora.completeness+cbor"
_KIND = "bad-certificate"


class Ground(NamedTuple):
    """A stream that a certificate rests on: its batches, the root of their tree, the cluster's receipt for it."""

    size: int
    root: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is certified: of which gateway and point, the account, and its grounds."""

    cluster: str
    """Who says so: the name in receipts and checkpoints."""
    gateway: str
    """The gateway, ``urn:aurora:...``."""
    site: str
    point: str
    """The point as the site names it; the account is about its device and channel."""
    account: Mapping[str, Any]
    """`Completeness.to_plain`."""
    grounds: Mapping[Stream, Ground]
    forks: int
    """Batches of this gateway that contradict others of it, kept by the cluster."""
    checkpoint: Checkpoint | None
    """The newest checkpoint when it was issued."""
    issued_s: int
    """Unix seconds."""

    @property
    def sub(self) -> str:
        """What it is about."""
        return f"{self.gateway}:{self.point}"

    def differences(self, found: Completeness) -> list[str]:
        """In words: which figures are not those that the batches give."""
        plain = cbor.loads(cbor.dumps(found.to_plain()), _KIND)
        return [
            f"{name}: certified {self.account.get(name)!r}, the batches say {value!r}"
            for name, value in plain.items()
            if self.account.get(name) != value
        ] + [f"{name} is no figure of an account" for name in self.account if name not in plain]


def write_certificate(signer: MessageSigner, certificate: Certificate) -> bytes:
    """Sign a certificate."""
    grounds = {stream: list(ground) for stream, ground in certificate.grounds.items()}
    content = {
        "v": 1,
        "site": certificate.site,
        "point": certificate.point,
        "forks": certificate.forks,
        "account": dict(certificate.account),
        "gateway": certificate.gateway,
        "grounds": grounds,
        "checkpoint": None if certificate.checkpoint is None else list(certificate.checkpoint),
    }
    header = {
        CONTENT_TYPE: MEDIA_TYPE,
        KID: signer.public.kid,
        CWT_CLAIMS: {ISS: certificate.cluster, SUB: certificate.sub, IAT: certificate.issued_s},
    }
    return sign1(signer, header, cbor.dumps(content))


def read_certificate(data: bytes, key: PublicKey) -> Certificate:
    """A certificate signed by ``key``; raises `SealError`: those of `parse1` and `verify1`, ``bad-certificate``."""
    parsed = parse1(data)
    header = parsed.protected
    if header.get(CONTENT_TYPE) != MEDIA_TYPE or parsed.payload is None or parsed.unprotected:
        raise SealError(_KIND, "not a certificate of completeness")
    if header.get(KID) != key.kid:
        raise SealError("wrong-key", f"names another key than {key.kid.hex()}")
    verify1(parsed, key)
    match header.get(CWT_CLAIMS), cbor.loads(parsed.payload, _KIND):
        case (
            {1: str(cluster), 2: str(sub), 6: int(issued_s)},
            {
                "v": 1,
                "site": str(site),
                "point": str(point),
                "forks": int(forks),
                "account": dict(figures),
                "gateway": str(gateway),
                "grounds": dict(grounds),
                "checkpoint": checkpoint,
                **rest,
            },
        ) if not rest:
            found = Certificate(
                cluster=cluster,
                gateway=gateway,
                site=site,
                point=point,
                account=figures,
                grounds=_grounds(grounds),
                forks=forks,
                checkpoint=_checkpoint(checkpoint),
                issued_s=issued_s,
            )
        case _:
            raise SealError(_KIND, "not of version 1, or a part is missing")
    if sub != found.sub:
        raise SealError(_KIND, f"is about {found.sub}, and says {sub}")
    return found


def _grounds(content: Mapping[Any, Any]) -> dict[Stream, Ground]:
    found: dict[Stream, Ground] = {}
    for stream, item in content.items():
        match stream, item:
            case (("event" | "scan"), [int(size), bytes(root), bytes(receipt)]) if len(root) == HASH_BYTES:
                found[stream] = Ground(size, root, receipt)
            case _:
                raise SealError(_KIND, "a ground is not a stream with size, root and receipt")
    return found


def _checkpoint(item: Any) -> Checkpoint | None:
    match item:
        case None:
            return None
        case [str(origin), int(size), bytes(root)]:
            return Checkpoint(origin, size, root)
        case _:
            raise SealError(_KIND, "the checkpoint is not origin, size and root")
