"""A running virtual machine: commands over SSH with their exit status, files into it, an orderly or a hard end.

QEMU without hardware virtualisation (TCG): it runs wherever QEMU does, some ten times slower than the host.
Nothing is written to the image: each machine has an overlay of its own.
"""

import atexit
import shlex
import socket
import subprocess
import tarfile
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from vm.image import NoMachine

__all__ = ["ROOT", "SOURCE", "Machine"]

ROOT = Path(__file__).parents[2]
SOURCE = "/opt/hil/src"
"""Where `Machine.install` puts the project."""
START_LIMIT_S = 300.0
KERNEL = (
    "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 mitigations=off nokaslr random.trust_cpu=on "
    "no5lvl audit=0 panic=1"
)
PYTHONPATH = f"{SOURCE}:{SOURCE}/ext:/opt/hil/lib"


class Machine:
    """One machine over ``image`` (see `vm.image.image`), with its files in ``folder``."""

    def __init__(self, image: Path, folder: Path, *, memory_mb: int = 768) -> None:
        self.image = image
        self.folder = folder
        self.console = folder / "console.txt"
        self.memory_mb = memory_mb
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, limit_s: float = START_LIMIT_S) -> None:
        """Boot, and return when commands can be run; raises `NoMachine`. The disk keeps what was written."""
        disk = self.folder / "disk.qcow2"
        if not disk.exists():
            made = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image / "root.img", disk]
            subprocess.run(made, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        words = [
            # It ends with us, however that comes about.
            *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
            *("-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512"),
            *("-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand", "-smp", "2", "-m", str(self.memory_mb)),
            *("-nodefaults", "-no-reboot", "-display", "none"),
            *("-kernel", self.image / "vmlinuz", "-initrd", self.image / "initrd", "-append", KERNEL),
            *("-drive", f"if=none,id=d0,file={disk},format=qcow2,cache=unsafe"),
            *("-device", "virtio-blk-pci,drive=d0"),
            *("-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-rng-pci"),
            *("-serial", f"file:{self.console}"),
        ]
        with (self.folder / "qemu.txt").open("wb") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(self.kill)
        end = time.monotonic() + limit_s
        while self.run("true", check=False, timeout=30).returncode != 0:
            if self._process.poll() is not None:
                raise NoMachine(f"QEMU ended: {(self.folder / 'qemu.txt').read_text()[-500:]}")
            if time.monotonic() > end:
                self.kill()
                raise NoMachine(f"no answer within {limit_s:g} s; the end of its console: {self._console_end()}")
            time.sleep(1)

    def _console_end(self) -> str:
        return self.console.read_text(errors="replace")[-500:] if self.console.exists() else "nothing"

    def run(
        self, command: str, *, check: bool = True, timeout: float = 120, given: bytes | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """A shell command as root. ``check``: raise with its output where it fails."""
        words = self._words(command)
        try:
            done = subprocess.run(words, check=False, input=given or b"", capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            if check:
                raise
            return subprocess.CompletedProcess(words, 255, "", "time-out")
        text = subprocess.CompletedProcess(
            words, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: status {done.returncode}\n{text.stdout}\n{text.stderr}")
        return text

    def _words(self, command: str) -> list[str | Path]:
        """What runs a shell command there, on this machine."""
        return [
            *("ssh", "-q", "-i", self.image / "key", "-p", str(self.port)),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10"),
            # One connection for all commands: under emulation the handshake costs more than most of them.
            *("-o", "ControlMaster=auto", "-o", f"ControlPath={self.folder}/ssh-{self.port}"),
            *("-o", "ControlPersist=60", "-o", "BatchMode=yes", "root@127.0.0.1", command),
        ]

    def put(self, files: Mapping[str, Path | bytes]) -> None:
        """Files or folders of the host, or bytes, under whole names in the machine."""
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, source in files.items():
                if isinstance(source, bytes):
                    member = tarfile.TarInfo(name.lstrip("/"))
                    member.size, member.mode = len(source), 0o755
                    archive.addfile(member, BytesIO(source))
                else:
                    archive.add(source, name.lstrip("/"), filter=_ours)
        self.run("tar -x -C / -f - --no-same-owner", given=packed.getvalue(), timeout=300)

    def install(self) -> None:
        """The project's source, and its compiled core where the host has one; run it with `python`."""
        parts = ("gateway", "firmware_interfaces", "plugins", "ext")
        self.put({f"{SOURCE}/{part}": ROOT / part for part in parts})
        self.run(f"ln -sfn {SOURCE}/plugins {SOURCE}/gateway_plugins")

    def python(self, words: str, *, check: bool = True, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """The guest's Python with the project and its dependencies."""
        return self.run(f"PYTHONPATH={PYTHONPATH} python3 {words}", check=check, timeout=timeout)

    def service(self, name: str, command: str, **environment: str) -> None:
        """Start a command in the background, as a systemd unit of that name that is gone when it ends."""
        settings = " ".join(f"-E {shlex.quote(f'{key}={value}')}" for key, value in environment.items())
        self.run(f"systemd-run -q --collect --unit={name} {settings} {command}")

    def stop(self) -> None:
        """Shut down."""
        if self._process is None:
            return
        self.run("systemctl poweroff", check=False, timeout=30)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """As if the power had gone."""
        atexit.unregister(self.kill)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _ours(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name or member.name.endswith((".pyc", ".c")) else member
