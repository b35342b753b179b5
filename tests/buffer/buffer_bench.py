"""A gateway's journal on a real file, with a clock that the test moves."""

from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.buffer.journal import Journal
from gateway.buffer.reader import Reader
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Layout, Scan, Stream
from gateway.seal.batch import open_batch, registration_payload
from gateway.seal.columns import decode_events, decode_scans
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec, Identity

IDENTITY = Identity(member="dairy", site="north", gateway="gw-1")
UTC_MS = 1_795_360_000_000
PERIOD_MS = 1000
DAY_MS = 86_400_000


@dataclass
class Clock:
    """A claim that the test moves on: boot time by hand, the wall clock right behind it."""

    boot: bytes = bytes(range(16))
    boot_ms: int = 1_000_000
    utc_ms: int | None = UTC_MS

    def __call__(self) -> ClockClaim:
        if self.utc_ms is None:
            return ClockClaim(self.boot, self.boot_ms, None, None, ClockState.UNTRUSTED)
        return ClockClaim(self.boot, self.boot_ms, self.utc_ms, 20, ClockState.TRUSTED)

    def advance(self, ms: int) -> None:
        self.boot_ms += ms
        if self.utc_ms is not None:
            self.utc_ms += ms


def make_layout(devices: int = 3, columns: int = 4) -> Layout:
    """Devices of equal shape; device n is due n ms after the full second."""
    return Layout(
        tuple(
            DeviceLayout(
                id=f"device-{index}",
                bus="line",
                model="probe",
                model_hash="00" * 8,
                period_ms=PERIOD_MS,
                phase_ms=index,
                columns=tuple(Column(f"channel-{column}", "degC", 1) for column in range(columns)),
            )
            for index in range(devices)
        )
    )


def scan(device: int, slot: int, *, columns: int = 4, value: float | None = None) -> Scan:
    """A good scan whose values tell device and slot."""
    first = device * 10 + slot % 1000 / 10 if value is None else value
    values = array("d", [round(first + column, 1) for column in range(columns)])
    return Scan(device, slot, slot * PERIOD_MS + device + 7, values, bytes(columns))


def slots_of(records: list[Any]) -> list[tuple[int, int]]:
    """(device, slot) for every slot that records account for, misses written out."""
    return [
        (record.device, record.slot + index)
        for record in records
        for index in range(1 if isinstance(record, Scan) else record.count)
    ]


@dataclass
class Bench:
    """A data directory and all that it takes to open a journal there, again and again."""

    folder: Path
    signer: FileSigner
    clock: Clock
    layout: Layout
    spec: BufferSpec

    @property
    def path(self) -> Path:
        return self.folder / "journal.db"

    async def start(self, **changes: Any) -> Journal:
        """Open; the commit loop is not running."""
        options: dict[str, Any] = {
            "signer": self.signer,
            "iss": IDENTITY.urn,
            "layout": self.layout,
            "spec": self.spec,
            "clock": self.clock,
            "registration": registration_payload(
                self.signer.public, IDENTITY, config_digest=bytes(32), storage="file", software="test"
            ),
        }
        return await Journal.open(self.path, **(options | changes))

    @asynccontextmanager
    async def journal(self, **changes: Any) -> AsyncIterator[Journal]:
        """An open journal that is closed in the end."""
        journal = await self.start(**changes)
        try:
            yield journal
        finally:
            await journal.close()

    def reader(self) -> Reader:
        return Reader(self.path)

    def records(self, *, tail: bool = True) -> list[Any]:
        """Every scan and miss on disk, in the order of the batches, then those of the tail."""
        reader = self.reader()
        layouts = reader.layouts()
        found: list[Any] = []
        for batch in batches(reader, "scan"):
            if batch.seq and batch.body is not None:
                opened = open_batch(batch.body)
                for layout in layouts.values():
                    try:
                        found += decode_scans(layout, opened.payload)
                    except Exception as error:
                        if getattr(error, "kind", "") != "wrong-layout":
                            raise
        if tail:
            for _, _, records in reader.tail():
                found += records
        reader.close()
        return found

    def events(self) -> list[Event]:
        """Every event on disk."""
        reader = self.reader()
        found: list[Event] = []
        for batch in batches(reader, "event"):
            if batch.seq and batch.body is not None:
                found += decode_events(open_batch(batch.body).payload)
        reader.close()
        return found

    def verify(self) -> None:
        """The chain of both streams is whole, every signature holds, nothing is wrong with the file."""
        reader = self.reader()
        assert reader.check() == []
        for stream in ("scan", "event"):
            for batch in batches(reader, stream):
                if batch.body is not None:
                    open_batch(batch.body).verify(self.signer.public)
        reader.close()

    def with_spec(self, **changes: Any) -> "Bench":
        return replace(self, spec=replace(self.spec, **changes))


def batches(reader: Reader, stream: Stream) -> Iterator[Any]:
    """All batches of a stream."""
    at = 0
    while found := reader.batches(stream, at, 1000):
        yield from found
        at = found[-1].seq + 1
