"""Efento: reelyactive/advlib-ble-manufacturers test/unit/efento.js (MIT). Teltonika EYE: the worked example of
wiki.teltonika-gps.com, EYE SENSOR / BTSMP1, "EYE Sensor Bluetooth frame parsing example"."""

import pytest
from ble_tools import OUT_OF_RANGE, fault_of, never_decoded_when_cut, values

from firmware_interfaces.ble.decoders import efento, teltonika
from firmware_interfaces.ble.decoders.nouns import Fault

SENSOR = "0205090100002c07803c0001020645c1003d0e8000005d5d"


def test_efento_sensor_frame() -> None:
    decoded = efento.decode(bytes.fromhex(SENSOR))
    assert values(decoded) == {"temperature": 28.57, "humidity": 61, "battery_low": 0}
    assert decoded.sequence == 11271
    assert "0x06" in decoded.note
    never_decoded_when_cut(efento.decode, bytes.fromhex(SENSOR))
    assert fault_of(efento.decode, bytes.fromhex(SENSOR) + b"\0") is Fault.WRONG_LENGTH


@pytest.mark.parametrize(
    ("types", "slots", "wanted"),
    [
        ("010000", "330400000000", {"temperature": -19.4}),
        ("010000", "ffff00000000", {"temperature": OUT_OF_RANGE}),
        ("020000", "006500000000", {"humidity": OUT_OF_RANGE}),
        ("030000", "279500000000", {"pressure": 101330}),
        ("030000", "ff0000000000", {"pressure": OUT_OF_RANGE}),
        ("040000", "7ff000000000", {"differential_pressure": -16}),
        ("040000", "ff0000000000", {"differential_pressure": OUT_OF_RANGE}),
        ("010100", "45c13a980000", {"temperature": 28.57, "temperature_2": 0.0}),
    ],
)
def test_efento_slots_and_their_error_codes(types: str, slots: str, wanted: dict[str, object]) -> None:
    data = f"0205090000002c07803c00{types}{slots}00005d5d"
    assert values(efento.decode(bytes.fromhex(data))) == wanted | {"battery_low": 1}


def test_efento_values_of_two_bytes() -> None:
    data = bytes.fromhex("040145c102003d0327955d5d")
    assert values(efento.decode(data)) == {"temperature": 28.57, "humidity": 61, "pressure": 101330}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("010000ea", {"temperature": 11.7}),
        ("010001c3", {"temperature": -22.6}),
        ("010000ea0200007a", {"temperature": 11.7, "humidity": 61}),
        ("0300278a", {"pressure": 50610}),
        ("1b00042f", {"humidity": OUT_OF_RANGE}),
        ("027fffff", {"humidity": OUT_OF_RANGE}),
        ("01ffffff", {"temperature": OUT_OF_RANGE}),
        ("0700000200000000", {"water_detected": 1}),
    ],
)
def test_efento_values_in_zigzag(body: str, wanted: dict[str, object]) -> None:
    assert values(efento.decode(bytes.fromhex(f"04{body}5d5d"))) == wanted


def test_efento_frame_that_fits_both_layouts_is_refused() -> None:
    assert fault_of(efento.decode, bytes.fromhex("04" + "01" * 12 + "5d5d")) is Fault.AMBIGUOUS


def test_efento_identity() -> None:
    decoded = efento.decode(bytes.fromhex("031122334455660000010000000000000000000000005d5d"))
    assert (values(decoded), decoded.identity) == ({"battery_low": 0}, "112233445566")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", Fault.TRUNCATED),
        ("05", Fault.UNKNOWN_VERSION),
        ("0311", Fault.TRUNCATED),
        ("04015d5d", Fault.TRUNCATED),
        ("04ff45c15d5d", Fault.WRONG_LENGTH),
    ],
)
def test_efento_faults(data: str, fault: Fault) -> None:
    assert fault_of(efento.decode, bytes.fromhex(data)) is fault


EYE = "01b708b4120ccb0bffc767"


def test_teltonika_worked_example() -> None:
    assert values(teltonika.decode(bytes.fromhex(EYE))) == {
        "temperature": 22.28,
        "humidity": 18,
        "moving": 0,
        "movement_counter": 3275,
        "pitch": 11,
        "roll": -57,
        "battery_voltage": 3.03,
        "magnet": 0,
        "battery_low": 0,
    }
    never_decoded_when_cut(teltonika.decode, bytes.fromhex(EYE))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("0100", {"battery_low": 0}),
        ("0140", {"battery_low": 1}),
        ("0101f8ee", {"temperature": -18.1, "battery_low": 0}),
        ("010c", {"magnet": 1, "battery_low": 0}),
        ("01108001", {"moving": 1, "movement_counter": 1, "battery_low": 0}),
        ("0120a6ff4c", {"pitch": -90, "roll": -180, "battery_low": 0}),
        ("0120800000", {"pitch": OUT_OF_RANGE, "roll": 0, "battery_low": 0}),
        ("0102ff", {"humidity": OUT_OF_RANGE, "battery_low": 0}),
        ("0101abe0", {"temperature": -215.36, "battery_low": 0}),
        ("01018000", {"temperature": OUT_OF_RANGE, "battery_low": 0}),
    ],
)
def test_teltonika_flags_say_what_follows(data: str, wanted: dict[str, object]) -> None:
    assert values(teltonika.decode(bytes.fromhex(data))) == wanted
    assert fault_of(teltonika.decode, bytes.fromhex(data) + b"\0") is Fault.WRONG_LENGTH


def test_teltonika_faults() -> None:
    assert fault_of(teltonika.decode, b"\x01") is Fault.TRUNCATED
    assert fault_of(teltonika.decode, b"\x02\0") is Fault.UNKNOWN_VERSION
