"""One finding: what was looked at, how it stands, what that means, and what to do."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

__all__ = ["STATES", "Fact", "State", "as_data", "bad", "care", "good", "sheltered", "unknown", "worst"]

log = logging.getLogger(__name__)

State = Literal["good", "care", "bad", "unknown"]
STATES: Final[Sequence[State]] = ("good", "unknown", "care", "bad")
"""From the lightest to the gravest. What cannot be known on this machine is no warning."""


@dataclass(frozen=True, slots=True)
class Fact:
    """``id`` is a short stable name for scripts and metrics, ``remedy`` is empty where nothing is to be done."""

    id: str
    name: str
    state: State
    words: str
    remedy: str = ""


def good(check: str, name: str, words: str) -> Fact:
    """As it should be."""
    return Fact(check, name, "good", words)


def care(check: str, name: str, words: str, remedy: str) -> Fact:
    """Works, and will not for ever."""
    return Fact(check, name, "care", words, remedy)


def bad(check: str, name: str, words: str, remedy: str) -> Fact:
    """Does not work, or values are at risk now."""
    return Fact(check, name, "bad", words, remedy)


def unknown(check: str, name: str, words: str, remedy: str = "") -> Fact:
    """Cannot be known here."""
    return Fact(check, name, "unknown", words, remedy)


def sheltered(name: str, check: Callable[[], Fact | Iterable[Fact]]) -> list[Fact]:
    """What a check finds; one that fails of a defect of its own is a finding, and the others go on."""
    try:
        found = check()
        return [found] if isinstance(found, Fact) else list(found)
    except Exception as error:
        log.debug("check %s failed", name, exc_info=True)
        return [unknown(name, name, f"the check failed by a defect of its own ({error!r})", "report it")]


def worst(facts: Iterable[Fact]) -> State:
    """The gravest state among facts."""
    return max((fact.state for fact in facts), key=STATES.index, default="good")


def as_data(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """Plain data, ready for JSON."""
    return [asdict(fact) for fact in facts]
