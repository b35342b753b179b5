"""What the process itself uses, under the names that all Prometheus clients give it."""

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.operations.exposition import Labels, Row

__all__ = ["PROCESS_TABLE", "process_samples"]

PROCESS_TABLE: dict[str, Row] = {
    "process_cpu_seconds_total": Row("counter", "Total user and system CPU time spent in seconds."),
    "process_virtual_memory_bytes": Row("gauge", "Virtual memory size in bytes."),
    "process_resident_memory_bytes": Row("gauge", "Resident memory size in bytes."),
    "process_start_time_seconds": Row("gauge", "Start time of the process since unix epoch in seconds."),
    "process_open_fds": Row("gauge", "Number of open file descriptors."),
    "process_max_fds": Row("gauge", "Maximum number of open file descriptors."),
    "process_threads": Row("gauge", "Number of threads."),
}


def process_samples(proc: Path = Path("/proc")) -> Iterator[tuple[str, Labels, float]]:
    """Samples of what can be read (proc(5)); what cannot is absent."""
    for name, value in (*_of_stat(proc), *_of_descriptors(proc)):
        yield name, (), value
    try:
        yield "process_threads", (), sum(1 for _ in (proc / "self/task").iterdir())
    except OSError:
        return


def _of_stat(proc: Path) -> Iterator[tuple[str, float]]:
    """Fields are counted from the state on: index 0 is the third of proc(5)."""
    ticks = os.sysconf("SC_CLK_TCK")
    try:
        stat = (proc / "self/stat").read_bytes()
        boot = (proc / "stat").read_bytes()
    except OSError:
        return
    fields = stat[stat.rindex(b")") + 2 :].split()
    yield "process_cpu_seconds_total", (int(fields[11]) + int(fields[12])) / ticks
    yield "process_virtual_memory_bytes", float(fields[20])
    yield "process_resident_memory_bytes", float(int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
    began = [line.split()[1] for line in boot.splitlines() if line.startswith(b"btime ")]
    if began:
        yield "process_start_time_seconds", int(began[0]) + int(fields[19]) / ticks


def _of_descriptors(proc: Path) -> Iterator[tuple[str, float]]:
    try:
        yield "process_open_fds", float(sum(1 for _ in (proc / "self/fd").iterdir()))
        limits = (proc / "self/limits").read_bytes()
    except OSError:
        return
    for line in limits.splitlines():
        if line.startswith(b"Max open files"):
            most = line.split()[3]
            yield "process_max_fds", float("inf") if most == b"unlimited" else float(most)
