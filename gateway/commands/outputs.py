"""The command `aurora-gateway notify`: asks the running gateway how its outputs do, and has it send a test."""

import argparse
import json
import sys
from typing import Any

from gateway.control import ask
from gateway.site import Site

__all__ = ["notify_command"]


def notify_command(site: Site, arguments: argparse.Namespace) -> int:
    """Exit status 0, or 1 when an output does not deliver. Raises `ControlError` for a test that fails."""
    if arguments.action == "test":
        if not arguments.output:
            print("aurora-gateway notify: name the output to test", file=sys.stderr)
            return 2
        request = {"do": "notify.test", "output": arguments.output, "to": arguments.to, "person": arguments.person}
        answer = ask(site.data_dir, request)
        told = [recipient for recipient in answer["told"] if recipient]
        print(json.dumps(answer) if arguments.json else f"{arguments.output}: {_delivered(told)}")
        return 0
    answer = ask(site.data_dir, {"do": "notify.list"})
    if arguments.json:
        print(json.dumps(answer))
    else:
        _show(answer)
    return 1 if any(output["failing"] for output in answer["outputs"].values()) else 0


def _delivered(told: list[str]) -> str:
    return f"delivered to {', '.join(told)}" if told else "delivered"


def _show(answer: dict[str, Any]) -> None:
    if not answer["outputs"]:
        print("no outputs: nobody is told of alarms (see [[output]] in docs/notifications.md)")
    for name, output in answer["outputs"].items():
        state = "blocked" if output["blocked"] else "FAILING" if output["failing"] else "ok"
        print(
            f"{name:20} {output['type']:14} {state:8} {output['sent']} sent, {output['queued']} waiting,"
            f" {output['held']} held, {output['given_up']} given up"
        )
        if (values := output["values"]) is not None:
            print(
                f"{'':20} values: {values['taken']} taken, {values['queued']} waiting, {values['dropped']} dropped,"
                f" {values['refused']} refused"
            )
        if output["to"]:
            print(f"{'':20} to {', '.join(output['to'])}")
        if output["failing"]:
            print(f"{'':20} {output['last_error']}")
    if answer["unreachable"]:
        print("nobody can be reached")
    if not answer["durable"]:
        print("the queue lives in memory only: see the log")
