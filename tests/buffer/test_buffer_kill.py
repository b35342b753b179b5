"""kill -9 at any moment: what was on disk is there, the chain is whole, and nothing is there twice."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from buffer_bench import Bench, Clock, batches, make_layout, scan, slots_of

from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec

PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from buffer_bench import Bench, Clock, make_layout, scan
from gateway.model import Event, Miss, Quality
from gateway.seal.keys import FileSigner
from gateway.seal.tree import Frontier
from gateway.site import BufferSpec

async def main(folder, first):
    signer = FileSigner.load(folder / "gateway.key")
    spec = BufferSpec(loss_window_ms=2, batch_values=100, batch_min_age_s=0.0, max_bytes=2_000_000)
    bench = Bench(folder, signer, Clock(boot_ms=first * 1000), make_layout(), spec)
    journal = await bench.start()
    task = asyncio.create_task(journal.run())
    for slot in range(first, first + 1_000_000):
        journal.put(scan(0, slot))
        journal.put(scan(1, slot) if slot % 7 else Miss(1, slot, 1, Quality.TIMEOUT))
        bench.clock.advance(1000)
        if slot % 50 == 0:
            assert await journal.put_event(Event("note", slot, {{"slot": slot}}))
        elif await journal.flush():
            print(slot, flush=True)
        if slot % 30 == 0:
            size = journal.head("scan").seq + 1
            frontier = Frontier.of(await journal.leaves("scan", 0, size))
            await journal.acknowledge("scan", size, frontier.to_bytes(), b"receipt")

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def run_and_kill(folder: Path, first: int, source: random.Random) -> int:
    """Let a process write from slot ``first`` on, kill it amid its work; the last slot that it said was on disk."""
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", program, str(folder), str(first)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    acknowledged = first - 1
    for _ in range(source.randrange(1, 120)):
        acknowledged = int(process.stdout.readline())
    for _ in range(source.randrange(20_000)):  # some part of a commit
        pass
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    return int(rest[-1]) if rest else acknowledged


@pytest.mark.timeout(120)
def test_whatever_moment_a_kill_hits_nothing_acknowledged_is_lost_and_nothing_doubled(tmp_path):
    signer = FileSigner.create(tmp_path / "gateway.key")
    bench = Bench(tmp_path, signer, Clock(), make_layout(), BufferSpec())
    source = random.Random(11)
    first = 1000
    for _ in range(8):
        acknowledged = run_and_kill(tmp_path, first, source)
        slots = slots_of(bench.records())
        assert len(slots) == len(set(slots)), "a slot is there twice"
        for device in (0, 1):
            there = {slot for of, slot in slots if of == device}
            assert set(range(1000, acknowledged + 1)) <= there, "a slot that was on disk is gone"
        first = max(slot for _, slot in slots) + 1
    bench.verify()
    noted = [event.data["slot"] for event in bench.events() if event.kind == "note"]
    assert set(range(1000, acknowledged + 1, 50)) <= set(noted)
    assert len(noted) == len(set(noted))
    reader = bench.reader()
    assert [batch.seq for batch in batches(reader, "scan")] == list(range(len(list(batches(reader, "scan")))))
    reader.close()


async def test_a_log_that_was_cut_off_amid_a_write_gives_the_commits_before_it(tmp_path):
    """A power cut may leave any part of the last writes: whole transactions count, the rest does not."""
    signer = FileSigner.create(tmp_path / "gateway.key")
    whole = Bench(
        tmp_path / "whole", signer, Clock(), make_layout(), BufferSpec(batch_values=60, batch_min_age_s=0.0)
    )
    whole.folder.mkdir()
    journal = await whole.start()
    for slot in range(1000, 1040):
        journal.put(scan(0, slot))
        assert await journal.flush()
    file = whole.path.read_bytes()
    log = whole.path.with_name("journal.db-wal").read_bytes()
    await journal.close()
    source = random.Random(2)
    lengths = sorted({32, 33, len(log), *(source.randrange(len(log)) for _ in range(25))})
    before = 0
    for number, length in enumerate(lengths):
        cut = Bench(tmp_path / f"cut-{number}", signer, Clock(), make_layout(), BufferSpec())
        cut.folder.mkdir()
        cut.path.write_bytes(file)
        cut.path.with_name("journal.db-wal").write_bytes(log[:length] + source.randbytes(source.randrange(700)))
        async with cut.journal() as journal:
            assert journal.stats.set_aside == []
        slots = slots_of(cut.records())
        assert slots == [(0, slot) for slot in range(1000, 1000 + len(slots))]
        assert len(slots) >= before
        before = len(slots)
        cut.verify()
    assert before == 40
