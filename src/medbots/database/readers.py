"""The role of one project's monitoring: which rows there are, and nothing of what they say.

A group without a login: whoever watches the store is given it (`GRANT … TO …`).
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from medbots.database import connection as connection_module
from medbots.database import granting, migrations, queries, roles, table

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

_ATTRIBUTES = {"rolcanlogin": (False, "NOLOGIN")}


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
    grantee = granting.Grantee(connection, reader.name)

    async def mended() -> list[str]:
        done = await _ensure_role(grantee, reader)
        for name in await roles.tables(connection):
            done += await _ensure_columns(grantee, name, COLUMNS.get(name, COLUMNS[table.NAME]))
            done += await grantee.limit(name, reader.bot.own_rows, reading=True)
        done += await grantee.enter("public")
        return done + await grantee.grant(migrations.HISTORY, {"SELECT"})

    return await grantee.ensure(CREATED, mended)


async def _ensure_role(grantee: granting.Grantee, reader: Reader) -> list[str]:
    done = await grantee.mend(_ATTRIBUTES)
    if done is not None:
        return done
    await grantee.run("CREATE ROLE {} NOLOGIN")
    note = f"monitoring of Medplum project {reader.bot.project}; made by medbots db init"
    await grantee.run("COMMENT ON ROLE {} IS {}", sql.Literal(note))
    return [CREATED]


async def _ensure_columns(
    grantee: granting.Grantee, name: str, columns: tuple[str, ...]
) -> list[str]:
    cursor = await grantee.connection.execute(
        "SELECT attname, privilege_type, is_grantable FROM pg_attribute, aclexplode(attacl) "
        "WHERE attrelid = %s::regclass AND grantee = %s::regrole",
        [name, grantee.name],
    )
    granted = {tuple(row) async for row in cursor}
    whole = await grantee.granted(name)
    if not whole and granted == {(column, "SELECT", False) for column in columns}:
        return []
    on = sql.SQL(name)
    # Takes the rights on single columns too.
    await grantee.run("REVOKE ALL ON {1} FROM {0}", on)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    await grantee.run("GRANT SELECT ({2}) ON {1} TO {0}", on, listed)
    return [f"granted SELECT on {len(columns)} columns of {name}"]
