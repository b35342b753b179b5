"""What a download brings: measurements with their age and its error, and why any were left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from firmware_interfaces.ble.decoders.nouns import Field
from firmware_interfaces.ble.gatt.link import Link
from firmware_interfaces.errors import BusError
from firmware_interfaces.quality import Quality

__all__ = ["Download", "Kept", "LogReader", "NoLog"]


class NoLog(BusError):  # noqa: N818 - named for what there is not
    """The sensor has no memory that can be read, or broke off before it had sent any of it."""

    quality = Quality.NOT_SUPPORTED


@dataclass(frozen=True, slots=True)
class Kept:
    """One measurement: how long before the request it was made, how wrong that may be, and values by channel.

    ``raw`` are the frames that say it.
    """

    age_ms: int
    error_ms: int
    values: Mapping[str, float]
    raw: bytes


@dataclass(slots=True)
class Download:
    """All that came, oldest first. ``asked_at`` is the time of the request (seconds of the loop's clock).

    ``whole`` says that the sensor said that this was all; ``dropped`` counts frames left out by reason.
    """

    source: str
    fields: tuple[Field, ...]
    asked_at: float
    kept: list[Kept] = field(default_factory=list)
    whole: bool = False
    frames: int = 0
    sha256: str = ""
    """Of all frames, one after the other, as they came."""
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int = 1) -> None:
        """Leave frames out."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


class LogReader(Protocol):
    """Reads the memory of one make. ``interval_s`` is how often it keeps a measurement."""

    interval_s: float
    fields: tuple[Field, ...]

    async def read(self, link: Link, oldest_s: float, clock: Callable[[], float]) -> Download:
        """What it has kept since ``oldest_s`` seconds ago; raises `BusError`."""
