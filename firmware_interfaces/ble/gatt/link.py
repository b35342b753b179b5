"""One connection to one sensor: its characteristics, read, written and listened to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from dbus_fast import Variant

from firmware_interfaces.ble.systembus import BLUEZ, PROPERTIES, BluezRefused, NoBus, SystemBus, plain
from firmware_interfaces.errors import BusError, NoAnswer
from firmware_interfaces.quality import Quality

__all__ = ["Characteristic", "GattRefused", "Link", "Lost"]

DEVICE = "org.bluez.Device1"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
DESCRIPTOR = "org.bluez.GattDescriptor1"


class Lost(NoAnswer):
    """The connection ended before the answer came."""


class GattRefused(BusError):  # noqa: N818 - named for what happened
    """The sensor (or BlueZ for it) refused to read, write or indicate: not permitted, not authorised, an error."""

    quality = Quality.DEVICE_EXCEPTION


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One characteristic: full UUIDs in lower case, what it can do, and its descriptors' paths by UUID."""

    path: str
    uuid: str
    service: str
    flags: tuple[str, ...]
    descriptors: Mapping[str, str]


class Link:
    """A connection. Made by `Central`; usable while its context lasts."""

    def __init__(self, bus: SystemBus, path: str, adapter: str, address: str) -> None:
        self.adapter = adapter
        self.address = address
        self.characteristics: tuple[Characteristic, ...] = ()
        """In the order of their handles."""
        self._bus = bus
        self._path = path
        self._resolved = asyncio.Event()
        self._over = False
        self._queues: dict[str, asyncio.Queue[bytes | None]] = {}

    # what BlueZ says

    def changed(self, path: str, interface: str, properties: Mapping[str, Any]) -> None:
        """A signal about this sensor."""
        if path == self._path and interface == DEVICE:
            if plain(properties.get("ServicesResolved")):
                self._resolved.set()
            if "Connected" in properties and not plain(properties["Connected"]):
                self.ended()
        elif interface == CHARACTERISTIC and "Value" in properties and path in self._queues:
            self._queues[path].put_nowait(bytes(plain(properties["Value"])))

    def ended(self) -> None:
        """The connection is no more."""
        self._over = True
        self._resolved.set()
        for queue in self._queues.values():
            queue.put_nowait(None)

    async def resolve(self) -> None:
        """Wait until the services are known, and take them in; raises `Lost`, `BluezRefused`, `NoBus`."""
        (known,) = await self._bus.call(BLUEZ, self._path, PROPERTIES, "Get", "ss", [DEVICE, "ServicesResolved"])
        if not plain(known):
            await self._resolved.wait()
        if self._over:
            raise Lost(f"{self.address} hung up")
        services: dict[str, str] = {}
        found: list[tuple[str, Mapping[str, Any]]] = []
        descriptors: dict[str, dict[str, str]] = {}
        for path, interfaces in sorted((await self._bus.objects()).items()):
            if not path.startswith(f"{self._path}/"):
                continue
            if SERVICE in interfaces:
                services[path] = str(plain(interfaces[SERVICE]["UUID"])).lower()
            if CHARACTERISTIC in interfaces:
                found.append((path, interfaces[CHARACTERISTIC]))
            if DESCRIPTOR in interfaces:
                facts = interfaces[DESCRIPTOR]
                owner = str(plain(facts["Characteristic"]))
                descriptors.setdefault(owner, {})[str(plain(facts["UUID"])).lower()] = path
        self.characteristics = tuple(
            Characteristic(
                path,
                str(plain(facts["UUID"])).lower(),
                services.get(str(plain(facts["Service"])), ""),
                tuple(plain(facts.get("Flags", ()))),
                descriptors.get(path, {}),
            )
            for path, facts in found
        )

    # what may be asked

    def all_of(self, uuid: str, service: str | None = None) -> list[Characteristic]:
        """The characteristics of a UUID, of one service where it is named."""
        return [
            one for one in self.characteristics if one.uuid == uuid and (service is None or one.service == service)
        ]

    async def read(self, characteristic: Characteristic) -> bytes:
        """Its present value, from the sensor; raises `GattRefused`, `Lost`."""
        return await self._value(characteristic.path, CHARACTERISTIC)

    async def read_descriptor(self, characteristic: Characteristic, uuid: str) -> bytes | None:
        """The value of a descriptor, None where it has none of that UUID; raises `GattRefused`, `Lost`."""
        path = characteristic.descriptors.get(uuid)
        return None if path is None else await self._value(path, DESCRIPTOR)

    async def _value(self, path: str, interface: str) -> bytes:
        (value,) = await self._ask(path, interface, "ReadValue", "a{sv}", [{}])
        return bytes(value)

    async def write(self, characteristic: Characteristic, data: bytes) -> None:
        """Write, acknowledged where the characteristic can do that; raises `GattRefused`, `Lost`."""
        kind = "request" if "write" in characteristic.flags else "command"
        body = [data, {"type": Variant("s", kind)}]
        await self._ask(characteristic.path, CHARACTERISTIC, "WriteValue", "aya{sv}", body)

    @contextlib.asynccontextmanager
    async def heard(self, characteristic: Characteristic) -> AsyncIterator["asyncio.Queue[bytes | None]"]:
        """What a characteristic indicates or notifies, as it comes; None once the connection has ended."""
        queue = self._queues[characteristic.path] = asyncio.Queue()
        try:
            await self._ask(characteristic.path, CHARACTERISTIC, "StartNotify", "", [])
            yield queue
        finally:
            del self._queues[characteristic.path]
            if not self._over:
                with contextlib.suppress(BusError, TimeoutError):
                    async with asyncio.timeout(5.0):
                        await self._ask(characteristic.path, CHARACTERISTIC, "StopNotify", "", [])

    async def _ask(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> list[Any]:
        if self._over:
            raise Lost(f"{self.address} hung up")
        try:
            return await self._bus.call(BLUEZ, path, interface, member, signature, body)
        except BluezRefused as error:
            if self._over or error.name == "org.bluez.Error.NotConnected":
                raise Lost(f"{self.address} hung up: {error}") from error
            raise GattRefused(f"{self.address}: {error}") from error
        except NoBus as error:
            raise Lost(str(error)) from error
