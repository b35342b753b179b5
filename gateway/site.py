"""What a checked site file says: frozen nouns without any parsing, so that every station may read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

BusKind = Literal["modbus-tcp", "modbus-rtu", "modbus-rtu-over-tcp", "ble"]


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
    (none named: the first that has power) and the way to ``scan``.
    """

    id: str
    kind: BusKind
    host: str = ""
    port: int = 502
    device: str = ""
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    timeout_s: float = 1.0
    gap_ms: float | None = None
    connect_pause_ms: int = 0
    adapters: tuple[str, ...] = ()
    scan: Literal["auto", "passive", "active"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Correction of one channel: (indicated, reference) pairs in the channel's unit, rising, at least one."""

    certificate: str
    valid_until: date
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """Something that answers on a bus. ``channels`` empty means all that the model has.

    On a ``ble`` bus it has an ``address`` (upper case, with colons) and no ``unit``; ``key_file`` holds its key.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """A place that matters for food safety, fed by one channel of one device."""

    id: str
    name: str
    device: str
    channel: str
    critical: bool = False


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
    ``keep_days``; the file stays below ``max_bytes``.
    """

    loss_window_ms: int = 1000
    batch_values: int = 500
    batch_min_age_s: float = 5.0
    batch_max_age_s: float = 900.0
    keep_days: int = 400
    max_bytes: int = 4_000_000_000


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
    """Where the local status page and the metrics are served."""

    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One checked site file."""

    identity: Identity
    data_dir: Path
    buses: tuple[BusSpec, ...]
    devices: tuple[DeviceSpec, ...]
    points: tuple[PointSpec, ...] = ()
    cluster: ClusterSpec | None = None
    buffer: BufferSpec = BufferSpec()
    clock: ClockSpec = ClockSpec()
    web: WebSpec | None = WebSpec()
    source: str = ""
    """Path of the file."""
    digest: str = ""
    """SHA-256 of the file's bytes, in hexadecimal."""
