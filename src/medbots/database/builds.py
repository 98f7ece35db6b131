"""Index builds: beside the readers and writers, with what they need, and one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import queries
from medbots.database import watch as watch_module

# Bytes of maintenance_work_mem that a build of HNSW needs for each row, and the most it is given.
_BYTES_A_ROW = 4096
_LEAST_KB, _MOST_KB = 64 * 1024, 1024 * 1024
_POLL_SECONDS = 0.2
WAIT_SECONDS = 60.0
"""How long another session's build is waited for."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Another session that builds an index now."""

    pid: int
    user: str
    program: str
    index: str
    """Empty where only a superuser may see it."""
    phase: str

    def __str__(self) -> str:
        what = f"index {self.index}" if self.index else "an index"
        return f"{what} (pid {self.pid}, user {self.user}, program {self.program or 'unnamed'})"


async def others(
    connection: connection_module.Connection, tables: Sequence[str]
) -> tuple[Builder, ...]:
    """Return the other sessions that build an index of these tables now."""
    cursor = await queries.run(connection, "index_builders", list(tables))
    return tuple([Builder(*row) async for row in cursor])


async def alone(
    connection: connection_module.Connection,
    tables: Sequence[str],
    wait_seconds: float | None = None,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Return once no other session builds an index of these tables.

    What another one builds looks like a left-over until it is ready. The wait asks again and
    again: a waiting statement would keep the other build from ending.

    Raises:
        errors.DatabaseError: one still builds after `wait_seconds`; says which.
    """
    loop = asyncio.get_running_loop()
    longest = WAIT_SECONDS if wait_seconds is None else wait_seconds
    deadline = loop.time() + longest
    told = False
    while found := await others(connection, tables):
        if loop.time() > deadline:
            raise errors.DatabaseError(
                f"another session builds {found[0]} now, {found[0].phase or 'in some phase'}; "
                f"waited {longest:g} s",
                hint="run it again when that has ended; to end it: "
                f"SELECT pg_cancel_backend({found[0].pid})",
            )
        if not told:
            watch.waiting(f"waiting for another session, which builds {found[0]}")
            told = True
        await asyncio.sleep(_POLL_SECONDS)


async def create(
    connection: connection_module.Connection,
    name: str,
    definition: sql.Composable,
    *,
    rows: int,
    unique: bool = False,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Build an index: concurrently where the table has rows, since bots go on writing.

    Args:
        connection: of the owner, autocommitting.
        name: of the index.
        definition: what follows `CREATE INDEX name`, from `ON` on.
        rows: of the table, which say how much memory the build is given.
        unique: whether it is a unique index.
        watch: hears the statement, and how far it is.

    Raises:
        errors.MedbotsError: the build failed. A concurrent one leaves an invalid index, which
            the next run replaces.
    """
    statement = sql.SQL("CREATE {unique}INDEX {how}{name} {definition}").format(
        unique=sql.SQL("UNIQUE " if unique else ""),
        how=sql.SQL("CONCURRENTLY " if rows else ""),
        name=sql.Identifier(name),
        definition=definition,
    )
    await run(connection, f"index {name}", statement, rows=rows, watch=watch)


async def run(
    connection: connection_module.Connection,
    label: str,
    statement: sql.Composed,
    *,
    rows: int,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Execute a statement that builds an index, without a time limit, then set the limits again."""
    memory = min(max(rows * _BYTES_A_ROW // 1024, _LEAST_KB), _MOST_KB)
    settings = {
        "statement_timeout": "0",
        # A concurrent build waits for every older transaction; a plain one locks the table.
        "lock_timeout": "0" if rows else "15s",
        "maintenance_work_mem": f"{memory}kB",
        # Parallel workers share /dev/shm, which containers keep too small for that.
        "max_parallel_maintenance_workers": "0",
    }
    config = set_config(settings)
    if watch.dry_run:
        await watch_module.execute(connection, label, config, watch)
        await watch_module.execute(connection, label, statement, watch)
        return
    text = f"{statement.as_string(connection).strip()};"
    watch.statement(label, f"{config.as_string(connection)};\n{text}", text)
    if rows:
        await _tell_of_older(connection, label, watch)
    try:
        with connection_module.translated(doing=label):
            await connection.execute(config)
            async with watch_module.building(connection, label, watch):
                await connection.execute(statement)
    finally:
        if not connection.broken and not connection.closed:
            for setting in ("maintenance_work_mem", "max_parallel_maintenance_workers"):
                await connection.execute(sql.SQL("RESET {}").format(sql.Identifier(setting)))
            await connection_module.limit(connection)


async def _tell_of_older(
    connection: connection_module.Connection, label: str, watch: watch_module.Watch
) -> None:
    """Say whom a concurrent build may wait for, which begins after every older transaction."""
    row = await (await queries.run(connection, "older_transaction")).fetchone()
    if row is not None:
        pid, user, program, seconds = row
        watch.waiting(
            f"{label}: may have to wait for a transaction that began {seconds} s ago (pid {pid}, "
            f"user {user}, program {program or 'unnamed'})"
        )


async def drop(
    connection: connection_module.Connection,
    name: str,
    *,
    concurrently: bool,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Drop an index of schema public, if it is there."""
    how = sql.SQL("CONCURRENTLY " if concurrently else "")
    statement = sql.SQL("DROP INDEX {}IF EXISTS public.{}").format(how, sql.Identifier(name))
    await watch_module.execute(connection, f"index {name}", statement, watch)


def set_config(settings: dict[str, str], *, local: bool = False) -> sql.Composed:
    """Return the statement that sets these settings, for the transaction or for the session."""
    calls = [
        sql.SQL("set_config({}, {}, {})").format(
            sql.Literal(name), sql.Literal(value), sql.SQL("true" if local else "false")
        )
        for name, value in settings.items()
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls))
