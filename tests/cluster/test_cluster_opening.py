"""Signatures checked in a process beside the receiver: the same answers, whatever becomes of that process."""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from cluster_world import OTHER, Plant, until

from gateway.cluster import opening
from gateway.cluster.opening import NO_KEYS, Keys, Message, Opened, Opener, beside, open_message
from gateway.seal.cose import ESP256
from gateway.seal.keys import FileSigner

Asked = list[tuple[Message, Keys]]


@pytest.fixture
async def opener() -> AsyncIterator[Opener]:
    async with beside() as opener:
        yield opener


def keys_of(*plants: Plant) -> Keys:
    return Keys.of(plant.signer.public for plant in plants)


def messages(plant: Plant, keys: Keys) -> Asked:
    every = [batch for batches in plant.batches.values() for batch in batches]
    return [(Message(plant.identity.client, batch.stream, batch.body), keys) for batch in every]


def facts(opened: Opened) -> tuple[object, ...]:
    """All that is known of a message; errors are the same when they say the same."""
    error = None if opened.error is None else (opened.error.kind, opened.error.what)
    return (*opened._replace(error=None), error)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records if record.name == opening.__name__]


def pid(opener: Opener) -> int:
    assert opener._process is not None
    return opener._process.pid


def ends(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_the_answer_is_the_same_wherever_a_message_is_opened(opener: Opener, tmp_path: Path) -> None:
    plant, other = Plant(tmp_path / "one"), Plant(tmp_path / "other", OTHER)
    plant.scans(3)
    plant.event("alarm", text="warm")
    keys = keys_of(plant)
    good = messages(plant, keys)
    first = good[0][0]
    damaged = bytearray(first.payload)
    damaged[-1] ^= 1
    asked = [
        *good,
        (first, NO_KEYS),
        (first, keys_of(other)),
        (first, keys_of(other, plant)),
        (first._replace(payload=bytes(damaged)), keys),
        (first._replace(payload=first.payload[:40]), keys),
        (first._replace(payload=b""), keys),
        (first._replace(payload=bytes(100_000)), keys),
        *good,
    ]
    found = await opener.open(asked)
    assert [facts(one) for one in found] == [facts(open_message(*one)) for one in asked]
    assert all(one.verified == plant.signer.public for one in found[: len(good)])
    assert [one.values for one in found[: len(good)]] == [None, None, None, 50, 50, 50]


async def test_keys_of_small_computers_are_checked_there_too(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = FileSigner.create
    monkeypatch.setattr(FileSigner, "create", lambda path: create(path, ESP256))
    plant = Plant(tmp_path)
    assert plant.signer.public.alg == ESP256
    monkeypatch.setattr(opening, "open_message", None)  # it is not asked
    found = await opener.open(messages(plant, keys_of(plant)))
    assert [one.verified for one in found] == [plant.signer.public] * 2


async def test_a_killed_process_costs_no_message_and_the_next_one_follows(
    opener: Opener, plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "PATIENCE_S", 60.0)
    asked = messages(plant, keys_of(plant))
    killed = pid(opener)
    os.kill(killed, signal.SIGKILL)
    wanted = [facts(open_message(*one)) for one in asked]
    assert [facts(one) for one in await opener.open(asked)] == wanted
    assert "does not answer" in caplog.text
    assert opener._process is None, "a process that does not live is not started with every group"
    monkeypatch.setattr(opener, "_not_before", 0.0)
    assert [facts(one) for one in await opener.open(asked)] == wanted
    assert pid(opener) != killed
    assert said(caplog) == ["ERROR", "WARNING"], "once lost, once back"
    assert "answers again" in caplog.text


async def test_a_process_that_hangs_or_cannot_be_started_holds_up_nobody(
    opener: Opener, plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = messages(plant, keys_of(plant))
    wanted = [facts(open_message(*one)) for one in asked]
    monkeypatch.setattr(opening, "PATIENCE_S", 0.1)
    hung = pid(opener)
    os.kill(hung, signal.SIGSTOP)
    assert [facts(one) for one in await opener.open(asked)] == wanted
    assert ends(hung)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setattr(opener, "_not_before", 0.0)
    assert [facts(one) for one in await opener.open(asked)] == wanted
    assert "TimeoutError" in caplog.text
    assert said(caplog) == ["ERROR"], "what goes on is not said again"


async def test_whoever_is_cancelled_leaves_no_answer_for_the_next(
    opener: Opener, plant: Plant, tmp_path: Path
) -> None:
    other = Plant(tmp_path / "other", OTHER)
    plant.scans(50)
    os.kill(pid(opener), signal.SIGSTOP)
    leaving = asyncio.ensure_future(opener.open(messages(plant, keys_of(plant))))
    while not opener._turn.locked():
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    os.kill(pid(opener), signal.SIGCONT)
    found = await opener.open(messages(other, keys_of(other)))
    assert [one.batch and one.batch.iss for one in found] == [OTHER.urn] * 2
    assert all(one.verified for one in found)


async def test_what_cannot_be_good_or_is_very_long_is_opened_here(
    opener: Opener, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may send megabytes that nobody has signed: they are not handed about."""
    asked: list[int] = []
    ask = opener._ask

    async def counted(request: bytes, count: int) -> object:
        asked.append(len(request))
        return await ask(request, count)

    monkeypatch.setattr(opener, "_ask", counted)
    keys = keys_of(plant)
    good = messages(plant, keys)
    junk = good[0][0]._replace(payload=bytes(1_000_000))
    found = await opener.open([(junk, NO_KEYS), good[0], (junk, keys), (good[1][0], NO_KEYS), good[1]])
    assert [one.verified is not None for one in found] == [False, True, False, False, True]
    assert asked[0] < 5000


async def test_it_ends_with_the_receiver_and_not_by_a_signal_that_is_meant_for_it(plant: Plant) -> None:
    async with beside() as opener:
        number = pid(opener)
        os.kill(number, signal.SIGTERM)
        os.kill(number, signal.SIGINT)
        (first, *_) = await opener.open(messages(plant, keys_of(plant)))
        assert first.verified == plant.signer.public
        assert pid(opener) == number
    await until(lambda: ends(number), what="the process has ended")


def test_a_request_that_breaks_off_is_the_end() -> None:
    request = pickle.dumps([])
    whole = len(request).to_bytes(4, "big") + request
    for cut in range(len(whole)):
        answers = BytesIO()
        opening.work(BytesIO(whole + whole[:cut]), answers)
        assert pickle.loads(answers.getvalue()[4:]) == []


async def test_it_does_not_outlive_a_receiver_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from gateway.cluster.opening import beside\n"
        "async def main():\n"
        "    async with beside() as opener:\n"
        "        print(opener._process.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    pipe = asyncio.subprocess.PIPE
    receiver = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe)
    assert receiver.stdout is not None
    number = int(await receiver.stdout.readline())
    receiver.kill()
    await receiver.wait()
    await until(lambda: ends(number), what="the process has ended")
