"""The role of one project's monitoring: which rows there are, and nothing of what they say.

A group without a login: whoever watches the store is given it (`GRANT … TO …`).
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from medbots.database import connection as connection_module
from medbots.database import granting, migrations, queries, roles, table, table_lock

PREFIX = "medbots_reader_"
CREATED = "made, for what its project's rows are and not for what they say"

COLUMNS = {
    # No text, section, vector or patient. A hash would let short texts be guessed and compared.
    table.NAME: (
        "id",
        "project_id",
        "fhir_resource_type",
        "fhir_resource_id",
        "version_id",
        "content_type",
        "chunk_index",
        "chunk_count",
        "model_version",
        "resource_updated_at",
        "created_at",
    ),
    table.TOMBSTONES: (
        "project_id",
        "fhir_resource_type",
        "fhir_resource_id",
        "version_id",
        "deleted_at",
    ),
}
"""What it may read of each table that has rows of projects."""

_ATTRIBUTES = {
    "rolsuper": "NOSUPERUSER",
    "rolreplication": "NOREPLICATION",
    "rolbypassrls": "NOBYPASSRLS",
    "rolcreaterole": "NOCREATEROLE",
    "rolcreatedb": "NOCREATEDB",
    "rolcanlogin": "NOLOGIN",
}
"""What it must not have, and the word that takes it away."""


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader of one project in one database."""

    name: str
    bot: roles.Role
    """The role of the same project's bots."""


def of_project(project_id: str, database: str) -> Reader:
    """Return the reader of a project in a database; its name carries both, as the bots' does.

    Raises:
        errors.UsageError: the project's id is no UUID.
    """
    bot = roles.of_project(project_id, database)
    return Reader(bot.name.replace(roles.PREFIX, PREFIX, 1), bot)


@dataclass(frozen=True, slots=True)
class Made:
    """A role that `db init` made for a project in this database."""

    name: str
    kind: str
    """`bot` or `reader`."""
    project_id: str
    members: tuple[str, ...]
    """Roles that were given it, but for the login that made it."""


async def made(connection: connection_module.Connection) -> tuple[Made, ...]:
    """Return the roles of every project in this database."""
    copy = roles.copy_of(connection.info.dbname)
    cursor = await queries.run(connection, "project_roles", roles.PREFIX, PREFIX, copy)
    return tuple(
        [
            Made(name, kind, project_id, tuple(members))
            async for name, kind, project_id, members in cursor
        ]
    )


async def hindrance(connection: connection_module.Connection, reader: Reader) -> str | None:
    """Return what a superuser should run, where the role is missing and this login makes none."""
    cursor = await connection.execute(
        "SELECT quote_ident(current_user), rolsuper OR rolcreaterole OR "
        "EXISTS (SELECT FROM pg_roles WHERE rolname = %s) "
        "FROM pg_roles WHERE rolname = current_user",
        [reader.name],
    )
    me, may = await cursor.fetchone() or ("", True)
    if may:
        return None
    return (
        f"there is no role for monitoring, and {me} may not make one: a superuser runs "
        f"ALTER ROLE {me} CREATEROLE; then medbots db init"
    )


async def ensure(connection: connection_module.Connection, reader: Reader) -> tuple[str, ...]:
    """Make the role, or mend what differs; return what was done, nothing where all was well.

    Who is a member of it stays. The caller holds `lock.alone`. One transaction: an interruption
    leaves all or nothing.

    Raises:
        errors.NotAllowedError: this login may not make roles, or does not own the tables.
    """

    async def ensured(lock_timeout: str) -> list[str]:
        # A policy locks its table.
        async with table_lock.transaction(connection, lock_timeout):
            done = await _ensure_role(connection, reader)
            for name in await roles.tables(connection):
                columns = COLUMNS.get(name, COLUMNS[table.NAME])
                done += await _ensure_columns(connection, reader, name, columns)
                done += await _ensure_policy(connection, reader, name)
            return done + await _ensure_history(connection, reader)

    with connection_module.translated(doing=f"role {reader.name}"):
        done = await table_lock.briefly(ensured)
    return (CREATED,) if done[:1] == [CREATED] else tuple(done)


async def _ensure_role(connection: connection_module.Connection, reader: Reader) -> list[str]:
    cursor = await connection.execute(
        f"SELECT {', '.join(_ATTRIBUTES)} FROM pg_roles WHERE rolname = %s".encode(),  # noqa: S608
        [reader.name],
    )
    row = await cursor.fetchone()
    if row is None:
        await _run(connection, "CREATE ROLE {} NOLOGIN", reader)
        note = f"monitoring of Medplum project {reader.bot.project}; made by medbots db init"
        await _run(connection, "COMMENT ON ROLE {} IS {}", reader, sql.Literal(note))
        return [CREATED]
    surplus = [word for word, has in zip(_ATTRIBUTES.values(), row, strict=True) if has]
    if surplus:
        await _run(connection, f"ALTER ROLE {{}} {' '.join(surplus)}", reader)
    groups = await granting.groups(connection, reader.name)
    for group in groups:
        await _run(connection, "REVOKE {1} FROM {0}", reader, sql.SQL(group))
    return [f"set {word}" for word in surplus] + [f"left {group}" for group in groups]


async def _ensure_columns(
    connection: connection_module.Connection, reader: Reader, name: str, columns: tuple[str, ...]
) -> list[str]:
    cursor = await connection.execute(
        "SELECT attname, privilege_type, is_grantable FROM pg_attribute, aclexplode(attacl) "
        "WHERE attrelid = %s::regclass AND grantee = %s::regrole",
        [name, reader.name],
    )
    granted = {tuple(row) async for row in cursor}
    whole = await granting.granted(connection, reader.name, name)
    if not whole and granted == {(column, "SELECT", False) for column in columns}:
        return []
    on = sql.SQL(name)
    # Takes the rights on single columns too.
    await _run(connection, "REVOKE ALL ON {1} FROM {0}", reader, on)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    await _run(connection, "GRANT SELECT ({2}) ON {1} TO {0}", reader, on, listed)
    return [f"granted SELECT on {len(columns)} columns of {name}"]


async def _ensure_policy(
    connection: connection_module.Connection, reader: Reader, name: str
) -> list[str]:
    cursor = await connection.execute(
        "SELECT polcmd::text, polpermissive, polroles = ARRAY[%s::regrole::oid], "
        "pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = %s::regclass "
        "AND polname = %s",
        [reader.name, name, reader.name],
    )
    row = await cursor.fetchone()
    if row == ("r", True, True, reader.bot.own_rows):
        return []
    on = sql.SQL(name)
    if row is not None:
        await _run(connection, "DROP POLICY {0} ON {1}", reader, on)
    own_rows = sql.SQL(reader.bot.own_rows)
    statement = "CREATE POLICY {0} ON {1} FOR SELECT TO {0} USING {2}"
    await _run(connection, statement, reader, on, own_rows)
    return [f"limited {name} to rows of the project"]


async def _ensure_history(connection: connection_module.Connection, reader: Reader) -> list[str]:
    done = []
    cursor = await connection.execute(
        "SELECT has_schema_privilege(%s, 'public', 'USAGE')", [reader.name]
    )
    if await cursor.fetchone() != (True,):
        await _run(connection, "GRANT USAGE ON SCHEMA public TO {}", reader)
        done.append("granted USAGE on schema public")
    on = sql.SQL(migrations.HISTORY)
    if await granting.granted(connection, reader.name, migrations.HISTORY) != {("SELECT", False)}:
        await _run(connection, "REVOKE ALL ON {1} FROM {0}", reader, on)
        await _run(connection, "GRANT SELECT ON {1} TO {0}", reader, on)
        done.append(f"granted SELECT on {migrations.HISTORY}")
    return done


async def _run(
    connection: connection_module.Connection, statement: str, reader: Reader, *parts: sql.Composable
) -> None:
    await granting.run(connection, statement, reader.name, *parts)
