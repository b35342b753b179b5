"""The rules of each point, and what they mean together with its device: unit, period, laxity, hours."""

from typing import Any

from gateway_core.refrigeration_words import FINDINGS

from firmware_interfaces.asked import Model
from gateway.config.food import AlarmsTable, Layer, ProfileTable
from gateway.config.hours import parse_hours
from gateway.config.lookup import model_of
from gateway.config.models import ModelBook
from gateway.config.profiles import EMPTY, Draft, derive, draft_of, finish
from gateway.config.quantities import Wrong
from gateway.config.relations import period_ms
from gateway.config.shape import DeviceTable, PointTable
from gateway.config.tables import Entry, Tables
from gateway.config.words import Report, did_you_mean
from gateway.model import Tier
from gateway.profile import Hours, Limit, Profile
from gateway.site import AlarmSpec, PointSpec

__all__ = ["alarm_spec", "build_points", "member_profiles"]

ADVICE = ("unusual", *FINDINGS)
"""What a point can be advised of."""


def alarm_spec(table: AlarmsTable) -> AlarmSpec:
    """How alarms are handled."""
    escalate = {
        "critical": table.escalate_critical,
        "alert": table.escalate_alert,
        "maintenance": table.escalate_maintenance,
    }
    return AlarmSpec(
        escalate_s={tier: after for tier, after in escalate.items() if after is not None},
        silence_s=table.silence,
        group_s=table.group_window,
        longest_shelving_s=table.longest_shelving,
    )


def member_profiles(tables: Tables, report: Report) -> dict[str, Draft]:
    """The profiles that a site file derives, each from one that stands before it or comes with the gateway."""
    own: dict[str, Draft] = {}
    for entry in tables.profiles:
        name = entry.text("id")
        if name is None:
            report.add((*entry.at, "id"), "is missing", 'add id = "our-cold-store"')
            continue
        if name in own:
            report.add((*entry.at, "id"), f"{name!r} is the id of another profile", "give each its own id")
            continue
        draft = _member(entry, tables.layers[entry.at], own, report)
        if draft is not None:
            own[name] = draft
    return own


def _member(entry: Entry[ProfileTable], layer: Layer, own: dict[str, Draft], report: Report) -> Draft | None:
    written = entry.text("base")
    base: Draft | None = EMPTY
    if written is not None:
        base = draft_of(written, (*entry.at, "base"), own, report)
    if base is None:
        return None
    name = entry.text("id") or ""
    draft = derive(base, name, entry.table, layer)
    if base is EMPTY and "unit" not in draft.settings:
        report.add((*entry.at, "unit"), "is missing", 'add unit = "degC", or base = a profile to derive from')
        return None
    profile = finish(draft, entry.at, report)
    if profile is not None and base is not EMPTY:
        _laxer(base, profile, entry, report)
    return draft


def _laxer(base: Draft, profile: Profile, entry: Entry[Any], report: Report) -> None:
    """A critical limit that is laxer than the law's needs the member's reason: it will be read by an inspector."""
    at = entry.at
    if entry.text("reason"):
        return
    was = finish(base, at, Report({}))
    if was is None:
        return
    now = {limit.rule: limit for limit in profile.limits}
    for limit in was.limits:
        if limit.tier is Tier.CRITICAL and (words := _how_laxer(limit, now.get(limit.rule))):
            remedy = 'add reason = "why", which stands in the record, or keep to the base'
            report.add((*at, "limits", limit.rule), f"{words} than in {base.id or 'its base'}", remedy, fatal=False)
    rules = set(profile.rules)
    for time in was.times:
        if time.tier is Tier.CRITICAL and time.rule not in rules and not _covered(time.side, time.limit, profile):
            remedy = 'add reason = "why", which stands in the record, or a critical limit in its place'
            what = f"is switched off, which is laxer than in {base.id}"
            report.add((*at, "times", time.rule), what, remedy, fatal=False)


def _covered(side: str, limit: float, profile: Profile) -> bool:
    """A critical limit without the exemption is stricter than a time with it."""
    return any(
        one.tier is Tier.CRITICAL
        and one.side == side
        and (one.limit <= limit if side == "above" else one.limit >= limit)
        for one in profile.limits
    )


def _how_laxer(was: Limit, now: Limit | None) -> str:
    if now is None:
        return "is switched off, which is laxer"
    if now.limit > was.limit if was.side == "above" else now.limit < was.limit:
        return f"{now.limit:g} is laxer"
    return f"a delay of {now.delay_s:g} s is laxer" if now.delay_s > was.delay_s else ""


def build_points(tables: Tables, models: ModelBook, report: Report) -> list[PointSpec]:
    """The points whose own table is right, with the profile in force for each."""
    own = member_profiles(tables, report)
    devices = {device.text("id"): device for device in tables.devices if device.text("id")}
    built = []
    for entry in tables.points:
        point = entry.table
        if point is None:
            continue
        name, _, channel = point.channel.partition(".")
        device = devices.get(name)
        model = model_of(device, tables, models) if device is not None else None
        profile = _profile(entry, point, tables.layers[entry.at], own, unit=_unit(model, channel), report=report)
        if profile is not None and device is not None:
            _against_device(entry, profile, device, _unit(model, channel), report)
        built.append(
            PointSpec(
                id=point.id,
                name=point.name,
                device=name,
                channel=channel,
                critical=point.critical,
                profile=profile,
                group=point.group or "",
                alert_hours=_hours(entry, point, report),
                product_tau_s=_product_tau(entry, point, profile, report),
                advisories=_advisories(entry, point, report),
                tolerance=point.tolerance,
            )
        )
    return built


def _unit(model: Model | None, channel: str) -> str | None:
    return model.channels[channel].unit if model is not None and channel in model.channels else None


def _profile(
    entry: Entry[PointTable],
    point: PointTable,
    layer: Layer,
    own: dict[str, Draft],
    *,
    unit: str | None,
    report: Report,
) -> Profile | None:
    if point.profile is None:
        if not layer.entries.get("limits"):
            if point.stale is not None:
                report.add((*entry.at, "stale"), "has no meaning without a profile", "add profile, or take it away")
            return None
        base: Draft | None = Draft("", None, {"unit": unit or ""}, EMPTY.entries)
    else:
        base = draft_of(point.profile, (*entry.at, "profile"), own, report)
    if base is None:
        return None
    if not layer.entries.get("limits") and point.stale is None:
        return finish(base, (*entry.at, "profile"), Report({}))
    draft = derive(base, f"{base.id or 'own-limits'}@{point.id}", None, layer)
    settings = {**draft.settings, **({"stale": point.stale} if point.stale is not None else {})}
    settings |= {"reason": point.reason} if point.reason is not None else {}
    profile = finish(draft._replace(settings=settings), entry.at, report)
    if profile is not None and base.id:
        _laxer(base, profile, entry, report)
    return profile


def _against_device(
    entry: Entry[PointTable], profile: Profile, device: Entry[DeviceTable], unit: str | None, report: Report
) -> None:
    """Unit and poll period of the device that feeds the point."""
    at = (*entry.at, "profile" if "profile" in entry.raw else "limits")
    if unit is not None and unit != profile.unit:
        what = f"its limits are in {profile.unit or 'no unit'}, the channel is in {unit or 'no unit'}"
        report.add(at, what, f"derive a profile with unit = {unit!r} and limits in it, or choose another channel")
    if device.table is None or (period := period_ms(device.table)) is None:
        return
    period_s = period / 1000
    if profile.interval_s is not None and period_s > profile.interval_s:
        what = f"the device is polled every {period_s:g} s, the profile demands {profile.interval_s:g} s or less"
        report.add(at, what, f"write period_s = {profile.interval_s:g} or less at the device", fatal=False)
    if period_s >= profile.stale_s:
        what = f"the device is polled every {period_s:g} s, and silent after {profile.stale_s:g} s"
        report.add(at, what, "poll more often, or give the point a longer stale time")
    for limit in profile.limits:
        if 0 < limit.delay_s < period_s:
            what = f"{limit.rule}: a delay of {limit.delay_s:g} s is shorter than the poll period ({period_s:g} s)"
            report.add(at, what, "poll more often, or write no delay: it comes at the next value", fatal=False)


def _product_tau(
    entry: Entry[PointTable], point: PointTable, profile: Profile | None, report: Report
) -> float | None:
    if not point.simulate:
        return None
    at = (*entry.at, "simulate")
    if profile is None:
        report.add(at, "has no meaning without a profile", "add profile, or take it away")
        return None
    if point.simulate is not True:
        return float(point.simulate)
    if profile.product_tau_s is None:
        report.add(at, f"profile {profile.id!r} has no time constant", 'write simulate = "60min"')
    return profile.product_tau_s


def _advisories(entry: Entry[PointTable], point: PointTable, report: Report) -> bool | tuple[str, ...]:
    """What the point may be advised of; every name that is none is a mistake."""
    if isinstance(point.advisories, bool):
        return point.advisories
    for number, name in enumerate(point.advisories):
        if name not in ADVICE:
            place = (*entry.at, "advisories", number)
            report.add(place, f"{name!r} is no advice that there is", did_you_mean(name, ADVICE))
    return tuple(point.advisories)


def _hours(entry: Entry[PointTable], point: PointTable, report: Report) -> tuple[Hours, ...]:
    found = []
    for number, text in enumerate(point.alert_hours or ()):
        try:
            found.append(parse_hours(text))
        except Wrong as wrong:
            report.add((*entry.at, "alert_hours", number), wrong.what, wrong.remedy)
    return tuple(found)
