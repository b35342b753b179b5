"""What is deployed says what the programs understand: units, compose file, alert rules."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cluster.cli import _parser
from gateway.cluster.metrics import _Receiver
from gateway.cluster.receiver import ReceiverStats
from gateway.cluster.settings import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docs/compose"
OPERATIONS = ROOT / "docs/operations"
UNITS = sorted((ROOT / "systemd").glob("aurora-cluster*.service"))
KNOWN = set(next(action for action in _parser()._actions if action.choices).choices)


def understood(words: list[str]) -> None:
    """The program takes these words."""
    if words[0] not in KNOWN:
        pytest.skip(f"THIS RELEASE HAS NO `aurora-cluster {words[0]}` YET")
    _parser().parse_args(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_there_is(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=/opt/aurora-gateway/bin/aurora-cluster (.*)$", unit.read_text(), re.MULTILINE)
    understood(shlex.split(line.replace("%i", "1")))


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return content


OURS = [name for name, service in compose()["services"].items() if service.get("image") == "aurora-cluster"]


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_what_there_is(name: str) -> None:
    understood(compose()["services"][name]["command"])


def test_a_misspelt_option_would_be_found() -> None:
    with pytest.raises(SystemExit):
        understood(["serve", "--matrics=0.0.0.0:9471"])


def test_each_receiver_has_a_client_and_a_certificate_of_its_own() -> None:
    given = [_parser().parse_args(compose()["services"][name]["command"]) for name in OURS if "receiver" in name]
    assert len(given) == len({one.client for one in given}) == len({one.certificate for one in given}) >= 2
    assert {one.certificate.stem for one in given} == {one.client.removeprefix("aurora-") for one in given}


def test_secrets_volumes_and_conditions_name_what_there_is() -> None:
    content = compose()
    for service in content["services"].values():
        assert set(service.get("secrets", ())) <= set(content["secrets"])
        assert set(service.get("depends_on", ())) <= set(content["services"])
        named = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {name for name in named if not name.startswith(".")} <= set(content["volumes"])


def test_the_settings_are_understood() -> None:
    settings = load_settings(COMPOSE / "cluster.toml", {})
    assert settings.store == "postgresql://aurora@database/aurora"
    assert settings.group == "receivers"
    assert settings.broker.host in compose()["services"]


def test_the_image_has_what_the_units_call() -> None:
    text = (COMPOSE / "Dockerfile").read_text()
    assert "/opt/aurora-gateway/bin/aurora-cluster" in text
    project = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"/source\[([\w,]+)\]", text)[0].split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("PROMTOOL IS NOT HERE: the rules are not judged (Debian package prometheus)")
    return subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize(("what", "file"), [("check", "cluster-alerts.yml"), ("test", "cluster-alerts.test.yml")])
def test_alert_rules_are_sound_and_fire_when_they_should(what: str, file: str) -> None:
    done = promtool(what, "rules", OPERATIONS / file)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> dict[str, str]:
    content = yaml.safe_load((OPERATIONS / "cluster-alerts.yml").read_text())
    return {rule["alert"]: rule["expr"] for group in content["groups"] for rule in group["rules"]}


def test_rules_speak_of_metrics_that_there_are() -> None:
    stats = ReceiverStats()
    stats.committed_ms = 1
    known = {"up"}
    for metric in _Receiver(stats).collect():
        known.add(metric.name + ("_total" if metric.type == "counter" else ""))
    for name, expression in rules().items():
        used = set(re.findall(r"\b(aurora_\w+|up)\b(?!\")", expression))
        assert used, name
        assert used <= known, name


def test_every_rule_has_its_test_and_its_line_in_the_guide() -> None:
    tested = (OPERATIONS / "cluster-alerts.test.yml").read_text()
    guide = (ROOT / "docs/cluster-scale.md").read_text()
    for name in rules():
        assert f"fires-{name}" in tested
        assert f"| `{name}` |" in guide
