"""A small site whose clock is moved by hand: what the tests of limits, alarms and replay share."""

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.assess.border import JudgeFactory
from gateway.assess.station import JUDGES, Assess
from gateway.config import check_site
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Layout, Miss, Quality, Scan
from gateway.site import Site

HEAD = """\
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"

[[bus]]
id = "plant"
type = "modbus-tcp"
host = "10.0.0.1"

"""
EPOCH_MS = 1_790_000_000_000
"""Unix time of boot time 0 in the first boot: 2026-09-21 14:13:20 UTC, a Monday."""
MINUTE = 60_000


def device_text(name: str, *, unit: int = 1, period_s: float = 60) -> str:
    return (
        f'[[device]]\nid = "{name}"\nbus = "plant"\nmodel = "xy-md02"\nunit = {unit}\nperiod_s = {period_s}\n'
        'channels = ["temperature"]\n\n'
    )


def point_text(name: str, *, device: str = "", critical: bool = False, more: str = "") -> str:
    ccp = "critical = true\n" if critical else ""
    return f'[[point]]\nid = "{name}"\nname = "{name}"\nchannel = "{device or name}.temperature"\n{ccp}{more}\n'


def site_of(text: str) -> Site:
    site, problems = check_site(text, "site.toml", Path("/nowhere"))
    assert site is not None, problems
    return site


def layout_of(site: Site) -> Layout:
    column = Column("temperature", "degC", 1)
    return Layout(
        tuple(
            DeviceLayout(
                spec.id,
                spec.bus,
                spec.model,
                "hash",
                spec.period_ms,
                0,
                (column,),
                {
                    channel: {"certificate": one.certificate, "valid_until": str(one.valid_until)}
                    for channel, one in spec.calibration.items()
                },
            )
            for spec in site.devices
        )
    )


class World:
    """One gateway's assess station, its events and its memories; `restart` and `reboot` kill it between calls."""

    def __init__(
        self, text: str, *, judges: Sequence[tuple[str, JudgeFactory]] = JUDGES, start_ms: int = 0
    ) -> None:
        self.site = site_of(text)
        self.layout = layout_of(self.site)
        self.judges = judges
        self.now_ms = 0
        self.boot = b"first-boot-id..."
        self.utc_at_zero: int | None = EPOCH_MS
        self.events: list[Event] = []
        self.stored: list[Scan | Miss] = []
        self.memories: dict[str, bytes] = {}
        self.assess = self._make({})

    def _make(self, memories: Mapping[str, bytes]) -> Assess:
        assess = Assess(
            self.site,
            self.layout,
            self.stored.append,
            self.events.append,
            lambda: self.now_ms,
            memories=memories,
            judges=self.judges,
        )
        assess.update(self.claim())
        assess.tick(self.claim())
        return assess

    def claim(self) -> ClockClaim:
        if self.utc_at_zero is None:
            return ClockClaim(self.boot, self.now_ms, None, None, ClockState.UNTRUSTED)
        return ClockClaim(self.boot, self.now_ms, self.utc_at_zero + self.now_ms, 5, ClockState.TRUSTED)

    def feed(self, value: float | None, *, device: int = 0, quality: Quality = Quality.GOOD) -> None:
        """One value now; None is a bad one."""
        if value is None:
            value, quality = float("nan"), quality if quality.bad else Quality.SENSOR_FAULT
        slot = self.now_ms // self.layout.devices[device].period_ms
        self.assess.scan(Scan(device, slot, self.now_ms, array("d", [value]), bytes((quality,))))

    def miss(self, *, device: int = 0) -> None:
        slot = self.now_ms // self.layout.devices[device].period_ms
        self.assess.miss(Miss(device, slot, 1, Quality.TIMEOUT))

    def tick(self) -> None:
        self.assess.tick(self.claim())
        self.memories.update(self.assess.memories())

    def run(self, *values: float | None, step_ms: int = MINUTE, devices: int = 1) -> None:
        """One value after another, each ``step_ms`` after the one before it, a tick behind each."""
        for value in values:
            self.now_ms += step_ms
            for device in range(devices):
                self.feed(value, device=device)
            self.tick()

    def wait(self, ms: int, step_ms: int = MINUTE) -> None:
        """Time passes without values."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms = min(end_ms, self.now_ms + step_ms)
            self.tick()

    def keep(self) -> None:
        """What the journal would hold now."""
        self.memories.update(self.assess.memories(final=True))

    def restart(self, down_ms: int = 5000) -> None:
        """kill -9, and a start ``down_ms`` later in the same boot."""
        self.now_ms += down_ms
        self.assess = self._make(self.memories)

    def reboot(self, off_ms: int, *, boot_ms: int = 20_000, known: bool = True) -> None:
        """The machine is off for ``off_ms``; the gateway starts ``boot_ms`` after its new kernel."""
        assert self.utc_at_zero is not None
        self.utc_at_zero += self.now_ms + off_ms
        told = self.utc_at_zero
        if not known:
            self.utc_at_zero = None
        self.boot = b"another-boot-id."
        self.now_ms = boot_ms
        self.assess = self._make(self.memories)
        self._told = told

    def trust(self) -> None:
        """The clock becomes trusted after a reboot without it."""
        self.utc_at_zero = self._told

    def kinds(self, prefix: str = "alarm.") -> list[str]:
        """Kinds of the events so far, with the alarm they are about."""
        return [
            f"{event.kind.removeprefix(prefix)} {event.data.get('alarm', '')}".strip()
            for event in self.events
            if event.kind.startswith(prefix)
        ]

    def last(self, kind: str) -> Event:
        return next(event for event in reversed(self.events) if event.kind == kind)
