"""What the process itself uses, under the names that all Prometheus clients give it; read from /proc (proc(5))."""

import os
import resource
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

UTIME, STIME, THREADS, STARTED, VSIZE, RSS = 11, 12, 17, 19, 20, 21
"""Fields of /proc/PID/stat after the name, counted from the state."""


def process_samples(proc: Path = Path("/proc")) -> Iterator[tuple[str, Labels, float]]:
    """Samples of what can be read; what cannot is absent."""
    ticks = os.sysconf("SC_CLK_TCK")
    try:
        text = (proc / "self/stat").read_text()
        fields = text[text.rindex(")") + 2 :].split()
        yield "process_cpu_seconds_total", (), (int(fields[UTIME]) + int(fields[STIME])) / ticks
        yield "process_virtual_memory_bytes", (), int(fields[VSIZE])
        yield "process_resident_memory_bytes", (), int(fields[RSS]) * resource.getpagesize()
        yield "process_threads", (), int(fields[THREADS])
        booted = _booted(proc)
        if booted is not None:
            yield "process_start_time_seconds", (), booted + int(fields[STARTED]) / ticks
        yield "process_open_fds", (), len(os.listdir(proc / "self/fd"))  # noqa: PTH208 - 1000 paths would be made
    except (OSError, ValueError, IndexError):
        return
    yield "process_max_fds", (), resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _booted(proc: Path) -> int | None:
    for line in (proc / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line[6:])
    return None
