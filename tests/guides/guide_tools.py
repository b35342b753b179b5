"""Reads the guides: their code, their commands, their tables."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.cli import _parser as gateway_parser
from gateway.cluster.cli import _parser as cluster_parser

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
PARSERS = {"aurora-gateway": gateway_parser(), "aurora-cluster": cluster_parser()}


class Said(NamedTuple):
    """A command as a page has it."""

    page: str
    line: int
    words: list[str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)


def commands() -> Iterator[Said]:
    """Every command line that begins a line of code, or is a code span."""
    for page in PAGES:
        for number, line in enumerate(text_of(page).splitlines(), 1):
            code = [line.strip()] if line.startswith("    ") else re.findall(r"`([^`]+)`", line)
            for part in code:
                found = re.match(r"(?:\S*/|sudo |\$ )*(aurora-gateway|aurora-cluster)((?:\s.*)?)$", part)
                if found is None or "%" in part:
                    continue
                rest = re.split(r"\s#|\s\||\s>|;|&&", found[2])[0].replace("\\|", "|")
                try:
                    words = shlex.split(rest)
                except ValueError:
                    words = rest.split()
                yield Said(page.name, number, [found[1], *words])


def trouble(said: Said) -> str | None:
    """What the program would not understand: a command or an option that there is not."""
    parser = PARSERS[said.words[0]]
    known = dict(parser._option_string_actions)
    for word in [word.strip("[]().,:") for word in said.words[1:]]:
        sub = next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
        if word == "--":
            return None if word == said.words[-2] else "what follows -- is no option"
        if re.match(r"-\D", word):
            option = word.partition("=")[0]
            if option not in known:
                return f"there is no option {option} of {parser.prog}"
        elif sub is not None and re.fullmatch(r"[a-z][a-z-]*", word):
            if word not in sub.choices:
                return f"there is no command {parser.prog} {word}"
            parser = sub.choices[word]
            known |= parser._option_string_actions
    return None


def table_names(page: Path, pattern: str) -> set[str]:
    """The names in the first column of the tables of a page."""
    rows = re.findall(r"^\| ([^|]+) \|", text_of(page), re.MULTILINE)
    return {name for row in rows for name in re.findall(rf"`({pattern})`", row)}
