"""Compiles the C programs of the suite into bench/build/, when they are older than their sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "build"
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers"]
SOURCES = {
    "modbus_sim": (["modbus_sim.c", "sim_units.c", "sim_rtu.c", "modbus_sim.h"], ["-lutil"]),
    "rtu_wire": (["rtu_wire.c", "sim_rtu.c", "modbus_sim.h"], ["-lutil"]),
    "mqtt_sink": (["mqtt_sink.c"], ["-lmosquitto"]),
    "anchor_loop": (["anchor_loop.c"], ["-lmodbus", "-lmosquitto"]),
    "fleet": ([f"fleet/fleet{part}" for part in (".c", "_mqtt.c", "_gateway.c", "_cargo.c", ".h")], []),
}
PACKAGES = "gcc libc6-dev libmodbus-dev libmosquitto-dev mosquitto"


def program(name: str) -> Path:
    """Path of a compiled program, built first when a source is newer; SystemExit says what is missing."""
    sources, libraries = SOURCES[name]
    target = BUILD / name
    paths = [HERE / source for source in sources]
    if target.exists() and all(path.stat().st_mtime <= target.stat().st_mtime for path in paths):
        return target
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit(f"no C compiler; on Debian: apt-get install {PACKAGES}")
    BUILD.mkdir(exist_ok=True)
    compiled = [str(path) for path in paths if path.suffix == ".c"]
    draft = target.with_name(f"{name}.{os.getpid()}")
    outcome = subprocess.run([compiler, *FLAGS, "-o", str(draft), *compiled, *libraries], check=False)
    if outcome.returncode:
        sys.exit(f"{name} does not compile; on Debian: apt-get install {PACKAGES}")
    # At once, so that somebody who builds the same at this moment finds a whole program.
    draft.replace(target)
    return target


def broker_program() -> str:
    """Path of mosquitto; SystemExit when it is not installed."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        sys.exit("no mosquitto; on Debian: apt-get install mosquitto")
    return found
