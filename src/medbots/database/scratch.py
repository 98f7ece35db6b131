"""Scratch schemas: made for one run, dropped at its end, or by the next one where it was cut."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import AsyncIterator

import psycopg
from psycopg import sql

from medbots import errors, secret
from medbots.database import connection as connection_module
from medbots.database import elsewhere, extension

PREFIX = "medbots_bench_"
_SCHEMA = re.compile(PREFIX + r"[a-z]+_[0-9a-f]{12}")


@contextlib.asynccontextmanager
async def schema(
    url: secret.Secret, kind: str, setting: str
) -> AsyncIterator[elsewhere.Connection]:
    """Yield a connection to a new scratch schema, and drop that at the end.

    The session holds a lock that carries the schema's name: where it ended without dropping it,
    nobody holds the lock, and `sweep` does it.

    Args:
        url: the database, whose owner may make schemas.
        kind: what it is for, in letters: part of its name.
        setting: names, in errors, where the URL came from.

    Raises:
        errors.NotAllowedError: this login may not make schemas.
        errors.MedbotsError: the database cannot be reached, or has no pgvector.
    """
    name = f"{PREFIX}{kind}_{secrets.token_hex(6)}"
    left = False
    try:
        async with another(url, name, setting) as connection:
            await _create(connection, url, setting)
            left = True
            try:
                yield connection
            finally:
                left = not await _dropped(connection)
    finally:
        if left:
            with contextlib.suppress(errors.MedbotsError):
                await sweep(url, setting)


async def _create(connection: elsewhere.Connection, url: secret.Secret, setting: str) -> None:
    name = connection.schema
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        await connection.execute(f"CREATE SCHEMA {name}")
    except psycopg.errors.InsufficientPrivilege as error:
        target = connection_module.address(url, setting)
        raise errors.NotAllowedError(
            f"{target.user} may not make a schema in database {target.database}",
            hint=f"a superuser runs: GRANT CREATE ON DATABASE {target.database} TO "
            f"{target.user}; or take another database: {setting}",
        ) from error


async def _dropped(connection: elsewhere.Connection) -> bool:
    """Drop the schema; return False where the connection can do no more, after a hard end."""
    try:
        await connection_module.limit(connection)
        await connection.execute("SET client_min_messages = warning")
        await connection.execute(f"DROP SCHEMA {connection.schema} CASCADE")
    except psycopg.Error:
        return False
    return True


@contextlib.asynccontextmanager
async def another(
    url: secret.Secret, name: str, setting: str
) -> AsyncIterator[elsewhere.Connection]:
    """Yield one more connection to a scratch schema, which stands or is about to be made."""
    made = await connection_module.connect(url, setting=setting, kind=elsewhere.Connection)
    assert isinstance(made, elsewhere.Connection)  # noqa: S101 (it was asked for)
    made.schema = name
    try:
        vector = await extension.find(made)
        if vector is None:
            raise errors.DatabaseError(
                "this database has no pgvector", hint="CREATE EXTENSION vector, or medbots db init"
            )
        await made.execute(
            "SELECT set_config('search_path', %s, false)", [f"{name}, {vector.schema}"]
        )
        yield made
    finally:
        await made.close()


async def sweep(url: secret.Secret, setting: str) -> tuple[str, ...]:
    """Drop the scratch schemas of sessions that have ended; return their names.

    Raises:
        errors.MedbotsError: the database cannot be reached.
    """
    connection = await connection_module.connect(url, setting=setting)
    try:
        with connection_module.translated():
            cursor = await connection.execute(
                "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, %s) "
                "AND pg_has_role(nspowner, 'USAGE')",
                [PREFIX],
            )
            dropped = []
            for (name,) in await cursor.fetchall():
                lock = await connection.execute(
                    "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]
                )
                if _SCHEMA.fullmatch(name) and await lock.fetchone() == (True,):
                    await connection.execute(
                        sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name))
                    )
                    dropped.append(name)
            return tuple(dropped)
    finally:
        await connection.close()
