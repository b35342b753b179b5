"""``aurora-cluster hand-on values | epcis | run | check``."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from gateway.clock import wall_ms
from gateway.cluster.database import Database, open_database
from gateway.cluster.handon.choice import Choice, rows
from gateway.cluster.handon.epcis import epcis_document
from gateway.cluster.handon.evidence import Left
from gateway.cluster.handon.lane import Lane
from gateway.cluster.handon.outputs import MemberOutput, load_outputs
from gateway.cluster.handon.values import CsvWriter, ParquetWriter, write
from gateway.errors import RecordError

__all__ = ["add"]


def add(commands: Any, shared: list[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    parser = commands.add_parser("hand-on", help="give a member's data on: files, EPCIS, webhooks, NGSI-LD")
    ways = parser.add_subparsers(required=True, metavar="WHAT")
    stretch = argparse.ArgumentParser(add_help=False)
    stretch.add_argument("--member", required=True, help="the company")
    stretch.add_argument("--site", default="", help="one site of it")
    stretch.add_argument("--gateway", default="", help="one gateway of it")
    stretch.add_argument(
        "--from", dest="since", type=moment, required=True, metavar="TIME", help="2026-11-01 (UTC)"
    )
    stretch.add_argument("--to", dest="until", type=moment, required=True, metavar="TIME", help="up to, not with")
    stretch.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")

    values = ways.add_parser("values", parents=[*shared, stretch], help="readings as CSV or Parquet")
    values.add_argument("--format", choices=["csv", "parquet"], default="csv")
    values.add_argument("--point", action="append", default=[], help="only what feeds this point; repeat for more")
    values.set_defaults(command=_run(_values))

    epcis = ways.add_parser("epcis", parents=[*shared, stretch], help="EPCIS 2.0 sensor and lot events")
    epcis.add_argument("--interval", type=int, default=3600, metavar="SECONDS", help="what an event sums up")
    epcis.add_argument("--place", action="append", default=[], metavar="POINT=URI", help="name of a point")
    epcis.set_defaults(command=_run(_epcis))

    outputs = argparse.ArgumentParser(add_help=False)
    outputs.add_argument("outputs", type=Path, metavar="FILE", help="[[output]] tables, each with its member")
    run = ways.add_parser("run", parents=[*shared, outputs], help="tell members' systems of alarms and values")
    run.set_defaults(command=_outputs)
    check = ways.add_parser("check", parents=[*shared, outputs], help="whether such a file is right")
    check.set_defaults(command=_check)


def moment(text: str) -> int:
    """Unix ms of an ISO 8601 time; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-11-01 or 2026-11-01T06:00Z") from error
    whole = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


Work = Callable[[Database, Any, argparse.Namespace], Awaitable[int]]


def _run(work: Work) -> Callable[[Any, argparse.Namespace], int]:
    async def opened(settings: Any, arguments: argparse.Namespace) -> int:
        database = await open_database(settings.store, read_only=True)
        try:
            return await work(database, settings, arguments)
        finally:
            await database.close()

    return lambda settings, arguments: asyncio.run(opened(settings, arguments))


def _choice(arguments: argparse.Namespace) -> Choice:
    return Choice(arguments.member, arguments.site, arguments.gateway, arguments.since, arguments.until)


async def _values(database: Database, settings: Any, arguments: argparse.Namespace) -> int:
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


async def _epcis(database: Database, _settings: Any, arguments: argparse.Namespace) -> int:
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


def _check(_settings: Any, arguments: argparse.Namespace) -> int:
    for output in load_outputs(arguments.outputs):
        print(f"{output.member}: {output.spec.id} ({output.spec.type})")
    return 0


def _outputs(settings: Any, arguments: argparse.Namespace) -> int:
    outputs = load_outputs(arguments.outputs)
    asyncio.run(_until_signal(str(settings.store), outputs))
    return 0


async def _until_signal(store: str, outputs: Sequence[MemberOutput]) -> None:
    database = await open_database(store)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lanes = [Lane(database, output, utc_ms=wall_ms, random=Random()) for output in outputs]  # noqa: S311 - for rests
    tasks = [asyncio.create_task(lane.run()) for lane in lanes]
    waiting = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a lane ends by a defect alone, which must not pass in silence
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)
        await database.close()


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
