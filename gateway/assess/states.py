"""Declared states of points: start-up, defrost, cleaning, loading. What a profile allows rests, for a while."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from gateway.assess.bootline import Move, moved_time
from gateway.assess.entry import Hold
from gateway.assess.sentences import duration
from gateway.errors import OperatorError
from gateway.model import Event
from gateway.profile import Allowance
from gateway.site import Site

__all__ = ["DeclaredState", "DeclaredStates"]


@dataclass(slots=True)
class DeclaredState:
    """One state of one point; it is over at the end of ``hold``."""

    point: str
    kind: str
    hold: Hold
    rules: tuple[str, ...]

    def event(self, kind: str, at_ms: int, words: str, person: str | None, text: str | None) -> Event:
        """Its beginning or end in the record."""
        data = {
            "point": self.point,
            "kind": self.kind,
            "person": person,
            "text": text,
            "until_ms": self.hold.until_ms,
            "rules": list(self.rules),
            "words": words,
        }
        return Event(kind, at_ms, data)


class DeclaredStates:
    """The states that are declared now, and when each was declared last."""

    def __init__(self, site: Site) -> None:
        self._allowed: dict[str, Mapping[str, Allowance]] = {
            point.id: point.profile.states if point.profile is not None else {} for point in site.points
        }
        self._now: dict[tuple[str, str], DeclaredState] = {}
        self._last_ms: dict[tuple[str, str], int] = {}

    @property
    def any(self) -> bool:
        """Whether a state is declared now."""
        return bool(self._now)

    @property
    def next_end_ms(self) -> float:
        """When the first of them is over."""
        return min((state.hold.until_ms or 0 for state in self._now.values()), default=inf)

    @property
    def declared(self) -> list[DeclaredState]:
        """The states that are declared now."""
        return list(self._now.values())

    def declare(self, point: str, kind: str, for_s: float, at_ms: int) -> DeclaredState:
        """Begin a state; raises `OperatorError` for what the point's profile does not allow."""
        if point not in self._allowed:
            raise OperatorError(f"there is no point {point!r}", f"name one of: {', '.join(sorted(self._allowed))}")
        allowance = self._allowed[point].get(kind)
        if allowance is None:
            known = ", ".join(self._allowed[point]) or "none"
            raise OperatorError(f"the profile of {point} allows no {kind!r}", f"it allows: {known}")
        if (point, kind) in self._now:
            raise OperatorError(f"{kind} of {point} is declared already", "end it first")
        if not 0 < for_s <= allowance.longest_s:
            longest = duration(allowance.longest_s * 1000)
            raise OperatorError(f"{kind} of {point} may not last {for_s:g} s", f"give a time up to {longest}")
        last_ms = self._last_ms.get((point, kind))
        if last_ms is not None and at_ms - last_ms < allowance.every_s * 1000:
            wait = duration(allowance.every_s * 1000 - (at_ms - last_ms))
            raise OperatorError(f"{kind} of {point} was declared a short while ago", f"it may be again in {wait}")
        state = DeclaredState(point, kind, Hold(at_ms, round(for_s * 1000)), allowance.rules)
        self._now[point, kind] = state
        self._last_ms[point, kind] = at_ms
        return state

    def end(self, point: str, kind: str) -> DeclaredState:
        """End a state; raises `OperatorError` where it is not declared."""
        state = self._now.pop((point, kind), None)
        if state is None:
            known = ", ".join(f"{kind} of {point}" for point, kind in self._now) or "none"
            raise OperatorError(f"{kind!r} of {point!r} is not declared", f"declared are: {known}")
        return state

    def over(self, now_ms: int) -> list[DeclaredState]:
        """States whose time is up."""
        return [state for state in self._now.values() if state.hold.over(now_ms)] if self._now else []

    def hold(self, point: str, rule: str) -> Hold | None:
        """What holds back a rule of a point now: of several states the one that lasts longest."""
        holds = [state.hold for state in self._now.values() if state.point == point and rule in state.rules]
        return max(holds, key=lambda hold: hold.until_ms or 0, default=None)

    def move(self, move: Move) -> None:
        """Move all times: the boot clock began anew, or the time off has become known."""
        for state in self._now.values():
            state.hold = state.hold._replace(at_ms=moved_time(move, state.hold.at_ms))
        self._last_ms = {key: moved_time(move, at_ms) for key, at_ms in self._last_ms.items()}

    def save(self) -> dict[str, Any]:
        """Plain data for a restart."""
        now = [[s.point, s.kind, s.hold.at_ms, s.hold.for_ms, list(s.rules)] for s in self._now.values()]
        return {"now": now, "last": [[*key, at_ms] for key, at_ms in self._last_ms.items()]}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take back what `save` gave; a point or a state that is no longer allowed ends."""
        for point, kind, at_ms, for_ms, rules in saved["now"]:
            if kind in self._allowed.get(point, ()):
                hold = Hold(int(at_ms), int(for_ms))
                self._now[point, kind] = DeclaredState(point, kind, hold, tuple(str(rule) for rule in rules))
        self._last_ms = {(str(point), str(kind)): int(at_ms) for point, kind, at_ms in saved["last"]}
