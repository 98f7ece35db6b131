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
from medbots.database import granting, table

PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
PREFIX = "medbots_bot_"
_PASSWORD_BYTES = 32
CREATED = "made, for its own rows of the tables and nothing else"

_ATTRIBUTES = {"rolinherit": (False, "NOINHERIT"), "rolcanlogin": (True, "LOGIN")}


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
    grantee = granting.Grantee(connection, role.name)

    async def mended() -> list[str]:
        return [
            *await _ensure_role(grantee, role),
            *await _ensure_settings(grantee, search_path),
            *await _ensure_access(grantee, search_path),
            *await _ensure_tables(grantee, role),
        ]

    return await grantee.ensure(CREATED, mended)


async def set_password(connection: connection_module.Connection, role: Role) -> secret.Secret:
    """Give the role a new password and return it. Only its SCRAM verifier reaches the server."""
    password = secret.Secret(secrets.token_urlsafe(_PASSWORD_BYTES))
    verifier = connection.pgconn.encrypt_password(
        password.reveal().encode(), role.name.encode(), b"scram-sha-256"
    ).decode()
    with connection_module.translated(doing=f"role {role.name}"):
        grantee = granting.Grantee(connection, role.name)
        await grantee.run("ALTER ROLE {} PASSWORD {}", sql.Literal(verifier))
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
        [list(table.STORE)],
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


async def _ensure_role(grantee: granting.Grantee, role: Role) -> list[str]:
    done = await grantee.mend(_ATTRIBUTES)
    if done is not None:
        return done
    limit = await grantee.connection.execute(
        "SELECT greatest(current_setting('max_connections')::int / 2, 10)"
    )
    (most,) = await limit.fetchone() or (50,)
    # NOINHERIT, LOGIN and the limit; everything else a role lacks by default. One project's
    # burst of events must leave connections to Medplum itself.
    await grantee.run("CREATE ROLE {} NOINHERIT LOGIN CONNECTION LIMIT {}", sql.Literal(most))
    note = f"bots of Medplum project {role.project}; made by medbots db init"
    await grantee.run("COMMENT ON ROLE {} IS {}", sql.Literal(note))
    return [CREATED]


async def _ensure_settings(grantee: granting.Grantee, search_path: str) -> list[str]:
    cursor = await grantee.connection.execute(
        "SELECT unnest(setconfig) FROM pg_db_role_setting "
        "WHERE setrole = %s::regrole AND setdatabase = 0",
        [grantee.name],
    )
    found = dict([tuple(line.split("=", 1)) async for (line,) in cursor])
    done = []
    for name, value in settings(search_path).items():
        if found.get(name) != value:
            # A search path is a list: one literal would be one name with a comma in it.
            literal = sql.SQL(value) if name == "search_path" else sql.Literal(value)
            await grantee.run(f"ALTER ROLE {{}} SET {name} = {{}}", literal)
            done.append(f"set {name}")
    return done


async def _ensure_access(grantee: granting.Grantee, search_path: str) -> list[str]:
    """Grant what is usually everybody's, where somebody took it from PUBLIC."""
    done = []
    cursor = await grantee.connection.execute(
        "SELECT has_database_privilege(%s, current_database(), 'CONNECT'), current_database()",
        [grantee.name],
    )
    may_connect, database = await cursor.fetchone() or (True, "")
    if not may_connect:
        await grantee.run("GRANT CONNECT ON DATABASE {1} TO {0}", sql.Identifier(database))
        done.append("granted CONNECT")
    for schema in search_path.split(", "):
        done += await grantee.enter(schema)
    return done


async def _ensure_tables(grantee: granting.Grantee, role: Role) -> list[str]:
    every = await tables(grantee.connection)
    done = []
    for name in every:
        done += await grantee.grant(name, PRIVILEGES)
    for name in every:
        cursor = await grantee.connection.execute(
            "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass", [name]
        )
        if await cursor.fetchone() != (True,):
            await grantee.run("ALTER TABLE {1} ENABLE ROW LEVEL SECURITY", sql.SQL(name))
            done.append(f"enabled row-level security on {name}")
        done += await grantee.limit(name, role.own_rows)
    return done
