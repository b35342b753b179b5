"""Rules of plugins: what they are given, and what they may say. Part of the border to plugins: `gateway.api`.

A rule sees the judged readings of some devices, a little later than the gateway's own judges, in a thread of its
own and within a time limit. What it finds becomes an alarm of a tier that the site file states; never a critical
one, since a legal limit may depend on nothing from outside.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from gateway.api import Mistake, Reading

__all__ = ["RULES", "Finding", "Rule", "RuleHost"]

RULES = "aurora_gateway.rules"
"""Entry points of this group are rules; the name of the entry point is what ``type`` says in the site file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something is so (``active``), or is so no longer.

    ``key`` tells findings of one rule apart (``rises``): small letters, digits, hyphens. ``point`` or ``device``
    is what it is about. ``words`` say it in one sentence. To say the same twice does no harm.
    """

    key: str
    active: bool
    words: str
    point: str | None = None
    device: str | None = None
    value: float | None = None
    limit: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class RuleHost:
    """What a rule may know: its own id in the site file, the points that it is for with their channels, a log."""

    rule: str
    points: dict[str, tuple[str, str]]
    """Point to (device, channel)."""
    log: logging.Logger | logging.LoggerAdapter[logging.Logger]


class Rule:
    """Base of all rules. All methods run in the rule's own thread, one at a time."""

    title: ClassVar[str] = ""
    """A few words for lists."""
    Settings: ClassVar[type]
    """Frozen dataclass, its fields made with `gateway.api.setting`."""

    def __init__(self, settings: Any, host: RuleHost) -> None:
        self.settings = settings
        self.host = host
        self.log = host.log

    @classmethod
    def check(cls, settings: Any) -> "Iterable[Mistake]":  # noqa: ARG003 - for those that override it
        """What is wrong with settings that are right each on its own."""
        return ()

    def take(self, readings: "Sequence[Reading]") -> Iterable[Finding]:
        """Look at readings, oldest first, and say what is found. A rule that raises is begun anew."""
        raise NotImplementedError
