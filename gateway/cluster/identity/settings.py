"""Settings of identity: the table ``[identity]`` of ``cluster.toml``.

[identity]
broker = "mqtts://broker.example:8883"             # what new gateways are told
days = 365                                         # life of a gateway's certificate
crl = "/etc/mosquitto/aurora/revoked.pem"          # the list that the broker reads (its crlfile)
reload = ["systemctl", "reload", "mosquitto"]      # has the broker read it; run without a shell
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, OperatorError, Problem

__all__ = ["IdentitySettings", "load_identity"]

DAYS = range(1, 3651)


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """How gateways are certified, and how the broker learns of a revocation; what is not given is None or empty."""

    broker: str = ""
    life: timedelta = timedelta(days=365)
    crl: Path | None = None
    reload: tuple[str, ...] = ()

    @property
    def list_path(self) -> Path:
        """Where the revocation list goes; raises `OperatorError` when that is not said."""
        if self.crl is None:
            raise OperatorError("nobody said where the broker reads its list", "add crl = FILE under [identity]")
        return self.crl


def load_identity(path: Path | None) -> IdentitySettings:
    """The table of a settings file that has been read before; raises `ConfigError`."""
    content = tomllib.loads(path.read_text(encoding="utf-8")).get("identity", {}) if path is not None else {}
    problems = list(_problems(content))
    if path is None or problems:
        if problems:
            raise ConfigError(str(path), problems)
        return IdentitySettings()
    return IdentitySettings(
        content.get("broker", ""),
        timedelta(days=content.get("days", 365)),
        path.parent / content["crl"] if "crl" in content else None,
        tuple(content.get("reload", ())),
    )


def _problems(content: Mapping[str, Any]) -> list[Problem]:
    found = []
    for name, value in content.items():
        place = f"identity.{name}"
        if name in {"broker", "crl"}:
            if not isinstance(value, str) or not value:
                found.append(Problem(place, f"{value!r} is not a text", "write it in quotes"))
        elif name == "days":
            if type(value) is not int or value not in DAYS:
                found.append(Problem(place, f"{value!r} is no number of days", "use 1 to 3650"))
        elif name == "reload":
            if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
                found.append(Problem(place, "is not a list of words", 'write ["program", "argument"]'))
        else:
            found.append(Problem(place, "is not known", "known are broker, days, crl, reload"))
    return found
