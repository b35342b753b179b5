"""What the guides say is so: the example is installed and works, and every setting is described."""

import re
from dataclasses import fields
from pathlib import Path

from notify_tools import KINDS

from gateway.api import BUILT_IN, load_output
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


def test_the_example_of_the_guide_is_right(tmp_path: Path) -> None:
    (tmp_path / "smtp.password").touch(mode=0o600)
    site, problems = check_site(SITE + toml_of("notifications.md")[0], "site.toml", tmp_path)
    assert problems == []
    assert site is not None
    assert [spec.type for spec in site.outputs] == ["email", "siren-modbus"]


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
