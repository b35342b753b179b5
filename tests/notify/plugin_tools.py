"""One plugin by itself: made as the gateway makes it, and given notices as the gateway writes them."""

import logging
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from notify_tools import HandClock, alarm

from gateway.api import Host, Notice, Output, Standing, load_output
from gateway.notify.facts import Facts
from gateway.notify.words import dressed


def made(kind: str, settings: Mapping[str, Any], *, timeout_s: float = 5.0) -> Output:
    plugin = load_output(kind)
    return plugin(
        plugin.Settings(**settings),
        Host("out", "dairy", "plant-1", "gw-1", timeout_s, logging.getLogger("gateway.output.out")),
    )


def notice(recipient: str = "", transition: str = "raised", **changes: Any) -> Notice:
    more = {name: changes.pop(name) for name in ("language", "late_s", "key", "name") if name in changes}
    facts = Facts.of_event(alarm(**changes), HandClock()())
    base: dict[str, Any] = {
        "key": "0123456789abcdef0123456789abcdef",
        "name": "Cold room 1",
        "member": "dairy",
        "site": "plant-1",
        "gateway": "gw-1",
        "link": "http://gw.local:8080/",
        "sent_utc_ms": 1_763_985_600_000,
    }
    return dressed(facts.notice(transition=transition, recipient=recipient, **(base | more)), ZoneInfo("UTC"))


def waiting(**changes: Any) -> Standing:
    one = notice(transition="state", **changes)
    return Standing(unacknowledged=(one,), active=(one,))
