"""From what lies in the queue to a notice for a plugin: names, times, lateness, words."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from random import Random
from typing import Any

from gateway.api import Notice
from gateway.model import ClockClaim, Event
from gateway.notify.desk import Desk
from gateway.notify.facts import Facts
from gateway.notify.store import Row
from gateway.notify.words import dressed
from gateway.site import Identity, OutputSpec

__all__ = ["Office", "Writer", "age_s", "elapsed_s", "masked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What all lanes share.

    ``names`` are those of the points by id, ``db`` runs a function of the store (its first argument) in the store's
    thread. ``idle_s`` is how often what stands is shown again, ``probe_s`` after how long a silence an output is
    tried, ``rest_s`` the first rest of one that failed.
    """

    identity: Identity
    names: dict[str, str]
    zone: tzinfo
    link: str
    clock: Callable[[], ClockClaim]
    db: Callable[..., Awaitable[Any]]
    desk: Desk
    event: Callable[[Event], None]
    random: Random
    idle_s: float = 60.0
    probe_s: float = 900.0
    rest_s: float = 5.0


class Writer:
    """Makes the notices of one output."""

    def __init__(self, spec: OutputSpec, office: Office) -> None:
        self._spec = spec
        self._office = office

    def key(self, key: str) -> str:
        """A notice's key as the world sees it: the same for the same notice of this gateway, and a plain word."""
        return hashlib.sha256(f"{self._office.identity.urn} {key}".encode()).hexdigest()[:32]

    def of_row(self, row: Row, claim: ClockClaim, also: Sequence[Notice] = ()) -> Notice:
        """A notice from the queue, with others that it stands for."""
        old_s = age_s(row, claim)
        return dressed(
            row.facts.timed(claim).notice(
                key=self.key(row.key),
                transition=row.transition,
                recipient=row.recipient,
                name=self._name(row.facts),
                late_s=round(old_s, 3) if old_s > self._spec.late_s else 0.0,
                sent_utc_ms=claim.utc_ms,
                **self._common(),
            ),
            self._office.zone,
            also,
        )

    def of_standing(self, facts: Facts, claim: ClockClaim) -> Notice:
        """How an alarm stands; without a time of sending, because it is the same until it changes."""
        return dressed(
            facts.timed(claim).notice(
                key=self.key(f"{facts.alarm} {facts.epoch}.{facts.occurrence}"),
                transition="state",
                name=self._name(facts),
                **self._common(),
            ),
            self._office.zone,
        )

    def bare(self, transition: str, recipient: str, claim: ClockClaim) -> Notice:
        """A test, or a sign of life: a notice of no alarm."""
        key = self.key(f"{transition} {claim.boot.hex()} {claim.boot_ms} {self._spec.id} {recipient}")
        notice = Notice(
            key=key, transition=transition, recipient=recipient, sent_utc_ms=claim.utc_ms, **self._common()
        )
        return dressed(notice, self._office.zone)

    def _name(self, facts: Facts) -> str:
        return self._office.names.get(facts.point, facts.point)

    def _common(self) -> dict[str, Any]:
        office = self._office
        return {
            "member": office.identity.member,
            "site": office.identity.site,
            "gateway": office.identity.gateway,
            "link": office.link,
            "language": self._spec.language,
        }


def age_s(row: Row, claim: ClockClaim) -> float:
    """Seconds since a notice was accepted; over a restart of the machine without a clock, what is certain of it."""
    if row.boot == claim.boot:
        return max(0, claim.boot_ms - row.accepted_ms) / 1000
    if row.accepted_utc_ms is not None and claim.utc_ms is not None:
        return max(0, claim.utc_ms - row.accepted_utc_ms) / 1000
    return claim.boot_ms / 1000


def elapsed_s(moment: str | None, claim: ClockClaim, unknown_s: float) -> float:
    """Seconds since a remembered moment; ``unknown_s`` where that cannot be told."""
    if moment is None:
        return unknown_s
    boot, boot_ms, utc_ms = json.loads(moment)
    if boot == claim.boot.hex():
        return (claim.boot_ms - float(boot_ms)) / 1000
    if utc_ms is not None and claim.utc_ms is not None:
        return (claim.utc_ms - float(utc_ms)) / 1000
    return unknown_s


def masked(recipient: str) -> str:
    """A recipient as the record shows it for ever: enough to know who was meant, too little to write to."""
    name, at, domain = recipient.partition("@")
    if at:
        return f"{name[:1]}...@{domain}"
    return recipient if len(recipient) < 8 else f"{recipient[:3]}...{recipient[-3:]}"
