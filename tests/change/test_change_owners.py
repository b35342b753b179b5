"""Alarms of rules and outputs that are no longer in the site end: nobody would ever end them otherwise."""

from dataclasses import replace
from pathlib import Path

from app_tools import site_of

from gateway.acquire.station import layout_of
from gateway.assess.alarms import AlarmEngine
from gateway.assess.removal import ended
from gateway.model import Condition, Tier
from gateway.site import OutputSpec, RuleSpec


def condition(alarm: str, **more: object) -> Condition:
    fields = {"point": None, "device": None, "detail": {}, **more}
    return Condition(
        alarm=alarm, active=True, at_ms=0, since_ms=0, rule="x", tier=Tier.MAINTENANCE, words="so", **fields
    )  # type: ignore[arg-type]


def test_what_is_gone_ends_and_what_is_there_stays(tmp_path: Path) -> None:
    site = site_of(tmp_path, 1)
    engine = AlarmEngine(site, layout_of(site))
    for alarm, owner, detail in (
        ("p/old", "rule-old", {}),
        ("p/kept", "rule-kept", {}),
        ("gateway/rule-old", "rules", {"rule": "old"}),
        ("gateway/rule-kept", "rules", {"rule": "kept"}),
        ("output-old/not-delivering", "outputs", {}),
        ("output-mail/not-delivering", "outputs", {}),
        ("outputs/nobody-reached", "outputs", {}),
    ):
        engine.feed(condition(alarm, point="p" if alarm.startswith("p/") else None, detail=detail), owner)
    rules, outputs = (RuleSpec(id="kept", type="t"),), (OutputSpec(id="mail", type="email"),)
    with_some = replace(site, rules=rules, outputs=outputs)
    found = {one.alarm: one for _, one in ended(engine, with_some, engine.owners, why="A. Smit", at_ms=5)}
    assert set(found) == {"p/old", "gateway/rule-old", "output-old/not-delivering"}
    assert not found["p/old"].active
    assert "rule old is no longer in the site file (A. Smit)" in found["p/old"].words
    without = {one.alarm for _, one in ended(engine, site, engine.owners, why="", at_ms=5)}
    assert without == {"p/old", "p/kept", "gateway/rule-old", "gateway/rule-kept"} | {
        "output-old/not-delivering",
        "output-mail/not-delivering",
        "outputs/nobody-reached",
    }
