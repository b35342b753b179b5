"""Which kind of bus a device is on, and which model it names."""

from typing import TYPE_CHECKING

from gateway.config.files import named
from gateway.config.kinds import KINDS, Kind
from gateway.config.models import ModelBook

if TYPE_CHECKING:
    from firmware_interfaces.asked import Model
    from gateway.config.shape import DeviceTable
    from gateway.config.tables import Entry, Tables

__all__ = ["kind_of", "model_of"]


def kind_of(entry: "Entry[DeviceTable]", tables: "Tables") -> Kind | None:
    """The kind of a device's bus, None for Modbus; where there is no such bus, an address means Bluetooth."""
    for bus in tables.buses:
        if bus.text("id") == entry.text("bus"):
            return KINDS.get(bus.text("type") or "")
    return KINDS["ble"] if "address" in entry.raw else None


def model_of(entry: "Entry[DeviceTable]", tables: "Tables", models: ModelBook) -> "Model | None":
    """The model that a device names; None where it cannot be used."""
    written = entry.text("model")
    if not written:
        return None
    kind = kind_of(entry, tables)
    return models.get(written) if kind is None else models.get_as(kind.load, named(entry.raw))
