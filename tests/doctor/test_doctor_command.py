"""`aurora-gateway doctor` as its user runs it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def doctor(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway.cli", "doctor", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def test_a_site_file_with_a_mistake_is_a_problem_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('[gateway]\nmember = "m"\nsite = "s"\nid = "g"\ndata_dir = 5\n')
    done = doctor(path)
    assert done.returncode == 2
    assert "BAD   Site file:" in done.stdout
    assert "line 5" in done.stdout


def test_json_has_every_fact_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        '[gateway]\nmember = "m"\nsite = "s"\nid = "g"\ndata_dir = "data"\n'
        '[[bus]]\nid = "line-1"\ntype = "modbus-rtu"\ndevice = "/dev/nowhere"\n'
        '[[device]]\nid = "a"\nbus = "line-1"\nmodel = "xy-md02"\nunit = 1\nperiod_s = 10\n'
    )
    done = doctor("--json", path)
    found = json.loads(done.stdout)
    facts = {fact["id"]: fact for fact in found["facts"]}
    assert facts["configuration"]["state"] == "good"
    assert (facts["port-line-1"]["state"], "plug the adapter in" in facts["port-line-1"]["remedy"]) == ("bad", True)
    assert (found["state"], done.returncode) == ("bad", 2)
    assert not (tmp_path / "data").exists(), "a doctor makes nothing"


def test_quiet_says_only_what_is_to_be_seen_to(tmp_path: Path) -> None:
    done = doctor("--quiet", tmp_path / "nothing.toml")
    assert done.returncode == 2
    assert "ok " not in done.stdout
    assert "BAD   Site file" in done.stdout
