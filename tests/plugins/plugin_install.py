"""Installs the example package as its user would, beside the gateway."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = """
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"
data_dir = "data"

[web]
listen = false

[[bus]]
id = "plant"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}

[[device]]
id = "probe"
bus = "plant"
model = "example-probe"
unit = 1
period = "100ms"

[[point]]
id = "cold-room-1"
name = "Cold room 1"
channel = "probe.temperature"
"""


def install(folder: Path, source: Path) -> Path:
    """Build and install into ``folder``, without network; returns it."""
    source.mkdir()
    package = ROOT / "docs/example-plugin"
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = source / path.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True, timeout=50)
    return folder


def command(installed: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `aurora-gateway` where the example is installed."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
