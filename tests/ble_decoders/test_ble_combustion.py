"""Combustion probe: frames of combustion-inc/combustion-android-ble (MIT), ble/ProbeStatusTest.kt and
ble/scanning/ProbeAdvertisingDataTest.kt; meaning by combustion-documentation, probe_ble_specification.rst."""

import pytest
from ble_tools import OUT_OF_RANGE, SENSOR_FAULT, fault_of, never_decoded_when_cut, uncertain, values

from firmware_interfaces.ble.decoders import combustion
from firmware_interfaces.ble.decoders.nouns import Fault

PACKED = "8900da00d70d073305d518741a"
TEMPERATURES = [-13.15, 67.2, 258.4, 160.55, 225.6, 114.5, 189.75, 22.3]


def frame(packed: str = PACKED, mode: str = "b8", product: str = "01", rest: str = "bb800004") -> bytes:
    return bytes.fromhex(f"{product}78563412{packed}{mode}{rest}")


def test_eight_thermistors() -> None:
    decoded = combustion.decode(frame())
    assert values(decoded) == {f"t{n + 1}": value for n, value in enumerate(TEMPERATURES)} | {"battery_low": 1}
    assert decoded.identity == "12345678"
    never_decoded_when_cut(combustion.decode, frame()[:20])


@pytest.mark.parametrize("rest", ["ba", "ba00", "ba0000", "ba000000", "ba00000000"])
def test_later_firmware_says_more_behind_the_battery(rest: str) -> None:
    assert values(combustion.decode(frame(rest=rest)))["battery_low"] == 0


def test_instant_read_measures_with_the_first_thermistor_alone() -> None:
    cold = values(combustion.decode(frame("00" * 13, "b9", product="00")))
    assert cold == {"t1": -20.0} | {f"t{n}": SENSOR_FAULT for n in range(2, 9)} | {"battery_low": 1}
    hot = values(combustion.decode(frame(mode="b9")))
    assert hot["t1"] == -13.15
    assert hot["t3"] == uncertain(258.4)


@pytest.mark.parametrize("mode", ["ba", "bb"])
def test_error_and_reserved_modes_have_no_temperatures(mode: str) -> None:
    found = values(combustion.decode(frame(mode=mode)))
    assert {found[f"t{n}"] for n in range(1, 9)} == {SENSOR_FAULT}


def test_beyond_the_range_of_the_thermistor() -> None:
    assert values(combustion.decode(frame("ff" * 13)))["t8"] == OUT_OF_RANGE


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (frame(product="02"), Fault.FOREIGN),
        (frame(rest="bb8000040506"), Fault.WRONG_LENGTH),
        (b"", Fault.TRUNCATED),
    ],
)
def test_named_faults(data: bytes, fault: Fault) -> None:
    assert fault_of(combustion.decode, data) is fault


def test_food_safe_status() -> None:
    decoded = combustion.decode_food_safe_status(bytes.fromhex("da5de675d67ff7fd"))
    assert values(decoded) == {"food_safe_state": 2, "log_reduction": 18.7, "seconds_above_threshold": 48331}
    assert decoded.sequence == 3203398350


def test_reserved_food_safe_states_are_no_state() -> None:
    assert values(combustion.decode_food_safe_status(bytes([3, *bytes(7)])))["food_safe_state"] == OUT_OF_RANGE
