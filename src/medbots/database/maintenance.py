"""Maintenance of the embedding store, while the bots go on reading and writing."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from psycopg import sql

from medbots import errors
from medbots.database import (
    builds,
    indexes,
    leftovers,
    lock,
    maintenance_plan,
    queries,
    table,
    type_indexes,
    upkeep,
    wear,
)
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

LOCK_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """A step, and what became of it."""

    step: upkeep.Step
    ran: bool
    """Whether it was run; a dry run and a step that is not due leave it."""
    seconds: float = 0.0
    note: str = ""
    """What it could not do, or what is wrong beside it."""


async def maintain(
    connection: connection_module.Connection,
    model_version: str,
    *,
    dry_run: bool = False,
    wait_seconds: float = LOCK_WAIT_SECONDS,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncGenerator[Done, None]:
    """Yield each step as it is done, or with the reason why it is not needed.

    First what interrupted builds left, then the index of the model in use, then for each table
    analyse, reindex concurrently, vacuum. Each step is decided as it comes: a vacuum is judged
    after the reindex before it. A dry run decides all of them now and changes nothing.

    Args:
        connection: of the tables' owner.
        model_version: of the model in use.
        dry_run: only say what would be done.
        wait_seconds: how long to wait for another run.
        watch: hears the statements, and how far a build is.

    Raises:
        errors.DatabaseError: there is no store, none with vectors of the model's length, or another
            session builds one of its indexes.
        errors.NotAllowedError: this login does not own the tables.
    """
    with connection_module.translated():
        if dry_run:
            async for step in maintenance_plan.due(connection, model_version):
                yield Done(step, ran=False, note=step.warning)
            return
        async with lock.alone(connection, wait_seconds, watch):
            await builds.alone(connection, table.GENERATIONS, wait_seconds, watch)
            async for step in maintenance_plan.due(connection, model_version):
                began = time.perf_counter()
                note = step.warning
                if step.due:
                    await _run(connection, step, model_version, watch)
                    note = await _left(connection, step)
                yield Done(step, step.due, time.perf_counter() - began, note)


async def _run(
    connection: connection_module.Connection,
    step: upkeep.Step,
    model_version: str,
    watch: watch_module.Watch,
) -> None:
    match step.kind:
        case upkeep.Kind.DROP:
            await builds.drop(connection, step.target, concurrently=True, watch=watch)
        case upkeep.Kind.INDEX if "action" in step.evidence:
            on = step.table
            for change in await type_indexes.plan(connection, model_version, on):
                if (change.name, change.action) == (step.target, step.evidence["action"]):
                    await type_indexes.apply(connection, change, model_version, on=on, watch=watch)
        case upkeep.Kind.INDEX:
            await indexes.ensure(connection, model_version, shared=True, watch=watch, on=step.table)
        case upkeep.Kind.REINDEX:
            found = await wear.inspect(connection, step.table)
            if found is not None:
                await rebuild(connection, found, step.target, watch)
        case upkeep.Kind.ANALYZE:
            await _unlimited(connection, "ANALYZE {}", step.table, watch)
        case upkeep.Kind.VACUUM:
            # Parallel workers share /dev/shm, which containers keep too small for that.
            await _unlimited(connection, "VACUUM (PARALLEL 0) {}", step.table, watch)


async def _left(connection: connection_module.Connection, step: upkeep.Step) -> str:
    """Return what a vacuum had to leave, and for whom."""
    if step.kind is not upkeep.Kind.VACUUM:
        return ""
    found = await wear.inspect(connection, step.table)
    if found is None or not found.dead:
        return ""
    row = await (await queries.run(connection, "oldest_snapshot")).fetchone()
    if row is None:
        return ""
    pid, user, program, seconds = row
    return (
        f"{found.dead:,} dead rows stay in {step.table}: a transaction that began {seconds} s ago "
        f"may still see them (pid {pid}, user {user}, program {program or 'unnamed'})"
    )


async def rebuild(
    connection: connection_module.Connection,
    found: wear.Table,
    index: str,
    watch: watch_module.Watch = watch_module.SILENT,
) -> None:
    """Rebuild an index beside the one in use, which answers searches until the new one is ready.

    The caller holds `lock.alone`.

    Args:
        connection: of the owner.
        found: the table, before the rebuild.
        index: its name.
        watch: hears the statement, and how far the build is.
    """
    schema = found.name.partition(".")[0]
    statement = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(schema, index))
    rows = max(found.live, found.rows, 1)
    await builds.run(connection, f"index {index}", statement, rows=rows, watch=watch)
    await wear.remember(connection, found, index, dt.datetime.now(dt.UTC))


async def _unlimited(
    connection: connection_module.Connection,
    statement: str,
    name: str,
    watch: watch_module.Watch,
) -> None:
    """Run a statement that takes as long as it takes."""
    text = sql.SQL(statement).format(sql.Identifier(*name.split(".")))
    try:
        await connection.execute("SET statement_timeout = 0")
        await watch_module.execute(connection, text.as_string(connection), text, watch)
    finally:
        if not connection.broken and not connection.closed:
            await connection_module.limit(connection)


async def reindex(
    connection: connection_module.Connection,
    name: str | None = None,
    *,
    wait_seconds: float = LOCK_WAIT_SECONDS,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncGenerator[Done, None]:
    """Rebuild the HNSW indexes, or the named one, and yield each as it is done.

    What an interrupted rebuild left is dropped first.

    Raises:
        errors.UsageError: there is no such index.
        errors.MedbotsError: as `maintain`.
    """
    with connection_module.translated():
        async with lock.alone(connection, wait_seconds, watch):
            every = await maintenance_plan.tables(connection)
            known = [(one, index.name) for one in every for index in one.indexes]
            chosen = [pair for pair in known if name in (None, pair[1])]
            if not chosen:
                raise await _unknown(connection, name, [index for _, index in known])
            async for one in leftovers.remove(connection, wait_seconds=wait_seconds, watch=watch):
                yield Done(maintenance_plan.left_over(one), ran=True)
            await builds.alone(connection, table.GENERATIONS, wait_seconds, watch)
            for found, index in chosen:
                began = time.perf_counter()
                await rebuild(connection, found, index, watch)
                step = upkeep.Step(upkeep.Kind.REINDEX, index, True, "it was asked for", found.name)
                yield Done(step, True, time.perf_counter() - began)


async def _unknown(
    connection: connection_module.Connection, name: str | None, known: list[str]
) -> errors.MedbotsError:
    cursor = await queries.run(connection, "vector_indexes", table.NAME)
    every = [str(row[0]) async for row in cursor]
    if name is None or name in every:
        what = f"the index {name} is not valid, or not hnsw" if name else "there is no valid index"
        return errors.DatabaseError(what, hint="medbots db maintain builds what is missing")
    return errors.UsageError(
        f"the store has no vector index {name!r}; it has {', '.join(known) or 'none'}",
        hint="medbots db reindex rebuilds all of them",
    )
