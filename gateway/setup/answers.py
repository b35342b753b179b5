"""What a new box has to be told, and the site file that follows from it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from gateway.config.check import check_site
from gateway.errors import Problem

__all__ = ["Answers", "mistake", "problems", "site_text"]

PLACES: Final[Mapping[str, str]] = {
    "member": "gateway.member",
    "site": "gateway.site",
    "gateway": "gateway.id",
    "language": "gateway.language",
    "time_zone": "gateway.time_zone",
    "clock": "clock.source",
    "clock_error_s": "clock.error_s",
    "broker": "cluster.broker",
    "listen": "web.listen",
}
"""The place in the site file of each answer: the rules of the site file are the only ones."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Texts as a person gives them. ``broker`` empty: no uplink for now. ``clock``: ``auto`` or ``host``."""

    member: str = ""
    site: str = ""
    gateway: str = "gw-0001"
    language: str = "en"
    time_zone: str = "UTC"
    clock: str = "auto"
    clock_error_s: str = "1.0"
    broker: str = ""
    listen: str = "127.0.0.1:8080"
    data_dir: str = "/var/lib/aurora-gateway"

    def with_(self, given: Mapping[str, Any]) -> "Answers":
        """The same with what is given and known; anything that is no text is left."""
        known = {field.name for field in fields(self)}
        return replace(self, **{name: v for name, v in given.items() if name in known and isinstance(v, str)})

    def data(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)

    @property
    def tls(self) -> bool:
        """Whether the broker is spoken to with certificates."""
        return self.broker.startswith("mqtts://")


def site_text(answers: Answers, sensors: str = "") -> str:
    """The site file, with the files that `gateway.setup.place` puts beside it; ``sensors`` follows as it is."""
    lines = [
        "# Written by `aurora-gateway setup`. Check after every change: aurora-gateway check site.toml",
        "# Sensors: add [[bus]], [[device]], [[point]] tables; `aurora-gateway check --sample` shows all settings.",
        "",
        "[gateway]",
        *_values(answers, "member", "site"),
        f"id = {_text(answers.gateway)}",
        *_values(answers, "data_dir", "time_zone", "language"),
        "",
        "[clock]",
        f"source = {_text(answers.clock)}",
    ]
    if answers.clock != "auto":
        lines.append(f"error_s = {_number(answers.clock_error_s)}")
    lines += ["", "[web]", f"listen = {'false' if answers.listen == 'off' else _text(answers.listen)}"]
    if answers.broker:
        lines += ["", "[cluster]", f"broker = {_text(answers.broker)}", 'receipt_key = "cluster.pem"']
        if answers.tls:
            lines += ['ca = "ca.pem"', 'certificate = "broker.pem"', 'key = "broker.key"']
    return "\n".join(lines) + "\n" + sensors


def problems(answers: Answers, folder: Path) -> list[Problem]:
    """What is wrong with the answers, by the rules of the site file; that no sensor is there yet is not."""
    _, found = check_site(site_text(answers), "setup", folder)
    return [problem for problem in found if problem.path in PLACES.values()]


def mistake(answers: Answers, name: str, folder: Path) -> Problem | None:
    """What is wrong with one answer."""
    return next((found for found in problems(answers, folder) if found.path == PLACES[name]), None)


def _values(answers: Answers, *names: str) -> Iterable[str]:
    return (f"{name} = {_text(getattr(answers, name))}" for name in names)


def _text(value: str) -> str:
    """A TOML basic string; its escapes are those of JSON, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: str) -> str:
    """A number as it was written, or the text, for the checker to name."""
    try:
        return repr(float(value))
    except ValueError:
        return _text(value)
