"""The values of one channel as three columns, and their form in a row of ``day`` or ``chunk``.

The form is a byte for its version and zlib (RFC 1950) around a CBOR map of typed arrays (RFC 8746), described for
outsiders in docs/cluster-data.md. It is lossless: what cannot be written as whole multiples of a power of ten is
kept as the doubles that it is.
"""

import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, groupby, repeat
from math import nan
from operator import ge, sub, truediv
from typing import Any, NamedTuple

import cbor2
from gateway_core.series import BAD, LIMIT

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.payload import MAX_INFLATED, typed, untyped

__all__ = ["DAY_MS", "HOUR_MS", "Segment", "decode", "encode", "joined", "pieces"]

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
VERSION = 1
COUNT, SCALE, FIRST_MS, STEP_MS, OFFSETS, VALUES, LENGTHS, QUALITIES, BASE = range(1, 10)
MAX_SCALE = 22
LEVEL = 6
GRID = 4096
MOST = 2**24
"""Values of one segment."""
_KIND = "bad-segment"


class Segment(NamedTuple):
    """Values of one channel. ``times`` are Unix ms and never fall; one quality byte (`Quality`) for each.

    A value is NaN exactly where its quality is bad: a slot that brought none, with the reason. Values read later
    from the sensor's own memory stand beside those slots with quality ``BACKFILLED``.
    """

    times: "array[int]"
    values: "array[float]"
    quality: bytes

    def between(self, from_ms: int, to_ms: int) -> "Segment":
        """The part with ``from_ms`` <= time < ``to_ms``."""
        first, end = bisect_left(self.times, from_ms), bisect_left(self.times, to_ms)
        if first == 0 and end == len(self.times):
            return self
        return Segment(self.times[first:end], self.values[first:end], self.quality[first:end])


def joined(parts: Iterable[Segment]) -> Segment:
    """Several segments as one, in the one order that does not depend on how they were cut.

    Equal times are put in order by quality and then by value: the same set gives the same segment.
    """
    times, values, quality = array("q"), array("d"), bytearray()
    for part in parts:
        times += part.times
        values += part.values
        quality += part.quality
    if not _rises(times.tobytes()):
        places = sorted(
            range(len(times)), key=lambda i: (times[i], quality[i], 0.0 if quality[i] >= BAD else values[i])
        )
        times = array("q", map(times.__getitem__, places))
        values = array("d", map(values.__getitem__, places))
        quality = bytearray(map(quality.__getitem__, places))
    return Segment(times, values, bytes(quality))


@lru_cache(maxsize=8)
def _rises(raw: bytes) -> bool:
    """Whether each time is later than the one before; as `_planes` asked once for all channels of a device."""
    times = array("q", raw)
    return not any(map(ge, times, times[1:]))


def pieces(segment: Segment, length_ms: int) -> Iterator[tuple[int, Segment]]:
    """A segment cut at the multiples of ``length_ms``: number of the stretch since 1970, and what lies in it."""
    first = 0
    while first < len(segment.times):
        number = segment.times[first] // length_ms
        end = bisect_left(segment.times, (number + 1) * length_ms, first)
        yield number, Segment(segment.times[first:end], segment.values[first:end], segment.quality[first:end])
        first = end


def encode(segment: Segment, decimals: int | None, period_ms: int) -> bytes:
    """A segment as bytes; ``decimals`` are those of the channel, None for binary floating point.

    ``period_ms`` is that of its device: a hint, by which times become small numbers.
    """
    times, quality = segment.times, segment.quality
    good = segment.values
    if quality and max(quality) >= BAD:
        good = array("d", [value for value, mark in zip(good, quality, strict=True) if mark < BAD])
    counts = None if decimals is None else _counts(good, decimals)
    first, step, planes = _planes(times.tobytes(), period_ms)
    content: dict[int, object] = {
        COUNT: len(times),
        SCALE: decimals if counts is not None else None,
        FIRST_MS: first,
        STEP_MS: step,
        OFFSETS: planes,
    }
    if counts is None:
        content[VALUES] = _little(good)
    else:
        base = min(counts, default=0)
        content[BASE] = base
        content[VALUES] = typed([*(count - base for count in counts[:1]), *map(sub, counts[1:], counts[:-1])])
    if any(quality):
        runs = [(mark, sum(1 for _ in run)) for mark, run in groupby(quality)]
        content[LENGTHS] = typed([length for _, length in runs])
        content[QUALITIES] = bytes(mark for mark, _ in runs)
    return bytes([VERSION]) + zlib.compress(cbor2.dumps(content), LEVEL)


def decode(body: bytes) -> Segment:
    """The inverse of `encode`; raises `SealError` ``bad-segment`` for anything malformed."""
    if body[:1] != bytes([VERSION]):
        raise SealError(_KIND, "not a segment of version 1")
    content = cbor.loads(_inflate(body[1:]), _KIND)
    match content:
        case {
            1: int(count),
            2: (int() | None) as scale,
            3: int(first),
            4: int(step),
            5: list(planes),
            6: values,
        } if 0 <= count <= MOST and 0 <= first <= LIMIT and 0 <= step <= LIMIT:
            pass
        case _:
            raise SealError(_KIND, "not a map of count, scale, first time, step, offsets and values")
    quality = _quality(content, count)
    good = _doubles(values) if scale is None else _scaled(values, content.get(BASE), scale)
    bad = bool(quality) and max(quality) >= BAD
    if len(good) != (sum(mark < BAD for mark in quality) if bad else count):
        raise SealError(_KIND, "there are not as many values as qualities that have one")
    if bad:
        found = iter(good)
        good = array("d", [nan if mark >= BAD else next(found) for mark in quality])
    return Segment(_times(count, first, step, planes), good, quality)


def _counts(values: "array[float]", decimals: int) -> list[int] | None:
    """Values as whole multiples of 10**-decimals, None where that would not give back every bit."""
    scale = float(10**decimals)
    try:
        counts = list(map(round, map(scale.__mul__, values)))
    except (ValueError, OverflowError):
        return None
    if counts and not -LIMIT <= min(counts) <= max(counts) <= LIMIT:
        return None
    same = array("d", map(truediv, counts, repeat(scale))).tobytes() == values.tobytes()
    return counts if same else None


@lru_cache(maxsize=8)
def _planes(raw: bytes, period_ms: int) -> tuple[int, int, list[bytes]]:
    """First time and step of a grid, and how far behind it each time is: one byte string for each byte of that.

    ``raw`` are the times as `array` has them: the channels of a device share them, and so what this returns.
    """
    times = array("q", raw)
    if not times:
        return 0, 0, []
    first, step, offsets = _grid_of(times, period_ms)
    octets = _little(array("Q", offsets))
    return first, step, [octets[plane::8] for plane in range((max(offsets).bit_length() + 7) // 8)]


def _grid_of(times: "array[int]", period_ms: int) -> tuple[int, int, list[int]]:
    """The grid by which times become the smallest numbers; the device's own, unless it drifts away from that."""
    best: tuple[int, int, list[int]] | None = None
    for step in (period_ms, (times[-1] - times[0]) // max(1, len(times) - 1), 0):
        first = times[0]
        offsets = list(map(sub, times, range(first, first + len(times) * step, step) if step else repeat(first)))
        least = min(offsets)
        if first + least >= 0 and (best is None or max(offsets) - least < max(best[2])):
            best = first + least, step, [offset - least for offset in offsets]
            if max(best[2]) <= step:
                break
    if best is None:
        raise SealError(_KIND, "a time before 1970")
    return best


def _times(count: int, first: int, step: int, planes: list[Any]) -> "array[int]":
    if not all(isinstance(plane, bytes) and len(plane) == count for plane in planes) or len(planes) > 7:
        raise SealError(_KIND, "the offsets are not a byte string for each of at most seven bytes")
    if first + count * step + 256 ** len(planes) > 2**62:
        raise SealError(_KIND, "a time beyond all calendars")
    # Sums of whole arrays as long integers: no lane overflows into the next, as none is negative.
    lanes = bytearray(8 * count)
    for plane, octets in enumerate(planes):
        lanes[plane::8] = octets
    total = int.from_bytes(struct.pack("<q", first) * count, "little") + int.from_bytes(lanes, "little")
    if step:
        total += int.from_bytes(_grid(step, -(-count // GRID) * GRID)[: 8 * count], "little")
    times = array("q")
    times.frombytes(total.to_bytes(8 * count, "little"))
    if sys.byteorder == "big":
        times.byteswap()
    return times


@lru_cache(maxsize=16)
def _grid(step: int, count: int) -> bytes:
    """0, step, 2 * step ... as little-endian integers of 64 bits."""
    grid = array("q", range(0, count * step, step))
    if sys.byteorder == "big":
        grid.byteswap()
    return grid.tobytes()


def _doubles(values: object) -> "array[float]":
    if not isinstance(values, bytes) or len(values) % 8:
        raise SealError(_KIND, "the values are not doubles")
    found = array("d")
    found.frombytes(values)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _scaled(values: object, base: object, scale: int) -> "array[float]":
    if not isinstance(base, int) or abs(base) > LIMIT or not 0 <= scale <= MAX_SCALE:
        raise SealError(_KIND, "the values have no base, or too many decimals")
    divisor = float(10**scale)
    steps = untyped(values, _KIND)
    if not steps:
        return array("d")
    try:
        counts = bytes(accumulate(steps))
    except ValueError:
        # More than 256 steps of the last decimal between the lowest and the highest.
        try:
            return array("d", [count / divisor for count in accumulate(steps[1:], initial=steps[0] + base)])
        except OverflowError as error:
            raise SealError(_KIND, "a value of more than 64 bits") from error
    # Each possible double once, then looked up byte by byte of it: far faster than a number at a time.
    table = struct.pack("<256d", *[(base + count) / divisor for count in range(256)])
    lanes = bytearray(8 * len(counts))
    for plane in range(8):
        lanes[plane::8] = counts.translate(table[plane::8])
    return _doubles(bytes(lanes))


def _quality(content: dict[Any, Any], count: int) -> bytes:
    if LENGTHS not in content:
        return bytes(count)
    lengths, marks = untyped(content[LENGTHS], _KIND), content.get(QUALITIES)
    if (
        not isinstance(marks, bytes)
        or len(marks) != len(lengths)
        or min(lengths, default=1) < 1
        or sum(lengths) != count
    ):
        raise SealError(_KIND, "the runs of quality do not cover the values")
    return b"".join([bytes((mark,)) * length for mark, length in zip(marks, lengths, strict=True)])


def _little(values: "array[Any]") -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _inflate(data: bytes) -> bytes:
    opened = zlib.decompressobj()
    try:
        content = opened.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise SealError(_KIND, "not zlib") from error
    if not opened.eof or opened.unused_data:
        raise SealError(_KIND, "cut off, or longer than it may be")
    return content
