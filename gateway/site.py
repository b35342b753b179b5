"""What a checked site file says: frozen nouns without any parsing, so that every station may read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from gateway.profile import Hours, Profile

BusKind = Literal[
    "modbus-tcp",
    "modbus-tls",
    "modbus-rtu",
    "modbus-rtu-over-tcp",
    "ble",
    "onewire",
    "iio",
    "hwmon",
    "serial",
    "mbus",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signs: a member company, one of its sites, one gateway there."""

    member: str
    site: str
    gateway: str

    @property
    def urn(self) -> str:
        """The issuer (``iss``) of every batch."""
        return f"urn:aurora:{self.member}:{self.gateway}"

    @property
    def client(self) -> str:
        """MQTT client id, user name (common name of the certificate) and topic level."""
        return f"{self.member}.{self.gateway}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSpec:
    """One transport with its own queue: a TCP endpoint (``host``, ``port``) or a serial line (``device``).

    ``timeout_s`` is how long an answer may take at most, ``gap_ms`` the least silence between two requests
    (None: from the baud rate), ``connect_pause_ms`` a rest after connecting. A ``ble`` bus has ``adapters`` instead
    (none named: the first that has power), the way to ``scan``, and the ``connections`` that one holds at once.

    ``release``: the connection is given back after each poll, for devices that allow few. ``rs485`` is the
    direction control of a serial line, None where there is none to be set. ``modbus-tls`` has the files of mutual
    TLS, and the ``server_name`` in the device's certificate where that is not ``host``. ``sysfs`` is where the
    kernel's files are.
    """

    id: str
    kind: BusKind
    host: str = ""
    port: int = 502
    device: str = ""
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    data_bits: Literal[7, 8] = 8
    timeout_s: float = 1.0
    gap_ms: float | None = None
    connect_pause_ms: int = 0
    adapters: tuple[str, ...] = ()
    scan: Literal["auto", "passive", "active"] = "auto"
    release: bool = False
    rs485: Mapping[str, Any] | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""
    sysfs: Path = Path("/sys")
    connections: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Correction of one channel: (indicated, reference) pairs in the channel's unit, rising, at least one."""

    certificate: str
    valid_until: date
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """Something that answers on a bus. ``channels`` empty means all that the model has.

    On a ``ble`` bus it has an ``address`` (upper case, with colons) and no ``unit``; ``key_file`` holds its key,
    ``backfill`` says whether its own memory is read after a gap (where its model has one), ``interval_s`` how often
    it measures (None: that is learned).
    """

    id: str
    bus: str
    model: str
    unit: int
    period_ms: int
    phase_ms: int = 0
    channels: tuple[str, ...] = ()
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    address: str = ""
    key_file: Path | None = None
    write: tuple[str, ...] = ()
    """Channels that may be written by order of a person; none by default."""

    @property
    def model_name(self) -> str:
        """The model as the site file names it, without the description of inputs that ``model`` may carry."""
        return self.model.partition(":{")[0]

    backfill: bool = True
    interval_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """A place that matters for food safety, fed by one channel of one device.

    ``profile`` holds the rules in force (None: recorded, not judged), ``group`` names what several points depend on
    (a compressor, a room): deviations of one group are one alarm group. Limits of the alert tier are judged within
    ``alert_hours`` (empty: always), and on a simulated product of ``product_tau_s`` where that is given.
    """

    id: str
    name: str
    device: str
    channel: str
    critical: bool = False
    profile: Profile | None = None
    group: str = ""
    alert_hours: tuple[Hours, ...] = ()
    product_tau_s: float | None = None
    advisories: bool | tuple[str, ...] = True
    """Whether what is learned of the point may advise, or which of its findings (docs/advisories.md)."""
    tolerance: float | None = None
    """Largest error at a verification, in the channel's unit; None: the customary one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSpec:
    """How alarms are handled, in seconds.

    ``escalate_s`` has the time by tier after which an alarm that nobody acknowledged escalates (absent: never);
    ``silence_s`` is how long a device may be silent before that is an alarm, ``group_s`` how long after a first-out
    an alarm of the same cause is taken to follow from it, ``longest_shelving_s`` the most that shelving may last.
    """

    escalate_s: Mapping[str, float] = field(
        default_factory=lambda: {"critical": 900.0, "alert": 3600.0, "maintenance": 86400.0}
    )
    silence_s: float = 300.0
    group_s: float = 3600.0
    longest_shelving_s: float = 8 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process calculation that runs on a channel, a batch at a time.

    ``inputs`` are further inputs, name to (device, channel). A run starts when the value comes to ``start_above``
    from below (or to ``start_below`` from above; without either: at the first value) and ends when it has been
    beyond ``end_below`` or ``end_above`` for ``hold_s`` seconds, or after ``end_after_s``. Values are in the
    channel's unit.
    """

    id: str
    calculation: str
    device: str
    channel: str
    point: str | None = None
    inputs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tier: Literal["critical", "alert"] = "alert"
    start_above: float | None = None
    start_below: float | None = None
    end_above: float | None = None
    end_below: float | None = None
    end_after_s: float | None = None
    hold_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """Where batches go. Mutual TLS where ``ca``, ``certificate`` and ``key`` are given.

    ``receipt_key`` is the PEM file with the cluster's public key, without which no receipt is believed.
    """

    host: str
    port: int
    receipt_key: Path
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    in_flight: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferSpec:
    """How the journal stores.

    ``loss_window_ms`` is what a power cut may cost; a scan batch is sealed with at least ``batch_values`` values
    once it is ``batch_min_age_s`` old, and at ``batch_max_age_s`` in any case; delivered batches stay for
    ``keep_days``; the file stays below ``max_bytes``. ``card_endurance_bytes`` is what the card's maker promises
    that can be written to it (TBW); None where nobody has said.
    """

    loss_window_ms: int = 1000
    batch_values: int = 500
    batch_min_age_s: float = 5.0
    batch_max_age_s: float = 900.0
    keep_days: int = 400
    max_bytes: int = 4_000_000_000
    card_endurance_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSpec:
    """Whom to believe about the time.

    ``auto``: the kernel and the daemon that disciplines it. ``host``: the operator states that something outside
    this system keeps the clock right to ``error_s`` seconds (a container or virtual machine on a disciplined
    host); the record then says that it was declared.
    """

    source: Literal["auto", "host"] = "auto"
    error_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSpec:
    """Where the local status page and the metrics are served.

    With ``open_view`` anyone who reaches the page may look. ``names`` are further host names it answers to. It is
    served over TLS with the files ``certificate`` and ``key``, or with ``tls`` ``self`` with one of its own making.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    open_view: bool = False
    names: frozenset[str] = frozenset()
    tls: Literal["off", "self"] = "off"
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One way to tell somebody: a plugin (``type``) with its ``settings``, already checked by its own rules.

    ``to`` are its recipients, empty for an output without any. To each of them it sends at most ``limit`` notices
    in ``per_s`` seconds; one sent after ``late_s`` is marked as late, after ``give_up_s`` it is given up, with a
    record. ``alive_s`` is the time between two signs of life, None for none. ``sends``, ``follows``, ``digests``
    and ``values`` are what its plugin says of itself (`gateway.api.Output`).
    """

    id: str
    type: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    language: str = "en"
    timeout_s: float = 30.0
    limit: int = 20
    per_s: float = 3600.0
    late_s: float = 600.0
    give_up_s: float = 259_200.0
    alive_s: float | None = None
    sends: bool = True
    follows: bool = False
    digests: bool = True
    values: bool = False

    @property
    def tells(self) -> bool:
        """Whether it is told of alarms; else it takes values alone."""
        return self.sends or self.follows


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """A rule of a plugin (``type``) with its ``settings``, for the readings of ``points`` (empty: of everything).

    What it finds is an alarm of ``tier``; one call may take ``limit_s``.
    """

    id: str
    type: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    points: tuple[str, ...] = ()
    tier: Literal["alert", "maintenance", "advisory"] = "advisory"
    limit_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySpec:
    """Who is told of what: one rule. Empty ``points`` are all, empty ``to`` are the output's own recipients.

    ``level`` is the least escalation of an alarm. ``delay_s`` is how long it must stand first. Outside ``times``
    (empty: always) it waits for their next beginning.
    """

    output: str
    tiers: tuple[str, ...]
    transitions: tuple[str, ...]
    points: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    level: int = 0
    delay_s: float = 0.0
    times: tuple[Hours, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticesSpec:
    """What all notices share: the page's address as recipients reach it, and how long nobody may be reachable
    before that is an alarm itself."""

    link: str = ""
    unreachable_s: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerSpec:
    """A barcode scanner on a serial port: what it reads came into the zone ``point``, or went out of it.

    ``person`` is who stands in the records for it. ``plain``: its lines are lot numbers as they are, not GS1 codes.
    The same line again within ``repeat_s`` is the same lot.
    """

    id: str
    device: str
    point: str
    direction: Literal["in", "out"]
    person: str
    plain: bool = False
    repeat_s: float = 3.0
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    data_bits: Literal[7, 8] = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One checked site file."""

    identity: Identity
    data_dir: Path
    buses: tuple[BusSpec, ...]
    devices: tuple[DeviceSpec, ...]
    points: tuple[PointSpec, ...] = ()
    processes: tuple[ProcessSpec, ...] = ()
    cluster: ClusterSpec | None = None
    buffer: BufferSpec = BufferSpec()
    clock: ClockSpec = ClockSpec()
    web: WebSpec | None = WebSpec()
    alarms: AlarmSpec = field(default_factory=AlarmSpec)
    outputs: tuple[OutputSpec, ...] = ()
    notify: tuple[NotifySpec, ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    notices: NoticesSpec = NoticesSpec()
    scanners: tuple[ScannerSpec, ...] = ()
    time_zone: str = "UTC"
    """IANA name of the site's zone: hours and days count by it, and reports, notices and pages tell the time by it.
    The record itself is in UTC."""
    language: str = "en"
    """Of reports and pages: en, fr, nl, pl or es."""
    source: str = ""
    """Path of the file."""
    digest: str = ""
    """SHA-256 of the file's bytes, in hexadecimal."""
