"""`aurora-gateway alarms`: see, acknowledge, shelve and confirm alarms, and declare states of a point.

A client of the running daemon: what it refuses is refused here, in its words.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.site import Site

__all__ = ["add_alarms_command"]

STATES = ("start-up", "defrost", "cleaning", "loading")
ORDERS = {
    "acknowledge": ("alarm.acknowledge", "say that you have seen an alarm"),
    "confirm": ("alarm.confirm", "record the corrective action that was taken"),
    "shelve": ("alarm.shelve", "hide an alarm for a limited time; it is evaluated and recorded all the same"),
    "unshelve": ("alarm.unshelve", "end the shelving before its time"),
    "out-of-service": ("alarm.out-of-service", "take an alarm out of service, for maintenance"),
    "in-service": ("alarm.in-service", "bring it back"),
}
"""Action to request and help."""
NEED_TEXT = frozenset({"confirm", "shelve", "out-of-service"})
"""Actions that mean nothing without a reason or a description."""


def add_alarms_command(commands: Any, load: Callable[[Path], Site]) -> None:
    """Add the command and its actions to what `argparse.ArgumentParser.add_subparsers` returned."""
    alarms = commands.add_parser("alarms", help="see, acknowledge, shelve alarms; declare a defrost or cleaning")
    alarms.add_argument("site", type=Path, help="the site file")
    alarms.set_defaults(command=lambda a: _list(load(a.site), a), json=False, all=False)
    actions = alarms.add_subparsers(metavar="ACTION")
    listed = actions.add_parser("list", help="alarms that are not normal (default)")
    listed.add_argument("--all", action="store_true", help="normal ones too")
    listed.add_argument("--json", action="store_true", help="one JSON object a line")
    listed.set_defaults(command=lambda a: _list(load(a.site), a))
    for name, (do, words) in ORDERS.items():
        order = actions.add_parser(name, help=words)
        order.add_argument("alarm", help="id of the alarm, cold-room-1/high-critical")
        _by(order, need_text=name in NEED_TEXT)
        if name in {"shelve", "out-of-service"}:
            _for(order, need=name == "shelve")
        if name == "acknowledge":
            order.add_argument(
                "--group", action="store_true", default=None, help="and all that followed from this first-out alarm"
            )
        order.set_defaults(command=_order(do, load))
    declare = actions.add_parser("declare", help="declare a state of a point, for a limited time")
    declare.add_argument("point")
    declare.add_argument("kind", choices=STATES)
    _for(declare)
    _by(declare, need_text=False)
    declare.set_defaults(command=_order("state.declare", load))
    end = actions.add_parser("end", help="end a declared state")
    end.add_argument("point")
    end.add_argument("kind", choices=STATES)
    _by(end, need_text=False)
    end.set_defaults(command=_order("state.end", load))


def _by(parser: argparse.ArgumentParser, *, need_text: bool) -> None:
    parser.add_argument("--person", required=True, help="who: name or initials")
    parser.add_argument("--text", required=need_text, help="what was done, or why")


def _for(parser: argparse.ArgumentParser, *, need: bool = True) -> None:
    parser.add_argument("--for", dest="for_s", required=need, type=_duration, metavar="TIME", help="30min, 2h ...")


def _duration(text: str) -> float:
    from gateway.config.quantities import Wrong, parse_duration_s

    try:
        return parse_duration_s(text)
    except Wrong as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


NOT_FIELDS = frozenset({"site", "command", "json", "all"})


def _order(do: str, load: Callable[[Path], Site]) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        from gateway.control import ask

        fields = {k: v for k, v in vars(arguments).items() if k not in NOT_FIELDS and v is not None}
        answer = ask(load(arguments.site).data_dir, {**fields, "do": do, "source": "command"})
        print(answer.get("words") or f"{do}: done")
        return 0

    return run


def _list(site: Site, arguments: argparse.Namespace) -> int:
    """Exit status 1 where an alarm is active or waits for somebody, so that a script can ask."""
    from gateway.control import ask

    answer = ask(site.data_dir, {"do": "alarm.list", "all": arguments.all})
    alarms: list[Mapping[str, Any]] = answer.get("alarms") or []
    waiting = [alarm for alarm in alarms if alarm.get("state") not in {None, "normal"}]
    for alarm in alarms if arguments.all else waiting:
        print(json.dumps(alarm, ensure_ascii=False, sort_keys=True) if arguments.json else _line(alarm))
    if not waiting and not arguments.json:
        print("no alarm")
    return 1 if waiting else 0


def _line(alarm: Mapping[str, Any]) -> str:
    parts = [alarm.get("alarm"), alarm.get("tier"), alarm.get("state"), alarm.get("words")]
    if alarm.get("group"):
        parts.append(f"(follows from {alarm['group']})")
    if alarm.get("person"):
        parts.append(f"[{alarm['person']}: {alarm.get('text') or ''}]")
    return "  ".join(str(part) for part in parts if part)
