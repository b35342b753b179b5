"""Commands of `aurora-cluster` about identity: authority, requests, certificates, revocation, keys, deeds."""

import argparse
import asyncio
import getpass
import json
import os
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.clock import wall_ms
from gateway.cluster.boxes import read_answers
from gateway.cluster.database import Database
from gateway.cluster.identity import keys as about_keys
from gateway.cluster.identity import requests
from gateway.cluster.identity.authority import Authority, put
from gateway.cluster.identity.broker import end_sessions, publish_list, reload_broker
from gateway.cluster.identity.certificates import new_key, pem, private_pem
from gateway.cluster.identity.desk import CLIENT, answer_of
from gateway.cluster.identity.desk import Desk as Renewing
from gateway.cluster.identity.requests import Approved, Waiting
from gateway.cluster.identity.rows import Staff, note
from gateway.cluster.identity.settings import IdentitySettings, load_identity
from gateway.cluster.running import cluster_signer, opened, until_signal
from gateway.cluster.settings import Settings
from gateway.errors import OperatorError, SealError
from gateway.seal.keys import FileSigner, write_private

__all__ = ["add"]

Command = Callable[["Desk"], Coroutine[Any, Any, int]]


class Desk:
    """What a command works with: settings, arguments, the store, and who sits there."""

    def __init__(self, settings: Settings, arguments: argparse.Namespace, database: Database) -> None:
        self.settings = settings
        self.identity: IdentitySettings = load_identity(arguments.config)
        self.arguments = arguments
        self.database = database
        self.signer: FileSigner = cluster_signer(settings.data_dir)
        self.now_ms = wall_ms()
        self.staff = Staff(arguments.by or _person(), self.now_ms, self.signer)

    @property
    def authority(self) -> Authority:
        """The cluster's authority; raises `OperatorError`."""
        return Authority.load(self.settings.data_dir)


def add(commands: Any, shared: list[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser of `aurora-cluster`."""
    person = argparse.ArgumentParser(add_help=False)
    person.add_argument("--by", metavar="NAME", help="who does it (default: the name you are signed in with)")
    parents = [*shared, person]

    def command(name: str, run: Command, words: str, *, service: bool = False) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = commands.add_parser(name, parents=parents, help=words)
        found.set_defaults(command=_runner(run, service=service))
        return found

    ca = command("ca", _ca, "the cluster's authority: make it, show it, certify a broker or a receiver")
    ca.add_argument("what", choices=("new", "show", "broker", "client"))
    ca.add_argument("names", nargs="*", help="new: its name; broker: hosts; client: common name")
    ca.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where certificate and key go")

    asking = command("request", _request, "take in what a gateway asks for")
    asking.add_argument("file", type=Path, help="what the gateway wrote: aurora-box-*.json, enrolment.json")
    listing = command("requests", _requests, "what waits for a decision")
    listing.add_argument("--all", action="store_true", help="what has been decided, too")
    listing.add_argument("--json", action="store_true", help="as JSON")
    approving = command("approve", _approve, "enrol the key and certify the gateway whose code was compared")
    answering = command("answer", _answer, "write the answer of an approval once more")
    replacing = command("replace", _replace, "admit a new key for a gateway whose key has been cut off")
    replacing.add_argument("client", help="MEMBER.GATEWAY")
    for one in (approving, answering, replacing):
        one.add_argument("code", help="as the gateway shows it")
        one.add_argument(
            "--answers", type=Path, metavar="FILE", help="TOML, for a new box: member, site, gateway ..."
        )
        one.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the answer goes: the stick")
    for one in (approving, replacing):
        one.add_argument("--certificate", type=Path, metavar="FILE", help="what another authority made of it")
    foreign = command("csr", _csr, "write a request in the form that another authority takes")
    foreign.add_argument("code")
    foreign.add_argument("--out", type=Path, default=Path("gateway.csr"), metavar="FILE")
    for name, run, words in (
        ("refuse", _refuse, "turn a request down"),
        ("reopen", _reopen, "take a refusal back"),
    ):
        one = command(name, run, words)
        one.add_argument("code")
        one.add_argument("--why", required=True)

    _add_revocation(command)


def _add_revocation(command: Callable[..., argparse.ArgumentParser]) -> None:
    shown = command("certificates", _certificates, "certificates that were issued")
    shown.add_argument("client", nargs="?")
    revoking = command("revoke", _revoke, "take nothing from a gateway any more, and end its session")
    revoking.add_argument("client", nargs="?", help="MEMBER.GATEWAY, or another client of the broker")
    revoking.add_argument("--serial", help="one certificate only; the gateway keeps its rights")
    revoking.add_argument("--why", required=True)
    closing = command("close", _close, "put the list into force at the broker, and end a client's session")
    closing.add_argument("client")
    listing = command("crl", _crl, "write the broker's revocation list anew; daily, because it ends")
    listing.add_argument("--no-reload", action="store_true", help="whoever runs this has the broker read it")
    back = command("reinstate", _reinstate, "take batches of a revoked gateway again")
    back.add_argument("client")
    back.add_argument("--why", required=True)
    cutting = command("cut-off", _cut_off, "let a gateway's key sign nothing from a batch on")
    cutting.add_argument("client")
    cutting.add_argument("--from-event", type=int, metavar="N", help="first event batch (default: the next)")
    cutting.add_argument("--from-scan", type=int, metavar="N", help="first scan batch (default: the next)")
    cutting.add_argument("--why", required=True)
    words = "renew certificates of gateways that ask over the line; runs until stopped"
    renewing = command("desk", _desk, words, service=True)
    renewing.add_argument("--client", default=CLIENT, help="MQTT client, the common name of the certificate")
    renewing.add_argument("--certificate", type=Path, required=True, metavar="FILE", help="certificate of the desk")
    renewing.add_argument("--key", type=Path, required=True, metavar="FILE", help="its private key")
    command("deeds", _deeds, "what staff did")


def _runner(run: Command, *, service: bool) -> Callable[[Settings, argparse.Namespace], int]:
    def command(settings: Settings, arguments: argparse.Namespace) -> int:
        done = 0

        async def main() -> None:
            nonlocal done
            async with opened(settings, patient=service) as database:
                done = await run(Desk(settings, arguments, database))

        asyncio.run(until_signal(main()) if service else main())
        return done

    return command


def _person() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


# the authority ---------------------------------------------------------------------------------------------------


async def _ca(desk: Desk) -> int:
    what, names = desk.arguments.what, desk.arguments.names
    if what == "new":
        name = " ".join(names) or f"{desk.settings.name} authority"
        authority = Authority.create(desk.settings.data_dir, name, desk.now_ms)
        async with desk.database.transaction() as work:
            await note(work, desk.staff, "authority made", name=name, fingerprint=_fingerprint(authority))
    if what in {"new", "show"}:
        authority = desk.authority
        print(f"authority    {authority.certificate.subject.rfc4514_string()}")
        print(f"fingerprint  {_fingerprint(authority)} (SHA-256)")
        print(f"good until   {authority.certificate.not_valid_after_utc:%Y-%m-%d}")
        print(f"its key      {'here' if authority.key is not None else 'elsewhere'}")
        return 0
    if not names:
        raise OperatorError(f"ca {what} needs a name", "broker: the hosts by which it is reached; client: its name")
    return await _certify(desk, what, names)


async def _certify(desk: Desk, what: str, names: list[str]) -> int:
    """A broker or a receiver gets key and certificate from here: these machines are the cluster's own."""
    life, key = desk.identity.life, new_key()
    if what == "broker":
        made = desk.authority.server(names, key.public_key(), desk.now_ms, life)
    elif len(names) > 1 or "." in names[0]:
        raise OperatorError(
            f"{' '.join(names)!r} is no name for a client", "names with a dot are those of gateways"
        )
    else:
        made = desk.authority.client(names[0], key.public_key(), desk.now_ms, life)
    stem = "broker" if what == "broker" else names[0]
    text = pem(made)
    try:
        write_private(desk.arguments.out / f"{stem}.key", private_pem(key))
    except SealError as error:
        raise OperatorError(error.what, "name another folder with --out") from error
    put(desk.arguments.out / f"{stem}.pem", text)
    async with desk.database.transaction() as work:
        serial = await requests.keep_certificate(work, names[0], text.decode(), desk.now_ms)
        await note(work, desk.staff, "certified", client=names[0], certificate=serial, kind=what)
    print(f"written: {desk.arguments.out / stem}.pem and .key, good until {made.not_valid_after_utc:%Y-%m-%d}")
    return 0


def _fingerprint(authority: Authority) -> str:
    from cryptography.hazmat.primitives import hashes

    return authority.certificate.fingerprint(hashes.SHA256()).hex()


# requests --------------------------------------------------------------------------------------------------------


async def _request(desk: Desk) -> int:
    found = await requests.take_in(desk.database, requests.read_file(desk.arguments.file), desk.staff)
    _show(found)
    if found.state == "open":
        print(
            "compare this code with the one that the gateway shows, by telephone; then: aurora-cluster approve CODE"
        )
    return 0


async def _requests(desk: Desk) -> int:
    found = await requests.listed(desk.database, None if desk.arguments.all else "open")
    if desk.arguments.json:
        plain = [one._asdict() | {"thumbprint": one.thumbprint.hex()} for one in found]
        print(json.dumps(plain, indent=2))
        return 0
    for one in found:
        _show(one)
    if not found:
        print("no request waits")
    return 0


def _show(one: Waiting) -> None:
    who = f"{one.member} / {one.site} / {one.gateway}" if one.member else "a new box without names"
    decided = f" by {one.decided_by}" if one.decided_by else ""
    print(f"{one.code}  {one.state}{decided}  {one.kind}  {who}  key {one.thumbprint.hex()}")


async def _approve(desk: Desk, *, replacing: bool = False) -> int:
    answers = _answers(desk)
    given = desk.arguments.certificate
    certificate = _read(given) if given is not None else None
    done = await requests.approve(
        desk.database,
        desk.arguments.code,
        desk.staff,
        desk.authority,
        names={name: answers[name] for name in ("member", "site", "gateway") if name in answers},
        certificate=certificate,
        replacing=replacing,
        life=desk.identity.life,
    )
    print(f"{done.identity.client} is enrolled with key {done.thumbprint.hex()}")
    return _write_answer(desk, done, answers)


async def _replace(desk: Desk) -> int:
    client, code = desk.arguments.client, requests.plain_code(desk.arguments.code)
    waiting = {one.code: f"{one.member}.{one.gateway}" for one in await requests.listed(desk.database)}
    if waiting.get(code) != client:
        raise OperatorError(f"no request {code} of {client} waits", "aurora-cluster request FILE takes it in")
    return await _approve(desk, replacing=True)


async def _answer(desk: Desk) -> int:
    return _write_answer(desk, await requests.approved(desk.database, desk.arguments.code), _answers(desk))


def _answers(desk: Desk) -> dict[str, str]:
    path = desk.arguments.answers
    if path is None:
        return {}
    told = {"broker": desk.identity.broker} if desk.identity.broker else {}
    return told | read_answers(path)


def _write_answer(desk: Desk, done: Approved, answers: Mapping[str, str]) -> int:
    content = answer_of(desk.signer, desk.authority, done, dict(answers))
    path = desk.arguments.out / f"aurora-setup-{done.thumbprint.hex()[:8]}.cose"
    put(path, content)
    print(f"written: {path}; on the gateway: aurora-gateway setup --from STICK --cluster-key FINGERPRINT")
    print(f"fingerprint of this cluster, by another way than the stick: {desk.signer.thumbprint.hex()}")
    return 0


async def _csr(desk: Desk) -> int:
    put(desk.arguments.out, await requests.csr_of(desk.database, desk.arguments.code))
    print(
        f"written: {desk.arguments.out}; the certificate's common name has to be MEMBER.GATEWAY, whatever it asks"
    )
    return 0


async def _refuse(desk: Desk) -> int:
    await requests.refuse(desk.database, desk.arguments.code, desk.staff, desk.arguments.why)
    print("refused")
    return 0


async def _reopen(desk: Desk) -> int:
    await requests.reopen(desk.database, desk.arguments.code, desk.staff, desk.arguments.why)
    print("waits again")
    return 0


# certificates ----------------------------------------------------------------------------------------------------


async def _certificates(desk: Desk) -> int:
    query = "SELECT serial, client, until_ms, revoked_ms, reason FROM certificate"
    async with desk.database.transaction(write=False) as work:
        rows = await work.fetch(f"{query} ORDER BY client, issued_ms")
    for serial, client, until, revoked_ms, reason in rows:
        if desk.arguments.client in {None, client}:
            left = int((until - desk.now_ms) // timedelta(days=1).total_seconds() // 1000)
            state = (
                f"revoked ({reason})" if revoked_ms is not None else "ended" if left < 0 else f"{left} days left"
            )
            print(f"{client}  {serial}  {state}")
    return 0


async def _crl(desk: Desk) -> int:
    path = desk.identity.list_path
    count = await publish_list(desk.database, desk.authority, path, desk.now_ms)
    reload = () if desk.arguments.no_reload else desk.identity.reload
    if reload:
        await reload_broker(reload)
    print(f"written: {path}, {count} certificates" + ("" if reload else "; now reload the broker"))
    return 0


async def _revoke(desk: Desk) -> int:
    client, serial, why = desk.arguments.client, desk.arguments.serial, desk.arguments.why
    if (client is None) == (serial is None):
        raise OperatorError("revoke needs a client, or --serial", "one of both")
    if serial is not None:
        client, serials = await about_keys.revoke_certificate(desk.database, serial, desk.staff, why), [serial]
    elif "." in client:
        serials = await about_keys.revoke(desk.database, client, desk.staff, why)
    else:
        serials = await about_keys.revoke_client(desk.database, client, desk.staff, why)
    print(f"{client}: revoked {', '.join(serials) or 'no certificate, there was none'}")
    if desk.authority.key is None:
        print(
            "have the other authority put these on its list, give the list to the broker, and restart the broker:"
        )
        print("a reload leaves the session that is open now as it is")
        return 1
    if not desk.identity.reload:
        await publish_list(desk.database, desk.authority, desk.identity.list_path, desk.now_ms)
        print("its list is written; RESTART the broker: no reload command is set, so its session is open still")
        return 1
    return await _end(desk, client)


async def _close(desk: Desk) -> int:
    """For a revocation that was cut off before the broker had been told, and for a session that hangs."""
    return await _end(desk, desk.arguments.client)


async def _end(desk: Desk, client: str) -> int:
    if not desk.identity.reload:
        raise OperatorError("nobody said how the broker is reloaded", "add reload = [...] under [identity]")
    ended = await end_sessions(
        desk.database,
        desk.authority,
        [client],
        broker=desk.settings.broker,
        path=desk.identity.list_path,
        reload=desk.identity.reload,
        now_ms=desk.now_ms,
    )
    after_s = round(ended.after_s, 2)
    async with desk.database.transaction() as work:
        await note(work, desk.staff, "session ended", client=client, by_certificates=ended.serials, after_s=after_s)
    print(f"the broker refuses what is revoked ({after_s:.2f} s after its reload)")
    print(f"the session of {client} is ended")
    return 0


async def _desk(desk: Desk) -> int:
    _ = desk.authority.issuer  # said now, not at the first request
    service = Renewing(
        desk.settings.broker, desk.database, desk.signer, desk.authority, life=desk.identity.life, utc_ms=wall_ms
    )
    await service.run()
    return 0


# keys ------------------------------------------------------------------------------------------------------------


async def _reinstate(desk: Desk) -> int:
    await about_keys.reinstate(desk.database, desk.arguments.client, desk.staff, desk.arguments.why)
    print(f"{desk.arguments.client}: taken again; its certificates stay revoked, it has to ask for a new one")
    return 0


async def _cut_off(desk: Desk) -> int:
    arguments = desk.arguments
    done = await about_keys.cut_off(
        desk.database,
        arguments.client,
        desk.staff,
        event=arguments.from_event,
        scan=arguments.from_scan,
        why=arguments.why,
    )
    print(f"{arguments.client}: its key signs no event from {done.event} on and no scan from {done.scan} on")
    if done.doubted:
        print(f"CARE: in the tree already, and doubted from now on: {done.doubted}")
    return 0


async def _deeds(desk: Desk) -> int:
    async with desk.database.transaction(write=False) as work:
        async for at_ms, person, what, data in work.rows("SELECT at_ms, person, what, data FROM deed ORDER BY id"):
            print(json.dumps({"at_ms": at_ms, "person": person, "what": what} | json.loads(data)))
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read ({error.strerror})", "see its name") from error
