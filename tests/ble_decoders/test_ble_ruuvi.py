"""Ruuvi: the vectors of the maker's documents (github.com/ruuvi/docs, communication/bluetooth-advertisements)."""

from typing import Any

import pytest
from ble_tools import OUT_OF_RANGE, SENSOR_FAULT, fault_of, never_decoded_when_cut, subset, uncertain, values

from firmware_interfaces.ble.decoders import ruuvi
from firmware_interfaces.ble.decoders.nouns import Fault

VECTORS: list[tuple[str, str, int | None, dict[str, Any]]] = [
    (
        "5 valid",
        "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f",
        205,
        {
            "temperature": 24.3,
            "pressure": 100044,
            "humidity": 53.49,
            "acceleration_x": 0.004,
            "acceleration_y": -0.004,
            "acceleration_z": 1.036,
            "tx_power": 4,
            "battery_voltage": 2.977,
            "movement_counter": 66,
        },
    ),
    (
        "5 maximum",
        "057ffffffefffe7fff7fff7fffffdefefffecbb8334c884f",
        65534,
        {
            "temperature": 163.835,
            "pressure": 115534,
            "humidity": 163.835,
            "acceleration_x": 32.767,
            "acceleration_y": 32.767,
            "acceleration_z": 32.767,
            "tx_power": 20,
            "battery_voltage": 3.646,
            "movement_counter": 254,
        },
    ),
    (
        "5 minimum",
        "058001000000008001800180010000000000cbb8334c884f",
        0,
        {
            "temperature": -163.835,
            "pressure": 50000,
            "humidity": 0.0,
            "acceleration_x": -32.767,
            "tx_power": -40,
            "battery_voltage": 1.6,
            "movement_counter": 0,
        },
    ),
    (
        "5 invalid",
        "058000ffffffff800080008000ffffffffffffffffffffff",
        None,
        dict.fromkeys(
            (
                "temperature",
                "humidity",
                "pressure",
                "acceleration_x",
                "acceleration_y",
                "acceleration_z",
                "battery_voltage",
                "tx_power",
                "movement_counter",
            ),
            SENSOR_FAULT,
        ),
    ),
    (
        "3 valid",
        "03291a1ece1efc18f94202ca0b53",
        None,
        {
            "temperature": 26.3,
            "pressure": 102766,
            "humidity": 20.5,
            "acceleration_x": -1.0,
            "acceleration_y": -1.726,
            "acceleration_z": 0.714,
            "battery_voltage": 2.899,
        },
    ),
    (
        "3 maximum",
        "03ff7f63ffff7fff7fff7fffffff",
        None,
        {"temperature": 127.99, "pressure": 115535, "humidity": 127.5, "battery_voltage": 65.535},
    ),
    (
        "3 minimum",
        "0300ff6300008001800180010000",
        None,
        {"temperature": -127.99, "pressure": 50000, "humidity": 0.0, "acceleration_z": -32.767},
    ),
    (
        "C5 valid (first byte as in the table of the document, not as in its example)",
        "c512fc5394c37cac364200cdcbb8334c884f",
        205,
        {"temperature": 24.3, "pressure": 100044, "humidity": 53.49, "tx_power": 4, "battery_voltage": 2.977},
    ),
    (
        "6 valid",
        "06170c5668c79e007000c90501d9ffcd004c884f",
        205,
        {
            "temperature": 29.5,
            "pressure": 101102,
            "humidity": 55.3,
            "pm2_5": 11.2,
            "co2": 201,
            "voc_index": 10,
            "nox_index": 2,
            "luminosity": 13026.67,
        },
    ),
    (
        "6 maximum, while calibrating",
        "067fff9c40fffe27109c40fafafeffff074c8f4f",
        255,
        {
            "temperature": uncertain(163.835),
            "pm2_5": uncertain(1000.0),
            "co2": uncertain(40000),
            "voc_index": uncertain(500),
            "nox_index": uncertain(500),
            "luminosity": uncertain(65535.0),
        },
    ),
    (
        "6 minimum",
        "0680010000000000000000000000ff00004c884f",
        0,
        {"temperature": -163.835, "pm2_5": 0.0, "co2": 0, "voc_index": 0, "nox_index": 0, "luminosity": 0.0},
    ),
    (
        "6 invalid",
        "068000ffffffffffffffffffffffffffffffffff",
        255,
        dict.fromkeys(
            ("temperature", "humidity", "pressure", "pm2_5", "co2", "voc_index", "nox_index", "luminosity"),
            SENSOR_FAULT,
        ),
    ),
    (
        "E1 valid, while calibrating",
        "e1170c5668c79e0065007004bd11ca00c90a0213e0acffffffdecdee01ffffffffffcbb8334c884f",
        14601710,
        {
            "temperature": uncertain(29.5),
            "pressure": uncertain(101102),
            "humidity": uncertain(55.3),
            "pm1": uncertain(10.1),
            "pm2_5": uncertain(11.2),
            "pm4": uncertain(121.3),
            "pm10": uncertain(455.4),
            "co2": uncertain(201),
            "voc_index": uncertain(20),
            "nox_index": uncertain(4),
            "luminosity": uncertain(13027.0),
        },
    ),
    (
        "E1 invalid",
        "e18000fffffffffffffffffffffffffffffffffffffffffffffffffffeffffffffffffffffffffff",
        None,
        dict.fromkeys(
            ("temperature", "humidity", "pressure", "pm1", "pm10", "co2", "voc_index", "nox_index", "luminosity"),
            SENSOR_FAULT,
        ),
    ),
]


@pytest.mark.parametrize(("title", "data", "sequence", "wanted"), VECTORS, ids=[row[0] for row in VECTORS])
def test_documented_vectors(title: str, data: str, sequence: int | None, wanted: dict[str, Any]) -> None:
    decoded = ruuvi.decode(bytes.fromhex(data))
    assert subset(values(decoded), wanted) == wanted
    assert decoded.sequence == sequence
    never_decoded_when_cut(ruuvi.decode, bytes.fromhex(data))


@pytest.mark.parametrize(("voc", "flags", "wanted"), [(0xFF, 0x00, 510), (0xFF, 0x40, SENSOR_FAULT), (0, 0x40, 1)])
def test_lowest_bit_of_the_voc_index_lies_in_the_flags(voc: int, flags: int, wanted: object) -> None:
    frame = bytearray.fromhex("06170c5668c79e007000c90501d9ffcd004c884f")
    frame[11], frame[16] = voc, flags
    found = values(ruuvi.decode(bytes(frame)))
    assert found["voc_index"] == wanted
    assert found["nox_index"] == 2


def test_lowest_bit_of_the_nox_index_is_another_one() -> None:
    frame = bytearray.fromhex("06170c5668c79e007000c90501d9ffcd004c884f")
    frame[16] = 0x80
    found = values(ruuvi.decode(bytes(frame)))
    assert (found["voc_index"], found["nox_index"]) == (10, 3)


def test_format_3_has_no_hundredths_beyond_99_and_no_negative_zero() -> None:
    frame = bytearray.fromhex("03291a1ece1efc18f94202ca0b53")
    frame[3] = 100
    assert values(ruuvi.decode(bytes(frame)))["temperature"] == OUT_OF_RANGE
    frame[2], frame[3] = 0x80, 0
    assert str(values(ruuvi.decode(bytes(frame)))["temperature"]) == "0.0"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", Fault.TRUNCATED),
        ("04", Fault.UNKNOWN_VERSION),
        ("0812fc5394c37c0004fffc040cac364200cdcbb8334c884f", Fault.UNKNOWN_VERSION),
        ("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f00", Fault.WRONG_LENGTH),
    ],
)
def test_named_faults(data: str, fault: Fault) -> None:
    assert fault_of(ruuvi.decode, bytes.fromhex(data)) is fault
