"""A meter on an M-Bus: asked by its primary or secondary address, read by the quantities that it sends."""

from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from math import nan
from typing import NamedTuple

from firmware_interfaces.asked import Introduction
from firmware_interfaces.errors import BadFrame
from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.mbus import (
    ACK,
    SECONDARY,
    MbusFramer,
    parse_long,
    request_data,
    reset_link,
    select,
)
from firmware_interfaces.serial.mbus_records import EXTENDED, QUANTITIES, VARIABLE, Telegram, parse_telegram
from firmware_interfaces.serial.port import LineSettings

__all__ = ["METERS", "MbusChannel", "Meter", "MeterModel", "MeterReading", "secondary_address"]

TELEGRAMS = 8
"""Most telegrams that one poll asks for."""
SELECT_DIGITS = (8, 16)
REPEATED = ("voltage", "current", "power", "energy", "external_temperature")
LINE = LineSettings(2400, "E")
"""As EN 13757-2 has it for the start."""
ERROR_ANSWER = 0x70
"""Control information of an answer that reports an application error."""


class MbusChannel(NamedTuple):
    """One quantity. M-Bus sends decimal numbers of many scales: ``decimals`` None records them as they are."""

    key: str
    unit: str
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class MeterModel:
    """Meters of one kind: M-Bus describes itself, so a model is only the choice of quantities."""

    id: str
    title: str
    channels: Mapping[str, MbusChannel]
    source: str = "EN 13757-2 and EN 13757-3 (answer with variable data structure, long header)"
    maker: str = "all"
    settings: LineSettings = LINE
    listens: bool = False

    @property
    def sha256(self) -> str:
        """Of what the model says."""
        return sha256(repr((self.id, sorted(self.channels.items()), self.source)).encode()).hexdigest()


def _all() -> dict[str, MbusChannel]:
    """Every quantity, and those that a meter sends once for each phase by their number: power, power_2 ..."""
    tables = (QUANTITIES, *EXTENDED.values())
    known = {row[2]: row[3] for table in tables for row in table}
    known |= {f"{key}_{number}": known[key] for key in REPEATED for number in range(2, 5)}
    return {key: MbusChannel(key, unit) for key, unit in known.items()}


def _meter(name: str, title: str, keys: Sequence[str] = ()) -> MeterModel:
    known = _all()
    return MeterModel(name, title, {key: known[key] for key in keys or known})


METERS: Mapping[str, MeterModel] = {
    model.id: model
    for model in (
        _meter(
            "mbus-heat",
            "Heat or cooling meter on M-Bus",
            ("energy", "volume", "power", "volume_flow", "flow_temperature", "return_temperature"),
        ),
        _meter("mbus-water", "Water meter on M-Bus", ("volume",)),
        _meter("mbus-meter", "Any meter on M-Bus; choose its channels"),
    )
}


class MeterReading(NamedTuple):
    """One poll, see `firmware_interfaces.asked.Reading`; ``frames`` as they came."""

    values: "array[float]"
    quality: bytes
    frames: tuple[bytes, ...]
    slowest_s: float = 0.0
    silent: bool = False

    def raw(self) -> bytes:
        """The frames, one behind the other."""
        return b"".join(self.frames)


def secondary_address(text: str) -> bytes | None:
    """The eight bytes for `select` from 8 digits (the number on the meter) or 16 hexadecimal digits; else None."""
    if len(text) not in SELECT_DIGITS:
        return None
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw[3::-1] + (raw[4:] or b"\xff" * 4)


class Meter:
    """Asks one meter. ``identification`` selects it by its secondary address instead of ``unit``."""

    def __init__(
        self,
        line: SerialLine,
        unit: int,
        model: MeterModel,
        channels: Sequence[str] = (),
        identification: bytes | None = None,
    ) -> None:
        self.line = line
        self.unit = unit
        self.model = model
        self.channels = tuple(model.channels[key] for key in channels or model.channels)
        self.newest: Telegram | None = None
        self._identification = identification
        self._address = unit if identification is None else SECONDARY
        self._framer = MbusFramer()
        self._toggle = True
        self._begin = True

    async def probe(self, timeout_s: float) -> None:
        """Reset the link: the shortest exchange there is."""
        await self._start(timeout_s)

    async def _start(self, timeout_s: float) -> None:
        """After this the meter sends its first telegram."""
        command = reset_link(self._address) if self._identification is None else select(self._identification)
        await self._acknowledged(command, timeout_s)
        self._toggle, self._begin = True, False

    async def _acknowledged(self, command: bytes, timeout_s: float) -> None:
        await self.line.ask(
            self.unit, command, self._framer, lambda frame: True if frame == ACK else None, timeout_s
        )

    async def poll(self, timeout_s: float) -> MeterReading:
        """Ask for telegrams until all channels are found or no more follow."""
        slowest = 0.0
        frames: list[bytes] = []
        found: dict[str, tuple[float, Quality]] = {}
        encrypted = False
        if self._begin or self._identification is not None:
            await self._start(timeout_s)
        for _ in range(TELEGRAMS):
            started = self.line.time()
            frame, telegram = await self._telegram(timeout_s)
            slowest = max(slowest, self.line.time() - started)
            frames.append(frame)
            self._toggle = not self._toggle
            self.newest = telegram
            encrypted |= telegram.encrypted
            for record in telegram.records:
                if record.is_present:
                    value = nan if record.value is None else float(record.value)
                    found[_numbered(record.quantity, found)] = value, max(record.quality, telegram.header.quality)
            if not telegram.more:
                break
            # The next poll has to begin with the first telegram again.
            self._begin = True
            if all(channel.key in found for channel in self.channels):
                break
        none = nan, Quality.NOT_SUPPORTED
        wanted = [found.get(channel.key, none) for channel in self.channels]
        values = array("d", [value for value, _ in wanted])
        return MeterReading(values, bytes(quality for _, quality in wanted), tuple(frames), slowest)

    async def _telegram(self, timeout_s: float) -> tuple[bytes, Telegram]:
        return await self.line.ask(
            self.unit, request_data(self._address, self._toggle), self._framer, self._judge, timeout_s
        )

    def _judge(self, frame: bytes) -> tuple[bytes, Telegram] | None:
        """The telegram of this meter; None for our own echo, an acknowledgement, and another meter's answer."""
        answer = parse_long(frame)
        if answer is None or not answer.is_answer:
            return None
        if self._identification is None and answer.address != self.unit:
            return None
        if answer.information != VARIABLE:
            what = "reports an application error" if answer.information == ERROR_ANSWER else "another structure"
            raise BadFrame(f"{self.line} meter {self.unit}: {what}", raw=frame)
        telegram = parse_telegram(answer.data)
        if telegram is None:
            raise BadFrame(f"{self.line} meter {self.unit}: telegram without a header", raw=frame)
        if self._identification is not None and not _is(telegram.header.identification, self._identification):
            return None
        return frame, telegram

    async def introduce(self, timeout_s: float) -> AsyncIterator[Introduction]:
        """Every telegram names its meter: nothing more has to be asked."""
        if self.newest is None:
            await self.poll(timeout_s)
        if self.newest is not None:
            header = self.newest.header
            found: dict[str, object] = {
                "serial": header.serial,
                "maker": header.maker,
                "version": header.version,
                "medium": header.medium_words,
                "encrypted": self.newest.encrypted,
            }
            yield Introduction("identity", found)

    def forget_refusals(self) -> None:
        """It may be another meter: begin with its first telegram."""
        self._begin = True


def _numbered(quantity: str, found: Mapping[str, object]) -> str:
    """A quantity that is sent again (the next phase) has the next number."""
    if quantity not in found:
        return quantity
    return next(key for number in count(2) if (key := f"{quantity}_{number}") not in found)


def _is(found: bytes, wanted: bytes) -> bool:
    """Whether an identification is the one that was selected; 0xFF is a wild card."""
    return all(want in (0xFF, have) for have, want in zip(found, wanted, strict=True))
