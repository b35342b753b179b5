"""Strict CBOR: what is written is deterministic (RFC 8949, 4.2.1), what is read has one meaning or is refused."""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, BinaryIO, Never

import cbor2

from gateway.errors import SealError

MAX_DEPTH = 16

_INTERPRETED = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
"""Tags that cbor2 turns into objects (times, bignums, regular expressions, shared references ...)."""


def _refuse(_value: object, _immutable: bool) -> Never:
    message = "a tag that has no place here"
    raise cbor2.CBORDecodeError(message)


_REFUSED: Mapping[int, Callable[[object, bool], Never]] = dict.fromkeys(_INTERPRETED, _refuse)


def dumps(value: object) -> bytes:
    """Deterministic CBOR. The encoder sorts map keys by length first, as RFC 7049 did; the keys of our formats are
    such that the order of RFC 8949 is the same."""
    return cbor2.dumps(value, canonical=True)


def loads(data: bytes, kind: str) -> Any:
    """One CBOR item that fills ``data`` to its last byte.

    Refused, as `SealError` of the given kind: indefinite lengths, duplicate keys, nesting deeper than
    `MAX_DEPTH`, trailing bytes, and every tag that the decoder would turn into an object. Other tags come back
    as ``CBORTag``; the maps below one are immutable mappings.
    """
    stream = BytesIO(data)
    value = _decode(stream, kind)
    if stream.tell() != len(data):
        raise SealError(kind, f"{len(data) - stream.tell()} bytes after the end")
    return value


def items(stream: BinaryIO, kind: str) -> Iterator[bytes]:
    """The bytes of each item of a CBOR sequence (RFC 8742), one after the other.

    Raises `SealError` of the given kind where the sequence is broken; what follows cannot be found then.
    """
    while True:
        start = stream.tell()
        if not stream.read(1):
            return
        stream.seek(start)
        _decode(stream, kind)
        end = stream.tell()
        stream.seek(start)
        yield stream.read(end - start)


def _decode(stream: BinaryIO, kind: str) -> Any:
    decoder = cbor2.CBORDecoder(
        stream,
        semantic_decoders=_REFUSED,
        max_depth=MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
    )
    try:
        return decoder.decode()
    except cbor2.CBORError as error:
        raise SealError(kind, f"not well-formed CBOR ({error})") from error
