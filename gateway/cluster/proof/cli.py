"""Commands for proofs: checkpoint, notary, witness, pack, verify-pack; and ``verify --checkpoints``."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.clock import wall_ms
from gateway.cluster.proof.audit import Given, Recomputed, verify_checkpoints
from gateway.cluster.running import cluster_signer, opened, until_signal
from gateway.cluster.settings import Settings
from gateway.errors import OperatorError
from gateway.seal.checkpoint import log_key
from gateway.seal.cose import PublicKey
from gateway.seal.note import NoteKey

if TYPE_CHECKING:
    from gateway.cluster.proof.witness import Bench

Parser = argparse.ArgumentParser
NOTARY = "aurora-notary"


def add(commands: "argparse._SubParsersAction[Parser]", shared: Sequence[Parser]) -> None:
    """The commands, for the parser of ``aurora-cluster``."""
    making = commands.add_parser(
        "checkpoint", parents=shared, help="sign a checkpoint of everything stored, print it"
    )
    making.add_argument("--name", help="name of the cluster, and of its log")
    making.add_argument(
        "--log-key", action="store_true", help="print the log's key for witnesses, and do nothing else"
    )
    making.add_argument("--witness", action="append", default=[], metavar="URL", help="have it cosigned there")
    making.add_argument(
        "--witness-key", action="append", default=[], metavar="KEY", help="of each witness, in the same order"
    )
    making.set_defaults(command=_checkpoint)

    notary = commands.add_parser("notary", parents=shared, help="offer each day's checkpoint to the gateways")
    notary.add_argument("--name", help="name of the cluster, and of its log")
    notary.add_argument("--host", help="broker")
    notary.add_argument("--port", type=int, help="port of the broker")
    notary.add_argument("--client", default=NOTARY, help=f"MQTT client (default: {NOTARY})")
    for name, words in (("ca", "authority of the broker"), ("certificate", "of the notary"), ("key", "its key")):
        notary.add_argument(f"--{name}", type=Path, metavar="FILE", help=words)
    notary.set_defaults(command=_notary)

    witness = commands.add_parser("witness", parents=shared, help="cosign checkpoints of other clusters")
    witness.add_argument("--witness-name", required=True, help="name of this witness, like auditor.example/1")
    witness.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="KEY",
        help="key of a log, as `checkpoint --log-key` prints it",
    )
    witness.add_argument("--listen", metavar="HOST:PORT", help="answer POST /add-checkpoint there")
    witness.add_argument("request", type=Path, nargs="?", help="or answer this one request; - for standard input")
    witness.set_defaults(command=_witness)

    packing = commands.add_parser("pack", parents=shared, help="write an evidence pack, to be checked offline")
    packing.add_argument("--name", help="name of the cluster, and of its log")
    packing.add_argument("--gateway", action="append", required=True, metavar="MEMBER.GATEWAY")
    packing.add_argument("--from", dest="from_ms", type=_time, required=True, metavar="UTC", help="ISO 8601")
    packing.add_argument(
        "--to", dest="to_ms", type=_time, required=True, metavar="UTC", help="ISO 8601, not included"
    )
    packing.add_argument("--lot", metavar="CODE", help="with the records of this lot, and the points where it was")
    packing.add_argument(
        "--point", action="append", default=[], metavar="MEMBER.GATEWAY/POINT", help="with this point"
    )
    packing.add_argument("--witness-key", action="append", default=[], metavar="KEY", help="of outside witnesses")
    packing.add_argument("out", type=Path, metavar="OUT.zip")
    packing.set_defaults(command=_pack)

    checking = commands.add_parser("verify-pack", help="check an evidence pack; needs no store")
    checking.add_argument("pack", type=Path)
    checking.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    checking.add_argument(
        "--key", type=Path, action="append", default=[], help="a gateway's key that you trust (PEM)"
    )
    checking.add_argument("--cluster-key", type=Path, action="append", default=[], help="the cluster's key (PEM)")
    checking.add_argument("--witness-key", action="append", default=[], metavar="KEY", help="of a witness")
    checking.set_defaults(command=_verify_pack)


def add_to_verify(verify: Parser) -> None:
    """What ``aurora-cluster verify`` takes for checkpoints."""
    verify.add_argument("--name", help="name of the cluster, and of its log")
    verify.add_argument(
        "--checkpoints",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="compute the log anew, and compare it with these checkpoints, which were kept elsewhere",
    )
    verify.add_argument("--witness-key", action="append", default=[], metavar="KEY", help="of outside witnesses")


def verify_log(settings: Settings, files: Sequence[Path], witness_keys: Sequence[str]) -> int:
    """Print what is not as the checkpoints say; returns how many findings there are."""
    given = [Given(str(path), _read(path)) for path in files]
    witnesses = [NoteKey.from_vkey(text) for text in witness_keys]

    async def check() -> int:
        wrong = 0
        key = cluster_signer(settings.data_dir).public
        async with opened(settings, read_only=True) as database:
            async for found in verify_checkpoints(
                database, origin=settings.name, key=key, given=given, witnesses=witnesses
            ):
                if isinstance(found, Recomputed):
                    print(
                        f"log: {found.leaves} leaves, compared with {found.stored} checkpoints stored and "
                        f"{found.given} given, {found.said} statements of gateways, "
                        f"{found.cosignatures} cosignatures"
                    )
                else:
                    wrong += 1
                    print(f"! {found}")
        return wrong

    return asyncio.run(check())


def _checkpoint(settings: Settings, arguments: argparse.Namespace) -> int:
    from gateway.cluster.proof.cosigned import collect, lines_of
    from gateway.cluster.proof.log import checkpoint
    from gateway.cluster.proof.submit import submit

    signer = cluster_signer(settings.data_dir)
    if arguments.log_key:
        print(log_key(settings.name, signer.public).vkey())
        return 0
    if len(arguments.witness) != len(arguments.witness_key):
        raise OperatorError("each --witness needs its --witness-key", "name the key that the witness has printed")
    keys = [NoteKey.from_vkey(text) for text in arguments.witness_key]

    async def make() -> str | None:
        async with opened(settings) as database:
            stored = await checkpoint(database, signer, wall_ms(), origin=settings.name)
            if stored is None:
                return None
            for url, key in zip(arguments.witness, keys, strict=True):
                await submit(database, url, key)
            await collect(database)
            async with database.transaction(write=False) as work:
                return stored.note + "".join(str(line) for line in await lines_of(work, stored.size))

    note = asyncio.run(make())
    print(note or "no gateway has delivered anything yet", end="" if note else "\n")
    return 0 if note else 1


def _notary(settings: Settings, _arguments: argparse.Namespace) -> int:
    from gateway.cluster.proof.notary import Notary

    endpoint = settings.broker
    if endpoint.client == "aurora-receiver":
        # The file names the receiver's; a client of the same name would throw it out.
        endpoint = replace(endpoint, client=NOTARY)

    async def run() -> None:
        async with opened(settings, patient=True) as database:
            signer = cluster_signer(settings.data_dir)
            await Notary(endpoint, database, signer, origin=settings.name, utc_ms=wall_ms).run()

    asyncio.run(until_signal(run()))
    return 0


def _witness(settings: Settings, arguments: argparse.Namespace) -> int:
    from gateway.cluster.proof.witness import Bench

    signer = cluster_signer(settings.data_dir)
    logs = [NoteKey.from_vkey(text) for text in arguments.log]
    place = _place(arguments.listen) if arguments.listen else None

    async def answer() -> int:
        async with opened(settings, patient=place is not None) as database:
            bench = Bench(database, arguments.witness_name, signer, logs)
            if place is not None:
                print(bench.key.vkey(), flush=True)
                await _listen(bench, *place)
                return 0
            if arguments.request is None:
                print(bench.key.vkey())
                return 0
            given = await bench.add_checkpoint(_read(arguments.request), wall_ms())
            print(given.body.decode(), end="")
            return 0 if given.status == 200 else 1

    if arguments.listen:
        asyncio.run(until_signal(answer()))
        return 0
    return asyncio.run(answer())


def _place(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal():
        raise OperatorError(f"{where!r} is no place to listen", "write HOST:PORT")
    return host, int(port)


async def _listen(bench: "Bench", host: str, port: int) -> None:
    import uvicorn

    from gateway.cluster.proof.witness import application

    config = uvicorn.Config(application(bench, wall_ms), host=host, port=port, lifespan="off", log_config=None)
    await uvicorn.Server(config).serve()


def _pack(settings: Settings, arguments: argparse.Namespace) -> int:
    from gateway.cluster.proof.cosigned import collect
    from gateway.cluster.proof.pack import Wanted, build_pack
    from gateway.seal.packfile import pack_bytes

    points: dict[str, list[str]] = {}
    for text in arguments.point:
        client, slash, point = text.partition("/")
        if not slash or client not in arguments.gateway:
            raise OperatorError(f"{text} is no point of a gateway named here", "write MEMBER.GATEWAY/POINT")
        points.setdefault(client, []).append(point)
    wanted = Wanted(
        clients=arguments.gateway,
        from_ms=arguments.from_ms,
        to_ms=arguments.to_ms,
        lot=arguments.lot,
        points=points,
        witnesses=[NoteKey.from_vkey(text) for text in arguments.witness_key],
    )

    async def build() -> dict[str, bytes]:
        async with opened(settings) as database:
            await collect(database)
            async with database.transaction(write=False) as work:
                signer = cluster_signer(settings.data_dir)
                return await build_pack(work, signer, wanted, origin=settings.name, now_ms=wall_ms())

    files = asyncio.run(build())
    try:
        arguments.out.write_bytes(pack_bytes(files))
    except OSError as error:
        raise OperatorError(
            f"{arguments.out} cannot be written ({error.strerror})", "choose another place"
        ) from error
    print(f"{arguments.out}: {len(files)} files; check it with: aurora-gateway verify {arguments.out}")
    return 0


def _verify_pack(_settings: Settings, arguments: argparse.Namespace) -> int:
    from gateway.seal.pack import verify_pack
    from gateway.seal.packfile import read_pack
    from gateway.seal.packwords import pack_words

    report = verify_pack(
        read_pack(arguments.pack),
        gateway_keys=[PublicKey.from_pem(_read(path)) for path in arguments.key],
        cluster_keys=[PublicKey.from_pem(_read(path)) for path in arguments.cluster_key],
        witness_keys=[NoteKey.from_vkey(text) for text in arguments.witness_key],
    )
    for line in pack_words(report):
        print(line)
    return 0 if report.ok else 1


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read ({error.strerror})", "see its name and mode") from error


def _time(text: str) -> int:
    """Unix milliseconds of an ISO 8601 text; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-11-01 or 2026-11-01T06:00Z") from error
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
