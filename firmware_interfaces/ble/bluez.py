"""BlueZ over D-Bus: which adapters there are, their power, and every advertisement exactly as it was reported.

bleak hands out a device's properties as they have accumulated, at every change of any of them: a changed signal
strength brings the old payload again. Here only what a signal itself carries is passed on, so that nothing old is
ever taken for news.

Source: bluez/doc org.bluez.Adapter.rst, org.bluez.Device.rst; D-Bus specification (ObjectManager, Properties).
"""

import fcntl
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbus_fast import AuthError, BusType, DBusError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from firmware_interfaces.errors import BusError

__all__ = ["AdapterFacts", "Bluez", "BluezRefused", "NoBus", "Report", "reset_adapter"]

SERVICE = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
DBUS = "org.freedesktop.DBus"

_DEVICE_PATH = re.compile(r"/org/bluez/(hci\d+)/dev_((?:[0-9A-F]{2}_){5}[0-9A-F]{2})")

HCIDEVUP, HCIDEVDOWN = 0x400448C9, 0x400448CA
"""ioctl numbers of the kernel's Bluetooth sockets (include/net/bluetooth/hci_sock.h)."""


class NoBus(BusError):  # noqa: N818 - named for what there is not
    """The system D-Bus cannot be reached, or does not let this user in."""


class BluezRefused(BusError):  # noqa: N818 - named for what happened
    """bluetoothd, or the machine, refused something; the words say what."""


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """One adapter: its name (``hci0``), its address, and whether it has power."""

    name: str
    address: str
    powered: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What one signal said of one sender. ``manufacturer`` and ``service`` are None where they were not in it.

    ``first`` says that BlueZ has just met the sender: then all data are of one advertisement.
    """

    adapter: str
    address: str
    rssi: int | None
    name: str | None
    manufacturer: Mapping[int, bytes] | None
    service: Mapping[str, bytes] | None
    first: bool = False


class Bluez:
    """A connection of one's own to the system bus, listening to BlueZ.

    ``on_report`` is called for each advertisement, ``on_change`` with a reason when an adapter or bluetoothd
    comes, goes or changes power.
    """

    def __init__(
        self,
        on_report: Callable[[Report], None],
        on_change: Callable[[str], None],
    ) -> None:
        self._on_report = on_report
        self._on_change = on_change
        self._bus: MessageBus | None = None

    async def open(self) -> None:
        """Connect and listen; raises `NoBus`."""
        bus: MessageBus | None = None
        try:
            bus = MessageBus(bus_type=BusType.SYSTEM)
            await bus.connect()
        except (OSError, AuthError, EOFError, ValueError) as error:
            if bus is not None:
                bus.disconnect()
            raise NoBus(f"system D-Bus: {error or type(error).__name__}") from error
        self._bus = bus
        bus.add_message_handler(self._signal)
        for rule in (
            f"type='signal',interface='{PROPERTIES}',member='PropertiesChanged',path_namespace='/org/bluez'",
            f"type='signal',interface='{OBJECTS}',sender='{SERVICE}'",
            f"type='signal',interface='{DBUS}',member='NameOwnerChanged',arg0='{SERVICE}'",
        ):
            await self._call(DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", "s", [rule])

    async def lost(self) -> None:
        """Return when the connection is no more."""
        assert self._bus is not None
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except (OSError, EOFError, AuthError, DBusError):
            return

    def close(self) -> None:
        """End the connection."""
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    async def running(self) -> bool:
        """Whether bluetoothd is on the bus (it is not started by asking)."""
        (owned,) = await self._call(DBUS, "/org/freedesktop/DBus", DBUS, "NameHasOwner", "s", [SERVICE])
        return bool(owned)

    async def adapters(self) -> dict[str, AdapterFacts]:
        """The adapters by name; raises `BluezRefused` where bluetoothd does not answer."""
        (objects,) = await self._call(SERVICE, "/", OBJECTS, "GetManagedObjects", "", [])
        found = {}
        for path, interfaces in objects.items():
            facts = interfaces.get(ADAPTER)
            if facts is not None:
                name = path.rsplit("/", 1)[-1]
                found[name] = AdapterFacts(
                    name, str(_plain(facts.get("Address", ""))), bool(_plain(facts.get("Powered", False)))
                )
        return found

    async def power(self, adapter: str, *, on: bool) -> None:
        """Give an adapter power or take it; raises `BluezRefused` (blocked by rfkill, not permitted)."""
        body = [ADAPTER, "Powered", Variant("b", on)]
        await self._call(SERVICE, f"/org/bluez/{adapter}", PROPERTIES, "Set", "ssv", body)

    async def _call(  # noqa: PLR0917 - the parts of a D-Bus message, in their order
        self, destination: str, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> list[Any]:
        if self._bus is None or not self._bus.connected:
            raise NoBus("system D-Bus: connection lost")
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
        )
        try:
            reply = await self._bus.call(message)
        except (OSError, EOFError) as error:
            raise NoBus(f"system D-Bus: {error}") from error
        if reply is None:
            raise BluezRefused(f"{member}: no answer")
        if reply.message_type is MessageType.ERROR:
            raise BluezRefused(f"{member}: {reply.error_name} {' '.join(map(str, reply.body))}".strip())
        return list(reply.body)

    def _signal(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        member, body = message.member, message.body
        if member == "PropertiesChanged" and message.path is not None:
            if body[0] == DEVICE:
                self._device(message.path, body[1])
            elif body[0] == ADAPTER and "Powered" in body[1]:
                self._on_change(f"{message.path.rsplit('/', 1)[-1]} power {_plain(body[1]['Powered'])}")
        elif member == "InterfacesAdded":
            if DEVICE in body[1]:
                if "RSSI" in body[1][DEVICE]:
                    self._device(body[0], body[1][DEVICE], first=True)
            elif ADAPTER in body[1]:
                self._on_change(f"{body[0].rsplit('/', 1)[-1]} added")
        elif member == "InterfacesRemoved":
            if ADAPTER in body[1]:
                self._on_change(f"{body[0].rsplit('/', 1)[-1]} removed")
        elif member == "NameOwnerChanged":
            self._on_change("bluetoothd started" if body[2] else "bluetoothd stopped")

    def _device(self, path: str, changed: Mapping[str, Any], *, first: bool = False) -> None:
        match = _DEVICE_PATH.fullmatch(path)
        if match is None:
            return
        address = match[2].replace("_", ":")
        rssi = _plain(changed.get("RSSI"))
        name = _plain(changed.get("Name"))
        manufacturer = _plain(changed.get("ManufacturerData"))
        service = _plain(changed.get("ServiceData"))
        if rssi is None and not manufacturer and not service:
            return
        self._on_report(
            Report(
                match[1],
                address,
                rssi,
                None if name == address.replace(":", "-") else name,
                {int(key): bytes(_plain(data)) for key, data in manufacturer.items()} if manufacturer else None,
                {str(key).lower(): bytes(_plain(data)) for key, data in service.items()} if service else None,
                first,
            )
        )


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Variant) else value


def reset_adapter(adapter: str) -> None:
    """Take an adapter down and up again in the kernel, past bluetoothd (needs CAP_NET_ADMIN).

    Raises `BluezRefused`: not permitted, no such adapter, no Bluetooth in this kernel.
    """
    number = int(adapter.removeprefix("hci"))
    try:
        with socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, socket.BTPROTO_HCI) as hci:
            fcntl.ioctl(hci, HCIDEVDOWN, number)
            fcntl.ioctl(hci, HCIDEVUP, number)
    except PermissionError as error:
        raise BluezRefused(f"reset of {adapter}: not permitted; give the service CAP_NET_ADMIN") from error
    except (OSError, AttributeError) as error:
        raise BluezRefused(f"reset of {adapter}: {error}") from error
