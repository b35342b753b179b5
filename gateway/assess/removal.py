"""Alarms of what a changed site file has no more: they end, because nobody looks there any longer, and say so."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.assess.alarms import AlarmEngine
from gateway.model import Condition
from gateway.site import Site

__all__ = ["ended"]

PROCESS = "process-"
RULE, RULES = "rule-", "rules"
OUTPUT, OUTPUTS = "output-", "outputs"
"""Under these names rules and outputs hand in their conditions."""


def ended(
    engine: AlarmEngine, site: Site, owners: Iterable[str], *, why: str, at_ms: int
) -> Iterator[tuple[str, Condition]]:
    """The ends of standing alarms whose point, device or process is not in the site, with the judge that owns them.

    Alarms of rules that a point has lost are left to its judge, which ends them when it is brought into line.
    """
    points = {point.id for point in site.points}
    devices = {device.id for device in site.devices}
    processes = {process.id for process in site.processes}
    for owner in owners:
        for condition in engine.standing(owner).values():
            if (other := _beside(owner, condition, site)) is not None:
                gone = other
            elif condition.point is not None and condition.point not in points:
                gone = f"point {condition.point}"
            elif condition.point is None and condition.device is not None and condition.device not in devices:
                gone = f"device {condition.device}"
            elif condition.rule.startswith(PROCESS) and condition.rule.removeprefix(PROCESS) not in processes:
                gone = f"process {condition.rule.removeprefix(PROCESS)}"
            else:
                continue
            words = f"{condition.alarm} is not watched any more: {gone} is no longer in the site file ({why})"
            yield owner, replace(condition, active=False, at_ms=at_ms, words=words)


def _beside(owner: str, condition: Condition, site: Site) -> str | None:
    """What is gone of those that raise alarms beside the judges: a rule of a plugin, an output."""
    rule = (
        condition.detail.get("rule")
        if owner == RULES
        else owner.removeprefix(RULE)
        if owner.startswith(RULE)
        else None
    )
    if rule is not None and rule not in {one.id for one in site.rules}:
        return f"rule {rule}"
    if owner == OUTPUTS:
        output = condition.alarm.partition("/")[0].removeprefix(OUTPUT)
        if not site.outputs or (
            condition.alarm.startswith(OUTPUT) and output not in {one.id for one in site.outputs}
        ):
            return f"output {output}"
    return None
