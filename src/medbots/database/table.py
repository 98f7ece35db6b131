"""The table of embeddings as it stands: ours, the guide's, none, or one not to be touched."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from medbots import errors
from medbots.database import connection as connection_module

NAME = "public.clinical_embeddings"
GENERATIONS = (NAME, f"{NAME}_next", f"{NAME}_previous")
"""The table in use, the one that a change of the model fills, the one before the last change.

In the order in which bots look for the dimension that they need.
"""
TOMBSTONES = "public.clinical_embedding_tombstones"
STORE = (*GENERATIONS, TOMBSTONES)
"""All tables of rows that there may be; those that there are: `roles.tables`."""
ADOPTION = 2
"""The migration that takes over a table of the deployment guide."""
MAKING = 3
"""The migration that makes the table, or its keys where it is there."""
LONGEST_VECTOR = 4000
"""Dimensions that an HNSW index of halfvec takes."""

_GUIDE = {
    "id": "uuid",
    "fhir_resource_type": "character varying",
    "fhir_resource_id": "uuid",
    "patient_id": "uuid",
    "content_type": "character varying",
    "chunk_index": "integer",
    "content_text": "text",
    "embedding": "vector",
    "model_version": "character varying",
    "created_at": "timestamp with time zone",
}
_OURS = _GUIDE | {
    "embedding": "halfvec",
    "project_id": "uuid",
    "version_id": "text",
    "content_section": "text",
    "chunk_count": "integer",
    "content_hash": "text",
    "resource_updated_at": "timestamp with time zone",
}


class Origin(enum.StrEnum):
    """Who made the table."""

    NONE = "none"
    GUIDE = "guide"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Table:
    """What the catalogue says of the table."""

    origin: Origin
    dimension: int | None = None
    """Declared length of its vectors; None where it declares none, or there is no table."""
    owner: str = ""
    complaint: str = ""
    """What makes it foreign."""


async def inspect(connection: connection_module.Connection) -> Table:
    """Return what the table is, from the catalogue alone."""
    cursor = await connection.execute(
        "SELECT relkind::text, relowner::regrole::text FROM pg_class WHERE oid = to_regclass(%s)",
        [NAME],
    )
    row = await cursor.fetchone()
    if row is None:
        return Table(Origin.NONE)
    kind, owner = row
    if kind != "r":
        return Table(Origin.FOREIGN, None, owner, "it is no ordinary table")
    columns = await connection.execute(
        "SELECT attname, atttypid::regtype::text, atttypmod FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [NAME],
    )
    types: dict[str, str] = {}
    dimension = None
    async for name, type_name, modifier in columns:
        # pgvector may lie in a schema of its own.
        types[name] = type_name.rpartition(".")[2]
        if name == "embedding" and modifier > 0:
            dimension = modifier
    expected = _OURS if "project_id" in types else _GUIDE
    wrong = [
        f"column {name} is {types.get(name, 'missing')}, not {type_name}"
        for name, type_name in expected.items()
        if types.get(name) != type_name
    ]
    if wrong:
        return Table(Origin.FOREIGN, dimension, owner, "; ".join(wrong))
    origin = Origin.OURS if expected is _OURS else Origin.GUIDE
    return Table(origin, dimension, owner)


async def count(connection: connection_module.Connection, name: str = NAME) -> int:
    """Return how many rows a table has; 0 where it is not there."""
    cursor = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
    if await cursor.fetchone() != (True,):
        return 0
    cursor = await connection.execute(f"SELECT count(*) FROM {name}".encode())  # noqa: S608
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def refuse(found: Table, dimension: int) -> None:
    """Raise where the table cannot become, or stay, a table of vectors of `dimension`.

    Raises:
        errors.InvalidError: no index takes vectors of that length.
        errors.DatabaseError: it holds vectors of another length, or is neither ours nor the
            guide's. Nothing has been changed; the hint is the cure.
    """
    if not 1 <= dimension <= LONGEST_VECTOR:
        raise errors.InvalidError(
            f"the embedding dimension is {dimension}; an index takes 1 to {LONGEST_VECTOR}",
            hint="set EMBEDDING_DIM (models.embedding.dimension in the manifest) to the length of "
            "the vectors that the model answers",
        )
    aside = (
        f"ALTER TABLE {NAME} RENAME TO clinical_embeddings_before; "
        "then medbots db init makes a new and empty one"
    )
    if found.origin is Origin.FOREIGN:
        raise errors.DatabaseError(
            f"{NAME} is neither medbots' table nor the guide's: {found.complaint}",
            hint=f"if nothing else needs it under this name: {aside}",
        )
    if found.dimension not in (None, dimension):
        first = ""
        if found.origin is Origin.GUIDE:
            first = (
                f"with EMBEDDING_DIM={found.dimension}, medbots db init takes its rows over; then "
            )
        raise errors.DatabaseError(
            f"{NAME} holds vectors of {found.dimension} dimensions; the manifest says {dimension}",
            hint=f"if the model answers {found.dimension}, set EMBEDDING_DIM={found.dimension} "
            f"(models.embedding.dimension); if the model was changed: {first}medbots db migrate "
            "--reembed embeds the records again, while searches go on",
        )


def refuse_lost(found: Table, done: Collection[int]) -> None:
    """Raise where the history says that the table was made, and it is not there.

    Args:
        found: the table as it stands.
        done: numbers of the migrations in the history.

    Raises:
        errors.DatabaseError: the table was dropped, or restored from before it was adopted.
    """
    first = {Origin.NONE: MAKING, Origin.GUIDE: ADOPTION}.get(found.origin)
    if first is None or first not in done:
        return
    what = "is not there" if found.origin is Origin.NONE else "is the deployment guide's"
    again = " ".join(f"{number:04}" for number in sorted(done) if number >= first)
    raise errors.DatabaseError(
        f"{NAME} {what}, and by the history migration {first:04} was applied",
        hint="restore it from a backup; or have it made again, which keeps what is there: "
        f"medbots db repair --status reverted {again}; medbots db migrate",
    )
