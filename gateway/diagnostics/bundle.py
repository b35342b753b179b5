"""The support bundle: what somebody far away needs to help, in one file, with no secret in it."""

import asyncio
import hashlib
import io
import json
import os
import platform
import sys
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.control import Handler
from gateway.diagnostics.redact import Scrubber, redacted_site
from gateway.errors import OperatorError
from gateway.logring import last_lines, start_keeping
from gateway.onsite import Onsite, fields_of

__all__ = ["Desk"]

FOLDER = "support"
KEPT = 3
"""Bundles that stay on the disk."""
PACKAGES = (
    "aiomqtt", "bleak", "cbor2", "cryptography", "dbus-fast", "jinja2", "prometheus-client", "pydantic", "pymodbus",
    "pyserial", "sqlite-utils", "starlette", "uvicorn", "uvloop",
)  # fmt: skip
ABOUT = """\
Support bundle of an Aurora Gateway. Secrets, people's addresses and whom the gateway tells are left out; names of
places and devices are in it. Nothing in here is evidence: `aurora-gateway export` gives the signed record.

versions.json   software, system
site.toml       the site file without its secrets and comments
status.json     what the status page shows
buses.json      success, latency and breakers of every bus and device
frames.txt      the last frames of every Modbus bus, in hex and in words
adverts.json    the last advertisements of every Bluetooth sensor of the site
journal.json    figures of the journal, heads of its streams, the disk
metrics.txt     what the metrics endpoint serves
log.txt         the last log lines
"""

Request = Mapping[str, Any]


class Desk:
    """The orders ``diagnose.log`` and ``diagnose.bundle``."""

    def __init__(self, onsite: Onsite) -> None:
        self._onsite = onsite
        self._gateway = onsite.gateway
        self._one_at_a_time = asyncio.Lock()
        start_keeping()

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {"diagnose.log": self._log, "diagnose.bundle": self._bundle}

    async def _log(self, request: Request) -> Mapping[str, Any]:
        """The last log lines, without secrets."""
        fields_of(request).done()
        scrub = await self._scrubber()
        return {"lines": [scrub[0](line) for line in last_lines()]}

    async def _bundle(self, request: Request) -> Mapping[str, Any]:
        """Writes the bundle beside the journal; the answer names the file, its size and its SHA-256."""
        fields_of(request).done()
        async with self._one_at_a_time:
            content = await self.content()
            digest = hashlib.sha256(content).hexdigest()
            name = f"support-{self._gateway.site.identity.gateway}-{digest[:8]}.zip"
            folder = self._gateway.site.data_dir / FOLDER
            try:
                await asyncio.to_thread(_write, folder, name, content)
            except OSError as error:
                raise OperatorError(f"{folder} cannot be written ({error.strerror})", "see the disk") from error
        return {"name": name, "file": str(folder / name), "bytes": len(content), "sha256": digest}

    async def _scrubber(self) -> tuple[Scrubber, str]:
        site = self._gateway.site

        def made() -> tuple[Scrubber, str]:
            try:
                text = Path(site.source).read_text(encoding="utf-8-sig") if site.source else ""
            except (OSError, UnicodeDecodeError) as error:
                text = f"# {error}\n"
            shown, hidden = redacted_site(text)
            return Scrubber(site, hidden), shown

        return await asyncio.to_thread(made)

    async def content(self) -> bytes:
        """The bundle as a zip file."""
        from gateway.metrics import Exposition
        from gateway.status import Status

        gateway = self._gateway
        scrub, site = await self._scrubber()
        traffic = self._onsite.desk("gateway.diagnostics.traffic")
        record = self._onsite.desk("gateway.diagnostics.record")
        members = {
            "README.txt": ABOUT,
            "versions.json": _json(await asyncio.to_thread(versions)),
            "site.toml": site,
            "status.json": _json(Status(gateway).snapshot()),
            "buses.json": _json(traffic.buses()),
            "frames.txt": self._frames(traffic),
            "adverts.json": _json(self._adverts()),
            "journal.json": _json(await record.journal()),
            "metrics.txt": Exposition(gateway).text()[0].decode(),
            "log.txt": "\n".join(last_lines()) + "\n",
        }
        # The words in it come from everywhere: each member is scrubbed, whatever is thought to be in it.
        return await asyncio.to_thread(lambda: _zipped({name: scrub(text) for name, text in members.items()}))

    def _frames(self, traffic: Any) -> str:
        lines = []
        for worker in self._gateway.acquire.workers:
            lines.append(f"bus {worker.stats.id}: {worker.link}")
            for frame in traffic.frames(worker):
                arrow = ">" if frame["sent"] else "<"
                lines.append(f"  -{frame['age_ms'] / 1000:9.3f} s {arrow} {frame['hex']}  {frame['words']}")
                lines += [f"{'':16}{channel}" for channel in frame["channels"]]
        return "\n".join(lines) + "\n"

    def _adverts(self) -> dict[str, Any]:
        air = self._gateway.acquire.air
        if not air:
            return {}
        from gateway.diagnostics.traffic import adverts

        return {poller.spec.id: adverts(worker, poller) for worker in air for poller in worker.pollers}


def versions() -> dict[str, Any]:
    """Software and system."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return {
        "gateway": __version__,
        "python": sys.version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": found,
    }


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n"


def _zipped(members: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            # Without a time of its own: that of the gateway may be wrong, and the same content is the same file.
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _write(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    older = sorted(folder.glob("support-*.zip"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in older[KEPT - 1 :]:
        path.unlink()
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
