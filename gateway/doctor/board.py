"""The board: what it is, its heat, its power, its memory, and whether its watchdog is armed."""

import platform
from collections.abc import Iterator
from typing import Final

from firmware_interfaces.iio.board import BoardHealth, read_board
from gateway.doctor.fact import Fact, bad, care, good, unknown
from gateway.doctor.machine import Machine

__all__ = ["board", "memory", "power", "standing", "temperature", "watchdog"]

WARM_C: Final = 70.0
HOT_C: Final = 80.0
"""A Raspberry Pi slows down from 80 C on (frequency management in its documentation)."""
LITTLE: Final = 0.10
TOO_LITTLE: Final = 0.04
"""Shares of the memory that are still available."""
LONGEST_WATCHDOG_S: Final = 16


def standing(machine: Machine) -> Iterator[Fact]:
    """The checks that cost little and may change at any time."""
    health = read_board(machine.root / "sys", machine.root / "proc/device-tree/model")
    yield temperature(health)
    yield power(health)
    yield memory(machine)


def board(machine: Machine) -> Fact:
    """What it runs on."""
    model = machine.model or platform.machine()
    total = machine.memory().get("MemTotal")
    words = f"{model}, {platform.machine()}" + (f", {total / 1e9:.1f} GB" if total else "")
    if platform.machine() in {"aarch64", "x86_64"}:
        return good("board", "Board", words)
    return care("board", "Board", f"{words}: not a 64-bit system", "install the 64-bit image")


def temperature(health: BoardHealth) -> Fact:
    """Of the processor."""
    value = health.soc_temperature
    if value is None:
        return unknown("temperature", "Processor", "its temperature is not shown here")
    words = f"{value:.0f} C"
    if value >= HOT_C:
        return bad("temperature", "Processor", f"{words}: it slows down", "give the box air, shade or a heat sink")
    if value >= WARM_C:
        return care("temperature", "Processor", f"{words} is warm", "see that the box has air around it")
    return good("temperature", "Processor", words)


def power(health: BoardHealth) -> Fact:
    """Under-voltage corrupts cards and drops adapters long before anything else shows it."""
    flags = health.flags or {}
    if flags.get("undervoltage"):
        remedy = "use the board's own supply and a short cable; move hungry USB devices to a powered hub"
        return bad("power", "Power", "the voltage is too low now (below 4.63 V)", remedy)
    if flags.get("undervoltage") is None:
        return unknown("power", "Power", "this board does not tell whether its voltage is right")
    if flags.get("throttled") or flags.get("frequency_capped"):
        return care("power", "Power", "the processor is slowed down", "see its temperature")
    return good("power", "Power", "the voltage is right")


def memory(machine: Machine) -> Fact:
    """What is left of it."""
    found = machine.memory()
    total, available = found.get("MemTotal"), found.get("MemAvailable")
    if not total or available is None:
        return unknown("memory", "Memory", "it is not shown here")
    words = f"{available / 1e6:.0f} of {total / 1e6:.0f} MB available"
    remedy = "see which program grows (systemctl status, top); the gateway itself needs some 60 MB"
    if available < TOO_LITTLE * total:
        return bad("memory", "Memory", words, remedy)
    return (
        care("memory", "Memory", words, remedy) if available < LITTLE * total else good("memory", "Memory", words)
    )


def watchdog(machine: Machine) -> Fact:
    """The hardware resets a machine whose kernel hangs, if it is armed."""
    state = machine.text("sys/class/watchdog/watchdog0/state")
    limit = machine.number("sys/class/watchdog/watchdog0/timeout")
    if state is None:
        if machine.is_pi:
            return care("watchdog", "Watchdog", "the board's is not there", "set dtparam=watchdog=on in config.txt")
        return unknown("watchdog", "Watchdog", "there is none, or it is not shown here")
    if state != "active":
        remedy = "aurora-gateway install puts a drop-in in place; then start the machine again"
        return care("watchdog", "Watchdog", "it is there and not armed: a hung kernel stays hung", remedy)
    if machine.is_pi and limit is not None and limit > LONGEST_WATCHDOG_S:
        return care("watchdog", "Watchdog", f"armed with {limit} s", "set RuntimeWatchdogSec=14s")
    return good("watchdog", "Watchdog", "armed" if limit is None else f"armed, {limit} s")
