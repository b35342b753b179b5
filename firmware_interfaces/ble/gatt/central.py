"""Connections to sensors through BlueZ: a few at once for each adapter, each with its limits; scanning goes on.

Over a D-Bus connection of its own, as the scanner is and not over bleak's client: that keeps a second copy of all
of BlueZ's objects up to date with every advertisement, has one fixed way to wait, and hands on the characteristic
values that BlueZ remembers. Here a value is what an answer or an indication carries, and a connection knows the
adapter that hears its sensor best, and its place in the queue for it.

Source: bluez/doc org.bluez.Device.rst, org.bluez.GattCharacteristic.rst, org.bluez.GattDescriptor.rst.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, NamedTuple

from dbus_fast import Message

from firmware_interfaces.ble.gatt.link import Link
from firmware_interfaces.ble.systembus import BLUEZ, DBUS, PROPERTIES, BluezRefused, NoBus, SystemBus, plain
from firmware_interfaces.errors import BusError, NoAnswer, NotConnected
from firmware_interfaces.quality import Quality

__all__ = ["CONNECTIONS", "Central", "NoSlot", "Offer"]

DEVICE = "org.bluez.Device1"
CONNECTIONS = 3
"""Connections that an adapter holds at once if nothing else is said: cheap controllers have room for no more."""
PARTING_S = 5.0
"""Longest that bluetoothd may take to end a connection."""
GONE = frozenset({"org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod"})
OWNER_RULE = f"type='signal',interface='{DBUS}',member='NameOwnerChanged',arg0='{BLUEZ}'"
VALUES_RULE = (
    f"type='signal',interface='{PROPERTIES}',member='PropertiesChanged',path_namespace='/org/bluez',"
    "arg0='org.bluez.GattCharacteristic1'"
)
NOT_READY = frozenset({"org.bluez.Error.NotReady", "org.freedesktop.DBus.Error.ServiceUnknown"})


class NoSlot(BusError):  # noqa: N818 - named for what there is not
    """All connections of the adapter were in use for as long as the sensor could wait."""

    quality = Quality.LATE


class Offer(NamedTuple):
    """What BlueZ knows of a sensor: the UUIDs of its services (in full, lower case), whether it is connected."""

    services: frozenset[str]
    connected: bool


class Central:
    """Connects to sensors. ``connections`` is how many an adapter holds at once."""

    def __init__(self, connections: int = CONNECTIONS) -> None:
        self.connections = connections
        self.connects = 0
        self._bus = SystemBus(self._signal)
        self._opening = asyncio.Lock()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._calling: dict[str, asyncio.Lock] = {}
        self._own: dict[str, asyncio.Lock] = {}
        self._links: dict[str, Link] = {}

    def close(self) -> None:
        """End the connection to the bus; what is under way fails."""
        self._bus.close()
        for link in list(self._links.values()):
            link.ended()

    @contextlib.asynccontextmanager
    async def linked(
        self, address: str, adapters: Collection[str] = (), *, wait_s: float, connect_s: float
    ) -> AsyncIterator[Link]:
        """A connection to a sensor, its services known; over the adapter (of ``adapters``, if there are any) that
        hears it best.

        ``wait_s`` is how long it may wait for a free connection, ``connect_s`` how long connecting may take. Raises
        `NoSlot`; `NoAnswer` where the sensor is not in the air or does not take the connection; `NotConnected`
        where there is no bluetoothd, no adapter, no power.
        """
        try:
            async with asyncio.timeout(connect_s):
                await self._ready()
                path, adapter = await self._find(address, adapters)
        except TimeoutError as error:
            raise NotConnected(f"bluetoothd did not answer within {connect_s:g} s") from error
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(wait_s):
                    # A sensor has one connection, whoever wants it: ending it would end the other's as well.
                    await held.enter_async_context(self._own.setdefault(path, asyncio.Lock()))
                    slots = self._slots.setdefault(adapter, asyncio.Semaphore(self.connections))
                    await held.enter_async_context(slots)
            except TimeoutError as error:
                words = f"{address}: all {self.connections} connections of {adapter} were in use for {wait_s:g} s"
                raise NoSlot(words) from error
            yield await held.enter_async_context(self._connected(path, adapter, address, connect_s))

    async def offers(self, adapters: Collection[str] = ()) -> dict[str, Offer]:
        """What sensors offer by address, as far as they advertise it or BlueZ remembers; raises `NotConnected`."""
        await self._ready()
        found: dict[str, Offer] = {}
        for path, facts in await self._devices():
            if adapters and path.split("/")[3] not in adapters:
                continue
            address = str(plain(facts.get("Address", ""))).upper()
            services = frozenset(str(uuid).lower() for uuid in plain(facts.get("UUIDs", ())))
            before = found.get(address, Offer(frozenset(), False))
            connected = before.connected or bool(plain(facts.get("Connected", False)))
            found[address] = Offer(before.services | services, connected)
        return found

    async def _ready(self) -> None:
        async with self._opening:
            if not self._bus.connected:
                self._bus.close()
                try:
                    await self._bus.open()
                    for rule in (OWNER_RULE, VALUES_RULE):
                        await self._bus.listen(rule)
                except (NoBus, BluezRefused) as error:
                    raise NotConnected(str(error)) from error

    async def _find(self, address: str, adapters: Collection[str]) -> tuple[str, str]:
        """Path and adapter of a sensor that BlueZ knows: the one that hears it best."""
        found = []
        for path, facts in await self._devices():
            if str(plain(facts.get("Address", ""))).upper() != address:
                continue
            adapter = path.split("/")[3]
            if not adapters or adapter in adapters:
                found.append((int(plain(facts.get("RSSI", -127))), path, adapter))
        if not found:
            raise NoAnswer(f"{address} is not in the air")
        _, path, adapter = max(found)
        return path, adapter

    async def _devices(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Paths and properties of all devices that BlueZ knows."""
        try:
            objects = await self._bus.objects()
        except (NoBus, BluezRefused) as error:
            raise NotConnected(str(error)) from error
        return [(path, facts[DEVICE]) for path, facts in objects.items() if DEVICE in facts]

    @contextlib.asynccontextmanager
    async def _connected(self, path: str, adapter: str, address: str, connect_s: float) -> AsyncIterator[Link]:
        # By its path: of rules that differ in their path_namespace alone, dbus-daemon 1.14 removes the wrong one.
        rule = f"type='signal',interface='{PROPERTIES}',member='PropertiesChanged',path='{path}'"
        link = self._links[path] = Link(self._bus, path, adapter, address)
        try:
            try:
                async with asyncio.timeout(connect_s):
                    await self._bus.listen(rule)
                    # One at a time: two that are being made over one adapter disturb each other.
                    async with self._calling.setdefault(adapter, asyncio.Lock()):
                        await self._connect(path)
                    await link.resolve()
            except TimeoutError as error:
                raise NoAnswer(f"{address} did not take a connection within {connect_s:g} s") from error
            except BluezRefused as error:
                raise _meaning(address, error) from error
            except NoBus as error:
                raise NotConnected(str(error)) from error
            self.connects += 1
            yield link
        finally:
            del self._links[path]
            await self._part(path, rule)

    async def _connect(self, path: str) -> None:
        try:
            await self._bus.call(BLUEZ, path, DEVICE, "Connect", "", [])
        except BluezRefused as error:
            if error.name != "org.bluez.Error.AlreadyConnected":
                raise

    async def _part(self, path: str, rule: str) -> None:
        """End a connection, or the attempt at one; whoever is gone needs no parting."""
        with contextlib.suppress(BluezRefused, NoBus, TimeoutError):
            async with asyncio.timeout(PARTING_S):
                try:
                    await self._bus.call(BLUEZ, path, DEVICE, "Disconnect", "", [])
                finally:
                    await self._bus.unlisten(rule)

    def _signal(self, message: Message) -> None:
        body = message.body
        if message.member == "NameOwnerChanged":
            if not body[2]:
                for link in list(self._links.values()):
                    link.ended()
        elif message.member == "PropertiesChanged" and message.path is not None:
            for path, link in self._links.items():
                if message.path == path or message.path.startswith(f"{path}/"):
                    link.changed(message.path, body[0], body[1])


def _meaning(address: str, error: BluezRefused) -> BusError:
    if error.name in NOT_READY:
        return NotConnected(str(error))
    if error.name in GONE:
        return NoAnswer(f"{address} is not in the air any more")
    return NoAnswer(f"{address} did not take a connection: {error}")
