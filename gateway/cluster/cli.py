"""``aurora-cluster``: the receiver and its evidence; the other commands stand beside what they are about."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import uvloop

from gateway.clock import wall_ms
from gateway.cluster.audit import Audited, audit
from gateway.cluster.boxes import admit, read_answers, read_box
from gateway.cluster.derive import cli as derive
from gateway.cluster.enrolment import enrol, read_enrolment
from gateway.cluster.fleet import cli as fleet
from gateway.cluster.handon import cli as handon
from gateway.cluster.identity import cli as identity
from gateway.cluster.identity.share import share_group
from gateway.cluster.ledger import as_text, ledger
from gateway.cluster.members import cli as members
from gateway.cluster.opening import beside
from gateway.cluster.proof import cli as proof
from gateway.cluster.receiver import Receiver
from gateway.cluster.register import Register
from gateway.cluster.running import cluster_signer, opened, until_signal
from gateway.cluster.settings import Settings, load_settings
from gateway.errors import AuroraError
from gateway.garbage import settle

SHARED_PATIENCE_MS = 2000
"""Several receivers share a stream: a hole is asked for only when the others cannot have its batch any more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit status is 0, 1 (something is wrong) or 2 (cannot work)."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )
    try:
        settings = load_settings(arguments.config, vars(arguments))
        return int(arguments.command(settings, arguments))
    except AuroraError as error:
        print(f"aurora-cluster: {error}", file=sys.stderr)
        return 2


def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    signer = cluster_signer(settings.data_dir)
    group = share_group(signer, settings.group) if settings.group else ""

    async def serve() -> None:
        settle()
        helper = beside() if settings.opener else nullcontext()
        async with opened(settings, patient=True) as database, helper as opener:
            patience_ms = SHARED_PATIENCE_MS if settings.group else 0
            register = Register(database, signer, iss=settings.name, patience_ms=patience_ms, opener=opener)
            receiver = Receiver(settings.broker, register, utc_ms=wall_ms, group=group)
            if arguments.metrics:
                from gateway.cluster.metrics import serve_metrics

                serve_metrics(receiver.stats, arguments.metrics)
            await receiver.run()

    uvloop.run(until_signal(serve()))
    return 0


def _enrol(settings: Settings, arguments: argparse.Namespace) -> int:
    source = str(arguments.file)
    try:
        text = sys.stdin.read() if source == "-" else arguments.file.read_text(encoding="utf-8")
    except OSError as error:
        print(f"aurora-cluster: {source}: {error.strerror}", file=sys.stderr)
        return 2
    enrolment = read_enrolment(text, source)

    async def admit_it() -> None:
        async with opened(settings) as database:
            await enrol(database, enrolment, wall_ms())

    asyncio.run(admit_it())
    print(f"{enrolment.identity.client} is enrolled with key {enrolment.public.thumbprint.hex()}")
    return 0


def _setup_file(settings: Settings, arguments: argparse.Namespace) -> int:
    """Admit a new box and write the signed file that sets it up."""
    box, answers = read_box(arguments.box), read_answers(arguments.answers)
    signer = cluster_signer(settings.data_dir)
    given = {"ca.pem": arguments.box_ca, "broker.pem": arguments.box_certificate}
    out = arguments.out / f"aurora-setup-{box.public.thumbprint.hex()[:8]}.cose"

    async def admit_it(files: dict[str, bytes]) -> bytes:
        async with opened(settings) as database:
            return await admit(database, signer, box, answers=answers, files=files, at_ms=wall_ms())

    try:
        files = {name: path.read_bytes() for name, path in given.items() if path is not None}
        out.write_bytes(asyncio.run(admit_it(files)))
    except OSError as error:
        print(f"aurora-cluster: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{answers['member']}.{answers['gateway']} is enrolled with key {box.public.thumbprint.hex()}")
    print(f"written: {out}; on the box: aurora-gateway setup --from STICK --cluster-key FINGERPRINT")
    print(f"fingerprint of this cluster, by another way than the stick: {signer.thumbprint.hex()}")
    return 0


def _keys(settings: Settings, _arguments: argparse.Namespace) -> int:
    print(cluster_signer(settings.data_dir).public.pem().decode(), end="")
    return 0


def _ledger(settings: Settings, arguments: argparse.Namespace) -> int:
    async def ask() -> dict[str, Any]:
        async with opened(settings, read_only=True) as database:
            return await ledger(database, wall_ms())

    content = asyncio.run(ask())
    print(json.dumps(content, indent=2) if arguments.json else as_text(content))
    return 0


def _verify(settings: Settings, arguments: argparse.Namespace) -> int:
    async def check() -> int:
        wrong = 0
        async with opened(settings, read_only=True) as database:
            async for found in audit(database):
                if isinstance(found, Audited):
                    print(f"{found.client} {found.stream}: {found.size} batches, root {found.root.hex()}")
                else:
                    wrong += 1
                    print(f"! {found}")
        return wrong

    wrong = asyncio.run(check())
    if arguments.checkpoints is not None:
        wrong += proof.verify_log(settings, arguments.checkpoints, arguments.witness_key)
    print("everything holds" if not wrong else f"{wrong} findings")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aurora-cluster", description="The cluster's end of Aurora Gateway.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", type=Path, metavar="FILE", help="cluster.toml")
    shared.add_argument("--data", dest="data_dir", type=Path, metavar="DIR", help="folder of store and key")
    shared.add_argument("--store", metavar="WHERE", help="a file, or postgresql://USER@HOST/DATABASE")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", parents=[shared], help="receive, verify, store, answer with receipts")
    serve.add_argument("--name", help="name of the cluster in its receipts")
    serve.add_argument("--group", help="receivers of one group share the work (several receivers on PostgreSQL)")
    serve.add_argument(
        "--opener",
        action="store_true",
        default=None,
        help="check signatures in a process beside: two cores for one",
    )
    serve.add_argument("--metrics", metavar="HOST:PORT", help="serve metrics for Prometheus there")
    serve.add_argument("--host", help="broker")
    serve.add_argument("--port", type=int, help="port of the broker")
    serve.add_argument("--client", help="MQTT client, the common name of the certificate")
    serve.add_argument("--ca", type=Path, metavar="FILE", help="certificate authority of the broker")
    serve.add_argument("--certificate", type=Path, metavar="FILE", help="certificate of the receiver")
    serve.add_argument("--key", type=Path, metavar="FILE", help="its private key")
    serve.set_defaults(command=_serve)

    enrolling = commands.add_parser("enrol", parents=[shared], help="admit a gateway")
    enrolling.add_argument(
        "file", type=Path, help="what `aurora-gateway keys export` printed; - for standard input"
    )
    enrolling.set_defaults(command=_enrol)

    boxes = commands.add_parser("setup-file", parents=[shared], help="admit a new box, and sign what sets it up")
    boxes.add_argument("box", type=Path, help="what `aurora-gateway setup --identify` wrote")
    boxes.add_argument("answers", type=Path, help="TOML: member, site, gateway, broker ...")
    boxes.add_argument(
        "--box-ca", type=Path, metavar="FILE", help="certificate authority of the broker, for the box"
    )
    boxes.add_argument("--box-certificate", type=Path, metavar="FILE", help="the box's own certificate")
    boxes.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="the stick")
    boxes.set_defaults(command=_setup_file)

    keys = commands.add_parser("keys", parents=[shared], help="print the key that gateways check receipts with")
    keys.set_defaults(command=_keys)

    listing = commands.add_parser("ledger", parents=[shared], help="what is there, missing, late, forked, rejected")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(command=_ledger)

    verify = commands.add_parser("verify", parents=[shared], help="verify everything that is stored once more")
    verify.set_defaults(command=_verify)
    proof.add_to_verify(verify)
    for subject in (derive, identity, proof, members, handon, fleet):
        subject.add(commands, [shared])
    return parser


if __name__ == "__main__":
    sys.exit(main())
