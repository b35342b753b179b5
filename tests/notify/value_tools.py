"""Readings as the gateway gives them to outputs that take values."""

from typing import Any

from gateway.api import DeviceInfo, Host, Output, Reading, Value, load_output

UTC = 1_763_985_600_000
"""2025-11-24 12:00 UTC."""
DEVICES = (
    DeviceInfo("fridge", "xy-md02", 10.0, {"temperature": "degC", "humidity": "%"}),
    DeviceInfo("freezer", "xy-md02", 10.0, {"temperature": "degC"}),
)


def value(channel: str = "temperature", number: float | None = 4.1, **changes: Any) -> Value:
    unit = changes.pop("unit", "degC")
    severity, reason = changes.pop("quality", ("good", "good") if number is not None else ("bad", "timeout"))
    return Value(channel, number, unit, changes.pop("decimals", 1), severity, reason, changes.pop("points", ()))


def reading(device: str = "fridge", slot: int = 0, *values: Value, **changes: Any) -> Reading:
    base: dict[str, Any] = {
        "count": 1,
        "boot_ms": 1_000_000 + 10_000 * slot,
        "utc_ms": UTC + 10_000 * slot,
        "answered": True,
        "stored": False,
    }
    return Reading(device, slot, values=values or (value(),), **(base | changes))


def silent(device: str = "fridge", slot: int = 0, **changes: Any) -> Reading:
    return reading(device, slot, value(number=None), **{"answered": False, **changes})


def made(kind: str, settings: dict[str, Any]) -> Output:
    import logging

    plugin = load_output(kind)
    log = logging.getLogger("gateway.output.out")
    return plugin(plugin.Settings(**settings), Host("out", "dairy", "plant-1", "gw-1", 5.0, log, DEVICES))
