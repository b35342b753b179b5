"""The benches of Bluetooth run as they are called: a part that was moved would else be missed by nobody."""

from bench.ble_air import SENSORS, replay


def test_an_air_of_a_minute() -> None:
    said: list[str] = []
    used, _ = replay(60, said.append)
    assert said == [f"{6 * SENSORS} scans, 0 slots missed, {SENSORS} sensors known"]
    assert used > 0
