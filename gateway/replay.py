"""Past data through the code that judges live: profile, limits, alarms, and every judge that the gateway runs.

The clock is that of the data. Nobody is there to acknowledge, so nothing escalates. What happens is told through a
function; nothing is stored.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path

from firmware_interfaces.modbus.model import load_model
from firmware_interfaces.quality import BAD
from gateway.acquire.poller import device_layout
from gateway.assess.border import JudgeFactory
from gateway.assess.station import JUDGES, Assess
from gateway.buffer.reader import Reader
from gateway.errors import AuroraError
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Layout, Miss, Quality, Scan, Stream
from gateway.records import Archive
from gateway.replay_csv import Table
from gateway.site import AlarmSpec, Identity, PointSpec, Site

__all__ = ["Player", "csv_site", "play_csv", "play_journal", "with_periods"]

TICK_MS = 60_000
"""For judges that do not say when time alone would change something, it moves in steps of so long ..."""
TICKS_A_SAMPLE = 3
"""... or of a third of the data's interval where that is longer: what they find comes that late at most."""
BOOT = b"replay of a file"
UNKNOWN = ClockClaim(BOOT, 0, None, None, ClockState.UNTRUSTED)
AT_ONCE = 500

Tell = Callable[[int | None, Event, ClockClaim], None]
"""Takes the UTC of an event (Unix ms, None where it is not known), the event, and the clock it was told by."""


@dataclass(slots=True)
class Player:
    """One gateway's judges with a clock moved by the data."""

    site: Site
    layout: Layout
    tell: Tell
    judges: Sequence[tuple[str, JudgeFactory]] = JUDGES
    now_ms: int = 0
    claim: ClockClaim = UNKNOWN
    scans: int = 0
    first_utc: int | None = None
    tick_ms: int = TICK_MS
    assess: Assess = field(init=False)
    _kept: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = replace(self.site.alarms, escalate_s={})
        self.site = replace(self.site, alarms=spec)
        self.assess = self._assess({})

    def _assess(self, memories: Mapping[str, bytes]) -> Assess:
        return Assess(
            self.site,
            self.layout,
            _nowhere,
            self._event,
            lambda: self.now_ms,
            memories=memories,
            judges=self.judges,
        )

    def _event(self, event: Event) -> None:
        self.tell(self.claim.utc_at(event.at_ms), event, self.claim)

    def begin(self, claim: ClockClaim) -> None:
        """The first time of the data."""
        self.claim, self.now_ms = claim, claim.boot_ms
        if self.first_utc is None:
            self.first_utc = claim.utc_ms
        self.assess.update(claim)
        self.assess.tick(claim)

    def reboot(self, claim: ClockClaim) -> None:
        """Another boot, or another process: the judges go on with their memories, as they do live."""
        self.assess.stopping()
        self._kept |= self.assess.memories(final=True)
        self.claim, self.now_ms = claim, claim.boot_ms
        self.assess = self._assess(self._kept)
        self.begin(claim)

    def resume(self, boot_ms: int) -> None:
        """The gateway had not been running up to ``boot_ms``: it is started again, as it was live."""
        if boot_ms - self.now_ms > TICK_MS // 60:
            self.reboot(_at(self.claim, boot_ms))

    def move(self, boot_ms: int) -> None:
        """Time goes on to ``boot_ms``: to what falls due before it, or in steps where a judge does not say."""
        while boot_ms - self.now_ms > self.tick_ms:
            due_ms = self.assess.due_ms
            if due_ms >= boot_ms:
                break
            self._tick(self.now_ms + self.tick_ms if due_ms <= self.now_ms else min(boot_ms, int(due_ms) + 1))
        if boot_ms > self.now_ms:
            self._tick(boot_ms)

    def _tick(self, boot_ms: int) -> None:
        claim = self.claim
        utc_ms = None if claim.utc_ms is None else claim.utc_ms + boot_ms - claim.boot_ms
        self.claim = ClockClaim(claim.boot, boot_ms, utc_ms, claim.error_ms, claim.state)
        self.now_ms = boot_ms
        self.assess.tick(self.claim)


def _nowhere(record: Scan | Miss) -> None:
    """Past data is not stored a second time."""


# CSV


def csv_site(channels: Sequence[str], points: Mapping[str, PointSpec]) -> Site:
    """A site of which all that is known are its points, one for each channel."""
    return Site(
        identity=Identity(member="replay", site="replay", gateway="replay"),
        data_dir=Path(),
        buses=(),
        devices=(),
        points=tuple(points[channel] for channel in channels),
        alarms=AlarmSpec(),
    )


def with_periods(
    site: Site, table: Table, say: Callable[[str], None]
) -> tuple[Site, Layout, list[tuple[int, int]]]:
    """Site and layout for a table whose channels are "device.channel" of the site's points, with its intervals.

    Also gives, for each channel of the table, its device and column. Data that comes more rarely than a point may
    be silent would be nothing but staleness: the stale time is raised to three intervals, and that is said.
    """
    periods = table.periods_ms()
    columns: dict[str, list[str]] = {}
    period_of: dict[str, int] = {}
    for name, period_ms in zip(table.channels, periods, strict=True):
        device, _, channel = name.rpartition(".")
        columns.setdefault(device, []).append(channel)
        period_of[device] = max(period_ms, period_of.get(device, 1))
    units = {(p.device, p.channel): p.profile.unit for p in site.points if p.profile is not None}
    buses = {device.id: device.bus for device in site.devices}
    layouts = tuple(
        DeviceLayout(
            device,
            buses.get(device, "file"),
            "file",
            "",
            period_of[device],
            0,
            tuple(Column(channel, units.get((device, channel), ""), None) for channel in channels),
        )
        for device, channels in columns.items()
    )
    points = []
    for point in site.points:
        needed_s = 3 * period_of.get(point.device, 0) / 1000
        if point.profile is not None and point.profile.stale_s < needed_s:
            say(f"{point.id}: data every {needed_s / 3:g} s: stale after {needed_s:g} s instead of the profile's")
            point = replace(point, profile=replace(point.profile, stale_s=needed_s))  # noqa: PLW2901
        points.append(point)
    order = list(columns)
    where = [
        (order.index(device), columns[device].index(channel))
        for device, _, channel in (name.rpartition(".") for name in table.channels)
    ]
    return replace(site, points=tuple(points)), Layout(layouts), where


def play_csv(player: Player, table: Table, where: Sequence[tuple[int, int]]) -> None:
    """Every row of a table, in the order of time."""
    start_ms = table.times[0]
    player.begin(ClockClaim(BOOT, 0, start_ms, 0, ClockState.TRUSTED))
    periods = [device.period_ms for device in player.layout.devices]
    player.tick_ms = max(TICK_MS, min(periods) // TICKS_A_SAMPLE)
    widths = [len(device.columns) for device in player.layout.devices]
    good, fault = bytes((Quality.GOOD,)), bytes((Quality.SENSOR_FAULT,))
    scan_one, move = player.assess.scan, player.move
    now_ms = 0
    for at_ms, channel, value in zip(table.times, table.of, table.values, strict=True):
        boot_ms = at_ms - start_ms
        if boot_ms > now_ms:
            # What time brings is told before the values of the next moment, as it is live.
            move(boot_ms)
            now_ms = boot_ms
        device, column = where[channel]
        bad = isnan(value)
        if widths[device] == 1:
            scan = Scan(device, boot_ms // periods[device], boot_ms, array("d", (value,)), fault if bad else good)
        else:
            values, quality = _one_of(widths[device], column, value)
            scan = Scan(device, boot_ms // periods[device], boot_ms, values, quality)
        scan_one(scan)
    player.scans = len(table.times)
    player.move(now_ms + 1)


def _one_of(width: int, column: int, value: float) -> "tuple[array[float], bytes]":
    """A row of a device with several columns: the others have nothing to say at this moment."""
    values = array("d", [float("nan")]) * width
    quality = bytearray((Quality.STALE,)) * width
    values[column] = value
    quality[column] = Quality.SENSOR_FAULT if isnan(value) else Quality.GOOD
    return values, bytes(quality)


# journal


def play_journal(site: Site, tell: Tell, look: Callable[[int | None, Scan, Layout], None] | None = None) -> Player:
    """Everything that a site's journal holds, under the rules of its site file as they are now.

    Columns are found by device and channel, so that records of earlier layouts are judged as well; ``look`` sees
    each scan with its UTC. Raises `AuroraError` where there is no journal or nothing in it.
    """
    path = site.data_dir / "journal.db"
    if not path.exists():
        raise AuroraError(f"there is no journal {path}: the gateway has not run with this site file yet")
    models = {name: load_model(name) for name in {device.model for device in site.devices}}
    layout = Layout(tuple(device_layout(device, models[device.model]) for device in site.devices))
    player = Player(site, layout, tell)
    with closing(Reader(path)) as journal:
        archive = Archive()
        for _ in archive.add_events(_bodies(journal, "event")):
            pass
        boot: bytes | None = None
        for claim, of_layout, records in _record_groups(archive, journal):
            known = _known(claim, archive)
            for at_ms, record in _in_time(of_layout, records):
                if boot != claim.boot:
                    first = _at(known, at_ms)
                    if boot is None:
                        player.begin(first)
                    else:
                        player.reboot(first)
                    boot = claim.boot
                elif known.utc_ms is not None:
                    player.claim = _at(known, player.now_ms)
                if isinstance(record, Miss) and record.quality == Quality.GATEWAY_DOWN:
                    player.resume(at_ms)
                player.move(at_ms)
                _feed(player, layout, of_layout, record, look)
    if not player.scans:
        raise AuroraError(f"{path} holds no scans of the devices in {site.source}")
    return player


def _bodies(journal: Reader, stream: Stream) -> Iterator[bytes]:
    first = 0
    while batches := journal.batches(stream, first, AT_ONCE):
        yield from (batch.body for batch in batches if batch.body is not None)
        first = batches[-1].seq + 1


def _record_groups(archive: Archive, journal: Reader) -> Iterator[tuple[ClockClaim, Layout, list[Scan | Miss]]]:
    for body in _bodies(journal, "scan"):
        batch, layout, records = archive.scans(body)
        yield batch.clock, layout, records
    yield from journal.tail()


def _known(claim: ClockClaim, archive: Archive) -> ClockClaim:
    """The claim with the time that a later correction gave its boot."""
    if claim.utc_ms is None and (correction := archive.corrections.get(claim.boot)) is not None:
        offset_ms, error_ms = correction
        return ClockClaim(claim.boot, claim.boot_ms, claim.boot_ms + offset_ms, error_ms, ClockState.HOLDOVER)
    return claim


def _at(claim: ClockClaim, boot_ms: int) -> ClockClaim:
    return ClockClaim(claim.boot, boot_ms, claim.utc_at(boot_ms), claim.error_ms, claim.state)


def _in_time(layout: Layout, records: Iterable[Scan | Miss]) -> list[tuple[int, Scan | Miss]]:
    """Records of a batch in the order of time: a scan when it was answered, a run of misses at its last slot."""

    def at_ms(record: Scan | Miss) -> int:
        if isinstance(record, Scan):
            return record.at_ms
        device = layout.devices[record.device]
        return (record.slot + record.count - 1) * device.period_ms + device.phase_ms

    return sorted(((at_ms(record), record) for record in records), key=lambda one: one[0])


def _feed(
    player: Player,
    layout: Layout,
    of_layout: Layout,
    record: Scan | Miss,
    look: Callable[[int | None, Scan, Layout], None] | None,
) -> None:
    was = of_layout.devices[record.device]
    index = next((i for i, device in enumerate(layout.devices) if device.id == was.id), None)
    if index is None:
        return
    if isinstance(record, Miss):
        player.assess.miss(Miss(index, record.slot, record.count, record.quality))
        return
    now = layout.devices[index]
    scan = record if was.columns == now.columns and index == record.device else _mapped(record, was, now, index)
    if look is not None:
        look(player.claim.utc_at(scan.at_ms), scan, layout)
    player.assess.scan(scan)
    player.scans += 1


def _mapped(scan: Scan, was: DeviceLayout, now: DeviceLayout, index: int) -> Scan:
    """A scan in the columns of today; a column that it did not have has no value."""
    places = {(column.channel, column.role, column.unit): i for i, column in enumerate(was.columns)}
    values, quality = array("d"), bytearray()
    for column in now.columns:
        place = places.get((column.channel, column.role, column.unit))
        usable = place is not None and scan.quality[place] < BAD
        values.append(scan.values[place] if usable and place is not None else float("nan"))
        quality.append(scan.quality[place] if place is not None else Quality.NOT_STARTED)
    return Scan(index, scan.slot, scan.at_ms, values, bytes(quality))
