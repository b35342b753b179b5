"""Roles, what each may do, and which right an order to the gateway needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["GATEWAY", "Rank", "Ranks", "Right", "Role", "right_of"]

HOUR_MS = 3_600_000


class Right(StrEnum):
    """What a person may be allowed to do."""

    LOOK = "look"
    HANDLE = "handle"
    """Acknowledge, explain, shelve, declare a state: what the signed record keeps with a name."""
    RECORD = "record"
    """Lots, verifications, calibrations, notes, reports."""
    COMMISSION = "commission"
    """Change what is measured and judged; write to a device."""
    ADMINISTER = "administer"
    """People, tokens, first keys."""


class Rank(StrEnum):
    """What somebody is in a house: at a gateway a `Role`; another house has ranks of its own."""

    @property
    def rights(self) -> frozenset[Right]:
        """All that this rank may do."""
        raise NotImplementedError

    def may(self, right: Right) -> bool:
        """Whether this rank has a right."""
        return right in self.rights


class Role(Rank):
    """What a person is at a gateway. The order is of how much they may."""

    VIEWER = "viewer"
    QUALITY = "quality"
    ENGINEER = "engineer"
    ADMINISTRATOR = "administrator"

    @property
    def rights(self) -> frozenset[Right]:
        """All that this role may do."""
        return _RIGHTS[self]


_HANDS_ON = frozenset({Right.LOOK, Right.HANDLE, Right.RECORD})
_RIGHTS = {
    Role.VIEWER: frozenset({Right.LOOK}),
    Role.QUALITY: _HANDS_ON,
    Role.ENGINEER: _HANDS_ON | {Right.COMMISSION},
    Role.ADMINISTRATOR: frozenset(Right),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The order of a house: which ranks there are, and what follows from being one."""

    kind: type[Rank]
    first: Rank
    """Who lets others in; the first code makes one."""
    first_by: str
    """How the first one came in, in words."""
    shared: Rank | None
    """What a device is that several people use; None where there are no such devices."""
    idle_ms: Mapping[Rank, int]
    """A session that nothing was asked of for so long is over."""
    bound: frozenset[Rank] = frozenset()
    """Ranks that see one part of the house alone: who has one has a ``scope`` with its name."""


GATEWAY = Ranks(
    kind=Role,
    first=Role.ADMINISTRATOR,
    first_by="the code on the label",
    shared=Role.VIEWER,
    idle_ms={
        Role.VIEWER: 720 * HOUR_MS,
        Role.QUALITY: 24 * HOUR_MS,
        Role.ENGINEER: 12 * HOUR_MS,
        Role.ADMINISTRATOR: 12 * HOUR_MS,
    },
)

_ORDERS = {
    "alarm.list": Right.LOOK,
    "alarm.show": Right.LOOK,
    "alarm.history": Right.LOOK,
    "point": Right.LOOK,
    "report.list": Right.LOOK,
    "report": Right.RECORD,
    "alarm": Right.HANDLE,
    "state": Right.HANDLE,
    "people": Right.ADMINISTER,
    "record.list": Right.LOOK,
    "record": Right.RECORD,
    "lot": Right.RECORD,
    "notify.list": Right.LOOK,
    "diagnose": Right.COMMISSION,
}
"""By the whole name of an order, or by the part before its first dot. What stands in neither way is for those who
may commission: an order that nobody thought of here is not for everybody."""


def right_of(order: str) -> Right:
    """The right that an order of the control socket needs when a person gives it over the network."""
    return _ORDERS.get(order) or _ORDERS.get(order.partition(".")[0]) or Right.COMMISSION
