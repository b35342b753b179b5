"""Device models from other packages: folders of Modbus model files, and formats of advertisements as tables.

Both are data. None of a package's code runs while the gateway polls or listens: its module is imported once, by
whoever asks for a model that does not come with the gateway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["GROUP", "AdvertFormat", "AdvertQuantity", "Devices", "Extra", "extra", "load_devices"]

GROUP = "aurora_gateway.devices"
SUFFIX = ".toml"
Order = Literal["big", "little"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvertQuantity:
    """One number of an advertisement: ``(raw * multiplier + addend) / 10**places``, computed in integers.

    ``at`` counts bytes from the first after the company id or the service UUID, ``size`` is in bytes. ``invalid``
    are the raw bit patterns that mean "no value", ``low`` and ``high`` what the sensor can measure, in ``unit``.
    """

    key: str
    unit: str
    at: int
    size: int = 1
    signed: bool = False
    order: Order | None = None
    shift: int = 0
    mask: int = 0
    multiplier: int = 1
    addend: int = 0
    places: int = 0
    invalid: tuple[int, ...] = ()
    low: float = -inf
    high: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvertFormat:
    """How one make of sensor advertises: under a ``company`` id, or as data of a 16-bit ``service``.

    A frame is one of this format when it is ``size`` bytes long and begins with ``prefix``. ``id`` is the model's
    name in the site file, ``source`` where the layout is published. ``counter_at``, one byte, is where the sensor
    counts its measurements.
    """

    id: str
    title: str
    source: str
    size: int
    quantities: tuple[AdvertQuantity, ...]
    company: int | None = None
    service: int | None = None
    prefix: bytes = b""
    order: Order = "big"
    counter_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What an entry point of the group `GROUP` is: a folder of model files, formats of advertisements, or both."""

    title: str = ""
    models: Path | None = None
    adverts: tuple[AdvertFormat, ...] = ()


@dataclass(slots=True)
class Extra:
    """All that was found: Modbus models by name, with their file, and what could not be used, with the reason."""

    modbus: dict[str, Path] = field(default_factory=dict)
    adverts: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


_found: Extra | None = None


def _entries() -> "EntryPoints":
    """What other packages offer. What looks for them takes over a megabyte, and most gateways never ask."""
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def load_devices(name: str) -> Devices:
    """The object of one entry point. Raises `ValueError` with the reason, also for whatever importing it raises."""
    entry = next((entry for entry in _entries() if entry.name == name), None)
    if entry is None:
        raise ValueError("it is not installed")
    try:
        found: Any = entry.load()
    except Exception as error:
        raise ValueError(f"it cannot be loaded ({type(error).__name__}: {error})") from error
    if not isinstance(found, Devices):
        raise ValueError("it is no gateway.api.Devices")
    return found


def extra(*, again: bool = False) -> Extra:
    """Everything of the installed packages, looked for once. One that cannot be used costs only itself."""
    global _found
    if _found is None or again:
        _found = Extra()
        for entry in sorted(_entries(), key=lambda entry: entry.name):
            try:
                _take(_found, load_devices(entry.name))
            except ValueError as error:
                _found.problems[entry.name] = str(error)
    return _found


def _take(found: Extra, devices: Devices) -> None:
    if devices.models is not None:
        from firmware_interfaces.modbus.model import list_models

        ours = set(list_models())
        for path in sorted(devices.models.glob(f"*{SUFFIX}")):
            if path.stem in ours or path.stem in found.modbus:
                raise ValueError(f"there is a model {path.stem!r} already")
            found.modbus[path.stem] = path
    if devices.adverts:
        from firmware_interfaces.ble.extra import add_format

        for format_ in devices.adverts:
            add_format(format_)
            found.adverts.append(format_.id)


def modbus_files() -> Mapping[str, Path]:
    """Models of other packages by name."""
    return extra().modbus
