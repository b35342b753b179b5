"""The log of a RuuviTag: one measurement every five minutes, for about ten days.

A request names the present time and the first time wanted, in seconds; the tag answers with one frame for each
quantity and time, by the clock that the request gave it, and an end mark. Temperature is signed.

Source: docs.ruuvi.com, Bluetooth connection, Nordic UART Service, log read (github.com/ruuvi/docs).
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from firmware_interfaces.ble.decoders.frame import ABSOLUTE_ZERO
from firmware_interfaces.ble.decoders.nouns import Field
from firmware_interfaces.ble.gatt.link import Link
from firmware_interfaces.ble.logs.nordic import uart
from firmware_interfaces.ble.logs.nouns import Download, Kept, NoLog
from firmware_interfaces.errors import BadFrame

__all__ = ["END", "SOURCE", "Entry", "RuuviLog", "request", "sort_out", "take_apart"]

SOURCE = "ruuvi-log"
ALL = 0x3A
READ, ANSWER, FAILED = 0x11, 0x10, 0xF0
FRAME_BYTES = 11


class Quantity(NamedTuple):
    """What an endpoint sends: ``raw / divisor`` in the unit of its field, and what it can be."""

    field: Field
    divisor: int
    signed: bool
    low: float
    high: float


QUANTITIES = {
    0x30: Quantity(Field("temperature", "degC", 2), 100, True, ABSOLUTE_ZERO, 200.0),
    0x31: Quantity(Field("humidity", "%RH", 2), 100, False, 0.0, 163.83),
    0x32: Quantity(Field("pressure", "Pa", 0), 1, False, 1.0, 115_534.0),
}
"""By endpoint. The bounds are those of the formats in which the tag advertises the same quantities; the numbers
that stand for "no value" lie beyond them."""

EPOCH_S = 1_600_000_000
"""The time that the tag is told when the gateway's clock stands at 0. Any would do, for it answers by the clock
that it is given; this one has room for years on both sides."""

DRIFT = 1e-4
"""Largest error of the tag's clock, as a share of the time: a crystal of 20 ppm, with 70 more in a freezer."""
STEP_MS = 2000
"""Both clocks are whole seconds."""
MOST_FRAMES = 30_000
"""Three times what a tag has room for: whoever sends more never ends."""
LONGEST_S = 900.0


class Entry(NamedTuple):
    """One frame of the answer: which quantity, when (seconds of the tag), and the raw number."""

    endpoint: int
    time_s: int
    raw: int
    frame: bytes


END = Entry(0, 0, 0, b"")


def request(now_s: int, since_s: int) -> bytes:
    """Ask for everything from ``since_s`` on, when it is ``now_s``."""
    return bytes((ALL, ALL, READ)) + now_s.to_bytes(4, "big") + since_s.to_bytes(4, "big")


def take_apart(frame: bytes) -> Entry:
    """One frame of an answer, `END` for the end mark; raises `BadFrame`, `NoLog` for the tag's own failure."""
    if len(frame) != FRAME_BYTES:
        raise BadFrame(f"log frame of {len(frame)} bytes, not {FRAME_BYTES}", frame)
    _, source, kind = frame[:3]
    if kind == FAILED:
        raise NoLog("the tag broke off: it was asked for longer than its five minutes")
    if kind != ANSWER:
        raise BadFrame(f"log frame of type {kind:#04x}", frame)
    if frame[3:] == b"\xff" * 8:
        return END
    if source not in QUANTITIES:
        raise BadFrame(f"log frame of endpoint {source:#04x}", frame)
    quantity = QUANTITIES[source]
    return Entry(
        source,
        int.from_bytes(frame[3:7], "big"),
        int.from_bytes(frame[7:], "big", signed=quantity.signed),
        frame,
    )


def sort_out(entries: Iterable[Entry], download: Download, now_s: int, since_s: int, spread_ms: int) -> None:
    """Put the entries of an answer into a download, oldest first, without what cannot be believed.

    ``spread_ms`` is how long the request may have been under way. Left out are: times later than now (kept before
    the tag last began to count) and earlier than asked for, everything before a step back of its times (of an
    unknown clock, for the same reason), repeats, contradictions, and values that cannot be.
    """
    held: dict[int, dict[int, Entry]] = {endpoint: {} for endpoint in QUANTITIES}
    newest: dict[int, int] = {}
    for entry in entries:
        mine = held[entry.endpoint]
        before = mine.get(entry.time_s)
        if entry.time_s > now_s + 1:
            download.drop("later than now")
        elif before is not None and before.raw == entry.raw:
            download.drop("repeated")
        elif before is not None:
            # Neither of the two can be believed; the mark stays, so that a third is not, either.
            download.drop("contradicts another of its time", 1 + bool(before.frame))
            mine[entry.time_s] = entry._replace(frame=b"")
        else:
            if entry.time_s < newest.get(entry.endpoint, 0):
                download.drop("before the clock began anew", sum(bool(other.frame) for other in mine.values()))
                mine.clear()
            newest[entry.endpoint] = entry.time_s
            mine[entry.time_s] = entry
    for time_s in sorted({time_s for mine in held.values() for time_s in mine}):
        found = [mine[time_s] for mine in held.values() if time_s in mine and mine[time_s].frame]
        if time_s < since_s:
            download.drop("earlier than asked for", len(found))
        else:
            _keep(download, found, now_s - time_s, spread_ms)


def _keep(download: Download, entries: list[Entry], age_s: int, spread_ms: int) -> None:
    values = {}
    raw = b""
    for entry in entries:
        quantity = QUANTITIES[entry.endpoint]
        value = entry.raw / quantity.divisor
        if not quantity.low <= value <= quantity.high:
            download.drop("no value")
            continue
        values[quantity.field.key] = value
        raw += entry.frame
    if values:
        age_ms = max(0, age_s) * 1000
        download.kept.append(Kept(age_ms, round(STEP_MS + spread_ms + age_ms * DRIFT), values, raw))


class RuuviLog:
    """Implements `LogReader`."""

    interval_s = 300.0
    fields = tuple(quantity.field for quantity in QUANTITIES.values())

    async def read(self, link: Link, oldest_s: float, clock: Callable[[], float]) -> Download:
        """See `LogReader`. A download that breaks off is given as far as it came."""
        now_s = EPOCH_S + int(clock())
        since_s = now_s - int(oldest_s)
        entries: list[Entry] = []
        hashed = sha256()
        async with uart(link) as line:
            began = clock()
            await line.send(request(now_s, since_s))
            # Notified frames wait in the queue meanwhile: the tag had the request at some time in between.
            spread_ms = round((clock() - began) * 1000)
            download = Download(SOURCE, self.fields, began)
            while download.frames < MOST_FRAMES and clock() - began < LONGEST_S:
                frame = await line.receive()
                if frame is None:
                    break
                download.frames += 1
                hashed.update(frame)
                try:
                    entry = take_apart(frame)
                except BadFrame:
                    download.drop("damaged")
                    continue
                except NoLog:
                    break
                if entry is END:
                    download.whole = True
                    break
                entries.append(entry)
        if not download.frames:
            raise NoLog(f"{link.address} sent nothing of its log")
        download.sha256 = hashed.hexdigest()
        sort_out(entries, download, now_s, since_s, spread_ms)
        return download
