"""The commands `aurora-gateway reload` and `change`: the site file of a running gateway, seen and changed."""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.control import ask
from gateway.errors import ConfigError, OperatorError

__all__ = ["add_change_commands"]

DATA_DIR = "/var/lib/aurora-gateway"
"""Where a site file that names no other data_dir stores."""

Answer = Mapping[str, Any]


def add_change_commands(commands: Any) -> None:
    """Add both to the command line."""
    reload = commands.add_parser("reload", help="have the running gateway take its site file as it is on disk")
    reload.add_argument("site", type=Path, help="the site file")
    _who(reload)
    reload.set_defaults(command=_reload)

    change = commands.add_parser(
        "change", help="change the site file of the running gateway; go back to another one"
    )
    change.add_argument("site", type=Path, help="the site file")
    actions = change.add_subparsers(metavar="ACTION", required=True)
    _add(actions, "show", _show, "the site file, and whether the gateway runs by it")
    propose = _add(actions, "propose", _propose, "check another site file and say what it would mean")
    propose.add_argument("file", type=Path, help="the changed site file")
    apply = _add(actions, "apply", _apply, "put another site file in force")
    apply.add_argument("file", type=Path, help="the changed site file")
    _who(apply)
    put = _add(actions, "set", _set, "give one setting a value; all else in the file stays as it is")
    put.add_argument("setting", help="its path: device.cold-room-1-probe.period_s, gateway.language")
    put.add_argument("value", help="as it stands in the file: 10, true, [1, 2]; a text needs no quotes")
    _who(put)
    remove = _add(actions, "remove", _remove, "take out a table or a setting")
    remove.add_argument("setting", help="its path: device.cold-room-1-probe, point.cold-room-1.stale")
    _who(remove)
    _add(actions, "versions", _versions, "earlier site files, who changed them, and why")
    rollback = _add(actions, "rollback", _rollback, "put an earlier site file in force again")
    rollback.add_argument("version", type=int, help="its number: see versions")
    _who(rollback)


def _who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--person", required=True, help="who makes the change; goes on record")
    parser.add_argument("--reason", required=True, help="why; goes on record")


def _add(actions: Any, name: str, command: Callable[[argparse.Namespace], int], words: str) -> Any:
    action = actions.add_parser(name, help=words)
    action.add_argument("--json", action="store_true", help="the answer as JSON")
    action.set_defaults(command=command)
    return action


def _ask(arguments: argparse.Namespace, name: str, **request: Any) -> dict[str, Any]:
    return ask(_data_dir(arguments.site), {"do": name, **request})


def _data_dir(path: Path) -> Path:
    """Where the gateway of a site file stores, even if the rest of the file is wrong: it runs by an earlier one."""
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise OperatorError(f"{path} cannot be read ({error.strerror})", "check the path") from error
    except ValueError as error:
        remedy = "mend it; earlier versions are in the folder site-history of its data_dir"
        raise OperatorError(f"{path} is not TOML: {error}", remedy) from error
    gateway = document.get("gateway")
    named = gateway.get("data_dir", DATA_DIR) if isinstance(gateway, dict) else DATA_DIR
    return (path.absolute().parent / str(named)).absolute()


def _reload(arguments: argparse.Namespace) -> int:
    """Every mistake of the file is named before the gateway is asked."""
    from gateway.config import check_file

    site, problems = check_file(arguments.site)
    if site is None:
        raise ConfigError(str(arguments.site), problems)
    request = {"do": "site.reload", "person": arguments.person, "reason": arguments.reason}
    _tell_applied(ask(site.data_dir, request), as_json=False)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    answer = _ask(arguments, "site.show")
    if arguments.json:
        print(json.dumps(answer))
        return 0
    print(answer["text"], end="")
    if not answer["in_force"]:
        print(f"{answer['path']}: the gateway runs by an earlier version of it", file=sys.stderr)
    return 0


def _propose(arguments: argparse.Namespace) -> int:
    answer = _ask(arguments, "site.propose", text=_file(arguments.file))
    if arguments.json:
        print(json.dumps(answer))
    else:
        _tell_proposed(arguments.file, answer)
    return 0 if answer["usable"] and not answer["refused"] else 1


def _tell_proposed(path: Path, answer: Answer) -> None:
    for problem in answer["problems"]:
        print(f"{path}: {problem['words']}", file=sys.stderr)
    for refused in answer["refused"]:
        print(f"{path}: cannot be changed while it runs: {refused['what']}; {refused['remedy']}", file=sys.stderr)
    print(answer["difference"], end="")
    for change in answer["changes"]:
        print(change["words"])
    for fact in answer["consequences"]:
        print(f"- {fact['words']}")
    if not answer["difference"]:
        print("nothing differs")


def _apply(arguments: argparse.Namespace) -> int:
    return _put(arguments, {"text": _file(arguments.file)})


def _set(arguments: argparse.Namespace) -> int:
    return _put(arguments, {"edits": [{"op": "set", "path": _path(arguments), "value": _value(arguments.value)}]})


def _remove(arguments: argparse.Namespace) -> int:
    return _put(arguments, {"edits": [{"op": "remove", "path": _path(arguments)}]})


def _put(arguments: argparse.Namespace, request: Mapping[str, Any]) -> int:
    base = _ask(arguments, "site.show")["digest"]
    who = {"base": base, "person": arguments.person, "reason": arguments.reason}
    _tell_applied(_ask(arguments, "site.apply", **request, **who), as_json=arguments.json)
    return 0


def _rollback(arguments: argparse.Namespace) -> int:
    base = _ask(arguments, "site.show")["digest"]
    who = {"base": base, "person": arguments.person, "reason": arguments.reason}
    _tell_applied(_ask(arguments, "site.rollback", version=arguments.version, **who), as_json=arguments.json)
    return 0


def _tell_applied(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer))
        return
    print(answer["words"])
    for fact in answer["consequences"]:
        print(f"- {fact['words']}")


def _versions(arguments: argparse.Namespace) -> int:
    answer = _ask(arguments, "site.versions")
    if arguments.json:
        print(json.dumps(answer))
        return 0
    for version in answer["versions"]:
        now = " (in force)" if version["in_force"] else "" if version["applied"] else " (was never in force)"
        who = version["person"] or "not named"
        why = f": {version['reason']}" if version["reason"] else ""
        when = _time(version["utc_ms"])
        print(f"{version['number']:5}  {when:20}  {version['how']:8}  {who}{why}{now}")
    return 0


def _time(utc_ms: int | None) -> str:
    if utc_ms is None:
        return "time not known"
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _file(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read ({error.strerror})", "check the path") from error
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path} is not UTF-8 text", "save it as UTF-8") from error


def _path(arguments: argparse.Namespace) -> list[str | int]:
    """``device.probe-1.period_s`` by its parts; a number is the place among tables without an id."""
    parts = arguments.setting.split(".")
    return [int(part) if part.isdecimal() else part for part in parts]


def _value(text: str) -> Any:
    """A TOML value; what is none is a text."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str | list) else text
