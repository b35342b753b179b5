"""`aurora-gateway replay`: how profile, limits and alarms would have judged past data, before they are trusted."""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import IO, Any

from pydantic import ValidationError

from gateway.assess.sentences import duration
from gateway.assess.station import JUDGES
from gateway.config.food import LIMITS, ProfileTable, read_layer
from gateway.config.profiles import EMPTY, GROUPS, SETTINGS, derive, draft_of, finish
from gateway.config.words import Report, did_you_mean, say_all
from gateway.errors import AuroraError, ConfigError
from gateway.model import ClockClaim, Event, Layout, Scan
from gateway.profile import Profile
from gateway.replay.chart import Chart
from gateway.replay.csvfile import Table, read_csv, time_reader
from gateway.replay.engine import Player, csv_site, play_csv, with_periods
from gateway.site import PointSpec, Site

__all__ = ["replay_command"]

TIMES = {"since_ms": "since", "raised_ms": "raised", "until_ms": "until"}
"""Boot times in the data of events, and what they are called as UTC."""


def replay_command(arguments: argparse.Namespace) -> int:
    """Transitions as JSON lines on standard output, a summary on standard error; exit status 0."""
    sink = Sink(sys.stdout)
    chart = Chart() if arguments.chart is not None else None
    if arguments.source.suffix == ".toml":
        for option in ("profile", "site", "set"):
            if getattr(arguments, option):
                raise AuroraError(
                    f"--{option} is for a CSV file; a journal is judged by its site file: change that"
                )
        # The readers of site files and journals take longer to load than a CSV file takes to be read.
        from gateway.config import load_site
        from gateway.replay.journal import play_journal

        site = load_site(arguments.source)
        look = None if chart is None else _looker(chart, site)
        player = play_journal(site, sink.tell, look, JUDGES if arguments.limits_only else None)
        sites = player.site
        sink.journal(player)
    else:
        sites = _replay_csv(arguments, sink, chart)
    sink.summary(sys.stderr)
    if chart is not None:
        chart.write(arguments.chart, sites, sink.spans)
    return 0


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")


def _replay_csv(arguments: argparse.Namespace, sink: "Sink", chart: Chart | None) -> Site:
    if (arguments.profile is None) == (arguments.site is None) and not arguments.set:
        raise AuroraError("name the rules: --profile NAME, --set KEY=VALUE, or --site FILE (and not two of them)")
    if len(arguments.delimiter) != 1:
        raise AuroraError("--delimiter wants one character, e.g. ';'")
    reader = time_reader(arguments.time_format, arguments.time_zone)
    if arguments.site is not None:
        if arguments.set or arguments.profile:
            raise AuroraError("--site brings its own rules: change them there, or leave --site")
        from gateway.config import load_site

        site = load_site(arguments.site)
        known = {f"{point.device}.{point.channel}": f"{point.device}.{point.channel}" for point in site.points}
        known = {point.id: f"{point.device}.{point.channel}" for point in site.points} | known
        table = read_csv(arguments.source, reader, _say, delimiter=arguments.delimiter, known=known)
    else:
        table = read_csv(arguments.source, reader, _say, delimiter=arguments.delimiter)
        profiles = _profiles(arguments.profile, arguments.set, table.channels)
        site = csv_site(table.channels, {name: _point(name, profiles[name]) for name in table.channels})
        table.channels = [f"{name}.value" for name in table.channels]
    site, layout, where = with_periods(site, table, _say)
    player = Player(site, layout, sink.tell, JUDGES if arguments.limits_only else None)
    play_csv(player, table, where)
    sink.table(table)
    if chart is not None:
        for at_ms, channel, value in zip(table.times, table.of, table.values, strict=True):
            chart.value(table.channels[channel], at_ms, value)
    return site


def _point(channel: str, profile: Profile) -> PointSpec:
    return PointSpec(id=channel, name=channel, device=channel, channel="value", profile=profile)


def _profiles(name: str | None, settings: Sequence[str], channels: Sequence[str]) -> dict[str, Profile]:
    """The profile of each channel; raises `ConfigError` with every mistake in the settings."""
    report = Report({})
    base = EMPTY if name is None else draft_of(name, ("--profile",), {}, report)
    found: dict[str, Profile] = {}
    parsed = [_setting(text, channels, report) for text in settings]
    for channel in channels if base is not None and not report.problems else ():
        raw: dict[str, Any] = {}
        for one in parsed:
            if one is not None and one[0] in {None, channel}:
                _merge(raw, deepcopy(one[1]))
        at = ("--set",)
        table = _settings_table(raw, report)
        assert base is not None
        draft = derive(base, name or "own-limits", table, read_layer(raw, at, report))
        profile = finish(draft, at, report)
        if profile is not None:
            found[channel] = profile
    if report.problems:
        raise ConfigError("replay", report.problems)
    return found


def _settings_table(raw: Mapping[str, Any], report: Report) -> ProfileTable | None:
    plain = {key: value for key, value in raw.items() if key not in GROUPS}
    try:
        return ProfileTable.model_validate(plain)
    except ValidationError as error:
        say_all(error, ProfileTable, ("--set",), "a profile", report)
        return None


def _setting(text: str, channels: Sequence[str], report: Report) -> tuple[str | None, dict[str, Any]] | None:
    """``[CHANNEL:]KEY=VALUE`` as channel and nested tables."""
    key, equals, written = text.partition("=")
    channel: str | None = None
    if ":" in key:
        channel, _, key = key.rpartition(":")
        if channel not in channels:
            report.add(
                ("--set",), f"{text!r}: the file has no channel {channel!r}", did_you_mean(channel, channels)
            )
            return None
    steps = [step.strip() for step in key.split(".")]
    if not equals or not all(steps):
        report.add(("--set",), f"{text!r} is no setting", "write KEY=VALUE: high-alert.limit=5")
        return None
    if steps[0] in LIMITS:
        steps.insert(0, "limits")
    elif steps[0] not in (*GROUPS, *SETTINGS):
        remedy = did_you_mean(steps[0], [*LIMITS, *GROUPS, *SETTINGS])
        report.add(("--set",), f"{text!r}: there is no rule or setting {steps[0]!r}", remedy)
        return None
    value: Any = _value(written.strip())
    if len(steps) == 2 and steps[0] == "limits" and not isinstance(value, bool):
        steps.append("limit")
    for step in reversed(steps):
        value = {step: value}
    return channel, value


def _value(written: str) -> Any:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _looker(chart: Chart, site: Site) -> Any:
    wanted = {(point.device, point.channel) for point in site.points}

    def look(utc_ms: int | None, scan: Scan, layout: Layout) -> None:
        if utc_ms is None:
            return
        device = layout.devices[scan.device]
        for column, value in zip(device.columns, scan.values, strict=True):
            if column.role == "value" and (device.id, column.channel) in wanted:
                chart.value(f"{device.id}.{column.channel}", utc_ms, value)

    return look


class Sink:
    """Takes what happens: each event becomes a line, and counts for the summary."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self.spans: dict[str, list[tuple[int, int | None]]] = {}
        """Alarm to the times (Unix ms) for which it was active."""
        self._first: int | None = None
        self._last = 0
        self._lines: list[str] = []

    def tell(self, utc_ms: int | None, event: Event, claim: ClockClaim) -> None:
        """Print an event with its times in UTC."""
        data = dict(event.data)
        for name, called in TIMES.items():
            if name in data:
                boot_ms = data.pop(name)
                data[called] = None if boot_ms is None else _utc(claim.utc_at(boot_ms))
        self._out.write(json.dumps({"time": _utc(utc_ms), "event": event.kind, **data}, default=_plain) + "\n")
        if utc_ms is None:
            return
        self._first = utc_ms if self._first is None else self._first
        self._last = max(self._last, utc_ms)
        if event.kind == "alarm.raised":
            self.spans.setdefault(data["alarm"], []).append((utc_ms, None))
        elif event.kind == "alarm.returned" and self.spans.get(data["alarm"]):
            began, _ = self.spans[data["alarm"]].pop()
            self.spans[data["alarm"]].append((began, utc_ms))

    def table(self, table: Table) -> None:
        """What the file held."""
        self._first, self._last = table.times[0], max(self._last, table.times[-1])
        many = f"{len(table.times)} values of {len(table.channels)} channels"
        self._lines.append(f"{many}, {table.without_value} of them without a value, {table.bad_rows} rows left out")

    def journal(self, player: Player) -> None:
        """What the journal held."""
        self._first = player.first_utc if player.first_utc is not None else self._first
        self._last = max(self._last, player.claim.utc_ms or 0)
        self._lines.append(f"{player.scans} scans of {len(player.layout.devices)} devices")

    def summary(self, out: IO[str]) -> None:
        """How often each alarm came, how long it lasted."""
        first = self._first if self._first is not None else self._last
        days = max((self._last - first) / 86_400_000, 1e-9)
        out.writelines(f"{line}\n" for line in self._lines)
        out.write(f"from {_utc(first)} to {_utc(self._last)}, {days:.1f} days\n")
        if not self.spans:
            out.write("no alarm\n")
            return
        width = max(len(alarm) for alarm in self.spans)
        out.write(f"{'alarm':{width}}  times  in 30 days  together      longest\n")
        for alarm, spans in sorted(self.spans.items(), key=lambda one: -len(one[1])):
            lengths = [(self._last if ended is None else ended) - began for began, ended in spans]
            often = len(spans) * 30 / days if days >= 1 else float("nan")
            rate = f"{often:10.1f}" if days >= 1 else "         -"
            out.write(
                f"{alarm:{width}}  {len(spans):5}  {rate}  {duration(sum(lengths)):12}  {duration(max(lengths))}\n"
            )


def _utc(utc_ms: int | None) -> str | None:
    if utc_ms is None:
        return None
    moment = datetime.fromtimestamp(utc_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, Iterable) else str(value)
