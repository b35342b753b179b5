"""What the anomaly detectors remember of a channel, and how it is kept as bytes.

The order of the fields is that of ``anomaly_state`` in ``anomaly_core.h``. All are doubles, so that a snapshot is
the memory of the compiled bank as it is, and the same on every machine.
"""

import struct
import sys
import zlib
from array import array
from dataclasses import dataclass, field, fields

from gateway_core.anomaly_words import STATISTICS, Config, Verdict, config_hash

__all__ = ["CYCLE_BINS", "DAY_BINS", "DOUBLES", "HEAD_BYTES", "UNSET", "WEEK_BINS", "State", "freeze", "thaw"]

BANDS = len(STATISTICS)
DAY_BINS, WEEK_BINS, CYCLE_BINS = 24, 56, 16

UNSET = 1e300
"""Stands for what has not been learned yet (values beyond 1e100 are never accepted as measurements)."""


@dataclass(slots=True)
class State:
    """A channel about which nothing is known, until `gateway_core.anomaly_twin.update` fills it.

    Times end in ``_s`` (durations) or ``_t`` (instants, as the caller counts them); ``_at`` and ``_until`` count
    observed seconds, in which gaps are short.
    """

    # The band of each statistic, how long it has been taught (s), and how far beyond it was alarmed: below, above.
    low: list[float] = field(default_factory=lambda: [UNSET] * BANDS)
    high: list[float] = field(default_factory=lambda: [-UNSET] * BANDS)
    learned: list[float] = field(default_factory=lambda: [0.0] * BANDS)
    mark: list[float] = field(default_factory=lambda: [0.0] * 2 * BANDS)
    marked_at: list[float] = field(default_factory=lambda: [0.0] * 2 * BANDS)
    # What is usual at an hour of the day, at a time of the week, and in a phase of the channel's own cycle.
    day: list[float] = field(default_factory=lambda: [UNSET] * DAY_BINS)
    week: list[float] = field(default_factory=lambda: [UNSET] * WEEK_BINS)
    cycle: list[float] = field(default_factory=lambda: [UNSET] * CYCLE_BINS)
    # Time: values taken, first and newest instant, seconds observed and seconds learned from, usual interval.
    samples: float = 0.0
    first_t: float = 0.0
    t: float = 0.0
    observed: float = 0.0
    settled: float = 0.0
    interval: float = 0.0
    # Shares of a new value in the averages, and the interval for which they were worked out.
    shares_of: float = 0.0
    short_share: float = 0.0
    medium_share: float = 0.0
    long_share: float = 0.0
    noise_share: float = 0.0
    peak_share: float = 0.0
    # The newest value, the smallest change seen, whether the value was an expected one, the running statistics.
    x: float = 0.0
    grain: float = 0.0
    held: float = 0.0
    mean: float = 0.0
    middle: float = 0.0
    base: float = 0.0
    spread: float = 0.0
    base_spread: float = 0.0
    noise: float = 0.0
    up: float = 0.0
    down: float = 0.0
    peak: float = 0.0
    trough: float = 0.0
    flat: float = 0.0
    day_mean: float = 0.0
    # The hour that is being visited, sum and duration of the visits to its bins, seconds that taught the profiles.
    hour: float = UNSET
    day_sum: float = 0.0
    day_s: float = 0.0
    week_sum: float = 0.0
    week_s: float = 0.0
    profile_s: float = 0.0
    # The own cycle: side of the base, last upward crossing, period, its mean deviation, whole cycles seen.
    side: float = 0.0
    crossed_t: float = UNSET
    period: float = 0.0
    period_spread: float = 0.0
    crossings: float = 0.0
    # Advisories, and what was not said.
    refractory_until: float = 0.0
    said: float = 0.0
    recent: float = 0.0
    recent_at: float = 0.0
    advisories: float = 0.0
    advisory_t: float = 0.0
    suppressed: float = 0.0
    explained: float = 0.0
    # What could not be judged.
    skipped: float = 0.0
    duplicates: float = 0.0
    gaps: float = 0.0
    set_back: float = 0.0
    # The newest judgement, for explanations; ``fired`` is a statistic, -1 for none.
    verdict: float = 0.0
    score: float = 0.0
    exceedance: float = 0.0
    outside: float = 0.0
    outside_t: float = 0.0
    fired: float = -1.0
    fired_value: float = 0.0
    fired_low: float = 0.0
    fired_high: float = 0.0
    fired_mark: float = 0.0
    fired_widths: float = 0.0

    def pack(self) -> bytes:
        """Little-endian doubles, field by field."""
        doubles: list[float] = []
        for name, count in SIZES.items():
            value = getattr(self, name)
            doubles.extend(value if count else [value])
        return struct.pack(f"<{DOUBLES}d", *doubles)

    @classmethod
    def unpack(cls, packed: bytes) -> "State":
        """The state out of what `pack` or the compiled bank gave."""
        doubles = struct.unpack(f"<{DOUBLES}d", packed)
        state = cls()
        at = 0
        for name, count in SIZES.items():
            setattr(state, name, list(doubles[at : at + count]) if count else doubles[at])
            at += count or 1
        return state


def _size(name: str) -> int:
    value = getattr(State(), name)
    return len(value) if isinstance(value, list) else 0


SIZES = {one.name: _size(one.name) for one in fields(State)}
"""Field to the length of its list, 0 for a single number."""

DOUBLES = sum(count or 1 for count in SIZES.values())
"""Numbers in the state of a channel."""

_MAGIC = b"AGan"
_VERSION = 1
_HEAD = struct.Struct("<4sHHI8s")
HEAD_BYTES = _HEAD.size


def freeze(config: Config, states: bytes) -> bytes:
    """Bytes to keep: what they are, for which settings, the packed states, a CRC-32."""
    channels = len(states) // (8 * DOUBLES)
    body = _HEAD.pack(_MAGIC, _VERSION, DOUBLES, channels, config_hash(config)) + states
    return body + struct.pack("<I", zlib.crc32(body))


def thaw(config: Config, channels: int, kept: bytes) -> bytes:
    """The packed states out of kept bytes. Raises `ValueError`, naming what is wrong, for any that do not fit."""
    if len(kept) < _HEAD.size + 4:
        raise ValueError(f"{len(kept)} bytes are too few for a snapshot of detectors")
    magic, version, doubles, count, settings = _HEAD.unpack_from(kept)
    if magic != _MAGIC:
        raise ValueError("these bytes are not a snapshot of detectors")
    if version != _VERSION:
        raise ValueError(f"the snapshot has version {version}, this program knows {_VERSION}")
    if len(kept) != _HEAD.size + 8 * doubles * count + 4:
        raise ValueError("the snapshot is cut short or has something behind it")
    if zlib.crc32(kept[:-4]) != struct.unpack_from("<I", kept, len(kept) - 4)[0]:
        raise ValueError("the snapshot is damaged: its checksum does not fit")
    if settings != config_hash(config):
        raise ValueError(
            f"the snapshot was made with settings {settings.hex()}, these are {config_hash(config).hex()}"
        )
    if doubles != DOUBLES or count != channels:
        raise ValueError(f"the snapshot holds {count} channels of {doubles} numbers, not {channels} of {DOUBLES}")
    states = kept[_HEAD.size : -4]
    for channel in range(channels):
        _check_state(channel, states[8 * DOUBLES * channel : 8 * DOUBLES * (channel + 1)])
    return states


def _check_state(channel: int, packed: bytes) -> None:
    """What the arithmetic relies on, for bytes that are whole but were never written by a bank."""
    state = State.unpack(packed)
    doubles = array("d", packed)
    if sys.byteorder == "big":
        doubles.byteswap()
    if (
        not all(abs(value) <= UNSET for value in doubles)
        or state.fired not in range(-1, len(STATISTICS))
        or state.verdict not in list(Verdict)
        or not (state.hour == UNSET or abs(state.hour) <= 1e12)
    ):
        raise ValueError(f"the snapshot holds a state for channel {channel} that no detector can have")
