"""M-Bus frames of the link layer (EN 13757-2): what is sent to a meter, and how answers are found in a stream."""

from typing import NamedTuple

__all__ = [
    "ACK",
    "SECONDARY",
    "LongFrame",
    "MbusFramer",
    "long_frame",
    "parse_long",
    "request_data",
    "reset_link",
    "select",
]

ACK = b"\xe5"
START_SHORT, START_LONG, STOP = 0x10, 0x68, 0x16
SND_NKE, SND_UD, REQ_UD2 = 0x40, 0x53, 0x5B
FCB = 0x20
SELECT = 0x52
SECONDARY = 253
"""Address of the meter that was selected by its identification."""
RSP_UD = 0x08
ACD_DFC = 0x30
"""Bits of an answer's control field that say nothing of its kind."""


class LongFrame(NamedTuple):
    """Control, address and control information of a long frame, and the data behind them."""

    control: int
    address: int
    information: int
    data: bytes

    @property
    def is_answer(self) -> bool:
        """Whether it is RSP_UD, the answer to a request for data."""
        return self.control & ~ACD_DFC == RSP_UD


def _short(control: int, address: int) -> bytes:
    return bytes((START_SHORT, control, address, (control + address) & 0xFF, STOP))


def long_frame(control: int, address: int, information: int, data: bytes) -> bytes:
    """A long frame with its checksum."""
    body = bytes((control, address, information)) + data
    return bytes((START_LONG, len(body), len(body), START_LONG)) + body + bytes((sum(body) & 0xFF, STOP))


def reset_link(address: int) -> bytes:
    """SND_NKE: the meter answers with `ACK` and begins again with its first telegram."""
    return _short(SND_NKE, address)


def request_data(address: int, toggle: bool) -> bytes:
    """REQ_UD2 with the frame count bit: unchanged it asks for the same telegram again."""
    return _short(REQ_UD2 | (FCB if toggle else 0), address)


def select(identification: bytes) -> bytes:
    """Select by secondary address: identification (4 bytes, BCD, lowest first), maker (2), version, medium; 0xFF
    and BCD F are wild cards.
    """
    return long_frame(SND_UD, SECONDARY, SELECT, identification)


def parse_long(frame: bytes) -> LongFrame | None:
    """A long frame that `MbusFramer` found; None for any other frame."""
    if frame[:1] != bytes((START_LONG,)):
        return None
    return LongFrame(frame[4], frame[5], frame[6], frame[7:-2])


class MbusFramer:
    """Finds frames whose length, checksum and stop byte are right; every other byte is noise."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def pending(self) -> bytes:
        """What could still become a frame."""
        return self._buffer

    def clear(self) -> None:
        """Forget it."""
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now: one byte, five, or a long one."""
        buffer = self._buffer + data
        frames = []
        at = 0
        while at < len(buffer):
            length = _length(buffer, at)
            if length is None:
                break
            if length:
                frames.append(buffer[at : at + length])
            at += length or 1
        self._buffer = buffer[at:]
        return frames


def _length(buffer: bytes, at: int) -> int | None:
    """Length of the sound frame that starts at ``at``; 0 where none does, None while that cannot be told."""
    left = len(buffer) - at
    first = buffer[at]
    if first == ACK[0]:
        return 1
    if first == START_SHORT:
        if left < 5:
            return None
        return 5 if buffer[at + 3] == sum(buffer[at + 1 : at + 3]) & 0xFF and buffer[at + 4] == STOP else 0
    if first != START_LONG:
        return 0
    if left < 4:
        return None
    size = buffer[at + 1]
    if size < 3 or buffer[at + 2] != size or buffer[at + 3] != START_LONG:
        return 0
    if left < size + 6:
        return None
    body = buffer[at + 4 : at + 4 + size]
    return size + 6 if buffer[at + 4 + size] == sum(body) & 0xFF and buffer[at + 5 + size] == STOP else 0
