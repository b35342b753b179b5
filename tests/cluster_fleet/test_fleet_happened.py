"""What a gateway recorded, in the words of whoever reads the page."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.cluster.fleet.happened import event_words
from gateway.language import LANGUAGES, language


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("alarm.raised", {"rule": "high-critical"}, "too warm, critical limit: raised"),
        ("alarm.acknowledged", {"rule": "of-tomorrow"}, "of-tomorrow: acknowledged"),
        ("alarm.returned", {"rule": 5}, "returned to normal"),
        ("alarm.raised", None, "raised"),
        ("label.defrost", {}, "recognised: defrost"),
        ("label.moved", {}, "recognised: probe moved"),
        ("label.of-tomorrow", {}, "label.of-tomorrow"),
        ("state.declared", {"kind": "cleaning"}, "declared: cleaning"),
        ("state.ended", {"kind": "cleaning"}, "ended: cleaning"),
        ("state.ended", [], "declared state ended"),
        ("config.changed", {}, "configuration changed"),
        ("gap.opened", {"cause": "timeout"}, "no good values"),
        ("clock.step", {}, "clock stepped"),
        ("access.refused", {"why": "password"}, "sign-in refused"),
        ("something.new", {"rule": "high-critical"}, "something.new"),
    ],
)
def test_words_of_an_event(kind: str, data: Any, words: str) -> None:
    assert event_words(kind, data, language("en")) == words
    for tag in LANGUAGES:
        assert event_words(kind, data, language(tag))


def test_a_reader_has_their_own_language() -> None:
    raised = ("alarm.raised", {"rule": "door-open"})
    assert len({event_words(*raised, language(tag)) for tag in LANGUAGES}) == len(LANGUAGES)


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_kind_of_the_guide_has_words(tag: str) -> None:
    guide = (Path(__file__).parents[2] / "docs/events.md").read_text()
    cells = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    kinds = [kind for cell in cells for kind in re.findall(r"`([a-z_.-]+)`", cell)]
    assert len(kinds) > 80
    assert [kind for kind in kinds if event_words(kind, {}, language(tag)) == kind] == []
