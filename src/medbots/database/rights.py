"""What this login may not do and `db init` needs, as the statements that would allow it."""

from __future__ import annotations

from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import queries, roles, table


async def require(
    connection: connection_module.Connection, role: roles.Role | None, verb: str = "db init"
) -> None:
    """Raise unless this login may make the tables and the role, before anything is changed.

    Without a role only the tables count.

    Raises:
        errors.NotAllowedError: with every statement, at once, that a superuser should run.
    """
    tables = [*table.STORE, "public.medbots_migrations"]
    cursor = await queries.run(connection, "owner_rights", role.name if role else "", tables)
    row = await cursor.fetchone()
    if row is None:  # pragma: no cover
        return
    user, database, may_create, may_make_roles, foreign = row
    me = sql.Identifier(user).as_string()
    cures = []
    if not may_create:
        cures.append(f"GRANT CREATE ON SCHEMA public TO {me};")
    if role and not may_make_roles:
        cures.append(f"ALTER ROLE {me} CREATEROLE;")
    cures += [f"ALTER TABLE {name} OWNER TO {me};" for name in foreign]
    if cures:
        owners = await _owners(connection, foreign)
        # Who is no owner by mistake, as a login that only reads, is not to be made one.
        first = (
            f"let {connection_module.SETTING} name their owner, {owners}; or, to make {user} the "
            "owner, "
            if owners
            else ""
        )
        raise errors.NotAllowedError(
            f"role {user} has not the rights that {verb} needs in database {database}",
            hint=f"{first}a superuser runs, in database {database}: {' '.join(cures)}",
        )


async def _owners(connection: connection_module.Connection, tables: list[str]) -> str:
    cursor = await connection.execute(
        "SELECT string_agg(DISTINCT relowner::regrole::text, ' or ') FROM pg_class "
        "WHERE oid = ANY (SELECT to_regclass(t)::oid FROM unnest(%s::text[]) t)",
        [tables],
    )
    row = await cursor.fetchone()
    return (row[0] if row else None) or ""


async def public_may_create(connection: connection_module.Connection) -> bool:
    """Return whether every role may make tables in schema public, as before Postgres 15."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM pg_namespace n, aclexplode(n.nspacl) a "
        "WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE')"
    )
    return await cursor.fetchone() == (True,)
