"""What to do about an alarm: actions of the profile in force, or of its kind, with the law or practice behind."""

import asyncio
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.control import Handler
from gateway.errors import OperatorError
from gateway.onsite import Onsite, fields_of
from gateway.profile import Profile

__all__ = ["Desk", "corrective"]

Request = Mapping[str, Any]


@cache
def corrective() -> Mapping[str, Any]:
    """The file `corrective.toml`."""
    return tomllib.loads(files(__package__).joinpath("corrective.toml").read_text(encoding="utf-8"))


class Desk:
    """The order ``alarm.advice``."""

    def __init__(self, onsite: Onsite) -> None:
        self._gateway = onsite.gateway

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {"alarm.advice": self._advice}

    async def _advice(self, request: Request) -> Mapping[str, Any]:
        """``alarm``: its id, whether it stands or not (``subject/rule``)."""
        fields = fields_of(request)
        alarm = fields.text("alarm", need="name the alarm") or ""
        fields.done()
        subject, slash, rule = alarm.partition("/")
        if not slash or not rule:
            raise OperatorError(f"{alarm!r:.60} is no alarm", "write it as it is listed: cold-room-1/high-critical")
        point = next((one for one in self._gateway.site.points if one.id == subject), None)
        profile = None if point is None else point.profile
        await asyncio.to_thread(corrective)
        return {"alarm": alarm, **advice(rule, profile)}


def advice(rule: str, profile: Profile | None) -> dict[str, Any]:
    """Steps for an alarm of a rule, with their sources, and what every corrective action owes to the law."""
    known = corrective()
    own = profile is not None and rule in profile.rules and bool(profile.actions)
    found = next((one for one in known["advice"] if _fits(one["match"], rule)), None)
    if own and profile is not None:
        steps, sources, title = list(profile.actions), list(profile.sources), profile.title
    elif found is not None:
        steps, sources, title = list(found["steps"]), list(found["sources"]), ""
    else:
        steps, sources, title = [], [], ""
    return {"steps": steps, "sources": sources, "profile": title, "owed": dict(known["owed"])}


def _fits(match: str, rule: str) -> bool:
    return rule.startswith(match[:-1]) if match.endswith("*") else rule == match
