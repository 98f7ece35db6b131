"""Vectors that no bot uses any more: those of earlier models, and of changes not completed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from psycopg import sql

from medbots import errors
from medbots.database import builds, generations, indexes, refill, wear
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module
from medbots.database.step import Action, Step, Wish

_BATCH = 5_000
"""Rows deleted in one statement: none holds its locks for long."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A table, or the rows of one model in the table in use."""

    table: str
    whole: bool
    """Whether the table goes, or rows of it."""
    models: tuple[str, ...]
    rows: int
    bytes: int

    @property
    def extent(self) -> str:
        """How much it is."""
        models = ", ".join(self.models) or "no model"
        return f"{self.rows:,} rows of {models} ({self.bytes / 1024 / 1024:,.1f} MB)"

    @property
    def words(self) -> str:
        """What it is, for a question."""
        what = "table" if self.whole else "in"
        return f"{what} {self.table}: {self.extent}"


async def look(connection: connection_module.Connection, wish: Wish) -> tuple[Leaving, ...]:
    """Return what the model in use, which is that of the wish, has no need of.

    Raises:
        errors.DatabaseError: the change is not completed, some records have been embedded by an
            earlier model alone, or another project has rows in a table that would go.
    """
    with connection_module.translated():
        tables = await generations.find(connection)
        used = generations.of_dimension(tables, wish.dimension)
        if used is None or used.name != generations.CURRENT:
            raise errors.DatabaseError(
                f"the vectors of {wish.dimension} dimensions, by which the bots work, are "
                f"{f'in {used.name}' if used else 'in no table'}: a change of the model is not "
                "completed",
                hint="medbots db migrate --reembed completes it",
            )
        await _refuse_needed(connection, wish)
        found = [
            await _rows(connection, one.name, wish, one.bytes, whole=True)
            for one in tables
            if one.name != generations.CURRENT
        ]
        if found:
            await _refuse_shared(connection, wish, found)
        found.append(await _rows(connection, used.name, wish, used.bytes, whole=False))
    return tuple(one for one in found if one.whole or one.rows)


async def _refuse_needed(connection: connection_module.Connection, wish: Wish) -> None:
    names = (wish.project_id, wish.model_version, generations.CURRENT)
    needed = await refill.behind(connection, *names)
    if needed:
        some = ", ".join(one.reference for one in needed[:3])
        raise errors.DatabaseError(
            f"{len(needed)} records have no vector, or an older one, of {wish.model_version}: "
            f"{some}{', …' if len(needed) > 3 else ''}",  # noqa: PLR2004
            hint="medbots db migrate --reembed embeds them; then they can be found without the "
            "earlier vectors",
        )


async def _refuse_shared(
    connection: connection_module.Connection, wish: Wish, found: list[Leaving]
) -> None:
    others = await generations.others(connection, wish.project_id)
    for one in found:
        cursor = await connection.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE project_id <> %s").format(sql.SQL(one.table)),
            [wish.project_id],
        )
        if await cursor.fetchone() != (0,):
            raise errors.DatabaseError(
                f"{one.table} holds rows of other projects too: {', '.join(others)}",
                hint="it can go when those have been embedded again, by their own medbots db "
                "migrate --reembed",
            )


async def _rows(
    connection: connection_module.Connection, name: str, wish: Wish, size: int, *, whole: bool
) -> Leaving:
    cursor = await connection.execute(
        sql.SQL(
            "SELECT array_agg(DISTINCT model_version), count(*), sum(pg_column_size(e.*))::bigint "
            "FROM {} e WHERE project_id = %s AND (%s OR model_version <> %s)"
        ).format(sql.SQL(name)),
        [wish.project_id, whole, wish.model_version],
    )
    models, rows, row_bytes = await cursor.fetchone() or (None, 0, 0)
    return Leaving(name, whole, tuple(models or ()), rows, size if whole else int(row_bytes or 0))


async def remove(
    connection: connection_module.Connection,
    wish: Wish,
    found: tuple[Leaving, ...],
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncIterator[Step]:
    """Remove them, and yield each as it is gone. The caller holds `lock.alone`.

    Raises:
        errors.MedbotsError: one cannot be removed: the table is in use, or something of the
            user's own hangs on it.
    """
    for one in found:
        if one.whole:
            await generations.drop(connection, one.table, watch)
            yield Step("table", one.table, Action.DELETE, (one.extent,))
            continue
        for model in one.models:
            async for step in _remove_rows(connection, wish, one, model, watch):
                yield step


async def _remove_rows(
    connection: connection_module.Connection,
    wish: Wish,
    one: Leaving,
    model: str,
    watch: watch_module.Watch,
) -> AsyncIterator[Step]:
    statement = sql.SQL(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} "
        "WHERE project_id = {project}::uuid AND model_version = {model} LIMIT {batch}))"
    ).format(
        table=sql.SQL(one.table),
        project=sql.Literal(wish.project_id),
        model=sql.Literal(model),
        batch=sql.Literal(_BATCH),
    )
    # Without it, each row that goes leaves a dead entry in it; and no search needs it any more.
    async for step in _remove_index(connection, wish, one.table, model, watch):
        yield step
    deleted = 0
    watch.statement(f"rows of {model}", f"{statement.as_string(connection)};")
    if watch.dry_run:
        yield Step(
            "rows",
            model,
            Action.DELETE,
            (f"{await _count(connection, wish, one.table, model):,} rows",),
        )
        return
    while True:
        with connection_module.translated(doing=f"rows of {model}"):
            batch = (await connection.execute(statement)).rowcount
        deleted += batch
        if not batch:
            break
    if deleted:
        with connection_module.translated(doing=f"indexes of {one.table}"):
            for index in await indexes.find(connection, one.table):
                if index.model_version not in (None, model):
                    await wear.excuse(connection, one.table, index.name, deleted)
    yield Step("rows", model, Action.DELETE, (f"{deleted:,} rows deleted",))


async def _count(
    connection: connection_module.Connection, wish: Wish, name: str, model: str
) -> int:
    cursor = await connection.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE project_id = %s AND model_version = %s").format(
            sql.SQL(name)
        ),
        [wish.project_id, model],
    )
    (rows,) = await cursor.fetchone() or (0,)
    return int(rows)


async def _remove_index(
    connection: connection_module.Connection,
    wish: Wish,
    name: str,
    model: str,
    watch: watch_module.Watch,
) -> AsyncIterator[Step]:
    cursor = await connection.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM {} WHERE model_version = %s AND project_id <> %s)"
        ).format(sql.SQL(name)),
        [model, wish.project_id],
    )
    if await cursor.fetchone() == (True,):
        return
    for index in await indexes.find(connection, name):
        if index.model_version == model:
            await builds.drop(connection, index.name, concurrently=True, watch=watch)
            yield Step("index", index.name, Action.DELETE)
