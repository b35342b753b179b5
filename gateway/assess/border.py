"""The border of a judge: what it raises is caught here, named, and never reaches its neighbours or the storage."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

from gateway.assess.judge import Judge
from gateway.errors import StorageError
from gateway.model import ClockClaim, Condition, Event, Layout, Tier
from gateway.site import Site

__all__ = ["Border", "JudgeFactory", "Standing"]

JudgeFactory = Callable[[Site, Layout, bytes | None], Judge]
"""Makes a judge from the site, its layout and what it kept; raises `StorageError` for bytes it does not know."""

FIRST_PAUSE_MS = 1000
LONGEST_PAUSE_MS = 60_000
SOUND_MS = 60_000
"""A judge that has run for so long after a restart is in order again."""

log = logging.getLogger(__name__)


@runtime_checkable
class Standing(Protocol):
    """A judge that can say which alarms it may raise, and bring those that stand into line after a start."""

    def catalogue(self) -> Iterable[Condition]:
        """Alarms that it can raise, as inactive conditions."""

    def reconcile(self, standing: Mapping[str, Condition]) -> list[Condition]:
        """What differs between it and the alarms that stand."""

    def stopping(self) -> None:
        """The gateway ends on purpose."""


class Border:
    """One judge with its failures. ``judge`` is None while it rests after one."""

    def __init__(self, name: str, factory: JudgeFactory, site: Site, layout: Layout) -> None:
        self.name = name
        self.judge: Judge | None = None
        self.fresh = True
        """It has not been brought into line with the alarms that stand."""
        self.failures = 0
        self.kept_ms = 0
        self.kept: bytes | None = None
        """Its newest memory: what it is restarted with."""
        self.retry_ms = 0
        self._make: Callable[[bytes | None], Judge] = lambda memory: factory(site, layout, memory)
        self._pause_ms = FIRST_PAUSE_MS
        self._since_ms: int | None = None
        """When it was restarted, while that is not yet known to have helped."""
        self._told = ""

    def due(self, now_ms: int) -> bool:
        """Whether the judge wants its memory kept oftener than those of others (``keep_every_ms``), and now."""
        every_ms: int | None = getattr(self.judge, "keep_every_ms", None)
        return every_ms is not None and now_ms - self.kept_ms >= every_ms

    def start(self, memory: bytes | None, now_ms: int) -> list[Event]:
        """Make the judge; a memory that cannot be used is left, and said."""
        self.kept, self.fresh = memory, True
        try:
            self.judge = self._make(memory)
        except StorageError as error:
            log.error("%s: %s", self.name, error)
            self.kept = None
            self.judge = self._make(None)
            data = {"judge": self.name, "error": error.what, "words": f"{self.name} begins anew: {error.what}"}
            return [Event("judge.memory-lost", now_ms, data)]
        return []

    def follow(self, old: "Border", claim: ClockClaim) -> None:
        """Go on in place of ``old``, which judged by the site before: its failures and its time count."""
        self.failures = old.failures
        go_on = getattr(self.judge, "go_on", None)
        if go_on is not None and isinstance(old.judge, type(self.judge)):
            go_on(old.judge, claim)

    def failed(self, error: Exception, now_ms: int) -> list[Event | Condition]:
        """It raised: it rests, longer each time, and is made anew from what it kept last."""
        self.judge = None
        self.failures += 1
        self.retry_ms = now_ms + self._pause_ms
        self._pause_ms = min(2 * self._pause_ms, LONGEST_PAUSE_MS)
        self._since_ms = None
        why = f"{type(error).__name__}: {error}"[:500]
        if why != self._told:
            log.error("%s stopped: %s", self.name, why, exc_info=error)
        self._told = why
        words = f"{self.name} stopped of a defect ({why}) and is started again; storage goes on"
        data = {"judge": self.name, "error": why, "count": self.failures, "words": words}
        return [Event("judge.failed", now_ms, data), self.condition(now_ms, words, active=True)]

    def restart(self, now_ms: int) -> list[Event]:
        """Try again after its rest. Twice in a row without success, it begins without its memory."""
        memory = self.kept if self._pause_ms <= 4 * FIRST_PAUSE_MS else None
        events = self.start(memory, now_ms)
        self._since_ms = now_ms
        words = f"{self.name} runs again" + ("" if memory is not None else ", without what it had kept")
        return [*events, Event("judge.restarted", now_ms, {"judge": self.name, "words": words})]

    @property
    def alarm(self) -> str:
        """The alarm about this judge."""
        return f"gateway/judge-{self.name}"

    def on_probation(self, now_ms: int) -> None:
        """Its alarm stands from an earlier process: it ends once the judge has run long enough."""
        if self._since_ms is None:
            self._since_ms = now_ms

    def sound(self, now_ms: int) -> Condition | None:
        """After a restart, once it has run long enough: the end of the alarm."""
        if self._since_ms is None or now_ms - self._since_ms < SOUND_MS:
            return None
        self._since_ms, self._pause_ms, self._told = None, FIRST_PAUSE_MS, ""
        log.info("%s is in order again", self.name)
        return self.condition(now_ms, f"{self.name} is in order again", active=False)

    def condition(self, at_ms: int, words: str, *, active: bool) -> Condition:
        """Its failure as an alarm; that of the limits is as grave as what they would miss."""
        return Condition(
            alarm=self.alarm,
            active=active,
            at_ms=at_ms,
            since_ms=at_ms,
            rule=f"judge-{self.name}",
            tier=Tier.CRITICAL if self.name == "limits" else Tier.MAINTENANCE,
            words=words,
            detail={"judge": self.name, "count": self.failures},
        )
