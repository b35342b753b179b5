"""`aurora-gateway doctor`: what is wrong with the box, what it means, what to do.

Exit status: 0 nothing, 1 something to take care of, 2 a problem. What cannot be known counts as nothing.
"""

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from gateway.doctor.fact import Fact, as_data, worst

__all__ = ["DEFAULT_SITE", "add_doctor_command", "doctor_command"]

DEFAULT_SITE = Path("/etc/aurora-gateway/site.toml")
MARKS = {"good": "ok  ", "care": "CARE", "bad": "BAD ", "unknown": "  ? "}
STATUS = {"good": 0, "unknown": 0, "care": 1, "bad": 2}
WIDTH = 110


def add_doctor_command(commands: Any) -> None:
    """Add the command to the parser."""
    doctor = commands.add_parser("doctor", help="examine the whole box: what is wrong, and what to do")
    doctor.add_argument(
        "site", type=Path, nargs="?", help=f"the site file (default: {DEFAULT_SITE}, if it is there)"
    )
    doctor.add_argument("--json", action="store_true", help="all facts as JSON")
    doctor.add_argument("--quiet", action="store_true", help="only what is to be taken care of")
    doctor.set_defaults(command=doctor_command)


def doctor_command(arguments: argparse.Namespace) -> int:
    """Examine and print."""
    from gateway.doctor.examine import examine

    path = arguments.site
    if path is None and DEFAULT_SITE.exists():
        path = DEFAULT_SITE
    facts: list[Fact] = []
    for fact in examine(path):
        facts.append(fact)
        if not arguments.json and not (arguments.quiet and STATUS[fact.state] == 0):
            print("\n".join(_lines(fact)), flush=True)
    state = worst(facts)
    if arguments.json:
        print(json.dumps({"state": state, "facts": as_data(facts)}, indent=2))
    elif not arguments.quiet:
        print(_summary(facts))
    return STATUS[state]


def _lines(fact: Fact) -> list[str]:
    head = f"{MARKS[fact.state]}  {fact.name}: "
    lines = textwrap.wrap(head + fact.words, WIDTH, subsequent_indent=" " * 6, break_long_words=False)
    if fact.remedy:
        lines += textwrap.wrap(f"-> {fact.remedy}", WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 9)
    return lines


def _summary(facts: list[Fact]) -> str:
    counts = {state: sum(fact.state == state for fact in facts) for state in MARKS}
    words = (
        f"{len(facts)} facts: {counts['bad']} bad, {counts['care']} to take care of, {counts['unknown']} unknown"
    )
    return words if counts["bad"] or counts["care"] else f"{words}. Nothing is wrong as far as can be seen."
