"""One unit on a Modbus link, read by its model: bytes from the bus in, readings or named faults out."""

from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from firmware_interfaces.asked import Introduction
from firmware_interfaces.errors import BadFrame, BusError, DeviceRefused, NoAnswer
from firmware_interfaces.modbus.decode import Decoder
from firmware_interfaces.modbus.link import Link, data_size, read_request
from firmware_interfaces.modbus.model import Channel, DeviceModel
from firmware_interfaces.modbus.planner import Read, plan_reads, split
from firmware_interfaces.quality import Quality

__all__ = ["Answer", "ModbusDevice", "Refusal", "raw_blocks"]

GOOD = int(Quality.GOOD)
ILLEGAL_DATA_ADDRESS = 2
UNIT_BEHIND_GATEWAY_IS_SILENT = frozenset({10, 11})
"""Exceptions with which a TCP converter says that the unit behind it does not answer."""


class Answer(NamedTuple):
    """What one poll brought: a double and a `Quality` byte per channel, and the blocks as they came.

    ``blocks`` has one entry per read, None where that read failed; ``slowest_s`` is the longest that one of the
    requests took; ``silent`` tells that the device stopped answering before the end.
    """

    values: "array[float]"
    quality: bytes
    reads: tuple[Read, ...]
    blocks: "list[bytes | None]"
    slowest_s: float
    silent: bool = False

    def raw(self) -> bytes:
        """The blocks for the record, see `raw_blocks`."""
        return raw_blocks(self.reads, self.blocks)


class Ask(NamedTuple):
    """A read and the bytes of its request; ``size`` is how many data bytes the answer must hold."""

    read: Read
    pdu: bytes
    size: int


def _ask(read: Read) -> Ask:
    pdu = read_request(read.function, read.address, read.count)
    return Ask(read, pdu, data_size(read.function, read.count))


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device does not have a register that its model names."""

    read: Read
    code: int


def raw_blocks(reads: Sequence[Read], blocks: "Sequence[bytes | None]") -> bytes:
    """Blocks as one byte string for the record: function (1 byte), address (2), data length (2), data, ...

    Lengths and addresses are big-endian; a read that failed is left out.
    """
    parts = [
        bytes((read.function,)) + read.address.to_bytes(2, "big") + len(block).to_bytes(2, "big") + block
        for read, block in zip(reads, blocks, strict=True)
        if block is not None
    ]
    return b"".join(parts)


class ModbusDevice:
    """Polls the channels of a model with as few reads as the model allows.

    A block that the unit rejects because one of its registers does not exist (exception 2) is split for good; a
    single channel that is rejected has the quality NOT_SUPPORTED until `forget_refusals`.
    """

    def __init__(self, link: Link, unit: int, model: DeviceModel, channels: Sequence[str] = ()) -> None:
        self.link = link
        self.unit = unit
        self.model = model
        keys = list(channels) or list(model.channels)
        self.channels: tuple[Channel, ...] = tuple(model.channels[key] for key in keys)
        self.refusals: list[Refusal] = []
        self._set_plan(plan_reads(model, self.channels))

    def _set_plan(self, reads: tuple[Read, ...]) -> None:
        self.reads = reads
        self._decoder = Decoder(self.channels, reads)
        self._refused: set[Read] = set()
        self._asks = [_ask(read) for read in reads]

    def forget_refusals(self) -> None:
        """Plan anew, as for a device that may have been exchanged."""
        self.refusals.clear()
        self._set_plan(plan_reads(self.model, self.channels))

    async def probe(self, timeout_s: float) -> None:
        """The cheapest sign of life: one register. Its answer has another length than a whole block, so a late
        answer to an earlier poll cannot pass for it; where blocks are single registers, the link listens for a
        second answer (`Link.settle`). An exception is a sign of life, too.
        """
        first = self.reads[0]
        with suppress(DeviceRefused):
            await self._request(_ask(Read(first.function, first.address, 1)), timeout_s)
        await self.link.settle(timeout_s)

    async def _request(self, ask: Ask, timeout_s: float) -> bytes:
        try:
            return (await self.link.request(self.unit, ask.pdu, ask.size, timeout_s))[2:]
        except DeviceRefused as error:
            if error.code in UNIT_BEHIND_GATEWAY_IS_SILENT:
                raise NoAnswer(f"{self.link} unit {self.unit}: {error.words}") from error
            raise

    async def poll(self, timeout_s: float) -> Answer:
        """Read all channels once; each request may take ``timeout_s``.

        Raises `NoAnswer`, `BadFrame` or `NotConnected` when nothing was learned. When only a later read fails, the
        channels that depend on it have its quality and the rest keep their values.
        """
        blocks: list[bytes | None] = []
        qualities: list[int] = []
        slowest, silent = 0.0, False
        clock = self.link.time
        for ask in self._asks:
            if self._refused and ask.read in self._refused:
                blocks.append(None)
                qualities.append(Quality.NOT_SUPPORTED)
                continue
            started = clock()
            try:
                blocks.append(await self._request(ask, timeout_s))
                qualities.append(GOOD)
            except DeviceRefused as error:
                if error.code == ILLEGAL_DATA_ADDRESS:
                    return await self._after_refusal(ask.read, timeout_s)
                blocks.append(None)
                qualities.append(error.quality)
            except BusError as error:
                if not any(block is not None for block in blocks):
                    raise
                silent = True
                missing = len(self._asks) - len(blocks)
                blocks += [None] * missing
                qualities += [error.quality] * missing
                break
            slowest = max(slowest, clock() - started)
        values, quality = self._decoder.decode(blocks, qualities)
        return Answer(values, quality, self.reads, blocks, slowest, silent)

    async def _after_refusal(self, read: Read, timeout_s: float) -> Answer:
        """Split the rejected block, or give up its only channel, and poll again."""
        pieces = split(self.reads, read, self.channels, self.model)
        if pieces == self.reads:
            self._refused.add(read)
            self.refusals.append(Refusal(read, ILLEGAL_DATA_ADDRESS))
        else:
            refused = self._refused
            self._set_plan(pieces)
            self._refused = refused & set(pieces)
        return await self.poll(timeout_s)

    async def introduce(self, timeout_s: float) -> AsyncIterator[Introduction]:
        """Read identity and correction registers. A register that the device does not have is None; a `BusError`
        other than a refusal ends the attempt.
        """
        if self.model.identity:
            yield Introduction("identity", await self._found(self.model.identity, timeout_s))
        if self.model.audit:
            found = await self._found(self.model.audit, timeout_s)
            unexpected = {
                register.key: register.expect
                for register in self.model.audit
                if register.expect is not None
                and found[register.key] is not None
                and not register.meets(register.expect, found[register.key])
            }
            yield Introduction("audit", found, unexpected)

    async def _found(self, registers: Sequence[Channel], timeout_s: float) -> dict[str, object]:
        found: dict[str, object] = {}
        for register in registers:
            try:
                found[register.key] = await self.registers(register, timeout_s)
            except DeviceRefused:
                found[register.key] = None
        return found

    async def registers(self, channel: Channel, timeout_s: float) -> object:
        """Value of one identity or audit register: number, text, or None with the quality's words."""
        reads = plan_reads(self.model, (channel,))
        blocks: list[bytes | None] = []
        for read in reads:
            blocks.append(await self._request(_ask(read), timeout_s))
        if channel.is_text:
            block = blocks[0]
            if block is None:
                raise BadFrame("identity register was not read", raw=b"")
            return channel.text(block)
        values, quality = Decoder((channel,), reads).decode(blocks, [Quality.GOOD] * len(reads))
        return values[0] if quality[0] < Quality.TIMEOUT else None
