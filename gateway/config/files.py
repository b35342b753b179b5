"""What a site file says of sensors behind the kernel's files: 1-wire, inputs of ADC and hwmon chips, the board."""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from firmware_interfaces.errors import ModelError, ModelProblem
from gateway.config.locate import Key
from gateway.config.shape import MASTER, DeviceTable, Identifier, Table, Text
from gateway.config.words import Report, did_you_mean
from gateway.site import BusSpec

if TYPE_CHECKING:
    from firmware_interfaces.asked import Model
    from firmware_interfaces.iio.tree import Subsystem

__all__ = ["HwmonBus", "HwmonKind", "IioBus", "IioKind", "OneWireBus", "OneWireKind", "named"]

ONEWIRE_TIMEOUT_S, FILES_TIMEOUT_S = 3.0, 2.0
CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,39}")
LOOP = "4-20mA"
ENTRIES = ("input", "signal", "shunt_ohm", "span", "unit", "decimals")


def named(raw: Mapping[str, object]) -> str:
    """A device's model by its whole name: with the inputs that the site file describes, where it describes some."""
    model, inputs = raw.get("model"), raw.get("inputs")
    if not isinstance(model, str):
        return ""
    return model if not isinstance(inputs, dict) else f"{model}:{json.dumps(inputs, sort_keys=True, default=str)}"


class FilesBus(Table):
    """What buses of kernel files have. ``sysfs`` is where the kernel's files are: elsewhere in a container."""

    id: Identifier = Field(examples=["probes"])
    timeout_s: float | None = Field(None, ge=0.1, le=30, examples=[3.0])
    sysfs: Text = Field("/sys", examples=["/sys"])


class OneWireBus(FilesBus):
    """One 1-wire master of the kernel."""

    type: Literal["onewire"] = Field(examples=["onewire"])
    master: str = Field("w1_bus_master1", pattern=MASTER, examples=["w1_bus_master1"])


class IioBus(FilesBus):
    """Analogue inputs: the kernel's Industrial I/O."""

    type: Literal["iio"] = Field(examples=["iio"])


class HwmonBus(FilesBus):
    """Hardware monitoring chips, and the board itself."""

    type: Literal["hwmon"] = Field(examples=["hwmon"])


class OneWireKind:
    """Thermometers on a 1-wire bus."""

    shape: ClassVar[type[Table]] = OneWireBus
    whom: ClassVar[str] = "address"

    def load(self, name: str) -> "Model":
        """The model of a sensor."""
        from firmware_interfaces.onewire.sensor import MODELS

        return _known(name, MODELS, "1-wire model")

    def check_bus(self, at: Key, bus: OneWireBus, seen: dict[object, str], report: Report) -> None:
        """A master belongs to one bus."""
        _own((*at, "master"), (bus.sysfs, bus.master), bus.id, seen, report)

    def check_device(self, at: Key, raw: Mapping[str, object], report: Report) -> None:
        """It has the address that the kernel gives it, and a model of the same family."""
        from firmware_interfaces.onewire.address import family_of, kernel_name
        from firmware_interfaces.onewire.sensor import CODES

        _no(at, raw, ("unit", "key_file", "inputs"), report)
        address, model = raw.get("address"), raw.get("model")
        if address is None:
            remedy = 'add address = "28-0316a2794bff" (aurora-gateway scan onewire)'
            report.add((*at, "address"), "is missing", remedy)
            return
        name = kernel_name(address) if isinstance(address, str) else None
        if name is None:
            remedy = 'write it as the kernel does, "28-0316a2794bff", or all 16 digits with their checksum'
            report.add((*at, "address"), f"{address!r} is not the address of a 1-wire thermometer", remedy)
        elif isinstance(model, str) and CODES.get(model, family_of(name)) != family_of(name):
            fits = " or ".join(known for known, code in CODES.items() if code == family_of(name))
            report.add((*at, "model"), f"{address} is not the address of a {model}", f'write model = "{fits}"')

    def spec(self, at: Key, bus: OneWireBus, models: "Sequence[Model]", report: Report) -> BusSpec:  # noqa: ARG002
        """The master."""
        limit_s = ONEWIRE_TIMEOUT_S if bus.timeout_s is None else bus.timeout_s
        return BusSpec(
            id=bus.id, kind="onewire", device=bus.master, sysfs=Path(bus.sysfs).absolute(), timeout_s=limit_s
        )

    def place(self, bus: BusSpec) -> str:
        """The master."""
        return f"1-wire, {bus.device}"

    def who(self, device: DeviceTable) -> object:
        """The kernel's name."""
        from firmware_interfaces.onewire.address import kernel_name

        return kernel_name(device.address or "") or ""


class InputsKind:
    """Chips whose inputs the site file describes."""

    subsystem: ClassVar["Subsystem"]
    whom: ClassVar[str] = "address"
    words: ClassVar[str]

    def load(self, name: str) -> "Model":
        """The model of a chip: its inputs as the site file describes them."""
        from firmware_interfaces.iio.device import INPUTS, inputs_model

        model, _, described = name.partition(":")
        _known(model, self._models(), f"{self.subsystem} model")
        if model != INPUTS[self.subsystem]:
            return self._models()[model]
        report = Report({})
        inputs = json.loads(described) if described else None
        check_inputs((), {"inputs": inputs}, self.subsystem, report)
        if report.problems:
            # Said where the device is checked.
            raise ModelError(model, [])
        return inputs_model(self.subsystem, described)

    def _models(self) -> "dict[str, Model]":
        from firmware_interfaces.iio.device import INPUTS, inputs_model

        return {INPUTS[self.subsystem]: inputs_model(self.subsystem, "{}")}

    def check_bus(self, at: Key, bus: FilesBus, seen: dict[object, str], report: Report) -> None:
        """There is one of a kind."""
        _own((*at, "type"), (bus.sysfs, self.subsystem), bus.id, seen, report)

    def check_device(self, at: Key, raw: Mapping[str, object], report: Report) -> None:
        """A chip is named by its place and says what its inputs are."""
        from firmware_interfaces.iio.device import INPUTS

        _no(at, raw, ("unit", "key_file"), report)
        if raw.get("model") != INPUTS[self.subsystem]:
            _no(at, raw, ("address", "inputs"), report)
            return
        if "address" not in raw:
            remedy = 'add the place of the chip, address = "1-0048" (aurora-gateway scan iio)'
            report.add((*at, "address"), "is missing", remedy)
        check_inputs(at, raw, self.subsystem, report)

    def spec(self, at: Key, bus: FilesBus, models: "Sequence[Model]", report: Report) -> BusSpec:  # noqa: ARG002
        """Where the files are."""
        limit_s = FILES_TIMEOUT_S if bus.timeout_s is None else bus.timeout_s
        return BusSpec(id=bus.id, kind=self.subsystem, sysfs=Path(bus.sysfs).absolute(), timeout_s=limit_s)

    def place(self, bus: BusSpec) -> str:  # noqa: ARG002 - there is one
        """In words."""
        return self.words

    def who(self, device: DeviceTable) -> object:
        """The chip; the board has none."""
        return device.address or device.model


class IioKind(InputsKind):
    """ADC boards, 4-20 mA inputs."""

    shape: ClassVar[type[Table]] = IioBus
    subsystem: ClassVar["Subsystem"] = "iio"
    words: ClassVar[str] = "analogue inputs (IIO)"


class HwmonKind(InputsKind):
    """Monitoring chips, and the board's own health."""

    shape: ClassVar[type[Table]] = HwmonBus
    subsystem: ClassVar["Subsystem"] = "hwmon"
    words: ClassVar[str] = "hardware monitoring"

    def _models(self) -> "dict[str, Model]":
        from firmware_interfaces.iio.device import BOARD

        return {**super()._models(), BOARD.id: BOARD}


def check_inputs(at: Key, raw: Mapping[str, object], subsystem: "Subsystem", report: Report) -> None:
    """The ``inputs`` of a chip: a table for each channel, with every mistake in it."""
    inputs = raw.get("inputs")
    if not isinstance(inputs, dict) or not inputs:
        remedy = 'add [device.inputs.NAME] with input = "voltage0" for each channel'
        report.add((*at, "inputs"), "is missing" if inputs is None else "describes no channel", remedy)
        return
    for key, entry in inputs.items():
        place = (*at, "inputs", key)
        if not CHANNEL.fullmatch(key):
            report.add(place, f"{key!r} is not the name of a channel", "use small letters, digits and _")
        if not isinstance(entry, dict):
            report.add(place, "is not a table", 'write it as [device.inputs.NAME], with input = "voltage0"')
            continue
        for name in entry:
            if name not in ENTRIES:
                report.add((*place, name), "is not known here", did_you_mean(name, ENTRIES))
        _input(place, entry, subsystem, report)


def _input(at: Key, entry: Mapping[str, Any], subsystem: "Subsystem", report: Report) -> None:
    from firmware_interfaces.iio.inputs import kind_of

    name = entry.get("input")
    kind = kind_of(subsystem, name) if isinstance(name, str) else None
    example = "voltage0, current1, temp" if subsystem == "iio" else "temp1, in0, curr1"
    if kind is None:
        what = "is missing" if name is None else f"{name!r} is no input of the kernel's {subsystem}"
        report.add((*at, "input"), what, f"write one such as {example}")
    unit, decimals = entry.get("unit"), entry.get("decimals")
    if unit is not None and (not isinstance(unit, str) or len(unit) > 20):
        report.add((*at, "unit"), f"{unit!r} is not a unit", 'write for example unit = "bar"')
    if decimals is not None and (type(decimals) is not int or not 0 <= decimals <= 9):
        report.add((*at, "decimals"), f"{decimals!r} is not a number of decimal places", "write 0 to 9")
    if kind is not None:
        _signal(at, entry, kind.unit, report)


def _signal(at: Key, entry: Mapping[str, Any], unit: str, report: Report) -> None:
    signal, span, shunt = entry.get("signal"), entry.get("span"), entry.get("shunt_ohm")
    if signal is None:
        for name in ("span", "shunt_ohm"):
            if name in entry:
                report.add((*at, name), "has no meaning without a signal", f'add signal = "{LOOP}" or [low, high]')
        if entry.get("unit") not in {None, unit}:
            report.add((*at, "unit"), f"this input is in {unit}", "write signal and span, or take unit away")
        return
    if signal != LOOP and _pair(signal) is None:
        remedy = f'write signal = "{LOOP}", or [low, high] in volts or milliamperes'
        report.add((*at, "signal"), f"{signal!r} is not a signal", remedy)
    if (ends := _pair(span)) is None or ends[0] == ends[1]:
        what = "is missing" if span is None else f"{span!r} is not a span"
        report.add((*at, "span"), what, "write the quantity at both ends of the signal, for example span = [0, 10]")
    if "unit" not in entry:
        report.add((*at, "unit"), "is missing", 'add the unit of the quantity, for example unit = "bar"')
    if shunt is not None and (_number(shunt) is None or not 0 < shunt <= 1e6):
        report.add((*at, "shunt_ohm"), f"{shunt!r} is not a resistance", "write ohms, for example 100")
    if signal == LOOP and unit == "V" and shunt is None:
        remedy = "add shunt_ohm = 100, the resistor over which the input sees the loop's current"
        report.add((*at, "shunt_ohm"), "is missing: this input measures volts", remedy)
    if shunt is not None and unit != "V":
        report.add((*at, "shunt_ohm"), f"has no meaning: this input is in {unit}", "take it away")
    if signal == LOOP and unit not in {"V", "mA"}:
        report.add((*at, "signal"), f"this input is in {unit}", "take signal away, or name another input")


def _pair(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list) or len(value) != 2 or any(_number(entry) is None for entry in value):
        return None
    return (value[0], value[1]) if value[0] != value[1] else None


def _number(value: object) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float | Decimal) else float(value)


def _known(name: str, models: "Mapping[str, Model]", what: str) -> "Model":
    if name not in models:
        problem = ModelProblem("model", f"there is no {what} {name!r}", did_you_mean(name, models))
        raise ModelError(name, [problem])
    return models[name]


def _own(at: Key, place: object, bus: str, seen: dict[object, str], report: Report) -> None:
    if place in seen:
        report.add(at, f"is that of bus {seen[place]!r} as well", "put the devices of both on one bus")
    seen.setdefault(place, bus)


def _no(at: Key, raw: Mapping[str, object], names: Sequence[str], report: Report) -> None:
    for name in names:
        if name in raw:
            report.add((*at, name), "has no meaning for this device", "take it away")
