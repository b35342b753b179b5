"""Fixtures of the journal's tests; what they are made of stands in buffer_bench.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
from buffer_bench import PERIOD_MS, Bench, Clock, make_layout, scan

from gateway.buffer.journal import Journal
from gateway.model import Miss, Quality, Scan
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    spec = BufferSpec(loss_window_ms=20, batch_values=100, batch_min_age_s=1.0, batch_max_age_s=60.0)
    return Bench(tmp_path, FileSigner.create(tmp_path / "gateway.key"), Clock(), make_layout(), spec)


@pytest.fixture
def put_second(bench: Bench) -> Callable[[Journal, int], list[Scan | Miss]]:
    """Put one slot of every device: the last device does not answer."""

    def put(journal: Journal, slot: int) -> list[Scan | Miss]:
        records: list[Scan | Miss] = [scan(device, slot) for device in range(len(bench.layout.devices) - 1)]
        records.append(Miss(len(bench.layout.devices) - 1, slot, 1, Quality.TIMEOUT))
        for record in records:
            journal.put(record)
        bench.clock.advance(PERIOD_MS)
        return records

    return put
