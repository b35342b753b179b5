"""A GNSS receiver that is heard: every sentence on its own becomes values, a fault, or nothing."""

from collections.abc import Callable, Sequence
from datetime import datetime

from firmware_interfaces.serial.framing import LineFramer
from firmware_interfaces.serial.nmea import CHANNELS, parse, position, sentence_framer, utc

__all__ = ["HeardReceiver"]


class HeardReceiver:
    """Hands on position and motion; tells ``on_time`` of every time that the receiver vouches for."""

    start = b""

    def __init__(self, channels: Sequence[str] = (), on_time: Callable[[datetime], None] | None = None) -> None:
        self.channels = tuple(CHANNELS[key] for key in channels or CHANNELS)
        self._keys = frozenset(channel.key for channel in self.channels)
        self._on_time = on_time

    def framer(self) -> LineFramer:
        """Cuts what it sends."""
        return sentence_framer()

    def hear(self, frame: bytes) -> dict[str, tuple[float, int]] | str | None:
        """Value and quality by channel; words for a damaged sentence; None for one that says nothing of ours."""
        sentence = parse(frame)
        if sentence is None:
            return "a sentence without a right checksum"
        if self._on_time is not None and (time := utc(sentence)) is not None:
            self._on_time(time)
        found = position(sentence)
        mine = {key: value for key, value in (found or {}).items() if key in self._keys}
        return mine or None
