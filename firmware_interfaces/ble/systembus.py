"""A connection of one's own to the system D-Bus: calls with their answers, signals to whoever asked for them.

Source: D-Bus specification (org.freedesktop.DBus, Properties, ObjectManager).
"""

from collections.abc import Callable
from typing import Any

from dbus_fast import AuthError, BusType, DBusError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from firmware_interfaces.errors import BusError

__all__ = ["BLUEZ", "DBUS", "OBJECTS", "PROPERTIES", "BluezRefused", "NoBus", "SystemBus", "plain"]

BLUEZ = "org.bluez"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
DBUS = "org.freedesktop.DBus"


class NoBus(BusError):  # noqa: N818 - named for what there is not
    """The system D-Bus cannot be reached, or does not let this user in."""


class BluezRefused(BusError):  # noqa: N818 - named for what happened
    """bluetoothd, or the machine, refused something; the words say what, ``name`` is the error's D-Bus name."""

    def __init__(self, what: str, name: str = "") -> None:
        self.name = name
        super().__init__(what)


class SystemBus:
    """The connection; ``on_signal`` gets each signal that a match rule asked for."""

    def __init__(self, on_signal: Callable[[Message], None]) -> None:
        self._on_signal = on_signal
        self._bus: MessageBus | None = None

    @property
    def connected(self) -> bool:
        """Whether it stands."""
        return self._bus is not None and self._bus.connected

    async def open(self) -> None:
        """Connect; raises `NoBus`."""
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

    async def listen(self, rule: str) -> None:
        """Ask for the signals of a match rule."""
        await self.call(DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", "s", [rule])

    async def unlisten(self, rule: str) -> None:
        """Ask for them no more."""
        await self.call(DBUS, "/org/freedesktop/DBus", DBUS, "RemoveMatch", "s", [rule])

    async def objects(self) -> dict[str, dict[str, dict[str, Any]]]:
        """All objects of bluetoothd: interfaces by path, properties by interface; raises `BluezRefused`."""
        (found,) = await self.call(BLUEZ, "/", OBJECTS, "GetManagedObjects", "", [])
        return dict(found)

    async def call(  # noqa: PLR0917 - the parts of a D-Bus message, in their order
        self, destination: str, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> list[Any]:
        """The body of the answer; raises `NoBus` or `BluezRefused`."""
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
            words = f"{member}: {reply.error_name} {' '.join(map(str, reply.body))}".strip()
            raise BluezRefused(words, str(reply.error_name))
        return list(reply.body)

    def _signal(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL:
            self._on_signal(message)


def plain(value: Any) -> Any:
    """What a variant holds."""
    return value.value if isinstance(value, Variant) else value
