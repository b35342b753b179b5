"""What the pages may ask of the gateway: the one border between them and the stations."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from gateway.access import Door
from gateway.access.register import Register
from gateway.language import Language

__all__ = ["GAP", "NOTHING", "VALUE", "Desk", "Trend"]

NOTHING: Final = 0
"""Of this step nothing is known."""
VALUE: Final = 1
GAP: Final = 2
"""There should have been values in this step, and there were none."""


class Trend(NamedTuple):
    """The last hours of a point in equal steps, oldest first: lowest and highest value (NaN where there is none),
    and what each step has. ``version`` changes when the picture does.
    """

    version: int
    step_ms: int
    low: Sequence[float]
    high: Sequence[float]
    marks: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One gateway's. ``status`` returns the present state as plain data in a language, ``metrics`` the exposition
    text and its content type.

    ``ask`` carries out an order by its name, as the control socket does, and returns plain data; it raises
    `AuroraError` to refuse. ``names`` are the host names the page may be asked for under, besides any IP address.
    With ``open_view`` anyone who reaches the page may look; to do something takes a person in any case.
    """

    door: Door
    register: Register
    ask: Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
    names: frozenset[str]
    gateway: str
    language: str = "en"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    open_view: bool = False
    status: Callable[[Language], dict[str, Any]] = lambda _: {}
    metrics: Callable[[], Awaitable[tuple[bytes, str]]] | None = None
    waiting: Callable[[], int] = lambda: 0
    """How many alarms wait for a person."""
    trend: Callable[[str], Trend | None] = lambda _: None
    """The last hours of a point, by its id."""
    export: Callable[[str, int, int], Iterator[bytes]] = lambda *_: iter(())
    """The readings of a point from one time to another (Unix ms) as CSV, piece by piece; reads in a thread."""
    printed: Callable[[str], Path | None] = lambda _: None
    """The file of a report that has been made, by its number."""
