"""The log of a Xiaomi thermometer with the firmware of pvvx: means over some minutes, for a week and more.

A request counts records from the newest (number 1) backwards; each is answered by one notification, an empty one
ends. A record has the time at which it was written, by the device's own clock. That may never have been set, may be
set at any time, and after a lost battery goes on from the newest record, as if no time had passed. So it is
watched: two looks at it must agree with the gateway's clock, and a record must have been written in between. From
that one backwards, times are believed as far as they come at one pace, one record each averaging period: it breaks
where the clock stood or was set.

Source: github.com/pvvx/ATC_MiThermometer, src/logger.h (memo_blk_t), src/logger.c, src/cmd_parser.c (0x23, 0x35),
src/app_att.c (service 0x1F10). Numbers are little-endian.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.decoders.nouns import Field
from firmware_interfaces.ble.decoders.pvvx import SENSOR
from firmware_interfaces.ble.gatt.link import Link
from firmware_interfaces.ble.logs.nordic import QUIET_S
from firmware_interfaces.ble.logs.nouns import Download, Kept, NoLog
from firmware_interfaces.errors import BadFrame

__all__ = ["COMMAND", "SERVICE", "SOURCE", "PvvxLog", "Record", "request", "sort_out", "take_apart"]

SOURCE = "pvvx-log"
SERVICE, COMMAND = full_uuid(0x1F10), full_uuid(0x1F1F)
TIME, LOG = 0x23, 0x35
RECORD = struct.Struct("<BHIhHH")
END = bytes((LOG, 0, 0))
MOST = 0xFFFF
MOST_FRAMES = 21_000
"""49 sectors of 4096 bytes hold so many records of ten bytes: whoever sends more never ends."""
LONGEST_S = 900.0

DRIFT = 2048e-6
"""Largest error of the device's clock, as a share of the time: so much the firmware offers to adjust it by."""
WHOLE_MS = 2000
"""Both its times are whole seconds."""
UNEVEN_S = 2
"""How far one step may be from the pace. A lost battery shows: five seconds more, and a whole period anew."""
SHORTEST_S = 60
"""A shorter pace could be that of a device that writes as soon as it has begun anew."""
FEWEST = 3
"""Records that show a pace."""


class Record(NamedTuple):
    """One record: number from the newest, time (seconds of the device), hundredths of a degree and per cent, mV."""

    number: int
    time_s: int
    celsius: int
    humidity: int
    millivolts: int
    frame: bytes


def request(count: int) -> bytes:
    """Ask for the newest ``count`` records; none ends an answer that is under way."""
    return bytes((LOG,)) + count.to_bytes(2, "little")


def take_apart(frame: bytes) -> Record | None:
    """One notification of an answer, None for the end of it; raises `BadFrame`."""
    if frame == END:
        return None
    if len(frame) != RECORD.size or frame[0] != LOG:
        raise BadFrame(f"log record of {len(frame)} bytes, not {RECORD.size}", frame)
    _, number, time_s, celsius, humidity, millivolts = RECORD.unpack(frame)
    if not number:
        raise BadFrame("log record without a number", frame)
    return Record(number, time_s, celsius, humidity, millivolts, frame)


def sort_out(records: Sequence[Record], download: Download, now_s: int, oldest_s: float, spread_ms: int) -> None:
    """Put the records (newest first, as they came) into a download, oldest first, without what cannot be believed.

    ``now_s`` is the device's time, which may be up to ``spread_ms`` later than the request.
    """
    even: list[Record] = []
    for record in records:
        if record.number != len(even) + 1:
            break
        even.append(record)
    download.drop("out of order", len(records) - len(even))
    steps = [record.time_s - earlier.time_s for record, earlier in pairwise(even)]
    if len(even) < FEWEST:
        download.drop("too few to show a pace", len(even))
        return
    pace_s = median_low(steps[: 2 * FEWEST])
    if pace_s < SHORTEST_S:
        download.drop("too close to show a pace", len(even))
        return
    good = next((at for at, step in enumerate(steps, 1) if abs(step - pace_s) > UNEVEN_S), len(even))
    download.drop("before the clock was changed", len(even) - good)
    for record in reversed(even[:good]):
        _keep(download, record, now_s - record.time_s, oldest_s, pace_s * 1000 + spread_ms)


def _keep(download: Download, record: Record, age_s: int, oldest_s: float, spread_ms: int) -> None:
    if age_s > oldest_s:
        download.drop("earlier than asked for")
        return
    values = {}
    celsius, humidity = record.celsius / 100, record.humidity / 100
    if SENSOR["low"] <= celsius <= SENSOR["high"]:
        values["temperature"] = celsius
    if humidity <= 100:
        values["humidity"] = humidity
    if record.millivolts:
        values["battery_voltage"] = record.millivolts / 1000
    if not {"temperature", "humidity"} & values.keys():
        download.drop("no value")
        return
    age_ms = max(0, age_s) * 1000
    error_ms = round(WHOLE_MS + spread_ms + age_ms * DRIFT)
    download.kept.append(Kept(age_ms, error_ms, values, record.frame))


class PvvxLog:
    """Implements `LogReader`. Between the reads it keeps since when it knows that the device's clock runs."""

    interval_s = 600.0
    """Its own is set at the device (half an hour, as delivered): what is worth a connection."""
    fields: tuple[Field, ...] = (
        Field("temperature", "degC", 2),
        Field("humidity", "%RH", 2),
        Field("battery_voltage", "V", 3),
    )

    def __init__(self) -> None:
        self._since: tuple[int, float] | None = None
        """Time of the device, and of the gateway, at the first look of those that agree."""

    def _watch(self, now_s: int, at_s: float, spread_s: float) -> int:
        """A look at the device's clock; its time at the first of those that agree with this one."""
        if self._since is not None:
            device_s, gateway_s = self._since
            passed_s = at_s - gateway_s
            if abs(now_s - device_s - passed_s) > WHOLE_MS / 1000 + spread_s + passed_s * DRIFT:
                self._since = None
        if self._since is None:
            self._since = now_s, at_s
        return self._since[0]

    async def read(self, link: Link, oldest_s: float, clock: Callable[[], float]) -> Download:
        """See `LogReader`. A download that breaks off is given as far as it came; the clock is never set.

        Raises `NoLog` until a record was written while the clock was watched: it is to be tried again.
        """
        found = [one for one in link.all_of(COMMAND, SERVICE) if "notify" in one.flags]
        if not found:
            raise NoLog(f"{link.address} has no commands of this firmware")
        async with link.heard(found[0]) as queue:
            began = clock()
            await link.write(found[0], bytes((TIME,)))
            answer = await _next(queue, TIME)
            if answer is None or len(answer) < 5:
                raise NoLog(f"{link.address} does not tell its time")
            spread_ms = round((clock() - began) * 1000)
            now_s = int.from_bytes(answer[1:5], "little")
            since_s = self._watch(now_s, began, spread_ms / 1000)
            await link.write(found[0], request(MOST))
            download = Download(SOURCE, self.fields, began)
            records: list[Record] = []
            hashed = sha256()
            while download.frames < MOST_FRAMES and clock() - began < LONGEST_S:
                frame = await _next(queue, LOG)
                if frame is None:
                    break
                download.frames += 1
                hashed.update(frame)
                try:
                    record = take_apart(frame)
                except BadFrame:
                    download.drop("damaged")
                    continue
                if record is None:
                    download.whole = True
                    break
                if not records and record.time_s <= since_s:
                    await link.write(found[0], request(0))
                    raise NoLog(f"{link.address} has written nothing since its clock is watched")
                records.append(record)
                if now_s - record.time_s > oldest_s:
                    # The next ones are older still, or of a clock that was changed.
                    download.whole = True
                    await link.write(found[0], request(0))
                    break
        if not download.frames:
            raise NoLog(f"{link.address} sent nothing of its log")
        download.sha256 = hashed.hexdigest()
        sort_out(records, download, now_s, oldest_s, spread_ms)
        return download


async def _next(queue: "asyncio.Queue[bytes | None]", command: int) -> bytes | None:
    """The next answer to a command, None where none comes; it may notify other things as well."""
    try:
        async with asyncio.timeout(QUIET_S):
            while (frame := await queue.get()) is not None:
                if frame[:1] == bytes((command,)):
                    return frame
    except TimeoutError:
        pass
    return None
