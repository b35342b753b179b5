"""docs/ble.md says what the code does: its tables are made from it; run this file to renew them."""

import re
import sys
from pathlib import Path

from firmware_interfaces.ble.decoders.nouns import Fault
from firmware_interfaces.ble.models import MODELS
from firmware_interfaces.ble.scanner import RadioState

PAGE = Path(__file__).parents[2] / "docs" / "ble.md"


def tables() -> dict[str, list[str]]:
    return {
        "models": [
            f"| `{model.id}` | {model.title} | {', '.join(f'{name}*' for name in model.formats)} | {model.source} |"
            for model in MODELS.values()
        ],
        "faults": [f"| `{fault.value}` | {fault.words} |" for fault in Fault],
        "states": [f"| `{state.value}` | {state.words} |" for state in RadioState],
    }


def renewed(text: str) -> str:
    for name, rows in tables().items():
        text = re.sub(rf"(?m)(?:^\|(?!--).*\n)*^<!-- {name} -->", "\n".join([*rows, f"<!-- {name} -->"]), text)
    return text


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for rows in tables().values():
        for row in rows:
            assert row in page
    assert page == renewed(page)
    for line in page.splitlines():
        assert not line.startswith("|---") or set(line) == {"|", "-"}


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
