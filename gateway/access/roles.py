"""Roles, what each may do, and which right an order to the gateway needs."""

from enum import StrEnum

__all__ = ["Right", "Role", "right_of"]


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


class Role(StrEnum):
    """What a person is here. The order is of how much they may."""

    VIEWER = "viewer"
    QUALITY = "quality"
    ENGINEER = "engineer"
    ADMINISTRATOR = "administrator"

    @property
    def rights(self) -> frozenset[Right]:
        """All that this role may do."""
        return _RIGHTS[self]

    def may(self, right: Right) -> bool:
        """Whether this role has a right."""
        return right in _RIGHTS[self]


_HANDS_ON = frozenset({Right.LOOK, Right.HANDLE, Right.RECORD})
_RIGHTS = {
    Role.VIEWER: frozenset({Right.LOOK}),
    Role.QUALITY: _HANDS_ON,
    Role.ENGINEER: _HANDS_ON | {Right.COMMISSION},
    Role.ADMINISTRATOR: frozenset(Right),
}

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
