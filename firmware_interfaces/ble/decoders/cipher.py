"""AES-CCM as the sensors use it: a 16-byte key of the sensor's own, 4 bytes of proof."""

from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Fault

__all__ = ["KEY_BYTES", "open_sealed"]

KEY_BYTES = 16
PROOF_BYTES = 4


@lru_cache(maxsize=1024)
def _cipher(key: bytes) -> AESCCM:
    return AESCCM(key, tag_length=PROOF_BYTES)


def open_sealed(
    format_: str,
    context: Context,
    nonce_rest: bytes,
    sealed: bytes,
    *,
    reverse_address: bool,
    also: bytes | None = None,
) -> bytes:
    """The plain bytes of ``sealed`` (cipher text and proof).

    The nonce is the sender's address (``reverse_address``: last byte first) and ``nonce_rest``; ``also`` is proven
    with it. Raises `AdvertFault` where key or address is missing, or the proof is wrong.
    """
    if context.key is None:
        raise AdvertFault(format_, Fault.KEY_NEEDED)
    if context.address is None:
        raise AdvertFault(format_, Fault.ADDRESS_NEEDED)
    if len(sealed) < PROOF_BYTES:
        raise AdvertFault(format_, Fault.TRUNCATED)
    address = context.address[::-1] if reverse_address else context.address
    try:
        return _cipher(context.key).decrypt(address + nonce_rest, sealed, also)
    except InvalidTag:
        raise AdvertFault(format_, Fault.KEY_WRONG) from None
