"""Enrolment: how the cluster comes to know a gateway's public key, by a small JSON file that a person carries.

``aurora-gateway keys SITE export`` prints it: member, site, gateway, public_key_pem, thumbprint (RFC 9679, hex),
which the person compares with what the gateway's page shows.
"""

import json
import re
from dataclasses import dataclass

from gateway.cluster.database import Database
from gateway.cluster.nouns import STREAMS, Enrolled, KeyTerm
from gateway.cluster.store import Store
from gateway.errors import ConfigError, Problem, SealError
from gateway.model import Stream
from gateway.seal.cose import PublicKey
from gateway.site import Identity

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
"""No dot: ``member.gateway`` has to have one meaning. No ``+``, ``#`` or ``/``: it is a level of an MQTT topic."""
NAMES = ("member", "site", "gateway")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who a gateway is and the key with which it signs."""

    identity: Identity
    public: PublicKey

    def to_json(self) -> str:
        """The enrolment file."""
        content = {name: getattr(self.identity, name) for name in NAMES}
        content["public_key_pem"] = self.public.pem().decode()
        content["thumbprint"] = self.public.thumbprint.hex()
        return json.dumps(content, indent=2) + "\n"


def read_enrolment(text: str, source: str) -> Enrolment:
    """Read an enrolment file; raises `ConfigError` that names every mistake in it."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            source, [Problem("file", f"no JSON ({error})", "use the file that the gateway prints")]
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(source, [Problem("file", "no JSON object", "use the file that the gateway prints")])
    problems = []
    for name in NAMES:
        value = content.get(name)
        if not isinstance(value, str) or not NAME.fullmatch(value):
            remedy = "use 1 to 63 letters, digits, - and _"
            problems.append(Problem(name, f"{value!r} is no name", remedy))
    public = _public(content, problems)
    if problems or public is None:
        raise ConfigError(source, problems)
    member, site, gateway = (content[name] for name in NAMES)
    return Enrolment(Identity(member=member, site=site, gateway=gateway), public)


async def enrol(database: Database, enrolment: Enrolment, at_ms: int) -> Enrolled:
    """Let the cluster take batches of a gateway; with the same key once more, nothing changes.

    Raises `ConfigError` when the name is enrolled with another key: a key changes by the event ``key.rotated``,
    and a gateway that has lost its key or its journal begins a new history, for which it needs a new name.
    """
    identity, public = enrolment.identity, enrolment.public
    async with database.transaction() as work:
        store = Store(work)
        enrolled = await store.enrol(identity, at_ms)
        await store.lock([enrolled.id])
        terms = await store.terms(enrolled.id)
        if not terms:
            first: dict[Stream, int] = dict.fromkeys(STREAMS, 0)
            term = KeyTerm(public, "enrolled", at_ms, first, {"event": None, "scan": None})
            await store.save_terms(enrolled.id, [term])
        elif public != terms[-1].public:
            known = terms[-1].public.thumbprint.hex()
            what = f"{identity.client} is enrolled with another key ({known[:16]})"
            remedy = "a gateway that has lost its key or journal needs a new name"
            raise ConfigError("enrolment", [Problem("public_key_pem", what, remedy)])
        return enrolled


def _public(content: dict[str, object], problems: list[Problem]) -> PublicKey | None:
    pem, thumbprint = content.get("public_key_pem"), content.get("thumbprint")
    try:
        public = PublicKey.from_pem(str(pem).encode())
    except SealError as error:
        problems.append(Problem("public_key_pem", error.what, "use an Ed25519 or P-256 key in PEM form"))
        return None
    if thumbprint != public.thumbprint.hex():
        problems.append(
            Problem("thumbprint", "is not that of the key", f"{public.thumbprint.hex()} would be right")
        )
    return public
