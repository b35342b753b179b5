"""What a verification of an evidence pack found, in words for a terminal."""

from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.seal.certificate import Certificate
from gateway.seal.pack import PackReport

__all__ = ["pack_words"]


def pack_words(report: PackReport) -> Iterator[str]:
    """Line by line: findings, what is proven, what it is worth."""
    yield from (str(finding) for finding in report.findings)
    for stream in report.streams:
        yield f"{stream.stream}: {stream.count} batches with a good signature, {stream.first} to {stream.last}"
    for iss, event in report.lots:
        data = event.data
        yield f"lot {data.get('lot')}: {data.get('direction')} {data.get('point')}, recorded by {iss}"
    for one in report.statements:
        why = f": {one.why}" if one.why else ""
        yield f"key {one.key.hex()[:16]} of {one.sub}: {one.what} at {_utc(one.at_ms)} by {one.by}{why}"
    for certificate in report.certificates:
        yield from _account(certificate)
    if report.checkpoint is not None:
        known = ", ".join(report.witnesses) or "nobody whose key is here"
        yield f"checkpoint of {report.checkpoint.size} leaves of {report.checkpoint.origin}, cosigned by {known}"
    yield "the pack is whole" if report.ok else "the pack is NOT whole"


def _account(certificate: Certificate) -> Iterator[str]:
    figures = certificate.account
    yield (
        f"{certificate.sub} ({figures['device']}.{figures['channel']}), "
        f"{_utc(figures['from_ms'])} to {_utc(figures['to_ms'])}: {figures['due']} due, "
        f"{figures['good']} good, {figures['uncertain']} uncertain, {figures['bad']} bad, "
        f"{figures['missed']} missed ({figures['backfilled']} of them read later), {figures['untimed']} untimed"
    )
    for begins, ends, slots, cause in figures["gaps"]:
        count = "" if slots is None else f" ({slots} slots)"
        yield f"  gap {_utc(begins)} to {_utc(ends)}{count}: {cause}"


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
