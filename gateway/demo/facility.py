"""A food company's plant, simulated: two cold rooms, a freezer and a pasteuriser behind real sockets and ports.

    python -m gateway.demo.facility --tcp 127.0.0.1:1502 --rtu /tmp/line --seed 1 --speed 30 --control 1503

Modbus TCP carries the refrigeration controllers and the energy meter, an RTU line (9600 8N1 on a pseudo-terminal)
the transmitters. The same seed gives the same plant at the same simulated second, whatever the speed. In room 2 the
compressor begins to lose its refrigerant after 15 simulated minutes. Faults of communication come from the control
port (see `gateway.demo.control`) or from ``--at SECONDS COMMAND``.
"""

import argparse
import asyncio
import contextlib
import logging
import math
import random
import signal
from collections.abc import Sequence
from pathlib import Path

from gateway.demo.control import Control
from gateway.demo.devices import (
    Device,
    Meter,
    digital_inputs,
    ekc202d,
    idplus,
    pta8c04,
    r4dcb08,
    sdm120,
    xymd02,
)
from gateway.demo.modbus_server import Bus, TcpEndpoint
from gateway.demo.pasteuriser import Pasteuriser
from gateway.demo.serial_port import PtyPort
from gateway.demo.thermal import STEP_S, Room, RoomSpec

log = logging.getLogger(__name__)

__all__ = ["BAUD", "ROOMS", "Clockwork", "Plant", "serve"]

BAUD = 9600
TICK_S = 0.1
MAX_SPEED = 2000.0
STEPS_PER_TICK = round(2 * MAX_SPEED * TICK_S)

ROOMS = (
    RoomSpec(name="room1", setpoint_c=2.0, defrost_first_s=2400.0),
    RoomSpec(name="room2", setpoint_c=2.0, defrost_first_s=9000.0, fails_at_s=900.0, fails_tau_s=900.0),
    RoomSpec(
        name="freezer",
        setpoint_c=-21.0,
        wall_w_k=20.0,
        door_w_k=220.0,
        product_w_k=90.0,
        air_j_k=400e3,
        product_j_k=1.6e6,
        coil_j_k=25e3,
        capacity_w=3000.0,
        power_w=1500.0,
        heater_w=2200.0,
        defrost_first_s=4200.0,
        defrost_every_s=8 * 3600.0,
        defrost_end_c=10.0,
        door_every_s=3600.0,
    ),
)


class Plant:
    """Rooms, pasteuriser, meter and the devices that look at them. ``units`` by bus name and unit id."""

    def __init__(self, seed: int) -> None:
        self.time_s = 0.0

        def chance(name: str) -> random.Random:
            # One stream of chance a part: a part that is added does not change the history of the others.
            return random.Random(f"{seed}/{name}")

        self.rooms = {spec.name: Room(spec, chance(spec.name)) for spec in ROOMS}
        self.pasteuriser = Pasteuriser(chance("pasteuriser"))
        self.meter = Meter(lambda: sum(room.power_w for room in self.rooms.values()) + 180.0, chance("meter"))
        room1, room2, freezer = self.rooms.values()
        cores = tuple(
            core
            for room in (room1, room2, freezer)
            for core in (lambda room=room: room.product_c, lambda room=room: room.second_core_c)
        )
        self.units: dict[str, dict[int, Device]] = {
            "tcp": {
                1: ekc202d(room1, chance("tcp/1")),
                2: ekc202d(room2, chance("tcp/2")),
                3: idplus(freezer, chance("tcp/3")),
                10: sdm120(self.meter),
            },
            "rtu": {
                1: xymd02(1, room1, chance("rtu/1")),
                2: xymd02(2, room2, chance("rtu/2")),
                3: r4dcb08(3, cores, chance("rtu/3")),
                4: pta8c04(self.pasteuriser, chance("rtu/4")),
                5: digital_inputs(self.pasteuriser),
            },
        }
        self._devices = [device for units in self.units.values() for device in units.values()]

    def step(self) -> None:
        """Go on by one step: the hall is warmest in the afternoon (the simulation starts at nine)."""
        ambient_c = 20.0 + 3.0 * math.sin(2 * math.pi * self.time_s / 86400.0)
        for room in self.rooms.values():
            room.step(ambient_c)
        self.pasteuriser.step()
        self.meter.step()
        for device in self._devices:
            device.step()
        self.time_s += STEP_S

    def status(self) -> dict[str, object]:
        """The true state, for a person or a test."""
        rooms = {
            name: {
                "air_c": round(room.air_c, 2),
                "product_c": round(room.product_c, 2),
                "coil_c": round(room.coil_c, 2),
                "mode": room.mode.value,
                "compressor": room.compressor,
                "health": round(room.health, 3),
                "door_open": room.door_open,
            }
            for name, room in self.rooms.items()
        }
        line = self.pasteuriser
        return {
            "time_s": self.time_s,
            "rooms": rooms,
            "pasteuriser": {"holding_c": round(line.holding_c, 2), "forward": line.forward},
            "power_w": round(self.meter.power_w),
        }


class Clockwork:
    """Moves the plant at ``speed`` simulated seconds a second; on a machine that is too slow it lags."""

    def __init__(self, plant: Plant, speed: float) -> None:
        self._plant = plant
        self._speed = speed
        self._owed_s = 0.0

    async def run(self) -> None:
        """Go on until cancelled."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            now = loop.time()
            self._owed_s += (now - before) * self._speed
            before = now
            steps = int(self._owed_s / STEP_S)
            self._owed_s -= steps * STEP_S
            for _ in range(min(steps, STEPS_PER_TICK)):
                self._plant.step()


async def serve(
    plant: Plant,
    *,
    tcp: tuple[str, int],
    rtu: Path,
    control: int | None = None,
    speed: float = 1.0,
    seed: int = 0,
    schedule: Sequence[tuple[float, str]] = (),
) -> None:
    """Serve the plant until cancelled. ``schedule``: seconds of real time after the start, and a command.

    Prints one line when all ports are open; raises OSError where one cannot be.
    """
    endpoint = TcpEndpoint(Bus(plant.units["tcp"], seed=seed), *tcp)
    port = PtyPort(Bus(plant.units["rtu"], seed=seed), rtu, baud=BAUD)
    commands = Control({"tcp": endpoint, "rtu": port}, plant.rooms, plant.pasteuriser, plant.status)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(endpoint.close)
        await endpoint.open()
        stack.push_async_callback(port.close)
        await port.open()
        stack.callback(commands.close)
        where = ""
        if control is not None:
            server = await asyncio.start_server(commands.serve, "127.0.0.1", control, limit=1024)
            stack.callback(server.close)
            where = f" control 127.0.0.1:{server.sockets[0].getsockname()[1]}"
        print(f"facility ready: tcp {endpoint.host}:{endpoint.port} rtu {rtu}{where}", flush=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Clockwork(plant, speed).run())
            tasks.create_task(follow(schedule, commands))


async def follow(schedule: Sequence[tuple[float, str]], commands: Control) -> None:
    """Carry out the scheduled commands at their times."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for after_s, command in sorted(schedule):
        await asyncio.sleep(max(0.0, start + after_s - loop.time()))
        log.info("%s: %s", command, await commands.run(command))


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` of the command line."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def positive(text: str) -> float:
    """A speed of the command line."""
    value = float(text)
    if not 0 < value <= MAX_SPEED:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MAX_SPEED:g}")
    return value


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo.facility",
        description="A simulated food plant on Modbus TCP and on a serial port, for demonstration and tests.",
    )
    parser.add_argument("--tcp", type=address, default=("127.0.0.1", 1502), metavar="HOST:PORT")
    parser.add_argument(
        "--rtu", type=Path, required=True, metavar="PATH", help="link to be made to the serial port"
    )
    parser.add_argument("--control", type=int, metavar="PORT", help="loopback port for commands (0: any)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=positive, default=1.0, help="simulated seconds a second")
    parser.add_argument("--skip", type=float, default=0.0, metavar="SECONDS", help="simulated before the start")
    parser.add_argument(
        "--at",
        nargs=2,
        action="append",
        default=[],
        metavar=("SECONDS", "COMMAND"),
        help="carry out a command of the control port after this (real) time; may be repeated",
    )
    return parser.parse_args(words)


async def _main(options: argparse.Namespace, schedule: Sequence[tuple[float, str]]) -> None:
    plant = Plant(options.seed)
    while plant.time_s < options.skip:
        plant.step()
    serving = asyncio.ensure_future(
        serve(
            plant,
            tcp=options.tcp,
            rtu=options.rtu,
            control=options.control,
            speed=options.speed,
            seed=options.seed,
            schedule=schedule,
        )
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> None:
    """Entry point of ``python -m gateway.demo.facility``."""
    logging.basicConfig(level=logging.INFO, format="facility: %(levelname)s %(message)s")
    options = arguments()
    try:
        schedule = [(float(after), command) for after, command in options.at]
    except ValueError as error:
        raise SystemExit(f"--at: {error}") from error
    try:
        asyncio.run(_main(options, schedule))
    except OSError as error:
        raise SystemExit(f"facility: {error}") from error


if __name__ == "__main__":
    main()
