"""`aurora-gateway verify`: evidence proven offline, or its faults named one by one."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.errors import AuroraError
from gateway.identity import public_keys
from gateway.seal.cose import PublicKey
from gateway.seal.evidence import files_of
from gateway.seal.findings import Report
from gateway.seal.verify import verify_files

__all__ = ["verify_paths"]


def verify_paths(
    paths: Sequence[Path], *, keys: Sequence[Path] = (), cluster_keys: Sequence[Path] = (), as_json: bool = False
) -> int:
    """Print findings and a line per stream; exit status 0 when the record is whole, 1 when it is not.

    ``keys`` and ``cluster_keys`` are PEM files from a source that is trusted; without them the keys that lie with
    the evidence are used, and the report says so.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise AuroraError(f"there is no {', '.join(missing)}")
    packs = [path for path in paths if path.suffix == ".zip"]
    if packs:
        if len(paths) > 1:
            raise AuroraError("an evidence pack is verified by itself; name it alone")
        return _verify_pack(packs[0], public_keys(keys), public_keys(cluster_keys), as_json=as_json)
    report = verify_files(
        list(_files(paths)), gateway_keys=public_keys(keys), cluster_keys=public_keys(cluster_keys)
    )
    if as_json:
        _print_json(report)
    else:
        _print_words(report, trusted=bool(keys))
    return 0 if report.ok else 1


def _verify_pack(path: Path, keys: Sequence[PublicKey], cluster_keys: Sequence[PublicKey], *, as_json: bool) -> int:
    """An evidence pack of a cluster (``aurora-cluster pack``)."""
    from gateway.seal.pack import verify_pack
    from gateway.seal.packfile import read_pack
    from gateway.seal.packwords import pack_words

    report = verify_pack(read_pack(path), gateway_keys=keys, cluster_keys=cluster_keys)
    if as_json:
        _print_json(report)
    else:
        for line in pack_words(report):
            print(line)
    return 0 if report.ok else 1


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from files_of(path)
        else:
            yield path


def _print_json(report: Report) -> None:
    for finding in report.findings:
        print(json.dumps({"finding": finding._asdict()}))
    for stream in report.streams:
        print(json.dumps({"stream": dataclasses.asdict(stream)}))
    print(json.dumps({"ok": report.ok}))


def _print_words(report: Report, *, trusted: bool) -> None:
    for finding in report.findings:
        print(finding)
    for stream in report.streams:
        covered = "no receipt" if stream.covered is None else f"receipted up to {stream.covered}"
        what = "values" if stream.stream.endswith(":scan") else "events"
        print(
            f"{stream.iss} {stream.stream}: batches {stream.first} to {stream.last}, {stream.count} with a good "
            f"signature, {stream.values} {what}, {covered}"
            + (f", {stream.backfilled} missed slots backfilled" if stream.backfilled else "")
        )
    if not report.streams:
        print("nothing to verify: no batch was found")
    elif report.ok:
        print(
            "the record is whole"
            + ("" if trusted else " (by the keys that lie with it; name trusted ones with --key)")
        )
        for stream in report.streams:
            if stream.covered is None or stream.covered < stream.last:
                name = stream.stream.rsplit(":", 1)[-1]
                receipt = "is not here" if stream.covered is None else f"ends with {stream.covered}"
                print(
                    f"nothing vouches that {name} batch {stream.last} is the last: "
                    f"the cluster's newest receipt {receipt}"
                )
    else:
        print("the record is NOT whole")
