"""The family of Modbus buses: links, devices and workers as the site file says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from firmware_interfaces.asked import RING, Model
from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.limits import TimeLimits
from firmware_interfaces.modbus.link import Link
from firmware_interfaces.modbus.links import open_link
from firmware_interfaces.modbus.model import DeviceModel, load_model
from gateway.acquire.breaker import ProbeBudget
from gateway.acquire.families import Common
from gateway.acquire.poller import Poller
from gateway.acquire.worker import BusWorker
from gateway.site import BusSpec, DeviceSpec

if TYPE_CHECKING:
    from firmware_interfaces.modbus.rs485 import Rs485

__all__ = ["load", "make_link", "serve"]

RELEASE_AFTER_S = 0.25
"""Longer than any rest between the requests of one poll, so that a poll takes one connection."""


def make_link(bus: BusSpec, gap_ms: float = 0.0, limits: TimeLimits | None = None, frames_kept: int = RING) -> Link:
    """The link of a bus, not yet connected; ``gap_ms`` is the rest its devices need between requests.

    Links that are given the same ``limits`` share one timer.
    """
    timing: dict[str, Any] = {
        "limits": limits,
        "frames_kept": frames_kept,
        "gap_s": (gap_ms if bus.gap_ms is None else bus.gap_ms) / 1000,
        "connect_pause_s": bus.connect_pause_ms / 1000,
    }
    if bus.kind not in {"modbus-tcp", "modbus-tls"}:
        timing["limit_s"] = bus.timeout_s
    if bus.kind == "modbus-rtu":
        line = {"baud": bus.baud, "parity": bus.parity, "stop_bits": bus.stop_bits, "rs485": _rs485(bus)}
        return open_link(bus.kind, device=bus.device, **line, **timing)
    if bus.release:
        timing["rest_after_s"] = RELEASE_AFTER_S
    if bus.kind == "modbus-tls":
        timing |= {name: getattr(bus, name) for name in ("ca", "certificate", "key", "server_name")}
    return open_link(bus.kind, host=bus.host, port=bus.port, **timing)


def _rs485(bus: BusSpec) -> "Rs485 | None":
    if bus.rs485 is None:
        return None
    from firmware_interfaces.modbus.rs485 import Rs485

    return Rs485(**bus.rs485)


def load(name: str) -> DeviceModel:
    """A model by its name, or the path of its file."""
    return load_model(name)


def serve(bus: BusSpec, mine: Mapping[int, DeviceSpec], models: Mapping[str, Model], common: Common) -> BusWorker:
    """The worker of a Modbus bus."""
    asked = {index: cast(DeviceModel, models[spec.model]) for index, spec in mine.items()}
    link = make_link(bus, max(model.link.min_gap_ms for model in asked.values()), common.limits)
    budget = ProbeBudget()
    pollers = []
    for index, spec in mine.items():
        device = ModbusDevice(link, spec.unit, asked[index], spec.channels)
        pollers.append(Poller(index, spec, device, budget, bus.timeout_s))
    return BusWorker(bus.id, link, pollers, sink=common.sink, now_ms=common.now_ms, metronome=common.metronome)
