"""Alarms of what a changed site file has no more: they end, because nobody looks there any longer, and say so."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.assess.alarms import AlarmEngine
from gateway.model import Condition
from gateway.site import Site

__all__ = ["ended"]

PROCESS = "process-"


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
            if condition.point is not None and condition.point not in points:
                gone = f"point {condition.point}"
            elif condition.point is None and condition.device is not None and condition.device not in devices:
                gone = f"device {condition.device}"
            elif condition.rule.startswith(PROCESS) and condition.rule.removeprefix(PROCESS) not in processes:
                gone = f"process {condition.rule.removeprefix(PROCESS)}"
            else:
                continue
            words = f"{condition.alarm} is not watched any more: {gone} is no longer in the site file ({why})"
            yield owner, replace(condition, active=False, at_ms=at_ms, words=words)
