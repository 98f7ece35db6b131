"""Which models have rows of a project, and whether another one may be in use."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import generations, queries, table


@dataclass(frozen=True, slots=True)
class Held:
    """The rows of one model."""

    table: str
    model_version: str
    rows: int
    written: int
    """Of these, by medbots' bot: the rest was taken over from the deployment guide's table."""


async def held(connection: connection_module.Connection, project_id: str) -> tuple[Held, ...]:
    """Return what each model has of a project, the table in use first, the most rows first."""
    found = []
    for one in await generations.find(connection):
        rows = await queries.run(connection, "model_versions", project_id, table=one.name)
        found += [Held(one.name, *row) async for row in rows]
    return tuple(found)


async def refuse(
    connection: connection_module.Connection, project_id: str, model_version: str
) -> None:
    """Raise where a project's searches would find nothing, since another model made its rows.

    Raises:
        errors.DatabaseError: names the model that has the rows, and both ways out.
    """
    if (await table.inspect(connection)).origin is not table.Origin.OURS:
        return
    everything = await held(connection, project_id)
    others = [one for one in everything if one.written and one.model_version != model_version]
    if not others or any(one.model_version == model_version for one in everything):
        return
    said = ", ".join(f"{one.rows} rows of {one.model_version}" for one in others)
    raise errors.DatabaseError(
        f"this project has {said}; by {model_version}, which the settings name, its searches "
        "would find none of them",
        hint="medbots db migrate --reembed embeds them again, while searches go on; or set "
        "EMBEDDING_MODEL, EMBEDDING_DIM and EMBEDDING_PREFIX_MODE (models.embedding in the "
        "manifest) back",
    )


async def idle(
    connection: connection_module.Connection,
    project_id: str,
    model_version: str,
    on: str = table.NAME,
) -> tuple[str, ...]:
    """Return a warning where there are rows, of a project or of any, and none is of a model."""
    if (await table.inspect(connection)).origin is not table.Origin.OURS:
        return ()
    cursor = await connection.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM {table} WHERE %s IN ('', project_id::text)), "
            "EXISTS (SELECT FROM {table} "
            "WHERE %s IN ('', project_id::text) AND model_version = %s)"
        ).format(table=sql.SQL(on)),
        [project_id, project_id, model_version],
    )
    if await cursor.fetchone() != (True, False):
        return ()
    return (without_rows(model_version),)


def without_rows(model_version: str) -> str:
    """Return the warning that searches by a model find nothing."""
    return (
        f"no row is of {model_version}, which the settings name: its searches find nothing until "
        "the records are embedded again: medbots db migrate --reembed"
    )
