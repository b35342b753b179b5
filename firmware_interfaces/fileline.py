"""A bus whose devices are kernel files, and what a poll of one brings; see `firmware_interfaces.asked`."""

import asyncio
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import nan
from typing import NamedTuple, TypeVar

from firmware_interfaces.asked import RING, Frame, LateAnswer, LinkStats
from firmware_interfaces.errors import BadFrame, BusError, NoAnswer, NotConnected
from firmware_interfaces.filethread import FileThread
from firmware_interfaces.quality import Quality

__all__ = ["FileChannel", "FileLine", "FileModel", "FileReading", "Found"]

T = TypeVar("T")


class FileChannel(NamedTuple):
    """One quantity: its unit and the decimal places that it is recorded with."""

    key: str
    unit: str
    decimals: int | None
    title: str = ""


@dataclass(frozen=True, slots=True)
class FileModel:
    """A make of sensor behind kernel files. ``how`` is all that decides what a file's content becomes."""

    id: str
    title: str
    source: str
    channels: Mapping[str, FileChannel]
    how: str = ""

    @property
    def sha256(self) -> str:
        """Of what the model says, in hexadecimal."""
        text = repr((self.id, sorted(self.channels.items()), self.source, self.how))
        return sha256(text.encode()).hexdigest()


class Found(NamedTuple):
    """What one channel came to: no value exactly where the quality is bad."""

    value: float | None
    quality: Quality
    words: str = ""


@dataclass(frozen=True, slots=True)
class FileReading:
    """One poll: a value and a quality for each channel, and what the kernel's files held."""

    values: "array[float]"
    quality: bytes
    slowest_s: float
    said: bytes
    silent: bool = False

    @classmethod
    def of(cls, found: Sequence[Found], said: bytes, slowest_s: float) -> "FileReading":
        """From what was found for each channel, in order."""
        values = array("d", [nan if one.value is None else one.value for one in found])
        return cls(values, bytes(one.quality for one in found), slowest_s, said)

    def raw(self) -> bytes:
        """What the kernel's files held, as text or as the sensor's bytes."""
        return self.said


@dataclass(slots=True, eq=False)
class FileLine:
    """The files of one bus, read one at a time on a thread. ``look`` raises `NotConnected` where there is none."""

    kind: str
    name: str
    look: Callable[[], None]
    longest_retry_s: float = 5.0
    on_late: LateAnswer | None = None
    stats: LinkStats = field(default_factory=LinkStats)
    connected: bool = False
    _frames: deque[Frame] = field(default_factory=lambda: deque(maxlen=RING))
    _thread: FileThread | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def frames(self) -> list[Frame]:
        """What was asked and what came, oldest first."""
        return list(self._frames)

    async def open(self, timeout_s: float) -> None:
        """See whether the bus is there. Raises `NotConnected`."""
        self._thread = self._thread or FileThread(self.name)
        try:
            await self._thread.do(self.look, timeout_s)
        except NotConnected:
            raise
        except BusError as error:
            raise NotConnected(f"{self.name}: {error}") from error
        self.connected = True
        self.stats.connects += 1

    def close(self) -> None:
        """Let go of it."""
        self.connected = False
        if self._thread is not None and not self._thread.stuck:
            self._thread.close()
            self._thread = None

    def ready_at(self, unit: int) -> float:  # noqa: ARG002 - an answer here always belongs to its question
        """At once."""
        return 0.0

    async def ask(self, what: str, work: Callable[[], T], limit_s: float) -> T:
        """What ``work`` returns, run on the thread. Raises `BusError`; a bus that is gone is not connected then."""
        if not self.connected or self._thread is None:
            raise NotConnected(f"{self.name}: not connected")
        loop = asyncio.get_running_loop()
        self.stats.requests += 1
        self._frames.append(Frame(loop.time(), True, what.encode()))
        try:
            answer = await self._thread.do(work, limit_s)
        except NotConnected:
            self.connected = False
            raise
        except NoAnswer:
            self.stats.timeouts += 1
            raise
        except BadFrame as error:
            self.stats.bad_frames += 1
            self._frames.append(Frame(loop.time(), False, error.raw))
            raise
        except BusError:
            self.stats.exceptions += 1
            raise
        self.stats.answers += 1
        return answer

    def heard(self, at: float, data: bytes) -> None:
        """Keep what came for the field engineer."""
        self.stats.bytes_received += len(data)
        self._frames.append(Frame(at, False, data))
