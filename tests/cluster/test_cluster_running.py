"""A service of the cluster starts beside its database, and waits for it; a person at a terminal hears at once."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from postgres_server import Server

from gateway.cluster.running import opened, until_signal
from gateway.cluster.settings import Settings, load_settings
from gateway.errors import AwayError, StorageError


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that does not run yet."""
    server = Server()
    try:
        yield server
    finally:
        server.remove()


def settings(folder: Path, store: str) -> Settings:
    return replace(load_settings(None, {"data_dir": folder}), store=store)


async def said(log: pytest.LogCaptureFixture, words: str) -> None:
    async with asyncio.timeout(20):
        while words not in log.text:
            await asyncio.sleep(0.02)


async def test_a_service_waits_for_a_server_that_is_off_then_for_one_that_recovers(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.cluster.running")
    where = settings(tmp_path, server.url("postgres"))
    there = asyncio.Event()

    async def work() -> None:
        async with opened(where, patient=True) as database:
            async with database.transaction() as do:
                assert (await do.fetch("SELECT count(*) FROM batch"))[0][0] == 0
            there.set()

    task = asyncio.create_task(work())
    await said(caplog, "not reached")
    # A standby that answers nobody is, to whoever asks, a server that has not recovered yet; it stays one.
    (server.data / "standby.signal").touch()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("hot_standby = off\n")
    await asyncio.to_thread(server.start)
    await said(caplog, "the database system is not")
    assert not there.is_set()
    await asyncio.to_thread(server.promote)
    async with asyncio.timeout(60):
        await task
    assert there.is_set()
    assert caplog.text.count("not reached") == 1, "what does not change is said once"
    assert "is there" in caplog.text


async def test_a_command_does_not_wait(server: Server, tmp_path: Path) -> None:
    with pytest.raises(AwayError, match=r"not reached.*look at address"):
        async with opened(settings(tmp_path, server.url("postgres"))):
            pass


async def test_nobody_waits_for_what_does_not_pass(server: Server, tmp_path: Path) -> None:
    await asyncio.to_thread(server.start)
    for store, words in (
        (server.url("none"), 'database "none" does not exist'),
        (server.url("postgres", user="nobody"), 'role "nobody" does not exist'),
    ):
        with pytest.raises(StorageError, match=words) as caught:
            async with asyncio.timeout(20), opened(settings(tmp_path, store), patient=True):
                pass
        assert not isinstance(caught.value, AwayError)


async def test_a_service_that_waits_can_be_stopped(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = settings(tmp_path, server.url("postgres"))

    async def work() -> None:
        async with opened(where, patient=True):
            raise AssertionError("there is no server")

    task = asyncio.create_task(until_signal(work()))
    await said(caplog, "not reached")
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await task
