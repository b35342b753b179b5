"""BTHome v2, open and encrypted, below service 0xFCD2 (bthome.io/format, bthome.io/encryption).

A frame is a byte of facts and then objects, each a byte that names it and a number. An object that the table does
not have ends the reading, since its length is unknown: what stands before it is good. An object that is cut off
spoils the frame: it has been damaged or miscomposed, and nothing in it is believed.
"""

from firmware_interfaces.ble.decoders.bthome_objects import EVENTS, NUMBERS, PACKET_ID, VARIABLE
from firmware_interfaces.ble.decoders.cipher import PROOF_BYTES, open_sealed
from firmware_interfaces.ble.decoders.frame import Frame, Layouts, Sequence_, placed
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["SERVICE", "decode"]

SERVICE = 0xFCD2
FORMAT = "bthome-2"

ENCRYPTED = 0x01
VERSION = 0xE0
VERSION_2 = 0x40
COUNTER_BYTES = 4

SIZES: dict[int, int] = {PACKET_ID: 1, **{ident: row.size for ident, row in NUMBERS.items()}, **EVENTS}


def _layout(data: bytes) -> tuple[bytes, int, int | None]:
    """What objects the frame has (with the length of those that state one), where they end, and what stopped it."""
    layout = bytearray()
    at, end = 1, len(data)
    while at < end:
        ident = data[at]
        size = SIZES.get(ident)
        if size is None:
            if ident not in VARIABLE:
                return bytes(layout), at, ident
            size = data[at + 1] + 1 if at + 1 < end else end
            layout += bytes((ident, size - 1)) if size < end else b"\0"
        else:
            layout.append(ident)
        at += 1 + size
    if at > end:
        raise AdvertFault(FORMAT, Fault.TRUNCATED, f"object 0x{ident:02X}")
    return bytes(layout), at, None


def _build(layout: bytes) -> Frame:
    rows = []
    sequence = None
    steps = iter(layout)
    at = 1
    for ident in steps:
        if ident in VARIABLE:
            at += 2 + next(steps)
            continue
        if ident == PACKET_ID:
            sequence = Sequence_(at + 1, 1, "little")
        elif ident in NUMBERS:
            rows.append((NUMBERS[ident], at + 1))
        at += 1 + SIZES[ident]
    return Frame(FORMAT, at, "little", placed(rows), sequence)


LAYOUTS: Layouts[bytes] = Layouts(_build)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: B008 - a constant
    """Readings of the service data behind the UUID; `Decoded.sequence` is the packet id."""
    if not data:
        raise AdvertFault(FORMAT, Fault.TRUNCATED, "empty")
    facts = data[0]
    if facts & VERSION != VERSION_2:
        raise AdvertFault(FORMAT, Fault.UNKNOWN_VERSION, f"version {facts >> 5}")
    if facts & ENCRYPTED:
        return _decode_encrypted(data, context)
    if context.key is not None:
        raise AdvertFault(FORMAT, Fault.NOT_ENCRYPTED)
    return _decode_open(data)


def _decode_open(data: bytes) -> Decoded:
    layout, end, stopped = _layout(data)
    if stopped is None:
        return LAYOUTS.frame(layout).decode(data)
    if not layout:
        raise AdvertFault(FORMAT, Fault.UNKNOWN_OBJECT, f"0x{stopped:02X}")
    left = len(data) - end
    note = f"{left} bytes from object 0x{stopped:02X} on were not read: it is not in the table"
    return LAYOUTS.frame(layout).decode(data[:end]).with_facts(note=note)


def _decode_encrypted(data: bytes, context: Context) -> Decoded:
    """Cipher text, counter (little-endian), proof; the nonce is address, UUID, facts and counter."""
    tail = COUNTER_BYTES + PROOF_BYTES
    if len(data) < 1 + tail:
        raise AdvertFault(FORMAT, Fault.TRUNCATED)
    counter = data[-tail:-PROOF_BYTES]
    nonce = SERVICE.to_bytes(2, "little") + data[:1] + counter
    sealed = data[1:-tail] + data[-PROOF_BYTES:]
    plain = open_sealed(FORMAT, context, nonce, sealed, reverse_address=False)
    decoded = _decode_open(data[:1] + plain)
    return decoded.with_facts(counter=int.from_bytes(counter, "little"), note=decoded.note)
