"""docs/service.md is checked against the code: every check, every option, every unit."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/service.md").read_text()


def test_the_guide_names_every_check() -> None:
    found = set()
    for path in (ROOT / "gateway/doctor").glob("*.py"):
        found |= set(re.findall(r'(?:good|care|bad|unknown|dated)\(\s*"([a-z-]+)"', path.read_text()))
    assert "temperature" in found
    named = set(re.findall(r"`([a-z-]+)`", GUIDE.split("| check |")[1].split("\n\n")[0]))
    assert found - named - {"adapter", "box", "cluster"} == set()


def test_the_guide_names_every_option() -> None:
    for command in ("doctor", "install", "setup"):
        for option in re.findall(
            r'add_argument\("(--[a-z-]+)"', (ROOT / f"gateway/commands/{command}.py").read_text()
        ):
            assert option in GUIDE, f"{command} {option}"


def test_the_guide_names_every_file_that_is_put_in_place() -> None:
    for target in re.findall(r'": "(etc/[^"]+)"', (ROOT / "gateway/commands/install.py").read_text()):
        if "cluster" not in target:
            assert f"/{target}" in GUIDE
