"""The log of a Combustion probe: eight temperatures at each sample, numbered since it left its charger.

The probe has no clock. Its status names the oldest and the newest number; the session information how far apart
samples are. So a sample is (newest - number) periods old, and at most one more.

Source: github.com/combustion-inc/combustion-documentation, probe_ble_specification.rst (draft): Probe Status,
UART Messages 0x03 and 0x04. Numbers are little-endian.
"""

from binascii import crc_hqx
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from firmware_interfaces.ble.decoders.nouns import Field
from firmware_interfaces.ble.gatt.link import Link
from firmware_interfaces.ble.logs.nordic import Uart, uart
from firmware_interfaces.ble.logs.nouns import Download, Kept, NoLog
from firmware_interfaces.errors import BadFrame

__all__ = ["SOURCE", "CombustionLog", "Message", "frames_of", "request", "temperatures"]

SOURCE = "combustion-log"
STATUS = "00000101-caab-3792-3d44-97ae51c1407a"
SYNC = b"\xca\xfe"
SESSION, LOGS = 0x03, 0x04
HEADER = 7
RECORD_BYTES = 24
THERMISTORS = 8
DRIFT = 1e-4
MOST_RECORDS = 100_000
LONGEST_S = 900.0


class Message(NamedTuple):
    """One answer."""

    type: int
    success: bool
    payload: bytes
    frame: bytes


def _crc(data: bytes) -> bytes:
    """CRC-16-CCITT (polynomial 0x1021) from 0xFFFF."""
    return crc_hqx(data, 0xFFFF).to_bytes(2, "little")


def request(type_: int, payload: bytes = b"") -> bytes:
    """A request with its header."""
    body = bytes((type_, len(payload))) + payload
    return SYNC + _crc(body) + body


def frames_of(buffer: bytearray) -> Iterator[Message | BadFrame]:
    """The whole messages at the beginning of what has come, which are taken out; damaged ones as `BadFrame`."""
    while True:
        at = buffer.find(SYNC)
        if at:
            lost = bytes(buffer[:at] if at > 0 else buffer[:-1])
            if lost:
                yield BadFrame("bytes that begin no message", lost)
            del buffer[: len(lost)]
            if at < 0:
                return
        if len(buffer) < HEADER or len(buffer) < HEADER + buffer[6]:
            return
        end = HEADER + buffer[6]
        frame = bytes(buffer[:end])
        if frame[2:4] != _crc(frame[4:]):
            # What looked like a beginning may be none: the next one is looked for behind it.
            del buffer[: len(SYNC)]
            yield BadFrame("message with a wrong checksum", frame)
            continue
        del buffer[:end]
        yield Message(frame[4], frame[5] == 1, frame[HEADER:], frame)


def temperatures(data: bytes) -> dict[str, float]:
    """Thirteen bytes, 13 bits a thermistor from the lowest on, 0.05 degC each from -20 degC.

    0 is what a thermistor that does not measure reads: no value.
    """
    packed = int.from_bytes(data, "little")
    found = {}
    for index in range(THERMISTORS):
        raw = packed >> 13 * index & 0x1FFF
        if 0 < raw <= (369 + 20) * 20:
            found[f"t{index + 1}"] = (raw * 5 - 2000) / 100
    return found


class CombustionLog:
    """Implements `LogReader`."""

    interval_s = 60.0
    """Not the probe's own, which is a second or so, but what is worth a connection."""
    fields = tuple(Field(f"t{index + 1}", "degC", 2) for index in range(THERMISTORS))

    async def read(self, link: Link, oldest_s: float, clock: Callable[[], float]) -> Download:
        """See `LogReader`. A download that breaks off is given as far as it came."""
        statuses = link.all_of(STATUS)
        if not statuses:
            raise NoLog(f"{link.address} has no probe status")
        async with uart(link) as line:
            answers = _Answers(line)
            await line.send(request(SESSION))
            session = await answers.next(SESSION)
            if session is None or len(session.payload) < 6:
                raise NoLog(f"{link.address} does not tell its sample period")
            period_ms = int.from_bytes(session.payload[4:6], "little")
            began = clock()
            status = await link.read(statuses[0])
            spread_ms = round((clock() - began) * 1000)
            if len(status) < 8 or not period_ms:
                raise BadFrame("a probe status without its range of logs", status)
            oldest, newest = int.from_bytes(status[:4], "little"), int.from_bytes(status[4:8], "little")
            first = max(oldest, newest - int(oldest_s * 1000 / period_ms), newest - MOST_RECORDS, 0)
            await line.send(request(LOGS, first.to_bytes(4, "little") + newest.to_bytes(4, "little")))
            download = Download(SOURCE, self.fields, began)
            records: dict[int, bytes | None] = {}
            while clock() - began < LONGEST_S and download.frames < 2 * MOST_RECORDS:
                message = await answers.next(LOGS, download)
                if message is None:
                    break
                if not message.success:
                    raise NoLog(f"{link.address} refuses to send its log")
                if _enter(message, records, download, first, newest) == newest:
                    download.whole = True
                    break
        if not download.frames:
            raise NoLog(f"{link.address} sent nothing of its log")
        download.sha256 = answers.hashed.hexdigest()
        _sort_out(records, download, newest, period_ms, spread_ms)
        return download


class _Answers:
    """Messages out of what is notified."""

    def __init__(self, line: Uart) -> None:
        self._line = line
        self._buffer = bytearray()
        self._ready: list[Message | BadFrame] = []
        self.hashed = sha256()

    async def next(self, type_: int, download: Download | None = None) -> Message | None:
        """The next whole message of a type; None where nothing more comes."""
        while True:
            while self._ready:
                found = self._ready.pop(0)
                if isinstance(found, BadFrame):
                    if download is not None:
                        download.frames += 1
                        download.drop("damaged")
                elif found.type & 0x7F == type_:
                    if download is not None:
                        download.frames += 1
                        self.hashed.update(found.frame)
                    return found
            data = await self._line.receive()
            if data is None:
                return None
            self._buffer += data
            self._ready += frames_of(self._buffer)


def _enter(
    message: Message, records: dict[int, bytes | None], download: Download, first: int, newest: int
) -> int | None:
    """Take one record in; its number. Of two that contradict each other neither is kept (None)."""
    payload = message.payload
    if len(payload) != RECORD_BYTES:
        download.drop("damaged")
        return None
    number = int.from_bytes(payload[:4], "little")
    if not first <= number <= newest:
        download.drop("not asked for")
    elif number not in records:
        records[number] = message.frame
    elif records[number] == message.frame:
        download.drop("repeated")
    else:
        download.drop("contradicts another of its time", 1 + (records[number] is not None))
        records[number] = None
    return number


def _sort_out(
    records: dict[int, bytes | None], download: Download, newest: int, period_ms: int, spread_ms: int
) -> None:
    for number in sorted(records):
        frame = records[number]
        if frame is None:
            continue
        values = temperatures(frame[HEADER + 4 : HEADER + 17])
        if not values:
            download.drop("no value")
            continue
        age_ms = (newest - number) * period_ms
        error_ms = round(period_ms + spread_ms + age_ms * DRIFT)
        download.kept.append(Kept(age_ms, error_ms, values, frame))
