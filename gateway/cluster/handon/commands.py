"""What ``aurora-cluster hand-on`` does."""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from gateway.clock import wall_ms
from gateway.cluster.database import Database
from gateway.cluster.handon.choice import Choice, rows
from gateway.cluster.handon.epcis import epcis_document
from gateway.cluster.handon.evidence import Left
from gateway.cluster.handon.lane import Lane
from gateway.cluster.handon.outputs import MemberOutput, load_outputs
from gateway.cluster.handon.values import CsvWriter, ParquetWriter, write
from gateway.cluster.running import opened, until_signal
from gateway.errors import RecordError

Work = Callable[[Database, Any, argparse.Namespace], Awaitable[int]]


def read(work: Work, settings: Any, arguments: argparse.Namespace) -> int:
    """Run what reads from the store."""

    async def reading() -> int:
        async with opened(settings, read_only=True) as database:
            return await work(database, settings, arguments)

    return asyncio.run(reading())


def _choice(arguments: argparse.Namespace) -> Choice:
    return Choice(arguments.member, arguments.site, arguments.gateway, arguments.since, arguments.until)


async def values(database: Database, settings: Any, arguments: argparse.Namespace) -> int:
    """A member's readings as a file."""
    choice, left = _choice(arguments), Left()
    about = {**choice._asdict(), "cluster": settings.name, "made_ms": wall_ms()}
    async with database.transaction(write=False) as work:
        with _draft(arguments.out) as draft:
            found = rows(work, choice, left, arguments.point)
            if arguments.format == "parquet":
                count = await write(found, ParquetWriter(draft, about))
            else:
                with draft.open("w", encoding="utf-8", newline="") as file:
                    count = await write(found, CsvWriter(file))
    return _tell(arguments.out, f"{count} rows", left)


async def epcis(database: Database, _settings: Any, arguments: argparse.Namespace) -> int:
    """A member's EPCIS document as a file."""
    left = Left()
    places = dict(map(_place, arguments.place))
    async with database.transaction(write=False) as work:
        content = await epcis_document(
            work, _choice(arguments), left, interval_s=arguments.interval, places=places, now_ms=wall_ms()
        )
    with _draft(arguments.out) as draft, draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1, allow_nan=False)
        file.write("\n")
    return _tell(arguments.out, f"{len(content['epcisBody']['eventList'])} events", left)


def check(arguments: argparse.Namespace) -> int:
    """Say what a file of outputs holds."""
    for output in load_outputs(arguments.outputs):
        print(f"{output.member}: {output.spec.id} ({output.spec.type})")
    return 0


def outputs(settings: Any, arguments: argparse.Namespace) -> int:
    """Tell members' systems until a signal comes."""
    asyncio.run(until_signal(_tell_all(settings, load_outputs(arguments.outputs))))
    return 0


async def _tell_all(settings: Any, chosen: Sequence[MemberOutput]) -> None:
    async with opened(settings, patient=True) as database:
        lanes = [Lane(database, output, utc_ms=wall_ms, random=Random()) for output in chosen]  # noqa: S311 - for rests
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(lane.run()) for lane in lanes]
        tasks.append(asyncio.create_task(asyncio.Event().wait()))  # also where no output is named, until a signal
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a lane ends by a defect alone, which must not pass in silence
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _place(word: str) -> tuple[str, str]:
    point, equals, uri = word.partition("=")
    if not equals or ":" not in uri or any(letter.isspace() for letter in uri):
        raise RecordError(f"--place {word!r} is no name", "write POINT=https://id.gs1.org/414/9521321000010")
    return point, uri


def _tell(out: Path, what: str, left: Left) -> int:
    for line in left.words():
        print(line, file=sys.stderr)
    print(f"{out}: {what}")
    return 0


@contextlib.contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A file beside ``out`` that takes its name when all went well: whoever fetches it never gets a part."""
    draft = out.with_name(f"{out.name}.partial")
    try:
        yield draft
        draft.replace(out)
    except OSError as error:
        raise RecordError(
            f"{out} cannot be written ({error.strerror})", "look at folder, rights and space"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
