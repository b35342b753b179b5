"""What a changed site file means for a running gateway: what begins anew, what cannot be done."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from gateway.buffer.slots import on_grid
from gateway.errors import AuroraError
from gateway.model import DeviceLayout, Layout
from gateway.site import Site

__all__ = ["ChangeError", "Plan", "plan_of"]


class ChangeError(AuroraError):
    """A change cannot be made: ``what`` is in the way, ``remedy`` says what would help."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


RESTART = "write it into the site file and restart the gateway: systemctl restart aurora-gateway"
FIXED: Mapping[str, str] = {
    "identity": "who the gateway is ([gateway] member, site, id) is in every signed batch",
    "data_dir": "where the gateway stores ([gateway] data_dir) is open while it runs",
    "clock": "whom it believes about the time ([clock]) is settled at the start",
}
"""Parts of a site that a running gateway cannot change, and why."""

NOTICES = ("outputs", "notify", "notices", "points", "time_zone", "language")
"""Parts that the outputs go by."""
JUDGED = ("points", "processes", "alarms", "time_zone", "rules", "outputs")
"""Whose alarms may have to end."""
WEB = ("web", "language", "time_zone")
"""Parts that the status page is made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Buses and devices by id. A bus that is not named goes on as it is, with all its devices."""

    refused: tuple[tuple[str, str], ...]
    """What cannot be changed while it runs, and what to do instead."""
    restarted: tuple[str, ...]
    """Buses that begin anew, because they or one of their devices are others now."""
    begun: tuple[str, ...]
    ended: tuple[str, ...]
    added: tuple[str, ...]
    """Devices."""
    removed: tuple[str, ...]
    rescheduled: tuple[str, ...]
    """Devices with another period or phase: their slots are counted anew."""
    relaid: tuple[str, ...]
    """Devices whose scans hold something else, or are taken otherwise: channels, calibration, model, bus."""
    points_added: tuple[str, ...]
    points_removed: tuple[str, ...]
    judged: bool
    """Whether anything that is judged is another now."""
    stored: bool
    """Whether the journal goes by another layout or other rules."""
    outputs: bool
    uplink: bool
    web: bool
    rules: bool
    vitals: bool

    @property
    def halted(self) -> frozenset[str]:
        """Buses whose workers end."""
        return frozenset((*self.restarted, *self.ended))

    @property
    def fresh(self) -> frozenset[str]:
        """Buses whose workers are made."""
        return frozenset((*self.restarted, *self.begun))


def plan_of(old: Site, new: Site, before: Layout, after: Layout) -> Plan:
    """Compare two checked sites with the layouts that their models give."""
    was, now = _buses(old, before), _buses(new, after)
    both = [bus for bus in now if bus in was]
    old_devices, new_devices = _by_id(before), _by_id(after)
    kept = [(old_devices[name], device) for name, device in new_devices.items() if name in old_devices]
    points, points_now = {point.id for point in old.points}, {point.id for point in new.points}
    return Plan(
        refused=tuple((why, RESTART) for name, why in FIXED.items() if getattr(old, name) != getattr(new, name))
        + _cap(old, new),
        restarted=tuple(bus for bus in both if was[bus] != now[bus]),
        begun=tuple(bus for bus in now if bus not in was),
        ended=tuple(bus for bus in was if bus not in now),
        added=tuple(name for name in new_devices if name not in old_devices),
        removed=tuple(name for name in old_devices if name not in new_devices),
        rescheduled=tuple(device.id for other, device in kept if on_grid(other) != on_grid(device)),
        relaid=tuple(device.id for other, device in kept if _scans(other) != _scans(device)),
        points_added=tuple(point.id for point in new.points if point.id not in points),
        points_removed=tuple(point.id for point in old.points if point.id not in points_now),
        judged=before != after or _differ(old, new, JUDGED),
        stored=before != after or old.buffer != new.buffer,
        outputs=bool(old.outputs or new.outputs) and _differ(old, new, NOTICES),
        uplink=old.cluster != new.cluster,
        web=bool(old.web or new.web) and _differ(old, new, WEB),
        rules=bool(old.rules or new.rules) and (before != after or _differ(old, new, ("rules", "points"))),
        vitals=old.buffer.card_endurance_bytes != new.buffer.card_endurance_bytes,
    )


def _buses(site: Site, layout: Layout) -> dict[str, Any]:
    """What makes a bus another one: its settings, its devices in their order, their models. One without devices is
    not worked on."""
    layouts = _by_id(layout)
    found: dict[str, Any] = {}
    for bus in site.buses:
        devices = [device for device in site.devices if device.bus == bus.id]
        if devices:
            found[bus.id] = bus, [(device, layouts[device.id]) for device in devices]
    return found


def _by_id(layout: Layout) -> dict[str, DeviceLayout]:
    return {device.id: device for device in layout.devices}


def _scans(device: DeviceLayout) -> tuple[object, ...]:
    rest = (field.name for field in fields(device) if field.name not in {"period_ms", "phase_ms"})
    return tuple(getattr(device, name) for name in rest)


def _differ(old: Site, new: Site, names: tuple[str, ...]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _cap(old: Site, new: Site) -> tuple[tuple[str, str], ...]:
    if old.buffer.max_bytes == new.buffer.max_bytes:
        return ()
    return (("how large the journal may be ([buffer] max_size) is settled when it is opened", RESTART),)
