"""The scene of one run: simulator, broker, proxy and sink around the gateway under test, all on loopback."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from bench.build import broker_program, program

HOST = "127.0.0.1"
ROOT = Path(__file__).parent.parent
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment of all peers. They run as installed programs do: with their bytecode on disk."""
READY_S = 10.0
BLOCK = 512
"""Bytes of what `getrusage` counts as one block (Linux)."""
ENDING_S = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of the gateway under test: ``units`` devices of ``registers`` values each period.

    ``shared`` puts all units behind one address, ``baud`` on one serial line (Modbus RTU).
    """

    period_ms: int = 1000
    units: int = 50
    registers: int = 20
    shared: bool = False
    baud: int = 0

    @property
    def values_per_s(self) -> float:
        """Values asked for in a second."""
        return self.units * self.registers * 1000 / self.period_ms


class Read(NamedTuple):
    """One answered read of register 0: the unit, how many there were, and when (CLOCK_MONOTONIC)."""

    unit: int
    number: int
    at_ns: int


class Message(NamedTuple):
    """One MQTT message as the sink received it."""

    at_ns: int
    topic: str
    payload: bytes


def free_port() -> int:
    """A TCP port of the loopback address that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, line: str) -> str:
    """Send one line to a control port and return the one-line answer."""
    with socket.create_connection((HOST, port), 10) as link:
        link.sendall(line.encode() + b"\n")
        return link.makefile().readline().strip()


def read_records(data: bytes) -> list[Read]:
    """The simulator's dump."""
    return [Read(*fields) for fields in struct.iter_unpack("=IIQ", data)]


def read_messages(data: bytes) -> Iterator[Message]:
    """The sink's file; an unfinished record at the end is left out."""
    head = struct.Struct("=QII")
    at = 0
    while at + head.size <= len(data):
        at_ns, topic, payload = head.unpack_from(data, at)
        start, end = at + head.size, at + head.size + topic + payload
        if end > len(data):
            return
        yield Message(at_ns, data[start : start + topic].decode(), data[start + topic : end])
        at = end


class Process:
    """A child in its own process group, its output in a log file."""

    def __init__(self, command: Sequence[object], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        self.started_ns = time.monotonic_ns()
        with log.open("ab") as out:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**INSTALLED, **(env or {})},
                cwd=ROOT,
            )

    @property
    def pid(self) -> int:
        """Process id, the same as that of its group."""
        return self.child.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self.child.poll() is None

    def end_counting(self) -> int:
        """End it in order and return all bytes it has sent to block devices, those of its ending included.

        From what the kernel tells its parent, because /proc/PID/io of a process that has ended is for root alone.
        """
        os.killpg(self.pid, signal.SIGTERM)
        wait_for(self._finished, ENDING_S, f"the end of {self.log.stem}")
        _, status, usage = os.wait4(self.pid, 0)
        self.child.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_oublock * BLOCK

    def _finished(self) -> bool:
        """Whether it has ended; its entry in /proc stays until it is waited for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """End the whole group at once (SIGKILL), as a power cut would."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM, patience_s: float = ENDING_S) -> None:
        """Send a signal to the group and wait; SIGKILL when it does not end."""
        if self.alive():
            os.killpg(self.pid, number)
            try:
                self.child.wait(patience_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.child.wait()


def helper(stack: ExitStack, command: Sequence[object], log: Path) -> tuple[Process, str]:
    """Start a part of the stage and return it with the line by which it says that it is ready."""
    process = Process(command, log)
    stack.callback(process.end)
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.alive():
        line, newline, _ = log.read_text(errors="replace").partition("\n")
        if newline:
            return process, line
        time.sleep(0.01)
    raise RuntimeError(f"{command[0]} did not start: {log.read_text(errors='replace')[-500:]}")


class Stage:
    """Simulator, broker, proxy and sink for one job; a context manager that ends all it started."""

    def __init__(
        self,
        work: Path,
        job: Job,
        topic: str,
        signal_form: str = "walk",
        tls: tuple[Path, Path, Path] | None = None,
    ) -> None:
        self.work = work
        self.job = job
        self.topic = topic
        self.signal_form = signal_form
        self.tls = tls
        self.tty = work / "tty"
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        self.work.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self._start_broker(stack)
            form = ["--units", str(self.job.units), "--signal", self.signal_form]
            if self.job.baud:
                form += ["--pty", str(self.tty), "--baud", str(self.job.baud)]
            self.simulator, line = helper(stack, [program("modbus_sim"), *form], self.work / "simulator.log")
            ports: dict[str, Any] = json.loads(line)
            self.modbus_port, self.simulator_control = ports["port"], ports["control"]
            proxy = [sys.executable, "-m", "bench.proxy", str(self.secure_port)]
            self.proxy, line = helper(stack, proxy, self.work / "proxy.log")
            ports = json.loads(line)
            self.uplink_port, self.proxy_control = ports["port"], ports["control"]
            sink = [
                str(program("mqtt_sink")),
                HOST,
                str(self.broker_port),
                str(self.work / "messages.bin"),
                self.topic,
            ]
            self.sink, _ = helper(stack, sink, self.work / "sink.log")
            self.stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()

    def _start_broker(self, stack: ExitStack) -> None:
        """Mosquitto without limits of its own, so that it is never what is measured.

        With ``tls`` (authority, certificate, key) there is a second listener that asks for client certificates;
        it is the one behind the proxy.
        """
        self.broker_port = self.secure_port = free_port()
        settings = self.work / "mosquitto.conf"
        settings.write_text(
            f"listener {self.broker_port} {HOST}\nallow_anonymous true\nmax_queued_messages 0\n"
            "max_inflight_messages 1000\npersistence false\nset_tcp_nodelay true\n"
            f"log_type error\nuser {getuser()}\n" + self._secure_listener()
        )
        self.broker = Process([broker_program(), "-c", settings], self.work / "mosquitto.log")
        stack.callback(self.broker.end)
        wait_for(lambda: reachable(self.broker_port), READY_S, "the broker")

    def _secure_listener(self) -> str:
        if self.tls is None:
            return ""
        self.secure_port = free_port()
        authority, certificate, key = self.tls
        return (
            f"listener {self.secure_port} {HOST}\ncafile {authority}\ncertfile {certificate}\nkeyfile {key}\n"
            "require_certificate true\n"
        )

    def simulate(self, line: str) -> str:
        """A command for the simulator; RuntimeError when it is not understood."""
        return obeyed(self.simulator_control, line)

    def uplink(self, line: str) -> str:
        """A command for the proxy; RuntimeError when it is not understood."""
        return obeyed(self.proxy_control, line)

    def uplink_bytes(self) -> tuple[int, int]:
        """Payload bytes that the gateway has sent and received."""
        stats = json.loads(self.uplink("stats"))
        return stats["sent"], stats["received"]

    def reads(self) -> list[Read]:
        """All counted reads that the simulator has answered."""
        file = self.work / "reads.bin"
        self.simulate(f"dump {file}")
        return read_records(file.read_bytes())

    def messages(self) -> list[Message]:
        """All messages that have reached the sink."""
        return list(read_messages((self.work / "messages.bin").read_bytes()))


def obeyed(port: int, line: str) -> str:
    """Like `ask`, for a command that has to be understood."""
    answer = ask(port, line)
    if answer == "not understood" or not answer:
        raise RuntimeError(f"{line!r}: {answer!r}")
    return answer


def reachable(port: int) -> bool:
    """Whether somebody listens on a port of the loopback address."""
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True


def wait_for(condition: Any, patience_s: float, what: str, step_s: float = 0.02) -> None:
    """Wait until ``condition()`` is true; RuntimeError naming ``what`` when it takes too long."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: nothing after {patience_s:g} s")
        time.sleep(step_s)
