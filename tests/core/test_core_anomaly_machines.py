"""The detectors give the same bits on every processor: one hash for both twins, plain C, and 64-bit ARM."""

import math
import shutil
import struct
import subprocess
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.anomaly import Bank, Config, PureBank, Verdict

HERE = Path(__file__).parent
CORE = HERE.parents[1] / "ext/gateway_core"
SCORES, STATE = "70b57fd6dbff7815", "39bb1844ea2f4454"
"""FNV-1a of the scores and of the state after the stream below. They change only when the arithmetic is changed."""

SETTINGS = Config.over(12 * 3600.0)


def stream() -> Iterator[tuple[float, float, bool, bool]]:
    """Twenty days of a room with everything that happens to a channel, in integers, so that nothing is rounded."""
    random = 12345
    t = 1_700_000_000.0
    for place in range(14_400):
        random = random * 48271 % (2**31 - 1)
        t += 120.0
        if place % 4001 == 4000:
            t += 7200.0
        if place == 9000:
            t -= 10_000.0
        day = place % 720
        defrost = place % 180 < 12
        x = abs(day - 360) / 256 + abs(place % 21 - 10) / 16 + (random % 1024) / 4096 + (4.0 if defrost else 0.0)
        if place % 1777 < 5 or place > 13_900:
            x += (place % 97) / 8
        if 11_000 < place < 11_200:
            x = 3.25
        if place % 997 == 0:
            x = math.nan
        yield t - (120.0 if place % 1500 == 7 else 0.0), x, place % 613 != 0, defrost and place > 7000


def fnv(data: bytes) -> str:
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return f"{value:016x}"


@pytest.mark.parametrize("kind", [PureBank, Bank])
def test_scores_and_state_have_the_known_hash(kind: Any) -> None:
    bank = kind(1, SETTINGS)
    scores = array("d")
    verdicts = set()
    for row in stream():
        scores.append(bank.update(0, *row))
        verdicts.add(bank.verdict(0))
    assert verdicts == set(Verdict), "the stream has to show every verdict"
    told = fnv(array("d", [-1.0 if score != score else score for score in scores]).tobytes())
    state = bank.snapshot()[20:-4]
    assert (told, fnv(state)) == (SCORES, STATE)


def build(compiler: str, folder: Path, *flags: str) -> Path:
    program = folder / "anomaly_hash"
    command = [
        compiler,
        "-O2",
        *flags,
        "-static",
        "-I",
        str(CORE),
        str(HERE / "anomaly_hash.c"),
        "-o",
        str(program),
        "-lm",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=50)
    return program


def hashes(*command: str) -> list[str]:
    rows = b"".join(struct.pack("<4d", t, x, usable, expected) for t, x, usable, expected in stream())
    done = subprocess.run(
        command,
        input=struct.pack(f"<{len(SETTINGS)}d", *SETTINGS) + rows,
        check=True,
        capture_output=True,
        timeout=50,
    )
    return done.stdout.decode().split()


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(
            f"{name} is not installed: the bits on other processors are NOT checked (make system PACKAGES=test)"
        )
    return found


def test_plain_c_gives_the_known_hash(tmp_path: Path) -> None:
    program = build(tool("gcc"), tmp_path, "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
    assert hashes(str(program)) == [SCORES, STATE]


def test_64_bit_arm_gives_the_known_hash(tmp_path: Path) -> None:
    compiler, machine = tool("aarch64-linux-gnu-gcc"), tool("qemu-aarch64")
    assert hashes(machine, str(build(compiler, tmp_path, "-ffp-contract=off"))) == [SCORES, STATE]


def test_without_the_flag_arm_differs(tmp_path: Path) -> None:
    """What the flag is for, and the proof that the test above can fail."""
    compiler, machine = tool("aarch64-linux-gnu-gcc"), tool("qemu-aarch64")
    assert hashes(machine, str(build(compiler, tmp_path, "-ffp-contract=fast")))[1] != STATE
