"""CSV files in a folder: whole or not there, in order, and never at the cost of the journal's disk."""

import csv
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_plugins.csv_drop import COLUMNS, PART
from value_tools import made, reading, silent, value

from gateway.api import OutputError


def drop(folder: Path, **changes: Any) -> Any:
    return made("csv-drop", {"folder": folder, "reserve_mb": 0, **changes})


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.csv"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert all(set(row) == set(COLUMNS) and None not in row.values() for row in found)
    return found


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond ``size``, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


async def test_a_file_appears_when_it_is_old_enough_and_holds_all_of_it(tmp_path: Path) -> None:
    output = drop(tmp_path, minutes=1)
    one = value(points=("cold-room-1", "ccp-2"))
    stored = reading("fridge", 2, value(number=-0.04), stored=True)
    await output.take([reading("fridge", 0, one), silent(slot=1), stored])
    assert files(tmp_path) == []
    await output.take([reading(slot=7)])
    (first,) = files(tmp_path)
    assert first.name == "aurora-gw-1-20251124T120000Z-001.csv"
    good, missed, late = rows(first)
    assert (good["utc"], good["value"], good["points"]) == ("2025-11-24T12:00:00.000Z", "4.1", "cold-room-1 ccp-2")
    assert (missed["value"], missed["severity"], missed["reason"]) == ("", "bad", "timeout")
    assert (late["value"], late["stored"]) == ("0.0", "1")
    await output.close()
    assert [row["slot"] for row in rows(files(tmp_path)[1])] == ["7"]
    assert not (tmp_path / PART).exists()


async def test_a_file_is_finished_before_it_is_too_large(tmp_path: Path) -> None:
    output = drop(tmp_path, largest_mb=1, minutes=10_000)
    for part in range(30):
        await output.take([reading(slot=part * 1000 + number) for number in range(1000)])
    await output.close()
    assert len(files(tmp_path)) > 1
    assert all(path.stat().st_size <= 10**6 for path in files(tmp_path))
    slots = [int(row["slot"]) for path in files(tmp_path) for row in rows(path)]
    assert slots == list(range(30_000))


async def test_what_a_crash_left_becomes_a_file_up_to_its_last_whole_row(tmp_path: Path) -> None:
    crashed = drop(tmp_path)
    await crashed.take([reading(slot=0), reading(slot=1)])
    with (tmp_path / PART).open("ab") as part:
        part.write(b"2025-11-24T12:00:20.000Z,1020000,fridge,2,1,tempera")
    output = drop(tmp_path)
    await output.take([reading(slot=3)])
    (first,) = files(tmp_path)
    assert [row["slot"] for row in rows(first)] == ["0", "1"]
    await output.close()
    assert [row["slot"] for path in files(tmp_path) for row in rows(path)] == ["0", "1", "3"]


async def test_what_cannot_be_written_whole_leaves_no_trace_and_comes_again(tmp_path: Path) -> None:
    output = drop(tmp_path)
    await output.take([reading(slot=0)])
    size = (tmp_path / PART).stat().st_size
    with file_limit(size + 100), pytest.raises(OutputError, match="cannot be written to"):
        await output.take([reading(slot=number) for number in range(1, 50)])
    assert (tmp_path / PART).stat().st_size == size
    await output.take([reading(slot=number) for number in range(1, 50)])
    await output.close()
    assert [int(row["slot"]) for row in rows(files(tmp_path)[0])] == list(range(50))


async def test_the_disk_is_left_to_the_journal(tmp_path: Path) -> None:
    output = drop(tmp_path, reserve_mb=1_000_000)
    with pytest.raises(OutputError, match="left to the journal") as caught:
        await output.take([reading()])
    assert caught.value.retry
    with pytest.raises(OutputError, match="left to the journal"):
        await output.test()
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not there"):
        await drop(tmp_path / "gone").take([reading()])


async def test_the_oldest_go_when_nobody_fetches_them_and_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "aurora-gw-2-20200101T000000Z-001.csv").touch()
    output = drop(tmp_path, minutes=1, keep=2)
    for minute in range(5):
        await output.take([reading(slot=6 * minute)])
    await output.close()
    names = [path.name for path in files(tmp_path)]
    assert names == [
        "aurora-gw-1-20251124T120300Z-001.csv",
        "aurora-gw-1-20251124T120400Z-001.csv",
        "aurora-gw-2-20200101T000000Z-001.csv",
    ]


async def test_a_time_that_is_not_known_is_no_time(tmp_path: Path) -> None:
    output = drop(tmp_path)
    await output.take([reading(utc_ms=None)])
    await output.close()
    (only,) = files(tmp_path)
    assert only.name == "aurora-gw-1-time-unknown-001.csv"
    assert rows(only)[0]["utc"] == ""
