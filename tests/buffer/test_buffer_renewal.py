"""The writer's connection is exchanged now and then, because Python forgets no blob as long as one is open."""

import gc
import sqlite3
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from buffer_bench import Bench, slots_of

from gateway.buffer import schema, tail, writer
from gateway.buffer.journal import Journal

Put = Callable[[Journal, int], list[Any]]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RENEW", 5)


async def test_nothing_is_lost_or_doubled_over_a_new_connection(bench: Bench, put_second: Put, often: None) -> None:
    put: list[Any] = []
    connections = set()
    async with bench.journal() as journal:
        for slot in range(30):
            put += put_second(journal, slot)
            assert await journal.flush()
            connections.add(journal._writer._connection)
    assert len(connections) > 3, "else this tested nothing"
    assert sorted(slots_of(bench.records())) == sorted(slots_of(put))
    bench.verify()


async def test_memory_of_opened_blobs_does_not_grow(bench: Bench, put_second: Put, often: None) -> None:
    def kept() -> int:
        gc.collect()
        statistics = tracemalloc.take_snapshot().statistics("lineno")
        return sum(found.count for found in statistics if found.traceback[0].filename == tail.__file__)

    async with bench.journal() as journal:
        tracemalloc.start()
        try:
            for slot in range(60):
                put_second(journal, slot)
                assert await journal.flush()
            assert kept() < 40
        finally:
            tracemalloc.stop()


async def test_where_no_new_one_can_be_had_the_old_one_serves_on(
    bench: Bench, put_second: Put, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.journal() as journal:
        monkeypatch.setattr(schema, "connect", refuse)
        for slot in range(20):
            put_second(journal, slot)
            assert await journal.flush()
        monkeypatch.undo()
    bench.verify()


def refuse(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("unable to open database file")
