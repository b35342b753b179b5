"""What would let one member see or disturb another: looked for in the server's catalogue, whoever put it there."""

from gateway.cluster.database import Work

__all__ = ["openings"]

ROLE = "^aurora_m(ember|[1-9][0-9]*)$"
_NAME = "n.nspname || '.' || c.relname"
_RELATION = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
_QUERIES: dict[str, tuple[str, str]] = {
    "a table without row-level security that holds for everybody": (
        f"SELECT {_NAME} {_RELATION} WHERE n.nspname = 'aurora' AND c.relkind IN ('r', 'p') "
        "AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        "restart a receiver, or ALTER TABLE ... ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    ),
    "a policy that does not ask who reads": (
        "SELECT schemaname || '.' || tablename || ': ' || policyname FROM pg_policies WHERE schemaname = 'aurora' "
        "AND (permissive = 'PERMISSIVE') AND coalesce(qual, '') NOT LIKE '%CURRENT_USER%aurora_m(%' "
        "AND coalesce(qual, with_check) IS NOT NULL",
        "take it away: DROP POLICY",
    ),
    "a view that reads with its owner's rights": (
        f"SELECT {_NAME} {_RELATION} WHERE c.relkind IN ('v', 'm') "
        "AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
        "AND (c.relkind = 'm' OR NOT coalesce(c.reloptions @> '{security_invoker=true}' "
        "OR c.reloptions @> '{security_invoker=on}', false)) "
        "AND EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON d.classid = CAST('pg_rewrite' AS regclass) "
        "AND d.objid = r.oid JOIN pg_class t ON d.refclassid = CAST('pg_class' AS regclass) AND t.oid = d.refobjid "
        "WHERE r.ev_class = c.oid AND t.oid <> c.oid "
        "AND t.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('aurora', 'aurora_read')))",
        "make it WITH (security_invoker), or take it away",
    ),
    "a table, partition or sequence that a member may use": (
        f"SELECT DISTINCT {_NAME} || ' (' || pg_get_userbyid(g.grantee) || ')' {_RELATION}"
        "CROSS JOIN LATERAL aclexplode(c.relacl) g JOIN pg_roles r ON r.oid = g.grantee "
        f"WHERE n.nspname = 'aurora' AND r.rolname ~ '{ROLE}'",
        "REVOKE ALL ON it FROM that role",
    ),
    "a right given to everybody": (
        f"SELECT DISTINCT {_NAME} || ' (' || g.privilege_type || ')' {_RELATION}"
        "CROSS JOIN LATERAL aclexplode(c.relacl) g WHERE n.nspname IN ('aurora', 'aurora_read') AND g.grantee = 0 "
        "UNION ALL SELECT DISTINCT n.nspname || ' (' || g.privilege_type || ')' FROM pg_namespace n "
        "CROSS JOIN LATERAL aclexplode(n.nspacl) g WHERE g.grantee = 0 "
        "AND (n.nspname IN ('aurora', 'aurora_read') OR g.privilege_type = 'CREATE') "
        "UNION ALL SELECT 'this database (' || privilege || ')' "
        "FROM unnest(ARRAY['CONNECT', 'TEMPORARY']) AS privilege "
        "WHERE has_database_privilege('public', current_database(), privilege)",
        "REVOKE it FROM PUBLIC; `aurora-cluster member-role` does, as the owner",
    ),
    "a right of a member to change something": (
        f"SELECT DISTINCT {_NAME} || ' (' || g.privilege_type || ', ' || r.rolname || ')' {_RELATION}"
        "CROSS JOIN LATERAL aclexplode(c.relacl) g JOIN pg_roles r ON r.oid = g.grantee "
        f"WHERE r.rolname ~ '{ROLE}' AND g.privilege_type <> 'SELECT' "
        "UNION ALL SELECT n.nspname || ' (CREATE, ' || r.rolname || ')' FROM pg_namespace n, pg_roles r "
        f"WHERE r.rolname ~ '{ROLE}' AND has_schema_privilege(r.oid, n.oid, 'CREATE')",
        "REVOKE it FROM that role",
    ),
    "a member's role with powers of its own": (
        f"SELECT rolname FROM pg_roles WHERE rolname ~ '{ROLE}' "
        "AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)",
        "ALTER ROLE it NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION",
    ),
    "a member's role that may act as another": (
        "SELECT r.rolname || ' as ' || g.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.member "
        f"JOIN pg_roles g ON g.oid = a.roleid WHERE r.rolname ~ '{ROLE}' AND g.rolname <> 'aurora_member'",
        "REVOKE that role FROM it",
    ),
    "a function that works with its owner's rights and that anybody may call": (
        "SELECT CAST(CAST(p.oid AS regprocedure) AS text) FROM pg_proc p "
        "JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND EXISTS ("
        "SELECT FROM pg_roles r WHERE r.rolname ~ '^aurora_m' AND has_function_privilege(r.oid, p.oid, 'EXECUTE') "
        "AND has_schema_privilege(r.oid, n.oid, 'USAGE'))",
        "REVOKE EXECUTE ON FUNCTION it FROM PUBLIC",
    ),
    "a function by which a member could fill the disk, or hold up the receivers": (
        "SELECT CAST(CAST(oid AS regprocedure) AS text) FROM pg_proc "
        "WHERE pronamespace = CAST('pg_catalog' AS regnamespace) "
        "AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock' "
        "OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea')) "
        "AND has_function_privilege('public', oid, 'EXECUTE')",
        "run `aurora-cluster member-role` once as a superuser",
    ),
}


async def openings(work: Work) -> list[str]:
    """Everything that is not as it has to be, a line each with its remedy; empty is well."""
    found = []
    for what, (query, remedy) in _QUERIES.items():
        found += [f"{what}: {name}; {remedy}" for (name,) in await work.fetch(f"{query} ORDER BY 1")]
    return found
