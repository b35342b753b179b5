"""Sensors that are asked: connected to, read, listened to, let go, over a real D-Bus."""

import asyncio
import struct

import pytest
from bluez_standin import StandIn
from dbus_fast import DBusError
from gatt_standin import BATTERY, ENVIRONMENTAL, INFORMATION, THERMOMETER, Char, Peripheral, peripheral

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.decoders.nouns import Decoded
from firmware_interfaces.ble.gatt.central import Central, NoSlot
from firmware_interfaces.ble.gatt.link import Characteristic, Link, Lost
from firmware_interfaces.ble.gatt.readers import EnvironmentalReader, ThermometerReader, identity
from firmware_interfaces.errors import BadFrame, NoAnswer, NotConnected
from firmware_interfaces.quality import Quality

PROBE = "C2:11:22:33:44:66"
LIMITS = {"wait_s": 10.0, "connect_s": 10.0}


def at(standin: StandIn, services: dict[str, list[Char]], address: str = PROBE) -> Peripheral:
    """A sensor in the air that can be connected to."""
    made = peripheral(standin, address, services)
    standin.adapters["hci0"].discovering = 1
    assert standin.heard(address)
    return made


def climate(**answers: object) -> list[Char]:
    return [
        Char(full_uuid(0x2A6E), answers.get("temperature", b"\xa9\x01")),  # type: ignore[arg-type]
        Char(full_uuid(0x2A6F), answers.get("humidity", b"\x8d\x15")),  # type: ignore[arg-type]
    ]


async def read(reader: EnvironmentalReader | ThermometerReader, *wanted: str) -> Decoded:
    central = Central()
    try:
        async with central.linked(PROBE, wait_s=10.0, connect_s=10.0) as link:
            return (await reader.read(link, wanted))[0]
    finally:
        central.close()


class TestEnvironmental:
    async def test_the_wanted_characteristics_are_read(self, bluez: StandIn) -> None:
        services = {ENVIRONMENTAL: climate(), BATTERY: [Char(full_uuid(0x2A19), b"\x51")]}
        sensor = at(bluez, services)
        found = await read(EnvironmentalReader(), "temperature", "humidity", "battery")
        assert {r.key: r.value for r in found.readings} == {"temperature": 4.25, "humidity": 55.17, "battery": 81.0}
        assert sensor.device is None, "it is let go"

    async def test_a_second_one_of_a_kind(self, bluez: StandIn) -> None:
        at(bluez, {ENVIRONMENTAL: [*climate(), Char(full_uuid(0x2A6E), b"\x0c\xfe")]})
        found = await read(EnvironmentalReader(), "temperature_2")
        assert [(r.key, r.value) for r in found.readings] == [("temperature_2", -5.0)]

    async def test_the_same_characteristic_elsewhere_is_not_meant(self, bluez: StandIn) -> None:
        at(bluez, {full_uuid(0x180A): climate(), ENVIRONMENTAL: [Char(full_uuid(0x2A6E), b"\x00\x00")]})
        found = await read(EnvironmentalReader(), "temperature", "temperature_2")
        assert [(r.key, r.value) for r in found.readings] == [("temperature", 0.0)]

    async def test_what_one_channel_lacks_costs_the_others_nothing(self, bluez: StandIn) -> None:
        refusal = DBusError("org.bluez.Error.NotPermitted", "Read not permitted")
        at(bluez, {ENVIRONMENTAL: climate(temperature=refusal), BATTERY: [Char(full_uuid(0x2A19), b"\x51\x00")]})
        found = await read(EnvironmentalReader(), "temperature", "humidity", "battery")
        assert [(r.key, r.value, r.quality) for r in found.readings] == [
            ("temperature", None, Quality.DEVICE_EXCEPTION),
            ("humidity", 55.17, Quality.GOOD),
            ("battery", None, Quality.BAD_FRAME),
        ]

    async def test_descriptors_bound_and_describe(self, bluez: StandIn) -> None:
        probe = Char(full_uuid(0x2A6E), b"\xa9\x01")
        probe.descriptors[full_uuid(0x2906)] = bytes.fromhex("60f09001")
        probe.descriptors[full_uuid(0x290C)] = bytes.fromhex("0000013c00000a00000104")
        at(bluez, {ENVIRONMENTAL: [probe]})
        reader = EnvironmentalReader()
        found = await read(reader, "temperature")
        assert [(r.value, r.quality) for r in found.readings] == [(None, Quality.OUT_OF_RANGE)]
        assert reader.facts["temperature"]["function"] == "instantaneous"
        assert reader.facts["temperature"]["valid"] == [-40.0, 4.0]

    async def test_a_sensor_without_any_of_it(self, bluez: StandIn) -> None:
        at(bluez, {THERMOMETER: []})
        with pytest.raises(NoAnswer, match="none of the wanted"):
            await read(EnvironmentalReader(), "temperature")


def indicated(hundredths: int, second: int | None = None) -> bytes:
    stamp = b"" if second is None else struct.pack("<H5B", 2026, 11, 24, 12, 0, second)
    flags = 0 if second is None else 2
    return bytes([flags]) + struct.pack("<I", hundredths & 0xFFFFFF | 0xFE000000) + stamp


def thermometer(standin: StandIn, *measurements: bytes) -> Char:
    measured = Char(full_uuid(0x2A1C), flags=("indicate",))
    measured.on_notify = lambda: [measured.send(one) for one in measurements] and None
    at(standin, {THERMOMETER: [measured, Char(full_uuid(0x2A1D), b"\x02")]})
    return measured


class TestThermometer:
    async def test_an_indication_is_waited_for(self, bluez: StandIn) -> None:
        thermometer(bluez, indicated(425))
        found = await read(ThermometerReader(), "temperature")
        assert [(r.value, r.quality) for r in found.readings] == [(4.25, Quality.GOOD)]

    async def test_of_kept_measurements_the_last_counts(self, bluez: StandIn) -> None:
        thermometer(bluez, indicated(900, 10), indicated(425, 30), indicated(800, 20))
        found = await read(ThermometerReader(), "temperature")
        assert [(r.value, r.quality) for r in found.readings] == [(4.25, Quality.DEVICE_UNCERTAIN)]

    async def test_a_measurement_that_was_had_before_is_no_news(self, bluez: StandIn) -> None:
        measured = thermometer(bluez, indicated(425, 30))
        reader = ThermometerReader()
        await read(reader, "temperature")
        measured.on_notify = lambda: (
            [measured.send(one) for one in (indicated(425, 30), indicated(500, 40))] and None
        )
        found = await read(reader, "temperature")
        assert [(r.value, r.quality) for r in found.readings] == [(5.0, Quality.GOOD)]

    async def test_a_damaged_one_is_a_bad_frame(self, bluez: StandIn) -> None:
        thermometer(bluez, b"\x02\x00\x00")
        with pytest.raises(BadFrame):
            await read(ThermometerReader(), "temperature")

    async def test_one_that_hangs_up(self, bluez: StandIn) -> None:
        measured = Char(full_uuid(0x2A1C), flags=("indicate",))
        sensor = at(bluez, {THERMOMETER: [measured]})
        measured.on_notify = sensor.disconnect
        with pytest.raises(Lost, match="hung up"):
            await read(ThermometerReader(), "temperature")


class TestIdentity:
    async def test_who_it_is(self, bluez: StandIn) -> None:
        told = {0x2A29: b"Maker", 0x2A26: b"3.31.1\0", 0x2A25: b"\xff7", 0x2A50: b"\x01"}
        refused = Char(full_uuid(0x2A27), DBusError("org.bluez.Error.NotPermitted", ""))
        at(bluez, {INFORMATION: [*(Char(full_uuid(short), data) for short, data in told.items()), refused]})
        central = Central()
        async with central.linked(PROBE, **LIMITS) as link:
            found = await identity(link)
        central.close()
        assert found == {"manufacturer": "Maker", "firmware": "3.31.1", "serial": "\ufffd7", "hardware": None}


async def until_refused(link: Link, probe: Characteristic) -> None:
    for _ in range(1000):
        await link.read(probe)


class TestConnecting:
    async def test_a_sensor_that_is_not_in_the_air(self, bluez: StandIn) -> None:
        central = Central()
        with pytest.raises(NoAnswer, match="not in the air"):
            async with central.linked(PROBE, **LIMITS):
                pass
        central.close()

    async def test_a_sensor_that_takes_no_connection(self, bluez: StandIn) -> None:
        at(bluez, {}).refuses = DBusError("org.bluez.Error.Failed", "le-connection-abort-by-local")
        central = Central()
        with pytest.raises(NoAnswer, match="abort-by-local"):
            async with central.linked(PROBE, **LIMITS):
                pass
        central.close()

    async def test_a_sensor_that_does_not_answer_the_call(self, bluez: StandIn) -> None:
        at(bluez, {}).deaf = True
        central = Central()
        with pytest.raises(NoAnswer, match="did not take a connection within"):
            async with central.linked(PROBE, wait_s=1, connect_s=0.2):
                pass
        central.close()

    async def test_bluetoothd_ends_and_comes_back(self, bluez: StandIn, bus: object) -> None:
        at(bluez, {ENVIRONMENTAL: climate()})
        central = Central()
        async with central.linked(PROBE, **LIMITS) as link:
            (probe,) = link.all_of(full_uuid(0x2A6E))
            await bluez.stop()
            with pytest.raises(Lost):
                await until_refused(link, probe)
        with pytest.raises(NotConnected):
            async with central.linked(PROBE, **LIMITS):
                pass
        await bluez.start(bus.address)  # type: ignore[attr-defined]
        at(bluez, {ENVIRONMENTAL: climate()})
        async with central.linked(PROBE, **LIMITS) as link:
            assert await link.read(link.all_of(full_uuid(0x2A6E))[0]) == b"\xa9\x01"
        central.close()

    async def test_no_more_connections_than_the_adapter_has(self, bluez: StandIn) -> None:
        addresses = [f"C2:00:00:00:00:0{number}" for number in range(5)]
        sensors = [at(bluez, {ENVIRONMENTAL: climate()}, address) for address in addresses]
        central = Central(connections=2)

        async def visit(address: str) -> bytes:
            async with central.linked(address, wait_s=20, connect_s=20) as link:
                return await link.read(link.all_of(full_uuid(0x2A6E))[0])

        assert await asyncio.gather(*map(visit, addresses)) == [b"\xa9\x01"] * 5
        assert max(sensor.most_at_once for sensor in sensors) <= 2
        central.close()

    async def test_whoever_waits_too_long_for_one_is_told(self, bluez: StandIn) -> None:
        at(bluez, {})
        at(bluez, {}, "C2:00:00:00:00:01")
        central = Central(connections=1)
        async with central.linked(PROBE, **LIMITS):
            with pytest.raises(NoSlot, match="in use"):
                async with central.linked("C2:00:00:00:00:01", wait_s=0.05, connect_s=10):
                    pass
        async with central.linked("C2:00:00:00:00:01", **LIMITS):
            pass
        central.close()

    async def test_two_who_want_one_sensor_have_it_one_after_the_other(self, bluez: StandIn) -> None:
        sensor = at(bluez, {ENVIRONMENTAL: climate()})
        central = Central()

        async def visit() -> bytes:
            async with central.linked(PROBE, **LIMITS) as link:
                return await link.read(link.all_of(full_uuid(0x2A6E))[0])

        assert await asyncio.gather(visit(), visit(), visit()) == [b"\xa9\x01"] * 3
        assert sensor.connects == 3
        central.close()

    async def test_the_adapter_that_hears_it_best_is_taken(self, bluez: StandIn) -> None:
        bluez.add_adapter("hci1")
        bluez.adapters["hci1"].discovering = 1
        sensor = at(bluez, {ENVIRONMENTAL: climate()})
        bluez.signal_strength(PROBE, -90)
        bluez.devices["hci0", PROBE].rssi = -90
        assert bluez.heard(PROBE, rssi=-50, adapter="hci1")
        central = Central()
        async with central.linked(PROBE, **LIMITS) as link:
            assert link.adapter == "hci1"
            assert sensor.device is bluez.devices["hci1", PROBE]
        async with central.linked(PROBE, ("hci0",), **LIMITS) as link:
            assert link.adapter == "hci0"
        central.close()
