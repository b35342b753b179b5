"""Which registers to ask for together: as few reads as the device allows, and no value torn across two."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from firmware_interfaces.modbus.nouns import Channel, DeviceModel, LinkFacts, Span

__all__ = ["Read", "plan_reads", "split", "supplier"]


@dataclass(frozen=True, slots=True, order=True)
class Read:
    """One request: function 1 to 4, first wire address, number of bits (1, 2) or registers (3, 4)."""

    function: int
    address: int
    count: int

    def covers(self, span: Span) -> bool:
        """Whether its answer holds the whole span."""
        return (
            self.function == span.function
            and self.address <= span.address
            and span.end <= self.address + self.count
        )


def plan_reads(model: DeviceModel, channels: Iterable[Channel]) -> tuple[Read, ...]:
    """The fewest reads that bring the channels and what their fault references point to, by address.

    The first read is the one that holds the first channel, so that the sign of life is a register that matters.
    """
    wanted = list(channels)
    spans = sorted({span for channel in wanted for span in channel.spans})
    reads = _merge(spans, model.link, model.link.fill_holes)
    if not wanted:
        return reads
    first = next(read for read in reads if read.covers(wanted[0].span))
    return (first, *(read for read in reads if read != first))


def _merge(spans: Sequence[Span], link: LinkFacts, holes: int) -> tuple[Read, ...]:
    """Reads over sorted spans. A read grows as long as limits allow: from the lowest address on, no other cut
    needs fewer."""
    reads: list[Read] = []
    for span in spans:
        if reads and (last := reads[-1]).function == span.function:
            end = last.address + last.count
            grown = replace(last, count=max(end, span.end) - last.address)
            limit = link.max_bits if span.function in {1, 2} else link.max_registers
            if span.address - end <= holes and grown.count <= limit:
                reads[-1] = grown
                continue
        reads.append(Read(span.function, span.address, span.count))
    return tuple(reads)


def supplier(reads: Sequence[Read], span: Span) -> int | None:
    """Index of the read that a span is taken from: the shortest that covers it; None where none does."""
    covering = [index for index, read in enumerate(reads) if read.covers(span)]
    return min(covering, key=lambda index: reads[index].count, default=None)


def split(
    reads: Sequence[Read], rejected: Read, channels: Iterable[Channel], model: DeviceModel
) -> tuple[Read, ...]:
    """The plan after the device said that ``rejected`` holds an address it does not have (exception 2).

    A block with holes is first cut at the holes, then halved until single values stand alone. The same plan
    comes back when the block holds one value only: the device does not have it.
    """
    spans = sorted({span for channel in channels for span in channel.spans})
    place = list(reads).index(rejected)
    held = [span for span in spans if supplier(reads, span) == place]
    pieces = _merge(held, model.link, 0)
    if pieces == (rejected,):
        half = len(held) // 2
        if not half:
            return tuple(reads)
        pieces = (_hull(held[:half]), _hull(held[half:]))
    plan = [*reads[:place], *pieces, *reads[place + 1 :]]
    used = {supplier(plan, span) for span in spans}
    return tuple(read for index, read in enumerate(plan) if index in used)


def _hull(spans: Sequence[Span]) -> Read:
    start = min(span.address for span in spans)
    return Read(spans[0].function, start, max(span.end for span in spans) - start)
