"""What ``aurora-cluster fleet`` does."""

import argparse
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.access.certificate import own_certificate
from gateway.clock import wall_ms
from gateway.cluster.fleet.serve import Fleet, serve
from gateway.cluster.identity.settings import load_identity
from gateway.cluster.running import opened, until_signal
from gateway.cluster.settings import Settings
from gateway.errors import OperatorError
from gateway.web.place import own_names

__all__ = ["fleet"]

FOLDER = "fleet"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def fleet(settings: Settings, arguments: argparse.Namespace) -> int:
    """Serve the page until a signal comes; raises `OperatorError`."""
    import uvloop

    address = _address(arguments.listen)
    try:
        zone = ZoneInfo(arguments.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise OperatorError(
            f"there is no time zone {arguments.time_zone!r}", "write it as Europe/Brussels"
        ) from error
    folder = settings.data_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    uvloop.run(until_signal(_run(settings, arguments, address, zone, folder)))
    return 0


async def _run(
    settings: Settings, arguments: argparse.Namespace, address: tuple[str, int], zone: ZoneInfo, folder: Path
) -> None:
    names = frozenset(name.lower() for name in arguments.host_name)
    tls = _tls(arguments, address[0], folder, names | own_names())
    async with opened(settings, patient=True) as database:
        served = await Fleet.open(
            database,
            folder,
            name=settings.name.rpartition(":")[2] or settings.name,
            now_ms=wall_ms,
            names=names,
            language=arguments.language,
            zone=zone,
            keys=settings.data_dir,
            life=load_identity(arguments.config).life,
        )
        await serve(served, *address, tls)


def _address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; raises `OperatorError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise OperatorError(f"{text!r} is no address", "write HOST:PORT, as 127.0.0.1:8460 or [::1]:8460")
    return host.strip("[]"), int(port)


def _tls(arguments: argparse.Namespace, host: str, folder: Path, names: frozenset[str]) -> tuple[Path, Path] | None:
    """Certificate and key; None where the page is served without. Raises `OperatorError` for half a choice."""
    given = (arguments.page_certificate, arguments.page_key)
    if any(given):
        if not all(given):
            raise OperatorError("a certificate needs its key", "give --page-certificate and --page-key")
        return given
    chosen = arguments.tls or ("off" if host in LOOPBACK else "self")
    return own_certificate(folder, names) if chosen == "self" else None
