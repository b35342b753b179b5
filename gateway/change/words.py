"""What a change means, in sentences: for the person who is about to make it."""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.change.aside import Answer
from gateway.change.plan import Plan
from gateway.logbook.settings import Change
from gateway.site import Site

__all__ = ["consequences", "proposal"]

Fact = dict[str, Any]


def proposal(answer: Answer, running: Site, base: str) -> Fact:
    """A checked change as plain data; see docs/changing.md. ``base`` is the digest of the file on disk."""
    plan = answer.plan
    return {
        "usable": answer.site is not None,
        "base": base,
        "digest": answer.digest,
        "same": answer.digest == running.digest,
        "text": answer.text,
        "problems": [
            {"line": p.line, "path": p.path, "what": p.what, "remedy": p.remedy, "words": str(p)}
            for p in answer.problems
        ],
        "refused": [] if plan is None else [{"what": what, "remedy": remedy} for what, remedy in plan.refused],
        "changes": [{**change._asdict(), "words": _change(change)} for change in answer.changes],
        "difference": answer.difference,
        "consequences": [] if plan is None else list(consequences(plan, running, answer.site, answer.ending)),
    }


def consequences(plan: Plan, old: Site, new: Site | None, ending: Sequence[str]) -> Iterator[Fact]:
    """What happens when it is applied, gravest first; ``kind`` and ``id`` for pages, ``words`` for people."""
    site = new or old
    restarts = "is begun anew, with {devices}: a sample or two may be missed"
    told: tuple[tuple[str, Sequence[str], str], ...] = (
        ("alarm-ends", ending, "the alarm {id} ends: what it watches is no longer in the site file"),
        ("bus-ends", plan.ended, "bus {id} is given up"),
        ("bus-restarts", plan.restarted, f"bus {{id}} {restarts}"),
        ("bus-begins", plan.begun, "bus {id} is begun, with {devices}"),
        ("device-removed", plan.removed, "device {id} is polled no more; what it has recorded stays"),
        ("device-added", plan.added, "device {id} is polled from then on"),
        ("device-rescheduled", plan.rescheduled, "device {id}: its samples are counted anew, its chart goes on"),
        ("device-changed", plan.relaid, "device {id}: its scans are other ones from then on, its chart goes on"),
        ("point-removed", plan.points_removed, "point {id} is judged no more; its history stays in the record"),
        ("point-added", plan.points_added, "point {id} is judged from then on"),
        ("outputs-restart", ("",) * plan.outputs, "the outputs are begun anew; notices that wait still go out"),
        ("rules-restart", ("",) * plan.rules, "the rules of plugins begin anew, without what they had seen so far"),
        ("uplink-restarts", ("",) * plan.uplink, "the cluster is connected anew; batches that wait still go out"),
        ("page-restarts", ("",) * plan.web, "the status page is begun anew"),
    )
    for kind, names, words in told:
        for name in names:
            devices = _devices(site, name) if kind.startswith("bus") else ""
            yield {"kind": kind, "id": name, "words": words.format(id=name, devices=devices)}
    if untouched := _untouched(plan, site):
        words = f"{untouched} of {len(site.devices)} devices do not notice"
        yield {"kind": "untouched", "id": "", "words": words}


def _untouched(plan: Plan, site: Site) -> int:
    touched = {*plan.restarted, *plan.begun}
    return sum(device.bus not in touched for device in site.devices)


def _devices(site: Site, bus: str) -> str:
    names = [device.id for device in site.devices if device.bus == bus]
    if len(names) > 3:
        return f"its {len(names)} devices"
    return ", ".join(names) or "no device"


def _change(change: Change) -> str:
    if change.old is None:
        return f"{change.path} is now {_value(change.new)}; it was not there"
    if change.new is None:
        return f"{change.path} is there no longer; it was {_value(change.old)}"
    return f"{change.path}: {_value(change.old)} becomes {_value(change.new)}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value!r}" if isinstance(value, str) else str(value)
