"""Checks and compares a changed site file in a process of its own: the daemon does not keep what the checker takes.

The daemon asks with `inquire`; this module, run as a program, answers: one pickled question in, one answer out.
"""

import asyncio
import difflib
import pickle
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from weakref import WeakKeyDictionary

from gateway.acquire.station import layout_of
from gateway.change.plan import ChangeError, Plan, plan_of
from gateway.errors import Problem
from gateway.logbook.settings import Change, canonical, diff
from gateway.model import Layout
from gateway.site import Site

__all__ = ["Answer", "Question", "inquire"]

LIMIT_S = 90.0
"""Seconds of a slow computer for a file of a thousand devices, and then some."""
NICE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """``text`` is the file on disk; what is proposed is ``new``, or the file with ``edits``. ``running`` is the
    site that runs, with its layout; ``standing`` are the alarms that the judges of the site have raised."""

    text: str
    new: str | None
    edits: tuple[object, ...]
    source: Path
    running: Site
    layout: Layout
    standing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``site`` is None where the problems leave the text unusable; then there is nothing to compare either."""

    text: str
    digest: str
    site: Site | None
    problems: list[Problem]
    changes: list[Change]
    difference: str
    plan: Plan | None
    ending: list[str]
    """Alarms of those that stand that the new site cannot raise: they end."""


_turns: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]" = WeakKeyDictionary()


async def inquire(question: Question) -> Answer:
    """Have a question answered. Raises `ChangeError` for edits that cannot be made, and when no answer comes."""
    async with _one_at_a_time():
        return await _inquire(question)


def _one_at_a_time() -> asyncio.Semaphore:
    """Each check is a process of its own. Of the running loop, since tests have many."""
    loop = asyncio.get_running_loop()
    if (found := _turns.get(loop)) is None:
        found = _turns[loop] = asyncio.Semaphore(1)
    return found


async def _inquire(question: Question) -> Answer:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            told, _ = await process.communicate(pickle.dumps(question))
    except TimeoutError as error:
        raise ChangeError("checking the site file takes too long", "try again when the machine is idle") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not told:
        raise ChangeError("the check of the site file ended without an answer", "see the log")
    answer: object = pickle.loads(told)  # noqa: S301 - from our own child
    if isinstance(answer, ChangeError):
        raise answer
    assert isinstance(answer, Answer)
    return answer


def answer(question: Question) -> Answer:
    """The child's work."""
    from gateway.change.edit import edited

    text = edited(question.text if question.new is None else question.new, question.edits)  # type: ignore[arg-type]
    return judged(question, text)


def judged(question: Question, text: str) -> Answer:
    """Check a text, and compare it with what runs."""
    from gateway.config.check import check_site

    data = text.encode()
    digest = sha256(data).hexdigest()
    base = question.source.absolute().parent
    site, problems = check_site(text.removeprefix("\ufeff"), str(question.source), base)
    if site is None:
        return Answer(
            text=text, digest=digest, site=None, problems=problems, changes=[], difference=_unified(question, text),
            plan=None, ending=[],
        )  # fmt: skip
    site = replace(site, digest=digest)
    layout = layout_of(site)
    return Answer(
        text=text,
        digest=digest,
        site=site,
        problems=problems,
        changes=diff(canonical(question.running), canonical(site)),
        difference=_unified(question, text),
        plan=plan_of(question.running, site, question.layout, layout),
        ending=_ending(question.standing, site, layout),
    )


def _unified(question: Question, text: str) -> str:
    name = question.source.name
    old, new = question.text.splitlines(keepends=True), text.splitlines(keepends=True)
    lines = difflib.unified_diff(old, new, f"{name} (now)", f"{name} (proposed)")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _ending(standing: tuple[str, ...], site: Site, layout: Layout) -> list[str]:
    """Alarms that no judge of the new site knows."""
    if not standing:
        return []
    from gateway.assess.border import Standing
    from gateway.assess.station import judges_of

    known: set[str] = set()
    for _, factory in judges_of(site):
        judge = factory(site, layout, None)
        if isinstance(judge, Standing):
            known |= {condition.alarm for condition in judge.catalogue()}
    known |= {f"{process.point or process.device}/process-{process.id}" for process in site.processes}
    return [alarm for alarm in standing if alarm not in known]


def _main() -> int:
    import os

    os.nice(NICE)
    question: Question = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    try:
        told: object = answer(question)
    except ChangeError as error:
        told = error
    pickle.dump(told, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    # Pickled by the name that the parent knows it by, not as __main__.
    sys.exit(import_module("gateway.change.aside")._main())
