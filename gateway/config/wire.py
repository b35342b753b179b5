"""How long a poll keeps a serial line busy, and what a poll consists of.

Frame lengths: Modbus Application Protocol V1.1b3, section 6; silence between frames: Modbus over Serial Line
V1.02, section 2.5.1.1. What the device itself takes to answer is not known and comes on top.
"""

from collections.abc import Iterable, Sequence

from firmware_interfaces.modbus.model import DeviceModel
from firmware_interfaces.modbus.planner import Read, plan_reads
from gateway.site import BusSpec, DeviceSpec

__all__ = ["line_load", "poll_s", "reads_of"]

REQUEST = 8
"""Unit, function, address, count, CRC."""
ANSWER = 5
"""Unit, function, byte count, CRC."""


def reads_of(model: DeviceModel, channels: Sequence[str]) -> tuple[Read, ...]:
    """The requests of one poll, as `plan_reads` makes them; no channels means all that the model has."""
    return plan_reads(model, [model.channels[key] for key in channels or model.channels])


def poll_s(bus: BusSpec, model: DeviceModel, reads: Iterable[Read], min_gap_ms: float = 0.0) -> float:
    """Seconds for which one poll occupies a serial line, at the least.

    ``min_gap_ms`` is the longest rest that a device of the line asks for: it is kept before every request.
    """
    character_s = (1 + 8 + (bus.parity != "N") + bus.stop_bits) / bus.baud
    silence_s = 0.00175 if bus.baud > 19200 else 3.5 * character_s
    pause_s = max(silence_s, (bus.gap_ms or 0.0) / 1000, model.link.min_gap_ms / 1000, min_gap_ms / 1000)
    frames = sum(REQUEST + ANSWER + _data_bytes(read) for read in reads)
    return frames * character_s + sum(silence_s + pause_s for _ in reads)


def line_load(bus: BusSpec, polls: Iterable[tuple[DeviceSpec, DeviceModel]]) -> float:
    """Share of time (1.0: all of it) for which the devices of a serial line keep it busy, at the least."""
    polls = list(polls)
    gap_ms = max((model.link.min_gap_ms for _, model in polls), default=0)
    return sum(
        poll_s(bus, model, reads_of(model, device.channels), gap_ms) * 1000 / device.period_ms
        for device, model in polls
    )


def _data_bytes(read: Read) -> int:
    return (read.count + 7) // 8 if read.function in {1, 2} else 2 * read.count
