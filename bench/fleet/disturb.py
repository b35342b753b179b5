"""Gateways that misbehave: forged, replayed, cloned, foreign and broken messages, each with the name it has to get.

The broker of these runs lets everybody write everything: the worst that a wrong configuration could do.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from bench.fleet.cargo import (
    CHANNELS,
    LAYOUT,
    PERIOD_MS,
    ROWS,
    Gateway,
    Key,
    Shout,
    identity_of,
    make_fleet,
)
from gateway.model import Scan
from gateway.seal.batch import SCAN_TYPE
from gateway.seal.columns import encode_scans

TOPIC = "aurora/v1"
FAR = 100_000
"""A sequence beyond every window."""


@dataclass(slots=True)
class Disturbance:
    """What is sent, and how the cluster has to call it."""

    clients: list[tuple[str, list[Shout]]] = field(default_factory=list)
    rejected: set[tuple[str, str]] = field(default_factory=set)
    """Client of the topic and reason that must be among the rejections."""
    forks: set[tuple[str, str, int]] = field(default_factory=set)
    """Client, stream and sequence that must be among the forks."""
    fork_bodies: set[bytes] = field(default_factory=set)
    """Messages that must be kept as evidence, to the byte."""

    def add(self, name: str, *shouts: Shout) -> None:
        """One more client of the broker."""
        self.clients.append((name, list(shouts)))


def disturb(fleet: Sequence[Gateway], random: Random, start_ms: int) -> Disturbance:
    """Disturbers of six gateways of a fleet, chosen by chance."""
    found = Disturbance()
    victims = random.sample(range(len(fleet)), 6)
    _forge(found, fleet, victims[0], victims[1], random)
    _break(found, fleet, victims[2], random)
    _replay(found, fleet, victims[3])
    _clone(found, fleet, victims[4])
    _run_ahead(found, fleet, victims[5])
    (ghost,) = make_fleet(1, 2, members=1, start_ms=start_ms)
    ghost.identity = identity_of(10_000_000, 1)
    found.add("ghost", *(Shout(f"{TOPIC}/{ghost.client}/scan", body) for body in ghost.bodies["scan"]))
    found.rejected.add((ghost.client, "unknown-gateway"))
    return found


def _forge(found: Disturbance, fleet: Sequence[Gateway], victim: int, other: int, random: Random) -> None:
    """Signatures that are damaged, of another key, and good ones of another gateway."""
    gateway = fleet[victim]
    topic = f"{TOPIC}/{gateway.client}/scan"
    body = gateway.bodies["scan"][1]
    damaged = bytearray(body)
    damaged[-1 - random.randrange(60)] ^= 1 << random.randrange(8)
    stranger = Gateway(gateway.identity, Key.of("a stranger"), gateway.start_ms)
    foreign_key = stranger.sealed("scan", 1, gateway.leaves["scan"][0], _payload(1), SCAN_TYPE)
    found.add(
        "forger",
        Shout(topic, bytes(damaged)),
        Shout(topic, foreign_key),
        Shout(topic, fleet[other].bodies["scan"][1]),
        Shout(f"{TOPIC}/{gateway.client}/event", body),
    )
    found.rejected |= {
        (gateway.client, reason) for reason in ("bad-signature", "unknown-key", "wrong-issuer", "wrong-stream")
    }


def _break(found: Disturbance, fleet: Sequence[Gateway], victim: int, random: Random) -> None:
    """Bytes that are no batch."""
    gateway = fleet[victim]
    topic = f"{TOPIC}/{gateway.client}/scan"
    body = gateway.bodies["scan"][1]
    found.add("noise", Shout(topic, random.randbytes(300)), Shout(topic, body[: len(body) // 2]), Shout(topic, b""))
    found.rejected.add((gateway.client, "not-cose"))


def _replay(found: Disturbance, fleet: Sequence[Gateway], victim: int) -> None:
    """What was recorded on the way, over and over: it changes nothing and is nobody's fault."""
    gateway = fleet[victim]
    bodies = gateway.bodies["scan"][:4]
    found.add("replayer", *(Shout(f"{TOPIC}/{gateway.client}/scan", body, victim, 4) for body in bodies))


def _clone(found: Disturbance, fleet: Sequence[Gateway], victim: int) -> None:
    """A second history with the same key, that parts from the first after two batches."""
    gateway = fleet[victim]
    copy = Gateway(gateway.identity, gateway.key, gateway.start_ms)
    copy.bodies["scan"] = gateway.bodies["scan"][:2]
    copy.leaves["scan"] = gateway.leaves["scan"][:2]
    for number in range(2, 5):
        copy.seal("scan", _payload(number), SCAN_TYPE)
    second = copy.bodies["scan"][2:]
    found.add("clone", *(Shout(f"{TOPIC}/{gateway.client}/scan", body, victim, 5) for body in second))
    found.forks |= {(gateway.client, "scan", seq) for seq in range(2, 5)}
    found.fork_bodies |= set(second)


def _run_ahead(found: Disturbance, fleet: Sequence[Gateway], victim: int) -> None:
    """With the right key: a batch for a place that is still empty and that continues nothing, and one far away."""
    gateway = fleet[victim]
    last = len(gateway.bodies["scan"]) - 1
    ahead = gateway.sealed("scan", last, b"\x01" * 32, _payload(last), SCAN_TYPE)
    far = gateway.sealed("scan", FAR, b"\x02" * 32, _payload(last), SCAN_TYPE)
    topic = f"{TOPIC}/{gateway.client}/scan"
    found.add("runner", Shout(topic, ahead), Shout(topic, far))
    found.forks.add((gateway.client, "scan", last))
    found.fork_bodies.add(ahead)
    found.rejected.add((gateway.client, "too-far-ahead"))


def _payload(number: int) -> bytes:
    """A payload that no plant has made."""
    slots = range(number * ROWS, number * ROWS + ROWS)
    values = array("d", [99.9] * CHANNELS)
    return encode_scans(LAYOUT, [Scan(0, slot, slot * PERIOD_MS + 9, values, bytes(CHANNELS)) for slot in slots])
