"""docs/records.md names every event, every key and every column, and nothing that is not there."""

import re
from pathlib import Path

import pytest
from logbook_tools import SITE, Desk
from test_logbook_forms import GOOD

from firmware_interfaces.scanner.identifiers import BY_IDENTIFIER
from gateway.logbook.forms import COMMON
from gateway.logbook.settings import SettingsWatch
from gateway.recordkeeping.events import COLUMNS

PAGE = (Path(__file__).parents[2] / "docs/records.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/records.md has no section {title}"
    return found[1]


def keys(title: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)


def test_keys_of_all_records() -> None:
    assert keys("All records") == list(COMMON)


@pytest.mark.parametrize("kind", GOOD)
def test_keys_of_each_kind(kind: str) -> None:
    named = keys("All records") + keys(f"`record.{kind}`")
    if kind == "calibration":
        named += keys("`record.verification`")
    data = Desk().make(kind, **GOOD[kind]).data
    assert sorted(named) == sorted(data)


def test_keys_of_a_review_and_of_points() -> None:
    data = Desk().verify(0.9, 0.1, text="adjusted").data
    row = next(line for line in PAGE.splitlines() if line.startswith("| `review`"))
    assert set(re.findall(r"`(\w+)`", row)) == {"review", *data["review"]}
    row = next(line for line in PAGE.splitlines() if line.startswith("| `points`"))
    assert set(re.findall(r"`(\w+)`", row)) == {"points", *data["points"][0]}


def test_keys_of_a_change_of_settings() -> None:
    (event,) = SettingsWatch().compare(SITE, Desk().claim())
    assert keys("`config.changed`") == list(event.data)


def test_columns_of_the_csv() -> None:
    text = PAGE.partition("## CSV")[2].partition("Column `data`")[0]
    assert tuple(re.findall(r"`(\w+)`", text)) == COLUMNS


def test_known_identifiers() -> None:
    text = PAGE.partition("Known identifiers:")[2].partition("A code with")[0]
    named = set(re.findall(r"\d{2,4}n?", text)) | {str(number) for number in range(90, 100)}
    assert named == {f"{ai[:3]}n" if len(ai) == 4 and ai[0] == "3" else ai for ai in BY_IDENTIFIER}


def test_every_action_of_the_command_is_named() -> None:
    for action in (
        "verification",
        "calibration",
        "lot",
        "corrective",
        "note",
        "supersede",
        "list",
        "lots",
        "history",
    ):
        assert re.search(rf"record SITE {action}\b", PAGE)
