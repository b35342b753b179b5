"""Watching the scans of a device from beside: until its readings stand still."""

import asyncio
import math
from typing import Any

from gateway.app import Gateway
from gateway.commissioning.sessions import Session
from gateway.commissioning.steady import FEWEST, Reading, Steadiness, judge
from gateway.errors import OperatorError
from gateway.jobs import Job
from gateway.model import Scan

__all__ = ["LOOK_S", "latest", "stand_still"]

LOOK_S = 0.05
SHOWN = 30
LONGEST_WINDOW_S = 1800.0
LONGEST_WAIT_S = 7200.0


async def stand_still(
    gateway: Gateway, job: Job, session: Session, *, window_s: float, patience_s: float
) -> Steadiness:
    """Wait until the readings of a session's channel stand still for ``window_s``; at most ``patience_s``.

    Tells the job how it is. Raises `OperatorError` with the figures when they do not.
    """
    window_s, patience_s = min(window_s, LONGEST_WINDOW_S), min(patience_s, LONGEST_WAIT_S)
    readings: list[Reading] = []
    figures: Steadiness | None = None
    last: Scan | None = latest(gateway, session.device)
    told = "no scan has come"
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_s
    while loop.time() < end:
        scan = latest(gateway, session.device)
        if scan is None or scan is last:
            await asyncio.sleep(LOOK_S)
            continue
        last = scan
        reading = _reading(gateway, session, scan)
        if reading is None:
            readings.clear()
            told = "a scan without a value came in between"
            continue
        readings.append(reading)
        while len(readings) > FEWEST and reading.at_ms - readings[1].at_ms >= window_s * 1000:
            readings.pop(0)
        figures = judge(readings, session.limit, session.decimals)
        job.done, job.found[:] = min(figures.count, FEWEST), [_shown(one) for one in readings[-SHOWN:]]
        job.words = told = figures.words(session.unit)
        if figures.steady and figures.window_s >= window_s:
            return figures
    unfit = "too few readings" if figures is None or figures.count < FEWEST else "the readings do not stand still"
    raise OperatorError(f"{unfit}: {told}", "wait until the sensor has come to rest, and take them again")


def latest(gateway: Gateway, device: str) -> Scan | None:
    """The newest scan of a device; None before the first. Raises `OperatorError` for one that is gone."""
    index = next((one.index for one in gateway.acquire.pollers if one.spec.id == device), None)
    if index is None:
        raise OperatorError(f"{device} is not in the site file any more", "abandon this calibration")
    return gateway.latest[index] if index < len(gateway.latest) else None


def _reading(gateway: Gateway, session: Session, scan: Scan) -> Reading | None:
    layout = next(one for one in gateway.acquire.layout.devices if one.id == session.device)
    if len(scan.values) != len(layout.columns):
        return None  # taken before the layout changed
    found = {
        column.role: value
        for column, value in zip(layout.columns, scan.values, strict=True)
        if column.channel == session.key and not math.isnan(value)
    }
    if "value" not in found:
        return None
    return Reading(scan.at_ms, found["value"], found.get("indicated", found["value"]))


def _shown(reading: Reading) -> dict[str, Any]:
    return {"at_ms": reading.at_ms, "shown": reading.shown, "indicated": reading.indicated}
