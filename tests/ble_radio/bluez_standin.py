"""A stand-in for bluetoothd on a private D-Bus: adapters, senders and advertisement monitors, as far as bleak asks.

It holds what BlueZ 5.66 was seen to do with virtual controllers: reports stop without a word when the adapter or
the daemon has gone, payloads of a sender pile up in one dictionary, a scan that is not running cannot be stopped.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dbus_fast import DBusError, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusInt16, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

if TYPE_CHECKING:
    from gatt_standin import Peripheral

Properties = Annotated[dict[str, Variant], DBusSignature("a{sv}")]
Strings = Annotated[list[str], DBusSignature("as")]
ByCompany = Annotated[dict[int, Variant], DBusSignature("a{qv}")]
ByUuid = Annotated[dict[str, Variant], DBusSignature("a{sv}")]


class Adapter(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.Adapter1")
        self.powered = True
        self.blocked = False
        self.deaf = False
        self.discovering = 0
        self.started = 0
        self.power_changes: list[bool] = []
        self.filter: dict[str, Any] = {}

    @dbus_method()
    def StartDiscovery(self) -> None:  # noqa: N802
        if not self.powered:
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        self.discovering += 1
        self.started += 1

    @dbus_method()
    def StopDiscovery(self) -> None:  # noqa: N802
        if not self.discovering:
            raise DBusError("org.bluez.Error.Failed", "No discovery started")
        self.discovering -= 1

    @dbus_method()
    def SetDiscoveryFilter(self, properties: Properties) -> None:  # noqa: N802
        self.filter = {key: value.value for key, value in properties.items()}

    @dbus_property(access=PropertyAccess.READ)
    def Address(self) -> DBusStr:  # noqa: N802
        return "F0:F1:F2:F3:F4:F5"

    @dbus_property(access=PropertyAccess.READ)
    def Roles(self) -> Strings:  # noqa: N802
        return ["central"]

    @dbus_property()
    def Powered(self) -> DBusBool:  # noqa: N802
        return self.powered

    @Powered.setter
    def Powered(self, on: DBusBool) -> None:  # noqa: N802
        if on and self.blocked:
            raise DBusError("org.bluez.Error.Blocked", "Blocked through rfkill")
        self.set_power(on)

    def set_power(self, on: bool) -> None:
        self.powered = on
        self.power_changes.append(on)
        if not on:
            self.discovering = 0
        self.emit_properties_changed({"Powered": on})


class Monitors(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.AdvertisementMonitorManager1")
        self.registered: list[str] = []

    @dbus_method()
    def RegisterMonitor(self, path: DBusObjectPath) -> None:  # noqa: N802
        self.registered.append(path)

    @dbus_method()
    def UnregisterMonitor(self, path: DBusObjectPath) -> None:  # noqa: N802
        if path not in self.registered:
            raise DBusError("org.bluez.Error.DoesNotExist", "Does Not Exist")
        self.registered.remove(path)


class Device(ServiceInterface):
    def __init__(self, adapter: str, address: str, name: str) -> None:
        super().__init__("org.bluez.Device1")
        self.adapter = adapter
        self.address = address
        self.called = name
        self.rssi = -60
        self.manufacturer: dict[int, bytes] = {}
        self.service: dict[str, bytes] = {}
        self.peripheral: Peripheral | None = None
        self.connected = False
        self.resolved = False

    @dbus_method()
    async def Connect(self) -> None:  # noqa: N802
        if self.peripheral is None:
            raise DBusError("org.bluez.Error.Failed", "le-connection-abort-by-local")
        await self.peripheral.connect(self)

    @dbus_method()
    def Disconnect(self) -> None:  # noqa: N802
        if self.peripheral is not None:
            self.peripheral.disconnect()

    def link(self, *, connected: bool, resolved: bool) -> None:
        """The state of its connection changes."""
        self.connected, self.resolved = connected, resolved
        self.emit_properties_changed({"Connected": connected, "ServicesResolved": resolved})

    @dbus_property(access=PropertyAccess.READ)
    def Connected(self) -> DBusBool:  # noqa: N802
        return self.connected

    @dbus_property(access=PropertyAccess.READ)
    def ServicesResolved(self) -> DBusBool:  # noqa: N802
        return self.resolved

    @dbus_property(access=PropertyAccess.READ)
    def Address(self) -> DBusStr:  # noqa: N802
        return self.address

    @dbus_property(access=PropertyAccess.READ)
    def Name(self) -> DBusStr:  # noqa: N802
        return self.called

    @dbus_property(access=PropertyAccess.READ)
    def Alias(self) -> DBusStr:  # noqa: N802
        return self.called

    @dbus_property(access=PropertyAccess.READ)
    def Adapter(self) -> DBusObjectPath:  # noqa: N802
        return f"/org/bluez/{self.adapter}"

    @dbus_property(access=PropertyAccess.READ)
    def UUIDs(self) -> Strings:  # noqa: N802
        return [] if self.peripheral is None else list(self.peripheral.services)

    @dbus_property(access=PropertyAccess.READ)
    def RSSI(self) -> DBusInt16:  # noqa: N802
        return self.rssi

    @dbus_property(access=PropertyAccess.READ)
    def ManufacturerData(self) -> ByCompany:  # noqa: N802
        return {key: Variant("ay", data) for key, data in self.manufacturer.items()}

    @dbus_property(access=PropertyAccess.READ)
    def ServiceData(self) -> ByUuid:  # noqa: N802
        return {key: Variant("ay", data) for key, data in self.service.items()}

    def say(self, manufacturer: dict[int, bytes], service: dict[str, bytes], rssi: int) -> None:
        """One advertisement: what it holds piles up on what was, and only that kind is reported."""
        self.rssi = rssi
        self.manufacturer.update(manufacturer)
        self.service.update(service)
        changed: dict[str, Any] = {"RSSI": rssi}
        if manufacturer:
            changed["ManufacturerData"] = self.ManufacturerData
        if service:
            changed["ServiceData"] = self.ServiceData
        self.emit_properties_changed(changed)


class StandIn:
    """One bluetoothd. ``passive`` says whether it knows advertisement monitors."""

    def __init__(self, *, passive: bool = True) -> None:
        self.passive = passive
        self.adapters: dict[str, Adapter] = {}
        self.monitors: dict[str, Monitors] = {}
        self.devices: dict[tuple[str, str], Device] = {}
        self.peripherals: dict[str, Peripheral] = {}
        """What can be connected to, by address."""
        self.bus: MessageBus | None = None

    async def start(self, address: str) -> None:
        self.bus = await MessageBus(bus_address=address).connect()
        for name in list(self.adapters):
            self._export(name)
        await self.bus.request_name("org.bluez")

    async def stop(self) -> None:
        """As if the daemon had been killed."""
        if self.bus is not None:
            self.bus.disconnect()
            with contextlib.suppress(Exception):
                await self.bus.wait_for_disconnect()
            self.bus = None
        self.devices.clear()
        for adapter in self.adapters.values():
            adapter.discovering = 0
        for monitors in self.monitors.values():
            monitors.registered.clear()

    def add_adapter(self, name: str) -> Adapter:
        adapter = self.adapters[name] = Adapter()
        if self.bus is not None:
            self._export(name)
        return adapter

    def _export(self, name: str) -> None:
        assert self.bus is not None
        path = f"/org/bluez/{name}"
        self.bus.export(path, self.adapters[name])
        if self.passive:
            monitors = self.monitors.setdefault(name, Monitors())
            self.bus.export(path, monitors)

    def remove_adapter(self, name: str) -> None:
        assert self.bus is not None
        self.bus.unexport(f"/org/bluez/{name}")
        for key in [key for key in self.devices if key[0] == name]:
            self.bus.unexport(self.path(*key))
            del self.devices[key]
        del self.adapters[name]
        self.monitors.pop(name, None)

    def heard(
        self,
        address: str,
        manufacturer: dict[int, bytes] | None = None,
        service: dict[str, bytes] | None = None,
        *,
        name: str = "",
        rssi: int = -60,
        adapter: str = "hci0",
    ) -> bool:
        """A sender advertises; returns whether anybody listened."""
        radio = self.adapters.get(adapter)
        monitors = self.monitors.get(adapter)
        listening = radio is not None and (radio.discovering or (monitors is not None and monitors.registered))
        if self.bus is None or radio is None or radio.deaf or not radio.powered or not listening:
            return False
        device = self.devices.get((adapter, address))
        if device is None:
            device = self.devices[adapter, address] = Device(adapter, address, name or address.replace(":", "-"))
            device.rssi, device.manufacturer, device.service = rssi, manufacturer or {}, service or {}
            device.peripheral = self.peripherals.get(address)
            self.bus.export(self.path(adapter, address), device)
        else:
            device.say(manufacturer or {}, service or {}, rssi)
        return True

    def signal_strength(self, address: str, rssi: int, adapter: str = "hci0") -> None:
        """BlueZ reports a changed signal strength alone."""
        self.devices[adapter, address].emit_properties_changed({"RSSI": rssi})

    @staticmethod
    def path(adapter: str, address: str) -> str:
        return f"/org/bluez/{adapter}/dev_{address.replace(':', '_')}"


CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class PrivateBus:
    """A dbus-daemon of our own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "bus"
        self.address = f"unix:path={self.socket}"
        self._configuration = folder / "bus.conf"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._configuration.write_text(CONFIGURATION.format(socket=self.socket))
        self.socket.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            "dbus-daemon",
            f"--config-file={self._configuration}",
            "--nofork",
            "--nopidfile",
            "--print-address",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline()

    async def stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None
