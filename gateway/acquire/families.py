"""The families of buses: which module loads the models of a kind of bus, and makes its worker.

A family is imported on need: Bluetooth takes 16 MB and a tenth of a second, and a site without it pays neither.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from firmware_interfaces.asked import Model
from firmware_interfaces.modbus.limits import TimeLimits
from gateway.acquire.keeper import BusStats
from gateway.acquire.metronome import Metronome
from gateway.acquire.poller import Sink
from gateway.site import BusKind, BusSpec, DeviceSpec

if TYPE_CHECKING:
    from gateway.acquire.heard import HeardPoller
    from gateway.acquire.poller import Poller

__all__ = ["AnyPoller", "Common", "Family", "Worker", "family"]

AnyPoller: TypeAlias = "Poller | HeardPoller"


class Worker(Protocol):
    """Serves one bus. Every slot of each of its devices leaves it exactly once."""

    stats: BusStats

    @property
    def pollers(self) -> "Sequence[AnyPoller]":
        """Its devices."""
        ...

    def start(self, resume: Mapping[str, int], now: int, cause: int = ...) -> None:
        """Put every device at its place in the grid at boot time ``now``; see `Keeper.start`."""

    def renumber(self, indices: Mapping[str, int]) -> None:
        """The devices stand elsewhere in the layout from now on; see `Keeper.renumber`."""

    async def run(self) -> None:
        """Serve for ever. Cancel to stop."""

    def account(self, now: int, late: int = ...) -> None:
        """Hand over the slots that are due at ``now``: the worker has ended (``late``: for those not served)."""

    def follow(self, old: Any) -> None:
        """Go on in place of a worker of the same bus that has ended."""

    def close(self) -> None:
        """Give the bus up."""


class Common(NamedTuple):
    """What the workers of all buses share."""

    sink: Sink
    now_ms: Callable[[], int]
    """The boot-time clock."""
    metronome: Metronome
    limits: TimeLimits
    on_time: Callable[[int, int], None] | None = None
    """Told of a satellite receiver's time (Unix nanoseconds), and the boot time when it was heard (nanoseconds)."""
    keep: Callable[[str, bytes], None] | None = None
    """Has bytes on disk under a name, in the transaction of the record handed over in the same step of the loop."""
    boot: bytes = b""
    """Id of the machine's present boot."""


class Family(Protocol):
    """A module of this station that knows one family of buses."""

    def load(self, name: str) -> Model:
        """A model by its name in a site file. Raises `ModelError`."""
        ...

    def serve(
        self, bus: BusSpec, mine: Mapping[int, DeviceSpec], models: Mapping[str, Model], common: Common
    ) -> Worker:
        """The worker of a bus. ``mine`` are its devices by their index in the site, ``models`` what `load` gave."""
        ...


def family(kind: BusKind) -> Family:
    """The family that a kind of bus belongs to."""
    if kind == "ble":
        from gateway.acquire import air

        return air
    if kind in {"onewire", "iio", "hwmon"}:
        from gateway.acquire import files

        return files
    if kind in {"serial", "mbus"}:
        from gateway.acquire import serial

        return serial
    from gateway.acquire import modbus

    return modbus
