"""BTHome v2: the examples of bthome.io/format and bthome.io/encryption, and frames of bthome-ble's tests (MIT)."""

import pytest
from ble_tools import OUT_OF_RANGE, context, fault_of, never_decoded_when_cut, values

from firmware_interfaces.ble.decoders import bthome
from firmware_interfaces.ble.decoders.bthome_objects import BINARY, EVENTS, NUMBERS
from firmware_interfaces.ble.decoders.nouns import Context, Fault

EXAMPLES: list[tuple[str, dict[str, float]]] = [
    ("02c40903bf13", {"temperature": 25.0, "humidity": 50.55}),
    ("0161", {"battery": 97}),
    ("02ca09", {"temperature": 25.06}),
    ("03bf13", {"humidity": 50.55}),
    ("04138a01", {"pressure": 100883}),
    ("05138a14", {"illuminance": 13460.67}),
    ("065e1f", {"mass": 80.3}),
    ("073e1d", {"mass_lb": 74.86}),
    ("08ca06", {"dew_point": 17.38}),
    ("0960", {"count": 96}),
    ("0a138a14", {"energy": 1346.067}),
    ("0b021b00", {"power": 69.14}),
    ("0c020c", {"voltage": 3.074}),
    ("0d120c", {"pm2_5": 3090}),
    ("0e021c", {"pm10": 7170}),
    ("12e204", {"co2": 1250}),
    ("133301", {"tvoc": 307}),
    ("14020c", {"moisture": 30.74}),
    ("2e23", {"humidity": 35}),
    ("2f23", {"moisture": 35}),
    ("3d0960", {"count": 24585}),
    ("3e2a2c0960", {"count": 1611213866}),
    ("3f020c", {"rotation": 307.4}),
    ("400c00", {"distance_mm": 12}),
    ("414e00", {"distance": 7.8}),
    ("424e3400", {"duration": 13.39}),
    ("434e34", {"current": 13.39}),
    ("444e34", {"speed": 133.9}),
    ("451101", {"temperature": 27.3}),
    ("4632", {"uv_index": 5.0}),
    ("478756", {"volume": 2215.1}),
    ("48dc87", {"volume_ml": 34780}),
    ("49dc87", {"flow": 34.78}),
    ("4a020c", {"voltage": 307.4}),
    ("4b138a14", {"gas": 1346.067}),
    ("4c41018a01", {"gas": 25821.505}),
    ("4d12138a14", {"energy": 344593.17}),
    ("4e87562a01", {"volume": 19551.879}),
    ("4f87562a01", {"water": 19551.879}),
    ("505d396164", {"device_time": 1684093277}),
    ("518756", {"acceleration": 22.151}),
    ("528756", {"angular_velocity": 22.151}),
    ("5587562a01", {"volume_storage": 19551.879}),
    ("56e803", {"conductivity": 1000}),
    ("57ea", {"temperature": -22}),
    ("58ea", {"temperature": -7.7}),
    ("59ea", {"count": -22}),
    ("5aeaea", {"count": -5398}),
    ("5bea0234ea", {"count": -365690134}),
    ("5c02fbffff", {"power": -12.78}),
    ("5d02ea", {"current": -5.63}),
    ("5e9f8c", {"direction": 359.99}),
    ("5f8300", {"precipitation": 13.1}),
    ("61ac0d", {"rotational_speed": 3500}),
    ("624099dfff", {"speed": -2.123456}),
    ("630057d0ff", {"acceleration": -3.123456}),
    ("6402", {"light_level": 2}),
    ("2c01", {"vibration": 1}),
    ("1a00", {"door_open": 0}),
    (
        "02ca0945110157ea58ea",
        {"temperature": 25.06, "temperature_2": 27.3, "temperature_3": -22, "temperature_4": -7.7},
    ),
    ("518756518756518756", {"acceleration": 22.151, "acceleration_2": 22.151, "acceleration_3": 22.151}),
    ("3a02", {}),
    ("3c0103", {}),
    ("530c48656c6c6f20576f726c6421", {}),
    ("540c48656c6c6f20576f726c642102ca09", {"temperature": 25.06}),
    ("f00100f100010204f2000106", {}),
]


@pytest.mark.parametrize(("objects", "wanted"), EXAMPLES)
def test_examples_of_the_format(objects: str, wanted: dict[str, float]) -> None:
    data = bytes.fromhex("40" + objects)
    decoded = bthome.decode(data)
    assert values(decoded) == wanted
    assert decoded.note == ""


def test_packet_id_is_the_sequence() -> None:
    assert bthome.decode(bytes.fromhex("4000bd")).sequence == 189
    decoded = bthome.decode(bytes.fromhex("440023015e3a00"))
    assert (decoded.sequence, values(decoded)) == (35, {"battery": 94})


def test_every_object_of_the_table_has_the_size_of_the_format() -> None:
    known = set(NUMBERS) | set(EVENTS) | {0x00, *bthome.VARIABLE}
    assert known == {*range(0x30), 0x3A, *range(0x3C, 0x65), 0xF0, 0xF1, 0xF2}
    assert all(NUMBERS[ident].size == 1 for ident in BINARY)


@pytest.mark.parametrize(("objects", "key"), [("0165", "battery"), ("1a02", "door_open"), ("031127", "humidity")])
def test_what_cannot_be_is_out_of_range(objects: str, key: str) -> None:
    assert values(bthome.decode(bytes.fromhex("40" + objects))) == {key: OUT_OF_RANGE}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", Fault.TRUNCATED),
        ("4002ca", Fault.TRUNCATED),
        ("4002ca0903bf", Fault.TRUNCATED),
        ("405305414243", Fault.TRUNCATED),
        ("4053", Fault.TRUNCATED),
        ("40feca09", Fault.UNKNOWN_OBJECT),
        ("2002ca09", Fault.UNKNOWN_VERSION),
        ("6002ca09", Fault.UNKNOWN_VERSION),
        ("41a47266c95f730011223378237214", Fault.KEY_NEEDED),
    ],
)
def test_named_faults(data: str, fault: Fault) -> None:
    assert fault_of(bthome.decode, bytes.fromhex(data)) is fault


def test_an_unknown_object_ends_the_reading_and_is_named() -> None:
    decoded = bthome.decode(bytes.fromhex("4002ca09fe0102"))
    assert values(decoded) == {"temperature": 25.06}
    assert "0xFE" in decoded.note


ADDRESS, KEY = "54:48:E6:8F:80:A5", "231d39c1d7cc1ab1aee224cd096db932"


@pytest.mark.parametrize(
    ("data", "counter"),
    [("41a47266c95f730011223378237214", 0x33221100), ("41e445f3c9962b332211006c7c4519", 0x00112233)],
)
def test_encrypted_examples(data: str, counter: int) -> None:
    decoded = bthome.decode(bytes.fromhex(data), context(ADDRESS, KEY))
    assert values(decoded) == {"temperature": 25.06, "humidity": 50.55}
    assert decoded.counter == counter
    never_decoded_when_cut(bthome.decode, bytes.fromhex(data), context(ADDRESS, KEY))


def test_a_forged_or_foreign_encrypted_frame_is_not_believed() -> None:
    sealed = bytes.fromhex("41a47266c95f730011223378237214")
    for bit in range(8, 8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        assert fault_of(bthome.decode, bytes(forged), context(ADDRESS, KEY)) is Fault.KEY_WRONG
    assert fault_of(bthome.decode, sealed, context("54:48:E6:8F:80:A6", KEY)) is Fault.KEY_WRONG
    assert fault_of(bthome.decode, sealed, context(ADDRESS, "00" * 16)) is Fault.KEY_WRONG
    assert fault_of(bthome.decode, sealed, Context(key=bytes(16))) is Fault.ADDRESS_NEEDED


def test_a_sensor_with_a_key_is_not_believed_in_the_clear() -> None:
    assert fault_of(bthome.decode, bytes.fromhex("4002ca09"), context(ADDRESS, KEY)) is Fault.NOT_ENCRYPTED
