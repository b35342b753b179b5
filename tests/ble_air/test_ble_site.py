"""Bluetooth in a site file: what is right, and every mistake with its place and remedy."""

from pathlib import Path

import pytest

from gateway.config import explain
from gateway.config.check import check_site

HEAD = """
[gateway]
member = "m"
site = "s"
id = "g"
"""
BUS = """
[[bus]]
id = "air"
type = "ble"
adapters = ["hci0"]
"""
TAG = """
[[device]]
id = "chiller"
bus = "air"
model = "ruuvi-tag"
address = "cb:b8:33:4c:88:4f"
period = "1min"
channels = ["temperature", "rssi"]
"""
POINT = """
[[point]]
id = "chiller"
name = "Chiller"
channel = "chiller.temperature"
"""
TCP = """
[[bus]]
id = "line"
type = "modbus-tcp"
host = "192.168.1.20"
"""
METER = """
[[device]]
id = "meter"
bus = "line"
model = "xy-md02"
unit = 1
period_s = 10
"""


def problems(text: str, base: Path = Path("/nowhere")) -> list[str]:
    return [
        f"{problem.path}: {problem.what}; {problem.remedy}" for problem in check_site(text, "site.toml", base)[1]
    ]


def test_a_right_file() -> None:
    site, found = check_site(HEAD + BUS + TAG + TCP + METER + POINT, "site.toml", Path("/srv"))
    assert found == []
    assert site is not None
    air, _ = site.buses
    assert (air.kind, air.adapters, air.scan) == ("ble", ("hci0",), "auto")
    tag, meter = site.devices
    assert (tag.address, tag.unit, tag.model, tag.channels) == (
        "CB:B8:33:4C:88:4F",
        0,
        "ruuvi-tag",
        ("temperature", "rssi"),
    )
    assert (meter.unit, meter.address, meter.key_file) == (1, "", None)
    words = explain(site)
    assert "bus air: Bluetooth LE, hci0" in words
    assert "chiller: RuuviTag, CB:B8:33:4C:88:4F, 2 values every 60 s" in words


def test_keys_stand_in_files_beside_the_site_file(tmp_path: Path) -> None:
    text = HEAD + BUS + TAG + 'key_file = "chiller.key"\n'
    (said,) = problems(text, tmp_path)
    assert said.startswith("device[1].key_file: chiller.key: No such file")
    site, _ = check_site(text, "site.toml", tmp_path)
    assert site is not None
    assert site.devices[0].key_file == tmp_path / "chiller.key"
    (tmp_path / "chiller.key").write_text("zz")
    assert "is not hexadecimal" in problems(text, tmp_path)[0]
    (tmp_path / "chiller.key").write_text("1234")
    assert "is no key of 16 bytes" in problems(text, tmp_path)[0]
    (tmp_path / "chiller.key").write_text("00" * 16)
    assert problems(text, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BUS + TAG.replace('address = "cb:b8:33:4c:88:4f"\n', ""), "device[1].address: is missing; add address ="),
        (BUS + TAG.replace("4c:88:4f", "4c"), "device[1].address: 'cb:b8:33:4c' is not an address; write it as"),
        (BUS + TAG + "unit = 1\n", "device[1].unit: has no meaning for a sensor that is heard; take it away"),
        (BUS + TAG.replace('channels = ["temperature", "rssi"]\n', ""), "device[1].channels: is missing"),
        (
            BUS + TAG.replace("ruuvi-tag", "ruvi-tag"),
            "there is no Bluetooth model 'ruvi-tag'; did you mean 'ruuvi-tag'?",
        ),
        (BUS + TAG.replace("ruuvi-tag", "xy-md02"), "there is no Bluetooth model 'xy-md02'"),
        (BUS + TAG.replace('"rssi"', '"rsi"'), "ruuvi-tag has no channel 'rsi'; did you mean 'rssi'?"),
        (BUS + TAG.replace('"rssi"', '"temperature_2"'), "ruuvi-tag has no channel 'temperature_2'"),
        (BUS.replace("hci0", "usb0") + TAG, "write hci0, hci1"),
        (BUS.replace('"hci0"', '"hci0", "hci0"') + TAG, "bus[1].adapters[2]: hci0 is used twice"),
        (BUS + BUS.replace('"air"', '"air2"') + TAG, "hci0 is used by bus 'air' as well"),
        (
            BUS + TAG + TAG.replace('"chiller"', '"other"'),
            "sensor CB:B8:33:4C:88:4F of bus 'air' is 'chiller' already",
        ),
        (TCP + METER + 'address = "cb:b8:33:4c:88:4f"\n', "device[1].address: has no meaning on this bus"),
        (TCP + METER.replace("unit = 1\n", ""), "device[1].unit: is missing; add unit = 1"),
        (TCP + METER + 'key_file = "k"\n', "device[1].key_file: has no meaning on this bus"),
        (TAG, "device[1].bus: there is no bus 'air'"),
        (BUS + "timeout_s = 1.0\n" + TAG, "timeout_s: is not a setting of a ble [[bus]]"),
        (BUS + TAG + POINT.replace("temperature", "humidity"), "device 'chiller' has no channel 'humidity'"),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    found = problems(HEAD + text)
    assert any(said in words for words in found), found


def test_no_critical_point_rests_on_a_consumer_sensor() -> None:
    consumer = TAG.replace("ruuvi-tag", "govee")
    assert problems(HEAD + BUS + consumer + POINT) == []
    found = problems(HEAD + BUS + consumer + POINT + "critical = true\n")
    assert any("a critical point cannot rest on 'chiller'" in words for words in found)


def test_a_numbered_channel_of_a_model_that_has_them() -> None:
    text = TAG.replace("ruuvi-tag", "bthome").replace('"rssi"', '"temperature_2"')
    assert problems(HEAD + BUS + text) == []


def test_the_first_adapter_belongs_to_one_bus() -> None:
    bare = BUS.replace('adapters = ["hci0"]\n', "")
    assert problems(HEAD + bare + TAG) == []
    found = problems(HEAD + bare + bare.replace('"air"', '"air2"') + TAG)
    assert any("the first adapter is used by bus 'air' as well" in words for words in found)


def test_a_memory_that_a_model_does_not_have() -> None:
    text = HEAD + BUS + TAG.replace("ruuvi-tag", "sig") + "backfill = true\n"
    (said,) = problems(text)
    assert "sig has no memory that can be read" in said
    assert "ruuvi-tag" in said
    assert problems(HEAD + BUS + TAG + "backfill = false\n") == []


def test_a_sensor_that_is_asked() -> None:
    text = HEAD + BUS + "connections = 5\n" + TAG.replace("ruuvi-tag", "gatt-thermometer")
    site, found = check_site(text, "site.toml", Path("/srv"))
    assert found == []
    assert site is not None
    assert site.buses[0].connections == 5
