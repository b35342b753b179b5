"""`aurora-gateway profiles`: the rules that a point can be given, and where they come from."""

import sys

from gateway.assess.sentences import duration, quantity
from gateway.config.profiles import builtin_profile, builtin_profiles
from gateway.config.words import did_you_mean
from gateway.errors import AuroraError
from gateway.profile import Limit, Profile, RateLimit, StageLimit, TimeLimit

__all__ = ["profile_lines", "profiles_command", "profiles_page"]


def profiles_command(name: str | None) -> int:
    """Print one profile whole, or a line for each."""
    if name is None:
        for each in builtin_profiles():
            sys.stdout.write(f"{each:24} {builtin_profile(each).title}\n")
        return 0
    if name not in builtin_profiles():
        raise AuroraError(f"there is no profile {name!r}; {did_you_mean(name, builtin_profiles())}")
    sys.stdout.write("\n".join(profile_lines(builtin_profile(name))) + "\n")
    return 0


def profiles_page() -> str:
    """All profiles as the page docs/profiles.md shows them (Markdown)."""
    parts = []
    for name in builtin_profiles():
        profile = builtin_profile(name)
        head = f"### {name}\n\n{profile.title}. " + (f"Limits in {profile.unit}." if profile.unit else "")
        rules = [*rule_words(profile), f"stale: no usable value for {duration(profile.stale_s * 1000)}"]
        if profile.interval_s is not None:
            rules.append(f"a value at least every {duration(profile.interval_s * 1000)}")
        if profile.product_tau_s is not None:
            rules.append(f"product, where it is simulated: time constant {duration(profile.product_tau_s * 1000)}")
        rules += [
            f"while {kind} is declared, these may rest: {', '.join(one.rules)}"
            f" (up to {duration(one.longest_s * 1000)}, again after {duration(one.every_s * 1000)})"
            for kind, one in profile.states.items()
        ]
        listed = "\n".join(f"- {words}" for words in rules)
        sources = "\n".join(f"- {source}" for source in profile.sources)
        parts.append(f"{head.strip()}\n\n{listed}\n\nSources:\n\n{sources}\n\n{profile.note}\n")
    return "\n".join(parts)


def profile_lines(profile: Profile) -> list[str]:
    """A profile in lines for a person."""
    lines = [f"{profile.id}: {profile.title}", f"hash {profile.digest}", "rules"]
    lines += [f"  {words}" for words in rule_words(profile)]
    lines.append(f"  stale: no usable value for {duration(profile.stale_s * 1000)}")
    if profile.interval_s is not None:
        lines.append(f"  a value at least every {duration(profile.interval_s * 1000)}")
    if profile.product_tau_s is not None:
        lines.append(f"  product, where it is simulated: time constant {duration(profile.product_tau_s * 1000)}")
    if profile.states:
        lines.append("declared states may let rest, never a critical limit of a critical point")
        lines += [
            f"  {kind}: {', '.join(one.rules)}; up to {duration(one.longest_s * 1000)},"
            f" again after {duration(one.every_s * 1000)}"
            for kind, one in profile.states.items()
        ]
    for title, entries in (("sources", profile.sources), ("suggested actions", profile.actions)):
        lines += [title, *(f"  {entry}" for entry in entries)]
    if profile.note:
        lines += ["note", f"  {profile.note}"]
    return lines


def rule_words(profile: Profile) -> list[str]:
    """Each rule in one line."""
    rules: list[Limit | TimeLimit | StageLimit | RateLimit] = [*profile.limits, *profile.times, *profile.stages]
    return [_words(rule, profile.unit) for rule in (*rules, *profile.rates)]


def _words(rule: Limit | TimeLimit | StageLimit | RateLimit, unit: str) -> str:
    head = f"{rule.rule} ({rule.tier.value}):"
    if isinstance(rule, Limit):
        words = f"{head} {rule.side} {quantity(rule.limit, unit)}"
        words += f" for {duration(rule.delay_s * 1000)}" if rule.delay_s else ""
        words += f" and {rule.samples} values in a row" if rule.samples > 1 else ""
        return words + (f"; ends {quantity(rule.hysteresis, unit)} inside" if rule.hysteresis else "")
    if isinstance(rule, TimeLimit):
        window = "a calendar day" if rule.window_s is None else duration(rule.window_s * 1000)
        parts = [f"{duration(rule.single_s * 1000)} at a stretch"] if rule.single_s is not None else []
        parts += [f"{duration(rule.total_s * 1000)} altogether in {window}"] if rule.total_s is not None else []
        if rule.periods is not None:
            many = "one period" if rule.periods == 1 else f"{rule.periods} periods"
            parts.append(f"more than {many} of {duration(rule.brief_s * 1000)} or longer in {window}")
        return f"{head} {rule.side} {quantity(rule.limit, unit)} for {', or '.join(parts)}"
    if isinstance(rule, StageLimit):
        within = duration(rule.within_s * 1000)
        return f"{head} from {quantity(rule.start, unit)} not at {quantity(rule.goal, unit)} within {within}"
    return f"{head} {quantity(rule.per_minute, unit)} a minute over {duration(rule.over_s * 1000)}"
