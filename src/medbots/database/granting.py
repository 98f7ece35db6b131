"""What a role has been granted, and statements about it."""

from __future__ import annotations

import psycopg
from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module


async def groups(connection: connection_module.Connection, name: str) -> list[str]:
    """Return the roles that a role is a member of, quoted where they need it."""
    cursor = await connection.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", [name]
    )
    return [group async for (group,) in cursor]


async def granted(
    connection: connection_module.Connection, name: str, on: str
) -> set[tuple[str, bool]]:
    """Return a role's own rights on a whole table, each with whether it may pass it on."""
    cursor = await connection.execute(
        "SELECT a.privilege_type, a.is_grantable FROM pg_class c, aclexplode(c.relacl) a "
        "WHERE c.oid = %s::regclass AND a.grantee = %s::regrole",
        [on, name],
    )
    return {(privilege, grantable) async for privilege, grantable in cursor}


async def run(
    connection: connection_module.Connection, statement: str, name: str, *parts: sql.Composable
) -> None:
    """Execute a statement about a role; `{}` or `{0}` is its name, the rest are `parts`.

    Raises:
        errors.NotAllowedError: this login may not do it. The hint is who may.
    """
    composed = sql.SQL(statement).format(sql.Identifier(name), *parts)
    try:
        await connection.execute(composed)
    except psycopg.errors.InsufficientPrivilege as error:
        said = (error.diag.message_primary or "").strip()
        raise errors.NotAllowedError(
            f"role {name}: {said}",
            hint="only a superuser, or the login that made the role, may change it: set "
            f"{connection_module.SETTING} to that login",
        ) from error
