"""What a bus that is asked and a device on it must offer to be polled, whatever is spoken there.

A `Line` carries one request at a time; an `AskedDevice` turns one poll of it into a `Reading`. Modbus, serial
instruments and the kernel's sensor files all look like this to the one who keeps the schedule.
"""

from array import array
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

__all__ = ["RING", "AskedDevice", "ChannelFacts", "Frame", "Introduction", "Line", "LinkStats", "Model", "Reading"]

RING = 64
"""Frames kept for the field engineer."""


class Frame(NamedTuple):
    """One frame as it was on the line; ``at`` is the event loop's time in seconds."""

    at: float
    sent: bool
    data: bytes


@dataclass(slots=True)
class LinkStats:
    """Counters of one connection since the start of the process."""

    connects: int = 0
    requests: int = 0
    answers: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    exceptions: int = 0
    late_answers: int = 0
    stray_frames: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


class ChannelFacts(Protocol):
    """One quantity of a model. ``decimals`` are the places that the device delivers, None for binary floats."""

    @property
    def key(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def decimals(self) -> int | None: ...


class Model(Protocol):
    """A make of device. ``sha256`` is of what the model says, in hexadecimal: what a value was read by."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def channels(self) -> Mapping[str, ChannelFacts]: ...


class Reading(Protocol):
    """What one poll brought: a double and a `Quality` byte per channel of the device, in its order.

    A value is NaN exactly where its quality is bad. ``slowest_s`` is the longest that one of the poll's requests
    took, ``silent`` tells that the device stopped answering before the end.
    """

    @property
    def values(self) -> "array[float]": ...
    @property
    def quality(self) -> bytes: ...
    @property
    def slowest_s(self) -> float: ...
    @property
    def silent(self) -> bool: ...

    def raw(self) -> bytes:
        """The bytes from the bus, for the record of a bad value."""
        ...


class Introduction(NamedTuple):
    """What a device says of itself on first contact: who it is (``identity``) or how it is set up (``audit``).

    ``found`` holds what was read by name, None for what the device does not have; ``unexpected`` the settings that
    are not what its model needs, with what that is.
    """

    kind: Literal["identity", "audit"]
    found: Mapping[str, object]
    unexpected: Mapping[str, object] = {}


LateAnswer: TypeAlias = Callable[[int, float], None]
"""Called with the unit and the seconds since its request when an answer comes after the time limit."""


class Line(Protocol):
    """A bus with one request on it at a time. `open` raises `NotConnected`."""

    on_late: LateAnswer | None

    @property
    def kind(self) -> str:
        """How it is called in the record."""
        ...

    @property
    def longest_retry_s(self) -> float:
        """The longest pause between two attempts to connect."""
        ...

    @property
    def connected(self) -> bool:
        """Whether a request can be sent now."""
        ...

    @property
    def stats(self) -> LinkStats:
        """Its counters."""
        ...

    @property
    def frames(self) -> list[Frame]:
        """The last frames, oldest first."""
        ...

    async def open(self, timeout_s: float) -> None:
        """Connect."""

    def close(self) -> None:
        """Let go; a pending request fails with `NotConnected`."""

    def ready_at(self, unit: int) -> float:
        """Loop time from which ``unit`` may be asked again without risk of taking a late answer."""
        ...


class AskedDevice(Protocol):
    """One device on a `Line`. ``unit`` tells devices of a line apart, 0 where there can be one only."""

    @property
    def unit(self) -> int: ...
    @property
    def model(self) -> Model: ...
    @property
    def channels(self) -> Sequence[ChannelFacts]:
        """Those that a poll reads, in the order of its values."""
        ...

    async def probe(self, timeout_s: float) -> None:
        """The cheapest sign of life. Raises a `BusError` when there is none."""

    async def poll(self, timeout_s: float) -> Reading:
        """Read all channels once; each request may take ``timeout_s``. A `BusError` when nothing was learned."""
        ...

    def introduce(self, timeout_s: float) -> AsyncIterator[Introduction]:
        """Ask who it is and how it is set up; a `BusError` ends the attempt. Nothing where it cannot say."""
        ...

    def forget_refusals(self) -> None:
        """It may have been exchanged: what it would not answer may be asked again."""
