"""The families of serial buses: instruments that are asked, meters on M-Bus, and instruments that speak unasked."""

from collections.abc import Mapping
from typing import cast

from firmware_interfaces.asked import AskedDevice, Model
from firmware_interfaces.modbus.limits import TimeLimits
from firmware_interfaces.serial.instrument import TextInstrument
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.meter import Meter, MeterModel, secondary_address
from firmware_interfaces.serial.models import SerialModel, load_meter_model, load_serial_model
from firmware_interfaces.serial.nouns import TextModel
from firmware_interfaces.serial.port import LineSettings
from gateway.acquire.breaker import ProbeBudget
from gateway.acquire.families import Common, Worker
from gateway.acquire.poller import Poller
from gateway.acquire.worker import BusWorker
from gateway.site import BusSpec, DeviceSpec

__all__ = ["load", "make_device", "make_line", "serve"]


def load(name: str) -> Model:
    """A model of a serial instrument or of a meter, by its name or the path of its file."""
    return load_meter_model(name) if name.startswith("mbus-") else load_serial_model(name)


def make_line(bus: BusSpec, gap_ms: float = 0.0, limits: TimeLimits | None = None) -> SerialLine:
    """The line of a bus, not yet open."""
    settings = LineSettings(bus.baud, bus.parity, bus.stop_bits, bus.data_bits)
    gap_s = (gap_ms if bus.gap_ms is None else bus.gap_ms) / 1000
    return SerialLine(bus.device, settings, kind=bus.kind, limits=limits, limit_s=bus.timeout_s, gap_s=gap_s)


def make_device(line: SerialLine, spec: DeviceSpec, model: Model) -> AskedDevice:
    """A device that is asked."""
    if isinstance(model, MeterModel):
        identification = secondary_address(spec.address) if spec.address else None
        return Meter(line, spec.unit, model, spec.channels, identification)
    return TextInstrument(line, spec.unit, cast(TextModel, model), spec.channels)


def serve(bus: BusSpec, mine: Mapping[int, DeviceSpec], models: Mapping[str, Model], common: Common) -> Worker:
    """The worker of a bus: one that asks, or one that listens where its instrument speaks unasked."""
    of = {index: cast("SerialModel | MeterModel", models[spec.model]) for index, spec in mine.items()}
    gap_ms = max((model.line.min_gap_ms for model in of.values() if isinstance(model, TextModel)), default=0)
    line = make_line(bus, gap_ms, common.limits)
    if any(model.listens for model in of.values()):
        from gateway.acquire.listened import listened_worker

        return listened_worker(bus, line, mine, cast(Mapping[int, SerialModel], of), common)
    budget = ProbeBudget()
    pollers = []
    for index, spec in mine.items():
        pollers.append(Poller(index, spec, make_device(line, spec, of[index]), budget, bus.timeout_s))
    return BusWorker(bus.id, line, pollers, sink=common.sink, now_ms=common.now_ms, metronome=common.metronome)
