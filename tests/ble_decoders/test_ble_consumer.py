"""Consumer sensors: frames of custom-components/ble_monitor test/ (MIT): govee, thermobeacon, qingping, xiaomi."""

import pytest
from ble_tools import NONE, OUT_OF_RANGE, SENSOR_FAULT, Decoder, context, fault_of, never_decoded_when_cut, values

from firmware_interfaces.ble.decoders.consumer import govee, mibeacon, qingping, thermobeacon
from firmware_interfaces.ble.decoders.nouns import Context, Fault

GVH = Context(name="GVH5102_CB9B")


@pytest.mark.parametrize(
    ("decoder", "data", "where", "wanted"),
    [
        (govee.decode_ec88, "0003215d6400", NONE, {"temperature": 20.5, "humidity": 14.9, "battery": 100}),
        (govee.decode_ec88, "00012d6e6400", NONE, {"temperature": 7.7, "humidity": 16.6, "battery": 100}),
        (govee.decode_ec88, "00811f0d6400", NONE, {"temperature": -7.3, "humidity": 48.5, "battery": 100}),
        (
            govee.decode_ec88,
            "0003215de400",
            NONE,
            {"temperature": SENSOR_FAULT, "humidity": SENSOR_FAULT, "battery": 100},
        ),
        (govee.decode_ec88, "0088078c116402", NONE, {"temperature": 19.28, "humidity": 44.92, "battery": 100}),
        (govee.decode_ec88, "00ba0af90f63020101", NONE, {"temperature": 27.46, "humidity": 40.89, "battery": 99}),
        (govee.decode_8801, "ec000101a00aa2175b", NONE, {"temperature": 27.2, "humidity": 60.5, "battery": 91}),
        (govee.decode_borrowed, "010103cb0164", GVH, {"temperature": 24.8, "humidity": 57.7, "battery": 100}),
        (
            govee.decode_borrowed,
            "01000103a00f640000"[:4] + "0003a00f640000",
            GVH,
            {"temperature": 23.7, "humidity": 58.3, "battery": 100, "outdoor": 0},
        ),
    ],
)
def test_govee(decoder: Decoder, data: str, where: Context, wanted: dict[str, object]) -> None:
    assert values(decoder(bytes.fromhex(data), where)) == wanted


def test_govee_below_a_borrowed_company_needs_its_name() -> None:
    assert fault_of(govee.decode_borrowed, bytes.fromhex("010103cb0164")) is Fault.FOREIGN
    assert fault_of(govee.decode_ec88, bytes(5)) is Fault.WRONG_LENGTH
    assert values(govee.decode_ec88(bytes.fromhex("007ffff86400"), NONE))["temperature"] == OUT_OF_RANGE


@pytest.mark.parametrize(
    ("address", "data", "wanted"),
    [
        (
            "06:88:00:00:16:27",
            "00002716000088063c0c8f01a103b9d70300",
            {"temperature": 24.9375, "humidity": 58.0625, "battery_voltage": 3.132, "uptime": 251833},
        ),
        (
            "70:F1:00:00:0E:DC",
            "0000dc0e0000f1706a0b8101d70283270500",
            {"temperature": 24.0625, "humidity": 45.4375, "battery_voltage": 2.922, "uptime": 337795},
        ),
        (
            "06:88:00:00:16:27",
            "00002716000088063c0ce8ffa103b9d70300",
            {"temperature": -1.5, "humidity": 58.0625, "battery_voltage": 3.132, "uptime": 251833},
        ),
    ],
)
def test_thermobeacon(address: str, data: str, wanted: dict[str, object]) -> None:
    frame = bytes.fromhex(data)
    assert values(thermobeacon.decode(frame, context(address))) == wanted
    never_decoded_when_cut(thermobeacon.decode, frame, context(address))
    assert fault_of(thermobeacon.decode, frame) is Fault.ADDRESS_NEEDED
    assert fault_of(thermobeacon.decode, frame, context("00:00:00:00:00:00")) is Fault.FOREIGN


@pytest.mark.parametrize(
    ("data", "sequence", "wanted"),
    [
        (
            "08096F1C40342D580104BE000D02070272260201" + "57",
            None,
            {"temperature": 19.0, "humidity": 52.5, "pressure": 98420, "battery": 87},
        ),
        ("080CBF6552342D580104F100AD01020125", None, {"temperature": 24.1, "humidity": 42.9, "battery": 37}),
        ("0807B24410342D580104CA004502020138", None, {"temperature": 20.2, "humidity": 58.1, "battery": 56}),
        ("0812005E60342D580201640F011C09048B090000", 28, {"battery": 100, "illuminance": 2443}),
        ("4812005E60342D581101010F0130", 48, {"light": 1}),
        (
            "080EA3808FE64854010422014C011204710072001302ED03",
            None,
            {"temperature": 29.0, "humidity": 33.2, "pm2_5": 113, "pm10": 114, "co2": 1005},
        ),
    ],
)
def test_qingping(data: str, sequence: int | None, wanted: dict[str, object]) -> None:
    decoded = qingping.decode(bytes.fromhex(data))
    assert (values(decoded), decoded.sequence) == (wanted, sequence)


def test_qingping_faults() -> None:
    assert fault_of(qingping.decode, b"\x08\x09") is Fault.TRUNCATED
    assert fault_of(qingping.decode, bytes(8)) is Fault.UNKNOWN_VERSION
    frame = bytes.fromhex("0807B24410342D580104CA004502020138")
    assert fault_of(qingping.decode, frame, context("58:2D:34:10:44:B3")) is Fault.FOREIGN
    assert fault_of(qingping.decode, frame[:-1], context("58:2D:34:10:44:B2")) is Fault.TRUNCATED


@pytest.mark.parametrize(
    ("address", "data", "sequence", "wanted"),
    [
        ("58:2D:34:35:93:21", "5020aa01da219335342d580d1004fe004802", 218, {"temperature": 25.4, "humidity": 58.4}),
        ("A4:C1:38:B4:94:4C", "30585b05034c94b438c1a40d10041001ea01", None, None),
        ("C4:7C:8D:6B:4F:F3", "7120980012f34f6b8d7cc40d041002c400", 18, {"temperature": 19.6}),
        ("C4:7C:8D:6D:59:3E", "7120BC03CD3E596D8D7CC40D0410023C01", 205, {"temperature": 31.6}),
    ],
)
def test_mibeacon_open(address: str, data: str, sequence: int | None, wanted: dict[str, object] | None) -> None:
    frame = bytes.fromhex(data)
    if wanted is None:
        # Its control does not say that there are objects: a frame that is odd in itself is not read.
        assert fault_of(mibeacon.decode, frame, context(address)) is Fault.NO_READINGS
        return
    decoded = mibeacon.decode(frame, context(address))
    assert (values(decoded), decoded.sequence) == (wanted, sequence)
    never_decoded_when_cut(mibeacon.decode, frame, context(address))
    assert fault_of(mibeacon.decode, frame, context("00:00:00:00:00:00")) is Fault.FOREIGN
    assert fault_of(mibeacon.decode, frame, context(address, "00" * 16)) is Fault.NOT_ENCRYPTED


@pytest.mark.parametrize(
    ("address", "key", "data", "counter", "wanted"),
    [
        (
            "5A:58:2D:34:12:5F",
            "814aac74c4f17b6c1581e1ab87816b99",
            "5858480b685f12342d585a0b1841e2aa000e00a4964fb5",
            0x000E0068,
            {"humidity": 59.6},
        ),
        (
            "58:2D:34:12:20:89",
            "a3bfe9853dd85a620debe3620caaa351",
            "58586f0607892012342d585f176dd54f0200002fa453fa",
            0x00000207,
            {"temperature": 22.6},
        ),
        (
            "A4:C1:38:56:53:84",
            "a115210eed7a88e50ad52662e732a9fb",
            "5858e4162c84535638c1a42b6ef2e91200006c884d9e",
            0x0000122C,
            {"humidity": 58},
        ),
        (
            "A4:C1:38:02:83:F4",
            "e9ea895fac7cca6d30532432a516f3a8",
            "58585b0550f4830238c1a495ef58763c26000097e2abb5",
            0x00002650,
            {"humidity": 46.7},
        ),
    ],
)
def test_mibeacon_encrypted(address: str, key: str, data: str, counter: int, wanted: dict[str, object]) -> None:
    frame = bytes.fromhex(data)
    decoded = mibeacon.decode(frame, context(address, key))
    assert (values(decoded), decoded.counter) == (wanted, counter)
    never_decoded_when_cut(mibeacon.decode, frame, context(address, key))
    assert fault_of(mibeacon.decode, frame, context(address)) is Fault.KEY_NEEDED
    assert fault_of(mibeacon.decode, frame, context(address, "00" * 16)) is Fault.KEY_WRONG


def test_mibeacon_floats_are_not_read() -> None:
    where = context("2C:11:65:25:70:04", "b2cf9a553d53571b5657defd582d676e")
    frame = bytes.fromhex("48590312a41b776e7c96add7000000f2bf545b")
    assert fault_of(mibeacon.decode, frame, where) is Fault.UNKNOWN_OBJECT


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("5020aa01", Fault.TRUNCATED),
        ("5010aa01da219335342d580d1004fe004802", Fault.UNKNOWN_VERSION),
        ("5830aa01da219335342d580d1004fe004802", Fault.UNKNOWN_VERSION),
        ("1020aa01da219335342d58", Fault.NO_READINGS),
        ("5020aa01da219335342d580310030100ff", Fault.UNKNOWN_OBJECT),
    ],
)
def test_mibeacon_faults(data: str, fault: Fault) -> None:
    assert fault_of(mibeacon.decode, bytes.fromhex(data)) is fault


def test_all_are_marked() -> None:
    assert all(module.not_for_ccp for module in (govee, thermobeacon, qingping, mibeacon))
