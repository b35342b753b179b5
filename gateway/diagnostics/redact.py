"""What must not leave the box with a support bundle: secrets, and whom the gateway tells.

The site file is shown by a list of what is known to be harmless; everything else in it is left out, and looked for
in the rest of the bundle, as are the contents of the files that hold secrets.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from gateway.api import Secret
from gateway.errors import AuroraError
from gateway.site import Site

__all__ = ["LEFT_OUT", "Scrubber", "redacted_site"]

LEFT_OUT = "(left out)"
OPEN = frozenset({"gateway", "bus", "device", "point", "profile", "process", "buffer", "clock", "web", "alarms"})
"""Tables that say what is measured and how it is judged: shown, but for what looks like a secret."""
LISTED: Mapping[str, frozenset[str]] = {
    "cluster": frozenset({"in_flight"}),
    "output": frozenset(
        {
            "id",
            "type",
            "language",
            "timeout",
            "limit",
            "per",
            "late",
            "give_up",
            "alive",
            "security",
            "port",
            "baud",
        }
    ),
    "notify": frozenset({"output", "tiers", "transitions", "points", "level", "delay", "times"}),
    "notices": frozenset({"unreachable"}),
}
"""Of these tables nothing else is shown."""
SUSPICIOUS = re.compile(r"pass|secret|token|key|pin$|^pin|phone|mail|user|credential|recipient|authori", re.I)
SECRET = re.compile(r"pass|secret|token|pin$|^pin|authori", re.I)
PLAIN_WORD = re.compile(r"[a-z-]{1,12}")
"""A user called gateway is no secret, and the word is everywhere."""
SHORTEST = 4
"""A left-out text below this length is not looked for elsewhere: it would take half the words away."""
FIRST_CODE = "first-code.txt"
LARGEST = 1 << 16

_NAMES = "password|passwd|secret|token|authorization|pin"
_PATTERNS = (
    # Of an address on the network only what says where it is: names, paths and queries hold tokens.
    (re.compile(r"(\w+://)(?!(?:127\.0\.0\.1|localhost|\[::1\])[:/])[^\s\"'<>]+"), r"\1(address)"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "(e-mail address)"),
    (re.compile(r"(?<![\w.:])\+\d[\d ()/-]{5,}\d"), "(phone number)"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.+/=~-]{8,}"), r"\1 (token)"),
    (re.compile(rf"(?i)\b({_NAMES})([\"']?\s*[=:]\s*)(?!\"?\(left out)(\"[^\"]*\"|'[^']*'|\S+)"), r"\1\2(secret)"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S), "(private key)"),
    (re.compile(r"\b[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}\b"), "(code)"),
    (re.compile(r"\baurora_[\w-]{20,}"), "(token)"),
)
"""Forms of secrets and of people's addresses, wherever they stand."""


def redacted_site(text: str) -> tuple[str, set[str]]:
    """A site file as it may be shown, without its comments, and the texts that were left out of it."""
    hidden: set[str] = set()
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return f"# the site file is not TOML: {error}\n", hidden
    shown = {name: _table(name, content, hidden) for name, content in document.items()}
    return _toml(shown), hidden


def _table(name: str, content: Any, hidden: set[str]) -> Any:
    if isinstance(content, list):
        return [_table(name, entry, hidden) for entry in content]
    if not isinstance(content, dict) or name not in OPEN | LISTED.keys():
        return _hide(name, content, hidden)
    if name in LISTED:
        return {
            key: value if key in LISTED[name] and not isinstance(value, dict) else _hide(key, value, hidden)
            for key, value in content.items()
        }
    return {key: _shown(key, value, hidden) for key, value in content.items()}


def _shown(key: str, value: Any, hidden: set[str]) -> Any:
    if SUSPICIOUS.search(key):
        return _hide(key, value, hidden)
    if isinstance(value, dict):
        return {inner: _shown(inner, content, hidden) for inner, content in value.items()}
    return value


def _hide(key: str, value: Any, hidden: set[str]) -> str:
    hidden.update(text for text in _texts(value) if SECRET.search(key) or not PLAIN_WORD.fullmatch(text))
    return LEFT_OUT


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


class Scrubber:
    """Takes secrets out of texts. Reads the files that hold them, so make it on a thread."""

    def __init__(self, site: Site, hidden: Iterable[str] = ()) -> None:
        known = {text.strip() for text in (*hidden, *_kept_secrets(site))}
        self._known = sorted((text for text in known if len(text) >= SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without what is secret in it."""
        for secret in self._known:
            text = text.replace(secret, LEFT_OUT).replace(json.dumps(secret)[1:-1], LEFT_OUT)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text


def _kept_secrets(site: Site) -> Iterator[str]:
    for output in site.outputs:
        yield from output.to
        for value in output.settings.values():
            if isinstance(value, Secret):
                try:
                    yield value.read()
                except AuroraError:
                    continue
    for rule in site.notify:
        yield from rule.to
    paths = [device.key_file for device in site.devices if device.key_file is not None]
    for path in (*paths, site.data_dir / FIRST_CODE):
        yield from _content(path)


def _content(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            yield file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return


def _toml(document: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for name, content in document.items():
        if isinstance(content, dict):
            lines += [f"[{_key(name)}]", *_pairs(content), ""]
        elif isinstance(content, list) and content and all(isinstance(entry, dict) for entry in content):
            for entry in content:
                lines += [f"[[{_key(name)}]]", *_pairs(entry), ""]
        else:
            lines.insert(0, f"{_key(name)} = {_value(content)}")
    return "\n".join(lines)


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(_pairs(value)) + " }"
    if isinstance(value, date):
        return value.isoformat()
    return repr(value)
