"""The tables of embeddings: the one in use, the one being filled, the one before the switch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from medbots import assets, errors
from medbots.database import builds, table, table_lock
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

CURRENT, NEXT, PREVIOUS = table.GENERATIONS


@dataclass(frozen=True, slots=True)
class Generation:
    """One table of embeddings."""

    name: str
    """With its schema."""
    dimension: int
    """Length of its vectors."""
    bytes: int
    """With indexes and TOAST."""


async def find(connection: connection_module.Connection) -> tuple[Generation, ...]:
    """Return the tables that there are, the one in use first."""
    cursor = await connection.execute(
        "SELECT g.name, a.atttypmod, pg_total_relation_size(a.attrelid) "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS g (name, rank) "
        "JOIN pg_attribute a ON a.attrelid = to_regclass(g.name) AND a.attname = 'embedding' "
        "AND NOT a.attisdropped JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' "
        "ORDER BY g.rank",
        [list(table.GENERATIONS)],
    )
    return tuple([Generation(*row) async for row in cursor])


def of_dimension(found: tuple[Generation, ...], dimension: int) -> Generation | None:
    """Return the table that a bot of this dimension works with."""
    return next((one for one in found if one.dimension == dimension), None)


async def others(connection: connection_module.Connection, project_id: str) -> tuple[str, ...]:
    """Return the ids of other projects that have rows in any of the tables."""
    found: set[str] = set()
    for one in await find(connection):
        cursor = await connection.execute(
            sql.SQL("SELECT DISTINCT project_id::text FROM {} WHERE project_id <> %s").format(
                sql.SQL(one.name)
            ),
            [project_id],
        )
        found |= {name async for (name,) in cursor}
    return tuple(sorted(found))


async def bound(connection: connection_module.Connection, name: str = CURRENT) -> tuple[str, ...]:
    """Return what of the user's own hangs on a table, whatever its name: views and triggers."""
    cursor = await connection.execute(
        "SELECT DISTINCT format('view %%s', r.ev_class::regclass) FROM pg_depend d "
        "JOIN pg_rewrite r ON r.oid = d.objid WHERE d.classid = 'pg_rewrite'::regclass "
        "AND d.refobjid = to_regclass(%s) UNION ALL "
        "SELECT format('trigger %%s', tgname) FROM pg_trigger "
        "WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal ORDER BY 1",
        [name, name],
    )
    return tuple([one async for (one,) in cursor])


async def make_next(
    connection: connection_module.Connection,
    dimension: int,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Make the table that vectors of another dimension are to be in, whole or not at all."""
    await _script(connection, "make_next", {"medbots.dimension": str(dimension)}, watch)


async def same_columns(connection: connection_module.Connection, name: str) -> bool:
    """Whether a table still has the columns of the one in use, or a migration came between."""
    cursor = await connection.execute(
        "SELECT count(*) = 2 * count(DISTINCT attname::text || atttypid::text) FROM pg_attribute "
        "WHERE attrelid IN (to_regclass(%s), to_regclass(%s)) AND attnum > 0 AND NOT attisdropped",
        [CURRENT, name],
    )
    return await cursor.fetchone() == (True,)


async def switch(
    connection: connection_module.Connection,
    name: str,
    watch: watch_module.Watch = watch_module.SILENT,
    *,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Let a table take the name of the one in use, which becomes the previous one.

    One transaction.

    Raises:
        errors.DatabaseError: for two minutes there was no moment without a long transaction.
    """

    async def switched(lock_timeout: str) -> None:
        settings = {
            "medbots.generation": name.removeprefix(f"{CURRENT}_"),
            "lock_timeout": lock_timeout,
        }
        await _script(connection, "switch", settings, watch)

    await table_lock.briefly(switched, pause=pause)


async def drop(
    connection: connection_module.Connection,
    name: str,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Drop a table that is not the one in use."""
    if name not in (NEXT, PREVIOUS):
        raise AssertionError(f"{name} is no table to be dropped")
    statement = sql.SQL("DROP TABLE {}").format(sql.SQL(name))
    try:
        # Bots delete from every table that there is.
        await table_lock.execute(connection, f"table {name}", statement, watch)
    except errors.DatabaseError as error:
        if isinstance(error.__cause__, psycopg.errors.DependentObjectsStillExist):
            bound_to_it = ", ".join(await bound(connection, name)) or "something of your own"
            error.hint = f"{bound_to_it} reads it: make that anew on {CURRENT}, or drop it, before"
        raise


async def analyze(connection: connection_module.Connection, name: str) -> None:
    """Let the planner know what a table holds."""
    with connection_module.translated(doing=f"table {name}"):
        await connection.execute(sql.SQL("ANALYZE {}").format(sql.SQL(name)))


async def _script(
    connection: connection_module.Connection,
    name: str,
    settings: dict[str, str],
    watch: watch_module.Watch,
) -> None:
    """Execute a file of `sql/generations` in one transaction, with its settings."""
    text = (assets.sql() / "generations" / f"{name}.sql").read_text(encoding="utf-8")
    config = builds.set_config(settings, local=True)
    label = f"table {CURRENT}"
    watch.statement(label, f"BEGIN;\n{config.as_string(connection)};\n{text.rstrip()}\nCOMMIT;")
    if watch.dry_run:
        return
    with connection_module.translated(doing=label):
        async with connection.transaction():
            await connection.execute(config)
            # The text goes as it is: no parameters, one transaction.
            await connection.execute(text.encode())
