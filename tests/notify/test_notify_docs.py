"""What the guides say is so: the example is installed and works, and every setting is described."""

import csv
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from notify_tools import KINDS, alarm, notifying, rule, site_of, until

from gateway import api
from gateway.api import BUILT_IN, load_output, output_types
from gateway.config import check_site
from gateway.config.outputs import TIERS, TRANSITIONS
from gateway.config.outputs_shape import NoticesTable, NotifyTable, OutputTable

ROOT = Path(__file__).parents[2]
SITE = """
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"
[[bus]]
id = "plant"
type = "modbus-tcp"
host = "10.0.0.1"
[[device]]
id = "room"
bus = "plant"
model = "xy-md02"
unit = 1
period_s = 10
"""


def guide(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def toml_of(name: str) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", guide(name), re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed as its user would."""
    folder = tmp_path_factory.mktemp("site-packages")
    source = tmp_path_factory.mktemp("source") / "example-output"
    source.mkdir()
    for path in (ROOT / "docs/example-output").iterdir():
        if path.is_file():
            (source / path.name).write_bytes(path.read_bytes())
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True, timeout=50)
    return folder


async def test_the_example_is_found_by_its_entry_point_checked_and_told(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    assert output_types()["csv-drop"] == "aurora_csv_drop:CsvDrop"
    text = SITE + next(part for part in toml_of("plugins.md") if "csv-drop" in part and "[[output]]" in part)
    wrong, problems = check_site(text.replace("alarms.csv", "alarms.txt"), "site.toml", tmp_path)
    assert wrong is None
    assert any("alarms.txt is no CSV file" in problem.what for problem in problems)
    site, problems = check_site(text, "site.toml", tmp_path)
    assert site is not None, problems
    async with notifying(site_of(tmp_path, list(site.outputs), [rule("drop")])) as world:
        assert await world.notifier.test("drop") == [""]
        await world.notifier.accept([alarm(), alarm("acknowledged", person="Ann")])
        await until(lambda: world.notifier.stats.outputs["drop"].sent == 2)
    with (tmp_path / "alarms.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [row["transition"] for row in rows] == ["test", "raised", "acknowledged"]
    assert (rows[1]["value"], rows[1]["unit"], rows[2]["person"]) == ("8.2", "degC", "Ann")
    sys.modules.pop("aurora_csv_drop", None)


def test_the_example_of_the_guide_is_right(tmp_path: Path) -> None:
    (tmp_path / "smtp.password").touch(mode=0o600)
    site, problems = check_site(SITE + toml_of("notifications.md")[0], "site.toml", tmp_path)
    assert problems == []
    assert site is not None
    assert [spec.type for spec in site.outputs] == ["email", "siren-modbus"]


def test_the_example_package_and_the_guide_name_the_same_entry_point() -> None:
    project = tomllib.loads((ROOT / "docs/example-output/pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"] == {api.GROUP: {"csv-drop": "aurora_csv_drop:CsvDrop"}}
    assert any(
        tomllib.loads(part) == {"project": {"entry-points": project["project"]["entry-points"]}}
        for part in toml_of("plugins.md")
    )


def test_every_setting_and_every_kind_of_output_is_described() -> None:
    text = guide("notifications.md")
    for table in (OutputTable, NotifyTable, NoticesTable):
        for name in table.model_fields:
            assert f"`{name}`" in text, f"{name} of {table.__name__} is not described"
    for name in BUILT_IN.keys() - KINDS.keys():
        assert f"`{name}`" in text
        for part in fields(load_output(name).Settings):
            assert f"`{part.name}`" in text, f"{part.name} of {name} is not described"
    for word in (*TIERS, *TRANSITIONS):
        assert f"`{word}`" in text
