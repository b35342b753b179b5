"""The log lines that operations can count on: each with an id that never changes, its meaning and what to do.

A line is known by the template that its ``log`` call has, so no caller needs to know of this table. The ids are the
MESSAGE_IDs of systemd's journal (``journalctl MESSAGE_ID=...``). docs/logs.md holds the same table; a test holds
both against the code. ``fields`` name the template's arguments: they become fields of the journal's entry.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["MESSAGES", "Message"]

State = Literal["lost", "back", "note"]


class Message(NamedTuple):
    """One kind of line. ``state``: something was lost, or is back, or neither."""

    id: str
    state: State
    fields: tuple[str, ...]
    means: str
    remedy: str = ""


MESSAGES: Mapping[str, Message] = {
    "aurora-gateway %s: site %s, %d devices on %d buses": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a001", "note", ("VERSION", "SITE", "DEVICES", "BUSES"), "The gateway starts."
    ),
    "stopped in order": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a002", "note", (), "The gateway has ended on request."
    ),
    "bus %s: %s; the gateway keeps trying": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a010",
        "lost",
        ("BUS", "REASON"),
        "A bus cannot be reached; its devices bring no values.",
        "See whether the adapter is plugged in, the converter has power, the cable is whole.",
    ),
    "bus %s: back": Message("c6a01ab6ec5b4a0ebbd4e5b1f6f8a011", "back", ("BUS",), "A bus is connected again."),
    "bus %s: scanning with %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a012", "back", ("BUS", "ADAPTER"), "Bluetooth is listened to."
    ),
    "bus %s: nothing heard; %s of %s%s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a013",
        "note",
        ("BUS", "STEP", "ADAPTER", "REASON"),
        "A Bluetooth adapter is silent, and something is done about it.",
        "If it repeats: another adapter, on a cable, away from USB 3.",
    ),
    "%s: %s; it is probed until it is back": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a020",
        "lost",
        ("DEVICE", "REASON"),
        "A device does not answer.",
        "Check its power, wiring, unit id and line settings.",
    ),
    "%s: answers again": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a021", "back", ("DEVICE",), "A device answers again."
    ),
    "%s: a defect prevented the reading": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a022",
        "note",
        ("DEVICE",),
        "A defect of the gateway, not of the device.",
        "Report it, with the trace.",
    ),
    "the journal cannot be written, records wait in memory: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a030",
        "lost",
        ("REASON",),
        "Nothing reaches the disk; values wait in memory until that is full.",
        "Free disk space, or replace the card, soon.",
    ),
    "the journal is written again after being %s; %d values were lost": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a031", "back", ("STATE", "LOST"), "Values reach the disk again."
    ),
    "the journal is damaged (%s); it is set aside and salvaged": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a032",
        "lost",
        ("REASON",),
        "The file of the journal cannot be trusted; what is readable is taken over.",
        "Suspect the card or the power supply.",
    ),
    "the journal goes on with what was readable; the damaged file is %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a033", "back", ("FILE",), "The salvage is done."
    ),
    "byte cap: %d batches were deleted before delivery": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a034",
        "note",
        ("BATCHES",),
        "The journal reached its size with too little delivered; the deletion is on record.",
        "Mend the uplink, or raise [buffer] max_size.",
    ),
    "uplink lost: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a040",
        "lost",
        ("REASON",),
        "No connection to the cluster; everything is kept and sent later.",
        "Check network, certificates and broker.",
    ),
    "uplink is back: the cluster vouches for %d batches of stream %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a041", "back", ("BATCHES", "STREAM"), "Batches get receipts again."
    ),
    "fork: the cluster has signed another history of stream %s; it is no longer sent": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a042",
        "lost",
        ("STREAM",),
        "The cluster's record differs from this one, with proof.",
        "Keep everything; call the cluster's staff.",
    ),
    "the cluster has lost stream %s from batch %d on": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a043",
        "note",
        ("STREAM", "BATCH"),
        "The cluster lost what it had vouched for; what is still here is sent again.",
        "Call the cluster's staff.",
    ),
    "wall clock is trusted (%s), within %d ms": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a050", "back", ("KEEPER", "ERROR_MS"), "The time is known to be right."
    ),
    "wall clock is in holdover, within %d ms: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a051",
        "note",
        ("ERROR_MS", "REASON"),
        "The time source is lost; the error is still bounded.",
        "See whether the time server can be reached.",
    ),
    "wall clock is untrusted: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a052",
        "lost",
        ("REASON",),
        "The time is not known; values are kept, their time is corrected later.",
        "Give the box a time server or a clock with a battery.",
    ),
    "output %s: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a060",
        "lost",
        ("OUTPUT", "REASON"),
        "An output reaches nobody; its notices wait.",
        "The reason says what to mend.",
    ),
    "output %s works again": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a061", "back", ("OUTPUT",), "An output delivers again."
    ),
    "output %s takes values too slowly: the oldest are not given": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a062",
        "lost",
        ("OUTPUT",),
        "The queue of an output that takes values is full; its oldest are dropped. The record has them.",
        "See why the other side does not take them.",
    ),
    "output %s takes values in time again; %d were not given": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a063", "back", ("OUTPUT", "LOST"), "It keeps up again."
    ),
    "rule %s: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a064",
        "lost",
        ("RULE", "REASON"),
        "A plugin's rule raised, took too long or said too much; it rests and is begun anew.",
        "Ask its maker; aurora-gateway plugins names it.",
    ),
    "rule %s works again": Message("c6a01ab6ec5b4a0ebbd4e5b1f6f8a065", "back", ("RULE",), "A rule works again."),
    "%s stopped: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a070",
        "lost",
        ("JUDGE", "REASON"),
        "A judge (limits, process, advisories) stopped of a defect; storage goes on, the judge is restarted.",
        "Report it, with the trace.",
    ),
    "%s is in order again": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a071", "back", ("JUDGE",), "The judge runs again."
    ),
    "%s stopped": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a072",
        "lost",
        ("STATION",),
        "A station ended by a defect and is started again.",
        "Report it, with the trace.",
    ),
    "events come faster than they can be stored; the first that is lost is %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a080",
        "lost",
        ("EVENT",),
        "Events are lost.",
        "See what floods, in the record.",
    ),
    "events are stored again; %d were lost": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a081", "back", ("LOST",), "Events are stored again; the record says how many."
    ),
    "status page on %s": Message("c6a01ab6ec5b4a0ebbd4e5b1f6f8a090", "note", ("ADDRESS",), "The page is served."),
    "the status page cannot be rendered": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a091", "lost", (), "A defect of the page.", "Report it, with the trace."
    ),
    "the status page can be rendered again": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a092", "back", (), "The page works again."
    ),
    "%d more lines like this were not written: %s": Message(
        "c6a01ab6ec5b4a0ebbd4e5b1f6f8a0a0", "note", ("LINES", "TEMPLATE"), "A line was repeated too often."
    ),
}
