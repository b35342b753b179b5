"""The meter: sane numbers for this process and for a child."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.meter import measure, tree, written
from bench.stage import Process


def test_run_time_agrees_with_what_the_process_itself_knows() -> None:
    before, own_before = measure(os.getpid()), time.process_time()
    while time.process_time() - own_before < 0.2:
        sum(range(1000))
    after, own_after = measure(os.getpid()), time.process_time()
    assert after.cpu_s - before.cpu_s == pytest.approx(own_after - own_before, abs=0.1)
    assert after.rss_bytes > 5e6
    assert after.threads >= after.processes >= 1


def test_descendants_count() -> None:
    line = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    child = subprocess.Popen([sys.executable, "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == b"1\n"
        assert tree(child.pid)[0] == child.pid
        assert measure(child.pid).processes == 2
        child.stdin.close()


def test_a_process_that_has_ended_cannot_be_measured() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(ProcessLookupError):
        measure(child.pid)


WRITE = "with open({!r}, 'wb') as file: file.write(bytes(1 << 20)); file.flush(); os.fsync(file.fileno())"


def test_bytes_written_count_to_the_very_end_of_a_process(tmp_path: Path) -> None:
    before = written(os.getpid())
    exec(WRITE.format(str(tmp_path / "probe")))
    if written(os.getpid()) == before:
        pytest.skip("temporary files are not on a disk here")
    program = (
        "import os, signal, sys\n"
        f"def end(*_):\n    {WRITE.format(str(tmp_path / 'data'))}\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()\n"
    )
    process = Process([sys.executable, "-c", program], tmp_path / "log")
    while "ready" not in (tmp_path / "log").read_text():
        assert process.alive()
    assert process.end_counting() >= 1 << 20
    assert not process.alive()
