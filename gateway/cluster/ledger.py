"""The ledger: per gateway and stream what is there, what is missing, and what is wrong."""

from collections.abc import Iterable
from typing import Any

from gateway.cluster.database import Database
from gateway.cluster.nouns import STREAMS, Enrolled, Fork, KeyTerm, StreamState
from gateway.cluster.store import Store
from gateway.model import ClockState

CLOCK_AHEAD_MS = 1000
"""A gateway's clock that is ahead by more than this beyond its own claim is named."""
MAX_RANGES = 20


async def ledger(database: Database, now_ms: int) -> dict[str, Any]:
    """Everything as plain values (JSON): ``gateways`` and ``rejected``. Times are Unix milliseconds."""
    async with database.transaction(write=False) as work:
        store = Store(work)
        enrolled = await store.gateways()
        numbers = [gateway.id for gateway in enrolled]
        states, terms = await store.states(numbers), await store.terms_of(numbers)
        forks = {number: await store.forks(number) for number in await store.forked()}
        held = {
            (number, stream): await store.held(number, stream, state.size)
            for number, both in states.items()
            for stream, state in both.items()
            if state.held
        }
        rejected = await store.rejected()
    refused: dict[str, list[dict[str, Any]]] = {}
    for row in rejected:
        refused.setdefault(row.client, []).append(row._asdict())
    gateways = []
    for gateway in enrolled:
        streams = {
            stream: _stream(states[gateway.id][stream], held.get((gateway.id, stream), [])) for stream in STREAMS
        }
        known = refused.pop(gateway.identity.client, [])
        said = _gateway(gateway, terms.get(gateway.id, []), forks.get(gateway.id, []))
        gateways.append({**said, "streams": streams, "rejected": known})
    return {
        "at_ms": now_ms,
        "gateways": gateways,
        "rejected": [row for rows in refused.values() for row in rows],
    }


def missing_ranges(size: int, held: Iterable[int], announced: int) -> list[tuple[int, int]]:
    """First and last of each run of sequences that are known to exist and are not there."""
    ranges = []
    expected = size
    for seq in [*held, announced]:
        if seq > expected:
            ranges.append((expected, seq - 1))
        expected = max(expected, seq + 1)
    return ranges


def _gateway(enrolled: Enrolled, terms: list[KeyTerm], forks: list[Fork]) -> dict[str, Any]:
    identity = enrolled.identity
    in_force = [term for term in terms if None in term.end.values()]
    return {
        "member": identity.member,
        "site": identity.site,
        "gateway": identity.gateway,
        "client": identity.client,
        "enrolled_ms": enrolled.enrolled_ms,
        "revoked_ms": enrolled.revoked_ms,
        "key": in_force[-1].public.thumbprint.hex() if in_force else None,
        "keys": len(terms),
        "forks": [
            {"stream": fork.stream, "seq": fork.seq, "why": fork.why, "at_ms": fork.received_ms} for fork in forks
        ],
    }


def _stream(state: StreamState, held: list[int]) -> dict[str, Any]:
    missing = missing_ranges(state.size, held, state.announced)
    return {
        "first": 0 if state.size else None,
        "last": held[-1] if held else state.size - 1 if state.size else None,
        "size": state.size,
        "root": state.frontier.root().hex(),
        "held": state.held,
        "missing": missing[:MAX_RANGES],
        "missing_count": sum(last - first + 1 for first, last in missing),
        "values": state.values,
        "bytes": state.volume,
        "duplicates": state.duplicates,
        "deleted": state.deleted,
        "unreadable": state.unreadable,
        "late": state.late,
        "late_max_ms": state.late_max_ms,
        "clock": None if state.clock_state is None else ClockState(state.clock_state).name.lower(),
        "clock_error_ms": state.clock_error_ms,
        "clock_ahead_ms": state.clock_ahead_ms,
        "sealed_ms": state.sealed_ms,
        "received_ms": state.received_ms,
        "receipt_ms": state.receipt_ms,
    }


def as_text(content: dict[str, Any]) -> str:
    """The ledger for a person: one block per gateway, what is wrong marked with ``!``."""
    lines = []
    for gateway in content["gateways"]:
        key = gateway["key"][:16] if gateway["key"] else "none"
        lines.append(f"{gateway['client']}  site {gateway['site']}  key {key}")
        if gateway["revoked_ms"] is not None:
            lines.append(f"  ! shut out {_age(content['at_ms'] - gateway['revoked_ms'])} ago")
        for name, stream in gateway["streams"].items():
            lines.extend(_stream_lines(name, stream, content["at_ms"]))
        lines += [f"  ! fork: {fork['stream']} {fork['seq']}: {fork['why']}" for fork in gateway["forks"]]
        lines += [_rejected_line(row) for row in gateway["rejected"]]
    lines += [_rejected_line(row) for row in content["rejected"]]
    return "\n".join(lines or ["no gateway is enrolled"])


def _stream_lines(name: str, stream: dict[str, Any], now_ms: int) -> list[str]:
    if stream["last"] is None and not stream["missing_count"]:
        return [f"  {name}: nothing received"]
    age = "never" if stream["receipt_ms"] is None else _age(now_ms - stream["receipt_ms"])
    values = f", {stream['values']} values" if name == "scan" else ""
    lines = [f"  {name}: {stream['size']} batches without a hole{values}, last receipt {age}"]
    if stream["missing_count"]:
        ranges = ", ".join(f"{first}..{last}" if first < last else str(first) for first, last in stream["missing"])
        lines.append(f"  ! {name}: {stream['missing_count']} missing: {ranges}")
    if stream["deleted"]:
        lines.append(f"  ! {name}: {stream['deleted']} deleted by the gateway (holes proven by their leaves)")
    if stream["unreadable"]:
        lines.append(f"  ! {name}: {stream['unreadable']} batches or events that cannot be read")
    if stream["late"]:
        lines.append(f"  {name}: {stream['late']} came late, at most {_age(stream['late_max_ms'])}")
    if stream["clock"] not in (None, "trusted"):
        lines.append(f"  ! {name}: clock {stream['clock']}")
    if stream["clock_ahead_ms"] > CLOCK_AHEAD_MS:
        lines.append(f"  ! {name}: clock is {_age(stream['clock_ahead_ms'])} ahead of the cluster's")
    return lines


def _rejected_line(row: dict[str, Any]) -> str:
    place = f"{row['client']} ({row['stream']})"
    return f"  ! rejected from {place}: {row['reason']} x {row['times']}; last: {row['what']}"


def _age(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    for limit, unit in ((120.0, "s"), (7200.0, "min"), (172_800.0, "h")):
        if seconds < limit:
            return f"{seconds / {'s': 1, 'min': 60, 'h': 3600}[unit]:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
