"""Blocks of registers in, readings or named faults out. Nothing is kept from one call to the next."""

from array import array
from collections.abc import Sequence

from gateway_core.registers import BCD, BIT, FLOAT, SIGNED, UNSIGNED, Guard, Row, Table

from firmware_interfaces.modbus.nouns import KINDS, Channel, Fault, Order, Span
from firmware_interfaces.modbus.planner import Read, supplier

__all__ = ["Decoder"]

FORMS = {"bool": UNSIGNED, "uint": UNSIGNED, "int": SIGNED, "float": FLOAT, "bcd": BCD}


class Decoder:
    """Decodes what the reads of a plan bring into the channels, in the order of the channels.

    Raises `ValueError` where the reads do not cover a channel, or where a channel is text.
    """

    def __init__(self, channels: Sequence[Channel], reads: Sequence[Read]) -> None:
        sizes = [_size(read) for read in reads]
        self._table = Table(sizes, [_row(channel, reads) for channel in channels])

    def decode(self, blocks: Sequence[bytes | None], qualities: Sequence[int]) -> "tuple[array[float], bytes]":
        """One double and one `Quality` byte per channel; the double is NaN exactly where the quality is bad.

        ``blocks[i]`` is the data of read i as it came: registers big-endian, or bits packed from the lowest; None
        where the read failed, with the reason in ``qualities[i]``. A block of another length than was asked for
        makes its channels bad frames. A channel whose fault reference could not be read is as bad as that: what the
        device says of its probe is part of the value. Raises `ValueError` for a wrong number of blocks.
        """
        return self._table.decode(blocks, qualities)


def _size(read: Read) -> int:
    return (read.count + 7) // 8 if read.function in {1, 2} else 2 * read.count


def _place(span: Span, reads: Sequence[Read]) -> tuple[int, int]:
    """Index of the block that holds a span, and where it starts there: in bits or in bytes."""
    index = supplier(reads, span)
    if index is None:
        raise ValueError(f"no read covers function {span.function} address {span.address}")
    distance = span.address - reads[index].address
    return index, distance if span.function in {1, 2} else 2 * distance


def _order(registers: int, words: Order, inside: Order) -> tuple[int, ...]:
    """Places of the bytes of a number on the wire, from the most significant to the least."""
    sequence = range(registers) if words == "big" else range(registers - 1, -1, -1)
    pair = (0, 1) if inside == "big" else (1, 0)
    return tuple(2 * register + byte for register in sequence for byte in pair)


def _row(channel: Channel, reads: Sequence[Read]) -> Row:
    if channel.type == "string":
        raise ValueError(f"{channel.key} is a text, not a measurement")
    block, at = _place(channel.span, reads)
    guards = tuple(_guard(fault, channel.byte_order, reads) for fault in channel.faults)
    single = channel.function in {1, 2}
    row = Row(
        block=block,
        at=at,
        kind=BIT if single else FORMS[KINDS[channel.type].form],
        order=() if single else _order(channel.count, channel.word_order, channel.byte_order),
        shift=channel.shift,
        mask=channel.mask,
        multiplier=channel.multiplier,
        addend=channel.addend,
        places=channel.places,
        scale=channel.scale,
        offset=channel.offset,
        invalid=channel.invalid,
        guards=guards,
    )
    if channel.low is None or channel.high is None:
        return row
    return row._replace(low=channel.low, high=channel.high)


def _guard(fault: Fault, byte_order: Order, reads: Sequence[Read]) -> Guard:
    block, at = _place(fault.span, reads)
    return Guard(
        block=block,
        at=at,
        order=() if fault.span.function in {1, 2} else _order(1, "big", byte_order),
        shift=fault.shift,
        mask=fault.mask,
        states=tuple((value, int(quality)) for value, quality in fault.meaning),
        otherwise=int(fault.otherwise),
    )
