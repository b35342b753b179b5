"""Serial lines and Bluetooth adapters of the site file: there, allowed, free, and able to do what is asked."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.doctor.fact import Fact, bad, care, good, unknown
from gateway.doctor.machine import Machine
from gateway.site import BusSpec, Site

__all__ = ["adapters", "holders", "ports"]

MINI_UART: Final = "brcm,bcm2835-aux-uart"
"""It has no parity bit (Raspberry Pi documentation, UART configuration), and drops the setting without a word."""
POOR: Final = {
    "0a12:0001": "an unbranded copy of a CSR radio",
    "2357:0604": "TP-Link UB500",
    "33fa:0010": "Barrot 8041A02",
    "33fa:0012": "Barrot 8041A02",
}
"""USB radios that are reported to fail (home-assistant.io, Bluetooth, unsupported adapters)."""
USER: Final = "aurora"


def ports(site: Site, machine: Machine, *, user: str = USER) -> Iterator[Fact]:
    """Every serial line of the site."""
    for bus in site.buses:
        if bus.device:
            yield _port(bus, machine, user)


def _port(bus: BusSpec, machine: Machine, user: str) -> Fact:
    check, name, path = f"port-{bus.id}", f"Bus {bus.id}", Path(bus.device)
    try:
        status = path.stat()
    except OSError as error:
        words = f"{path} is not there ({error.strerror})"
        return bad(check, name, words, _plugged(machine, path))
    if not stat.S_ISCHR(status.st_mode):
        return bad(check, name, f"{path} is no serial port", "name a port below /dev/serial/by-id")
    if not _allowed(status, user):
        group = _group(status.st_gid)
        remedy = f"usermod -a -G {group} {user}, then start the service again"
        return bad(check, name, f"{path} is not open to {user}: it belongs to group {group}", remedy)
    if bus.parity != "N" and _is_mini_uart(path, machine):
        remedy = "set the devices to 8N1 (or 8N2), or use the other UART (dtoverlay=miniuart-bt) or a USB adapter"
        return bad(check, name, f"{path} is the mini-UART, which has no parity bit", remedy)
    others = [words for words in holders(path, machine) if "aurora-gateway" not in words]
    if others:
        return bad(
            check, name, f"{path} is held by {', '.join(others)}", "end it: two masters spoil each other's polls"
        )
    words = f"{path} ({os.path.basename(os.path.realpath(path))})"  # noqa: PTH119
    if "/ttyUSB" in str(path) or "/ttyACM" in str(path):
        remedy = f"write {_stable(path, machine) or 'its name below /dev/serial/by-id'}"
        return care(check, name, f"{words}: this name may be another adapter's after the next start", remedy)
    return good(check, name, words)


def _plugged(machine: Machine, path: Path) -> str:
    known = machine.entries("dev/serial/by-id") or machine.entries("dev/serial/by-path")
    there = f"; there are: {', '.join(known[:5])}" if known else "; no serial adapter is plugged in"
    return (
        f"plug the adapter in, or write the name that it has now{there}" if path.is_absolute() else "write its path"
    )


def _stable(path: Path, machine: Machine) -> str | None:
    for folder in ("dev/serial/by-id", "dev/serial/by-path"):
        for name in machine.entries(folder):
            link = machine.root / folder / name
            if os.path.realpath(link) == os.path.realpath(path):
                return f"/{folder}/{name}"
    return None


def _allowed(status: os.stat_result, user: str) -> bool:
    """Whether the gateway's user may read and write; where there is no such user, whoever asks."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        entry = pwd.getpwuid(os.geteuid())
    if entry.pw_uid in {0, status.st_uid}:
        return True
    mine = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem)}
    wanted = stat.S_IRGRP | stat.S_IWGRP if status.st_gid in mine else stat.S_IROTH | stat.S_IWOTH
    return status.st_mode & wanted == wanted


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _is_mini_uart(path: Path, machine: Machine) -> bool:
    name = os.path.basename(os.path.realpath(path))  # noqa: PTH119
    return MINI_UART in (machine.text(f"sys/class/tty/{name}/device/of_node/compatible") or "").split("\0")


def holders(path: Path, machine: Machine) -> list[str]:
    """Processes that have a file open, as ``name (pid)``; those of other users show to root alone."""
    wanted, found = os.path.realpath(path), []
    for pid in machine.entries("proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        for number in machine.entries(f"proc/{pid}/fd"):
            try:
                held = str((machine.root / "proc" / pid / "fd" / number).readlink())
            except OSError:
                continue
            if held == wanted:
                words = (machine.text(f"proc/{pid}/cmdline") or "").split("\0")
                ours = any("aurora-gateway" in word or word == "gateway.cli" for word in words)
                name = "aurora-gateway" if ours else machine.text(f"proc/{pid}/comm") or "?"
                found.append(f"{name} ({pid})")
                break
    return found


def adapters(site: Site, machine: Machine) -> Iterator[Fact]:
    """Every Bluetooth adapter of the site, and the daemon that drives it."""
    wanted = [adapter for bus in site.buses if bus.kind == "ble" for adapter in (bus.adapters or ("",))]
    if not wanted:
        return
    there = [name for name in machine.entries("sys/class/bluetooth") if name.startswith("hci") and ":" not in name]
    for adapter in wanted:
        if adapter and adapter not in there:
            words = f"{adapter} is not there" + (f"; there are: {', '.join(there)}" if there else "")
            yield bad(
                f"adapter-{adapter}", f"Adapter {adapter}", words, "plug it in; see dmesg for firmware errors"
            )
        elif not there:
            yield bad(
                "adapter", "Bluetooth", "there is no adapter", "plug one in, or see dmesg for firmware errors"
            )
        else:
            yield _adapter(adapter or there[0], machine)
    if not _runs("bluetoothd", machine):
        yield bad("bluez", "BlueZ", "bluetoothd does not run", "systemctl enable --now bluetooth")


def _adapter(adapter: str, machine: Machine) -> Fact:
    check, name, folder = f"adapter-{adapter}", f"Adapter {adapter}", f"sys/class/bluetooth/{adapter}"
    for entry in machine.entries(folder):
        if entry.startswith("rfkill") and machine.number(f"{folder}/{entry}/soft") == 1:
            return bad(check, name, "is blocked by rfkill", "rfkill unblock bluetooth")
        if entry.startswith("rfkill") and machine.number(f"{folder}/{entry}/hard") == 1:
            return bad(check, name, "is blocked by a switch", "switch the radio on")
    vendor, product = machine.text(f"{folder}/device/../idVendor"), machine.text(f"{folder}/device/../idProduct")
    if vendor is None or product is None:
        return good(check, name, "is there")
    if poor := POOR.get(f"{vendor}:{product}"):
        remedy = "use a radio with an RTL8761B or a genuine CSR8510A10"
        return care(check, name, f"{poor} ({vendor}:{product}), known to fail", remedy)
    return good(check, name, f"is there (USB {vendor}:{product})")


def _runs(program: str, machine: Machine) -> bool:
    return any(pid.isdigit() and machine.text(f"proc/{pid}/comm") == program for pid in machine.entries("proc"))


def strangers(machine: Machine) -> Iterator[Fact]:
    """Programs that are known to take serial ports."""
    for program, remedy in (
        (
            "ModemManager",
            "the udev rules of `aurora-gateway install` keep it away; or systemctl disable ModemManager",
        ),
        ("brltty", "apt-get remove brltty, if nobody uses a braille display here"),
    ):
        if _runs(program, machine):
            ruled = program == "ModemManager" and machine.exists("etc/udev/rules.d/77-aurora.rules")
            words = f"{program} runs" + (", and is kept away" if ruled else ": it may take serial adapters")
            if ruled:
                yield good("port-thieves", "Port thieves", words)
            else:
                yield care("port-thieves", "Port thieves", words, remedy)


def log_storage(machine: Machine) -> Fact:
    """Whether the log survives a restart: it is what tells why one happened."""
    if machine.exists("var/log/journal"):
        return good("log", "Log", "kept over restarts")
    if not machine.exists("run/log/journal"):
        return unknown("log", "Log", "no systemd journal here")
    remedy = "aurora-gateway install puts a drop-in in place (Storage=persistent)"
    return care("log", "Log", "kept in memory alone: after a crash it is gone", remedy)
