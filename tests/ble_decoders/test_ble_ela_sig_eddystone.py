"""ELA Blue Puck in both formats, service data of the Bluetooth SIG, Eddystone telemetry.

Vectors: reelyactive/advlib-ble-manufacturers and advlib-ble-services test/unit (MIT); ELA on the air:
custom-components/ble_monitor issue 1083 and test/test_teltonika.py (MIT); TLM: google/eddystone tlm-plain.md.
"""

import pytest
from ble_tools import OUT_OF_RANGE, SENSOR_FAULT, Decoder, fault_of, never_decoded_when_cut, values

from firmware_interfaces.ble.decoders import eddystone, ela, sig
from firmware_interfaces.ble.decoders.nouns import Fault


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("123906", {"temperature": 15.93}),
        ("122e07", {"temperature": 18.38}),
        ("12850a", {"temperature": 26.93}),
        ("1218fc", {"temperature": -10.0}),
        ("213012b80a", {"humidity": 48, "temperature": 27.44}),
        ("216512b80a", {"humidity": OUT_OF_RANGE, "temperature": 27.44}),
        ("120080", {"temperature": OUT_OF_RANGE}),
        ("320a00", {"contact": 0, "event_counter": 5}),
        ("32ffff", {"contact": 1, "event_counter": 32767}),
        ("420c00", {"motion": 0, "event_counter": 6}),
        ("56b8ffecffacfc", {"acceleration_x": -0.072, "acceleration_y": -0.02, "acceleration_z": -0.852}),
        ("620a00", {"input": 0, "event_counter": 5}),
        ("929c00", {"motion": 0, "event_counter": 78}),
        ("b29c00", {"pressed": 0, "event_counter": 78}),
        ("f145", {"battery": 69}),
        ("f2ac0b", {"battery_voltage": 2.988}),
    ],
)
def test_ela_frames(data: str, wanted: dict[str, object]) -> None:
    assert values(ela.decode(bytes.fromhex(data))) == wanted
    never_decoded_when_cut(ela.decode, bytes.fromhex(data))
    assert fault_of(ela.decode, bytes.fromhex(data) + b"\0") is Fault.WRONG_LENGTH


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("06aabbccddeeff", Fault.NO_READINGS),
        ("77", Fault.UNKNOWN_VERSION),
        ("213013b80a", Fault.UNKNOWN_OBJECT),
        ("", Fault.TRUNCATED),
    ],
)
def test_ela_faults(data: str, fault: Fault) -> None:
    assert fault_of(ela.decode, bytes.fromhex(data)) is fault


@pytest.mark.parametrize(
    ("decoder", "data", "wanted"),
    [
        (sig.decode_temperature, "3408", {"temperature": 21.0}),
        (sig.decode_temperature, "2efb", {"temperature": -12.34}),
        (sig.decode_temperature, "860b", {"temperature": 29.5}),
        (sig.decode_temperature, "a304", {"temperature": 11.87}),
        (sig.decode_temperature, "0080", {"temperature": SENSOR_FAULT}),
        (sig.decode_temperature, "0180", {"temperature": OUT_OF_RANGE}),
        (sig.decode_humidity, "391b", {"humidity": 69.69}),
        (sig.decode_humidity, "ffff", {"humidity": SENSOR_FAULT}),
        (sig.decode_humidity, "1127", {"humidity": OUT_OF_RANGE}),
        (sig.decode_humidity, "23", {"humidity": 35}),
        (sig.decode_pressure, "02760f00", {"pressure": 101325.0}),
        (sig.decode_battery, "45", {"battery": 69}),
        (sig.decode_battery, "65", {"battery": OUT_OF_RANGE}),
    ],
)
def test_sig_service_data(decoder: Decoder, data: str, wanted: dict[str, object]) -> None:
    assert values(decoder(bytes.fromhex(data))) == wanted


@pytest.mark.parametrize(
    "decoder", [sig.decode_temperature, sig.decode_humidity, sig.decode_pressure, sig.decode_battery]
)
def test_sig_lengths(decoder: Decoder) -> None:
    assert fault_of(decoder, b"") is Fault.TRUNCATED
    assert fault_of(decoder, bytes(5)) is Fault.WRONG_LENGTH


def test_eddystone_telemetry() -> None:
    decoded = eddystone.decode(bytes.fromhex("20000bb815000000004500000258"))
    assert values(decoded) == {"battery_voltage": 3.0, "temperature": 21.0, "uptime": 60.0}
    assert decoded.sequence == 69
    never_decoded_when_cut(eddystone.decode, bytes.fromhex("20000bb815000000004500000258"))


def test_eddystone_below_zero_and_unsupported() -> None:
    assert values(eddystone.decode(bytes.fromhex("20000bb8ed800000004500000258")))["temperature"] == -18.5
    assert values(eddystone.decode(bytes.fromhex("2000000080000000004500000258"))) == {
        "battery_voltage": SENSOR_FAULT,
        "temperature": SENSOR_FAULT,
        "uptime": 60.0,
    }


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("00fc00112233445566778899aabbccddeeff0000", Fault.NO_READINGS),
        ("10000367657470617265746f07", Fault.NO_READINGS),
        ("30fc0011223344556677", Fault.NO_READINGS),
        ("2001112233445566778899aabbcc5a17c4ec", Fault.UNKNOWN_VERSION),
        ("20020bb815000000004500000258", Fault.UNKNOWN_VERSION),
        ("20000bb81500000000450000025800", Fault.WRONG_LENGTH),
        ("99", Fault.UNKNOWN_VERSION),
    ],
)
def test_eddystone_faults(data: str, fault: Fault) -> None:
    assert fault_of(eddystone.decode, bytes.fromhex(data)) is fault
