"""The role that one project's bots connect as: its tables, its own rows, and nothing else."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from medbots import errors, secret
from medbots.database import connection as connection_module
from medbots.database import granting, table, table_lock

TABLES = (*table.GENERATIONS, table.TOMBSTONES)
"""All that there may be; those that there are: `tables`."""
PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
PREFIX = "medbots_bot_"
_PASSWORD_BYTES = 32
CREATED = "made, for its own rows of the tables and nothing else"

_ATTRIBUTES = {
    # What a role has by default, and ours must not; only a superuser may name the first three.
    "rolsuper": (False, "NOSUPERUSER"),
    "rolreplication": (False, "NOREPLICATION"),
    "rolbypassrls": (False, "NOBYPASSRLS"),
    "rolcreaterole": (False, "NOCREATEROLE"),
    "rolcreatedb": (False, "NOCREATEDB"),
    "rolinherit": (False, "NOINHERIT"),
    "rolcanlogin": (True, "LOGIN"),
}


@dataclass(frozen=True, slots=True)
class Role:
    """The role of one project in one database."""

    name: str
    project: uuid.UUID

    @property
    def policy(self) -> str:
        """The name of its row-level policy, on each table."""
        return self.name

    @property
    def own_rows(self) -> str:
        """What that policy says, as Postgres writes it."""
        return f"(project_id = '{self.project}'::uuid)"


def of_project(project_id: str, database: str) -> Role:
    """Return the role of a project's bots in a database.

    Roles belong to the whole server. The name carries project and database, so that neither
    another project nor a copy of the database on the same server ever shares its password.

    Raises:
        errors.UsageError: the project's id is no UUID.
    """
    try:
        project = uuid.UUID(project_id)
    except ValueError:
        raise errors.UsageError(f"the project's id {project_id!r} is not a UUID") from None
    return Role(f"{PREFIX}{project.hex}_{copy_of(database)}", project)


def copy_of(database: str) -> str:
    """Return what the names of a database's roles end with."""
    return hashlib.sha256(database.encode()).hexdigest()[:8]


def settings(search_path: str) -> Mapping[str, str]:
    """Return the settings that every session of a bot starts with."""
    return {
        # Medplum's Postgres defaults to REPEATABLE READ, where lock, delete and insert race.
        "default_transaction_isolation": "read committed",
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "30s",
        "search_path": search_path,
    }


async def ensure(
    connection: connection_module.Connection, role: Role, search_path: str
) -> tuple[str, ...]:
    """Make the role, or mend what differs; return what was done, nothing where all was well.

    The password is not touched: a new role cannot log in until `set_password`. The caller holds
    `lock.alone`. One transaction: an interruption leaves all or nothing.

    Raises:
        errors.NotAllowedError: this login may not make roles, or does not own the tables.
    """

    async def ensured(lock_timeout: str) -> list[str]:
        # A policy locks its table.
        async with table_lock.transaction(connection, lock_timeout):
            return [
                *await _ensure_role(connection, role),
                *await _ensure_settings(connection, role, search_path),
                *await _ensure_access(connection, role, search_path),
                *await _ensure_grants(connection, role),
                *await _ensure_policies(connection, role),
            ]

    with connection_module.translated(doing=f"role {role.name}"):
        done = await table_lock.briefly(ensured)
    return (CREATED,) if done[:1] == [CREATED] else tuple(done)


async def set_password(connection: connection_module.Connection, role: Role) -> secret.Secret:
    """Give the role a new password and return it. Only its SCRAM verifier reaches the server."""
    password = secret.Secret(secrets.token_urlsafe(_PASSWORD_BYTES))
    verifier = connection.pgconn.encrypt_password(
        password.reveal().encode(), role.name.encode(), b"scram-sha-256"
    ).decode()
    with connection_module.translated(doing=f"role {role.name}"):
        await _run(connection, "ALTER ROLE {} PASSWORD {}", role, sql.Literal(verifier))
    return password


async def shared(connection: connection_module.Connection, project_id: str) -> bool:
    """Return whether other projects use the table too; without a project, whether any does."""
    own = of_project(project_id, connection.info.dbname).policy if project_id else ""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass(%s) AND polname <> %s "
        "AND NOT starts_with(polname::text, 'medbots_reader_'))",
        [table.NAME, own],
    )
    return await cursor.fetchone() == (True,)


async def tables(connection: connection_module.Connection) -> tuple[str, ...]:
    """Return the tables that bots use, as far as they are there."""
    cursor = await connection.execute(
        "SELECT name FROM unnest(%s::text[]) WITH ORDINALITY AS t (name, rank) "
        "WHERE to_regclass(name) IS NOT NULL ORDER BY rank",
        [list(TABLES)],
    )
    return tuple([name async for (name,) in cursor])


async def intruders(connection: connection_module.Connection, role: Role) -> tuple[str, ...]:
    """Return the policies of others that show the role more than its own rows, with their cure."""
    every = await tables(connection)
    cursor = await connection.execute(
        "SELECT format('DROP POLICY %%I ON %%s', polname, polrelid::regclass) FROM pg_policy "
        "WHERE polrelid = ANY (%s::regclass[]) AND polname <> %s AND polpermissive "
        "AND polroles && ARRAY[0::oid, %s::regrole::oid] ORDER BY 1",
        [list(every), role.policy, role.name],
    )
    return tuple([statement async for (statement,) in cursor])


async def _ensure_role(connection: connection_module.Connection, role: Role) -> list[str]:
    columns = ", ".join(_ATTRIBUTES)
    cursor = await connection.execute(
        f"SELECT {columns} FROM pg_roles WHERE rolname = %s".encode(),  # noqa: S608
        [role.name],
    )
    row = await cursor.fetchone()
    if row is None:
        limit = await connection.execute(
            "SELECT greatest(current_setting('max_connections')::int / 2, 10)"
        )
        (most,) = await limit.fetchone() or (50,)
        # NOINHERIT, LOGIN and the limit; everything else a role lacks by default. One project's
        # burst of events must leave connections to Medplum itself.
        await _run(
            connection,
            "CREATE ROLE {} NOINHERIT LOGIN CONNECTION LIMIT {}",
            role,
            sql.Literal(most),
        )
        note = f"bots of Medplum project {role.project}; made by medbots db init"
        await _run(connection, "COMMENT ON ROLE {} IS {}", role, sql.Literal(note))
        return [CREATED]
    wrong = [
        keyword
        for (wanted, keyword), actual in zip(_ATTRIBUTES.values(), row, strict=True)
        if wanted is not actual
    ]
    if wrong:
        await _run(connection, f"ALTER ROLE {{}} {' '.join(wrong)}", role)
    left = await granting.groups(connection, role.name)
    for group in left:
        await _run(connection, "REVOKE {1} FROM {0}", role, sql.SQL(group))
    return [f"set {keyword}" for keyword in wrong] + [f"left {group}" for group in left]


async def _ensure_settings(
    connection: connection_module.Connection, role: Role, search_path: str
) -> list[str]:
    cursor = await connection.execute(
        "SELECT unnest(setconfig) FROM pg_db_role_setting "
        "WHERE setrole = %s::regrole AND setdatabase = 0",
        [role.name],
    )
    found = dict([tuple(line.split("=", 1)) async for (line,) in cursor])
    done = []
    for name, value in settings(search_path).items():
        if found.get(name) != value:
            # A search path is a list: one literal would be one name with a comma in it.
            literal = sql.SQL(value) if name == "search_path" else sql.Literal(value)
            await _run(connection, f"ALTER ROLE {{}} SET {name} = {{}}", role, literal)
            done.append(f"set {name}")
    return done


async def _ensure_access(
    connection: connection_module.Connection, role: Role, search_path: str
) -> list[str]:
    """Grant what is usually everybody's, where somebody took it from PUBLIC."""
    done = []
    cursor = await connection.execute(
        "SELECT has_database_privilege(%s, current_database(), 'CONNECT'), current_database()",
        [role.name],
    )
    may_connect, database = await cursor.fetchone() or (True, "")
    if not may_connect:
        await _run(
            connection, "GRANT CONNECT ON DATABASE {1} TO {0}", role, sql.Identifier(database)
        )
        done.append("granted CONNECT")
    for schema in search_path.split(", "):
        cursor = await connection.execute(
            "SELECT has_schema_privilege(%s, %s::regnamespace, 'USAGE')", [role.name, schema]
        )
        if await cursor.fetchone() != (True,):
            await _run(connection, "GRANT USAGE ON SCHEMA {1} TO {0}", role, sql.SQL(schema))
            done.append(f"granted USAGE on schema {schema}")
    return done


async def _ensure_grants(connection: connection_module.Connection, role: Role) -> list[str]:
    done = []
    for name in await tables(connection):
        if await granting.granted(connection, role.name, name) != {
            (privilege, False) for privilege in PRIVILEGES
        }:
            on = sql.SQL(name)
            await _run(connection, "REVOKE ALL ON {1} FROM {0}", role, on)
            privileges = ", ".join(sorted(PRIVILEGES))
            await _run(connection, f"GRANT {privileges} ON {{1}} TO {{0}}", role, on)
            done.append(f"granted {privileges} on {name}")
    return done


async def _ensure_policies(connection: connection_module.Connection, role: Role) -> list[str]:
    done = []
    own_rows = role.own_rows
    for name in await tables(connection):
        cursor = await connection.execute(
            "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass", [name]
        )
        if await cursor.fetchone() != (True,):
            await _run(connection, "ALTER TABLE {1} ENABLE ROW LEVEL SECURITY", role, sql.SQL(name))
            done.append(f"enabled row-level security on {name}")
        cursor = await connection.execute(
            "SELECT polcmd::text, polpermissive, polroles = ARRAY[%s::regrole::oid], "
            "pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) "
            "FROM pg_policy WHERE polrelid = %s::regclass AND polname = %s",
            [role.name, name, role.policy],
        )
        row = await cursor.fetchone()
        if row == ("*", True, True, own_rows, own_rows):
            continue
        on = sql.SQL(name)
        if row is not None:
            await _run(connection, "DROP POLICY {0} ON {1}", role, on)
        await _run(
            connection,
            "CREATE POLICY {0} ON {1} TO {0} USING {2} WITH CHECK {2}",
            role,
            on,
            sql.SQL(own_rows),
        )
        done.append(f"limited {name} to rows of the project")
    return done


async def _run(
    connection: connection_module.Connection, statement: str, role: Role, *parts: sql.Composable
) -> None:
    await granting.run(connection, statement, role.name, *parts)
