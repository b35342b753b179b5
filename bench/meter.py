"""What a process tree has used, read from /proc (Linux)."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """Run time since start, memory now, and bytes handed to block devices since start."""

    cpu_s: float
    rss_bytes: int
    write_bytes: int
    threads: int
    processes: int


def tree(pid: int) -> list[int]:
    """``pid`` and all its living descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := stat_fields(int(entry.name))):
            children[int(stat[1])].append(int(entry.name))
    found = [pid]
    for known in found:
        found.extend(children[known])
    return found


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (proc(5): index 0 is the state); empty when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def run_time(pid: int, stat: list[str]) -> float:
    """Seconds of CPU of all threads, living and ended, and of children that were waited for.

    The scheduler's own count (schedstat, nanoseconds) is exact but knows only living threads; the one in
    stat knows all but counts in ticks: the larger of the two is never too much.
    """
    nanoseconds = 0
    for task in (PROC / str(pid) / "task").iterdir():
        try:
            nanoseconds += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    ticks = (int(stat[11]) + int(stat[12])) / TICKS
    return max(nanoseconds / 1e9, ticks) + (int(stat[13]) + int(stat[14])) / TICKS


def written(pid: int) -> int:
    """Bytes that the process caused to be sent to a block device (``write_bytes`` of /proc/PID/io)."""
    for line in (PROC / str(pid) / "io").read_text().splitlines():
        name, _, number = line.partition(": ")
        if name == "write_bytes":
            return int(number)
    return 0


def measure(pid: int) -> Usage:
    """What the process and its descendants have used; raises ProcessLookupError when it has ended."""
    cpu, rss, disk, threads, processes = 0.0, 0, 0, 0, 0
    for member in tree(pid):
        stat = stat_fields(member)
        try:
            cpu += run_time(member, stat)
            disk += written(member)
        except (OSError, IndexError):
            if member == pid:
                raise ProcessLookupError(pid) from None
            continue
        rss += int(stat[21]) * PAGE
        threads += int(stat[17])
        processes += 1
    return Usage(cpu, rss, disk, threads, processes)
