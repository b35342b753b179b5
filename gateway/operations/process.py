"""What the process itself uses, under the names that all Prometheus clients give it."""

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
    from prometheus_client import ProcessCollector

    for family in ProcessCollector(proc=str(proc), registry=None).collect():
        for sample in family.samples:
            if sample.name in PROCESS_TABLE:
                yield sample.name, (), sample.value
    try:
        yield "process_threads", (), sum(1 for _ in (proc / "self/task").iterdir())
    except OSError:
        return
