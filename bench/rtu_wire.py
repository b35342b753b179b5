"""How much of a serial line's time the gateway uses: polls a second beside what the wire allows.

``python -m bench.rtu_wire`` polls 10 units at 9 600, 19 200 and 115 200 baud over a pseudo-terminal that takes the
time of a wire (bench/rtu_wire.c), back to back, and prints the share of the transactions that the line could carry:
request, silence of 3.5 characters, answer, silence again (1.75 ms above 19 200 baud; Modbus over Serial Line V1.02,
section 2.5.1.1), with a unit that answers at once. Then one unit falls silent, and the periods of the others are
compared in the acquire station. Shares and ratios, because the machine is never quiet; where the system allows it,
the wire and the gateway run with real-time priority, since a wire does not wait for a processor.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import uvloop

from bench.build import program
from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.model import load_model
from firmware_interfaces.modbus.rtu import SerialLink
from gateway.acquire.station import Acquire
from gateway.clock import boot_ms
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import BusSpec, DeviceSpec, Identity, Site

UNITS = 10
MODEL = "generic-registers-20"
REGISTERS = 20
BITS = 10
AIM, DEAD_AIM = 0.90, 1.05
LOAD = 0.8
"""Share of the line's time that the devices of the station ask for."""


def transaction_s(baud: int) -> float:
    """Seconds that one poll keeps the line, silences included."""
    character = BITS / baud
    silence = 0.00175 if baud > 19200 else 3.5 * character
    return (8 + 5 + 2 * REGISTERS) * character + 2 * silence


@dataclass
class Line:
    """The wire: its terminal, and what it counted once it has ended."""

    path: str
    counted: dict[str, int]


@asynccontextmanager
async def wire(baud: int, mute: int = 0) -> AsyncIterator[Line]:
    """A line with its units."""
    command = [program("rtu_wire"), "--units", str(UNITS), "--baud", str(baud), "--mute", str(mute)]
    process = subprocess.Popen(  # noqa: ASYNC220 - before anything runs
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = Line(process.stdout.readline().decode().strip(), {})
    try:
        yield line
    finally:
        out, _ = await asyncio.to_thread(process.communicate)
        line.counted.update(json.loads(out))


async def saturated(baud: int, seconds: float) -> tuple[float, Line, float]:
    """Share of the possible transactions, what the wire counted, and CPU seconds for each."""
    async with wire(baud) as line:
        link = SerialLink(line.path, baud=baud, parity="N", stop_bits=1)
        await link.open(3)
        devices = [ModbusDevice(link, unit, load_model(MODEL)) for unit in range(1, UNITS + 1)]
        begun, used = time.monotonic(), cpu_s()
        polls = 0
        while time.monotonic() - begun < seconds:
            for device in devices:
                await device.poll(1.0)
                polls += 1
        took, used = time.monotonic() - begun, cpu_s() - used
        link.close()
    return polls * transaction_s(baud) / took, line, used / polls


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Counter:
    """A sink that keeps when each device answered."""

    def __init__(self) -> None:
        self.at: dict[int, list[int]] = {}
        self.missed: dict[int, int] = {}

    def scan(self, scan: Scan) -> None:
        """One answer."""
        self.at.setdefault(scan.device, []).append(scan.at_ms)

    def miss(self, miss: Miss) -> None:
        """Slots without one."""
        if miss.quality != Quality.GATEWAY_DOWN:
            self.missed[miss.device] = self.missed.get(miss.device, 0) + miss.count

    def event(self, event: Event) -> None:
        """Not of interest here."""


async def station(baud: int, seconds: float, mute: int) -> float:
    """Mean period of the units that answer, as a multiple of the configured one."""
    period_ms = round(UNITS * transaction_s(baud) / LOAD * 1000)
    async with wire(baud, mute) as line:
        site = Site(
            identity=Identity(member="m", site="s", gateway="g"),
            data_dir=Path("/nonexistent"),
            buses=(BusSpec(id="line", kind="modbus-rtu", device=line.path, baud=baud),),
            devices=tuple(
                DeviceSpec(id=f"u{unit}", bus="line", model=MODEL, unit=unit, period_ms=period_ms)
                for unit in range(1, UNITS + 1)
            ),
        )
        counter = Counter()
        acquire = Acquire(site, {MODEL: load_model(MODEL)}, counter, boot_ms)
        task = asyncio.create_task(acquire.run({}, boot_ms()))
        # The first silence of a unit costs its whole time limit, once; what lasts is what counts.
        await asyncio.sleep(3)
        counter.at.clear()
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
    gaps = [b - a for unit, at in counter.at.items() if unit + 1 != mute for a, b in pairwise(at)]
    return sum(gaps) / len(gaps) / period_ms


async def measure(seconds: float, rounds: int) -> bool:
    """Print all figures; whether every aim is met."""
    met = True
    print(f"{UNITS} units, {REGISTERS} registers each, share of what the wire allows")
    for baud in (9600, 19200, 115200):
        # A machine that is busy elsewhere only ever takes away: the best round is nearest to what is possible.
        share, line, cpu = max([await saturated(baud, seconds) for _ in range(rounds)], key=lambda found: found[0])
        counted = line.counted
        whole = f"{share:.1%} (aim {AIM:.0%}), silence broken {counted['broken']} of {counted['requests']} times"
        worst = f", at most by {counted['worst_us']} us" if counted["broken"] else ""
        print(f"{baud:7} baud: {whole}{worst}; {cpu * 1e6:.0f} us CPU a transaction")
        alive, dead = await station(baud, seconds, 0), await station(baud, seconds, UNITS)
        print(f"{'':7}       with one dead unit the others' period is x{dead / alive:.3f} (aim x{DEAD_AIM})")
        met &= share >= AIM and dead / alive <= DEAD_AIM
    return met


def prefer() -> None:
    """Real-time priority for this process and the wire that it starts, where that is allowed."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of the share; the best one counts")
    options = parser.parse_args()
    prefer()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(0 if runner.run(measure(options.seconds, options.rounds)) else 1)
