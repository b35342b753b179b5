"""`aurora-gateway plugins`: every plugin there is, where it comes from, and whether it works."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from firmware_interfaces.extra import extra
from gateway.api import BUILT_IN, DEVICES, GROUP, REPORTS, RULES, PluginError, load_output, load_report, load_rule
from gateway.api_loading import Origin, origins
from gateway.control import ask
from gateway.errors import AuroraError

__all__ = ["listing", "of_running", "plugins_command"]

LOADERS = {"output": load_output, "rule": load_rule, "report": load_report}


def plugins_command(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a plugin cannot be loaded, or one of the running gateway does not work."""
    found = listing()
    running = _running(arguments) if arguments.site is not None else {}
    if arguments.json:
        print(json.dumps({"plugins": found, "running": running}, indent=2))
    else:
        for plugin in found:
            origin = f"{plugin['package']} {plugin['version']}".strip() or "gateway"
            print(f"{plugin['kind']:8} {plugin['name']:18} {origin:28} {plugin['state']:8} {plugin['words']}")
        for name, of in running.items():
            print(f"running  {name:18} {of['type']:28} {of['state']:8} {of['words']}")
    broken = any(plugin["state"] != "ok" for plugin in found) or any(of["state"] != "ok" for of in running.values())
    return 1 if broken else 0


def listing() -> list[dict[str, str]]:
    """Every plugin: kind, name, package (empty: the gateway's own), version, state, and words about it."""
    found = []
    for kind, group, built_in in (
        ("device", DEVICES, {}),
        ("rule", RULES, {}),
        ("output", GROUP, BUILT_IN),
        ("report", REPORTS, {}),
    ):
        for origin in origins(group, built_in):
            state, words = _state(kind, origin)
            found.append(
                {
                    "kind": kind,
                    "name": origin.name,
                    "package": origin.package,
                    "version": origin.version,
                    "where": origin.where,
                    "state": state,
                    "words": words,
                }
            )
    return found


def _state(kind: str, origin: Origin) -> tuple[str, str]:
    if kind == "device":
        why = extra().problems.get(origin.name)
        return ("broken", why) if why else ("ok", "models: see `aurora-gateway models`")
    try:
        plugin: Any = LOADERS[kind](origin.name)
    except PluginError as error:
        return "broken", error.what
    return "ok", plugin.title


def _running(arguments: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Outputs and rules of a running gateway, by their id in its site file."""
    from gateway.config import load_site

    site = load_site(arguments.site)
    return of_running(ask(site.data_dir, {"do": "plugins.list"})["plugins"])


def of_running(plugins: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Type, state and words of each, from what the gateway answers."""
    found = {}
    for name, of in sorted(plugins.items()):
        if not isinstance(of, dict):
            raise AuroraError("the gateway gave an answer that is none; is it of the same version?")
        counts = {key: of[key] for key in ("raised", "late", "blocked", "silenced", "floods") if of.get(key)}
        words = ", ".join(f"{key} {count}" for key, count in counts.items())
        found[name] = {
            "type": str(of["type"]),
            "state": str(of["state"]),
            "words": "; ".join(part for part in (words, str(of.get("last_error", ""))) if part),
        }
    return found
