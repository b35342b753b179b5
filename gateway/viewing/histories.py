"""What the record says of one alarm, newest first."""

from typing import Any

from gateway.language import Language
from gateway.report.names import ALARM_STEPS, named
from gateway.viewing.shelf import Shelf

__all__ = ["history"]

MOST_STEPS = 100


def history(shelf: Shelf, alarm: str, t: Language) -> list[dict[str, Any]]:
    """Its steps as far as they are at hand. Reads the journal: for a thread."""
    found = []
    for event in reversed(shelf.events(1 << 52)):
        if not event.kind.startswith("alarm.") or event.data.get("alarm") != alarm:
            continue
        until = event.utc_at(event.data.get("until_ms"))
        found.append(
            {
                "at_ms": event.utc_ms,
                "kind": event.kind,
                "step": named(ALARM_STEPS, event.kind, t),
                "occurrence": event.data.get("occurrence"),
                "state": event.data.get("state"),
                "value": event.data.get("value"),
                "limit": event.data.get("limit"),
                "unit": t.unit(str(event.data.get("unit") or "")),
                "person": event.data.get("person") or "",
                "text": event.data.get("text") or "",
                "until_ms": until,
            }
        )
        if len(found) == MOST_STEPS:
            break
    return found
