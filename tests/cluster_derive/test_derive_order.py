"""The tables depend on what was signed, not on when and in which portions it came: on both engines, any history."""

import asyncio
from itertools import count
from typing import Any

import pytest
from derive_world import (
    EAGER,
    EVENT,
    LATER_MS,
    LAYOUT,
    SCAN,
    START_MS,
    Box,
    alarm,
    enrol,
    scan,
    settings_changed,
    store,
    store_all,
    tables,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cluster.database import Database, Work, open_database
from gateway.cluster.derive import follower as following
from gateway.cluster.derive.again import begin_again
from gateway.cluster.derive.follower import Follower
from gateway.cluster.derive.segment import DAY_MS, decode
from gateway.cluster.derive.tables import Tables
from gateway.errors import StorageError
from gateway.model import DeviceLayout, Layout, Miss, Quality
from gateway.records import Archive
from gateway.seal.backfill import BACKFILL, Backfill, Row, backfill_data
from gateway.seal.keys import FileSigner

SHORT = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
STEPS = st.sampled_from(
    [
        "scan",
        "scan",
        "scan",
        "miss",
        "backfill",
        "alarm",
        "settings",
        "layout",
        "reboot",
        "untrusted",
        "trust",
        "day",
    ]
)
VALUE = st.integers(-300, 300).map(lambda number: number / 10)
SMALLER = Layout((DeviceLayout("room", "line", "probe", "0" * 16, 1000, 0, LAYOUT.devices[0].columns),))
NUMBERS = count()


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("key") / "gateway.key")


def history(box: Box, data: st.DataObject) -> None:
    """Things that happen at a gateway, in any order that is possible."""
    slot, layout = 0, LAYOUT
    if data.draw(st.booleans(), label="layout at once"):
        box.says_layout()
    for number, what in enumerate(data.draw(st.lists(STEPS, min_size=1, max_size=14), label="steps")):
        box.pass_ms(data.draw(st.sampled_from([1, 1000, 4_000_000])))
        match what:
            case "scan":
                air = data.draw(st.none() | VALUE)
                box.measures(
                    scan(slot, air), scan(slot + 1, 4.0, late_ms=data.draw(st.integers(0, 40))), layout=layout
                )
                slot += 2
            case "miss":
                run = data.draw(st.integers(1, 5000))
                box.measures(Miss(0, slot, run, Quality.TIMEOUT), layout=layout)
                slot += run
            case "backfill":
                at = max(slot, 1)
                box.happens((BACKFILL, backfill_data(kept(at, data.draw(VALUE)))))
            case "alarm":
                state = data.draw(st.sampled_from(["unacknowledged", "acknowledged", "normal"]))
                box.happens(
                    alarm(f"cold/{number % 2}", "raised", state, raised_ms=box.boot_ms), ("note", {"n": number})
                )
            case "settings":
                names = data.draw(st.lists(st.sampled_from(["name", "device", "channel", "group"]), min_size=1))
                changes = {f"point[p{number % 2}].{name}": f"x{number}" for name in names}
                box.happens(settings_changed(changes, first=data.draw(st.booleans())))
            case "layout":
                layout = data.draw(st.sampled_from([LAYOUT, SMALLER]))
                box.says_layout(layout)
            case "reboot" | "untrusted":
                trusted = what == "reboot"
                box.reboot(bytes([number]) * 16, START_MS + number * 7_000_000 if trusted else None)
                slot = 0
            case "trust" if box.utc_ms is None:
                box.says_time(START_MS + number * 7_000_001 + box.boot_ms)
            case "day":
                box.pass_ms(DAY_MS - 500)


def kept(slot: int, value: float) -> Backfill:
    """One value out of the room's own memory."""
    return Backfill(
        device="room",
        source="log",
        period_ms=1000,
        phase_ms=0,
        columns=LAYOUT.devices[0].columns[:1],
        rows=(Row(slot, slot * 1000 - 100, 5, (value,), b""),),
        sha256="0" * 64,
        part=1,
        parts=1,
    )


def expected(box: Box) -> dict[tuple[str, str, str], list[tuple[int, float | None, int]]]:
    """What export and report read of the same batches, by the code that they use."""
    archive = Archive()
    list(archive.add_events(batch.body for batch in box.batches[EVENT]))
    found: dict[tuple[str, str, str], list[tuple[int, float | None, int]]] = {}
    for batch in box.batches[SCAN][1:]:
        try:
            opened, layout, records = archive.scans(batch.body)
        except Exception as error:  # noqa: BLE001  # its layout is in no event
            assert "no-layout" in str(error)  # noqa: PT017
            continue
        for reading in archive.rows(opened.clock, layout, records, batch.seq):
            if reading.utc_ms is None:
                continue
            device = next(device for device in layout.devices if device.id == reading.device)
            names = (
                [(reading.channel, reading.role)]
                if reading.channel
                else [(c.channel, c.role) for c in device.columns]
            )
            for slot in range(reading.slots):
                row = reading.utc_ms + slot * device.period_ms, reading.value, int(reading.quality)
                for channel, role in names:
                    found.setdefault((reading.device, channel, role), []).append(row)
    for reading in archive.backfilled():
        if reading.utc_ms is not None:
            row = reading.utc_ms, reading.value, int(reading.quality)
            found.setdefault((reading.device, reading.channel, reading.role), []).append(row)
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def stored(
    found: dict[str, list[tuple[Any, ...]]],
) -> dict[tuple[str, str, str], list[tuple[int, float | None, int]]]:
    """The same out of the days."""
    days: dict[tuple[str, str, str], list[tuple[int, float | None, int]]] = {}
    for device, channel, role, _, _, body in found["day"]:
        for at_ms, value, mark in zip(*decode(body), strict=True):
            row = at_ms, None if value != value else value, mark
            days.setdefault((device, channel, role), []).append(row)
    return {name: sorted(rows, key=repr) for name, rows in days.items()}


@SHORT
@given(data=st.data())
async def test_any_arrival_gives_the_same_tables(place: str, signer: FileSigner, data: st.DataObject) -> None:
    database = await open_database(place)
    try:
        await database.prepare(START_MS)
        box = Box(signer)
        history(box, data)
        first = await enrol(database, f"gw-{next(NUMBERS)}")
        await store_all(database, first, box)
        await Follower(database, EAGER._replace(values=True)).catch_up(LATER_MS)
        whole = await tables(database, first)
        assert stored(whole) == expected(box)
        assert whole["chunk"] == []

        second, sizes = await enrol(database, f"gw-{next(NUMBERS)}"), [0, 0]
        while sizes != [len(box.batches[EVENT]), len(box.batches[SCAN])]:
            rest = {stream: len(box.batches[stream]) - sizes[stream] for stream in (EVENT, SCAN)}
            stream = data.draw(st.sampled_from([stream for stream, left in rest.items() if left]), label="stream")
            sizes[stream] += data.draw(st.integers(1, rest[stream]), label="portion")
            await store(database, second, stream, box.batches[stream][: sizes[stream]])
            options = EAGER._replace(values=True, batches=data.draw(st.integers(1, 9), label="batches"))
            now_ms = data.draw(st.sampled_from([START_MS, START_MS + DAY_MS, LATER_MS]), label="now")
            await Follower(database, options).step(now_ms)
        await Follower(database, EAGER._replace(values=True)).catch_up(LATER_MS)
        assert await tables(database, second) == whole
    finally:
        await database.close()


def busy(box: Box) -> None:
    """A history of which each part matters."""
    box.says_layout()
    box.happens(settings_changed({"point[p].device": "room", "point[p].channel": "air"}, first=True))
    for number in range(40):
        box.pass_ms(1000)
        box.measures(scan(number * 2, number / 10), scan(number * 2 + 1, None))
        if number % 7 == 0:
            box.happens(
                alarm("p/high", "raised", "unacknowledged"), (BACKFILL, backfill_data(kept(number + 1, 1.0)))
            )


@pytest.mark.parametrize("fatal", range(0, 60, 7))
async def test_killed_at_any_moment(
    database: Database, signer: FileSigner, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    """A follower that dies at its n-th statement, then another one: nothing is lost, nothing is there twice."""
    box = Box(signer)
    busy(box)
    whole, options = await enrol(database, "whole"), EAGER._replace(batches=5)
    await store_all(database, whole, box)
    await Follower(database, options).catch_up(LATER_MS)
    torn = await enrol(database, "torn")
    await store_all(database, torn, box)
    done = count()
    write, note, take = Tables.write_readings, Tables.note_unread, following.keep

    def dying(inner: Any) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            found = await inner(*arguments, **named)
            if next(done) == fatal:
                raise asyncio.CancelledError
            return found

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Tables, "write_readings", dying(write))
        patch.setattr(Tables, "note_unread", dying(note))
        patch.setattr(following, "keep", dying(take))
        try:
            await Follower(database, options).catch_up(LATER_MS)
        except asyncio.CancelledError:
            assert next(done) > fatal
    await Follower(database, options).catch_up(LATER_MS)
    assert await tables(database, torn) == await tables(database, whole)


async def test_several_followers_share_the_work(place: str, signer: FileSigner) -> None:
    databases = [await open_database(place) for _ in range(3)]
    try:
        await databases[0].prepare(START_MS)
        box = Box(signer)
        busy(box)
        ids = [await enrol(databases[0], f"gw-{number}") for number in range(6)]
        for gateway in ids:
            await store_all(databases[0], gateway, box)
        followers = [Follower(database, EAGER._replace(batches=3)) for database in databases]
        await asyncio.gather(*(follower.catch_up(LATER_MS) for follower in followers))
        # Whoever finds all gateways taken stops early; the last one then has the rest.
        await followers[0].catch_up(LATER_MS)
        first, *others = [await tables(databases[0], gateway) for gateway in ids]
        assert first["unread"] == []
        assert len(first["day"]) == 3
        for other in others:
            assert other == first
    finally:
        for database in databases:
            await database.close()


async def test_one_gateway_that_cannot_be_written_stops_no_other(
    database: Database, signer: FileSigner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box(signer)
    busy(box)
    bad, good = await enrol(database, "bad"), await enrol(database, "good")
    for gateway in (bad, good):
        await store_all(database, gateway, box)
    claim = following.claim

    async def failing(work: Work, gateway: int) -> Any:
        if gateway == bad:
            raise StorageError("no space")
        return await claim(work, gateway)

    follower = Follower(database, EAGER)
    with monkeypatch.context() as patch:
        patch.setattr(following, "claim", failing)
        await follower.catch_up(LATER_MS)
    assert len((await tables(database, good))["day"]) == 3
    assert (await tables(database, bad))["day"] == []
    assert caplog.text.count("no space") == 1
    assert await follower.step(LATER_MS + 59_000) == 0
    await follower.catch_up(LATER_MS + 61_000)
    assert len((await tables(database, bad))["day"]) == 3


async def test_a_row_that_went_bad_stops_no_other(database: Database, signer: FileSigner) -> None:
    box = Box(signer)
    busy(box)
    bad, good = await enrol(database, "bad"), await enrol(database, "good")
    await store_all(database, bad, box)
    follower = Follower(database, EAGER)
    await follower.catch_up(START_MS)
    async with database.transaction() as work:
        await work.execute("UPDATE chunk SET body = $1", b"\x01nonsense")
    await store_all(database, good, box)
    await follower.catch_up(LATER_MS)
    assert len((await tables(database, good))["day"]) == 3
    assert (await tables(database, bad))["day"] == []
    await begin_again(database)
    await follower.catch_up(LATER_MS + 61_000)
    assert await tables(database, bad) == await tables(database, good)


async def test_a_growing_day_is_read_as_a_whole_one(database: Database, signer: FileSigner) -> None:
    """Chunks of many rounds, some put together already, give what the closed day gives."""
    from gateway.cluster.derive.series import channels, chart, values

    box = Box(signer)
    box.says_layout()
    gateway = await enrol(database)
    follower = Follower(database, EAGER)
    for number in range(37):
        box.pass_ms(1000)
        box.measures(scan(number, number / 10))
        await store_all(database, gateway, box)
        await follower.catch_up(START_MS + 60_000)

    async def read() -> Any:
        async with database.transaction(write=False) as work:
            [air] = [c for c in await channels(work) if (c.channel, c.role) == ("air", "value")]
            segments = [s async for s in values(work, air.id, START_MS + 5000, START_MS + 30_000)]
            return segments, await chart(work, air.id, START_MS, START_MS + 40_000, most=4)

    growing = await read()
    found = await tables(database, gateway)
    assert (len(found["chunk"]), found["day"]) == (3 * (2 + 5), [])
    await follower.catch_up(LATER_MS)
    assert await read() == growing
    found = await tables(database, gateway)
    assert (found["chunk"], len(found["day"])) == ([], 3)
    [[segment], hours] = growing
    assert list(segment.times) == [START_MS + number * 1000 + 3 for number in range(5, 30)]
    assert [(row.start_ms, row.good, row.low, row.high) for row in hours] == [
        (START_MS, 10, 0.0, 0.9),
        (START_MS + 10_000, 10, 1.0, 1.9),
        (START_MS + 20_000, 10, 2.0, 2.9),
        (START_MS + 30_000, 7, 3.0, 3.6),
    ]
