"""Maintenance of the embedding store, while the bots go on reading and writing."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from psycopg import sql

from medbots import errors
from medbots.database import (
    builds,
    indexes,
    leftovers,
    lock,
    queries,
    table,
    type_indexes,
    upkeep,
    wear,
)
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

TABLES = (table.NAME, f"{table.NAME}_next", f"{table.NAME}_previous")
"""The generations that there may be."""
LOCK_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """A step, and what became of it."""

    step: upkeep.Step
    ran: bool
    """Whether it was run; a dry run and a step that is not due leave it."""
    seconds: float = 0.0
    note: str = ""
    """What it could not do."""


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
        errors.DatabaseError: there is no store, or another session builds one of its indexes.
        errors.NotAllowedError: this login does not own the tables.
    """
    with connection_module.translated():
        if dry_run:
            async for step in _due(connection, model_version):
                yield Done(step, ran=False)
            return
        async with lock.alone(connection, wait_seconds):
            await builds.alone(connection, TABLES, wait_seconds)
            async for step in _due(connection, model_version):
                began = time.perf_counter()
                note = ""
                if step.due:
                    await _run(connection, step, model_version, watch)
                    note = await _left(connection, step)
                yield Done(step, step.due, time.perf_counter() - began, note)


async def _due(
    connection: connection_module.Connection, model_version: str
) -> AsyncIterator[upkeep.Step]:
    for found in await tables(connection):
        for one in await leftovers.find(connection, (found.name,)):
            yield _left_over(one)
        if found.name == table.NAME:
            yield await _index(connection, model_version)
            for change in await type_indexes.plan(connection, model_version):
                yield _type_index(change)
        for place in range(len(upkeep.of_table(found))):
            now = await wear.inspect(connection, found.name)
            if now is None:  # pragma: no cover
                break
            steps = upkeep.of_table(now)
            # An index more or less than a moment ago shifts the places: take what stands there.
            if place < len(steps):
                yield steps[place]


async def tables(connection: connection_module.Connection) -> tuple[wear.Table, ...]:
    """Return the store's tables.

    Raises:
        errors.DatabaseError: there is none.
        errors.NotAllowedError: this login does not own them.
    """
    every = [await wear.inspect(connection, name) for name in TABLES]
    found = tuple(one for one in every if one is not None)
    if not found or (await table.inspect(connection)).origin is not table.Origin.OURS:
        raise errors.DatabaseError(
            f"there is no embedding store here: {table.NAME} is not medbots' table",
            hint="medbots db init",
        )
    foreign = [one.name for one in found if not one.owned]
    if foreign:
        raise errors.NotAllowedError(
            f"{connection.info.user} does not own {', '.join(foreign)}: only an owner may "
            "reindex, analyse and vacuum",
            hint="let MEDBOTS_DATABASE_URL name the owner, or a superuser",
        )
    return found


def _left_over(one: leftovers.LeftOver) -> upkeep.Step:
    due = one.copy_of is not None
    why = (
        "an interrupted rebuild left it: writers keep it up, and no search uses it"
        if due
        else "it is invalid, and is built anew below, or by medbots db init"
    )
    return upkeep.Step(
        upkeep.Kind.DROP, one.name, due, why, one.table, {"kind": one.kind, "bytes": one.bytes}
    )


async def _index(connection: connection_module.Connection, model_version: str) -> upkeep.Step:
    current = indexes.of_model(await indexes.find(connection), model_version)
    name = current.name if current else indexes.NAME
    if current is None:
        due, why = True, f"the model {model_version} has no index: every search reads all rows"
    elif not current.valid:
        due, why = True, "it is invalid: no search uses it"
    elif current.kind != "hnsw":
        due, why = True, f"it is {current.kind}, not hnsw"
    else:
        due, why = False, f"it is valid and serves {model_version}"
    return upkeep.Step(upkeep.Kind.INDEX, name, due, why, table.NAME, {"model": model_version})


def _type_index(change: type_indexes.Change) -> upkeep.Step:
    due = change.action is not type_indexes.Action.KEEP
    evidence = {"action": change.action.value, "rows": change.rows, "share": change.share}
    return upkeep.Step(upkeep.Kind.INDEX, change.name, due, change.why, table.NAME, evidence)


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
            changes = await type_indexes.plan(connection, model_version)
            for change in changes:
                if (change.name, change.action) == (step.target, step.evidence["action"]):
                    await type_indexes.apply(connection, change, model_version, watch=watch)
        case upkeep.Kind.INDEX:
            await indexes.ensure(connection, model_version, shared=True, watch=watch)
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
        async with lock.alone(connection, wait_seconds):
            every = await tables(connection)
            known = [(one, index.name) for one in every for index in one.indexes]
            chosen = [pair for pair in known if name in (None, pair[1])]
            if not chosen:
                raise await _unknown(connection, name, [index for _, index in known])
            async for one in leftovers.remove(connection, wait_seconds=wait_seconds, watch=watch):
                yield Done(_left_over(one), ran=True)
            await builds.alone(connection, TABLES, wait_seconds)
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
