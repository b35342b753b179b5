"""What the tests of the whole share."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Ran(NamedTuple):
    """A demonstration that has ended."""

    folder: Path
    output: str
    status: int


def command(*words: str | Path, limit_s: float = 50.0) -> subprocess.CompletedProcess[str]:
    """Run `aurora-gateway` as its user does."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
