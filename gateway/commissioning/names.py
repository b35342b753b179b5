"""Ids from the names that people give, and how often a device should be asked."""

import re
import unicodedata
from collections.abc import Collection, Iterable

from firmware_interfaces.modbus.model import DeviceModel
from gateway.config.wire import line_load, poll_s, reads_of
from gateway.site import BusSpec, DeviceSpec

__all__ = ["PERIODS_S", "free_id", "suggest_period"]

LONGEST_ID = 60
PERIODS_S = (10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""What is suggested: a room does not change within ten seconds, and a record that is too fine is large."""
MOST_LOAD = 0.5
"""A line that its polls keep busy for longer has no room for what is repeated, probed or looked at."""
HEARD_S = 60.0
SHARE = 3.0
"""So many values at least within what a profile allows between two of them."""


def free_id(name: str, taken: Collection[str], otherwise: str) -> str:
    """An id in the letters that a site file allows, not among those ``taken``: "Chambre froide n° 3" is
    ``chambre-froide-n-3``; ``otherwise`` where nothing is left of the name."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss").replace("ł", "l").replace("Ł", "L"))
    ascii_only = plain.encode("ascii", "ignore").decode().lower()
    ident = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:LONGEST_ID].strip("-") or otherwise
    number, found = 2, ident
    while found in taken:
        found, number = f"{ident}-{number}", number + 1
    return found


def suggest_period(
    bus: BusSpec,
    model: DeviceModel,
    channels: Iterable[str],
    others: Iterable[tuple[DeviceSpec, DeviceModel]],
    *,
    longest_s: float | None = None,
) -> tuple[float, str, float | None]:
    """Seconds between two polls of a new device, why, and the load of the line with it (None: not a serial line).

    ``others`` are the devices of the line now; ``longest_s`` is what the profile allows between two values.
    """
    within = [one for one in PERIODS_S if longest_s is None or one * SHARE <= longest_s] or [PERIODS_S[0]]
    if bus.kind in {"modbus-tcp", "modbus-tls"}:
        return within[0], "a network carries it easily", None
    others, wanted = list(others), tuple(channels)
    load = 1.0
    for period_s in within:
        period_ms = round(period_s * 1000)
        new = DeviceSpec(id="new", bus=bus.id, model=model.id, unit=0, period_ms=period_ms, channels=wanted)
        load = line_load(bus, [*others, (new, model)])
        fits = poll_s(bus, model, reads_of(model, wanted)) * 2 <= period_s
        if fits and load <= MOST_LOAD:
            return period_s, f"the line is busy for {load:.0%} of the time then", load
    return within[-1], f"the line is busy for {load:.0%} of the time then: put the device on one of its own", load
