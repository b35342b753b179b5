"""Row-level security on every table: what nobody opened by a policy is shut to all but the cluster's own roles."""

from gateway.cluster.database import Work
from gateway.errors import StorageError

LEAST = 150_000
"""Views that ask with the rights of their reader (``security_invoker``) are there from PostgreSQL 15 on."""


async def check_server(work: Work, place: str) -> None:
    """Raises `StorageError` for a server that cannot keep members apart, or a role that would see no rows."""
    version = int((await work.fetch("SELECT current_setting('server_version_num')"))[0][0])
    if version < LEAST:
        raise StorageError(f"{place} is PostgreSQL {version // 10_000}", "use PostgreSQL 15 or newer")
    found = await work.fetch("SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    name, sees = found[0]
    if not sees:
        raise StorageError(
            f"{place}: the role {name} sees no rows, for row-level security holds for it",
            f'as a superuser: ALTER ROLE "{name}" BYPASSRLS, or use aurora_service',
        )


async def shut(work: Work) -> None:
    """Enable and force row-level security where it is not: on new tables, and on new partitions."""
    found = await work.fetch(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = CAST('aurora' AS regnamespace) "
        "AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY c.relname"
    )
    for (name,) in found:
        quoted = str(name).replace('"', '""')
        await work.execute(f'ALTER TABLE "{quoted}" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY')
