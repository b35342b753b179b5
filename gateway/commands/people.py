"""`aurora-gateway people`: who may sign in at the page of the running gateway, and which programs may ask.

Whoever may open the control socket is on the machine itself: this is the way back in when every password is lost.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.control import ask
from gateway.site import Site

__all__ = ["add_people_command"]

ROLES = ("viewer", "quality", "engineer", "administrator")


def add_people_command(commands: Any, load: Callable[[Path], Site]) -> None:
    """Add the command and its actions to what `argparse.ArgumentParser.add_subparsers` returned."""
    people = commands.add_parser("people", help="who may sign in at the page; tokens for programs")
    people.add_argument("site", type=Path, help="the site file")
    people.set_defaults(command=lambda a: _list(load(a.site), a), json=False)
    actions = people.add_subparsers(metavar="ACTION")
    listed = actions.add_parser("list", help="people and tokens (default)")
    listed.add_argument("--json", action="store_true", help="as JSON")
    listed.set_defaults(command=lambda a: _list(load(a.site), a))
    invite = actions.add_parser("invite", help="let somebody in, or give a new code for a lost password")
    invite.add_argument("name")
    invite.add_argument("--role", choices=ROLES, help="needed for somebody new")
    role = actions.add_parser("role", help="change what somebody may do")
    role.add_argument("name")
    role.add_argument("role", choices=ROLES)
    remove = actions.add_parser("remove", help="shut somebody out")
    remove.add_argument("name")
    token = actions.add_parser("token", help="a token for a program")
    token.add_argument("label")
    token.add_argument("--role", choices=ROLES, default="viewer")
    revoke = actions.add_parser("revoke", help="a token opens nothing any more")
    revoke.add_argument("label")
    for name, parser in {
        "invite": invite,
        "role": role,
        "remove": remove,
        "token": token,
        "revoke": revoke,
    }.items():
        parser.add_argument("--person", required=True, help="who does this: name or initials")
        parser.set_defaults(command=_order(f"people.{name}", load))


def _order(do: str, load: Callable[[Path], Site]) -> Callable[[argparse.Namespace], int]:
    def command(arguments: argparse.Namespace) -> int:
        fields = ("name", "role", "label", "person")
        request = {name: getattr(arguments, name, None) for name in fields}
        given = {name: value for name, value in request.items() if value is not None}
        answer = ask(load(arguments.site).data_dir, {"do": do, **given})
        print(answer["words"])
        if "token" in answer:
            print(answer["token"])
        return 0

    return command


def _list(site: Site, arguments: argparse.Namespace) -> int:
    answer = ask(site.data_dir, {"do": "people.list"})
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    for person in answer["people"]:
        state = "" if person["joined"] else "has not used the code yet"
        print(f"{person['name']:24} {person['role']:14} {state}".rstrip())
    for token in answer["tokens"]:
        print(f"{token['label']:24} {token['role']:14} token of a program, let in by {token['by']}")
    if not answer["people"]:
        print(
            "nobody can sign in yet: the page asks for the code on the label (first-code.txt in the data directory)"
        )
    return 0
