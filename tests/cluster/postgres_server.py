"""A PostgreSQL of our own for a run of tests: on a Unix socket in a new folder, its data forgotten at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4


def programs() -> Path:
    """The folder of Debian's newest server programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    assert found, "PostgreSQL is not installed: scripts/install-system-packages test"
    return found[-1].parent


class Server:
    """One server. It does not run as root: then the user ``postgres`` of the package runs it."""

    def __init__(self, *settings: str, on_disk: bool = False) -> None:
        # A socket's path has to be short, and its folder open to the server's user; in memory it is quick.
        memory = "/dev/shm" if not on_disk and os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="aurora-pg-", dir=memory))
        self.data = self.folder / "data"
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        # The locale C is everywhere.
        self._run("initdb", "-D", self.data, "-U", "aurora", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        lines = [
            "listen_addresses = ''",
            f"unix_socket_directories = '{self.folder}'",
            "max_connections = 60",
            # What is killed here are processes, not the machine: the kernel keeps what they wrote.
            f"fsync = {'on' if on_disk else 'off'}",
            *settings,
        ]
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.folder / "log", "start")

    def stop(self, how: str = "fast") -> None:
        """``fast`` in order, ``immediate`` as by a power cut."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", how, "stop")

    def promote(self) -> None:
        """End a standby's waiting."""
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def kill(self) -> None:
        """Kill the server's main process, which takes the others with it."""
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def url(self, database: str, user: str = "aurora") -> str:
        """How to reach a database of it."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Make an empty database; returns its address."""
        name = f"d{uuid4().hex[:12]}"
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def sql(self, text: str, database: str = "postgres", user: str = "aurora") -> str:
        """What psql prints for a statement."""
        command = [
            programs() / "psql",
            "-X",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            text,
            self.url(database, user),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def remove(self) -> None:
        """Stop it and forget its data."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        user = self._user
        done = subprocess.run(
            [str(programs() / program), *map(str, arguments)],
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()
