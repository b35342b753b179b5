"""Silences of a fraction of a millisecond: never shorter than asked for, and no waiter is left behind."""

import asyncio
import os
from pathlib import Path
from time import monotonic

from firmware_interfaces.modbus.rtu import SerialLink
from firmware_interfaces.serial.finetimer import FineTimer


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_is_never_too_early() -> None:
    timer = FineTimer(asyncio.get_running_loop())
    for seconds in (0.0001, 0.00175, 0.0036, 0.01):
        begun = monotonic()
        await timer.sleep(seconds)
        assert monotonic() - begun >= seconds
    timer.close()


async def test_closing_wakes_who_waits() -> None:
    timer = FineTimer(asyncio.get_running_loop())
    waiting = asyncio.create_task(timer.sleep(0.9))
    await asyncio.sleep(0)
    timer.close()
    await waiting
    timer.close()


async def test_a_waiter_that_is_cancelled_does_no_harm() -> None:
    timer = FineTimer(asyncio.get_running_loop())
    waiting = asyncio.create_task(timer.sleep(0.001))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await timer.sleep(0.002)
    timer.close()


async def test_a_line_that_is_opened_again_and_again_keeps_nothing_open() -> None:
    ours, theirs = os.openpty()
    link = SerialLink(os.ttyname(theirs), baud=115200, parity="N", stop_bits=1)
    await link.open(3)
    before = open_files()
    for _ in range(5):
        await link.open(3)
    await asyncio.sleep(0)
    assert open_files() == before
    link.close()
    for end in (ours, theirs):
        os.close(end)
