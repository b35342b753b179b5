"""A plugin that raises, blocks, runs in circles or floods stays in its room."""

import asyncio
import logging
from pathlib import Path

import pytest
from notify_tools import Probe, output

from gateway.api import Notice, Output, OutputError
from gateway.notify.cell import Cell, Faults, LogLimit
from gateway.site import Identity

NOTICE = Notice(key="k", transition="test")
IDENTITY = Identity(member="m", site="s", gateway="g")


def cell(mode: str = "", **changes: object) -> Cell:
    spec = output("probe-1", settings={"mode": mode}, **changes)
    return Cell(spec, IDENTITY, grace_s=0.1)


async def send(room: Cell, timeout_s: float | None = None) -> None:
    await room.call(lambda one: one.send(NOTICE), timeout_s)


async def test_what_blocks_is_given_up_and_the_loop_goes_on_meanwhile() -> None:
    room = cell("block")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(OutputError, match=r"not done within 0\.1 s; the plugin blocks"):
        await send(room, 0.1)
    assert ticks >= 10, "the gateway's own loop was not held up"
    assert room.blocked
    with pytest.raises(OutputError, match=r"still blocks since an earlier call"):
        await send(room, 0.1)
    assert room.faults.blocked == 1
    Probe.release.set()
    async with asyncio.timeout(20):
        while True:
            try:
                room_back = await send(room, 5)
                break
            except OutputError:
                await asyncio.sleep(0.02)
    assert room_back is None
    assert not room.blocked, "once it has come back it gets a new room"
    ticking.cancel()
    await room.close()


async def test_what_runs_in_circles_is_thrown_out() -> None:
    room = cell("spin")
    with pytest.raises(OutputError, match=r"the plugin blocks"):
        await send(room, 0.1)
    thread = room._room.thread  # type: ignore[union-attr]
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive(), "Python code takes the exception at its next step"
    await room.close()


async def test_what_waits_too_long_is_cancelled_and_keeps_its_room() -> None:
    room = cell("hang")
    with pytest.raises(OutputError, match=r"not done within"):
        await send(room, 0.05)
    assert (room.faults.late, room.faults.blocked, room.blocked) == (1, 0, False)
    await room.close()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ValueError("what a mess"), "defect of its own .ValueError: what a mess.; report it to its maker"),
        (SystemExit(3), "defect of its own .SystemExit: 3."),
        (KeyboardInterrupt(), "defect of its own .KeyboardInterrupt"),
        (RecursionError(), "RecursionError"),
    ],
)
async def test_whatever_it_raises_becomes_an_error_with_a_remedy(failure: BaseException, words: str) -> None:
    Probe.failure["probe-1"] = failure
    room = cell()
    with pytest.raises(OutputError, match=words):
        await send(room)
    assert room.faults.raised == 1
    Probe.failure.clear()
    await send(room)
    await room.close()


async def test_its_own_error_comes_through_bounded_and_on_one_line() -> None:
    Probe.failure["probe-1"] = OutputError("no\nanswer " * 10_000, "wait", retry=False, after_s=3)
    room = cell()
    with pytest.raises(OutputError) as caught:
        await send(room)
    assert (caught.value.retry, caught.value.after_s, len(caught.value.what)) == (False, 3, 400)
    assert "\n" not in caught.value.what
    assert room.faults.raised == 0
    await room.close()


async def test_a_flood_of_log_lines_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    room = cell("flood")
    await send(room)
    lines = [record for record in caplog.records if record.name == "gateway.output.probe-1"]
    assert len(lines) == 20
    assert lines[-1].getMessage().endswith("(further lines of this minute are not written)")
    assert room.faults.silenced == 980
    await room.close()


def test_after_a_minute_lines_are_written_again() -> None:
    now = 0.0
    limit = LogLimit(Faults(), lambda: now, most=2)
    record = logging.LogRecord("x", logging.INFO, "", 0, "hello", None, None)
    assert [limit.filter(record) for _ in range(3)] == [True, True, False]
    now = 60.0
    assert limit.filter(record)


async def test_a_plugin_that_cannot_be_loaded_is_named() -> None:
    room = cell(type="not-there")
    with pytest.raises(OutputError, match=r"there is no output 'not-there'; use one of: .*email"):
        await send(room)
    await room.close()


async def test_calls_come_one_at_a_time_and_closing_is_harmless_twice(tmp_path: Path) -> None:
    room = cell()
    running, most = 0, 0

    async def work(_: Output) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    await asyncio.gather(*(room.call(work) for _ in range(5)))
    assert most == 1
    async with asyncio.timeout(20):
        await room.close()
        await room.close()
