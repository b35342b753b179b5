"""Where one message ends and the next begins. A framer is fed bytes as they come and gives whole frames back:
however the stream is cut into pieces, the frames are the same.
"""

from typing import Protocol

__all__ = ["Framer", "LineFramer"]


class Framer(Protocol):
    """Cuts a stream into frames."""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now."""
        ...

    @property
    def pending(self) -> bytes:
        """Bytes of a frame that is not complete yet."""
        ...

    def clear(self) -> None:
        """Forget what is pending: what comes next is the start of something else."""


class LineFramer:
    """Frames that end with ``end`` and, where it is given, begin with ``start``.

    What comes before the last ``start`` of a frame is noise and is dropped. A frame without ``start``, an empty
    frame, and one longer than ``longest`` bytes (as it came) give nothing.
    """

    def __init__(self, end: bytes, start: bytes = b"", longest: int = 1024) -> None:
        if not end:
            raise ValueError("a line needs an end")
        self.end, self.start, self.longest = end, start, longest
        self._buffer = b""
        self._too_long = False

    @property
    def pending(self) -> bytes:
        """Bytes since the last end."""
        return self._buffer

    def clear(self) -> None:
        """Forget the pending bytes."""
        self._buffer, self._too_long = b"", False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without start and end."""
        *lines, rest = (self._buffer + data).split(self.end)
        frames = []
        for line in lines:
            if (frame := None if self._too_long else self._frame(line)) is not None:
                frames.append(frame)
            self._too_long = False
        # Of a line without end only so much is kept as can be the beginning of its end.
        if len(rest) > self.longest + len(self.end):
            self._too_long = True
            rest = rest[-len(self.end) :]
        self._buffer = rest
        return frames

    def _frame(self, line: bytes) -> bytes | None:
        if len(line) > self.longest:
            return None
        if self.start:
            _, found, line = line.rpartition(self.start)
            if not found:
                return None
        return line or None
