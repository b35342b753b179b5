"""The command `aurora-gateway`. Each command imports what it needs when it runs: `check` must not wait for MQTT."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from firmware_interfaces.errors import FirmwareError
from gateway import __version__
from gateway.errors import AuroraError, ConfigError

__all__ = ["main"]

Command = Callable[[argparse.Namespace], int]
Commands = Any
"""What `argparse.ArgumentParser.add_subparsers` returns; argparse has no public name for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 found wrong, 2 could not be done."""
    arguments = _parser().parse_args(_words_first(sys.argv[1:] if argv is None else argv))
    command: Command = arguments.command
    try:
        return command(arguments)
    except ConfigError as error:
        for problem in error.problems:
            print(f"{error.source}: {problem}", file=sys.stderr)
        return 2
    except (AuroraError, FirmwareError) as error:
        print(f"aurora-gateway: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _words_first(argv: Sequence[str]) -> list[str]:
    """argparse takes words that may be left out before the first option only; of `calculate` the file comes
    last."""
    if argv[:1] != ["calculate"]:
        return list(argv)
    words: list[str] = []
    options: list[str] = []
    rest = iter(argv[1:])
    for word in rest:
        if word in {"--set", "--at", "--input"}:
            options += [word, *islice(rest, 1)]
        else:
            (options if word.startswith("-") and word != "-" else words).append(word)
    return ["calculate", *words, *options]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aurora-gateway", description="Edge gateway for food-safety monitoring.")
    parser.add_argument("--version", action="version", version=f"aurora-gateway {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    _add_running(commands)
    _add_site_tools(commands)
    _add_radio_tools(commands)
    _add_record_tools(commands)
    _add_food_tools(commands)
    _add_calculate(commands)
    _add_plugins(commands)
    from gateway.commands.doctor import add_doctor_command
    from gateway.commands.install import add_install_command
    from gateway.commands.radio_reset import add_radio_reset_command
    from gateway.commands.setup import add_setup_command

    add_doctor_command(commands)
    add_install_command(commands)
    add_radio_reset_command(commands)
    add_setup_command(commands)
    return parser


def _add_running(commands: Commands) -> None:
    run = commands.add_parser("run", help="the daemon: poll, judge, store, deliver")
    run.add_argument("site", type=Path, help="the site file")
    run.add_argument("--log", default="info", choices=["debug", "info", "warning", "error"], help="log level")
    run.add_argument("--person", help="who changed the site file since the last run; goes on record")
    run.add_argument("--reason", help="why it was changed; goes on record")
    run.set_defaults(command=_run)
    from gateway.commands.change import add_change_commands

    add_change_commands(commands)

    demo = commands.add_parser("demo", help="a simulated plant, the gateway and a cluster receiver on this machine")
    demo.add_argument("--seconds", type=seconds, help="end after this long, with a summary (default: until Ctrl-C)")
    demo.add_argument("--dir", type=Path, default=Path(".demo"), help="where its files go (emptied first)")
    demo.add_argument("--port", type=port_number, default=8080, help="status page (0: any free port)")
    demo.add_argument("--kill-at", type=seconds, default=50.0, help="seconds until kill -9 and restart")
    demo.add_argument("--embedded-broker", action="store_true", help="do not use Mosquitto even if it is there")
    demo.set_defaults(command=_demo)


def _add_site_tools(commands: Commands) -> None:
    check = commands.add_parser("check", help="name every mistake in a site file; needs no hardware, no network")
    check.add_argument("site", type=Path, nargs="?", help="the site file")
    check.add_argument("--sample", action="store_true", help="print a commented sample instead")
    check.set_defaults(command=_check)

    read = commands.add_parser("read", help="poll one device once: raw registers beside values")
    where = read.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", metavar="HOST[:PORT]", help="Modbus TCP")
    where.add_argument("--rtu-over-tcp", metavar="HOST:PORT", help="RTU frames through a converter")
    where.add_argument("--serial", metavar="DEVICE", help="a serial port: RTU, or what the model speaks")
    from gateway.commands.read_options import add_wired_reads

    add_wired_reads(where, read)
    read.add_argument("--model", help="a model's name, or the path of a model file")
    read.add_argument("--unit", type=int, default=1, help="unit id, 1 to 247")
    read.add_argument("--address", help="an M-Bus meter by its number instead of --unit")
    read.add_argument("--baud", type=int, help="serial line; default: the model's")
    read.add_argument("--parity", choices=["N", "E", "O"], help="serial line; default: the model's")
    read.add_argument("--stop-bits", type=int, choices=[1, 2], help="serial line; default: the model's")
    read.add_argument("--timeout", type=seconds, default=1.0, help="seconds")
    read.set_defaults(command=_read)

    profiles = commands.add_parser("profiles", help="the rules that a point can be given, with their legal source")
    profiles.add_argument(
        "name", nargs="?", metavar="PROFILE", help="print one whole; default: all in one line each"
    )
    profiles.set_defaults(command=_profiles)

    models = commands.add_parser("models", help="device models and their own test cases")
    models.add_argument(
        "names", nargs="*", metavar="MODEL", help="names or files; default: all that come with the gateway"
    )
    models.set_defaults(command=_models)


def _add_radio_tools(commands: Commands) -> None:
    decode = commands.add_parser("decode", help="what a captured advertisement says, or why it says nothing")
    kinds = decode.add_subparsers(metavar="KIND", required=True)
    ble = kinds.add_parser("ble", help="a Bluetooth LE advertisement, as JSON")
    ble.add_argument("--manufacturer", action="append", default=[], metavar="ID=HEX", help="0x0499=0512FC53...")
    ble.add_argument("--service", action="append", default=[], metavar="UUID=HEX", help="FCD2=4002CA09")
    ble.add_argument("--raw", metavar="HEX", help="instead: the whole advertising data")
    ble.add_argument("--address", help="the sender's, where the data is encrypted or says it: CB:B8:33:4C:88:4F")
    ble.add_argument("--name", help="the name that it advertises")
    ble.add_argument("--key", metavar="HEX", help="the sensor's key, 32 digits")
    ble.set_defaults(command=_decode_ble)

    scan = commands.add_parser("scan", help="which sensors are in the air, with the lines for the site file")
    kinds = scan.add_subparsers(metavar="KIND", required=True)
    air = kinds.add_parser("ble", help="Bluetooth LE sensors")
    air.add_argument("--seconds", type=seconds, default=15.0, help="how long to listen (default: 15)")
    air.add_argument("--adapter", help="hci0, hci1 ...; default: the first with power")
    air.add_argument("--active", action="store_true", help="ask senders for their scan response as well")
    air.add_argument("--no-connect", action="store_true", help="do not ask sensors that have to be asked")
    air.add_argument("--json", action="store_true", help="all of it as JSON")
    air.set_defaults(command=_scan_ble)
    from gateway.commands.scan_options import add_wired_scans

    add_wired_scans(kinds, seconds)


def _add_record_tools(commands: Commands) -> None:
    verify = commands.add_parser("verify", help="prove batches offline, with the public keys alone")
    verify.add_argument(
        "paths", nargs="+", type=Path, help="files or folders: batches, receipts, public keys (PEM); or a pack.zip"
    )
    verify.add_argument(
        "--key", type=Path, action="append", default=[], help="a gateway's public key that you trust (PEM)"
    )
    verify.add_argument(
        "--cluster-key", type=Path, action="append", default=[], help="the cluster's public key (PEM)"
    )
    verify.add_argument("--json", action="store_true", help="findings as JSON lines")
    verify.set_defaults(command=_verify)

    export = commands.add_parser("export", help="what the journal holds, in an open format")
    export.add_argument("site", type=Path, help="the site file")
    export.add_argument("--format", required=True, choices=["csv", "jsonl", "senml", "sqlite", "epcis", "batches"])
    export.add_argument("--out", type=Path, help="file (folder for batches); default: standard output")
    export.add_argument("--since", metavar="UTC", help="ISO 8601, e.g. 2026-11-01 or 2026-11-01T06:00")
    export.add_argument("--until", metavar="UTC", help="ISO 8601")
    export.add_argument("--device", action="append", default=[], help="only this device (may be repeated)")
    export.add_argument("--interval", type=duration_s, default=3600.0, help="epcis: what an event sums up; 1h")
    export.add_argument(
        "--place", action="append", default=[], metavar="POINT=URI", help="epcis: name of a point, a GLN as a link"
    )
    export.set_defaults(command=_export)

    keys = commands.add_parser("keys", help="the gateway's signing key")
    keys.add_argument("site", type=Path, help="the site file")
    keys.add_argument("action", nargs="?", default="show", choices=["show", "export", "rotate"])
    keys.set_defaults(command=_keys)


def _add_food_tools(commands: Commands) -> None:
    notify = commands.add_parser("notify", help="the outputs of the running gateway: how they do, and a test")
    notify.add_argument("site", type=Path, help="the site file")
    notify.add_argument("action", choices=["list", "test"])
    notify.add_argument("output", nargs="?", help="test: the output's id")
    notify.add_argument("--to", action="append", default=[], help="test: only this recipient (may be repeated)")
    notify.add_argument("--person", default="", help="test: who tries it; goes on record")
    notify.add_argument("--json", action="store_true", help="the answer as JSON")
    notify.set_defaults(command=_notify)
    from gateway.commands.alarms import add_alarms_command
    from gateway.commands.people import add_people_command
    from gateway.commands.record_options import add_record_command
    from gateway.commands.write import add_write_command

    add_record_command(commands, _site)
    add_people_command(commands, _site)
    add_write_command(commands, _site)
    add_alarms_command(commands, _site)
    replay = commands.add_parser("replay", help="judge past data by the code that judges live; print what changes")
    replay.add_argument(
        "source", type=Path, help="a site file (its journal), or a CSV file of time, channel, value"
    )
    replay.add_argument("--profile", help="with a CSV file: the profile of its channels (see `profiles`)")
    replay.add_argument("--site", type=Path, help="with a CSV file: the site whose points its channels feed")
    replay.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[CHANNEL:]KEY=VALUE",
        help="change a rule, e.g. high-alert.limit=5 or freezer:high-critical.samples=4 (may be repeated)",
    )
    replay.add_argument(
        "--time-format", help='of the CSV file, e.g. "%%d/%%m/%%y %%H:%%M"; default: ISO 8601 or seconds'
    )
    replay.add_argument("--time-zone", help="of times without an offset; default: UTC")
    replay.add_argument("--delimiter", default=",", help="of the CSV file; default: a comma")
    replay.add_argument("--limits-only", action="store_true", help="limits and alarms alone, no other judges")
    replay.add_argument("--chart", type=Path, metavar="FILE.svg", help="also draw values, limits and alarms")
    replay.set_defaults(command=_replay)
    report = commands.add_parser("report", help="HACCP records, lot passports, the calibration register, for print")
    report.add_argument("site", type=Path, help="the site file")
    report.add_argument("kind", choices=["day", "month", "lot", "calibration"])
    report.add_argument("--point", metavar="ID", help="day, month: the point")
    report.add_argument("--date", help="day: 2026-11-24; month: 2026-11")
    report.add_argument("--lot", help="lot: its name as it was recorded")
    report.add_argument("--format", default="html", help="html, pdf, json, csv, or a plugin's: see `plugins`")
    report.add_argument("--out", type=Path, help="file; default: standard output")
    report.add_argument("--lang", choices=["en", "fr", "nl", "pl", "es"], help="default: the site file's")
    report.add_argument(
        "--zone", metavar="NAME", help="IANA time zone, e.g. Europe/Paris; default: the site file's"
    )
    report.add_argument("--as-of", metavar="TIME", help="report as if made then (ISO 8601, UTC without offset)")
    report.add_argument(
        "--key", type=Path, action="append", default=[], help="a gateway's public key that you trust (PEM)"
    )
    report.set_defaults(command=_report)


def _add_plugins(commands: Commands) -> None:
    plugins = commands.add_parser("plugins", help="every plugin there is: kind, origin, whether it works")
    plugins.add_argument("site", type=Path, nargs="?", help="a site file: also how its gateway does with them")
    plugins.add_argument("--json", action="store_true", help="all of it as JSON")
    plugins.set_defaults(command=_plugins)


def _add_calculate(commands: Commands) -> None:
    calculate = commands.add_parser("calculate", help="a process calculation over a CSV file, or at one value")
    calculate.add_argument("name", nargs="?", metavar="NAME", help="the calculation; --list names them")
    calculate.add_argument(
        "file", nargs="?", metavar="FILE.csv", help="columns time,value (and further inputs); - is standard input"
    )
    calculate.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a parameter (repeat)")
    calculate.add_argument(
        "--at",
        metavar="VALUE",
        type=float,
        action="append",
        default=[],
        help="formula or table at a value (repeat)",
    )
    calculate.add_argument(
        "--input",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a further input beside --at (rh, flow ...)",
    )
    calculate.add_argument("--trace", action="store_true", help="one JSON line a row, the last of the finished run")
    calculate.add_argument(
        "--list", action="store_true", help="calculations, parameters, published tables, sources"
    )
    calculate.set_defaults(command=_calculate)


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a length of time in seconds")
    return value


def duration_s(text: str) -> float:
    from gateway.config.quantities import Wrong, parse_duration_s

    try:
        return parse_duration_s(text)
    except Wrong as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


def port_number(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port; ports are 0 to 65535")
    return value


def _run(arguments: argparse.Namespace) -> int:
    from gateway.config.aside import load_site_aside

    site = load_site_aside(arguments.site)
    from gateway.app import run_site

    return run_site(site(), arguments.log, person=arguments.person, reason=arguments.reason)


def _demo(arguments: argparse.Namespace) -> int:
    from gateway.demo.run import run_demo

    return run_demo(
        arguments.dir,
        seconds=arguments.seconds,
        port=arguments.port,
        embedded_broker=arguments.embedded_broker,
        kill_at=arguments.kill_at,
    )


def _check(arguments: argparse.Namespace) -> int:
    from gateway.config import check_file, explain, sample_site

    if arguments.sample:
        print(sample_site(), end="")
        return 0
    if arguments.site is None:
        print("aurora-gateway check: name a site file, or --sample", file=sys.stderr)
        return 2
    site, problems = check_file(arguments.site)
    for problem in problems:
        print(f"{arguments.site}: {problem}", file=sys.stderr)
    if problems or site is None:
        print(f"{len(problems)} problem{'s' if len(problems) != 1 else ''}", file=sys.stderr)
        return 1
    print(explain(site))
    return 0


def _read(arguments: argparse.Namespace) -> int:
    from gateway.commands.read import read_once

    return read_once(arguments)


def _models(arguments: argparse.Namespace) -> int:
    from gateway.commands.models import models_command

    return models_command(arguments.names)


def _profiles(arguments: argparse.Namespace) -> int:
    from gateway.commands.profiles import profiles_command

    return profiles_command(arguments.name)


def _replay(arguments: argparse.Namespace) -> int:
    from gateway.commands.replay import replay_command

    return replay_command(arguments)


def _decode_ble(arguments: argparse.Namespace) -> int:
    from gateway.commands.decode import decode_ble

    return decode_ble(arguments)


def _scan_ble(arguments: argparse.Namespace) -> int:
    from gateway.commands.scan import scan_ble

    return scan_ble(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    from gateway.commands.verify import verify_paths

    return verify_paths(
        arguments.paths, keys=arguments.key, cluster_keys=arguments.cluster_key, as_json=arguments.json
    )


def _export(arguments: argparse.Namespace) -> int:
    from gateway.config import load_site
    from gateway.export import export_site

    return export_site(load_site(arguments.site), arguments)


def _notify(arguments: argparse.Namespace) -> int:
    from gateway.commands.outputs import notify_command

    return notify_command(_site(arguments.site), arguments)


def _plugins(arguments: argparse.Namespace) -> int:
    from gateway.commands.plugins import plugins_command

    return plugins_command(arguments)


def _site(path: Path) -> Any:
    from gateway.config import load_site

    return load_site(path)


def _calculate(arguments: argparse.Namespace) -> int:
    from gateway.commands.calculate import calculate_command

    return calculate_command(arguments)


def _report(arguments: argparse.Namespace) -> int:
    from gateway.commands.report import report_site
    from gateway.config import load_site

    return report_site(load_site(arguments.site), arguments)


def _keys(arguments: argparse.Namespace) -> int:
    from gateway.commands.keys import keys_command
    from gateway.config import load_site

    return keys_command(load_site(arguments.site), arguments.action)


if __name__ == "__main__":
    sys.exit(main())
