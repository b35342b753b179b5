"""The kinds of bus beside Modbus: what a site file may say of each, and what its devices need."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from gateway.config.ble import BleKind
from gateway.config.files import HwmonKind, IioKind, OneWireKind
from gateway.config.locate import Key
from gateway.config.serial import MbusKind, SerialKind
from gateway.config.shape import BUSES, DeviceTable, Table
from gateway.config.words import Report
from gateway.site import BusSpec

if TYPE_CHECKING:
    from firmware_interfaces.asked import Model

__all__ = ["ALL_BUSES", "KINDS", "Kind"]


class Kind(Protocol):
    """One kind of bus. What it loads for its devices is loaded when a site has such a bus."""

    shape: ClassVar[type[Table]]
    """Of its [[bus]] table, which has an ``id``."""
    whom: ClassVar[str]
    """The setting that tells the devices of one bus apart: ``unit`` or ``address``."""

    def load(self, name: str) -> "Model":
        """The model of one of its devices, by name or path. Raises `ModelError`."""
        ...

    def check_bus(self, at: Key, bus: Any, seen: dict[object, str], report: Report) -> None:
        """No transport belongs to two buses; ``seen`` is whose each is (device files by their path)."""

    def check_device(self, at: Key, raw: Mapping[str, object], report: Report) -> None:
        """What a device on it has to say, and what has no meaning there."""

    def spec(self, at: Key, bus: Any, models: "Sequence[Model]", report: Report) -> BusSpec:
        """The checked bus; ``models`` are those of its devices."""
        ...

    def place(self, bus: BusSpec) -> str:
        """Where it is, in words for the summary."""
        ...

    def who(self, device: DeviceTable) -> object:
        """What the table gives for ``whom``, in one spelling."""
        ...


KINDS: Mapping[str, Kind] = {
    "ble": BleKind(),
    "onewire": OneWireKind(),
    "iio": IioKind(),
    "hwmon": HwmonKind(),
    "serial": SerialKind(),
    "mbus": MbusKind(),
}
ALL_BUSES: Mapping[str, type[Table]] = {**BUSES, **{name: kind.shape for name, kind in KINDS.items()}}
