"""The thread that works for the event loop."""

import asyncio
import threading

import pytest

from gateway.buffer.worker import Worker


@pytest.fixture
async def worker():
    worker = Worker("test", asyncio.get_running_loop())
    yield worker
    worker.end()


async def test_work_is_done_on_one_other_thread_in_the_order_it_was_asked_for(worker):
    done = []
    futures = [
        worker.run(lambda number: done.append((number, threading.get_ident())), number) for number in range(9)
    ]
    await asyncio.gather(*futures)
    assert [number for number, _ in done] == list(range(9))
    assert {thread for _, thread in done} == {done[0][1]} != {threading.get_ident()}


async def test_what_goes_wrong_is_raised_where_it_is_awaited_and_the_thread_goes_on(worker):
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(divmod, 7, 2) == (3, 1)


async def test_work_is_done_even_if_nobody_waits_any_more(worker):
    begin, done = threading.Event(), []
    worker.run(begin.wait)
    waiting = worker.run(done.append, 1)
    waiting.cancel()
    begin.set()
    await worker.run(done.append, 2)
    assert done == [1, 2]


async def test_the_thread_ends_once_everything_is_done():
    worker = Worker("ending", asyncio.get_running_loop())
    thread = await worker.run(threading.current_thread)
    last = worker.run(int, "7")
    worker.end()
    assert await last == 7
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


def test_a_loop_that_is_closed_does_not_stop_the_work():
    loop = asyncio.new_event_loop()
    worker = Worker("orphan", loop)
    done = threading.Event()
    loop.close()
    future = worker.run(int)
    worker.run(done.set)
    assert done.wait(5)
    assert not future.done()
    worker.end()
