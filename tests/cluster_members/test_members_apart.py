"""As each member: every table, partition, view and function is tried, and every way around that we know of."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from member_world import MEMBERS, NOW_MS, acting, full_name, populate, secret, tables
from postgres_server import Server

from gateway.cluster.database import Database, Work
from gateway.cluster.members.findings import openings
from gateway.cluster.members.roles import make_member
from gateway.errors import AccessError

DENIED = asyncpg.InsufficientPrivilegeError
REFUSALS = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedObjectError,
    asyncpg.WrongObjectTypeError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)
ALL = range(1, len(MEMBERS) + 1)


async def relations(database: Database) -> list[tuple[str, str, str]]:
    async with database.transaction(write=False) as work:
        return [
            (str(schema), str(name), str(kind))
            for schema, name, kind in await work.fetch(
                "SELECT n.nspname, c.relname, CAST(c.relkind AS text) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname IN ('aurora', 'aurora_read') AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') "
                "ORDER BY 1, 2"
            )
        ]


def others(text: str, member: int) -> bool:
    return any(secret(other) in text for other in ALL if other != member)


@pytest.mark.parametrize("member", ALL)
async def test_a_member_reads_its_own_rows_by_the_views_and_nothing_else(
    filled: Database, server: Server, url: str, member: int
) -> None:
    seen = 0
    async with acting(server, url, f"aurora_m{member}") as sql:
        for schema, name, kind in await relations(filled):
            if schema != "aurora_read":
                with pytest.raises(DENIED):
                    await sql.fetch(f'SELECT * FROM {schema}."{name}"')
                with pytest.raises(DENIED):
                    await sql.fetch(f'SELECT count(*) FROM {schema}."{name}"')
                continue
            assert kind == "v"
            rows = [dict(row) for row in await sql.fetch(f'SELECT * FROM {schema}."{name}"')]
            assert rows, f"{name} has rows of this member"
            seen += len(rows)
            for row in rows:
                assert "member" not in row
                for column, value in row.items():
                    text = value.decode() if isinstance(value, bytes) else str(value)
                    assert not others(text, member), (name, row)
                    if isinstance(value, int | float) and column not in {"received_ms", "id"}:
                        assert value // 1000 == member, (name, column, row)
            assert len(rows) == (1 if name in {"company"} else len(rows))
    assert seen > 30


@pytest.mark.parametrize("member", ALL)
async def test_what_a_member_sees_is_all_that_it_has(
    filled: Database, server: Server, url: str, member: int
) -> None:
    """Nothing of its own is hidden, either."""
    async with acting(server, url, f"aurora_m{member}") as sql, filled.transaction(write=False) as work:
        for view, table, condition in [
            *(
                (name, name, "member = $1")
                for name in (
                    "gateway",
                    "batch",
                    "event",
                    "alarm",
                    "point",
                    "channel",
                    "day",
                    "value",
                    "retention",
                    "chunk",
                    "erased",
                )
            ),
            ("hour", "roll", "member = $1"),
            *(
                (name, name, "gateway IN (SELECT id FROM gateway WHERE member = $1)")
                for name in ("stream", "term", "fork")
            ),
        ]:
            [(there,)] = await work.fetch(f"SELECT count(*) FROM {table} WHERE {condition}", member)
            assert await sql.fetchval(f"SELECT count(*) FROM aurora_read.{view}") == there > 0, view


class _TakenBackError(Exception):
    """Ends a transaction of a test without leaving anything of it."""


@asynccontextmanager
async def taken_back(database: Database) -> AsyncIterator[Work]:
    with suppress(_TakenBackError):
        async with database.transaction() as work:
            yield work
            raise _TakenBackError


async def read_as(work: Work, role: str, relation: str) -> list[object]:
    await work.execute(f"SET LOCAL ROLE {role}")
    try:
        return list(await work.fetch(f"SELECT * FROM {relation}"))
    finally:
        await work.execute("RESET ROLE")


async def test_a_role_of_no_member_sees_nothing_even_with_every_grant(filled: Database) -> None:
    async with taken_back(filled) as work:
        await work.execute("CREATE ROLE aurora_m0 IN ROLE aurora_member")
        await work.execute("GRANT USAGE ON SCHEMA aurora, aurora_read TO aurora_m0")
        await work.execute("GRANT SELECT ON ALL TABLES IN SCHEMA aurora, aurora_read TO aurora_m0")
        for schema, relation, kind in await relations(filled):
            if kind != "S":
                assert await read_as(work, "aurora_m0", f'{schema}."{relation}"') == [], relation


async def test_the_owner_that_is_no_superuser_is_held_too(filled: Database) -> None:
    async with taken_back(filled) as work:
        await work.execute("CREATE ROLE aurora_plain_owner")
        await work.execute("GRANT USAGE, CREATE ON SCHEMA aurora TO aurora_plain_owner")
        for table in ("event", "batch", "staff", "value"):
            await work.execute(f"ALTER TABLE aurora.{table} OWNER TO aurora_plain_owner")
            assert await read_as(work, "aurora_plain_owner", f"aurora.{table}") == []


_BY_NUMBER = (
    "SELECT table_to_xml(CAST((SELECT min(oid) FROM pg_class WHERE relname = '{}') AS regclass), true, true, '')"
)
_LEAK = (
    "(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $f$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $f$"
)
TRICKS = [
    # settings and roles
    "SET row_security = off; SELECT * FROM aurora_read.event",
    "SET ROLE aurora_m2; SELECT * FROM aurora_read.event",
    "SET ROLE aurora_service; SELECT * FROM aurora_read.event",
    "SET ROLE aurora; SELECT * FROM aurora_read.event",
    "SET SESSION AUTHORIZATION aurora_m2; SELECT * FROM aurora_read.event",
    "SET SESSION AUTHORIZATION DEFAULT; SET ROLE NONE; SELECT * FROM aurora.event",
    "ALTER ROLE aurora_m1 BYPASSRLS",
    "ALTER ROLE aurora_m1 RENAME TO aurora_m2",
    "GRANT aurora_m2 TO aurora_m1",
    "CREATE ROLE aurora_m4",
    "SET search_path = aurora; SELECT * FROM event",
    "SET search_path = aurora; SELECT * FROM batch_other",
    # by number instead of name, and by functions that read tables
    "SELECT table_to_xml('aurora.event', true, true, '')",
    "SELECT query_to_xml('SELECT * FROM aurora.event', true, true, '')",
    "SELECT schema_to_xml('aurora', true, true, '')",
    _BY_NUMBER.format("event"),
    _BY_NUMBER.format("batch_other"),
    "COPY aurora.event TO STDOUT",
    "COPY (SELECT * FROM aurora.event) TO STDOUT",
    "COPY aurora_read.event FROM STDIN",
    "SELECT pg_sequence_last_value(CAST((SELECT oid FROM pg_class WHERE relname = 'channel_id_seq') AS regclass))",
    "SELECT nextval('aurora.channel_id_seq')",
    "SELECT last_value FROM aurora.channel_id_seq",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('base')",
    "SELECT aurora.add_month('batch_2001_01', 1, 2)",
    "SELECT aurora.keep_evidence()",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    # making things
    "CREATE TEMP TABLE mine (x int)",
    "CREATE TEMP VIEW mine AS SELECT * FROM aurora.event",
    "CREATE TABLE public.mine (x int)",
    "CREATE TABLE aurora_read.mine (x int)",
    "CREATE FUNCTION public.leak" + _LEAK,
    "CREATE FUNCTION pg_temp.leak" + _LEAK,
    "CREATE OPERATOR public.<<< (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)",
    "CREATE STATISTICS public.s (mcv) ON point, kind FROM aurora.event",
    "CREATE POLICY mine ON aurora.event USING (true)",
    "DROP POLICY apart ON aurora.event",
    "ALTER TABLE aurora.event DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE aurora.event NO FORCE ROW LEVEL SECURITY",
    "ALTER VIEW aurora_read.event SET (security_invoker = false)",
    "CREATE OR REPLACE VIEW aurora_read.event AS SELECT * FROM aurora.event",
    "CREATE EXTENSION dblink",
    "CREATE SCHEMA mine",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_advisory_lock(7263541)",
    # writing: also what an error would say of a key that another member has
    "INSERT INTO aurora_read.gateway (id, site, name, enrolled_ms) VALUES (2000, 'x', 'x', 1)",
    "INSERT INTO aurora.member (name) VALUES ('Birch Fish secret-of-2')",
    "UPDATE aurora_read.event SET data = ''",
    "DELETE FROM aurora_read.batch",
    "TRUNCATE aurora.batch",
    "BEGIN; LOCK TABLE aurora_read.event IN ACCESS EXCLUSIVE MODE",
    "SELECT * FROM aurora_read.event FOR UPDATE",
    # blocks of code, cursors, prepared statements
    "DO $d$ BEGIN EXECUTE 'SET LOCAL ROLE aurora_m2'; END $d$",
    "DO $d$ BEGIN PERFORM 1 FROM aurora.event; END $d$",
    "PREPARE p AS SELECT * FROM aurora.event",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM aurora.event",
    "EXPLAIN ANALYZE SELECT * FROM aurora.event",
    "EXPLAIN SELECT * FROM aurora.batch_other",
]


@pytest.mark.parametrize("trick", TRICKS)
async def test_a_trick_is_refused(filled: Database, server: Server, url: str, trick: str) -> None:
    told: list[str] = []
    async with acting(server, url, "aurora_m1") as sql:
        sql.add_log_listener(lambda _, message: told.append(str(message)))
        await sql.execute("SET default_transaction_read_only = off")
        with pytest.raises(REFUSALS) as refused:
            await sql.execute(trick)
    assert not others(str(refused.value) + str(told), 1), refused.value


OPERATORS = [
    "SELECT count(*) FROM aurora_read.event WHERE CAST(data AS bigint) = 1",
    "SELECT count(*) FROM aurora_read.company WHERE CAST(name AS bigint) = 1",
    "SELECT count(*) FROM aurora_read.batch WHERE 1 / (seq - 2001) > 5",
    "SELECT count(*) FROM aurora_read.value WHERE 1 / (value - 2001.0) > 5 AND 1 / (value - 3001.0) > 5",
    "SELECT count(*) FROM aurora_read.stream WHERE 1 / (size - 2000) > 5",
    "SELECT count(*) FROM aurora_read.term WHERE CAST(origin AS xml) IS NULL",
    "SELECT max(CAST(point AS inet)) FROM aurora_read.event",
]


@pytest.mark.parametrize("query", OPERATORS)
async def test_an_operator_that_fails_loudly_is_shown_no_row_of_another(
    filled: Database, server: Server, url: str, query: str
) -> None:
    async with acting(server, url, "aurora_m1") as sql:
        for force in ("SET enable_indexscan = on", "SET enable_seqscan = off", "SET enable_bitmapscan = off"):
            await sql.execute(force)
            said = ""
            try:
                await sql.fetch(query)
            except asyncpg.DataError as error:
                said = f"{type(error).__name__}: {error}"
            assert not others(said, 1)
            assert "DivisionByZero" not in said


async def test_notices_of_a_block_hold_own_rows_alone(filled: Database, server: Server, url: str) -> None:
    told: list[str] = []
    async with acting(server, url, "aurora_m1") as sql:
        sql.add_log_listener(lambda _, message: told.append(str(message)))
        await sql.execute(
            "DO $d$ DECLARE r record; BEGIN FOR r IN SELECT * FROM aurora_read.event LOOP RAISE NOTICE '%', r; "
            "END LOOP; END $d$"
        )
    assert len(told) == 3
    assert not others(str(told), 1)


async def test_statistics_and_other_sessions_tell_nothing(filled: Database, server: Server, url: str) -> None:
    async with acting(server, url, "aurora_m2") as busy, acting(server, url, "aurora_m1") as sql:
        await busy.fetch("SELECT * FROM aurora_read.company WHERE name = 'secret-of-2 asks'")
        for catalogue in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
            rows = await sql.fetch(
                f"SELECT CAST(c AS text) FROM {catalogue} c WHERE schemaname IN ('aurora', 'aurora_read')"
            )
            assert rows == []
        with pytest.raises(DENIED):
            await sql.fetch("SELECT count(*) FROM pg_statistic")
        with pytest.raises(DENIED):
            await sql.fetch("SELECT count(*) FROM pg_authid")
        for catalogue in (
            "pg_stat_activity",
            "pg_description",
            "pg_shdescription",
            "pg_seclabels",
            "pg_settings",
            "pg_db_role_setting",
        ):
            assert not others(str(await sql.fetch(f"SELECT CAST(c AS text) FROM {catalogue} c")), 1), catalogue
        assert [
            row[0]
            for row in await sql.fetch("SELECT last_value FROM pg_sequences WHERE schemaname = 'aurora'")
            if row[0]
        ] == []


async def test_estimates_do_not_say_whether_another_has_a_name(filled: Database, server: Server, url: str) -> None:
    """EXPLAIN shows what the planner has sampled: of names and texts it has no samples."""
    async with filled.transaction() as work:
        await work.execute(
            "INSERT INTO event SELECT 2, 2000, 10000 + n, 1, '', 1, 1, 1, 'note', 'their-room', 'their text' "
            "FROM generate_series(1, 2000) AS n"
        )
    async with filled.transaction() as work:
        await work.execute("ANALYZE event")

    async def estimate(sql: "asyncpg.Connection[asyncpg.Record]", condition: str) -> float:
        plan = await sql.fetchval(f"EXPLAIN (FORMAT JSON) SELECT * FROM aurora_read.event WHERE {condition}")
        return float(json.loads(plan)[0]["Plan"]["Plan Rows"])

    async with acting(server, url, "aurora_m1") as sql:
        for column, theirs in (("point", "their-room"), ("data", "their text"), ("kind", "note")):
            unknown = await estimate(sql, f"{column} = 'nowhere at all'")
            assert await estimate(sql, f"{column} = '{theirs}'") == unknown, column


async def test_partitions_to_come_are_shut(filled: Database, server: Server, url: str) -> None:
    later_ms = NOW_MS + 400 * 86_400_000
    await filled.prepare(later_ms)
    async with filled.transaction() as work:
        await work.execute("INSERT INTO batch VALUES (2000, 1, 9, 2, 'x', NULL, $1, 'secret-of-2')", later_ms)
        found = await work.fetch("SELECT CAST(CAST(tableoid AS regclass) AS text) FROM batch WHERE seq = 9")
        where = str(found[0][0])
        assert where == "batch_2027_12"
        shut = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = $1"
        assert (await work.fetch(shut, where))[0][0]
    async with acting(server, url, "aurora_m1") as sql:
        with pytest.raises(DENIED):
            await sql.fetch(f"SELECT * FROM aurora.{where}")
        assert await sql.fetch("SELECT * FROM aurora_read.batch WHERE received_ms = $1", later_ms) == []


async def test_every_table_is_shut_or_has_a_policy_that_asks_who_reads(filled: Database) -> None:
    async with filled.transaction(write=False) as work:
        assert await openings(work) == []


async def test_a_new_table_is_named_until_the_next_start_shuts_it(own: tuple[str, Database]) -> None:
    _, database = own
    async with database.transaction() as work:
        await work.execute("CREATE TABLE aurora.forgotten (member bigint, what text)")
        assert [line for line in await openings(work) if "aurora.forgotten" in line]
    await database.prepare(NOW_MS)
    async with database.transaction(write=False) as work:
        assert [line for line in await openings(work) if "aurora.forgotten" in line] == []


async def test_every_table_with_a_column_member_is_opened_or_known_to_stay_shut(filled: Database) -> None:
    """Who adds a table decides: a policy and a view for members, or nothing for them."""
    async with filled.transaction(write=False) as work:
        opened = {
            str(name)
            for (name,) in await work.fetch("SELECT tablename FROM pg_policies WHERE schemaname = 'aurora'")
        }
        known = set(await tables(work))
    staff_only = {
        "boot", "certificate", "checkpoint", "cosignature", "deed", "handed", "heard", "key_statement", "layout",
        "log_leaf", "log_node", "log_state", "progress", "rejected", "request", "schema_version", "setting",
        "staff", "unread", "witnessed", "glance",
    }  # fmt: skip
    assert known - opened - staff_only == set(), "decide who may read it: a policy in a migration, or this list"
    assert opened & staff_only == set()


OPENED = [
    ("GRANT SELECT ON aurora.batch_other TO aurora_m1", "a table, partition or sequence"),
    ("CREATE VIEW public.all_events AS SELECT * FROM aurora.event", "owner's rights"),
    ("CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM aurora_read.event", "owner's rights"),
    ("CREATE POLICY open ON aurora.event USING (true)", "does not ask who reads"),
    ("ALTER TABLE aurora.day NO FORCE ROW LEVEL SECURITY", "without row-level security"),
    ("ALTER ROLE aurora_m1 BYPASSRLS", "powers of its own"),
    ("GRANT aurora_m2 TO aurora_m1", "act as another"),
    ("GRANT SELECT ON aurora_read.event TO PUBLIC", "given to everybody"),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "given to everybody"),
    ("GRANT INSERT ON aurora_read.event TO aurora_m1", "to change something"),
    ("GRANT CREATE ON SCHEMA aurora_read TO aurora_m1", "to change something"),
    ("CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "anybody may call"),
    ("GRANT EXECUTE ON FUNCTION pg_catalog.lo_create(oid) TO PUBLIC", "fill the disk"),
]  # fmt: skip


@pytest.mark.parametrize(("opening", "words"), OPENED)
async def test_what_an_administrator_opens_is_found(filled: Database, opening: str, words: str) -> None:
    async with taken_back(filled) as work:
        await work.execute(opening)
        found = await openings(work)
        assert any(words in line for line in found), found


async def test_a_database_beside_it_is_not_opened_by_the_same_role(
    filled: Database, server: Server, own: tuple[str, Database]
) -> None:
    """Roles are of the server: member 1 of one cluster is not member 1 of another."""
    url, database = own
    await populate(database)
    async with acting(server, url, "aurora_m1") as sql:
        with pytest.raises(DENIED):
            await sql.fetch("SELECT * FROM aurora_read.event")
    with pytest.raises(AccessError, match="not for this database"):
        await make_member(database, full_name(1), None)


async def test_without_the_policy_the_tests_here_would_see_it(filled: Database) -> None:
    """The test of the test: rows of others come as soon as a policy lets them."""
    async with taken_back(filled) as work:
        assert not others(str(await read_as(work, "aurora_m1", "aurora_read.event")), 1)
        await work.execute("CREATE POLICY open ON aurora.event FOR SELECT USING (true)")
        assert others(str(await read_as(work, "aurora_m1", "aurora_read.event")), 1)
