"""`aurora-gateway scan serial`: which ports there are, what is on them, and their lines for the site file."""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_interfaces.errors import BusError
from firmware_interfaces.serial.holders import find_ports, holders
from firmware_interfaces.serial.models import load_meter_model, load_serial_model, settings_of
from firmware_interfaces.serial.port import LineSettings
from firmware_interfaces.serial.recognise import Guess
from firmware_interfaces.serial.survey import ask_port, listen_port, questions

__all__ = ["Finding", "scan_serial", "site_lines", "survey"]

PERIOD = {"mbus": "1min"}
USUAL_PERIOD = "5s"


@dataclass(slots=True)
class Finding:
    """What is known of one port."""

    port: str
    state: str
    """``held``, ``closed``, ``heard``, ``answered``, ``silent`` or ``not understood``."""
    words: str
    settings: LineSettings | None = None
    guess: Guess | None = None


def scan_serial(arguments: argparse.Namespace) -> int:
    """Exit status 0 when something was recognised, 1 when nothing was, 2 when there is no port."""
    ports = [Path(port) for port in arguments.port] or find_ports()
    if not ports:
        print("aurora-gateway scan: no serial port on this computer", file=sys.stderr)
        return 2
    findings = asyncio.run(_all(ports, arguments))
    if arguments.json:
        print(json.dumps([_as_json(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    return 0 if any(finding.guess is not None for finding in findings) else 1


async def _all(ports: list[Path], arguments: argparse.Namespace) -> list[Finding]:
    """All ports at once: they do not know of each other."""
    seconds, timeout_s = arguments.seconds, arguments.timeout
    return list(
        await asyncio.gather(*(survey(port, seconds, timeout_s, ask=not arguments.listen) for port in ports))
    )


async def survey(port: Path, seconds: float, timeout_s: float, *, ask: bool) -> Finding:
    """Look at one port: who holds it, what is heard, what answers."""
    name = str(port)
    if who := holders(port):
        return Finding(name, "held", f"in use by {', '.join(who)}: not touched")
    try:
        heard = await listen_port(name, seconds)
        if heard.guess is not None:
            words = f"heard at {heard.settings}: {heard.guess.protocol}, {heard.guess.details}; nothing was sent"
            return Finding(name, "heard", words, heard.settings, heard.guess)
        if heard.data:
            speeds = ", ".join(str(settings) for settings in heard.tried)
            words = f"somebody speaks, and it is not understood at {speeds}; nothing was sent"
            return Finding(name, "not understood", words)
        return await _asked(name, timeout_s) if ask else _silent(name, "nothing was heard, nothing was asked")
    except BusError as error:
        return Finding(name, "closed", str(error))


async def _asked(name: str, timeout_s: float) -> Finding:
    async for question, guess in ask_port(name, questions(), timeout_s):
        if guess is None:
            continue
        if guess.protocol == "busy":
            return Finding(name, "not understood", f"{guess.details}; asking ended")
        words = f"answers at {question.settings}: {guess.protocol}, {guess.details}"
        return Finding(name, "answered", words, question.settings, guess)
    return _silent(name, "nothing was heard, nothing answered")


def _silent(name: str, words: str) -> Finding:
    return Finding(name, "silent", f"{words} (for Modbus units: aurora-gateway scan modbus --serial {name})")


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        print(f"# {finding.port}: {finding.words}")
    for number, finding in enumerate(findings, 1):
        for line in site_lines(finding, number):
            print(line)


def site_lines(finding: Finding, number: int) -> list[str]:
    """The tables of a port, to be pasted into the site file; comments where there is no model."""
    guess, settings = finding.guess, finding.settings
    if guess is None or settings is None:
        return []
    if guess.protocol == "modbus":
        units = ", ".join(str(unit) for unit in guess.units)
        return ["", *_bus(f"line-{number}", "modbus-rtu", finding, settings), f"# units that speak there: {units}"]
    if not guess.model:
        return ["", f"# {finding.port}: no model for this; see docs/serial.md for one of your own"]
    kind = "mbus" if guess.protocol == "mbus" else "serial"
    bus = f"{kind}-{number}"
    model = load_meter_model(guess.model) if kind == "mbus" else load_serial_model(guess.model)
    channels = ", ".join(f'"{key}"' for key in model.channels)
    unit = [f"unit = {guess.units[0]}"] if kind == "mbus" and guess.units else []
    same = settings == settings_of(model)
    return [
        "",
        *_bus(bus, kind, finding, None if same else settings),
        "",
        "[[device]]",
        f'id = "{guess.model}-{number}"',
        f'bus = "{bus}"',
        f'model = "{guess.model}"',
        *unit,
        f'period = "{PERIOD.get(kind, USUAL_PERIOD)}"',
        f"channels = [{channels}]",
    ]


def _bus(name: str, kind: str, finding: Finding, settings: LineSettings | None) -> list[str]:
    lines = ["[[bus]]", f'id = "{name}"', f'type = "{kind}"', f"device = {json.dumps(finding.port)}"]
    if settings is None:
        return lines
    return [*lines, f"baud = {settings.baud}", f'parity = "{settings.parity}"', f"stop_bits = {settings.stop_bits}"]


def _as_json(finding: Finding) -> dict[str, Any]:
    guess, settings = finding.guess, finding.settings
    return {
        "port": finding.port,
        "state": finding.state,
        "words": finding.words,
        "protocol": None if guess is None else guess.protocol,
        "model": None if guess is None else guess.model or None,
        "units": [] if guess is None else list(guess.units),
        "baud": None if settings is None else settings.baud,
        "parity": None if settings is None else settings.parity,
    }
