"""Roles of SQL: ``aurora_m<ID>`` for each member, who only reads, and ``aurora_service`` for the receivers.

Roles are of the whole server, members of one database. So the right to the schema of the views is given to each
role by itself, and a role that is there without it is of another database and is not taken over.
"""

from dataclasses import dataclass

from gateway.cluster.database import Database, Work
from gateway.errors import AccessError, StorageError

__all__ = [
    "MEMBERS",
    "SERVICE",
    "MemberRole",
    "close_member",
    "make_member",
    "make_service",
    "member_roles",
]

SERVICE = "aurora_service"
MEMBERS = "aurora_member"
"""The group that holds the grants on the views. It is nobody's member: who acts as it sees no rows."""

UNTOUCHED = (
    "member", "fork", "erased", "checkpoint", "log_leaf", "log_node", "cosignature", "deed", "key_statement",
)  # fmt: skip
"""Tables to which the service adds, and changes nothing."""
KEPT = (
    *UNTOUCHED, "gateway", "stream", "rejected", "certificate", "schema_version", "log_state", "heard", "witnessed",
)  # fmt: skip
"""Tables from which the service takes nothing away. Of ``batch`` a trigger keeps what the tree has counted."""
FILLED = ("body", "sealed_ms")
"""Columns of a batch that may change: a hole gets its body after all."""
LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "'60s'",
    "idle_in_transaction_session_timeout": "'60s'",
    "search_path": "aurora_read",
}
"""Settings at the start of a member's session. They are for its comfort: a session may change them."""
CONNECTIONS = 5
_HEAVY = (
    "SELECT CAST(CAST(oid AS regprocedure) AS text) FROM pg_proc "
    "WHERE pronamespace = CAST('pg_catalog' AS regnamespace) "
    "AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock' "
    "OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea')) ORDER BY 1"
)
"""Functions by which anybody may hold up the receivers' locks, or write to the disk."""


@dataclass(frozen=True, slots=True)
class MemberRole:
    """A member and its role; ``open`` is None where there is no role, else whether it may sign in."""

    member: str
    role: str
    open: bool | None


def role_of(member: int) -> str:
    """The name of a member's role."""
    return f"aurora_m{member}"


async def make_service(database: Database, verifier: str | None) -> str:
    """Make the receivers' role, or bring it up to date; returns its name. Needs a superuser.

    It goes around row-level security, is no superuser, owns nothing, and deletes no evidence.
    """
    async with database.transaction() as work:
        await _administrator(work, database.place, superuser=True)
        await _role(work, SERVICE, "LOGIN BYPASSRLS", verifier)
        name = await _database(work)
        await work.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {SERVICE}")
        await work.execute(f"GRANT USAGE ON SCHEMA aurora TO {SERVICE}")
        await work.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA aurora TO {SERVICE}")
        await work.execute(f"GRANT EXECUTE ON FUNCTION aurora.add_month(text, bigint, bigint) TO {SERVICE}")
        tables = await work.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = CAST('aurora' AS regnamespace) "
            "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
        )
        for (table,) in tables:
            await work.execute(f"REVOKE ALL ON aurora.{table} FROM {SERVICE}")
            await work.execute(f"GRANT {_rights(str(table))} ON aurora.{table} TO {SERVICE}")
        # A month's partition is made when nothing of that month lies here yet.
        await work.execute(f"GRANT SELECT ON aurora.batch_other TO {SERVICE}")
        for (function,) in await work.fetch(_HEAVY):
            await work.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {SERVICE}")
    return SERVICE


def _rights(table: str) -> str:
    if table == "schema_version":
        return "SELECT"
    rights = ["SELECT", "INSERT"]
    if table == "batch":
        rights += [f"UPDATE ({', '.join(FILLED)})", "DELETE"]
    elif table not in UNTOUCHED:
        rights += ["UPDATE"] if table in KEPT else ["UPDATE", "DELETE"]
    return ", ".join(rights)


async def make_member(database: Database, member: str, verifier: str | None) -> str:
    """Make a member's role, or bring it up to date; returns its name. Without ``verifier`` nobody signs in as it.

    Needs a superuser, or the owner of the database with CREATEROLE. Raises `AccessError` for a member that is not
    known, and for a role of that name that is another database's.
    """
    async with database.transaction() as work:
        await _administrator(work, database.place, superuser=False)
        number = await _member(work, member)
        name, role = await _database(work), role_of(number)
        await _close_to_everybody(work, name)
        await _group(work)
        there = await work.fetch(
            "SELECT has_schema_privilege(oid, 'aurora_read', 'USAGE') FROM pg_roles WHERE rolname = $1", role
        )
        if there and not there[0][0]:
            raise AccessError(
                f"the role {role} is there already, and not for this database",
                f"give each cluster a server of its own; where nobody needs it any more: DROP ROLE {role}",
            )
        await _role(work, role, "NOLOGIN" if verifier is None else "LOGIN", verifier)
        await work.execute(f"ALTER ROLE {role} CONNECTION LIMIT {CONNECTIONS}")
        for setting, value in LIMITS.items():
            await work.execute(f"ALTER ROLE {role} IN DATABASE {name} SET {setting} = {value}")
        await work.execute(f"GRANT {MEMBERS} TO {role}")
        await work.execute(f"GRANT CONNECT ON DATABASE {name} TO {role}")
        await work.execute(f"GRANT USAGE ON SCHEMA aurora_read TO {role}")
    return role


async def close_member(database: Database, member: str) -> str:
    """Let nobody sign in as a member any more, and end the sessions there are; returns the role's name."""
    async with database.transaction() as work:
        role = role_of(await _member(work, member))
        if not await work.fetch("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            raise AccessError(f"the member {member!r} has no role", "nothing is open")
        await work.execute(f"ALTER ROLE {role} NOLOGIN PASSWORD NULL")
    async with database.transaction() as work:
        # Only when that is committed: or else a session could begin in between.
        await work.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
    return role


async def member_roles(work: Work) -> list[MemberRole]:
    """All members in order of their names."""
    found = await work.fetch(
        "SELECT m.name, m.id, r.rolcanlogin FROM member m "
        "LEFT JOIN pg_roles r ON r.rolname = 'aurora_m' || m.id ORDER BY m.name"
    )
    return [MemberRole(name, role_of(number), can) for name, number, can in found]


async def _administrator(work: Work, place: str, *, superuser: bool) -> None:
    if work.dialect.engine != "postgresql":
        raise StorageError(f"{place} is a file, which has no users", "members read with SQL from PostgreSQL alone")
    found = await work.fetch("SELECT rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
    name, is_superuser, makes_roles = found[0]
    if not is_superuser and (superuser or not makes_roles):
        what = "a superuser" if superuser else "a superuser, or the owner of the database with CREATEROLE"
        raise AccessError(f"the role {name} may not make this role", f"give --store the address of {what}")


async def _member(work: Work, member: str) -> int:
    found = await work.fetch("SELECT id FROM member WHERE name = $1", member)
    if not found:
        names = ", ".join(
            str(name) for (name,) in await work.fetch("SELECT name FROM member ORDER BY name LIMIT 20")
        )
        raise AccessError(f"there is no member {member!r}", f"there are: {names or 'none'}")
    return int(found[0][0])


async def _database(work: Work) -> str:
    return str((await work.fetch("SELECT quote_ident(current_database())"))[0][0])


async def _role(work: Work, role: str, attributes: str, verifier: str | None) -> None:
    """The role with these rights of itself and no others."""
    if not await work.fetch("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await work.execute(f"CREATE ROLE {role}")
    bypass = "" if "BYPASSRLS" in attributes else " NOBYPASSRLS"
    limits = await work.fetch("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    # Only a superuser may say these words, even to take away what is not there.
    strict = f" NOSUPERUSER NOREPLICATION{bypass}" if limits[0][0] else ""
    await work.execute(f"ALTER ROLE {role} {attributes} NOCREATEDB NOCREATEROLE INHERIT{strict}")
    if verifier is not None:
        await work.execute(f"ALTER ROLE {role} PASSWORD '{verifier}'")


async def _close_to_everybody(work: Work, database: str) -> None:
    """What PostgreSQL gives to PUBLIC: to connect, to make temporary tables, large objects and locks."""
    await work.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC")
    await work.execute("REVOKE ALL ON ALL TABLES IN SCHEMA aurora, aurora_read FROM PUBLIC")
    if (await work.fetch("SELECT to_regnamespace('public') IS NOT NULL"))[0][0]:
        await work.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    if (await work.fetch("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))[0][0]:
        owners = await work.fetch(
            "SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace WHERE nspname = 'aurora'"
        )
        for (function,) in await work.fetch(_HEAVY):
            await work.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
            # The owner keeps the lock under which the schema is brought up to date.
            await work.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {owners[0][0]}")


async def _group(work: Work) -> None:
    """The group: the views, and of the tables the columns that views and policies ask for.

    Members cannot name a table, for they have no right to the schema; the views ask with their readers' rights.
    """
    if not await work.fetch("SELECT 1 FROM pg_roles WHERE rolname = $1", MEMBERS):
        await work.execute(f"CREATE ROLE {MEMBERS} NOLOGIN")
    await work.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA aurora, aurora_read FROM {MEMBERS}")
    await work.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA aurora_read TO {MEMBERS}")
    needed = await work.fetch(
        "SELECT CAST(CAST(t.oid AS regclass) AS text), string_agg(DISTINCT quote_ident(a.attname), ', ') "
        "FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid "
        "JOIN pg_depend d ON d.classid = CAST('pg_rewrite' AS regclass) AND d.objid = r.oid "
        "AND d.refclassid = CAST('pg_class' AS regclass) AND d.refobjsubid > 0 "
        "JOIN pg_class t ON t.oid = d.refobjid AND t.oid <> v.oid "
        "JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid "
        "WHERE v.relnamespace = CAST('aurora_read' AS regnamespace) GROUP BY t.oid"
    )
    for table, columns in needed:
        await work.execute(f"GRANT SELECT ({columns}) ON {table} TO {MEMBERS}")
    await work.execute(f"GRANT SELECT (id, member) ON gateway TO {MEMBERS}")
