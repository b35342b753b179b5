"""Xiaomi MiBeacon, open (versions 2 to 5) and encrypted (4 and 5), below service 0xFE95.

Source: custom-components/ble_monitor ble_parser/xiaomi.py with test/test_xiaomi_parser.py (MIT);
pvvx/ATC_MiThermometer InfoMijiaBLE. Frame control (two bytes, little-endian), product, frame counter; then, as
the control says, address and capabilities; then objects: name (two bytes), length, little-endian numbers.
Encrypted: the objects as cipher text, three more bytes of counter, the proof. Objects in floating point and
those not listed end the reading.
"""

from firmware_interfaces.ble.decoders.cipher import PROOF_BYTES, open_sealed
from firmware_interfaces.ble.decoders.consumer import not_for_ccp
from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO, Frame, Layouts, Quantity, placed
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault

__all__ = ["OBJECTS", "SERVICE", "decode", "not_for_ccp"]

SERVICE = 0xFE95
FORMAT = "mibeacon"

ENCRYPTED, ADDRESS, CAPABILITY, OBJECT = 0x08, 0x10, 0x20, 0x40
IO_CAPABILITY = 0x20
HEADER = 5
COUNTER_BYTES = 3
AUTHENTICATED = b"\x11"

_TEMPERATURE = Quantity(key="temperature", unit="degC", size=2, signed=True, places=1, low=ABSOLUTE_ZERO)
_HUMIDITY = Quantity(key="humidity", unit="%RH", size=2, places=1, high=100)

OBJECTS: dict[tuple[int, int], tuple[tuple[Quantity, int], ...]] = {
    (0x1004, 2): ((_TEMPERATURE, 0),),
    (0x1006, 2): ((_HUMIDITY, 0),),
    (0x1007, 3): ((Quantity(key="illuminance", unit="lx", size=3), 0),),
    (0x1008, 1): ((Quantity(key="moisture", unit="%", high=100), 0),),
    (0x1009, 2): ((Quantity(key="conductivity", unit="uS/cm", size=2), 0),),
    (0x100A, 1): ((Quantity(key="battery", unit="%", high=100), 0),),
    (0x100D, 4): ((_TEMPERATURE, 0), (_HUMIDITY, 2)),
    (0x4C02, 1): ((Quantity(key="humidity", unit="%RH", high=100), 0),),
}
"""By name and length: quantities, and where they lie in the object."""


def _build(layout: tuple[tuple[int, int], ...]) -> Frame:
    rows = []
    at = 0
    for ident in layout:
        rows += [(quantity, at + 3 + place) for quantity, place in OBJECTS[ident]]
        at += 3 + ident[1]
    return Frame(FORMAT, at, "little", placed(rows))


LAYOUTS: Layouts[tuple[tuple[int, int], ...]] = Layouts(_build)


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: B008 - a constant
    """Readings of the service data behind the UUID; `Decoded.sequence` is the frame counter."""
    if len(data) < HEADER:
        raise AdvertFault(FORMAT, Fault.TRUNCATED)
    control, version = data[0], data[1] >> 4
    if not 2 <= version <= 5:
        raise AdvertFault(FORMAT, Fault.UNKNOWN_VERSION, f"version {version}")
    if not control & OBJECT:
        raise AdvertFault(FORMAT, Fault.NO_READINGS)
    at, address = _header(data, control, context)
    if control & ENCRYPTED:
        if version < 4:
            raise AdvertFault(FORMAT, Fault.UNKNOWN_VERSION, f"encrypted in the way of version {version}")
        plain, counter = _open(data, at, Context(address, context.key))
        return _objects(plain, None, counter)
    if context.key is not None:
        raise AdvertFault(FORMAT, Fault.NOT_ENCRYPTED)
    return _objects(data[at:], data[4], None)


def _header(data: bytes, control: int, context: Context) -> tuple[int, bytes | None]:
    """Where the objects begin, and the sender's address."""
    at, address = HEADER, context.address
    if control & ADDRESS:
        stated = data[at + 5 : at - 1 : -1]
        at += 6
        if len(stated) == 6 and address is not None and stated != address:
            raise AdvertFault(FORMAT, Fault.FOREIGN, "holds another address than its sender's")
        address = stated
    if control & CAPABILITY:
        at += 3 if at < len(data) and data[at] & IO_CAPABILITY else 1
    if at > len(data):
        raise AdvertFault(FORMAT, Fault.TRUNCATED)
    return at, address


def _open(data: bytes, at: int, context: Context) -> tuple[bytes, int]:
    tail = COUNTER_BYTES + PROOF_BYTES
    if len(data) < at + tail:
        raise AdvertFault(FORMAT, Fault.TRUNCATED)
    count = data[-tail:-PROOF_BYTES]
    plain = open_sealed(
        FORMAT,
        context,
        data[2:HEADER] + count,
        data[at:-tail] + data[-PROOF_BYTES:],
        reverse_address=True,
        also=AUTHENTICATED,
    )
    return plain, int.from_bytes(data[4:HEADER] + count, "little")


def _objects(data: bytes, sequence: int | None, counter: int | None) -> Decoded:
    layout = []
    at, end = 0, len(data)
    while at < end:
        if at + 3 > end or at + 3 + data[at + 2] > end:
            raise AdvertFault(FORMAT, Fault.TRUNCATED)
        ident = (data[at] | data[at + 1] << 8, data[at + 2])
        if ident not in OBJECTS:
            break
        layout.append(ident)
        at += 3 + ident[1]
    if not layout:
        raise AdvertFault(FORMAT, Fault.UNKNOWN_OBJECT if data else Fault.NO_READINGS)
    note = "" if at == end else f"{end - at} bytes were not read: their object is not in the table"
    return LAYOUTS.frame(tuple(layout)).decode(data[:at]).numbered(sequence, counter, note)
