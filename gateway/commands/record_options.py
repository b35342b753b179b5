"""The options of `aurora-gateway record`. Light: what runs a command is loaded when it runs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.logbook.entry import KINDS
from gateway.site import Site

__all__ = ["add_record_command"]

LISTED = tuple(kind.partition(".")[2] for kind in (*KINDS, "config.changed"))

Add = Callable[..., argparse.ArgumentParser]
Run = Callable[[Site, argparse.Namespace], int]


def add_record_command(commands: Any, load: Callable[[Path], Site]) -> None:
    """Add the command and its actions to what `argparse.ArgumentParser.add_subparsers` returned."""
    record = commands.add_parser(
        "record", help="calibrations, lots, notes, corrective actions: make them, list them"
    )
    record.add_argument("site", type=Path, help="the site file")
    actions = record.add_subparsers(metavar="ACTION", required=True)

    def add(name: str, run: Run, words: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(name, help=words)
        parser.set_defaults(command=lambda arguments: run(load(arguments.site), arguments))
        return parser

    _add_comparisons(add)
    _add_others(add)
    _add_lists(add)


def _add_comparisons(add: Add) -> None:
    words = "readings beside a reference instrument, with a certificate that holds from now on"
    calibration = add("calibration", _make("record.calibration"), words)
    calibration.add_argument("--certificate", help="number of the certificate")
    calibration.add_argument("--valid-until", metavar="DAY", help="until when it holds, 2027-06-30")
    calibration.add_argument("--laboratory", help="who calibrated")
    verification = add("verification", _make("record.verification"), "readings beside a reference instrument")
    for parser in (calibration, verification):
        parser.add_argument("channel", help="device.channel")
        _comparison_options(parser)
        _common(parser)


def _comparison_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reading",
        action="append",
        type=_reading,
        metavar="reference=R,found=F,left=L",
        help="what the reference showed, and what the gateway showed before and after adjustment (repeat)",
    )
    parser.add_argument("--reference", dest="reference_instrument", help="make and serial number of the reference")
    parser.add_argument("--reference-certificate", help="number of the reference's own certificate")
    parser.add_argument("--reference-valid-until", metavar="DAY", help="until when that one holds")
    parser.add_argument("--environment", help="ambient conditions")
    parser.add_argument("--uncertainty", type=float, help="expanded uncertainty (k = 2) in the channel's unit")
    parser.add_argument("--tolerance", type=float, help="largest error that is accepted; default: the site file's")


def _lot_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--code", help="the scanned line, or the text below the symbol: (01)...(10)...")
    parser.add_argument("--gtin")
    parser.add_argument("--serial")
    parser.add_argument("--sscc")
    parser.add_argument("--quantity", type=float)
    parser.add_argument("--unit", help="of the quantity: KGM, boxes ...")


def _corrective_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--deviation", help="what was found wrong")
    parser.add_argument("--product", help="what became of the food: released, held, destroyed, none concerned ...")
    parser.add_argument("--prevention", help="what is done so that it does not come again")


def _add_others(add: Add) -> None:
    lot = add("lot", _make("record.lot"), "a lot came into a zone or went out")
    lot.add_argument("direction", choices=["in", "out"])
    lot.add_argument("point", help="the zone: a point of the site file")
    lot.add_argument("lot", nargs="?", help="lot number")
    _lot_options(lot)
    _common(lot)
    note = add("note", _make("record.note"), "anything worth keeping")
    note.add_argument("text", help="what you noted")
    note.add_argument("--point")
    note.add_argument("--device")
    note.add_argument("--lot")
    _common(note, text=False)
    corrective = add("corrective", _make("record.corrective"), "a corrective action that belongs to no alarm")
    corrective.add_argument("text", help="what was done")
    corrective.add_argument("--point")
    corrective.add_argument("--device")
    corrective.add_argument("--lot", action="append", dest="lots", help="a lot concerned (repeat)")
    _corrective_options(corrective)
    _common(corrective, text=False)
    _add_supersede(add)


def _add_supersede(add: Add) -> None:
    supersede = add("supersede", _make("record.supersede"), "put a right record in the place of a wrong one")
    supersede.add_argument("supersedes", metavar="RECORD", help="id of the wrong record, R12-3fa2b1")
    supersede.add_argument("--reason", required=True, help="why it does not hold")
    supersede.add_argument("--withdraw", action="store_true", default=None, help="nothing takes its place")
    for name in ("--channel", "--certificate", "--valid-until", "--laboratory", "--point", "--device", "--lot"):
        supersede.add_argument(name)
    supersede.add_argument("--lots", action="append", metavar="LOT", help="a lot of a corrective action (repeat)")
    supersede.add_argument("--direction", choices=["in", "out"])
    _comparison_options(supersede)
    _lot_options(supersede)
    _corrective_options(supersede)
    _common(supersede)


def _add_lists(add: Add) -> None:
    listed = add("list", _run("list"), "what is on record")
    listed.add_argument("--kind", action="append", default=[], choices=LISTED)
    listed.add_argument("--record", help="only this record, with what it supersedes and what superseded it")
    listed.add_argument("--format", default="text", choices=["text", "csv", "json"])
    lots = add("lots", _run("lots"), "which lots are where, or where one has been")
    lots.add_argument("lot", nargs="?", help="a lot number; default: all that are in a zone now")
    history = add("history", _run("history"), "a lot's temperatures, limits passed and gaps, zone by zone (JSON)")
    history.add_argument("lot", help="lot number, or the key as 'record lots' shows it")
    add("register", _run("register"), "the calibration register (JSON)")


def _common(parser: argparse.ArgumentParser, *, text: bool = True) -> None:
    parser.add_argument("--person", required=True, help="who did it: name or initials")
    parser.add_argument("--done", metavar="TIME", help="when, if not now: 2026-11-24T14:05+01:00")
    if text:
        parser.add_argument("--text", help="remarks; what was done about a failure")


def _run(action: str) -> Run:
    def run(site: Site, arguments: argparse.Namespace) -> int:
        from gateway.commands.records import LISTS

        return LISTS[action](site, arguments)

    return run


def _make(do: str) -> Run:
    def run(site: Site, arguments: argparse.Namespace) -> int:
        from gateway.commands.records import make_record

        return make_record(do, site, arguments)

    return run


def _reading(text: str) -> dict[str, float]:
    names = {"reference": "reference", "found": "as_found", "left": "as_left"}
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            if not equals or names[name.strip()] in found:
                raise ValueError
            found[names[name.strip()]] = float(value)
        except (KeyError, ValueError):
            example = "reference=0.0,found=0.4,left=0.1 (decimal points, no blanks)"
            raise argparse.ArgumentTypeError(f"{part!r} is no reading; write {example}") from None
    return found
