"""The roles themselves: signing in, being closed, what the service may and may not, and the commands."""

import argparse
import asyncio
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from derive_world import derived, tables
from handon_world import plant
from member_world import NOW_MS, acting, full_name
from postgres_server import Server

from gateway.cluster.database import Database, open_database
from gateway.cluster.members import cli
from gateway.cluster.members.password import new_password, verifier
from gateway.cluster.members.roles import close_member, make_member, make_service, member_roles
from gateway.errors import AccessError, StorageError

DENIED = asyncpg.InsufficientPrivilegeError
EVIDENCE = (
    "key_statement",
    "erased",
    "log_node",
    "member",
    "gateway",
    "stream",
    "fork",
    "rejected",
    "checkpoint",
    "log_leaf",
    "cosignature",
    "deed",
)


def test_the_verifier_is_that_of_the_published_example() -> None:
    """RFC 7677, section 3: the client's proof and the server's signature follow from these two keys."""
    import hashlib
    import hmac
    from base64 import b64decode

    salt = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    kept = verifier("pencil", salt)
    head, keys = kept.rsplit("$", 1)
    assert head == "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    stored, server = (b64decode(part) for part in keys.split(":"))
    said = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    assert hmac.digest(server, said, "sha256") == b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    proof = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, said, "sha256"), strict=True))
    assert hashlib.sha256(client).digest() == stored


def test_a_password_that_would_have_to_be_normalised_is_refused() -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        verifier("pässword", b"salt" * 4)


async def test_a_member_signs_in_with_its_password_until_it_is_closed(
    server: Server, url: str, filled: Database
) -> None:
    rules = server.data / "pg_hba.conf"
    before = rules.read_text()
    password = new_password(lambda count: bytes(range(count)))
    await make_member(filled, full_name(3), verifier(password, b"another salt 16b"))
    name = url.split("@/")[1].split("?", maxsplit=1)[0]
    host = str(server.folder)
    rules.write_text("local all aurora_m3 scram-sha-256\n" + before)
    server.sql("SELECT pg_reload_conf()")
    try:
        session = await asyncpg.connect(user="aurora_m3", password=password, database=name, host=host)
        assert await session.fetchval("SELECT count(*) FROM company") == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(user="aurora_m3", password="no", database=name, host=host)
        async with filled.transaction(write=False) as work:
            states = {known.role: known.open for known in await member_roles(work)}
        assert states == {"aurora_m1": True, "aurora_m2": True, "aurora_m3": True}

        ended = asyncio.Event()
        session.add_termination_listener(lambda _: ended.set())
        assert await close_member(filled, full_name(3)) == "aurora_m3"
        await ended.wait()
        assert session.is_closed()
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
            await asyncpg.connect(user="aurora_m3", password=password, database=name, host=host)
    finally:
        rules.write_text(before)
        server.sql("SELECT pg_reload_conf()")
        await make_member(filled, full_name(3), verifier(password, b"another salt 16b"))


async def test_a_member_that_is_not_known_and_a_file(filled: Database, tmp_path: object) -> None:
    with pytest.raises(AccessError, match="there is no member 'Nobody'; there are: Alder"):
        await make_member(filled, "Nobody", None)
    sqlite = await open_database(f"{tmp_path}/cluster.db")
    await sqlite.prepare(NOW_MS)
    with pytest.raises(StorageError, match="a file, which has no users"):
        await make_member(sqlite, "Nobody", None)
    await sqlite.close()


async def test_only_an_administrator_makes_roles(filled: Database, server: Server, url: str) -> None:
    name = url.split("@/")[1].split("?", maxsplit=1)[0]
    weak = await open_database(server.url(name, "aurora_service"))
    try:
        with pytest.raises(AccessError, match="may not make this role"):
            await make_member(weak, full_name(1), None)
    finally:
        await weak.close()


async def test_the_follower_works_as_the_service(server: Server, own: tuple[str, Database], tmp_path: Path) -> None:
    """It writes the same tables as a superuser does."""
    url, database = own
    await make_service(database, None)
    service = await open_database(server.url(url.split("@/")[1].split("?", maxsplit=1)[0], "aurora_service"))
    try:
        gateway = await derived(service, plant(tmp_path / "box"))
        written = await tables(service, gateway)
        assert all(written[name] for name in ("event", "alarm", "point", "channel", "roll", "day"))
        async with service.transaction() as work:
            for table in ("chunk", "day", "roll", "event", "alarm"):
                await work.execute(f"DELETE FROM {table}")
    finally:
        await service.close()


async def test_the_service_works_as_a_receiver_does(filled: Database, server: Server, url: str) -> None:
    """It sees all members, starts (also into a new month), adds, fills a hole, takes out what waits behind one."""
    name = url.split("@/")[1].split("?", maxsplit=1)[0]
    service = await open_database(server.url(name, "aurora_service"))
    try:
        await service.prepare(NOW_MS + 70 * 86_400_000)
        async with service.transaction() as work:
            assert (await work.fetch("SELECT count(DISTINCT member) FROM event"))[0][0] == 3
            await work.execute("INSERT INTO deed (at_ms, person, what, data) VALUES (1, 'x', 'x', '{}')")
            await work.execute("SELECT pg_advisory_xact_lock(1)")
            await work.execute("INSERT INTO batch VALUES (1000, 1000, 1, 1, 'x', NULL, $1, NULL)", NOW_MS)
            await work.execute("UPDATE batch SET body = 'b' WHERE gateway = 1000 AND seq = 1")
            await work.execute("UPDATE stream SET size = 2 WHERE gateway = 1000 AND stream = 1000")
            await work.execute("INSERT INTO batch VALUES (1000, 1000, 5, 1, 'x', NULL, $1, 'b')", NOW_MS)
            await work.execute("DELETE FROM batch WHERE gateway = 1000 AND stream = 1000 AND seq = 5")
            await work.execute("DELETE FROM event WHERE gateway = 3000")
            assert not (await work.fetch("SELECT 1 FROM batch WHERE stream = 1000 AND seq = 5"))
        with pytest.raises(StorageError, match="is in the tree, and stays"):
            async with service.transaction() as work:
                await work.execute("DELETE FROM batch WHERE gateway = 1000 AND stream = 1000 AND seq = 1")
    finally:
        await service.close()


@pytest.mark.parametrize("table", EVIDENCE)
async def test_the_service_deletes_no_evidence(filled: Database, server: Server, url: str, table: str) -> None:
    async with acting(server, url, "aurora_service") as sql:
        with pytest.raises(DENIED):
            await sql.execute(f"DELETE FROM aurora.{table}")
        with pytest.raises(DENIED):
            await sql.execute(f"TRUNCATE aurora.{table}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE aurora.batch SET leaf = 'other'",
        "UPDATE aurora.batch SET seq = 1",
        "UPDATE aurora.deed SET person = 'nobody'",
        "UPDATE aurora.checkpoint SET root = 'x'",
        "UPDATE aurora.schema_version SET version = 1",
        "ALTER TABLE aurora.batch DISABLE TRIGGER ALL",
        "DROP TABLE aurora.batch_other",
        "DELETE FROM aurora.batch_other",
        "ALTER ROLE aurora_m1 SUPERUSER",
        "CREATE ROLE another",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT aurora.add_month('event; DROP TABLE x', 1, 2)",
    ],
)
async def test_the_service_is_no_administrator(filled: Database, server: Server, url: str, statement: str) -> None:
    async with acting(server, url, "aurora_service") as sql:
        with pytest.raises((DENIED, asyncpg.RaiseError)):
            await sql.execute(statement)


async def test_a_receiver_is_told_when_row_level_security_would_blind_it(
    filled: Database, server: Server, url: str
) -> None:
    name = url.split("@/")[1].split("?", maxsplit=1)[0]
    database = await open_database(server.url(name, "aurora_m1"))
    try:
        with pytest.raises(StorageError, match=r"the role aurora_m1 sees no rows.*BYPASSRLS"):
            await database.prepare(NOW_MS)
    finally:
        await database.close()


def test_the_commands(server: Server, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    cli.add(parser.add_subparsers(required=True), [])

    def run(*words: str, store: str = url) -> int:
        arguments = parser.parse_args(words)
        return int(arguments.command(SimpleNamespace(store=store), arguments))

    assert run("member-role") == 0
    assert f"{full_name(1)}\taurora_m1\topen" in capsys.readouterr().out
    assert run("member-role", full_name(2)) == 0
    said = capsys.readouterr().out
    assert said.startswith("aurora_m2 is there\npassword, shown this once: ")
    assert run("service-role", "--no-password") == 0
    assert capsys.readouterr().out == "aurora_service is there\n"

    async def open_it() -> None:
        database = await open_database(url)
        async with database.transaction() as work:
            await work.execute("CREATE POLICY open ON aurora.staff USING (true)")
        await database.close()

    asyncio.run(open_it())
    assert run("member-role") == 1
    assert "! a policy that does not ask who reads: aurora.staff: open; " in capsys.readouterr().out
    server.sql("DROP POLICY open ON aurora.staff", url.split("@/")[1].split("?", maxsplit=1)[0])
    with pytest.raises(StorageError, match="a file, which has no users"):
        run("member-role", store="/var/lib/cluster.db")
