"""Settings of the cluster's receiver: ``cluster.toml``, every key of which is also a flag.

name = "urn:aurora:cluster:north"      # names the cluster in its receipts
data_dir = "/var/lib/aurora-cluster"   # the cluster's key, and the store where no other is named
store = "postgresql://aurora@db.example/aurora"   # several receivers; without it cluster.db in data_dir
group = "receivers"                    # receivers of one group share the work, whatever their client
opener = true                          # signatures are checked in a process beside: one receiver, two cores

[broker]
host = "broker.example"
port = 8883
client = "aurora-receiver"             # common name of the certificate
ca = "ca.pem"                          # paths relative to this file
certificate = "receiver.pem"
key = "receiver.key"
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, Problem
from gateway.mqtt import Endpoint

NAME = "urn:aurora:cluster"
DATA_DIR = Path("/var/lib/aurora-cluster")
CLIENT = "aurora-receiver"
FILE = "cluster.db"
SERVERS = ("postgresql://", "postgres://")
GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

TOP: Mapping[str, type] = {
    "name": str,
    "data_dir": str,
    "store": str,
    "group": str,
    "opener": bool,
    "broker": dict,
    "identity": dict,
}
BROKER: Mapping[str, type] = {
    "host": str,
    "port": int,
    "client": str,
    "ca": str,
    "certificate": str,
    "key": str,
    "keepalive_s": int,
}
PATHS = ("ca", "certificate", "key")
KINDS = {str: "a text", int: "a whole number", bool: "true or false", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Who the cluster is, where its data is, and the broker.

    ``store`` is a file or ``postgresql://...``; ``group`` the name under which several receivers share the work,
    ``opener`` whether a process beside the receiver checks the signatures.
    """

    name: str
    data_dir: Path
    store: str
    group: str
    opener: bool
    broker: Endpoint


def load_settings(path: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Settings from a file and from flags (which win; None: not given); raises `ConfigError`."""
    content = _read(path) if path is not None else {}
    problems = _check(content, TOP, "")
    broker = content.get("broker", {})
    if isinstance(broker, dict):
        problems += _check(broker, BROKER, "broker.")
    if problems:
        raise ConfigError(str(path), problems)
    folder = path.parent if path is not None else Path()
    chosen: dict[str, Any] = {"host": "localhost", "port": 8883, "client": CLIENT}
    chosen |= {name: folder / value if name in PATHS else value for name, value in broker.items()}
    chosen |= {name: flags[name] for name in BROKER if flags.get(name) is not None}
    data_dir = flags.get("data_dir") or (folder / content["data_dir"] if "data_dir" in content else DATA_DIR)
    store = flags.get("store") or content.get("store")
    if store is None:
        store = str(data_dir / FILE)
    elif not store.startswith(SERVERS):
        store = str(store if flags.get("store") else folder / store)
    group = flags.get("group") or content.get("group", "")
    if group and not GROUP.fullmatch(group):
        problem = Problem("group", f"{group!r} is no name", "use 1 to 63 letters, digits, - and _")
        raise ConfigError(str(path or "flags"), [problem])
    name = flags.get("name") or content.get("name", NAME)
    opener = flags.get("opener") or content.get("opener", False)
    return Settings(name, data_dir, store, group, opener, Endpoint(**chosen))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = Problem("file", f"cannot be read ({error.strerror})", "look at its name and mode")
        raise ConfigError(str(path), [problem]) from error
    except ValueError as error:
        raise ConfigError(str(path), [Problem("file", f"is no TOML ({error})", "mend the line named")]) from error


def _check(content: Mapping[str, Any], known: Mapping[str, type], prefix: str) -> list[Problem]:
    problems = []
    for name, value in content.items():
        if name not in known:
            remedy = f"known are {', '.join(known)}"
            problems.append(Problem(prefix + name, "is not known", remedy))
        elif type(value) is not known[name]:
            remedy = f"write {KINDS[known[name]]}"
            problems.append(Problem(prefix + name, f"{value!r} is not {KINDS[known[name]]}", remedy))
    return problems
