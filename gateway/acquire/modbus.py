"""The family of Modbus buses: links, devices and workers as the site file says."""

from collections.abc import Mapping
from typing import Any, cast

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

__all__ = ["load", "make_link", "serve"]


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
    if bus.kind != "modbus-tcp":
        timing["limit_s"] = bus.timeout_s
    if bus.kind == "modbus-rtu":
        line = {"baud": bus.baud, "parity": bus.parity, "stop_bits": bus.stop_bits}
        return open_link(bus.kind, device=bus.device, **line, **timing)
    return open_link(bus.kind, host=bus.host, port=bus.port, **timing)


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
