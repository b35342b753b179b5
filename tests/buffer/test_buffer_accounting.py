"""The accounting identity as a state machine: whatever happens to the store, each slot comes out exactly once."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

from buffer_bench import Bench, Clock, make_layout, scan, slots_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_buffer_journal import abandon
from test_buffer_outage import no_file_may_grow_beyond
from test_buffer_retention import acknowledge_all

from gateway.model import Event, Miss, Quality
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec


class Accounting(RuleBasedStateMachine):
    """Puts records, fails, restarts, is cut off; ``put`` is every slot that was given to the journal."""

    def __init__(self):
        super().__init__()
        self.cleanup = contextlib.ExitStack()
        self.loop = asyncio.new_event_loop()
        self.cleanup.callback(self.loop.close)

    @initialize(min_age=st.sampled_from([0.0, 3.0]), values=st.sampled_from([1, 30, 1000]))
    def begin(self, min_age, values):
        folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory()))
        spec = BufferSpec(batch_values=values, batch_min_age_s=min_age, batch_max_age_s=20.0)
        self.bench = Bench(folder, FileSigner.create(folder / "key"), Clock(), make_layout(), spec)
        self.put: list[tuple[int, int]] = []
        self.stored = 0  # how many of them are on disk for certain
        self.next = [1000, 1000, 1000]
        self.events = 0
        self.failing = False
        self.open()

    def open(self):
        self.journal = self.loop.run_until_complete(self.bench.start(memory=60))

    def flush(self):
        if self.failing:
            with no_file_may_grow_beyond(1):
                stored = self.loop.run_until_complete(self.journal.flush())
        else:
            stored = self.loop.run_until_complete(self.journal.flush())
            assert stored
        if stored:
            self.stored = len(self.put)

    @rule(device=st.integers(0, 2), answered=st.integers(0, 3), count=st.integers(1, 5))
    def record(self, device, answered, count):
        slot = self.next[device]
        if answered:
            count = 1
            self.journal.put(scan(device, slot))
        else:
            self.journal.put(Miss(device, slot, count, Quality.TIMEOUT))
        self.put += [(device, slot + index) for index in range(count)]
        self.next[device] += count
        self.bench.clock.advance(700)

    @rule()
    def commit(self):
        self.flush()

    @rule()
    def event(self):
        self.events += 1

        async def put_event():
            waiting = asyncio.ensure_future(self.journal.put_event(Event("note", 5, {"n": self.events})))
            await asyncio.sleep(0)
            await self.journal.flush()
            return await waiting

        limit = no_file_may_grow_beyond(1) if self.failing else contextlib.nullcontext()
        with limit:
            stored = self.loop.run_until_complete(put_event())
        assert stored is not self.failing
        if stored:
            self.stored = len(self.put)

    @rule()
    def receipt(self):
        self.loop.run_until_complete(acknowledge_all(self.journal))

    @precondition(lambda self: not self.failing)
    @rule()
    def begin_to_fail(self):
        self.failing = True

    @precondition(lambda self: self.failing)
    @rule()
    def mend(self):
        self.failing = False

    @precondition(lambda self: not self.failing)
    @rule()
    def restart(self):
        self.loop.run_until_complete(self.journal.close())
        self.stored = len(self.put)
        self.open()

    @precondition(lambda self: not self.failing)
    @rule()
    def power_cut(self):
        """What was not committed is lost; the slots go on where the record ends."""
        self.flush()
        abandon(self.journal)
        self.open()

    @invariant()
    def each_slot_is_on_disk_or_in_memory_exactly_once(self):
        slots = slots_of(self.bench.records()) + slots_of(self.journal._backlog.records)
        assert sorted(slots) == sorted(self.put)

    @invariant()
    def what_was_acknowledged_is_on_disk(self):
        assert set(self.put[: self.stored]) <= set(slots_of(self.bench.records()))

    def teardown(self):
        if hasattr(self, "journal"):
            self.failing = False
            self.loop.run_until_complete(self.journal.close())
            assert sorted(slots_of(self.bench.records())) == sorted(self.put)
            noted = [event.data["n"] for event in self.bench.events() if event.kind == "note"]
            assert noted == list(range(1, self.events + 1))
            self.bench.verify()
        self.cleanup.close()


TestAccounting = Accounting.TestCase
TestAccounting.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
