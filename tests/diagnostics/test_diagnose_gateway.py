"""Diagnostics of a running gateway on real units: traffic, record, bundle."""

import asyncio
import io
import json
import logging
import shutil
import sqlite3
import threading
import tomllib
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.clock import Clock
from gateway.config.check import check_file
from gateway.demo.modbus_server import Bus, Registers, RtuEndpoint, Table, TcpEndpoint
from gateway.diagnostics.record import verify
from gateway.errors import AuroraError
from gateway.jobs import Job
from gateway.onsite import Onsite

SITE = """\
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

[clock]
source = "host"
error_s = 1.0

[web]
listen = false

[buffer]
loss_window_s = 0.05
batch_values = 2
batch_min_age_s = 0.1

[[bus]]
id = "line"
type = "{kind}"
host = "127.0.0.1"
port = {port}
timeout_s = 0.3

[[device]]
id = "room"
bus = "line"
model = "xy-md02"
unit = 1
period_s = 0.4

[[device]]
id = "gone"
bus = "line"
model = "xy-md02"
unit = 2
period_s = 0.4
"""


def probe() -> Registers:
    return Registers({Table.INPUT: {1: 41, 2: 655}, Table.HOLDING: {0x101: 1, 0x102: 9600, 0x103: 0, 0x104: 0}})


class Stand:
    def __init__(self, gateway: Gateway, onsite: Onsite, plant: Bus) -> None:
        self.gateway, self.onsite, self.plant = gateway, onsite, plant

    async def order(self, do: str, /, **fields: Any) -> dict[str, Any]:
        return dict(await self.onsite.handlers()[do]({"do": do, "person": "Ana", **fields}))

    async def ended(self, job: str) -> dict[str, Any]:
        async with asyncio.timeout(40):
            while (found := await self.order("job.show", job=job))["state"] == "running":
                await asyncio.sleep(0.01)
        return found

    async def until(self, condition: Any, within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def stand(folder: Path, kind: str = "modbus-tcp", more: str = "") -> AsyncIterator[Stand]:
    plant = Bus({1: probe(), 2: probe()})
    plant.fault(2).mute = True
    endpoint = TcpEndpoint(plant, "127.0.0.1", 0) if kind == "modbus-tcp" else RtuEndpoint(plant, "127.0.0.1", 0)
    await endpoint.open()
    path = folder / "site.toml"
    path.write_text(SITE.format(kind=kind, port=endpoint.port) + more, encoding="utf-8")
    site, problems = check_file(path)
    assert site is not None, problems
    gateway, stop = Gateway(site, Clock(site.clock)), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    onsite = Onsite(gateway)
    at = Stand(gateway, onsite, plant)
    try:
        await at.until(lambda: task.done() or hasattr(gateway, "journal"))
        await at.until(lambda: task.done() or gateway.acquire.pollers[0].stats.scans >= 3)
        yield at
    finally:
        await onsite.close()
        stop.set()
        async with asyncio.timeout(20):
            await task
        await endpoint.close()


class TestBuses:
    async def test_success_latency_and_breakers_by_device(self, tmp_path: Path) -> None:
        async with stand(tmp_path) as at:
            gone = at.gateway.acquire.pollers[1]
            await at.until(lambda: gone.breaker.open)
            (bus,) = (await at.order("diagnose.buses"))["buses"]
            assert (bus["id"], bus["type"], bus["connected"], bus["connects"]) == ("line", "tcp", True, 1)
            assert bus["requests"] >= bus["answers"] + bus["timeouts"] - 1
            assert bus["timeouts"] >= 1
            room, lost = bus["devices"]
            assert room["success"] == 1.0
            assert room["breaker"] == {"open": False, "opened": 0}
            assert room["latency"]["mean_s"] > 0
            assert set(room["latency"]["within"]) == {"50%", "95%", "99%"}
            assert sum(step["polls"] for step in room["latency"]["steps"]) == room["scans"]
            assert lost["success"] == 0.0
            assert lost["breaker"]["open"]
            assert "no answer" in lost["fault"]
            assert lost["latency"]["mean_s"] is None
            json.dumps(bus, allow_nan=False)

    @pytest.mark.parametrize("kind", ["modbus-tcp", "modbus-rtu-over-tcp"])
    async def test_frames_come_in_hex_and_in_words(self, tmp_path: Path, kind: str) -> None:
        async with stand(tmp_path, kind) as at:
            frames = (await at.order("diagnose.frames", bus="line", unit=1))["frames"]
            asked = next(frame for frame in frames if frame["sent"] and "input register" in frame["words"])
            assert asked["words"] == "asks for input register 1 to 2"
            answer = next(frame for frame in frames if frame["channels"])
            assert not answer["sent"]
            assert answer["words"] == "input registers: 41 655"
            assert answer["channels"] == ["temperature = 4.1 degC", "humidity = 65.5 %RH"]
            assert "00 29 02 8f" in answer["hex"]
            assert all(frame["unit"] == 1 for frame in frames)
            few = (await at.order("diagnose.frames", bus="line", limit=2))["frames"]
            assert len(few) == 2
            with pytest.raises(AuroraError, match="did you mean 'line'"):
                await at.order("diagnose.frames", bus="lime")


class TestRecord:
    async def test_the_journals_figures_and_heads(self, tmp_path: Path) -> None:
        async with stand(tmp_path) as at:
            await at.until(lambda: at.gateway.journal.head("scan") is not None)
            journal = await at.order("diagnose.journal")
            assert journal["state"] == "ok"
            scan = journal["streams"]["scan"]
            assert scan["sealed"] >= 1
            assert len(scan["leaf"]) == 64
            assert scan["waiting"] == scan["sealed"] - scan["receipted"]
            assert journal["disk"]["free"] > 0
            json.dumps(journal, allow_nan=False)

    async def test_the_chain_is_verified_while_it_grows(self, tmp_path: Path) -> None:
        async with stand(tmp_path) as at:
            await at.until(lambda: (at.gateway.journal.head("scan") or (0,))[0] >= 3)
            job = await at.ended((await at.order("diagnose.verify"))["job"])
            assert job["state"] == "done", job
            result = job["result"]
            assert result["result"] == "whole", result
            assert result["words"].startswith("the record is whole: ")
            assert "no receipt of a cluster is here" in result["words"]
            assert result["scan_batches"] >= 4
            assert job["done"] == job["total"]

    async def test_an_altered_byte_is_found(self, tmp_path: Path) -> None:
        async with stand(tmp_path) as at:
            await at.until(lambda: (at.gateway.journal.head("scan") or (0,))[0] >= 3)
            site = at.gateway.site
        copy = tmp_path / "copy"
        copy.mkdir()
        shutil.copy(site.data_dir / "journal.db", copy / "journal.db")
        with closing(sqlite3.connect(copy / "journal.db")) as database, database:
            (body,) = database.execute("SELECT body FROM event_batch WHERE seq = 1").fetchone()
            altered = bytearray(body)
            altered[-1] ^= 1
            (leaf,) = database.execute("SELECT leaf FROM event_batch WHERE seq = 1").fetchone()
            database.execute("DROP TRIGGER IF EXISTS event_batch_frozen")
            database.execute("UPDATE event_batch SET body = ? WHERE seq = 1", (bytes(altered),))
            assert leaf
        from dataclasses import replace

        job = Job("J1", "verify", "", "")
        found = verify(replace(site, data_dir=copy), job, threading.Event())
        assert found["result"] != "whole", found

    async def test_a_verification_can_be_cancelled(self, tmp_path: Path) -> None:
        async with stand(tmp_path) as at:
            job = await at.order("diagnose.verify")
            await at.order("job.cancel", job=job["job"])
            assert (await at.ended(job["job"]))["state"] in {"cancelled", "done"}
        stop = threading.Event()
        stop.set()
        assert verify(at.gateway.site, Job("J1", "verify", "", ""), stop) == {}


OUTPUTS = """
[[output]]
id = "mail"
type = "email"
to = ["quality.manager@dairy.example"]
host = "smtp.secret-host.example"
sender = "gateway@dairy.example"
user = "dairy-mailer-77"
password = { file = "smtp.password" }

[[output]]
id = "hook"
type = "webhook"
url = "https://hooks.example/T0KEN-IN-PATH/x"
authorization = { file = "hook.token" }

[[notify]]
output = "mail"
to = ["night.watch@dairy.example"]

[[notify]]
output = "hook"
# the plant manager's mobile: +31 6 1234 5678
"""
SECRETS = (
    "hunter2-the-password", "tok-abcdef123456", "quality.manager", "night.watch", "dairy-mailer-77",
    "secret-host", "T0KEN-IN-PATH", "1234 5678", "612345678", "ABCD-EFGH", "pa55word", "sEcReT-in-url",
)  # fmt: skip


class TestBundle:
    async def test_no_planted_secret_is_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "smtp.password").write_text("hunter2-the-password\n")
        (tmp_path / "hook.token").write_text("Bearer tok-abcdef123456\n")
        async with stand(tmp_path, more=OUTPUTS) as at:
            at.onsite.desk("gateway.diagnostics.bundle")
            log = logging.getLogger("gateway.test")
            log.warning("mail to quality.manager@dairy.example refused with hunter2-the-password")
            log.warning("text to +31 612345678 failed; call +44 20 1234 5678")
            log.warning("the code for the first administrator is ABCD-EFGH")
            log.warning("https://user:pa55word@hooks.example/T0KEN-IN-PATH/x?key=sEcReT-in-url answered 500")
            log.warning("Authorization: Bearer tok-abcdef123456")
            made = await at.order("diagnose.bundle")
            path = Path(made["file"])
            assert path.stat().st_mode & 0o077 == 0
            content = path.read_bytes()
            lines = (await at.order("diagnose.log"))["lines"]
        assert made["bytes"] == len(content)
        with zipfile.ZipFile(io.BytesIO(content)) as bundle:
            members = {name: bundle.read(name).decode() for name in bundle.namelist()}
        everything = "\n".join([*members.values(), *lines])
        assert [secret for secret in SECRETS if secret in everything] == []
        key = next((tmp_path / "data" / "keys").glob("*")).read_bytes()
        assert key[40:80].decode("latin-1") not in everything
        assert "refused with (left out)" in members["log.txt"], "lines are kept, their secrets are not"
        site = tomllib.loads(members["site.toml"])
        assert site["device"][0]["model"] == "xy-md02"
        assert site["output"][0] == {
            "id": "mail", "type": "email", "to": "(left out)", "host": "(left out)", "sender": "(left out)",
            "user": "(left out)", "password": "(left out)",
        }  # fmt: skip
        assert "asks for input register 1 to 2" in members["frames.txt"]
        assert json.loads(members["versions.json"])["packages"]["pymodbus"]
        assert json.loads(members["buses.json"])["buses"][0]["id"] == "line"
        assert json.loads(members["journal.json"])["state"] == "ok"
        assert "aurora_scans_total" in members["metrics.txt"]

    async def test_only_the_last_ones_stay_on_the_disk(self, tmp_path: Path) -> None:
        async with stand(tmp_path) as at:
            for _ in range(5):
                await at.order("diagnose.bundle")
            assert len(list((tmp_path / "data" / "support").glob("*.zip"))) <= 3
