"""`aurora-gateway decode ble`, as an engineer with a capture in hand uses it."""

import json
from typing import Any

import pytest

from firmware_interfaces.ble.advert import address_bytes, split_advert
from firmware_interfaces.ble.decoders.nouns import AdvertFault
from gateway.cli import main

RUUVI = "0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    status = main(["decode", "ble", *arguments])
    out, err = capsys.readouterr()
    return status, json.loads(out) if out else None, err


def test_readings_of_a_known_sensor(capsys: pytest.CaptureFixture[str]) -> None:
    status, found, _ = run(capsys, "--manufacturer", f"0x0499={RUUVI}")
    assert status == 0
    (frame,) = found["frames"]
    assert (frame["format"], frame["sequence"]) == ("ruuvi-5", 205)
    assert frame["readings"][0] == {
        "key": "temperature",
        "value": 24.3,
        "unit": "degC",
        "decimals": 3,
        "quality": "good",
    }


def test_a_marker_of_no_value_is_null_with_its_quality(capsys: pytest.CaptureFixture[str]) -> None:
    status, found, _ = run(capsys, "--service", "2A6E=00 80")
    assert status == 0
    reading = found["frames"][0]["readings"][0]
    assert (reading["value"], reading["quality"]) == (None, "sensor_fault")


@pytest.mark.parametrize(
    "service", ["fcd2", "0xFCD2", "0000FCD2-0000-1000-8000-00805F9B34FB"], ids=["short", "prefixed", "whole"]
)
def test_encrypted_with_key_and_address(capsys: pytest.CaptureFixture[str], service: str) -> None:
    data = f"{service}=41a47266c95f730011223378237214"
    status, found, _ = run(capsys, "--service", data)
    assert status == 1
    assert found["frames"][0]["fault"] == "key-needed"
    secrets = ["--address", "54:48:E6:8F:80:A5", "--key", "231d39c1d7cc1ab1aee224cd096db932"]
    status, found, _ = run(capsys, "--service", data, *secrets)
    assert status == 0
    assert found["frames"][0]["counter"] == 0x33221100


def test_a_foreign_advertisement_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    status, found, _ = run(capsys, "--manufacturer", "004C=1005031C8C1F0E")
    assert (status, found["frames"], found["fault"]) == (1, [], "foreign")


def test_a_consumer_sensor_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    status, found, _ = run(capsys, "--manufacturer", "EC88=0003215D6400")
    assert (status, found["frames"][0]["not_for_ccp"]) == (0, True)
    _, found, _ = run(capsys, "--manufacturer", f"0x0499={RUUVI}")
    assert "not_for_ccp" not in found["frames"][0]


def test_raw_advertisement(capsys: pytest.CaptureFixture[str]) -> None:
    raw = "020106 0B094449592D73656E736F72 0A16D2FC4002C40903BF13"
    status, found, _ = run(capsys, "--raw", raw)
    assert status == 0
    assert [reading["value"] for reading in found["frames"][0]["readings"]] == [25.0, 50.55]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there is nothing to decode"),
        (["--manufacturer", "0499"], "write 0x0499=0512FC53..."),
        (["--manufacturer", "0x10499=05"], "not a company id"),
        (["--manufacturer", "0x0499=05F"], "an odd number"),
        (["--manufacturer", "0x0499=05XY"], "no hexadecimal digit"),
        (["--service", "FCD2-1=40"], "is not a UUID"),
        (["--service", "FCD2=40", "--key", "1234"], "a key has 16"),
        (["--service", "FCD2=40", "--address", "5448E68F80A5"], "write it as CB:B8:33:4C:88:4F"),
        (["--service", "FCD2=40", "--address", "5Z:48:E6:8F:80:A5"], "write it as CB:B8:33:4C:88:4F"),
        (["--raw", "0201"], "element at byte 0"),
        (["--raw", "020106", "--service", "FCD2=40"], "leave out"),
        (["--raw", "020106"], "there is nothing to decode"),
    ],
)
def test_mistakes_are_named_with_their_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    status, found, err = run(capsys, *arguments)
    assert (status, found) == (2, None)
    assert words in err


def test_split_knows_all_widths_of_uuids_and_stops_at_padding() -> None:
    raw = bytes.fromhex("03ff99040520d2fc00001221" + "00112233445566778899aabbccddeeff" + "070000ffff")
    advert = split_advert(raw)
    assert advert.manufacturer == {0x0499: b""}
    assert advert.service == {
        "0000fcd2-0000-1000-8000-00805f9b34fb": b"",
        "ffeeddcc-bbaa-9988-7766-554433221100": b"\x07",
    }
    with pytest.raises(AdvertFault):
        split_advert(b"\x05\xff\x99")
    with pytest.raises(ValueError, match="six bytes"):
        address_bytes("AA:BB")
