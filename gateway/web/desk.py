"""What the pages may ask of the gateway: the one border between them and the stations."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from gateway.access import Door
from gateway.access.register import Register
from gateway.language import Language

__all__ = ["Desk"]


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
    status: Callable[[Language], dict[str, Any]]
    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    ask: Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
    names: frozenset[str]
    gateway: str
    language: str = "en"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    open_view: bool = False
