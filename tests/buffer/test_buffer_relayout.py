"""The journal goes over to another layout while it runs: each record under the layout that it was made for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from buffer_bench import Bench, make_layout, scan, slots_of

from gateway.buffer.faults import StoreError
from gateway.buffer.journal import Journal
from gateway.errors import StorageError
from gateway.model import Layout, Miss, Quality, Scan
from gateway.seal.columns import layout_id

Put = Callable[[Journal, int], list[Scan | Miss]]


def reordered(layout: Layout, *order: int) -> Layout:
    return Layout(tuple(layout.devices[index] for index in order))


async def turn(journal: Journal, bench: Bench, layout: Layout, **changes: Any) -> dict[str, int]:
    told: dict[str, int] = {}
    await journal.relayout(layout, replace(bench.spec, **changes), told.update)
    return told


class TestTurn:
    async def test_what_came_before_is_sealed_and_what_comes_after_is_of_the_new_layout(
        self, bench: Bench, put_second: Put
    ) -> None:
        new = reordered(bench.layout, 2, 0, 1)
        async with bench.journal() as journal:
            put_second(journal, 1000)
            newest = await turn(journal, bench, new)
            assert newest == {"device-0": 1000, "device-1": 1000, "device-2": 1000}
            journal.put(scan(0, 1001, value=5.0))
            await journal.flush(seal=True)
        reader = bench.reader()
        assert set(reader.layouts()) == {layout_id(bench.layout), layout_id(new)}
        reader.close()
        assert slots_of(bench.records()) == [(0, 1000), (1, 1000), (2, 1000), (0, 1001)]
        assert [event.kind for event in bench.events()].count("layout") == 2

    async def test_what_is_put_while_it_turns_moves_with_its_device(self, bench: Bench, put_second: Put) -> None:
        new = Layout((*make_layout(4).devices[3:], *bench.layout.devices))
        async with bench.journal() as journal:
            put_second(journal, 1000)
            write = journal._writer.relayout

            def meanwhile(*arguments: Any) -> Any:
                # The writer's thread is at work, and the loop goes on: a record of the old numbers comes.
                journal._loop.call_soon_threadsafe(journal.put, scan(1, 1001))
                return write(*arguments)

            journal._writer.relayout = meanwhile  # type: ignore[method-assign]
            await turn(journal, bench, new)
            await journal.flush(seal=True)
        assert (2, 1001) in slots_of(bench.records())

    async def test_the_rules_change_with_it(self, bench: Bench, put_second: Put) -> None:
        async with bench.journal() as journal:
            await turn(journal, bench, bench.layout, batch_values=1, batch_min_age_s=0.0)
            head = journal.head("scan")
            put_second(journal, 1000)
            await journal.flush()
            assert journal.head("scan") != head

    async def test_a_layout_that_is_known_is_not_told_again(self, bench: Bench) -> None:
        other = reordered(bench.layout, 1, 0, 2)
        async with bench.journal() as journal:
            for layout in (other, bench.layout, other):
                await turn(journal, bench, layout)
        assert [event.kind for event in bench.events()].count("layout") == 2

    async def test_a_device_that_comes_back_to_an_earlier_schedule_goes_on_there_even_over_a_restart(
        self, bench: Bench, put_second: Put
    ) -> None:
        slower = Layout(tuple(replace(device, period_ms=2000) for device in bench.layout.devices))
        async with bench.journal() as journal:
            put_second(journal, 1000)
            assert await turn(journal, bench, slower) == {}
            journal.put(scan(0, 501))
        async with bench.journal(layout=slower) as journal:
            assert {device: slot for device, (_, slot) in journal.last_slots().items()} == {"device-0": 501}
            assert (await turn(journal, bench, bench.layout))["device-0"] == 1000


class TestFailure:
    async def test_a_switch_that_raises_leaves_the_old_layout_and_what_it_put_is_gone(
        self, bench: Bench, put_second: Put
    ) -> None:
        async with bench.journal() as journal:
            put_second(journal, 1000)

            def switch(_: Any) -> None:
                journal.put(Miss(0, 1001, 5, Quality.NOT_STARTED))
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await journal.relayout(reordered(bench.layout, 2, 1, 0), bench.spec, switch)
            put_second(journal, 1001)
            await journal.flush(seal=True)
        assert sorted(slots_of(bench.records())) == [(device, slot) for device in range(3) for slot in (1000, 1001)]
        reader = bench.reader()
        assert len(bench.events()) >= 1
        reader.close()

    async def test_a_store_that_fails_leaves_the_old_layout(self, bench: Bench, put_second: Put) -> None:
        async with bench.journal() as journal:
            put_second(journal, 1000)
            commit = journal._writer.commit

            def full(*_: Any) -> None:
                raise StoreError("full", "the disk is full")

            journal._writer.commit = full  # type: ignore[method-assign]
            with pytest.raises(StorageError, match="the disk is full"):
                await turn(journal, bench, reordered(bench.layout, 2, 1, 0))
            journal._writer.commit = commit  # type: ignore[method-assign]
            put_second(journal, 1001)
            await journal.flush(seal=True)
        assert sorted(slots_of(bench.records())) == [(device, slot) for device in range(3) for slot in (1000, 1001)]

    async def test_a_device_that_changes_must_be_silent_by_then(self, bench: Bench, put_second: Put) -> None:
        slower = Layout((replace(bench.layout.devices[0], period_ms=2000), *bench.layout.devices[1:]))
        async with bench.journal() as journal:
            put_second(journal, 1000)
            write = journal._writer.relayout

            def meanwhile(*arguments: Any) -> Any:
                journal._loop.call_soon_threadsafe(journal.put, scan(0, 1001))
                return write(*arguments)

            journal._writer.relayout = meanwhile  # type: ignore[method-assign]
            with pytest.raises(StorageError, match="still brings records"):
                await turn(journal, bench, slower)
            await journal.flush(seal=True)
        assert (0, 1001) in slots_of(bench.records())
