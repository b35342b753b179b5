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

from dbus_fast import Message, Variant

from firmware_interfaces.ble.systembus import (
    BLUEZ,
    DBUS,
    OBJECTS,
    PROPERTIES,
    BluezRefused,
    NoBus,
    SystemBus,
)
from firmware_interfaces.ble.systembus import plain as _plain

__all__ = ["AdapterFacts", "Bluez", "BluezRefused", "NoBus", "Report", "reset_adapter"]

ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"

_DEVICE_PATH = re.compile(r"/org/bluez/(hci\d+)/dev_((?:[0-9A-F]{2}_){5}[0-9A-F]{2})")

HCIDEVUP, HCIDEVDOWN = 0x400448C9, 0x400448CA
"""ioctl numbers of the kernel's Bluetooth sockets (include/net/bluetooth/hci_sock.h)."""


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
        self._bus = SystemBus(self._signal)

    async def open(self) -> None:
        """Connect and listen; raises `NoBus`."""
        await self._bus.open()
        for rule in (
            f"type='signal',interface='{PROPERTIES}',member='PropertiesChanged',path_namespace='/org/bluez'",
            f"type='signal',interface='{OBJECTS}',sender='{BLUEZ}'",
            f"type='signal',interface='{DBUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
        ):
            await self._bus.listen(rule)

    async def lost(self) -> None:
        """Return when the connection is no more."""
        await self._bus.lost()

    def close(self) -> None:
        """End the connection."""
        self._bus.close()

    async def running(self) -> bool:
        """Whether bluetoothd is on the bus (it is not started by asking)."""
        (owned,) = await self._bus.call(DBUS, "/org/freedesktop/DBus", DBUS, "NameHasOwner", "s", [BLUEZ])
        return bool(owned)

    async def adapters(self) -> dict[str, AdapterFacts]:
        """The adapters by name; raises `BluezRefused` where bluetoothd does not answer."""
        found = {}
        for path, interfaces in (await self._bus.objects()).items():
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
        await self._bus.call(BLUEZ, f"/org/bluez/{adapter}", PROPERTIES, "Set", "ssv", body)

    def _signal(self, message: Message) -> None:
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
