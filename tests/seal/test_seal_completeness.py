"""The account of a channel: every slot that was due, and what became of it, from signed batches."""

from array import array
from hashlib import sha256
from math import nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SealError
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Head, Layout, Miss, Quality, Scan
from gateway.seal.backfill import BACKFILL, Backfill, Row, backfill_data
from gateway.seal.batch import EVENT_TYPE, NO_PREVIOUS, SCAN_TYPE, OpenBatch, open_batch, seal_batch
from gateway.seal.columns import encode_scans
from gateway.seal.completeness import (
    ABSENT,
    DELETED,
    NEW_SCHEDULE,
    NO_RECORD,
    NOT_RUNNING,
    NOWHERE,
    Completeness,
    Gap,
    account,
)
from gateway.seal.events import encode_events
from gateway.seal.keys import FileSigner
from gateway.seal.layout import layout_cbor, layout_id

UTC = 1_795_360_000_000
"""When boot time 0 of the first boot was."""
ISS = "urn:aurora:dairy:gw-1"
COLUMNS = (Column("t", "degC", 1), Column("t", "degC", 1, "indicated"))


def layout(period_ms: int = 1000) -> Layout:
    other = DeviceLayout("other", "line", "probe", "0" * 16, 500, 0, (Column("t", "degC", 1),))
    return Layout((other, DeviceLayout("room", "line", "probe", "0" * 16, period_ms, 0, COLUMNS)))


class Box:
    """A gateway's batches, made one by one."""

    def __init__(self, signer: FileSigner) -> None:
        self.signer = signer
        self.events: list[OpenBatch] = []
        self.scans: list[OpenBatch] = []
        self.boot, self.offset, self.error_ms = bytes(16), UTC, 12
        self.state = ClockState.TRUSTED
        self.now_ms = 0
        self.layout = layout()
        self.tell("layout", id=layout_id(self.layout), layout=layout_cbor(self.layout))

    def clock(self) -> ClockClaim:
        if self.state is ClockState.UNTRUSTED:
            return ClockClaim(self.boot, self.now_ms, None, None, self.state)
        return ClockClaim(self.boot, self.now_ms, self.offset + self.now_ms, self.error_ms, self.state)

    def seal(self, stream: str, payload: bytes, kind: str, seq: int) -> OpenBatch:
        batch = seal_batch(
            self.signer, iss=ISS, stream=stream, seq=seq, prev=sha256(b"x").digest() if seq else NO_PREVIOUS,
            other=Head(1, bytes(32)), clock=self.clock(), payload=payload, content_type=kind,
        )  # fmt: skip
        return open_batch(batch.body)

    def tell(self, kind: str, **data: object) -> None:
        payload = encode_events([Event(kind, self.now_ms, dict(data))])
        self.events.append(self.seal("event", payload, EVENT_TYPE, len(self.events) + 1))

    def batch(self, *records: Scan | Miss, seq: int | None = None) -> None:
        number = seq if seq is not None else (self.scans[-1].seq + 1 if self.scans else 1)
        self.scans.append(self.seal("scan", encode_scans(self.layout, list(records)), SCAN_TYPE, number))

    def read(self, *slots: int, quality: int = 0, period_ms: int = 1000) -> list[Scan]:
        value = nan if quality >= 0x80 else 2.5
        return [
            Scan(1, slot, slot * period_ms + 3, array("d", [value, value]), bytes([quality, quality]),
                 b"x" if quality >= 0x80 else None)
            for slot in slots
        ]  # fmt: skip

    def account(self, first: int, stop: int) -> Completeness:
        """Slots ``first`` to ``stop`` - 1 of the first boot, as a period."""
        return account(
            self.events, self.scans, device="room", channel="t", from_ms=UTC + first * 1000, to_ms=UTC + stop * 1000
        )


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("key") / "gateway.key")


@pytest.fixture
def box(signer: FileSigner) -> Box:
    return Box(signer)


def test_a_whole_record_is_whole(box: Box) -> None:
    box.batch(*box.read(*range(10)))
    box.batch(*box.read(*range(10, 20)))
    found = box.account(5, 15)
    assert (found.due, found.good, found.gaps, found.scans) == (10, 10, (), (1, 2))
    assert (found.clock_error_ms, found.clock_states, found.untimed) == (12, {"trusted": 2}, 0)


def test_every_kind_of_slot_is_counted_with_its_reason(box: Box) -> None:
    box.batch(
        *box.read(0, 1),
        *box.read(2, quality=Quality.UNCALIBRATED),
        *box.read(3, 4, quality=Quality.SENSOR_FAULT),
        Miss(1, 5, 3, Quality.TIMEOUT),
        *box.read(8, 9),
    )
    found = box.account(0, 10)
    assert (found.due, found.good, found.uncertain, found.bad, found.missed) == (10, 4, 1, 2, 3)
    assert found.reasons == {"uncalibrated": 1, "sensor_fault": 2, "timeout": 3}
    assert found.gaps == (
        Gap(UTC + 3000, UTC + 5000, 2, "sensor_fault"),
        Gap(UTC + 5000, UTC + 8000, 3, "timeout"),
    )
    # A period that cuts through a gap has its part of it.
    found = box.account(6, 9)
    assert (found.due, found.good, found.missed, found.gaps) == (
        3,
        1,
        2,
        (Gap(UTC + 6000, UTC + 8000, 2, "timeout"),),
    )


def test_what_is_not_on_record_is_said(box: Box) -> None:
    box.batch(*box.read(*range(5, 10)))
    assert box.account(0, 20).gaps == (
        Gap(UTC, UTC + 5000, None, NO_RECORD),
        Gap(UTC + 10_000, UTC + 20_000, None, NO_RECORD),
    )
    assert account(box.events, [], device="room", channel="t", from_ms=0, to_ms=9).gaps == (
        Gap(0, 9, None, NO_RECORD),
    )


def test_holes_have_their_cause(box: Box) -> None:
    box.batch(*box.read(0, 1), seq=1)
    box.batch(*box.read(4, 5), seq=2)
    box.batch(*box.read(8, 9), seq=4)
    box.batch(*box.read(12, 13), seq=6)
    box.tell("deleted", stream="scan", first=3, last=3, leaves=[bytes(32)], reason="full")
    found = box.account(0, 14)
    assert found.gaps == (
        Gap(UTC + 2000, UTC + 4000, 2, NOWHERE),
        Gap(UTC + 6000, UTC + 8000, 2, DELETED),
        Gap(UTC + 10_000, UTC + 12_000, 2, ABSENT),
    )
    assert (found.deleted, found.absent) == (((3, 3),), ((5, 5),))


def test_a_slot_recorded_twice_is_counted_once_and_said(box: Box) -> None:
    box.batch(*box.read(0, 1, 2), Miss(1, 3, 4, Quality.TIMEOUT))
    box.batch(*box.read(2), Miss(1, 5, 4, Quality.TIMEOUT))
    found = box.account(0, 9)
    assert (found.due, found.twice, found.missed) == (9, 3, 6)


def test_another_boot_and_another_schedule(box: Box) -> None:
    box.batch(*box.read(0, 1, 2))
    box.boot, box.offset = b"2" * 16, UTC + 10_000
    box.batch(*box.read(0, 1, 2))
    box.layout = layout(2000)
    box.tell("layout", id=layout_id(box.layout), layout=layout_cbor(box.layout))
    box.batch(*box.read(3, 4, period_ms=2000))
    found = box.account(0, 20)
    assert (found.due, found.good) == (8, 8)
    assert found.gaps == (
        Gap(UTC + 3000, UTC + 10_000, None, NOT_RUNNING),
        Gap(UTC + 13_000, UTC + 16_000, None, NEW_SCHEDULE),
    )


def test_a_time_that_nobody_knew_is_counted_apart_until_it_is_corrected(box: Box) -> None:
    box.state = ClockState.UNTRUSTED
    box.batch(*box.read(0, 1, 2))
    found = box.account(0, 3)
    assert (found.due, found.untimed, found.clock_error_ms) == (0, 3, None)
    box.tell("clock.correction", boot=box.boot, offset_ms=UTC, error_ms=700)
    found = box.account(0, 3)
    assert (found.due, found.untimed, found.clock_error_ms, found.clock_states) == (3, 0, 700, {"corrected": 1})


def test_what_the_sensor_kept_fills_misses_of_its_channel(box: Box) -> None:
    box.batch(*box.read(0), Miss(1, 1, 4, Quality.TIMEOUT), *box.read(5))
    rows = tuple(Row(slot, slot * 1000 - 10, 50, (3.5,), b"raw") for slot in (2, 3))
    for channel, expected in (("humidity", 0), ("t", 2)):
        backfill = Backfill(
            device="room", source="logger", period_ms=1000, phase_ms=0, columns=(Column(channel, "degC", 1),),
            rows=rows, sha256="0" * 64, part=1, parts=1,
        )  # fmt: skip
        box.tell(BACKFILL, **backfill_data(backfill))
        found = box.account(0, 6)
        assert (found.missed, found.backfilled) == (4, expected)


def test_evidence_that_cannot_be_read_is_no_account(box: Box) -> None:
    box.batch(*box.read(0))
    with pytest.raises(SealError, match="no event batch"):
        account([], box.scans, device="room", channel="t", from_ms=0, to_ms=1)
    with pytest.raises(SealError, match="no length"):
        box.account(3, 3)
    for kind, data in (
        ("layout", {"id": bytes(8)}),
        ("deleted", {"stream": "scan", "first": 1, "last": 4, "leaves": b""}),
    ):
        other = Box(box.signer)
        other.tell(kind, **data)
        with pytest.raises(SealError, match=kind):
            other.account(0, 1)


@given(
    kinds=st.lists(st.sampled_from("gubm."), min_size=1, max_size=60),
    cuts=st.sets(st.integers(1, 59), max_size=6),
    first=st.integers(0, 70),
    length=st.integers(1, 70),
)
def test_the_figures_are_those_of_a_slot_by_slot_count(
    signer: FileSigner, kinds: list[str], cuts: set[int], first: int, length: int
) -> None:
    box = Box(signer)
    quality = {"g": 0, "u": Quality.UNCALIBRATED, "b": Quality.SENSOR_FAULT, "m": Quality.TIMEOUT}
    records: list[Scan | Miss] = []
    for slot, kind in enumerate(kinds):
        if slot in cuts and records:
            box.batch(*records)
            records = []
        if kind == "m":
            if records and isinstance(records[-1], Miss) and records[-1].slot + records[-1].count == slot:
                records[-1].count += 1
            else:
                records.append(Miss(1, slot, 1, Quality.TIMEOUT))
        elif kind != ".":
            records += box.read(slot, quality=quality[kind])
    if records:
        box.batch(*records)
    found = box.account(first, first + length)
    inside = kinds[first : first + length]
    assert [found.good, found.uncertain, found.bad, found.missed] == [inside.count(kind) for kind in "gubm"]
    assert found.due == len(inside) - inside.count(".")
    blank = [UTC + 1000 * n for n in range(first, first + length) if n >= len(kinds) or kinds[n] in "bm."]
    gapped = [at for gap in found.gaps for at in range(gap.from_ms, gap.to_ms, 1000)]
    assert gapped == blank
    assert sum(gap.slots or 0 for gap in found.gaps if gap.cause in {"sensor_fault", "timeout"}) == sum(
        kind in "bm" for kind in inside
    )


def test_it_can_be_written_down(box: Box, tmp_path: Path) -> None:
    box.batch(*box.read(0, 1), Miss(1, 2, 2, Quality.TIMEOUT))
    plain = box.account(0, 9).to_plain()
    assert plain["gaps"] == [[UTC + 2000, UTC + 4000, 2, "timeout"], [UTC + 4000, UTC + 9000, None, NO_RECORD]]
