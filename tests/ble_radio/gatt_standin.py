"""Sensors that can be connected to, for the stand-in of bluetoothd: services appear with the connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from bluez_standin import Device, Properties, StandIn, Strings
from dbus_fast import DBusError, PropertyAccess
from dbus_fast.annotations import DBusBool, DBusBytes, DBusObjectPath, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from firmware_interfaces.ble.decoders.dispatch import full_uuid

Bytes = Annotated[bytes, DBusBytes]
Answer = bytes | Callable[[], bytes] | DBusError


class GattService(ServiceInterface):
    def __init__(self, uuid: str, device: str) -> None:
        super().__init__("org.bluez.GattService1")
        self.uuid, self.device = uuid, device

    @dbus_property(access=PropertyAccess.READ)
    def Device(self) -> DBusObjectPath:  # noqa: N802
        return self.device

    @dbus_property(access=PropertyAccess.READ)
    def Primary(self) -> DBusBool:  # noqa: N802
        return True

    @dbus_property(access=PropertyAccess.READ)
    def UUID(self) -> DBusStr:  # noqa: N802
        return self.uuid


def _told(answer: Answer) -> bytes:
    if isinstance(answer, DBusError):
        raise answer
    return answer() if callable(answer) else answer


class GattDescriptor(ServiceInterface):
    def __init__(self, uuid: str, owner: str, answer: Answer) -> None:
        super().__init__("org.bluez.GattDescriptor1")
        self.uuid, self.owner, self.answer = uuid, owner, answer

    @dbus_method()
    def ReadValue(self, options: Properties) -> DBusBytes:  # noqa: N802
        return _told(self.answer)

    @dbus_property(access=PropertyAccess.READ)
    def UUID(self) -> DBusStr:  # noqa: N802
        return self.uuid

    @dbus_property(access=PropertyAccess.READ)
    def Characteristic(self) -> DBusObjectPath:  # noqa: N802
        return self.owner


class GattCharacteristic(ServiceInterface):
    """``on_notify`` is called when somebody listens, ``on_write`` with what is written."""

    def __init__(self, characteristic: "Char", service: str) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self.of = characteristic
        self.service = service
        self.value = b""
        self.notifying = False

    @dbus_method()
    def ReadValue(self, options: Properties) -> DBusBytes:  # noqa: N802
        self.value = _told(self.of.answer)
        # BlueZ says a value that was read as it says one that was indicated.
        self.emit_properties_changed({"Value": self.value})
        return self.value

    @dbus_method()
    def WriteValue(self, value: DBusBytes, options: Properties) -> None:  # noqa: N802
        self.of.written.append(value)
        if self.of.on_write is not None:
            self.of.on_write(value)

    @dbus_method()
    def StartNotify(self) -> None:  # noqa: N802
        self.notifying = True
        if self.of.on_notify is not None:
            asyncio.get_running_loop().call_soon(self.of.on_notify)

    @dbus_method()
    def StopNotify(self) -> None:  # noqa: N802
        self.notifying = False

    @dbus_property(access=PropertyAccess.READ)
    def UUID(self) -> DBusStr:  # noqa: N802
        return self.of.uuid

    @dbus_property(access=PropertyAccess.READ)
    def Service(self) -> DBusObjectPath:  # noqa: N802
        return self.service

    @dbus_property(access=PropertyAccess.READ)
    def Value(self) -> DBusBytes:  # noqa: N802
        return self.value

    @dbus_property(access=PropertyAccess.READ)
    def Notifying(self) -> DBusBool:  # noqa: N802
        return self.notifying

    @dbus_property(access=PropertyAccess.READ)
    def Flags(self) -> Strings:  # noqa: N802
        return list(self.of.flags)


@dataclass(eq=False)
class Char:
    """One characteristic of a sensor."""

    uuid: str
    answer: Answer = b""
    flags: tuple[str, ...] = ("read",)
    descriptors: dict[str, Answer] = field(default_factory=dict)
    on_write: Callable[[bytes], None] | None = None
    on_notify: Callable[[], None] | None = None
    written: list[bytes] = field(default_factory=list)
    exported: GattCharacteristic | None = None

    def send(self, data: bytes) -> None:
        """Indicate a value to whoever listens."""
        if self.exported is not None and self.exported.notifying:
            self.exported.value = data
            self.exported.emit_properties_changed({"Value": data})


@dataclass(eq=False)
class Peripheral:
    """A sensor. ``refuses`` is what it answers to a call, ``deaf`` that it answers to none."""

    standin: StandIn
    services: dict[str, list[Char]]
    refuses: DBusError | None = None
    deaf: bool = False
    connects: int = 0
    most_at_once: int = 0
    device: Device | None = None
    _paths: list[str] = field(default_factory=list)

    async def connect(self, device: Device) -> None:
        self.connects += 1
        if self.refuses is not None:
            raise self.refuses
        if self.deaf:
            await asyncio.Event().wait()
        self.device = device
        self._export(device)
        device.link(connected=True, resolved=False)
        # Services are known a moment after the connection is there.
        asyncio.get_running_loop().call_later(0.01, self._resolve, device)
        busy = sum(other.device is not None for other in self.standin.peripherals.values())
        for other in self.standin.peripherals.values():
            other.most_at_once = max(other.most_at_once, busy)

    def _resolve(self, device: Device) -> None:
        if self.device is device:
            device.link(connected=True, resolved=True)

    def disconnect(self) -> None:
        """The connection ends, by whoever's wish."""
        device, self.device = self.device, None
        if device is None:
            return
        for path in self._paths:
            if self.standin.bus is not None:
                self.standin.bus.unexport(path)
        self._paths.clear()
        device.link(connected=False, resolved=False)

    def _export(self, device: Device) -> None:
        bus = self.standin.bus
        assert bus is not None
        base = StandIn.path(device.adapter, device.address)
        handle = 1
        for uuid, characteristics in self.services.items():
            service = f"{base}/service{handle:04x}"
            self._add(service, GattService(uuid, base))
            handle += 1
            for one in characteristics:
                path = f"{service}/char{handle:04x}"
                one.exported = GattCharacteristic(one, service)
                self._add(path, one.exported)
                handle += 2
                for short, answer in one.descriptors.items():
                    self._add(f"{path}/desc{handle:04x}", GattDescriptor(short, path, answer))
                    handle += 1

    def _add(self, path: str, interface: ServiceInterface) -> None:
        assert self.standin.bus is not None
        self.standin.bus.export(path, interface)
        self._paths.append(path)


def peripheral(standin: StandIn, address: str, services: dict[str, list[Char]]) -> Peripheral:
    """Put a sensor there; it can be connected to once it has been heard."""
    made = standin.peripherals[address] = Peripheral(standin, services)
    return made


ENVIRONMENTAL, THERMOMETER = full_uuid(0x181A), full_uuid(0x1809)
BATTERY, INFORMATION = full_uuid(0x180F), full_uuid(0x180A)
