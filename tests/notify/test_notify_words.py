"""What people read: whole, true, bounded, in their language."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin_tools import notice

from gateway.notify.words import LANGUAGES, SHORT, clean, dressed, one_line

UTC = ZoneInfo("UTC")


def test_every_language_says_everything() -> None:
    assert set(LANGUAGES) == {"en", "fr", "nl", "pl", "es"}
    for language, words in LANGUAGES.items():
        assert words.keys() == LANGUAGES["en"].keys(), language
        assert all(words.values())
        for name in ("late", "more"):
            assert words[name].count("{}") == 1


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("en", "CRITICAL: Cold room 1 8.2 °C (limit 5 °C)"),
        ("fr", "CRITIQUE: Cold room 1 8,2 °C (limite 5 °C)"),
        ("nl", "KRITIEK: Cold room 1 8,2 °C (grens 5 °C)"),
        ("pl", "KRYTYCZNY: Cold room 1 8,2 °C (limit 5 °C)"),
        ("es", "CRÍTICO: Cold room 1 8,2 °C (límite 5 °C)"),
    ],
)
def test_the_subject_says_what_where_and_how_much(language: str, subject: str) -> None:
    assert notice(language=language).subject == subject


def test_local_time_has_its_offset_in_summer_and_winter() -> None:
    zone = ZoneInfo("Europe/Warsaw")
    winter = dressed(notice(), zone)
    summer = dressed(replace(notice(), since_utc_ms=1_752_494_400_000), zone)
    assert "2025-11-24 12:59 UTC+01:00" in winter.body
    assert "2025-07-14 14:00 UTC+02:00" in summer.body


def test_without_a_value_or_a_name_the_sentence_of_the_judge_stands() -> None:
    silent = notice(value=None, limit=None, tier="maintenance", name="", words="Probe 3 is silent")
    assert silent.subject == "Maintenance: Probe 3 is silent"
    unknown = notice(tier="brand-new", value=-0.5, limit=None, unit="")
    assert unknown.subject == "brand-new: Cold room 1 -0.5"


def test_a_return_an_escalation_and_who_did_what_are_said() -> None:
    assert notice(transition="returned").subject.startswith("CRITICAL, back to normal: Cold room 1")
    escalated = notice(transition="escalated", escalation=2)
    assert escalated.subject.startswith("CRITICAL, NOT ACKNOWLEDGED: Cold room 1")
    assert "escalation level: 2" in escalated.body
    confirmed = notice(transition="confirmed", person="Ann", text="moved to room 2")
    assert "By: Ann moved to room 2" in confirmed.body


def test_others_told_with_it_are_listed_up_to_a_point() -> None:
    others = [notice(name=f"Room {number}") for number in range(25)]
    digest = dressed(notice(), UTC, others)
    assert digest.more == 25
    assert digest.subject.endswith("(and 25 more)")
    assert "- CRITICAL: Room 19 8.2 °C" in digest.body
    assert "Room 20" not in digest.body
    assert "- ... (5)" in digest.body
    assert ", and 25 more" in digest.short


@settings(deadline=None)
@given(
    st.text(max_size=300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(sorted(LANGUAGES)),
    st.floats(0, 1e6),
)
def test_the_short_text_is_short_and_never_cuts_a_number(
    name: str, value: float, language: str, late_s: float
) -> None:
    one = notice(name=clean(name), value=value, language=language, late_s=late_s)
    number = f"{value:.10g}"
    assert len(one.short) <= SHORT
    assert (number if language == "en" else number.replace(".", ",")) in one.short
    assert "plant-1/gw-1" in one.short
    assert "\n" not in one.subject
    assert "\n" not in one_line(one, UTC)


@settings(deadline=None)
@given(st.text(max_size=3000))
def test_a_text_becomes_one_printable_line(text: str) -> None:
    line = clean(text)
    assert len(line) <= 2000
    assert all(letter.isprintable() for letter in line)
    assert clean(line) == line
