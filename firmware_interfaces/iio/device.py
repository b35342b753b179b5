"""Inputs of a chip, and the board itself, as devices that are asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from firmware_interfaces.asked import Introduction
from firmware_interfaces.errors import BusError, NoAnswer, NotConnected
from firmware_interfaces.fileline import FileChannel, FileLine, FileModel, FileReading, Found
from firmware_interfaces.iio.board import BITS, BoardHealth, read_board
from firmware_interfaces.iio.inputs import Sample, kind_of, read_input
from firmware_interfaces.iio.signal import Span, scaled
from firmware_interfaces.iio.tree import ROOTS, Chip, Subsystem, find
from firmware_interfaces.quality import Quality

__all__ = ["BOARD", "INPUTS", "BoardDevice", "Input", "InputsDevice", "InputsLine", "inputs_model", "parse_inputs"]

INPUTS: dict[Subsystem, str] = {"iio": "iio-inputs", "hwmon": "hwmon-inputs"}
"""Models whose channels the site file describes."""
SOURCES = {
    "iio": "Documentation/ABI/testing/sysfs-bus-iio; NAMUR NE 43",
    "hwmon": "Documentation/hwmon/sysfs-interface.rst",
}
FINE = frozenset({"V", "mA"})
"""Units whose numbers are recorded to the millionth, others to the thousandth."""

BOARD = FileModel(
    "raspberry-pi",
    "Raspberry Pi, its own health",
    "raspberrypi/utils, vcgencmd(1); drivers/hwmon/raspberrypi-hwmon.c",
    {
        channel.key: channel
        for channel in (
            FileChannel("soc_temperature", "degC", 3, "Temperature of the processor"),
            FileChannel("undervoltage", "", 0, "Too little supply voltage now"),
            FileChannel("frequency_capped", "", 0, "Clock frequency is capped now"),
            FileChannel("throttled", "", 0, "Processor is slowed down now"),
            FileChannel("soft_temperature_limit", "", 0, "Soft temperature limit is in force now"),
        )
    },
)


@dataclass(frozen=True, slots=True)
class Input:
    """One channel that a site file describes: the kernel's ``input``, its ``unit``, the ``span`` of its signal."""

    input: str
    unit: str
    decimals: int
    span: Span | None = None


def parse_inputs(subsystem: Subsystem, text: str) -> dict[str, Input]:
    """Channels from the JSON that a model's name carries (`inputs_model`); checked by the configuration before."""
    return {key: _input(subsystem, entry) for key, entry in json.loads(text, parse_float=Decimal).items()}


def _input(subsystem: Subsystem, entry: Mapping[str, Any]) -> Input:
    signal, at = entry.get("signal"), entry.get("span")
    kind = kind_of(subsystem, entry["input"])
    unit = str(entry.get("unit") or (kind.unit if kind is not None else ""))
    decimals = int(entry.get("decimals", 6 if unit in FINE else 3))
    if signal is None or at is None:
        return Input(entry["input"], unit, decimals)
    loop = signal == "4-20mA"
    low, high = (4, 20) if loop else signal
    shunt = entry.get("shunt_ohm")
    span = Span(
        low=Decimal(low),
        high=Decimal(high),
        at_low=Decimal(at[0]),
        at_high=Decimal(at[1]),
        decimals=decimals,
        loop=loop,
        shunt_ohm=None if shunt is None else Decimal(shunt),
    )
    return Input(entry["input"], unit, decimals, span)


def inputs_model(subsystem: Subsystem, text: str) -> FileModel:
    """The model of a chip's inputs as the site file describes them: its hash is that of the description."""
    inputs = parse_inputs(subsystem, text)
    channels = {key: FileChannel(key, one.unit, one.decimals, one.input) for key, one in inputs.items()}
    title = "inputs of a chip, as the site file describes them"
    return FileModel(INPUTS[subsystem], title, SOURCES[subsystem], channels, text)


class InputsLine(FileLine):
    """All chips of a subsystem."""

    __slots__ = ("root", "subsystem")

    def __init__(self, subsystem: Subsystem, root: Path | None = None) -> None:
        self.subsystem: Subsystem = subsystem
        self.root = root or ROOTS[subsystem]
        super().__init__(subsystem, f"{subsystem} inputs", self._look)

    def _look(self) -> None:
        if not self.root.is_dir():
            raise NotConnected(f"{self.name}: the kernel has no {self.root}; is the chip's driver loaded?")


class InputsDevice:
    """Inputs of one chip, which is looked for at every poll: its number changes when drivers come and go."""

    unit = 0

    def __init__(
        self,
        line: InputsLine,
        address: str,
        model: FileModel,
        inputs: Mapping[str, Input],
        channels: Sequence[str] = (),
    ) -> None:
        self.line = line
        self.address = address
        self.model = model
        keys = channels or tuple(model.channels)
        self.channels = tuple(model.channels[key] for key in keys)
        self._inputs = [inputs[key] for key in keys]

    def forget_refusals(self) -> None:
        """Nothing is remembered."""

    def _chip(self) -> Chip:
        return find(self.line.subsystem, self.address, self.line.root)

    async def probe(self, timeout_s: float) -> None:
        """Whether the chip is there. Raises `NoAnswer`."""
        await self.line.ask(f"{self.address}?", self._chip, timeout_s)

    async def poll(self, timeout_s: float) -> FileReading:
        """Read all inputs. Raises `BusError` when not one of them could be read."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        samples = await self.line.ask(self.address, self._read, timeout_s)
        ended = loop.time()
        said = "; ".join(sample.raw for sample in samples).encode()
        self.line.heard(ended, said)
        found = [
            Found(None if sample.value is None else float(sample.value), sample.quality, sample.words)
            for sample in samples
        ]
        return FileReading.of(found, said, ended - started)

    def _read(self) -> list[Sample]:
        chip = self._chip()
        samples: list[Sample] = []
        first: BusError | None = None
        for one in self._inputs:
            try:
                sample = read_input(self.line.subsystem, chip, one.input)
            except BusError as error:
                first = first or error
                quality = Quality.NOT_SUPPORTED if isinstance(error, NoAnswer) else Quality(error.quality)
                samples.append(Sample(None, quality, f"{one.input}: {error}", str(error)))
            else:
                samples.append(_finished(sample, one))
        if first is not None and all(sample.value is None for sample in samples):
            raise first
        return samples

    async def introduce(self, timeout_s: float) -> AsyncIterator[Introduction]:
        """Kind, place and label of the chip, and how its inputs are understood. Raises `BusError`."""
        chip = await self.line.ask(f"{self.address} facts", self._chip, timeout_s)
        yield Introduction("identity", {"name": chip.name, "place": chip.place, "label": chip.label})
        yield Introduction("audit", {"inputs": self.model.how})


def _finished(sample: Sample, one: Input) -> Sample:
    if one.span is not None:
        return scaled(sample, one.span)
    if sample.value is None:
        return sample
    return sample._replace(value=round(sample.value, one.decimals))


class BoardDevice:
    """The board that the gateway runs on."""

    unit = 0
    model = BOARD

    def __init__(
        self, line: FileLine, channels: Sequence[str] = (), sys: Path = Path("/sys"), model: Path | None = None
    ) -> None:
        self.line = line
        self.channels = tuple(BOARD.channels[key] for key in channels or BOARD.channels)
        self._sys = sys
        self._model = model or Path("/proc/device-tree/model")

    def forget_refusals(self) -> None:
        """Nothing is remembered."""

    async def _health(self, timeout_s: float) -> BoardHealth:
        health = await self.line.ask("board", lambda: read_board(self._sys, self._model), timeout_s)
        if not health.known:
            raise NoAnswer("this board does not tell of its health: it is no Raspberry Pi, or its kernel hides it")
        return health

    async def probe(self, timeout_s: float) -> None:
        """Whether it tells anything. Raises `NoAnswer`."""
        await self._health(timeout_s)

    async def poll(self, timeout_s: float) -> FileReading:
        """What the board says now; what it does not say is not supported, never 0."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        health = await self._health(timeout_s)
        ended = loop.time()
        said = health.raw.encode()
        self.line.heard(ended, said)
        return FileReading.of([_of_board(health, channel.key) for channel in self.channels], said, ended - started)

    async def introduce(self, timeout_s: float) -> AsyncIterator[Introduction]:
        """The board's own name."""
        health = await self._health(timeout_s)
        yield Introduction("identity", {"board": health.model})


def _of_board(health: BoardHealth, key: str) -> Found:
    value: float | None = health.soc_temperature
    if key in BITS:
        flag = (health.flags or {}).get(key)
        value = None if flag is None else float(flag)
    return Found(None, Quality.NOT_SUPPORTED) if value is None else Found(value, Quality.GOOD)
