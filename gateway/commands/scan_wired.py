"""`aurora-gateway scan modbus | onewire | iio`: what is on a line or on this computer, with its lines for the site
file."""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from firmware_interfaces.errors import BusError
from firmware_interfaces.modbus.survey import Candidate, Found, Survey
from gateway.acquire.modbus import make_link
from gateway.commands.held import held_here
from gateway.commands.read import GOODBYE_S, endpoint
from gateway.errors import AuroraError
from gateway.site import BusSpec

__all__ = ["device_lines", "scan_iio", "scan_modbus", "scan_onewire"]

BUS = "line-1"
PERIOD = "10s"


# Modbus


def scan_modbus(arguments: argparse.Namespace) -> int:
    """Exit status 0 when a unit was found, 1 when none was, 2 when the line cannot be used."""
    bus = _bus(arguments)
    if (holder := held_here(bus)) is not None:
        raise AuroraError(f"{holder}; a second master would disturb it: stop it, or look at its status page")
    return asyncio.run(_walk(bus, arguments))


def _bus(arguments: argparse.Namespace) -> BusSpec:
    line: dict[str, Any] = {
        "baud": arguments.baud,
        "parity": arguments.parity,
        "stop_bits": arguments.stop_bits,
        "timeout_s": arguments.timeout,
    }
    if arguments.serial:
        return BusSpec(id=BUS, kind="modbus-rtu", device=arguments.serial, **line)
    host, port = endpoint(arguments.tcp or arguments.rtu_over_tcp, 502)
    return BusSpec(
        id=BUS, kind="modbus-tcp" if arguments.tcp else "modbus-rtu-over-tcp", host=host, port=port, **line
    )


async def _walk(bus: BusSpec, arguments: argparse.Namespace) -> int:
    link = make_link(bus)
    survey = Survey(link, timeout_s=arguments.timeout, pause_s=arguments.pause)
    units = arguments.units or range(1, 248)
    found: list[Found] = []
    try:
        await link.open(3.0)
        async for unit in survey.walk(units, 4 if arguments.thorough else 1):
            found.append(unit)
            if not arguments.json:
                print(_line(unit), file=sys.stderr)
    except BusError as error:
        print(f"aurora-gateway scan: {error}", file=sys.stderr)
        if not found:
            return 2
    finally:
        link.close()
        await asyncio.sleep(GOODBYE_S)
    found.sort(key=lambda unit: unit.unit)
    if arguments.json:
        print(json.dumps([_as_json(unit) for unit in found], indent=2))
    else:
        _print(bus, survey, found)
    return 0 if found else 1


def _line(unit: Found) -> str:
    best = f": {unit.certainty}, {unit.candidates[0].model.title}" if unit.candidates else ""
    return f"unit {unit.unit} ({unit.sign}){best}"


def _print(bus: BusSpec, survey: Survey, found: list[Found]) -> None:
    print(f"# {len(found)} unit{'' if len(found) == 1 else 's'}, {survey.requests} requests")
    if survey.every_unit:
        print("# Three units in a row show the same: taken for one device that answers to every unit id.")
        found = found[:1]
    if found:
        print("\n".join([*_bus_lines(bus), *(line for unit in found for line in device_lines(unit, bus.id))]))


def _bus_lines(bus: BusSpec) -> list[str]:
    lines = ["[[bus]]", f'id = "{bus.id}"', f'type = "{bus.kind}"']
    if bus.kind == "modbus-rtu":
        place = [f"device = {json.dumps(bus.device)}", f"baud = {bus.baud}"]
        return [*lines, *place, f'parity = "{bus.parity}"', f"stop_bits = {bus.stop_bits}"]
    return [*lines, f"host = {json.dumps(bus.host)}", f"port = {bus.port}"]


def device_lines(unit: Found, bus: str) -> list[str]:
    """The table of a unit, with a comment on how sure it is; only comments where no model fits."""
    certainty = unit.certainty
    others = [other for other in unit.candidates[1:] if not other.refuted and other.registers]
    if certainty == "unknown":
        return ["", f"# Unit {unit.unit} answers ({unit.sign}), and fits no model: see docs/models.md."]
    best = unit.candidates[0]
    lines = ["", f"# {certainty.capitalize()}: {best.model.title}{_why(best)}."]
    if certainty != "recognised":
        also = ", ".join(other.model.id for other in others[:5])
        also = f" It could also be {also}." if also else ""
        lines.append(f"# Compare with the device's display before you rely on it.{also}")
    return [
        *lines,
        "[[device]]",
        f'id = "{best.model.id}-{unit.unit}"',
        f'bus = "{bus}"',
        f'model = "{best.model.id}"',
        f"unit = {unit.unit}",
        f'period = "{PERIOD}"',
    ]


def _why(best: Candidate) -> str:
    if best.marks:
        return f", by {', '.join(f'{key} = {best.identity[key]}' for key in best.marks)}"
    return f", by {best.registers} registers that are not 0"


def _as_json(unit: Found) -> dict[str, Any]:
    return {
        "unit": unit.unit,
        "sign": unit.sign,
        "certainty": unit.certainty,
        "candidates": [
            {
                "model": candidate.model.id,
                "title": candidate.model.title,
                "marks": {key: candidate.identity[key] for key in candidate.marks},
                "registers": candidate.registers,
                "refuted": list(candidate.refuted),
            }
            for candidate in unit.candidates
        ],
    }


# the kernel's files


@dataclass(slots=True)
class _Sensor:
    address: str
    model: str
    words: str


def scan_onewire(arguments: argparse.Namespace) -> int:
    """Exit status 0 when a sensor was found, 1 when none was, 2 when the kernel has no master."""
    from firmware_interfaces.onewire.master import Master, list_masters

    root = arguments.sysfs / "bus/w1/devices"
    masters = list_masters(root)
    if not masters:
        print("aurora-gateway scan: the kernel has no 1-wire master: is dtoverlay=w1-gpio set?", file=sys.stderr)
        return 2
    count = 0
    for name in masters:
        master = Master(name, root)
        try:
            master.open()
            sensors = [_onewire(master, address) for address in master.sensors()]
        except BusError as error:
            print(f"# {name}: {error}")
            continue
        count += len(sensors)
        together = "together" if master.bulk else f"one by one ({master.why_not_bulk})"
        print(f"# {name}: {len(sensors)} thermometers; they convert {together}")
        if sensors:
            bus = name.replace("w1_bus_master", "probes-")
            print("\n".join(["[[bus]]", f'id = "{bus}"', 'type = "onewire"', f'master = "{name}"']))
        for sensor in sensors:
            print(f"\n# {sensor.words}")
            lines = [f'id = "probe-{sensor.address[-4:]}"', f'bus = "{bus}"', f'model = "{sensor.model}"']
            print("\n".join(["[[device]]", *lines, f'address = "{sensor.address}"', f'period = "{PERIOD}"']))
    return 0 if count else 1


def _onewire(master: Any, address: str) -> _Sensor:
    from firmware_interfaces.onewire.address import family_of
    from firmware_interfaces.onewire.scratchpad import decode
    from firmware_interfaces.onewire.sensor import model_for

    try:
        pad = master.read(address, 3.0)
    except BusError as error:
        return _Sensor(address, model_for(address), f"no reading: {error}")
    found, _ = decode(family_of(address), pad)
    facts = master.facts(address)
    said = f"{found.celsius:g} degC" if found.celsius is not None else f"no value: {found.words}"
    if facts.resolution_bits is not None:
        said += f", {facts.resolution_bits} bits"
    if facts.external_power is False:
        said += ", parasitic power"
    return _Sensor(address, model_for(address, pad), said)


def scan_iio(arguments: argparse.Namespace) -> int:
    """Exit status 0 when an input was found, 1 when none was."""
    from firmware_interfaces.iio.board import read_board
    from firmware_interfaces.iio.inputs import list_inputs, read_input
    from firmware_interfaces.iio.tree import list_chips

    count = 0
    places = {"iio": "bus/iio/devices", "hwmon": "class/hwmon"}
    for subsystem in ("iio", "hwmon"):
        bus: Any = subsystem
        for chip in list_chips(bus, arguments.sysfs / places[subsystem]):
            names = list_inputs(bus, chip)
            if not names:
                continue
            label = f" ({chip.label})" if chip.label else ""
            print(f'\n# {chip.name}{label}; the bus is type = "{subsystem}"')
            lines = [
                f'id = "{chip.name.replace("_", "-")}"',
                f'bus = "{subsystem}"',
                f'model = "{subsystem}-inputs"',
            ]
            print("\n".join(["[[device]]", *lines, f'address = "{chip.place}"', f'period = "{PERIOD}"']))
            for name in names:
                count += 1
                try:
                    sample = read_input(bus, chip, name)
                    said = sample.words or f"{sample.value} now"
                except BusError as error:
                    said = str(error)
                print(f'[device.inputs.{name.replace("-", "_")}]\ninput = "{name}"  # {said}')
    health = read_board(arguments.sysfs)
    if health.known:
        count += 1
        print(f'\n# {health.model or "this board"}: {health.raw}; the bus is type = "hwmon"')
        print('[[device]]\nid = "board"\nbus = "hwmon"\nmodel = "raspberry-pi"\nperiod = "1min"')
    return 0 if count else 1
