"""The families of buses whose devices are kernel files: 1-wire thermometers, chip inputs, the board."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from firmware_interfaces.asked import AskedDevice, Line, Model
from firmware_interfaces.fileline import FileModel
from gateway.acquire.breaker import ProbeBudget
from gateway.acquire.families import Common
from gateway.acquire.poller import Poller
from gateway.acquire.worker import BusWorker
from gateway.site import BusSpec, DeviceSpec

if TYPE_CHECKING:
    from firmware_interfaces.iio.tree import Subsystem

__all__ = ["load", "make_devices", "serve"]


def load(name: str) -> Model:
    """A model by its name in a checked site file; that of a chip carries the description of its inputs."""
    from firmware_interfaces.iio.device import BOARD, INPUTS, inputs_model
    from firmware_interfaces.onewire.sensor import MODELS

    kind, _, described = name.partition(":")
    for subsystem, known in INPUTS.items():
        if kind == known:
            return inputs_model(subsystem, described)
    return BOARD if kind == BOARD.id else MODELS[kind]


def make_devices(bus: BusSpec, mine: Sequence[tuple[DeviceSpec, FileModel]]) -> tuple[Line, list[AskedDevice]]:
    """The line of a bus, not yet open, and its devices in order."""
    if bus.kind == "onewire":
        from firmware_interfaces.onewire.sensor import OneWireLine, OneWireSensor

        wire = OneWireLine(bus.device, bus.sysfs / "bus/w1/devices")
        return wire, [OneWireSensor(wire, spec.address, model, spec.channels) for spec, model in mine]
    from firmware_interfaces.iio.device import BoardDevice, InputsDevice, InputsLine, parse_inputs

    subsystem: Subsystem = "iio" if bus.kind == "iio" else "hwmon"
    places = {"iio": "bus/iio/devices", "hwmon": "class/hwmon"}
    line = InputsLine(subsystem, bus.sysfs / places[subsystem])
    devices: list[AskedDevice] = []
    for spec, model in mine:
        if model.how:
            inputs = parse_inputs(subsystem, model.how)
            devices.append(InputsDevice(line, spec.address, model, inputs, spec.channels))
        else:
            devices.append(BoardDevice(line, spec.channels, bus.sysfs))
    return line, devices


def serve(bus: BusSpec, mine: Mapping[int, DeviceSpec], models: Mapping[str, Model], common: Common) -> BusWorker:
    """The worker of a bus of kernel files."""
    line, devices = make_devices(bus, [(spec, cast(FileModel, models[spec.model])) for spec in mine.values()])
    budget = ProbeBudget()
    pollers = [
        Poller(index, spec, device, budget, bus.timeout_s)
        for (index, spec), device in zip(mine.items(), devices, strict=True)
    ]
    return BusWorker(bus.id, line, pollers, sink=common.sink, now_ms=common.now_ms, metronome=common.metronome)
