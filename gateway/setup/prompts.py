"""The set-up as a conversation: a question a line, a default in brackets, each answer checked at once and kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import OperatorError
from gateway.setup.answers import Answers, mistake
from gateway.setup.files import Kind, checked_file
from gateway.setup.place import Place

__all__ = ["agree", "converse", "fetch_files"]


class Question(NamedTuple):
    """One answer to be had. ``needed`` says by the answers so far whether it is asked at all."""

    name: str
    words: str
    needed: Callable[[Answers], bool] = lambda _: True
    empty: bool = False
    """Whether no answer is an answer; then a single hyphen takes a default away."""


QUESTIONS: Final = (
    Question("member", "Company, as the cluster knows it (lower-case letters, digits, hyphens)"),
    Question("site", "Site of that company"),
    Question("gateway", "Name of this gateway"),
    Question("language", "Language of pages and reports (en, fr, nl, pl, es)"),
    Question("time_zone", "Time zone (IANA name, e.g. Europe/Paris)"),
    Question("clock", "Time source: auto (chrony, timesyncd), or host (something outside keeps this clock right)"),
    Question("clock_error_s", "By how many seconds can that clock be wrong", lambda a: a.clock == "host"),
    Question("broker", "Broker of the cluster, e.g. mqtts://broker.example:8883; - for none", empty=True),
    Question("listen", "Where the status page is served (address:port, or off)"),
)
FETCHED: Final = (
    ("cluster.pem", Kind.PUBLIC_KEY, "Cluster's public key (PEM file; empty: later)", False),
    ("ca.pem", Kind.CERTIFICATE, "Broker's certificate authority (PEM file; empty: later)", True),
    ("broker.pem", Kind.CERTIFICATE, "This gateway's certificate (PEM file; empty: later)", True),
    ("broker.key", Kind.PRIVATE_KEY, "Its private key (PEM file; empty: one is made here, with a request)", True),
)


def converse(answers: Answers, folder: Path, keep: Callable[[Answers], None]) -> Answers:
    """Ask everything; ``keep`` is called after each answer."""
    for question in QUESTIONS:
        if question.needed(answers):
            answers = _ask(question, answers, folder)
            keep(answers)
    return answers


def _ask(question: Question, answers: Answers, folder: Path) -> Answers:
    default = getattr(answers, question.name)
    while True:
        given = _read(f"{question.words}{f' [{default}]' if default else ''}: ") or default
        if question.empty and given in {"-", ""}:
            return replace(answers, **{question.name: ""})
        tried = replace(answers, **{question.name: given})
        if not given:
            print("  an answer is needed")
        elif question.name == "listen" and given == "off":
            return tried
        elif (found := mistake(tried, question.name, folder)) is not None:
            print(f"  {found.what}; {found.remedy}")
        else:
            return tried


def fetch_files(answers: Answers, place: Place) -> None:
    """Ask for the files that the cluster has given, and copy them beside the site file."""
    if not answers.broker:
        return
    for name, kind, words, for_tls in FETCHED:
        if for_tls and not answers.tls:
            continue
        there = place.read(name) is not None
        while given := _read(f"{words}{' [keep the present one]' if there else ''}: "):
            try:
                content = checked_file(Path(given).expanduser(), kind)
                place.write(name, content, replace=not there or agree(f"{name} is there; replace it?"))
                break
            except OperatorError as error:
                print(f"  {error}")


def agree(words: str, *, default: bool = False) -> bool:
    """A question that is answered with yes or no."""
    while True:
        given = _read(f"{words} [{'Y/n' if default else 'y/N'}]: ").lower()
        if given in {"", "y", "yes", "n", "no"}:
            return default if given == "" else given.startswith("y")
        print("  answer y or n")


def _read(words: str) -> str:
    try:
        return input(words).strip()
    except EOFError:
        print()
        raise OperatorError(
            "the set-up was left", "run it again: what was answered is kept and offered as the default"
        ) from None
