"""From layers of rules to the profile in force: base, a member's derivation, a point's own limits; and what is
contradictory in them."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from gateway.config.food import LIMITS, Layer, ProfileTable, read_layer
from gateway.config.locate import Key
from gateway.config.words import Report, did_you_mean
from gateway.model import Tier
from gateway.profile import Allowance, Limit, Profile, RateLimit, StageLimit, TimeLimit

__all__ = ["Draft", "builtin_profile", "builtin_profiles", "derive", "finish"]

GROUPS = ("limits", "times", "stages", "rates", "states")
SETTINGS = (
    "title",
    "unit",
    "sources",
    "note",
    "reason",
    "actions",
    "interval",
    "stale",
    "product_tau",
)
LONGEST_STATE_S = 3600.0


class Draft(NamedTuple):
    """A profile while it is put together: settings and entries of all layers so far, the last on top."""

    id: str
    base: str | None
    settings: Mapping[str, Any]
    entries: Mapping[str, Mapping[str, Mapping[str, Any]]]
    dropped: frozenset[str] = frozenset()
    """Names of rules that a layer switched off: a state may still name them."""


EMPTY = Draft("", None, {}, {group: {} for group in GROUPS})


def builtin_profiles() -> list[str]:
    """Names of the profiles that come with the gateway, sorted."""
    folder = files("gateway").joinpath("assess/profiles")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


@cache
def _builtin_draft(name: str) -> Draft:
    text = files("gateway").joinpath(f"assess/profiles/{name}.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    report = Report({})
    table = ProfileTable.model_validate(raw)
    layer = read_layer(raw, (name,), report)
    if report.problems:
        raise ValueError(f"profile {name}: {report.problems[0]}")
    return derive(EMPTY, name, table, layer)


@cache
def builtin_profile(name: str) -> Profile:
    """A profile that comes with the gateway, by a name of `builtin_profiles`."""
    report = Report({})
    profile = finish(_builtin_draft(name), (name,), report)
    if profile is None or report.problems:
        raise ValueError(f"profile {name}: {report.problems}")
    return profile


def draft_of(name: str, at: Key, own: Mapping[str, Draft], report: Report) -> Draft | None:
    """The draft of a profile's name: a member's own, or one that comes with the gateway."""
    if name in own:
        return own[name]
    if name in builtin_profiles():
        return _builtin_draft(name)
    report.add(at, f"there is no profile {name!r}", did_you_mean(name, [*builtin_profiles(), *own]))
    return None


def derive(base: Draft, name: str, table: ProfileTable | None, layer: Layer) -> Draft:
    """One layer on top of a draft: settings that it gives replace, entries are merged key by key, false removes."""
    given = {} if table is None else table.model_dump(exclude_unset=True)
    settings = {**base.settings, **{key: given[key] for key in SETTINGS if key in given}}
    if "sources" in given and base.settings:
        settings["sources"] = [*given["sources"], *base.settings.get("sources", ())]
    entries, dropped = {}, set(base.dropped)
    for group in GROUPS:
        merged = dict(base.entries[group])
        for key, entry in layer.entries.get(group, {}).items():
            if entry is None:
                merged.pop(key, None)
                dropped.add(key)
            else:
                merged[key] = {**merged.get(key, {}), **entry}
        entries[group] = merged
    return Draft(name, base.id or None, settings, entries, frozenset(dropped))


def finish(draft: Draft, at: Key, report: Report) -> Profile | None:
    """The nouns of a draft; None, and the mistakes in the report, where it is not whole or contradicts itself."""
    before = len(report.problems)
    limits, times = _limits(draft, at, report), _times(draft, at, report)
    stages, rates = _stages(draft, at, report), _rates(draft, at, report)
    states = _states(draft, at, report)
    if len(report.problems) > before:
        return None
    settings = draft.settings
    profile = Profile(
        id=draft.id,
        title=settings.get("title", draft.id),
        unit=settings.get("unit", ""),
        sources=tuple(settings.get("sources", ())),
        base=draft.base,
        note=settings.get("note", ""),
        reason=settings.get("reason", ""),
        limits=tuple(limits),
        rates=tuple(rates),
        times=tuple(times),
        stages=tuple(stages),
        states=states,
        interval_s=settings.get("interval"),
        stale_s=settings.get("stale", 1800.0),
        product_tau_s=settings.get("product_tau"),
        actions=tuple(settings.get("actions", ())),
    )
    _contradictions(profile, at, report)
    _state_rules(profile, draft, at, report)
    return replace(profile, digest=_digest(profile)) if len(report.problems) == before else None


def _digest(profile: Profile) -> str:
    """Over everything that decides: rules, times, unit. Words (title, sources, note, actions) do not."""
    rules = asdict(replace(profile, id="", title="", sources=(), base=None, note="", reason="", actions=()))
    return sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def _need(entry: Mapping[str, Any], names: Iterable[str], at: Key, report: Report) -> bool:
    missing = [name for name in names if entry.get(name) is None]
    for name in missing:
        report.add((*at, name), "is missing", f"add {name}, or derive from a profile that has this rule")
    return not missing


def _limits(draft: Draft, at: Key, report: Report) -> list[Limit]:
    found = []
    for name, entry in draft.entries["limits"].items():
        if not _need(entry, ("limit",), (*at, "limits", name), report):
            continue
        kind = LIMITS[name]
        found.append(
            Limit(
                rule=name,
                side=kind.side,
                tier=kind.tier,
                limit=float(entry["limit"]),
                delay_s=entry.get("delay") or 0.0,
                samples=entry.get("samples") or 1,
                hysteresis=float(entry.get("hysteresis") or 0.0),
                off_delay_s=entry.get("off_delay") or 0.0,
            )
        )
    return sorted(found, key=lambda limit: list(LIMITS).index(limit.rule))


def _times(draft: Draft, at: Key, report: Report) -> list[TimeLimit]:
    found = []
    for name, entry in draft.entries["times"].items():
        where = (*at, "times", name)
        if not _need(entry, ("side", "limit"), where, report):
            continue
        if all(entry.get(key) is None for key in ("single", "total", "periods")):
            report.add(where, "limits nothing", 'add single = "4h", total = "6h", or periods = 1')
            continue
        window = entry.get("window", 86400.0)
        found.append(
            TimeLimit(
                rule=name,
                side=entry["side"],
                limit=float(entry["limit"]),
                tier=Tier(entry.get("tier") or "critical"),
                single_s=entry.get("single"),
                total_s=entry.get("total"),
                periods=entry.get("periods"),
                window_s=None if window == "day" else window,
                brief_s=entry["brief"] if entry.get("brief") is not None else 900.0,
            )
        )
    return found


def _stages(draft: Draft, at: Key, report: Report) -> list[StageLimit]:
    found = []
    for name, entry in draft.entries["stages"].items():
        where = (*at, "stages", name)
        if not _need(entry, ("start", "goal", "within"), where, report):
            continue
        if entry["start"] == entry["goal"]:
            report.add((*where, "goal"), "is where the stage starts", "write the temperature that must be reached")
            continue
        tier = Tier(entry.get("tier") or "critical")
        start, goal = float(entry["start"]), float(entry["goal"])
        found.append(StageLimit(rule=name, start=start, goal=goal, within_s=entry["within"], tier=tier))
    return found


def _rates(draft: Draft, at: Key, report: Report) -> list[RateLimit]:
    found = []
    for name, entry in draft.entries["rates"].items():
        where = (*at, "rates", name)
        if not _need(entry, ("per_minute", "over"), where, report):
            continue
        if not entry["per_minute"] or not entry["over"]:
            report.add(where, "a rate of nothing cannot be judged", 'write per_minute = 0.5 and over = "10min"')
            continue
        tier, per_minute = Tier(entry.get("tier") or "alert"), float(entry["per_minute"])
        found.append(RateLimit(rule=name, per_minute=per_minute, over_s=entry["over"], tier=tier))
    return found


def _states(draft: Draft, at: Key, report: Report) -> dict[str, Allowance]:
    found = {}
    for kind, entry in draft.entries["states"].items():
        where = (*at, "states", kind)
        if not _need(entry, ("rules",), where, report):
            continue
        longest = entry["longest"] if entry.get("longest") is not None else LONGEST_STATE_S
        every = entry["every"] if entry.get("every") is not None else 2 * longest
        if every < longest:
            report.add((*where, "every"), "is shorter than longest", "a state must end before it can come again")
            continue
        found[kind] = Allowance(rules=tuple(entry["rules"]), longest_s=longest, every_s=every)
    return found


def _state_rules(profile: Profile, draft: Draft, at: Key, report: Report) -> None:
    """A state may name rules that a derivation switched off, but none that no profile knows."""
    known = set(profile.rules) | set(LIMITS) | draft.dropped
    for kind in profile.states:
        for rule in draft.entries["states"][kind]["rules"]:
            if rule not in known:
                where = (*at, "states", kind, "rules")
                report.add(where, f"there is no rule {rule!r}", did_you_mean(rule, list(profile.rules)))


def _contradictions(profile: Profile, at: Key, report: Report) -> None:
    by_name = {limit.rule: limit for limit in profile.limits}
    for alert, critical, word in (("high-alert", "high-critical", "above"), ("low-alert", "low-critical", "below")):
        if alert in by_name and critical in by_name:
            inner, outer = by_name[alert], by_name[critical]
            if inner.limit > outer.limit if word == "above" else inner.limit < outer.limit:
                what = f"{inner.limit:g} is beyond the critical limit ({outer.limit:g})"
                remedy = "the alert comes before the critical limit, or at it with a shorter delay"
                report.add((*at, "limits", alert, "limit"), what, remedy)
    tolerance, legal = by_name.get("high-tolerance"), by_name.get("high-critical")
    if tolerance is not None and legal is not None and tolerance.limit < legal.limit:
        what = f"{tolerance.limit:g} is below the limit that it tolerates"
        report.add((*at, "limits", "high-tolerance", "limit"), what, "write the limit plus its tolerance")
    lows = [limit for limit in profile.limits if limit.side == "below"]
    for high in (limit for limit in profile.limits if limit.side == "above"):
        for low in lows:
            _band(high, low, at, report)


def _band(high: Limit, low: Limit, at: Key, report: Report) -> None:
    if high.rule.startswith("door") or low.rule.startswith("door"):
        return
    if low.limit >= high.limit:
        what = f"{low.limit:g} is not below {high.rule} ({high.limit:g}): no value could keep to both"
        report.add((*at, "limits", low.rule, "limit"), what, "leave a band between them")
        return
    band = high.limit - low.limit
    for limit in (high, low):
        if limit.hysteresis >= band:
            other = low if limit is high else high
            what = f"{limit.hysteresis:g} is not smaller than the band to {other.rule} ({band:g})"
            remedy = "write less, or the alarm could never end"
            report.add((*at, "limits", limit.rule, "hysteresis"), what, remedy)
