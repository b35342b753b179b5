"""Profiles as data: those that come with the gateway, a member's own, every contradiction named with its line."""

from pathlib import Path

import pytest

from gateway.commands.profiles import profiles_page
from gateway.config import check_site
from gateway.config.judging import parse_hours
from gateway.config.profiles import builtin_profile, builtin_profiles
from gateway.errors import Problem
from gateway.model import Tier
from gateway.profile import STATE_KINDS, Profile
from gateway.site import AlarmSpec, PointSpec, Site

BASE = """\
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

[[point]]
id = "cold"
name = "Cold room"
channel = "room.temperature"
"""


def check(text: str) -> tuple[Site | None, list[Problem]]:
    return check_site(text, "site.toml", Path("/nowhere"))


def point(text: str) -> PointSpec:
    site, found = check(BASE + text)
    assert found == []
    assert site is not None
    return site.points[0]


def profile(text: str) -> Profile:
    found = point(text).profile
    assert found is not None
    return found


def limit(found: Profile, rule: str) -> float:
    return next(one.limit for one in found.limits if one.rule == rule)


# those that come with the gateway


@pytest.mark.parametrize("name", builtin_profiles())
def test_a_profile_says_where_it_comes_from_and_what_to_do(name: str) -> None:
    found = builtin_profile(name)
    assert found.sources
    assert found.actions
    assert found.title
    assert len(found.digest) == 64
    assert found.rules
    assert set(found.states) <= set(STATE_KINDS)
    assert found.interval_s is None or found.interval_s <= found.stale_s


LEGAL = {
    # (profile, rule): limit in degrees Celsius. ATP Annexes 2 and 3; Regulation (EC) No 853/2004, Annex III;
    # Food Code 3-501.16 and 3-401.11; The Food Safety and Hygiene (England) Regulations 2013, Schedule 4.
    ("chilled-meat", "high-critical"): 7.0,
    ("poultry", "high-critical"): 4.0,
    ("offal", "high-critical"): 3.0,
    ("minced-meat", "high-critical"): 2.0,
    ("ready-to-eat", "high-critical"): 6.0,
    ("raw-milk", "high-critical"): 6.0,
    ("pasteurised-dairy", "high-critical"): 6.0,
    ("quick-frozen", "high-critical"): -18.0,
    ("quick-frozen", "high-tolerance"): -15.0,
    ("deep-frozen", "high-critical"): -12.0,
    ("ice-cream", "high-critical"): -20.0,
    ("hot-holding-us", "low-critical"): 57.0,
    ("cold-holding-us", "high-critical"): 5.0,
    ("cooking", "low-critical"): 63.0,
    ("pasteurisation", "low-critical"): 72.0,
    ("retail-cabinet-frozen", "high-critical"): -18.0,
    ("transport-frozen", "high-critical"): -18.0,
    ("transport-chilled", "high-critical"): 6.0,
}


@pytest.mark.parametrize(("name", "rule"), LEGAL)
def test_critical_limits_are_those_of_the_law(name: str, rule: str) -> None:
    found = builtin_profile(name)
    assert limit(found, rule) == LEGAL[name, rule]
    assert next(one.tier for one in found.limits if one.rule == rule) is Tier.CRITICAL


def test_times_and_stages_are_those_of_the_law() -> None:
    (cold,) = builtin_profile("chilled-uk").times
    assert (cold.limit, cold.single_s, cold.periods, cold.tier) == (8.0, 4 * 3600, 1, Tier.CRITICAL)
    (hot,) = builtin_profile("hot-holding-uk").times
    assert (hot.side, hot.limit, hot.single_s, hot.periods) == ("below", 63.0, 2 * 3600, 1)
    stages = {one.rule: (one.start, one.goal, one.within_s) for one in builtin_profile("two-stage-cooling").stages}
    assert stages["stage-1"] == (57.0, 21.0, 2 * 3600)
    assert stages["stage-2"] == (57.0, 5.0, 6 * 3600)
    assert builtin_profile("transport-frozen").interval_s == 300


# a member's own

OWN = """
[[profile]]
id = "ours"
base = "chilled-meat"
sources = ["HACCP plan, version 4"]
[profile.limits]
high-alert = { limit = 4.0, delay = "20min" }
deficit = false
[profile.states.loading]
rules = ["high-alert"]
longest = "30min"
"""


def test_a_derived_profile_keeps_what_it_does_not_change() -> None:
    found = profile('profile = "ours"\n' + OWN)
    base = builtin_profile("chilled-meat")
    assert (found.id, found.base) == ("ours", "chilled-meat")
    assert found.sources == ("HACCP plan, version 4", *base.sources)
    assert limit(found, "high-critical") == 7.0
    alert = next(one for one in found.limits if one.rule == "high-alert")
    assert (alert.limit, alert.delay_s, alert.hysteresis) == (4.0, 1200, 0.5)
    assert "deficit" not in found.rules
    assert found.states["loading"].longest_s == 1800
    assert found.states["defrost"] == base.states["defrost"]
    assert found.digest != base.digest


def test_a_point_has_the_last_word_and_its_own_digest() -> None:
    plain, own = (
        profile('profile = "chilled-meat"\n'),
        profile('profile = "chilled-meat"\n[point.limits]\nhigh-alert = 4.5\n'),
    )
    assert plain.digest == builtin_profile("chilled-meat").digest
    assert limit(own, "high-alert") == 4.5
    assert own.id == "chilled-meat@cold"
    assert own.digest != plain.digest


def test_the_digest_is_of_the_rules_not_of_the_words() -> None:
    words = OWN.replace("version 4", "version 5")
    assert profile('profile = "ours"\n' + OWN).digest == profile('profile = "ours"\n' + words).digest


def test_a_point_may_have_limits_without_a_profile_or_nothing() -> None:
    assert limit(profile("[point.limits]\nhigh-alert = 4\n"), "high-alert") == 4.0
    assert point("").profile is None


def test_everything_else_of_a_point() -> None:
    more = 'profile = "quick-frozen"\ngroup = "c-1"\nsimulate = true\nstale = "5min"\n'
    more += 'alert_hours = ["mon-fri 06:00-18:00"]\n'
    found = point(more)
    assert found.group == "c-1"
    assert found.product_tau_s == 240 * 60
    assert found.alert_hours[0].hold(0, 6 * 60)
    assert not found.alert_hours[0].hold(5, 6 * 60)
    assert found.profile is not None
    assert found.profile.stale_s == 300
    assert point('profile = "quick-frozen"\nsimulate = "90min"\n').product_tau_s == 5400


def test_how_alarms_are_handled() -> None:
    site, found = check(BASE)
    assert found == []
    assert site is not None
    assert site.alarms == AlarmSpec()
    site, found = check(
        BASE + '[alarms]\nescalate_critical = "5min"\n' + 'escalate_alert = false\nsilence = "2min"\n'
    )
    assert found == []
    assert site is not None
    assert site.alarms.escalate_s == {"critical": 300.0, "maintenance": 86400.0}
    assert site.alarms.silence_s == 120.0


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("06:00-18:00", (6, 360), (6, 1080)),
        ("mon 22:00-04:00", (1, 239), (0, 239)),
        ("fri-mon 00:00-24:00", (6, 1439), (3, 0)),
    ],
)
def test_hours(text: str, inside: tuple[int, int], outside: tuple[int, int]) -> None:
    assert parse_hours(text).hold(*inside)
    assert not parse_hours(text).hold(*outside)


# mistakes

OF_ITS_OWN = '[[profile]]\nid = "own"\nunit = "degC"\n'


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ('profile = "chiled-meat"\n', "point[1].profile", "chilled-meat"),
        ('profile = "chilled-meat"\n[point.limits]\nhigh-alrt = 4.0\n', "point[1].limits.high-alrt", "high-alert"),
        ('profile = "chilled-meat"\n[point.limits]\nhigh-alert = "4"\n', "point[1].limits.high-alert", "false"),
        (
            'profile = "chilled-meat"\n[point.limits]\nhigh-alert = { delay = 5 }\n',
            "point[1].limits.high-alert.delay",
            "5min",
        ),
        (
            'profile = "chilled-meat"\n[point.limits]\nhigh-alert = 7.5\n',
            "point[1].limits.high-alert.limit",
            "before",
        ),
        ('profile = "chilled-meat"\n[point.limits]\ndeficit = 8.0\n', "point[1].limits.deficit.limit", "band"),
        (
            'profile = "chilled-meat"\n[point.limits]\nhigh-alert = { limit = 5.0, hysteresis = 7.0 }\n',
            "point[1].limits.high-alert.hysteresis",
            "never end",
        ),
        (
            'profile = "quick-frozen"\n[point.limits]\nhigh-tolerance = -19.0\n',
            "point[1].limits.high-tolerance.limit",
            "tolerance",
        ),
        ('[point.limits]\nhigh-alert = { delay = "5min" }\n', "point[1].limits.high-alert.limit", "add limit"),
        ("[point.limits]\nhigh-alert = nan\n", "point[1].limits.high-alert", ""),
        ('stale = "5min"\n', "point[1].stale", "profile"),
        ("simulate = true\n", "point[1].simulate", "profile"),
        ('profile = "cooking"\nsimulate = true\n', "point[1].simulate", "60min"),
        ('profile = "battery"\n', "point[1].profile", "unit"),
        ('profile = "chilled-meat"\nalert_hours = ["monday 6-18"]\n', "point[1].alert_hours[1]", "06:00-18:00"),
        ('profile = "chilled-meat"\nalert_hours = ["mon 06:00-25:00"]\n', "point[1].alert_hours[1]", "06:00-18:00"),
        ('profile = "chilled-meat"\nstale = "5s"\n', "point[1].profile", "poll more often"),
        ("[alarms]\nescalate_critical = 15\n", "alarms.escalate_critical", "15min"),
        ('[[profile]]\nbase = "poultry"\n', "profile[1].id", "add"),
        ('[[profile]]\nid = "own"\n', "profile[1].unit", "base"),
        ('[[profile]]\nid = "own"\nbase = "poltry"\n', "profile[1].base", "poultry"),
        (OWN + OWN, "profile[2].id", "own id"),
        (
            '[[profile]]\nid = "own"\nunit = "degC"\n[profile.times.warm]\nside = "above"\n',
            "profile[1].times.warm.limit",
            "add",
        ),
        (
            '[[profile]]\nid = "own"\nunit = "degC"\n[profile.times.warm]\nside = "above"\nlimit = 5.0\n',
            "profile[1].times.warm",
            "single",
        ),
        (
            OF_ITS_OWN + '[profile.times.warm]\nside = "over"\nlimit = 5.0\nsingle = "4h"\n',
            "profile[1].times.warm.side",
            "above",
        ),
        (
            OF_ITS_OWN + '[profile.times.warm]\nside = "above"\nlimit = 5.0\nsingle = "4h"\nwindow = "week"\n',
            "profile[1].times.warm.window",
            "day",
        ),
        (
            '[[profile]]\nid = "own"\nbase = "poultry"\n[profile.times.stale]\nlimit = 5.0\n',
            "profile[1].times.stale",
            "name",
        ),
        (
            OF_ITS_OWN + '[profile.stages.one]\nstart = 5.0\ngoal = 5.0\nwithin = "2h"\n',
            "profile[1].stages.one.goal",
            "reached",
        ),
        (
            '[[profile]]\nid = "own"\nbase = "poultry"\n[profile.states.defrost]\nrules = ["hi-alert"]\n',
            "profile[1].states.defrost.rules",
            "high-alert",
        ),
        (
            '[[profile]]\nid = "own"\nbase = "poultry"\n[profile.states.defroost]\nrules = []\n',
            "profile[1].states.defroost",
            "defrost",
        ),
        (
            '[[profile]]\nid = "own"\nbase = "poultry"\n[profile.states.defrost]\nlongest = "2h"\nevery = "1h"\n',
            "profile[1].states.defrost.every",
            "end before",
        ),
        ('[[profile]]\nid = "own"\nbase = "poultry"\nlimits = 5\n', "profile[1].limits", "table"),
    ],
)
def test_a_mistake_is_named_with_line_place_and_remedy(text: str, where: str, hint: str) -> None:
    site, found = check(BASE + text)
    assert site is None
    assert any(one.path.startswith(where) and hint in str(one) and one.line for one in found), found


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        (
            'profile = "chilled-meat"\n[point.limits]\nhigh-critical = 8.0\n',
            "point[1].limits.high-critical",
            "reason",
        ),
        (
            'profile = "chilled-meat"\n[point.limits]\nhigh-critical = false\n',
            "point[1].limits.high-critical",
            "reason",
        ),
        (
            'profile = "chilled-meat"\n[point.limits]\nhigh-critical = { delay = "3h" }\n',
            "point[1].limits.high-critical",
            "reason",
        ),
        (
            '[[profile]]\nid = "own"\nbase = "chilled-uk"\n[profile.times]\nabove-8 = false\n',
            "profile[1].times.above-8",
            "reason",
        ),
        ('profile = "pasteurisation"\n', "point[1].profile", "period_s = 5"),
        ('profile = "pasteurisation"\n[point.limits]\nlow-alert = 73.0\n', "point[1].profile", "poll"),
    ],
)
def test_what_is_no_reason_not_to_record_is_said_all_the_same(text: str, where: str, hint: str) -> None:
    site, found = check(BASE + text)
    assert site is not None
    assert any(one.path.startswith(where) and hint in str(one) for one in found), found


def test_a_reason_lets_a_laxer_limit_pass_and_stands_in_the_profile() -> None:
    more = 'profile = "chilled-meat"\nreason = "label allows 8 C"\n[point.limits]\nhigh-critical = 8.0\n'
    assert profile(more).reason == "label allows 8 C"


def test_a_stricter_limit_instead_of_an_exemption_needs_no_reason() -> None:
    more = '[[profile]]\nid = "own"\nbase = "chilled-uk"\n[profile.limits]\nhigh-critical = 8.0\n'
    more += "[profile.times]\nabove-8 = false\n"
    site, found = check(BASE + more)
    assert site is not None
    assert found == []


# the page


def test_the_page_shows_the_profiles_as_they_are() -> None:
    """After a change: print gateway.commands.profiles.profiles_page() below the last heading of level two."""
    page = (Path(__file__).parents[2] / "docs/profiles.md").read_text(encoding="utf-8")
    _, found, listed = page.partition("## Those that come with the gateway\n\n")
    assert found
    assert listed == profiles_page()


def test_the_example_of_the_page_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs/profiles.md").read_text(encoding="utf-8")
    example = page.partition("## A profile of your own\n\n")[2].partition("\nThe names of limits")[0]
    text = "\n".join(line.removeprefix("    ") for line in example.splitlines())
    found = profile('profile = "our-meat-store"\n' + text)
    assert {"above-8", "chill", "rise", "high-alert"} <= set(found.rules)
