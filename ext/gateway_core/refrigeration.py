"""A bank of refrigerated channels: cycles, defrosts, doors and level of each, and what is unusual about them.

`Bank` is what others use; the work of one sample is in ``refrigeration_steps.py``, whose compiled form serves where
there is one and gives the same bits. Times are seconds of the caller's monotonic clock, values degrees Celsius.
What comes out is advice and labels: nothing here knows or touches a limit.
"""

import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any, NamedTuple, Protocol

from gateway_core import compiled, refrigeration_steps, snapshots
from gateway_core.refrigeration_state import FIELDS, KINDS, NAN, RING, Channel, Kind, Notices
from gateway_core.refrigeration_words import FINDINGS, LABELS, explained

__all__ = ["Bank", "Core", "Finding", "Label", "PureCore", "carried", "exchanged"]

MAGIC = b"AGR1"
HEAD = struct.Struct("<4sHHI")
ROW = struct.Struct(f"<I{len(FIELDS) + RING}d")


class Label(NamedTuple):
    """A finished event of one channel. Times in seconds of the caller's clock, values in the channel's unit.

    ``kind`` is door, defrost, other or moved (the level is another one now). ``baseline`` is the value at the
    ``start``, ``slope`` the steepest rise (K/s) over one to two minutes, ``undershoot`` how far it went below the
    usual troughs afterwards (negative: it did not get there). ``sure`` tells whether it agrees with what was
    learned of the channel (defrosts) or was seen densely enough to know (doors, up to 2 minutes apart).
    """

    channel: int
    kind: str
    start_s: float
    peak_s: float
    end_s: float
    baseline: float
    peak: float
    slope: float
    undershoot: float
    sure: bool


class Finding(NamedTuple):
    """Something unusual begins (``active``) or is over.

    ``value`` is held against ``low`` and ``high``; ``learned`` counts what that was learned from (in the unit that
    `gateway_core.refrigeration_words.FINDINGS` names, with the meaning of the numbers).
    """

    channel: int
    what: str
    active: bool
    at_s: float
    since_s: float
    value: float
    low: float
    high: float
    learned: float


class Core(Protocol):
    """What both twins do."""

    count: int

    @property
    def lost(self) -> int:
        """Notices that found no room because nobody fetched them."""

    def update(self, channel: int, t_s: float, x: float, usable: bool = True) -> int:
        """One sample; its flag."""

    def update_many(self, channel: Any, t_s: Any, x: Any, usable: Any, flags: Any) -> int:
        """Many samples; the number of notices that wait."""

    def drain(self) -> list[tuple[float, ...]]:
        """All notices that wait."""

    def forget_clock(self, channel: int) -> None:
        """The caller's clock starts anew."""

    def read(self, channel: int) -> tuple[tuple[float, ...], int]:
        """All numbers of a channel, and its findings as bits."""

    def write(self, channel: int, values: Sequence[float], active: int) -> None:
        """Put back what `read` gave."""


class PureCore:
    """The readable twin of ``_refrigeration.Core``."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = tuple(kinds)
        self._channels = [Channel(index) for index in range(len(kinds))]
        self._notices = Notices()
        self.count = len(kinds)

    @property
    def lost(self) -> int:
        return self._notices.lost

    def _at(self, channel: int) -> Channel:
        if not 0 <= channel < self.count:
            raise IndexError(f"channel {channel} is not one of {self.count}")
        return self._channels[channel]

    def update(self, channel: int, t_s: float, x: float, usable: bool = True) -> int:
        return refrigeration_steps.feed(self._at(channel), self._kinds[channel], self._notices, t_s, x, usable)

    def update_many(self, channel: Any, t_s: Any, x: Any, usable: Any, flags: Any) -> int:
        if not len(channel) == len(t_s) == len(x) == len(usable) == len(flags):
            raise ValueError("channel, t_s, x, usable and flags have to be of one length")
        for index in channel:
            self._at(index)
        for k, index in enumerate(channel):
            flags[k] = self.update(index, t_s[k], x[k], bool(usable[k]))
        return len(self._notices.rows)

    def drain(self) -> list[tuple[float, ...]]:
        rows, self._notices.rows = self._notices.rows, []
        return rows

    def forget_clock(self, channel: int) -> None:
        refrigeration_steps.forget_clock(self._at(channel), self._notices)

    def read(self, channel: int) -> tuple[tuple[float, ...], int]:
        held = self._at(channel)
        return (*(getattr(held, name) for name in FIELDS), *held.ring), held.active

    def write(self, channel: int, values: Sequence[float], active: int) -> None:
        held = self._at(channel)
        if len(values) != len(FIELDS) + RING:
            raise ValueError(f"a channel has {len(FIELDS) + RING} numbers")
        for name, value in zip(FIELDS, values, strict=False):
            setattr(held, name, value)
        held.ring = array("d", values[len(FIELDS) :])
        held.active = active


_core = compiled("_refrigeration")
NewCore: Any = PureCore if _core is None else _core.Core
"""The compiled core where there is one."""


class Bank:
    """``kinds`` names each channel's kind: ``room`` (cold room, freezer, cabinet, product) or ``process``.

    Feed it with `update` or, for many samples in one call, with ``update_many(channel, t_s, x, usable, flags)``:
    buffers of int32, double, double, uint8, and uint8 for the flags that come out (0 none, 1 door, 2 defrost,
    3 another disturbance). A flag says what is known at that moment; when the event is over its `Label` says
    finally what it was and since when. Samples that are not usable, not finite or beyond a million, and such that
    are not later than the one before, are passed over. Raises `ValueError` for an unknown kind, `IndexError` for an
    unknown channel.
    """

    def __init__(self, kinds: Sequence[str], *, core: Any = None) -> None:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"{kind!r} is no kind of channel: {' or '.join(KINDS)}")
        self._kinds = tuple(kinds)
        self._core: Core = (NewCore if core is None else core)([KINDS[kind] for kind in kinds])
        self.update = self._core.update
        self.update_many = self._core.update_many
        self.forget_clock = self._core.forget_clock

    def __len__(self) -> int:
        return self._core.count

    @property
    def lost(self) -> int:
        """Labels and findings that were dropped because 65536 waited already."""
        return self._core.lost

    def take(self) -> list[Label | Finding]:
        """What was recognised since the last time, in the order in which it was."""
        found: list[Label | Finding] = []
        for channel, code, state, at, *rest in self._core.drain():
            if state == 2.0:
                start, peak_t, end, base, peak, slope, under, sure = rest
                kind = LABELS[int(code)]
                found.append(Label(int(channel), kind, start, peak_t, end, base, peak, slope, under, sure >= 1.0))
            else:
                since, value, low, high, learned, *_ = rest
                what = tuple(FINDINGS)[int(code) - 1]
                found.append(Finding(int(channel), what, state == 1.0, at, since, value, low, high, learned))
        return found

    def explain(self, channel: int) -> dict[str, Any]:
        """What is known of a channel in numbers: learned, under way, what can be seen at its sampling period."""
        values, active = self._core.read(channel)
        return explained(self._kinds[channel], dict(zip(FIELDS, values, strict=False)), active)

    def restart(self) -> None:
        """The caller's clock starts anew (a reboot): what was under way is given up, what was learned stays."""
        for channel in range(len(self)):
            self.forget_clock(channel)

    def snapshot(self) -> bytes:
        """All memory, versioned and checked; fetch what waits (`take`) before, it is not part of it."""
        parts = [HEAD.pack(MAGIC, len(FIELDS), RING, len(self))]
        for channel in range(len(self)):
            values, active = self._core.read(channel)
            kind = tuple(KINDS).index(self._kinds[channel])
            # Which NaN it is may differ between machines.
            parts.append(ROW.pack(active | kind << 24, *(NAN if isnan(value) else value for value in values)))
        body = b"".join(parts)
        return body + struct.pack("<I", zlib.crc32(body))

    def restore(self, data: bytes) -> None:
        """Take a snapshot back. Raises `ValueError`, and changes nothing, where it is not one of such a bank."""
        if len(data) < HEAD.size + 4 or struct.unpack("<I", data[-4:])[0] != zlib.crc32(data[:-4]):
            raise ValueError("the memory of the refrigeration bank is damaged")
        head = HEAD.unpack_from(data)
        if head != (MAGIC, len(FIELDS), RING, len(self)) or len(data) != HEAD.size + 4 + len(self) * ROW.size:
            raise ValueError("the memory is of another version or another number of channels")
        rows = list(ROW.iter_unpack(data[HEAD.size : -4]))
        for row, kind in zip(rows, self._kinds, strict=True):
            if row[0] >> 24 != tuple(KINDS).index(kind):
                raise ValueError("the memory is of channels of other kinds")
        for channel, (word, *values) in enumerate(rows):
            self._core.write(channel, values, word & 0xFFFFFF)


def carried(fresh: bytes, kept: bytes, channels: Mapping[int, int]) -> bytes:
    """A snapshot for another bank: ``channels`` maps its channels to those of ``kept``; the rest is ``fresh``.

    A channel that is of another kind now begins anew. Raises `ValueError` for a ``kept`` that is damaged.
    """
    return snapshots.carried(fresh, kept, channels, head=HEAD.size, kind=slice(3, 4))


def exchanged(findings: Iterable[Finding]) -> list[tuple[int, int]]:
    """Pairs of channels whose probes were exchanged, by their jumps.

    Two jumps that begin within a quarter of an hour, each into the other's old band (and its width around it).
    """
    jumps = [finding for finding in findings if finding.what == "jump" and finding.active]
    return [
        (one.channel, other.channel)
        for number, one in enumerate(jumps)
        for other in jumps[number + 1 :]
        if one.channel != other.channel
        and abs(one.since_s - other.since_s) <= 900.0
        and _fits(one.value, other)
        and _fits(other.value, one)
    ]


def _fits(value: float, before: Finding) -> bool:
    width = before.high - before.low
    return before.low - width <= value <= before.high + width
