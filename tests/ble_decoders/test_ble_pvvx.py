"""pvvx and atc1441: frames of custom-components/ble_monitor test/test_atc_parser.py (MIT)."""

import pytest
from ble_tools import NONE, OUT_OF_RANGE, context, fault_of, never_decoded_when_cut, values
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from firmware_interfaces.ble.decoders import pvvx
from firmware_interfaces.ble.decoders.nouns import Fault

KEY = "b9ea895fac7eea6d30532432a516f3a3"
ADDRESS = "A4:C1:38:8D:18:B2"


@pytest.mark.parametrize(
    ("address", "data", "sequence", "wanted"),
    [
        (
            "A4C1380283F4",
            "a4c1380283f400a22f5f0bf819",
            25,
            {"temperature": 16.2, "humidity": 47, "battery": 95, "battery_voltage": 3.064},
        ),
        (
            "A4C138BC7C4E",
            "a4c138bc7c4e0102284f0b6720",
            32,
            {"temperature": 25.8, "humidity": 40, "battery": 79, "battery_voltage": 2.919},
        ),
        (
            "A4C1380283F4",
            "f4830238c1a4a9066911b60b58f70d",
            247,
            {"temperature": 17.05, "humidity": 44.57, "battery": 88, "battery_voltage": 2.998, "reed_switch": 1},
        ),
        (
            "A4C1388D18B2",
            "b2188d38c1a42b089011f70a43200f",
            32,
            {"temperature": 20.91, "humidity": 44.96, "battery": 67, "battery_voltage": 2.807, "reed_switch": 1},
        ),
        (
            "A4C13863378B",
            "8b376338c1a4ce0913107f0b521204",
            18,
            {"temperature": 25.1, "humidity": 41.15, "battery": 82, "battery_voltage": 2.943, "reed_switch": 0},
        ),
    ],
)
def test_open_frames(address: str, data: str, sequence: int, wanted: dict[str, object]) -> None:
    for where in (NONE, context(address)):
        decoded = pvvx.decode(bytes.fromhex(data), where)
        assert (values(decoded), decoded.sequence) == (wanted, sequence)
    assert fault_of(pvvx.decode, bytes.fromhex(data), context("A4C138000000")) is Fault.FOREIGN
    assert fault_of(pvvx.decode, bytes.fromhex(data), context(address, KEY)) is Fault.NOT_ENCRYPTED
    never_decoded_when_cut(pvvx.decode, bytes.fromhex(data), context(address))


SEALED = bytes.fromhex("11d603fbfa7b6dfb1e26fd")


def test_encrypted_custom_frame() -> None:
    decoded = pvvx.decode(SEALED, context(ADDRESS, KEY))
    assert values(decoded) == {"temperature": 23.45, "humidity": 41.73, "battery": 61, "reed_switch": 0}
    assert decoded.sequence == 17
    never_decoded_when_cut(pvvx.decode, SEALED, context(ADDRESS, KEY))


def test_encrypted_atc1441_frame_composed() -> None:
    """Composed by the documented scheme (no published capture was found): nonce address, header, counter; 0x11."""
    where = context(ADDRESS, KEY)
    assert where.address is not None
    nonce = where.address[::-1] + bytes.fromhex("0b161a1807")
    sealed = AESCCM(bytes.fromhex(KEY), tag_length=4).encrypt(nonce, bytes([81, 101, 0x80 | 88]), b"\x11")
    decoded = pvvx.decode(b"\x07" + sealed, where)
    assert values(decoded) == {"temperature": 0.5, "humidity": 50.5, "battery": 88, "reed_switch": 1}
    assert decoded.sequence == 7


def test_forged_and_keyless() -> None:
    assert fault_of(pvvx.decode, SEALED) is Fault.KEY_NEEDED
    assert fault_of(pvvx.decode, SEALED, context(ADDRESS, "00" * 16)) is Fault.KEY_WRONG
    assert fault_of(pvvx.decode, bytes(11), context(ADDRESS, KEY)) is Fault.KEY_WRONG
    assert fault_of(pvvx.decode, bytes(9)) is Fault.WRONG_LENGTH


def test_what_the_sensor_cannot_measure() -> None:
    assert values(pvvx.decode(bytes.fromhex("f4830238c1a4008001ffb60b65f70d"))) == {
        "temperature": OUT_OF_RANGE,
        "humidity": OUT_OF_RANGE,
        "battery": OUT_OF_RANGE,
        "battery_voltage": 2.998,
        "reed_switch": 1,
    }
