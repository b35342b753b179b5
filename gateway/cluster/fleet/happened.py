"""An event of a gateway in the reader's words."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.language import N_, Language
from gateway.report.names import ALARM_STEPS, CHANGE_NAMES, CLOCK_NAMES, RULES, STATE_KINDS, named

__all__ = ["LABELS", "event_words"]

LABELS: Final = STATE_KINDS | {"disturbance": N_("disturbance"), "moved": N_("probe moved")}

NAMES: Final = (
    CHANGE_NAMES
    | CLOCK_NAMES
    | {
        "gap.opened": N_("no good values"),
        "gap.closed": N_("good values again"),
        "bus.lost": N_("bus not reached"),
        "bus.back": N_("bus reached again"),
        "backfill.done": N_("gap filled from the sensor's memory"),
        "backfill.failed": N_("gap not filled from the sensor's memory"),
        "backfill.deviation": N_("values of the past beyond a limit"),
        "process.started": N_("process calculation began"),
        "process.result": N_("process calculation has a result"),
        "process.refused": N_("process calculation refused"),
        "record.lot": N_("lot recorded"),
        "config.refused": N_("change of the configuration refused"),
        "layout": N_("devices and their channels described"),
        "bus.recovery": N_("attempt to revive a Bluetooth adapter"),
        "bus.fault": N_("bus stopped by a defect of the gateway"),
        "device.fault": N_("reading prevented by a defect of the gateway"),
        "device.identity": N_("device said who it is"),
        "device.audit": N_("correction registers of a device read"),
        "device.write": N_("write to a device ordered"),
        "scanner.lost": N_("code scanner not reached"),
        "scanner.back": N_("code scanner reached again"),
        "scanner.refused": N_("scanned code not understood"),
        "state.declared": N_("state declared"),
        "state.ended": N_("declared state ended"),
        "judge.failed": N_("judging stopped by a defect"),
        "judge.restarted": N_("judging runs again"),
        "judge.memory-lost": N_("judging began without its memory"),
        "access.invited": N_("person invited"),
        "access.joined": N_("invitation accepted"),
        "access.removed": N_("person removed"),
        "access.role": N_("role of a person changed"),
        "access.signed_in": N_("person signed in"),
        "access.signed_out": N_("person signed out"),
        "access.refused": N_("sign-in refused"),
        "access.password": N_("password changed"),
        "access.pin": N_("PIN changed"),
        "access.token": N_("access for a program granted"),
        "access.revoked": N_("access for a program withdrawn"),
        "storage.memory_lost": N_("a part of the store could not be read"),
        "fork": N_("the cluster signed another history"),
        "checkpoint.witnessed": N_("daily checkpoint of the cluster cosigned"),
        "checkpoint.awaited": N_("checkpoint of the cluster without a proof that fits"),
        "checkpoint.refused": N_("checkpoint of the cluster contradicts what was signed"),
        "sync.lost": N_("the cluster lost what it had vouched for"),
        "sync.refused": N_("the cluster refused a batch"),
        "notify.sent": N_("message delivered"),
        "notify.failed": N_("message not delivered"),
        "notify.test": N_("test message"),
        "notify.queue": N_("trouble with the queue of messages"),
    }
)
"""What needs no more than its kind to be said; with the others it is every kind of docs/events.md."""


def event_words(kind: str, data: Any, t: Language) -> str:
    """What happened; a kind without words stands for itself, and nothing is taken for granted of ``data``."""
    if kind in ALARM_STEPS:
        step, rule = named(ALARM_STEPS, kind, t), data.get("rule") if isinstance(data, Mapping) else None
        return f"{named(RULES, rule, t)}: {step}" if isinstance(rule, str) and rule else step
    declared = data.get("kind") if isinstance(data, Mapping) else None
    if kind in {"state.declared", "state.ended"} and isinstance(declared, str):
        state = named(STATE_KINDS, declared, t)
        return t("declared: {state}", state=state) if kind == "state.declared" else t("ended: {state}", state=state)
    if kind.startswith("label."):
        label = kind.removeprefix("label.")
        return t("recognised: {what}", what=named(LABELS, label, t)) if label in LABELS else kind
    return named(NAMES, kind, t)
