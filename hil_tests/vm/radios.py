"""Virtual radios: a controller for BlueZ, and sensors around it. Runs inside the virtual machine, on bumble.

Reads what to do from /run/radios.json: {"silent": ["tag"]} keeps sensors from advertising. The tests
know the values (hil_tests/test_hil_ble.py).
"""

import asyncio
import contextlib
import json
import struct
import time
from pathlib import Path

from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.device import AdvertisingType, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Descriptor, Service
from bumble.hci import (
    Address,
    HCI_ErrorCode,
    HCI_LE_Connection_Complete_Event,
    HCI_LE_Enhanced_Connection_Complete_Event,
    HCI_StatusReturnParameters,
    Role,
)
from bumble.link import LocalLink
from bumble.transport import open_transport
from bumble.transport.common import AsyncPipeSink

ORDERS = Path("/run/radios.json")
NUS = ("6E400001-B5A3-F393-E0A9-E50E24DCCA9E", "6E400002-B5A3-F393-E0A9-E50E24DCCA9E")
NUS_OUT = "6E400003-B5A3-F393-E0A9-E50E24DCCA9E"
READ, WRITE = Characteristic.Properties.READ, Characteristic.Properties.WRITE
NOTIFY, INDICATE = Characteristic.Properties.NOTIFY, Characteristic.Properties.INDICATE
READABLE, WRITEABLE = Characteristic.READABLE, Characteristic.WRITEABLE


class Link(LocalLink):
    """bumble 0.0.236 names the random address as the sender; BlueZ connects from its public one."""

    def send_acl_data(self, sender_controller, destination_address, transport, data):
        if transport != PhysicalTransport.LE:
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        target = self.find_le_controller(destination_address)
        connection = sender_controller.le_connections.get(destination_address)
        source = connection.self_address if connection else sender_controller.random_address
        if target:
            asyncio.get_running_loop().call_soon(target.on_link_acl_data, source, transport, data)


class Adapter(Controller):
    """The controller under test, which says that it can do extended advertising and privacy.

    Where the host has unmasked it, such a one reports a new connection as LE Enhanced Connection Complete
    (Bluetooth Core 5.3, Vol 4, Part E, 7.7.65.10); bumble 0.0.236 never does. Linux 6.1 then believes after four
    seconds that the attempt has failed, and cancels it; bumble says that this succeeded, whatever there is to
    cancel; and the kernel takes the connection, which stands, for one that is being ended already: no command ever
    ends it, and every further attempt is "Device or resource busy".
    """

    ENHANCED = 1 << HCI_LE_Enhanced_Connection_Complete_Event.subevent_code - 1

    def send_hci_packet(self, packet):
        if isinstance(packet, HCI_LE_Connection_Complete_Event) and self.le_event_mask & self.ENHANCED:
            packet = HCI_LE_Enhanced_Connection_Complete_Event(
                status=packet.status,
                connection_handle=packet.connection_handle,
                role=packet.role,
                peer_address_type=packet.peer_address_type,
                peer_address=packet.peer_address,
                local_resolvable_private_address=Address.ANY_RANDOM,
                peer_resolvable_private_address=Address.ANY_RANDOM,
                connection_interval=packet.connection_interval,
                peripheral_latency=packet.peripheral_latency,
                supervision_timeout=packet.supervision_timeout,
                central_clock_accuracy=packet.central_clock_accuracy,
            )
        super().send_hci_packet(packet)

    def on_hci_le_create_connection_cancel_command(self, _command):
        """With nothing to cancel it is refused; else the attempt ends, and that is told (7.8.13)."""
        attempt, self.pending_le_connection = self.pending_le_connection, None
        if attempt is None:
            return HCI_StatusReturnParameters(HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        cancelled = HCI_LE_Connection_Complete_Event(
            status=HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=Role.CENTRAL,
            peer_address_type=attempt.peer_address.address_type,
            peer_address=attempt.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        # After the answer to the command.
        asyncio.get_running_loop().call_soon(self.send_hci_packet, cancelled)
        return HCI_StatusReturnParameters(HCI_ErrorCode.SUCCESS)


def element(kind: int, data: bytes) -> bytes:
    return bytes([len(data) + 1, kind]) + data


def ruuvi(number: int, celsius: float) -> bytes:
    climate = struct.pack(">BhHH", 5, round(celsius / 0.005), round(55.0 / 0.0025), 101325 - 50000)
    rest = struct.pack(">hhhHBH", 4, -4, 1036, ((2900 - 1600) << 5) | 22, 66, number & 0xFFFF)
    return b"\x99\x04" + climate + rest + bytes.fromhex("CBB8334C884F")


def bthome(number: int) -> bytes:
    return b"\xd2\xfc" + bytes([0x40, 0x00, number & 255, 0x01, 97]) + struct.pack("<Bh", 2, 450)


def measurement(hundredths: int) -> bytes:
    return b"\x00" + struct.pack("<I", hundredths & 0xFFFFFF | 0xFE000000)


class Sensor:
    """A device with its advertisement; ``payload`` gives the bytes for each second."""

    def __init__(self, link: LocalLink, name: str, address: str, payload) -> None:
        self.name = name
        controller = Controller(name, link=link)
        configuration = DeviceConfiguration(name=name, address=Address(address))
        self.device = Device.from_config_with_hci(configuration, controller, AsyncPipeSink(controller))
        self.payload = payload
        self.speaks = False

    async def say(self, number: int) -> None:
        """One new advertisement, repeated until the next."""
        await self.be_silent()
        await self.device.start_advertising(
            advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE,
            advertising_data=element(1, b"\x06") + self.payload(number),
            advertising_interval_min=600,
            advertising_interval_max=600,
            auto_restart=False,
        )
        self.speaks = True

    async def be_silent(self) -> None:
        if self.speaks:
            await self.device.stop_advertising()
            self.speaks = False


class Tag:
    """The log of a RuuviTag: one value a second for the last ten minutes, -18.76 degC."""

    def __init__(self, sensor: Sensor) -> None:
        self.device = sensor.device
        self.out = Characteristic(NUS_OUT, NOTIFY, READABLE, b"")
        inward = Characteristic(NUS[1], WRITE, WRITEABLE, CharacteristicValue(write=self._asked))
        self.device.add_service(Service(NUS[0], [self.out, inward]))
        self._answering: asyncio.Task[None] | None = None

    def _asked(self, _connection: object, value: bytes) -> None:
        self._answering = asyncio.create_task(self._answer(*struct.unpack(">II", value[3:11])))

    async def _answer(self, now: int, since: int) -> None:
        for time_s in range(max(since, now - 600), now + 1):
            frame = b"\x3a\x30\x10" + time_s.to_bytes(4, "big") + (-1876).to_bytes(4, "big", signed=True)
            await self.device.notify_subscribers(self.out, frame)
        await self.device.notify_subscribers(self.out, b"\x3a\x3a\x10" + b"\xff" * 8)


def information() -> Service:
    told = {"2A29": b"Maker", "2A26": b"3.31.1", "2A25": b"0042"}
    return Service("180A", [Characteristic(uuid, READ, READABLE, data) for uuid, data in told.items()])


def orders() -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(ORDERS.read_text()))
    return {}


async def main() -> None:
    link = Link()
    tag = Sensor(link, "tag", "CB:B8:33:4C:88:4F", lambda n: element(0xFF, ruuvi(n, 4.25)))
    home = Sensor(link, "home", "C1:11:22:33:44:55", lambda n: element(0x16, bthome(n)))
    hts = Sensor(link, "thermometer", "C2:11:22:33:44:66", lambda _: element(3, b"\x09\x18"))
    ess = Sensor(link, "climate", "C2:11:22:33:44:77", lambda _: element(3, b"\x1a\x18"))
    sensors = (tag, home, hts, ess)
    Tag(tag)
    measured = Characteristic("2A1C", INDICATE, READABLE, b"")
    battery = Service("180F", [Characteristic("2A19", READ, READABLE, b"\x51")])
    hts.device.add_services([Service("1809", [measured]), battery, information()])
    described = Descriptor("290C", READABLE, bytes.fromhex("0000013c00000a00000104"))
    warmth = Characteristic("2A6E", READ, READABLE, b"\xe7\xff", [described])
    damp = Characteristic("2A6F", READ, READABLE, b"\x8d\x15")
    ess.device.add_services([Service("181A", [warmth, damp]), information()])
    for sensor in sensors:
        await sensor.device.power_on()
    # Last, for the kernel waits two seconds for its first answer.
    transport = await open_transport("vhci")
    Adapter(
        "under test",
        host_source=transport.source,
        host_sink=transport.sink,
        link=link,
        public_address="F0:F1:F2:F3:F4:F5/P",
    )
    print("radios are up", flush=True)
    number = int(time.time()) & 0x7FFF
    while True:
        number += 1
        silent = orders().get("silent", [])
        for sensor in sensors:
            try:
                if sensor.name in silent:  # type: ignore[operator]
                    await sensor.be_silent()
                else:
                    await sensor.say(number)
            except Exception as error:  # noqa: BLE001 - a sensor that is being talked to does not advertise
                sensor.speaks = False
                print(sensor.name, repr(error), flush=True)
        await hts.device.indicate_subscribers(measured, measurement(425))
        await asyncio.sleep(1)


asyncio.run(main())
