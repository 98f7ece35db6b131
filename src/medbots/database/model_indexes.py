"""The indexes of whole models: the one in use is to be there, one of no rows is to go."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from medbots.database import connection as connection_module
from medbots.database import indexes, models, queries, readers, upkeep, wear


def of_model(tables: Sequence[wear.Table], model_version: str) -> wear.Table | None:
    """Return the table with vectors of a model's length: bots take the first of them."""
    length = model_version.rpartition("/")[0].rpartition("/")[2]
    return next((one for one in tables if str(one.dimension) == length), None)


async def plan(
    connection: connection_module.Connection, found: wear.Table, model_version: str
) -> tuple[upkeep.Step, ...]:
    """Return what is to become of the indexes of whole models; nothing is changed.

    Args:
        connection: of the owner.
        found: the table that bots of the model work with.
        model_version: of the model in use.
    """
    cursor = await queries.run(connection, "type_counts", table=found.name)
    counts: dict[str, int] = {}
    async for model, _, rows in cursor:
        counts[model] = counts.get(model, 0) + rows
    standing = await indexes.find(connection, found.name)
    steps = [_of_model(found, standing, model_version, counts)]
    strays = [
        one
        for one in standing
        if one.valid
        and one.resource_type is None
        and one.model_version not in (None, model_version, *counts)
    ]
    if counts and strays:
        waiting = await _waiting(connection, found.name)
        steps += [_stray(found, one, waiting) for one in strays]
    return tuple(steps)


def _of_model(
    found: wear.Table,
    standing: Sequence[indexes.Index],
    model_version: str,
    counts: dict[str, int],
) -> upkeep.Step:
    current = indexes.of_model(tuple(standing), model_version)
    rows = counts.get(model_version, 0)
    warning = ""
    if counts and not rows:
        due, why = False, f"no row is of {model_version}, which the settings name"
        warning = models.without_rows(model_version)
    elif current is None:
        due, why = True, f"the model {model_version} has no index: a search reads all its rows"
    elif not current.valid:
        due, why = True, "it is invalid: no search uses it"
    elif current.kind != "hnsw":
        due, why = True, f"it is {current.kind}, not hnsw"
    else:
        due, why = False, f"it is valid and serves {model_version}"
    staying = [one for one in standing if one.valid and one is not current]
    name = current.name if current else indexes.free_name(staying, model_version, found.name)
    evidence: dict[str, float | str | None] = {"model": model_version, "rows": rows}
    return upkeep.Step(upkeep.Kind.INDEX, name, due, why, found.name, evidence, warning)


def _stray(found: wear.Table, index: indexes.Index, waiting: Sequence[str]) -> upkeep.Step:
    why = f"no row is of its model, {index.model_version}"
    if waiting:
        why = f"{why}; project {waiting[0]} has no rows yet, and may be about to use it"
    return upkeep.Step(
        upkeep.Kind.DROP,
        index.name,
        not waiting,
        why,
        found.name,
        {"model": index.model_version, "rows": 0, "bytes": index.bytes},
    )


async def _waiting(connection: connection_module.Connection, on: str) -> tuple[str, ...]:
    """Return the projects whose bots have a role here, and no rows yet."""
    cursor = await connection.execute(
        sql.SQL("SELECT DISTINCT project_id::text FROM {}").format(sql.SQL(on))
    )
    there = {str(name) async for (name,) in cursor}
    made = {one.project_id for one in await readers.made(connection)}
    return tuple(sorted(made - there))
