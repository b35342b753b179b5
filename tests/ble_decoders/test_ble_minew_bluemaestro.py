"""Minew: reelyactive/advlib-ble-services and advlib-ble-manufacturers test/unit/minew (MIT). Blue Maestro: captures
(live-proxy.json) and frames as the maker's app decodes them (bmlogger-13.8.4.json), both of
Bluetooth-Devices/bluemaestro-ble tests/fixtures (Apache-2.0)."""

import pytest
from ble_tools import OUT_OF_RANGE, fault_of, never_decoded_when_cut, values

from firmware_interfaces.ble.decoders import bluemaestro, minew
from firmware_interfaces.ble.decoders.nouns import Fault


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("a1016315803200aabbccddeeff", {"temperature": 21.5, "humidity": 50.0, "battery": 99}),
        ("a10163ed806500aabbccddeeff", {"temperature": -18.5, "humidity": OUT_OF_RANGE, "battery": 99}),
        ("a1024501aabbccddeeff", {"light": 1, "battery": 69}),
        (
            "a10364ff8000000080aabbccddeeff",
            {"acceleration_x": -0.5, "acceleration_y": 0.0, "acceleration_z": 0.5, "battery": 100},
        ),
        ("a105644000aabbccddeeff", {"illuminance": 16384, "battery": 100}),
        ("a111320001aabbccddeeff", {"motion": 1, "battery": 50}),
        ("a113631973aabbccddeeff", {"temperature": 25.44921875, "battery": 99}),
        ("a118321234567801aabbccddeeff", {"vibration": 1, "battery": 50}),
        ("a1204501aabbccddeeff", {"tamper": 1, "battery": 69}),
        ("a1216301aabbccddeeff", {"water_detected": 1, "battery": 99}),
    ],
)
def test_minew_service_frames(data: str, wanted: dict[str, object]) -> None:
    assert values(minew.decode_service(bytes.fromhex(data))) == wanted
    never_decoded_when_cut(minew.decode_service, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (
            "a30364197348466745233123ac007ad3",
            {"temperature": 25.44921875, "humidity": 72.2734375, "battery": 100},
        ),
        ("a40163010001ff6745233123ac1234", {"door_open": 1, "tamper": 0, "battery": 99}),
        ("ca006745233123ac6421870000000000000000001234abcd", {"battery": 100}),
        (
            "ca05000000197348466d696e65770000000000001234abcd",
            {"temperature": 25.44921875, "humidity": 72.2734375},
        ),
        ("ca05010200197348466d696e65770000000100001234abcd", {"temperature": 25.44921875}),
        (
            "ca1b010007000165332211ac05ef197300c5000000000010",
            {"temperature": 25.44921875, "battery_voltage": 1.519, "tx_power": -59},
        ),
    ],
)
def test_minew_manufacturer_frames(data: str, wanted: dict[str, object]) -> None:
    assert values(minew.decode(bytes.fromhex(data))) == wanted
    never_decoded_when_cut(minew.decode, bytes.fromhex(data))


def test_minew_blocks() -> None:
    decoded = minew.decode(bytes.fromhex("ca030300050005ff0421643a7ac951"))
    assert values(decoded) == {
        "acceleration_x": 0.01953125,
        "acceleration_y": 0.01953125,
        "acceleration_z": -0.984375,
        "battery": 100,
    }
    assert values(minew.decode(bytes.fromhex("ca03216499ffffffff3a7ac951"))) == {"battery": 100}
    assert "0x99" in minew.decode(bytes.fromhex("ca03216499ffffffff3a7ac951")).note


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", Fault.TRUNCATED),
        ("a301010017000b00010100006745233123ac23d3", Fault.NO_READINGS),
        ("51012345220100efb598c3b498c0b63cbed37ebd0398bd", Fault.UNKNOWN_VERSION),
        ("ca18007f230110320000000000000000000000001234abcd", Fault.UNKNOWN_VERSION),
        ("ca1b810007000165332211ac05ef197300c5000000000010", Fault.UNKNOWN_VERSION),
        ("ca05", Fault.TRUNCATED),
        ("ca0303000500", Fault.NO_READINGS),
        ("ca03030005003a7ac951", Fault.TRUNCATED),
        ("ca0399003a7ac951", Fault.UNKNOWN_OBJECT),
    ],
)
def test_minew_faults(data: str, fault: Fault) -> None:
    assert fault_of(minew.decode, bytes.fromhex(data)) is fault


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("a1", Fault.TRUNCATED),
        ("a107aabbccddeeff", Fault.NO_READINGS),
        ("a1176304840000aabbccddeeff", Fault.UNKNOWN_VERSION),
        ("b2016315803200aabbccddeeff", Fault.FOREIGN),
    ],
)
def test_minew_service_faults(data: str, fault: Fault) -> None:
    assert fault_of(minew.decode_service, bytes.fromhex(data)) is fault


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("08570000000000f2", {"battery": 87, "temperature": 24.2}),
        ("085700000000ff85", {"battery": 87, "temperature": -12.3}),
        ("0d5700000000ff85", {"battery": 87, "temperature": -12.3}),
        ("0d61070817a000600100", {"battery": 97, "temperature": 9.6}),
        ("0d5d02583cdf004c0100", {"battery": 93, "temperature": 7.6}),
        ("176403841770005f02d2002f0100", {"battery": 100, "temperature": 9.5, "humidity": 72.2}),
        ("175700000000ff850352", {"battery": 87, "temperature": -12.3, "humidity": 85.0}),
        (
            "16640e10000200f201f200830100",
            {"battery": 100, "temperature": 24.2, "humidity": 49.8, "dew_point": 13.1},
        ),
        ("1b5700000000ff8503522794", {"battery": 87, "temperature": -12.3, "humidity": 85.0, "pressure": 101320}),
        ("29570000000000000000000000000032fb", {"battery": 87, "temperature": -12.3}),
        ("2a570000000000000000000000000032fb3421", {"battery": 87, "temperature": -12.3, "humidity": 85.0}),
        (
            "2b570000000000000000000000000032fb3421cd8b0100",
            {"battery": 87, "temperature": -12.3, "humidity": 85.0, "pressure": 101325},
        ),
        ("1757000000000000ffff", {"battery": 87, "temperature": 0.0, "humidity": OUT_OF_RANGE}),
    ],
)
def test_blue_maestro(data: str, wanted: dict[str, object]) -> None:
    frame = bytes.fromhex(data)
    assert values(bluemaestro.decode(frame)) == wanted
    never_decoded_when_cut(bluemaestro.decode, frame[: bluemaestro.FRAMES[frame[0]].size])


def test_blue_maestro_faults() -> None:
    assert fault_of(bluemaestro.decode, b"") is Fault.TRUNCATED
    assert fault_of(bluemaestro.decode, b"\x0a" + bytes(30)) is Fault.UNKNOWN_VERSION
