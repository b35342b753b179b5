"""The whole Bluetooth stack: real bluetoothd, real kernel; virtual radios, or the adapter that --adapter names.

What a fake of BlueZ can only be believed to do is seen here: that bluetoothd bears our passive scan, that a sensor
answers over a connection while scanning goes on, that the record survives an adapter that is pulled out.
"""

from collections.abc import Iterator

import pytest
from benches import CLIMATE, HOME, TAG, THERMOMETER, Bench, RealBench, VirtualBench, until

from firmware_interfaces.quality import Quality

SITE = f"""
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

[web]
listen = "127.0.0.1:8080"
open_view = true

[[bus]]
id = "air"
type = "ble"

[[device]]
id = "tag"
bus = "air"
model = "ruuvi-tag"
address = "{TAG}"
period = "5s"
channels = ["temperature", "rssi"]

[[device]]
id = "home"
bus = "air"
model = "bthome"
address = "{HOME}"
period = "5s"
channels = ["temperature", "battery"]

[[device]]
id = "thermometer"
bus = "air"
model = "gatt-thermometer"
address = "{THERMOMETER}"
period = "20s"
channels = ["temperature", "battery"]

[[device]]
id = "climate"
bus = "air"
model = "gatt-environmental"
address = "{CLIMATE}"
period = "20s"
channels = ["temperature", "humidity"]
"""
LOG_INTERVAL_S = 20.0


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Bench:
    adapter = request.config.getoption("--adapter")
    return RealBench(adapter) if adapter else VirtualBench(request.getfixturevalue("machine"))


@pytest.fixture(scope="module")
def virtual(bench: Bench) -> VirtualBench:
    if not isinstance(bench, VirtualBench):
        pytest.skip("pulls out adapters and stops bluetoothd: before virtual radios only")
    return bench


@pytest.fixture(scope="module")
def gateway(virtual: VirtualBench) -> Iterator[VirtualBench]:
    """A daemon that has heard, and been answered by, every sensor."""
    virtual.start_gateway(SITE, LOG_INTERVAL_S)
    until(lambda: len(answered(virtual)) == 4)
    yield virtual
    virtual.machine.run("systemctl stop gateway", check=False)


def devices(bench: VirtualBench) -> dict[str, dict[str, object]]:
    return {device["id"]: device for device in bench.status().get("devices", ())}


def answered(bench: VirtualBench, beyond: dict[str, int] | None = None) -> set[str]:
    """Devices that have more scans than before."""
    before = beyond or {}
    return {name for name, device in devices(bench).items() if device["scans"] > before.get(name, 0)}  # type: ignore[operator]


def scans(bench: VirtualBench) -> dict[str, int]:
    return {name: int(str(device["scans"])) for name, device in devices(bench).items()}


class TestScanning:
    @pytest.mark.parametrize("way", [(), ("--active",)], ids=["passive", "active"])
    def test_what_is_in_the_air_is_decoded(self, bench: Bench, way: tuple[str, ...]) -> None:
        found = bench.scan(20, *way)
        models = {sensor["address"]: sensor["model"] for sensor in found}
        assert bench.expected.items() <= models.items()
        for sensor in found:
            for frame in sensor["frames"]:
                for reading in frame["readings"]:
                    assert (reading["value"] is None) is Quality[reading["quality"].upper()].bad

    def test_values_are_those_that_were_sent(self, virtual: VirtualBench) -> None:
        found = {sensor["address"]: sensor for sensor in virtual.scan(20)}
        values = {r["key"]: r["value"] for r in found[TAG]["frames"][0]["readings"]}
        assert (values["temperature"], values["humidity"], values["battery_voltage"]) == (4.25, 55.0, 2.9)
        assert found[TAG]["measurements"] >= 2, "a new number is a new measurement"
        home = {r["key"]: r["value"] for r in found[HOME]["frames"][0]["readings"]}
        assert (home["temperature"], home["battery"]) == (4.5, 97)
        asked = {r["key"]: r["value"] for r in found[CLIMATE]["frames"][0]["readings"]}
        assert asked == {"temperature": -0.25, "humidity": 55.17}
        asked = {r["key"]: r["value"] for r in found[THERMOMETER]["frames"][0]["readings"]}
        assert asked == {"temperature": 4.25, "battery": 81}

    def test_bluetoothd_bears_it(self, virtual: VirtualBench) -> None:
        """One monitor with all our patterns made Debian 12's bluetoothd abort."""
        assert virtual.machine.run("systemctl is-active bluetooth").stdout.strip() == "active"
        assert "free()" not in virtual.machine.run("journalctl -u bluetooth --no-pager").stdout


class TestRecord:
    """In this order: each goes on from where the one before it left the daemon."""

    def test_sensors_are_heard_and_asked_at_once(self, gateway: VirtualBench) -> None:
        before = scans(gateway)
        until(lambda: len(answered(gateway, before)) == 4)
        shown = {
            (name, channel["name"]): channel["value"]
            for name, device in devices(gateway).items()
            for channel in device["channels"]  # type: ignore[attr-defined]
        }
        assert shown["tag", "temperature"] == 4.25
        assert shown["home", "temperature"] == 4.5
        assert (shown["thermometer", "temperature"], shown["thermometer", "battery"]) == (4.25, 81.0)
        assert (shown["climate", "temperature"], shown["climate", "humidity"]) == (-0.25, 55.17)

    def test_who_a_sensor_is_stands_in_the_record(self, gateway: VirtualBench) -> None:
        told = {event["device"]: event for event in gateway.events("device.identity")}
        wanted = {"manufacturer": "Maker", "firmware": "3.31.1", "serial": "0042"}
        assert told["thermometer"]["registers"] == told["climate"]["registers"] == wanted
        assert told["climate"]["measuring"]["temperature"]["function"] == "instantaneous"

    def test_a_gap_of_the_tag_is_filled_from_its_log(self, gateway: VirtualBench) -> None:
        gateway.silence("tag")
        missed = int(str(devices(gateway)["tag"]["missed"]))
        until(lambda: int(str(devices(gateway)["tag"]["missed"])) >= missed + 8)
        gateway.silence()
        until(lambda: "backfill" in gateway.log() or gateway.events("backfill.done"), pause_s=15)
        (done, *_) = gateway.events("backfill.done")
        assert done["device"] == "tag"
        assert done["filled"] >= 5
        values = [row[3] for event in gateway.events("backfill.values") for row in event["rows"]]
        assert values
        assert {tuple(row) for row in values} == {(-18.76,)}

    def test_an_adapter_that_is_pulled_out_and_put_back(self, gateway: VirtualBench) -> None:
        gateway.unplug()
        until(lambda: "no such adapter" in gateway.log() or "no-adapter" in gateway.log())
        gateway.plug_in()
        before = scans(gateway)
        until(lambda: len(answered(gateway, before)) == 4)

    def test_bluetoothd_that_is_started_anew(self, gateway: VirtualBench) -> None:
        gateway.machine.run("systemctl restart bluetooth")
        before = scans(gateway)
        until(lambda: len(answered(gateway, before)) == 4)
        kinds = {"bus.lost": gateway.events("bus.lost"), "bus.back": gateway.events("bus.back")}
        assert all(len(events) >= 1 for events in kinds.values()), kinds

    def test_through_all_of_it_every_slot_is_accounted_for(self, gateway: VirtualBench) -> None:
        gateway.machine.run("systemctl stop gateway")
        status, out, error = gateway.run(
            "export", "/root/gw/site.toml", "--format", "batches", "--out", "/root/gw/all"
        )
        assert status == 0, error
        status, out, error = gateway.run("verify", "/root/gw/all")
        assert status == 0, out + error
        assert "the record is whole" in out
        assert "missed slots backfilled" in out
