"""The signed setup file: what a cluster sends on a USB stick to make a new box one of its gateways.

A COSE_Sign1 (RFC 9052) with the cluster's key over a CBOR map:

    "v": 1, "key": the cluster's COSE_Key, "for": key thumbprint of the box (32 bytes), "serial": rising number,
    "answers": {name: text}, "files": {name: bytes}

The reader trusts a thumbprint that came by another way (the label, the command line), not the key inside. A file is
good for one box and once: a serial that is not above the last applied one is a replay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.cose import CONTENT_TYPE, KID, MessageSigner, PublicKey, parse1, sign1, verify1

__all__ = ["ANSWERS", "FILES", "SetupFile", "read_setup", "write_setup"]

MEDIA_TYPE: Final = "application/vnd.aurora.setup+cbor"
LARGEST: Final = 256 * 1024
ANSWERS: Final = frozenset(
    {"member", "site", "gateway", "language", "time_zone", "clock", "clock_error_s", "broker", "listen"}
)
FILES: Final = frozenset({"ca.pem", "broker.pem", "cluster.pem"})
_MEMBERS: Final = {"v", "key", "for", "serial", "answers", "files"}


@dataclass(frozen=True, slots=True)
class SetupFile:
    """A setup file whose signature holds, for this box."""

    serial: int
    answers: Mapping[str, str]
    files: Mapping[str, bytes]
    key: PublicKey


def write_setup(
    signer: MessageSigner, *, box: bytes, serial: int, answers: Mapping[str, str], files: Mapping[str, bytes]
) -> bytes:
    """Sign a setup file for the box whose key has the thumbprint ``box``.

    ``serial`` has to rise from file to file of one box (Unix milliseconds will do). Raises `SealError`
    ``bad-setup`` for what `read_setup` would not take.
    """
    content = {
        "v": 1,
        "key": signer.public.cose(),
        "for": box,
        "serial": serial,
        "answers": dict(answers),
        "files": dict(files),
    }
    _checked(content)
    return sign1(signer, {CONTENT_TYPE: MEDIA_TYPE, KID: signer.public.kid}, cbor.dumps(content))


def read_setup(data: bytes, *, trusted: bytes, box: bytes, last_serial: int) -> SetupFile:
    """A setup file for this box, signed by the key with the thumbprint ``trusted``.

    Raises `SealError`: ``wrong-key`` (another cluster's), ``bad-signature``, ``wrong-gateway``, ``replayed``,
    ``bad-setup``, and those of `parse1`.
    """
    parsed = parse1(data, LARGEST)
    if parsed.protected.get(CONTENT_TYPE) != MEDIA_TYPE or parsed.payload is None:
        raise SealError("bad-setup", "not a setup file")
    content = cbor.loads(parsed.payload, "bad-setup")
    key = PublicKey.from_cose(content.get("key") if isinstance(content, Mapping) else None)
    if key.thumbprint != trusted:
        raise SealError("wrong-key", f"signed by {key.thumbprint.hex()[:16]}, trusted is {trusted.hex()[:16]}")
    verify1(parsed, key)
    serial, answers, files = _checked(content)
    if content["for"] != box:
        raise SealError("wrong-gateway", f"made for the box {content['for'].hex()[:16]}, this is {box.hex()[:16]}")
    if serial <= last_serial:
        raise SealError("replayed", "this file, or a newer one, has been applied already")
    return SetupFile(serial, answers, files, key)


def _checked(content: Mapping[str, Any]) -> tuple[int, dict[str, str], dict[str, bytes]]:
    if set(content) != _MEMBERS or content["v"] != 1:
        raise SealError("bad-setup", "not of version 1")
    box, serial, answers, files = (content[name] for name in ("for", "serial", "answers", "files"))
    if not isinstance(box, bytes) or len(box) != 32:
        raise SealError("bad-setup", "the box is not named by a thumbprint")
    if isinstance(serial, bool) or not isinstance(serial, int) or not 0 < serial < 2**63:
        raise SealError("bad-setup", "the serial is no number above 0")
    if not isinstance(answers, Mapping) or not all(
        name in ANSWERS and isinstance(value, str) for name, value in answers.items()
    ):
        raise SealError("bad-setup", f"answers are texts, named {', '.join(sorted(ANSWERS))}")
    if not isinstance(files, Mapping) or not all(
        name in FILES and isinstance(value, bytes) for name, value in files.items()
    ):
        raise SealError("bad-setup", f"files are bytes, named {', '.join(sorted(FILES))}")
    return serial, dict(answers), dict(files)
