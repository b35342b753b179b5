"""A store with three members whose every row says whose it is, in all tables, and a way to be one of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from postgres_server import Server

from gateway.cluster.database import Database, Work

MEMBERS = ("Alder Dairy", "Birch Fish", "Cedar Meat")
NOW_MS = 1_795_000_000_000


def full_name(member: int) -> str:
    """The name of a member as it stands in the store."""
    return f"{MEMBERS[member - 1]} {secret(member)}"


def secret(member: int) -> str:
    """A word that stands in all texts of a member, and nowhere else."""
    return f"secret-of-{member}"


async def fill(work: Work, table: str, member: int, *, times: int = 3) -> None:
    """Rows in a table, made from its columns as the catalogue has them: a new table is filled, too."""
    columns = await work.fetch(
        "SELECT a.attname, format_type(a.atttypid, NULL), a.attidentity <> '' FROM pg_attribute a "
        "WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        f"aurora.{table}",
    )
    for number in range(times):
        row: dict[str, Any] = {}
        for name, kind, identity in columns:
            row[name] = _value(table, name, kind, identity, member, number)
        places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        await work.execute(
            f"INSERT INTO aurora.{table} ({', '.join(row)}) VALUES ({places}) ON CONFLICT DO NOTHING", *row.values()
        )


def _value(table: str, name: str, kind: str, identity: bool, member: int, number: int) -> Any:
    if name == "member" and kind == "bigint":
        return member
    if table == "member":
        return {"id": member, "name": full_name(member)}[name]
    if name == "gateway" and kind == "bigint":
        return member * 1000
    if name == "channel" and kind == "bigint":
        return member * 1000
    if identity:
        return member * 1000 + number
    if name == "received_ms":
        return NOW_MS + number
    if kind == "bigint":
        return member * 1000 + number
    if kind == "double precision":
        return member * 1000.0 + number
    text = f"{secret(member)} {table} {name} {number}"
    return text.encode() if kind == "bytea" else text


async def tables(work: Work) -> list[str]:
    """All tables of the store, without partitions; those that others refer to first."""
    found = [
        str(name)
        for (name,) in await work.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'aurora'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
        )
    ]
    first = ["member", "gateway", "channel", "stream"]
    return [*first, *(name for name in found if name not in first)]


async def populate(database: Database) -> None:
    """Three rows for each member in each table."""
    async with database.transaction() as work:
        for table in await tables(work):
            if table == "schema_version":
                continue
            for member in range(1, len(MEMBERS) + 1):
                await fill(work, table, member)
        await work.execute("ANALYZE")


@asynccontextmanager
async def acting(server: Server, url: str, role: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection signed in as a role."""
    name = url.split("@/")[1].split("?", maxsplit=1)[0]
    connection = await asyncpg.connect(server.url(name, role), timeout=20)
    try:
        yield connection
    finally:
        await connection.close()
