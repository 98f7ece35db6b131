"""Whether the database that this machine is told of is the one that a project's bots use.

Names prove little: a host has another name here than where the bots run, and a copy has the name of
its original. So what the bots' own login opens is compared.
"""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
from psycopg import conninfo

from medbots import errors, secret
from medbots.database import bot_url, roles
from medbots.database import connection as connection_module

_SECONDS = 4.0
"""For the bots' own way, which may lead nowhere from here."""
_NO_PLAIN_PASSWORD = "!password"  # noqa: S105
"""What answers at that name from here may be somebody else: it never sees the password."""
_IDENTITY = (
    "SELECT pg_postmaster_start_time()::text, oid FROM pg_database "
    "WHERE datname = current_database()"
)


async def require(
    connection: connection_module.Connection, project_id: str, url: secret.Secret | None
) -> None:
    """Raise unless a project's bots use the database of this connection.

    What cannot be told from here passes: the server may take the bots' role from its own machine
    only.

    Args:
        connection: of the owner.
        project_id: whose bots.
        url: the project's secret DATABASE_URL.

    Raises:
        errors.StateError: they use another one, or none.
    """
    if url is None:
        raise errors.StateError(
            f"no bot uses the database at {_here(connection)}: the project has no secret "
            f"{bot_url.SECRET}",
            hint="medbots db init makes it, with the tables and the bots' role",
        )
    with connection_module.translated():
        same = await _by_their_way(connection, url)
        if same is None:
            same = await _by_their_login(connection, project_id, url)
    if same is False:
        raise errors.StateError(
            f"the bots use another database: their secret {bot_url.SECRET} names {_place(url)}, "
            f"which is not the {_here(connection)} of {connection_module.SETTING}",
            hint=f"let {connection_module.SETTING} name the bots' database, as its owner connects "
            "from here; or medbots db init lets the bots use this one",
        )


async def _by_their_way(
    connection: connection_module.Connection, url: secret.Secret
) -> bool | None:
    """Whether their URL, opened from here, leads to this database; None where it does not open."""
    theirs = None
    try:
        # Before libpq 16 the parameter is unknown, and nothing is tried.
        way = conninfo.make_conninfo(
            url.reveal(), require_auth=_NO_PLAIN_PASSWORD, connect_timeout=int(_SECONDS)
        )
        async with asyncio.timeout(_SECONDS):
            theirs = await psycopg.AsyncConnection.connect(
                way, autocommit=True, prepare_threshold=None
            )
            return await _identity(theirs) == await _identity(connection)
    except (psycopg.Error, TimeoutError, OSError):
        return None
    finally:
        if theirs is not None:
            with contextlib.suppress(psycopg.Error):
                await theirs.close()


async def _identity(connection: connection_module.Connection) -> object:
    """Return what no copy of the database has too, not even one byte by byte."""
    cursor = await connection.execute(_IDENTITY.encode())
    return await cursor.fetchone()


async def _by_their_login(
    connection: connection_module.Connection, project_id: str, url: secret.Secret
) -> bool | None:
    """Whether user and password of their URL open this database, over the owner's own way."""
    own = roles.of_project(project_id, connection.info.dbname)
    try:
        parts = conninfo.conninfo_to_dict(url.reveal())
    except psycopg.ProgrammingError:
        return False
    user, password = str(parts.get("user") or ""), str(parts.get("password") or "")
    if user.startswith(roles.PREFIX) and user != own.name:
        # Such a name carries project and database.
        return False
    cursor = await connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [user])
    if await cursor.fetchone() is None:
        return False
    return await bot_url.opens(connection, roles.Role(user, own.project), secret.Secret(password))


def _here(connection: connection_module.Connection) -> str:
    info = connection.info
    return f"{info.host}:{info.port}/{info.dbname}"


def _place(url: secret.Secret) -> str:
    """Return what may be shown of a URL."""
    try:
        return str(connection_module.address(url, bot_url.SECRET))
    except errors.UsageError:
        return "no database"
