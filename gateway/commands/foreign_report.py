"""A report in the form of a plugin: made in a child process, which may fail, hang or grow without harm."""

import os
import resource
import select
import signal
from collections.abc import Mapping
from time import monotonic
from typing import Any

from gateway.api import PluginError, Report, load_report
from gateway.api_loading import one_line, types
from gateway.api_reports import REPORTS
from gateway.errors import AuroraError

__all__ = ["foreign_report", "known_report"]

LIMIT_S = 60.0
MEMORY = 1 << 30
LARGEST = 200 << 20
OK, FAILED = b"+", b"-"


def known_report(name: str, kind: str) -> type[Report]:
    """The class of the plugin. Raises `AuroraError` where there is none, or it cannot write this kind."""
    known = ", ".join(["html", "pdf", "json", "csv", *sorted(types(REPORTS))])
    if name not in types(REPORTS):
        raise AuroraError(f"there is no form {name!r}; use one of: {known}")
    found = load_report(name)
    if kind not in found.kinds:
        raise AuroraError(f"{name!r} writes no report of a {kind}; it writes: {', '.join(found.kinds)}")
    return found


def foreign_report(
    name: str, kind: str, data: Mapping[str, Any], language: str, *, limit_s: float = LIMIT_S
) -> bytes:
    """Have the plugin make it. Raises `PluginError` for whatever it does instead."""
    plugin = known_report(name, kind)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _make(plugin, (kind, data, language), write_end, limit_s)
    os.close(write_end)
    try:
        answer = _answer(read_end, name, limit_s)
    finally:
        os.close(read_end)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if answer[:1] == OK:
        return answer[1:]
    why = answer[1:].decode(errors="replace") or "it ended without a word"
    raise PluginError(f"the plugin {name!r} made no report ({one_line(why)})", "report it to its maker")


def _answer(pipe: int, name: str, limit_s: float) -> bytes:
    end, size = monotonic() + limit_s, 0
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, end - monotonic()))
        if not ready:
            raise PluginError(f"the plugin {name!r} was not done within {limit_s:g} s", "report it to its maker")
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise PluginError(f"the plugin {name!r} makes a report without end", "report it to its maker")


def _make(plugin: type[Report], asked: tuple[str, Mapping[str, Any], str], pipe: int, limit_s: float) -> None:
    """The child's whole life."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 1))
        made = plugin().make(*asked)
        if not isinstance(made, bytes):
            raise TypeError(f"a report is bytes, not {type(made).__name__}")
        answer = OK + made
    except BaseException as error:  # noqa: BLE001 - the border to a plugin, and of a process
        answer = FAILED + f"{type(error).__name__}: {error}".encode()
    try:
        with open(pipe, "wb") as file:
            file.write(answer)
    finally:
        os._exit(0)
