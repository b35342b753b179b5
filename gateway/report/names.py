"""Names of the record in words: kinds, tiers, states, rules. Each is a msgid of the catalogues."""

from typing import Final

from gateway.language import N_, Language

__all__ = [
    "ALARM_STEPS",
    "CHANGE_NAMES",
    "CLOCK_NAMES",
    "RULES",
    "STATES",
    "STATE_KINDS",
    "STEPS_OF_PEOPLE",
    "TIERS",
    "named",
]

TIERS: Final = {
    "critical": N_("critical"),
    "alert": N_("alert"),
    "maintenance": N_("maintenance"),
    "advisory": N_("advisory"),
}
STATES: Final = {
    "normal": N_("normal"),
    "unacknowledged": N_("unacknowledged"),
    "acknowledged": N_("acknowledged"),
    "returned to normal, unacknowledged": N_("returned to normal, unacknowledged"),
    "shelved": N_("shelved"),
    "suppressed by design": N_("suppressed by design"),
    "out of service": N_("out of service"),
}
ALARM_STEPS: Final = {
    "alarm.raised": N_("raised"),
    "alarm.returned": N_("returned to normal"),
    "alarm.acknowledged": N_("acknowledged"),
    "alarm.confirmed": N_("corrective action"),
    "alarm.shelved": N_("shelved"),
    "alarm.unshelved": N_("unshelved"),
    "alarm.suppressed": N_("suppressed by design"),
    "alarm.unsuppressed": N_("no longer suppressed"),
    "alarm.out-of-service": N_("taken out of service"),
    "alarm.in-service": N_("back in service"),
    "alarm.escalated": N_("escalated"),
    "alarm.grouped": N_("grouped with its cause"),
}
STEPS_OF_PEOPLE: Final = frozenset(
    {
        "alarm.acknowledged",
        "alarm.confirmed",
        "alarm.shelved",
        "alarm.unshelved",
        "alarm.out-of-service",
        "alarm.in-service",
    }
)
RULES: Final = {
    "high-critical": N_("too warm, critical limit"),
    "high-alert": N_("too warm, alert limit"),
    "low-critical": N_("too cold, critical limit"),
    "low-alert": N_("too cold, alert limit"),
    "deficit": N_("too cold"),
    "rate": N_("changes too fast"),
    "stale": N_("no news from the sensor"),
    "communication-loss": N_("device does not answer"),
    "high-tolerance": N_("too warm, tolerance used up"),
    "calibration-due": N_("calibration due"),
    "calibration-due-30d": N_("calibration due within 30 days"),
    "calibration-due-90d": N_("calibration due within 90 days"),
    "calibration-expired": N_("calibration expired"),
    "power-loss": N_("gateway was without power"),
    "battery-low": N_("battery low"),
    "signal-weak": N_("signal weak"),
    "door-open": N_("door open too long"),
}
STATE_KINDS: Final = {
    "start-up": N_("start-up"),
    "defrost": N_("defrost"),
    "cleaning": N_("cleaning"),
    "loading": N_("loading"),
    "door": N_("door open"),
}
CHANGE_NAMES: Final = {
    "config.changed": N_("configuration changed"),
    "power_up": N_("gateway started"),
    "power_down": N_("gateway stopped in order"),
    "key.rotated": N_("signing key changed"),
    "deleted": N_("batches deleted for want of space"),
    "storage.salvaged": N_("damaged store salvaged"),
    "storage.outage": N_("store could not be written"),
    "storage.tail_lost": N_("newest records lost with the store"),
    "events.lost": N_("events lost"),
    "record.calibration": N_("calibration"),
    "record.verification": N_("verification"),
    "record.corrective": N_("corrective action"),
    "record.note": N_("note"),
}
CLOCK_NAMES: Final = {
    "clock.trusted": N_("clock trusted"),
    "clock.holdover": N_("clock without its time source"),
    "clock.untrusted": N_("clock not trusted"),
    "clock.step": N_("clock stepped"),
    "clock.suspend": N_("machine was suspended"),
    "clock.correction": N_("times before it corrected"),
    "trusted": N_("clock trusted"),
    "holdover": N_("clock without its time source"),
    "corrected": N_("time corrected later"),
}


def named(table: dict[str, str], name: str, language: Language) -> str:
    """The words for a name; a name that the table does not have stands for itself."""
    return language(table[name]) if name in table else name
