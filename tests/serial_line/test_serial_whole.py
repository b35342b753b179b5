"""A gateway with a scale on a serial port, from the wire to the signed record, the page and the metrics."""

import asyncio
from contextlib import closing
from pathlib import Path

from pty_tools import Wire
from test_serial_gateway import scale

from gateway.app import STREAMS, Gateway
from gateway.buffer.reader import Reader
from gateway.clock import Clock
from gateway.metrics import TABLE, Exposition
from gateway.model import Scan
from gateway.records import Archive
from gateway.site import BufferSpec, BusSpec, DeviceSpec, Identity, Site
from gateway.status import Status


async def test_from_the_wire_to_the_record(wire: Wire, tmp_path: Path) -> None:
    wire.answer = scale
    site = Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=tmp_path,
        buses=(BusSpec(id="packing", kind="serial", device=str(wire.path)),),
        devices=(
            DeviceSpec(id="scale", bus="packing", model="mt-sics", unit=0, period_ms=200, channels=("weight",)),
        ),
        buffer=BufferSpec(loss_window_ms=50),
        web=None,
        digest="00" * 32,
    )
    gateway, stop = Gateway(site, Clock(site.clock)), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    (poller,) = gateway.acquire.pollers
    async with asyncio.timeout(40):
        while poller.stats.scans < 5:
            await asyncio.sleep(0.01)
    found = {(name, labels): value for name, labels, value in Exposition(gateway)._buses()}
    assert found["aurora_bus_up", ("packing",)] == 1
    assert found["aurora_line_requests_total", ("packing",)] >= 5
    assert found["aurora_line_answers_total", ("packing", "answers")] >= 5
    assert {name for name, _ in found} <= set(TABLE)
    (device,) = Status(gateway).snapshot()["devices"]
    (weight,) = device["channels"]
    assert (weight["name"], weight["value"], weight["unit"]) == ("weight", 0.1, "kg")
    stop.set()
    async with asyncio.timeout(30):
        await task
    with closing(Reader(tmp_path / "journal.db")) as reader:
        events, scans = (
            [batch.body for batch in reader.batches(stream, 0, 10_000) if batch.body is not None]
            for stream in (STREAMS[1], STREAMS[0])
        )
    archive = Archive()
    list(archive.add_events(events))
    records = [record for body in scans for record in archive.scans(body)[2]]
    assert {tuple(record.values) for record in records if isinstance(record, Scan)} == {(0.1,)}
