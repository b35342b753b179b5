"""Past data through the code that judges live: profile, limits, alarms, and every judge that the gateway runs.

The clock is that of the data. Nobody is there to acknowledge, so nothing escalates. What happens is told through a
function; nothing is stored.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path

from gateway.assess.border import JudgeFactory
from gateway.assess.station import Assess
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Layout, Miss, Quality, Scan
from gateway.replay.csvfile import Table
from gateway.site import AlarmSpec, Identity, PointSpec, Site

__all__ = ["Player", "Tell", "claim_at", "csv_site", "play_csv", "with_periods"]

TICK_MS = 60_000
"""For judges that do not say when time alone would change something, it moves in steps of so long ..."""
TICKS_A_SAMPLE = 3
"""... or of a third of the data's interval where that is longer: what they find comes that late at most."""
BOOT = b"replay of a file"
UNKNOWN = ClockClaim(BOOT, 0, None, None, ClockState.UNTRUSTED)

Tell = Callable[[int | None, Event, ClockClaim], None]
"""Takes the UTC of an event (Unix ms, None where it is not known), the event, and the clock it was told by."""


@dataclass(slots=True)
class Player:
    """One gateway's judges with a clock moved by the data."""

    site: Site
    layout: Layout
    tell: Tell
    judges: Sequence[tuple[str, JudgeFactory]] | None = None
    """None: those that judge live."""
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
            self.reboot(claim_at(self.claim, boot_ms))

    def move(self, boot_ms: int) -> None:
        """Time goes on to ``boot_ms``: to what falls due before it, or in steps where a judge does not say."""
        while boot_ms - self.now_ms > self.tick_ms:
            due_ms = self.assess.due_ms
            # What falls due now is told by the next millisecond; what was due before wants to be asked often.
            step_ms = self.now_ms + self.tick_ms if self.assess.paced or due_ms < self.now_ms else boot_ms
            next_ms = step_ms if due_ms < self.now_ms else min(step_ms, due_ms + 1)
            if next_ms >= boot_ms:
                break
            self._tick(int(next_ms))
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


def claim_at(claim: ClockClaim, boot_ms: int) -> ClockClaim:
    """The same clock at another time of its boot."""
    return ClockClaim(claim.boot, boot_ms, claim.utc_at(boot_ms), claim.error_ms, claim.state)


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
        device, column = where[channel]
        if boot_ms > now_ms:
            # What time brings is told before the values of the next moment, as it is live.
            move(boot_ms)
            now_ms = boot_ms
        if widths[device] == 1:
            scan = Scan(
                device, boot_ms // periods[device], boot_ms, array("d", (value,)), fault if isnan(value) else good
            )
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
