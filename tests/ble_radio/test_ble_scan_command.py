"""`aurora-gateway scan ble` before a stand-in for bluetoothd."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest
from bluez_standin import StandIn
from dbus_fast import DBusError
from gatt_standin import BATTERY, ENVIRONMENTAL, THERMOMETER, Char, peripheral

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.models import MODELS, RSSI, model_of
from firmware_interfaces.ble.scanner import RadioState
from gateway.commands import scan as scanning
from gateway.config import check_site

RUUVI = bytes.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")
TAG = "CB:B8:33:4C:88:4F"


async def scanned(bluez: StandIn, **options: object) -> scanning.Heard:
    """A short scan, in which three senders advertise as soon as somebody listens."""

    async def talk() -> None:
        while not bluez.heard(TAG, {0x0499: RUUVI}, name="Ruuvi 884F", rssi=-71):
            await asyncio.sleep(0.01)
        bluez.heard("AA:AA:AA:AA:AA:01", service={full_uuid(0xFCD2): b"\x41" + bytes(12)}, rssi=-50)
        bluez.heard("AA:AA:AA:AA:AA:02", {0x004C: b"\x10"})

    talking = asyncio.create_task(talk())
    heard = await scanning.listen(1.5, None, "auto")
    await talking
    return heard


async def test_sensors_with_values_and_the_lines_for_the_site_file(
    bluez: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = await scanned(bluez)
    scanning._print(heard)
    out = capsys.readouterr().out
    assert out.startswith("hci0, passively: 2 sensors")
    assert "CB:B8:33:4C:88:4F   -71 dBm  RuuviTag  Ruuvi 884F" in out
    assert "temperature 24.3 degC" in out
    assert "encrypted, and there is no key for this sensor" in out
    assert 'model = "ruuvi-tag"' in out
    assert f'address = "{TAG}"' in out
    assert 'channels = ["temperature", "humidity", ' in out
    assert out.rstrip().endswith('"rssi"]')


async def test_json_has_every_frame_and_fault(bluez: StandIn) -> None:
    heard = await scanned(bluez)
    told = json.loads(json.dumps([scanning._sensor_json(heard, sensor) for sensor in heard.known]))
    assert [sensor["address"] for sensor in told] == ["AA:AA:AA:AA:AA:01", TAG]
    assert told[0]["model"] is None
    assert told[1]["frames"][0]["sequence"] == 205
    assert told[1]["rssi"] == {"hci0": -71}


PROBE, WARD, BROKEN = "C2:11:22:33:44:66", "C2:11:22:33:44:77", "C2:11:22:33:44:88"
HEAD = """
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

"""


class TestSensorsThatAreAsked:
    def put_there(self, bluez: StandIn) -> None:
        climate = [Char(full_uuid(0x2A6E), b"\xa9\x01"), Char(full_uuid(0x2A6E), b"\x0c\xfe")]
        peripheral(bluez, PROBE, {ENVIRONMENTAL: climate, BATTERY: [Char(full_uuid(0x2A19), b"\x51")]})
        measured = Char(full_uuid(0x2A1C), flags=("indicate",))
        measured.on_notify = lambda: measured.send(bytes.fromhex("00 a9 01 00 fe"))
        peripheral(bluez, WARD, {THERMOMETER: [measured]})
        broken = peripheral(bluez, BROKEN, {ENVIRONMENTAL: []})
        broken.refuses = DBusError("org.bluez.Error.Failed", "le-connection-abort-by-local")

    async def scanned(self, bluez: StandIn, *, ask: bool = True) -> scanning.Heard:
        async def talk() -> None:
            while not bluez.heard(PROBE, name="Core", rssi=-61):
                await asyncio.sleep(0.01)
            for address in (WARD, BROKEN, "AA:AA:AA:AA:AA:02"):
                bluez.heard(address, {0x004C: b"\x10"}, rssi=-75)

        talking = asyncio.create_task(talk())
        heard = await scanning.listen(1.0, None, "auto", ask=ask)
        await talking
        return heard

    async def test_their_lines_hold_what_they_answered(
        self, bluez: StandIn, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        self.put_there(bluez)
        heard = await self.scanned(bluez)
        scanning._print(heard)
        out = capsys.readouterr().out
        assert "C2:11:22:33:44:66   -61 dBm  Sensor with the Environmental Sensing Service" in out
        assert "gatt-environmental: temperature 4.25 degC, temperature_2 -5 degC, battery 81 %" in out
        assert "gatt-thermometer: temperature 4.25 degC" in out
        assert "did not take a connection" in out
        lines = out.split("# For the site file:")[1]
        site, problems = check_site(HEAD + lines, "site.toml", tmp_path)
        assert site is not None, problems
        found = {device.address: (device.model, device.channels) for device in site.devices}
        assert found[PROBE] == ("gatt-environmental", ("temperature", "temperature_2", "battery", "rssi"))
        assert found[WARD] == ("gatt-thermometer", ("temperature", "rssi"))
        assert found[BROKEN][0] == "gatt-environmental"
        assert "strike out the channels that it does not have" in lines
        assert len(found) == 3
        assert all(sensor.device is None for sensor in bluez.peripherals.values()), "they are let go"

    async def test_json_has_them_with_what_kept_one_from_answering(self, bluez: StandIn) -> None:
        self.put_there(bluez)
        heard = await self.scanned(bluez)
        told = {sensor["address"]: sensor for sensor in (scanning._sensor_json(heard, s) for s in heard.known)}
        assert told.keys() == {PROBE, WARD, BROKEN}
        assert [r["value"] for r in told[PROBE]["frames"][0]["readings"]] == [4.25, -5.0, 81.0]
        assert told[BROKEN]["model"] == "gatt-environmental"
        assert "connection" in told[BROKEN]["last_fault"]

    async def test_nobody_is_asked_where_that_is_not_wanted(self, bluez: StandIn) -> None:
        self.put_there(bluez)
        heard = await self.scanned(bluez, ask=False)
        assert heard.known == []
        assert [sensor.connects for sensor in bluez.peripherals.values()] == [0, 0, 0]

    async def test_one_that_somebody_is_connected_to_is_left_alone(self, bluez: StandIn) -> None:
        self.put_there(bluez)
        bluez.adapters["hci0"].discovering = 1
        bluez.heard(PROBE)
        sensor = bluez.peripherals[PROBE]
        await sensor.connect(bluez.devices["hci0", PROBE])
        bluez.adapters["hci0"].discovering = 0
        heard = await self.scanned(bluez)
        (why,) = (one.why for one in heard.asked if one.sensor.address == PROBE)
        assert why == "somebody is connected to it"
        assert sensor.device is not None
        assert sensor.connects == 1


def test_without_bluetooth_the_state_and_its_remedy_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    arguments = argparse.Namespace(seconds=0.1, adapter=None, active=False, json=False, no_connect=False)
    assert scanning.scan_ble(arguments) == 2
    assert RadioState.NO_DBUS.words in capsys.readouterr().err


async def test_an_empty_room_is_no_mistake(bluez: StandIn) -> None:
    heard = await scanning.listen(0.2, "hci0", "active")
    assert heard.known == []
    assert heard.states[0][0] is RadioState.SCANNING


def test_every_model_names_its_source_and_knows_its_formats() -> None:
    assert all(model.source and RSSI.key in model.channels for model in MODELS.values())
    cases = {
        "ruuvi-5": "ruuvi-tag",
        "ruuvi-e1": "ruuvi-air",
        "bthome-2": "bthome",
        "ela-rht": "ela-blue",
        "sig-temperature": "sig",
        "atc1441-encrypted": "xiaomi-pvvx",
        "minew-v3-ht": "minew",
    }
    for format_, wanted in cases.items():
        found = model_of([format_])
        assert found is not None
        assert found.id == wanted
    mixed = model_of(["sig-temperature", "ela-humidity"])
    assert mixed is not None
    assert mixed.id == "ela-blue"
    assert model_of([]) is None
    assert model_of(["ruuvi-5", "bthome-2"]) is None


def test_numbered_channels_follow_their_first() -> None:
    bthome = MODELS["bthome"]
    second = bthome.channels["temperature_2"]
    assert (second.key, second.unit, second.decimals) == ("temperature_2", "degC", 2)
    assert "temperature_2" in bthome.channels
    for unknown in ("temperature_x", "rssi_2", 7):
        assert unknown not in bthome.channels
    assert "temperature_2" not in MODELS["ruuvi-tag"].channels
    assert len({model.sha256 for model in MODELS.values()}) == len(MODELS)
