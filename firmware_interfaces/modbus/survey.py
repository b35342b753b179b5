"""Who answers on a Modbus line, and which make it is: a walk over unit ids, one request at a time, with rests.

A unit is there when it answers at all, be it with an exception. Its make is told by what the makers document: marks
(an identity register that holds a known value, or the unit's own id), and registers that a model names and the unit
has. What merely could be is called so: many devices answer any register with zeros.

Usable on any link that is connected and that nobody else is using, in a running gateway under its worker's lock.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from firmware_interfaces.errors import BadFrame, DeviceRefused, NoAnswer
from firmware_interfaces.modbus.decode import Decoder
from firmware_interfaces.modbus.device import UNIT_BEHIND_GATEWAY_IS_SILENT, ModbusDevice
from firmware_interfaces.modbus.link import Link
from firmware_interfaces.modbus.model import list_models, load_model
from firmware_interfaces.modbus.nouns import UNIT, Channel, DeviceModel
from firmware_interfaces.modbus.planner import plan_reads
from firmware_interfaces.quality import Quality

__all__ = ["PAUSE_S", "TIMEOUT_S", "Candidate", "Found", "Survey", "known_models", "marks_borne"]

TIMEOUT_S = 0.3
"""For the answer of a unit; one that needs longer is not found, and the walk of a whole line takes minutes."""
PAUSE_S = 0.03
"""Rest before each request: whoever else is on the line, a device's own routine above all, gets its turn."""
SIGNS = ((3, 0), (4, 0), (1, 0), (2, 0))
"""Functions and addresses that are tried as a sign of life, in this order, over the whole line each."""
Memory: TypeAlias = dict[tuple[int, int, int], bytes | DeviceRefused]
"""Answers of one unit by function, address and count."""
ALIKE = 3
"""So many units in a row that show the same on one TCP endpoint may be one device that answers to every unit id."""
UNLIKELY = (173, 211, 239)
"""It is, where these answer, too."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that a unit could be. ``marks`` are the documented marks that it bears, ``registers`` those of the
    model that it has and that are not 0, ``refuted`` the values that the make cannot have.
    """

    model: DeviceModel
    marks: tuple[str, ...]
    registers: int
    asked: int
    refuted: tuple[str, ...]
    identity: Mapping[str, object]

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """The better candidate has the higher one."""
        return len(self.marks), -len(self.refuted), self.registers, -self.asked


@dataclass(slots=True)
class Found:
    """A unit that answers: how it was found, and what it can be, the best first."""

    unit: int
    sign: str
    candidates: list[Candidate] = field(default_factory=list)
    seen: bytes = b""
    """What its registers held that were read, to tell units apart."""

    @property
    def certainty(self) -> Literal["recognised", "likely", "possible", "unknown"]:
        """Of the first candidate: by a mark that no other bears, by more registers than any other, or at all."""
        if not self.candidates or self.candidates[0].refuted or not self.candidates[0].registers:
            return "unknown"
        best, *rest = self.candidates
        rivals = [other for other in rest if not other.refuted]
        if best.marks and all(len(other.marks) < len(best.marks) for other in rivals):
            return "recognised"
        if all((len(other.marks), other.registers) < (len(best.marks), best.registers) for other in rivals):
            return "likely"
        return "possible"


def known_models() -> list[DeviceModel]:
    """The models that come with the package and name a make, those with marks first."""
    models = [load_model(name) for name in list_models()]
    makes = [model for model in models if model.maker != "none"]
    return sorted(makes, key=lambda model: (not _marked(model), model.id))


def _marked(model: DeviceModel) -> list[Channel]:
    return [register for register in (*model.identity, *model.audit) if register.mark]


async def marks_borne(device: ModbusDevice, timeout_s: float) -> dict[str, object] | None:
    """The documented marks of its model that a unit bears, by register; None where one holds something else.

    A register that it does not have speaks neither for the make nor against it. Raises `BusError`.
    """
    borne: dict[str, object] = {}
    for register in _marked(device.model):
        try:
            value = await device.registers(register, timeout_s)
        except DeviceRefused:
            continue
        if not _bears(register, value, device.unit):
            return None
        borne[register.key] = value
    return borne


class Survey:
    """A walk over one link. ``models`` are those that may be recognised; times in seconds."""

    def __init__(
        self,
        link: Link,
        models: Sequence[DeviceModel] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.link = link
        self.models = known_models() if models is None else list(models)
        self.timeout_s = timeout_s
        self.pause_s = pause_s
        self.requests = 0
        self.every_unit = False
        """Whether the endpoint turned out to be one device that answers to every unit id."""

    async def walk(self, units: Iterable[int], signs: int = 1) -> AsyncIterator[Found]:
        """The units that answer, as found. ``signs`` is how many signs of life are tried: 1 is quick, 4 finds
        devices that do not even refuse a function which they do not have. Raises `NotConnected`.
        """
        left = list(units)
        alike: list[Found] = []
        for function, address in SIGNS[:signs]:
            silent = []
            for unit in left:
                found = await self.look(unit, function, address)
                if found is None:
                    silent.append(unit)
                    continue
                await self.recognise(found)
                alike = [*alike, found] if not alike or self._same(alike[-1], found) else [found]
                yield found
                if len(alike) == ALIKE and self.link.kind == "tcp" and await self._answers_everything():
                    self.every_unit = True
                    return
            left = silent

    @staticmethod
    def _same(one: Found, other: Found) -> bool:
        return other.unit == one.unit + 1 and one.seen == other.seen

    async def _answers_everything(self) -> bool:
        """Whether units that nobody would give to a device are there as well."""
        for unit in UNLIKELY:
            if await self.look(unit) is None:
                return False
        return True

    async def look(self, unit: int, function: int = 3, address: int = 0) -> Found | None:
        """The unit, if it gives a sign of life. Raises `NotConnected`."""
        try:
            await self._read(unit, function, address, 1)
        except DeviceRefused as error:
            if error.code in UNIT_BEHIND_GATEWAY_IS_SILENT:
                return None
            return Found(unit, f"function {function}: {error.words}")
        except NoAnswer:
            return None
        except BadFrame as error:
            return Found(unit, f"function {function}: a damaged answer ({error})")
        return Found(unit, f"function {function}: answers")

    async def recognise(self, found: Found) -> Found:
        """Try every model on a unit that was found. Raises `NotConnected`."""
        memory: Memory = {}
        for model in self.models:
            candidate = await self._try(model, found.unit, memory)
            if candidate is not None:
                found.candidates.append(candidate)
        found.candidates.sort(key=lambda candidate: candidate.rank, reverse=True)
        found.seen = b"".join(block for _, block in sorted(memory.items()) if isinstance(block, bytes))
        return found

    async def _try(self, model: DeviceModel, unit: int, memory: Memory) -> Candidate | None:
        try:
            marks, identity = [], {}
            for register in _marked(model):
                try:
                    value = await self._value(model, register, unit, memory)
                except DeviceRefused:
                    continue
                if not _bears(register, value, unit):
                    return None
                marks.append(register.key)
                identity[register.key] = value
            reads = plan_reads(model, model.channels.values())
            blocks: list[bytes | None] = [
                await self._once(unit, read.function, read.address, read.count, memory) for read in reads
            ]
        except (DeviceRefused, NoAnswer, BadFrame):
            return None
        channels = list(model.channels.values())
        _, quality = Decoder(channels, reads).decode(blocks, [int(Quality.GOOD)] * len(blocks))
        refuted = tuple(
            channel.key for channel, mark in zip(channels, quality, strict=True) if mark == Quality.OUT_OF_RANGE
        )
        held = sum(
            any(block[at : at + 2]) for block in blocks if block is not None for at in range(0, len(block), 2)
        )
        asked = sum(read.count for read in reads)
        return Candidate(model, tuple(marks), held, asked, refuted, identity)

    async def _value(
        self,
        model: DeviceModel,
        register: Channel,
        unit: int,
        memory: Memory,
    ) -> object:
        block = await self._once(unit, register.function, register.address, register.count, memory)
        if register.is_text:
            return register.text(block)
        reads = plan_reads(model, (register,))
        values, quality = Decoder((register,), reads).decode([block], [int(Quality.GOOD)])
        return values[0] if quality[0] == Quality.GOOD else None

    async def _once(
        self,
        unit: int,
        function: int,
        address: int,
        count: int,
        memory: Memory,
    ) -> bytes:
        """A read that is asked once, however many models want it."""
        key = (function, address, count)
        if key not in memory:
            try:
                memory[key] = await self._read(unit, function, address, count)
            except DeviceRefused as error:
                memory[key] = error
        known = memory[key]
        if isinstance(known, DeviceRefused):
            raise known
        return known

    async def _read(self, unit: int, function: int, address: int, count: int) -> bytes:
        rest = max(self.pause_s, self.link.ready_at(unit) - self.link.time())
        await asyncio.sleep(rest)
        self.requests += 1
        return await self.link.read(unit, function, address, count, self.timeout_s)


def _bears(register: Channel, value: object, unit: int) -> bool:
    """Whether a register holds one of its marks."""
    return any(
        value == unit if mark == UNIT else isinstance(value, str | float) and register.meets(mark, value)
        for mark in register.mark
    )
