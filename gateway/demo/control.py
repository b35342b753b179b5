"""Faults on demand: one line of text, one line of answer. Served on a loopback port, and used by the schedule.

    mute|garble BUS UNIT [for S]           no answer | damaged answers
    exception BUS UNIT CODE [for S]        answer every request with a Modbus exception
    delay BUS UNIT SECONDS [for S]         answer late
    break BUS UNIT [PROBE] [for S]         sensor break, of one probe (from 1) or all
    disconnect BUS [for S]                 close the port | unplug the serial line
    clear [BUS [UNIT]]                     end these faults
    door ROOM SECONDS | defrost ROOM | fail ROOM | repair ROOM
    steam SECONDS                          the pasteuriser's steam fails
    status                                 the plant as one line of JSON
    help                                   the commands

``for S`` ends the fault after S seconds of real time. The answer starts with ``ok`` or with ``error``.
"""

import asyncio
import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.demo.devices import Device
from gateway.demo.modbus_server import Bus, Faults
from gateway.demo.pasteuriser import Pasteuriser
from gateway.demo.thermal import Room
from gateway.errors import AuroraError

log = logging.getLogger(__name__)

__all__ = ["CommandError", "Control", "Pluggable"]

MAX_LINE = 256
USAGE = "mute garble exception delay break disconnect clear door defrost fail repair steam status help"


class CommandError(AuroraError):
    """A command cannot be carried out; the text says why."""


class Pluggable(Protocol):
    """A bus that can be taken away and given back."""

    bus: Bus

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect."""


class Control:
    """Carries out commands on a plant and its buses (``ports`` by name: ``tcp``, ``rtu``)."""

    def __init__(
        self,
        ports: Mapping[str, Pluggable],
        rooms: Mapping[str, Room],
        pasteuriser: Pasteuriser,
        status: Callable[[], dict[str, object]],
    ) -> None:
        self._ports = ports
        self._rooms = rooms
        self._pasteuriser = pasteuriser
        self._status = status
        self._ends: dict[tuple[str, ...], asyncio.TimerHandle] = {}
        self._reopening: set[asyncio.Task[None]] = set()

    async def run(self, line: str) -> str:
        """The answer to one command, starting with ``ok`` or ``error``."""
        try:
            return f"ok {await self._run(line.split())}".rstrip()
        except CommandError as error:
            return f"error {error}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client of the control port: lines in, lines out, until it leaves or sends an overlong line."""
        try:
            while line := await reader.readline():
                if len(line) > MAX_LINE:
                    break
                answer = await self.run(line.decode("ascii", "replace"))
                writer.write(answer.encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # ValueError: a line longer than the reader's limit
            pass
        finally:
            writer.close()

    def close(self) -> None:
        """Forget what was to end later."""
        for end in self._ends.values():
            end.cancel()
        for task in self._reopening:
            task.cancel()

    async def _run(self, words: list[str]) -> str:
        lasting: float | None = None
        if len(words) >= 2 and words[-2] == "for":
            lasting = seconds(words[-1])
            words = words[:-2]
        match words:
            case [("mute" | "garble" | "exception" | "delay" | "break") as kind, bus, unit, *rest]:
                self._fault(kind, bus, unit, rest, lasting)
                return ""
            case ["disconnect", bus]:
                await self._disconnect(bus, lasting)
                return ""
        if lasting is not None:
            raise CommandError("'for' belongs to a fault of a bus or unit")
        return await self._act(words)

    async def _act(self, words: list[str]) -> str:
        match words:
            case ["clear", *where]:
                await self._clear(where)
            case ["door", room, time]:
                self._room(room).open_door(seconds(time))
            case ["defrost", room]:
                self._room(room).defrost()
            case ["fail", room]:
                self._room(room).fail()
            case ["repair", room]:
                self._room(room).repair()
            case ["steam", time]:
                self._pasteuriser.dip(seconds(time))
            case ["status"]:
                return json.dumps(self._status())
            case ["help"]:
                return USAGE
            case _:
                raise CommandError(f"not a command; one of: {USAGE}")
        return ""

    def _room(self, name: str) -> Room:
        if name not in self._rooms:
            raise CommandError(f"no room {name!r}; one of: {' '.join(self._rooms)}")
        return self._rooms[name]

    def _port(self, name: str) -> Pluggable:
        if name not in self._ports:
            raise CommandError(f"no bus {name!r}; one of: {' '.join(self._ports)}")
        return self._ports[name]

    def _unit(self, bus: Bus, unit: str) -> int:
        number = integer(unit)
        if number not in bus.units:
            raise CommandError(f"no unit {unit} on this bus; one of: {' '.join(map(str, bus.units))}")
        return number

    def _fault(self, kind: str, bus_name: str, unit_name: str, rest: list[str], lasting: float | None) -> None:
        bus = self._port(bus_name).bus
        unit = self._unit(bus, unit_name)
        if len(rest) != (1 if kind in ("exception", "delay") else 0) and not (kind == "break" and len(rest) == 1):
            raise CommandError(f"{kind} with {len(rest)} values")
        if kind == "break":
            self._break(bus.units[unit], rest, True)
        elif kind == "exception":
            code = integer(rest[0])
            if not 1 <= code <= 255:
                raise CommandError("an exception code is 1 to 255")
            bus.fault(unit).exception = code
        elif kind == "delay":
            bus.fault(unit).delay_s = seconds(rest[0])
        else:
            setattr(bus.fault(unit), kind, True)
        key = (kind, bus_name, unit_name, *rest) if kind == "break" else (kind, bus_name, unit_name)
        self._end_later(key, lasting, lambda: self._end(kind, bus, unit, rest))

    def _end(self, kind: str, bus: Bus, unit: int, rest: list[str]) -> None:
        healthy = Faults()
        if kind == "break":
            self._break(bus.units[unit], rest, False)
        else:
            field = {"delay": "delay_s"}.get(kind, kind)
            setattr(bus.fault(unit), field, getattr(healthy, field))

    def _break(self, device: object, rest: list[str], broken: bool) -> None:
        probes = device.probes if isinstance(device, Device) else ()
        if not probes:
            raise CommandError("this unit has no probe that could break")
        which = integer(rest[0]) if rest else 0
        if not 0 <= which <= len(probes):
            raise CommandError(f"this unit has probes 1 to {len(probes)}")
        for probe, _ in probes if which == 0 else probes[which - 1 : which]:
            probe.broken = broken

    async def _disconnect(self, name: str, lasting: float | None) -> None:
        port = self._port(name)
        await port.close()

        def reopen() -> None:
            task = asyncio.get_running_loop().create_task(self._reopen(name, port))
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

        self._end_later(("disconnect", name), lasting, reopen)

    async def _reopen(self, name: str, port: Pluggable) -> None:
        try:
            await port.open()
        except OSError as error:
            log.error("bus %s does not come back: %s", name, error)

    async def _clear(self, where: list[str]) -> None:
        if len(where) > 2:
            raise CommandError("clear [BUS [UNIT]]")
        for name in where[:1] or list(self._ports):
            port = self._port(name)
            bus = port.bus
            for unit in [self._unit(bus, where[1])] if len(where) == 2 else list(bus.units):
                bus.faults.pop(unit, None)
                device = bus.units[unit]
                if isinstance(device, Device) and device.probes:
                    self._break(device, [], False)
            if len(where) < 2:
                await port.open()

    def _end_later(self, key: tuple[str, ...], lasting: float | None, end: Callable[[], None]) -> None:
        """The newest command decides when a fault ends: an older limit is forgotten."""
        if (older := self._ends.pop(key, None)) is not None:
            older.cancel()
        if lasting is not None:
            self._ends[key] = asyncio.get_running_loop().call_later(lasting, end)


def seconds(word: str) -> float:
    """A finite number of seconds, not negative."""
    try:
        value = float(word)
    except ValueError as error:
        raise CommandError(f"{word!r} is not a number of seconds") from error
    if not (math.isfinite(value) and value >= 0):
        raise CommandError(f"{word!r} is not a number of seconds")
    return value


def integer(word: str) -> int:
    """A whole number, decimal."""
    if not (word.isascii() and word.isdigit()):
        raise CommandError(f"{word!r} is not a whole number")
    return int(word[:9])
