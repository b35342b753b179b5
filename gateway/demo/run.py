"""`aurora-gateway demo`: the whole path on this machine, each part a process of its own on real sockets."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from gateway.clock_sources import KernelSource
from gateway.cluster.audit import Audited, Finding, audit
from gateway.cluster.database import open_database
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.cluster.running import cluster_signer
from gateway.config import load_site
from gateway.demo.account import Account, account
from gateway.demo.pki import Authority, Certificate
from gateway.demo.processes import Child, free_ports, until_listening
from gateway.demo.site import IDENTITY, SPEED, site_text
from gateway.errors import AuroraError
from gateway.identity import open_identity
from gateway.site import Site

__all__ = ["run_demo"]

MARK = ".aurora-demo"
RECEIVER = "aurora-receiver"

SKIP_S = 600
SHOW_S = 2.0
FAULTS = ((14, "mute rtu 3 for 12"), (34, "break rtu 4 2 for 6"), (42, "disconnect tcp for 4"))
"""Seconds after the plant's start, and what happens then: a dead unit, a broken probe, a pulled cable."""
KILL_AT_S = 50.0
"""When the gateway is killed (SIGKILL)."""
POWER_OFF_S = 3.0
"""How long it stays off."""


@dataclass(slots=True)
class Ports:
    """Where the parts of the demonstration listen."""

    broker: int
    tcp: int
    page: int
    fleet: int


def run_demo(
    folder: Path, *, seconds: float | None, port: int, embedded_broker: bool, kill_at: float = KILL_AT_S
) -> int:
    """Run the demonstration; exit status 0 when every scheduled sample is accounted for and verified."""
    return asyncio.run(_demo(folder.absolute(), seconds, port, embedded_broker, kill_at))


async def _demo(folder: Path, seconds: float | None, page: int, embedded_broker: bool, kill_at: float) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _empty(folder)
    logs = folder / "logs"
    logs.mkdir()
    free = await free_ports(4)
    ports = Ports(broker=free[0], tcp=free[1], page=await _page_port(page, free[2]), fleet=free[3])
    async with AsyncExitStack() as stack:

        async def start(child: Child) -> Child:
            stack.push_async_callback(child.stop)
            return child

        print("aurora demo: everything lies in", folder)
        authority = Authority(folder / "pki", datetime.fromtimestamp(KernelSource().read().real_ns / 1e9, UTC))
        broker = await start(await _broker(folder, authority, ports.broker, embedded_broker))
        await until_listening(broker, ports.broker)
        facility = await start(await _facility(folder, ports.tcp))
        await until_listening(facility, ports.tcp)
        site = await _site(folder, authority, ports)
        receiver = await start(await _receiver(folder, authority, ports.broker))
        follower = await start(await _cluster(folder, "derive"))
        fleet = await start(await _cluster(folder, "fleet", "--listen", f"127.0.0.1:{ports.fleet}"))

        async def start_gateway() -> Child:
            return await start(await Child.python("gateway", "gateway.cli", "run", folder / "site.toml", logs=logs))

        gateway = await start_gateway()
        print(f"status page: http://127.0.0.1:{ports.page}/   metrics: http://127.0.0.1:{ports.page}/metrics")
        print(f"page of the cluster's staff: http://127.0.0.1:{ports.fleet}/   first code: {_code(folder)}\n")
        watch = _Watch(stop, ports.page, (broker, facility, receiver, follower, fleet), loop.time())
        if seconds is None or seconds > kill_at:
            await watch.until(gateway, kill_at)
            if not stop.is_set():
                print(f"\nkill -9: the gateway loses its power for {POWER_OFF_S:.0f} s\n")
                watch.forget()
                await gateway.kill()
                await asyncio.sleep(POWER_OFF_S)
                gateway = await start_gateway()
        await watch.until(gateway, seconds)
        print("\nstopping: the gateway seals what it has and waits for its receipts")
        status = await gateway.stop()
    return await _summary(folder, site, status)


def _empty(folder: Path) -> None:
    """Empty the demonstration's own folder; refuse to empty any other."""
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MARK).exists():
            raise AuroraError(f"{folder} is not a folder of the demonstration; choose another with --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


async def _page_port(wanted: int, other: int) -> int:
    """The port that was asked for when it is free, else another."""
    if wanted == 0:
        return other
    try:
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", wanted)
    except OSError:
        return other
    server.close()
    await server.wait_closed()
    return wanted


# the parts


async def _broker(folder: Path, authority: Authority, port: int, embedded: bool) -> Child:
    certificate = authority.server("broker")
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if mosquitto is None or embedded:
        if mosquitto is None:
            print("Mosquitto is not installed (Debian: apt-get install mosquitto); using the embedded broker")
        return await Child.python(
            "broker",
            "gateway.demo.broker",
            "--port",
            str(port),
            "--ca",
            certificate.ca,
            "--cert",
            certificate.certificate,
            "--key",
            certificate.key,
            logs=folder / "logs",
        )
    (folder / "mosquitto.acl").write_text(
        "pattern write aurora/v1/%u/scan\npattern write aurora/v1/%u/event\npattern read aurora/v1/%u/receipt\n"
        f"user {RECEIVER}\ntopic read aurora/v1/+/scan\ntopic read aurora/v1/+/event\n"
        "topic write aurora/v1/+/receipt\n"
    )
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\ncafile {certificate.ca}\ncertfile {certificate.certificate}\n"
        f"keyfile {certificate.key}\nrequire_certificate true\nuse_identity_as_username true\n"
        f"allow_anonymous false\nacl_file {folder / 'mosquitto.acl'}\nmax_queued_messages 10000\n"
        "persistence false\nset_tcp_nodelay true\nlog_type error\nlog_type warning\n"
        # Started by root it would become the user `mosquitto`, who cannot read a folder that is root's alone.
        + ("user root\n" if os.geteuid() == 0 else "")
    )
    return await Child.start("broker", [mosquitto, "-c", str(folder / "mosquitto.conf")], folder / "logs")


async def _facility(folder: Path, port: int) -> Child:
    faults = [word for after, command in FAULTS for word in ("--at", str(after), command)]
    return await Child.python(
        "facility",
        "gateway.demo.facility",
        "--tcp",
        f"127.0.0.1:{port}",
        "--rtu",
        folder / "tty-line-1",
        "--speed",
        str(SPEED),
        "--skip",
        str(SKIP_S),
        *faults,
        logs=folder / "logs",
    )


async def _receiver(folder: Path, authority: Authority, port: int) -> Child:
    certificate = authority.client(RECEIVER)
    return await Child.python(
        "cluster",
        "gateway.cluster.cli",
        "serve",
        "--data",
        folder / "cluster",
        "--name",
        "urn:aurora:cluster:demo",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--client",
        RECEIVER,
        "--ca",
        certificate.ca,
        "--certificate",
        certificate.certificate,
        "--key",
        certificate.key,
        logs=folder / "logs",
    )


async def _cluster(folder: Path, command: str, *words: str) -> Child:
    """Another program of the cluster, over the receiver's store."""
    where = ("--data", folder / "cluster")
    return await Child.python(command, "gateway.cluster.cli", command, *where, *words, logs=folder / "logs")


def _code(folder: Path) -> Path:
    """Where the page of the staff writes the code that lets its first person in."""
    return folder / "cluster" / "fleet" / "first-code.txt"


async def _site(folder: Path, authority: Authority, ports: Ports) -> Site:
    """Write the site file, make both keys, and enrol the gateway at the cluster."""
    key = cluster_signer(folder / "cluster").public
    (folder / "cluster.pem").write_bytes(key.pem())
    pki: Certificate = authority.client(IDENTITY.client)
    text = site_text(broker=ports.broker, tcp=ports.tcp, page=ports.page, rtu=folder / "tty-line-1", pki=pki)
    (folder / "site.toml").write_text(text, encoding="utf-8")
    site = load_site(folder / "site.toml")
    public = open_identity(site).signer.public
    await _enrol(folder / "cluster" / "cluster.db", Enrolment(IDENTITY, public))
    return site


async def _enrol(store: Path, enrolment: Enrolment) -> None:
    now_ms = KernelSource().read().real_ns // 1_000_000
    database = await open_database(store)
    try:
        await database.prepare(now_ms)
        await enrol(database, enrolment, now_ms)
    finally:
        await database.close()


# what a person sees


class _Watch:
    """Shows the gateway's state again and again, and notices when a part of the demonstration has ended."""

    def __init__(self, stop: asyncio.Event, page: int, parts: tuple[Child, ...], started: float) -> None:
        self._stop = stop
        self._page = page
        self._parts = parts
        self._started = started
        self._shown = 0

    def forget(self) -> None:
        """What is on the screen stays there."""
        self._shown = 0

    async def until(self, gateway: Child, seconds: float | None) -> None:
        """Watch until so long after the start (None: for ever), or until somebody stops it."""
        loop = asyncio.get_running_loop()
        end = None if seconds is None else self._started + seconds
        while not self._stop.is_set() and (end is None or loop.time() < end):
            for child in (*self._parts, gateway):
                child.require_alive()
            pause = SHOW_S if end is None else max(0.0, min(SHOW_S, end - loop.time()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            if (status := await asyncio.to_thread(_status, self._page)) is not None:
                self._shown = _show(status, self._shown)


def _status(page: int) -> dict[str, Any] | None:
    """The gateway's own account of itself; None while it is still starting."""
    try:
        with urlopen(f"http://127.0.0.1:{page}/api/status", timeout=2) as answer:
            status: dict[str, Any] = json.load(answer)
            return status
    except OSError:
        return None


def _show(status: dict[str, Any], shown: int) -> int:
    """Print the view; on a terminal over the one before. Returns how many lines it took."""
    lines = [
        f"{status['time_words']}   {status['totals']['scans']} scans, {status['totals']['missed']} slots missed"
    ]
    for point in status["points"]:
        value = "no value" if point["value"] is None else f"{point['value']:.1f} {point['unit']}"
        lines.append(f"  {point['name']:34} {value:>12}   {point['words'] if point['severity'] != 'good' else ''}")
    lines += [
        f"  {device['id']:34} {'':>12}   {device['words']}"
        for device in status["devices"]
        if device["state"] == "bad"
    ]
    scan, event = status["streams"]["scan"], status["streams"]["event"]
    lines.append(
        f"  batches: {scan['sealed'] + event['sealed']} sealed, "
        f"{scan['receipted'] + event['receipted']} receipted, {scan['backlog'] + event['backlog']} waiting"
    )
    lines += [f"  {fact['name']}: {fact['words']}" for fact in status["health"] if fact["state"] != "good"]
    if sys.stdout.isatty() and shown:
        print(f"\033[{shown}F\033[J", end="")
    print("\n".join(lines), flush=True)
    return len(lines)


async def _audited(store: Path) -> list[Finding | Audited]:
    database = await open_database(store, read_only=True)
    try:
        return [found async for found in audit(database)]
    finally:
        await database.close()


async def _summary(folder: Path, site: Site, status: int) -> int:
    """Hold the cluster's store against the schedule and verify everything in it."""
    store = folder / "cluster" / "cluster.db"
    found = await account(store, site.identity.client)
    faults = list(found.faults)
    if status != 0:
        faults.append(f"the gateway ended with status {status}; see {folder / 'logs' / 'gateway.log'}")
    trees = []
    for item in await _audited(store):
        if isinstance(item, Audited):
            trees.append(f"  stream {item.stream}: {item.size} batches verified, root {item.root.hex()[:16]}...")
        else:
            faults.append(str(item))
    _print_account(found, trees)
    for fault in faults:
        print("FAULT:", fault)
    good = found.good and not faults
    print(
        "\nevery scheduled sample is accounted for, and verified" if good else "\nNOT everything is accounted for"
    )
    print(
        f"the evidence: aurora-gateway export {folder / 'site.toml'} --format batches --out DIR, "
        "then aurora-gateway verify DIR"
    )
    return 0 if good else 1


def _print_account(found: Account, trees: list[str]) -> None:
    print(f"\nscheduled samples: {found.scheduled}")
    print(f"  answered:        {found.scans}")
    for cause, count in found.missed.most_common():
        print(f"  missed:          {count:<6} {cause.words}")
    values = sum(found.values.values())
    print(f"values: {values} (" + ", ".join(f"{count} {name}" for name, count in found.values.most_common()) + ")")
    print("events: " + ", ".join(f"{count} {kind}" for kind, count in sorted(found.events.items())))
    print(f"at the cluster: {found.batches} batches, {found.bytes} bytes")
    for line in trees:
        print(line)
