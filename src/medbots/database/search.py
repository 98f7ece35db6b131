"""The bots' search by a vector, from Python: the same queries, decided by the same settings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pgvector
from psycopg import adapt, pq

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import queries, table

_EVERYTHING = 2.0
"""The greatest cosine distance that there is."""
EXACT = "exact"
"""The way that compares with every row: of few rows, and where it is asked for."""
CHUNKS_A_RESOURCE = 4
"""Chunks fetched for each resource wanted, as the bots do."""


class _VectorDumper(adapt.Dumper):
    """Sends a vector in its binary form, its type left to the statement's cast."""

    format = pq.Format.BINARY
    oid = 0

    def dump(self, obj: pgvector.Vector) -> bytes:
        """Return pgvector's wire form."""
        return bytes(obj.to_binary())


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for."""

    project_id: str
    model_version: str
    vector: Sequence[float]
    limit: int
    """Resources."""
    types: tuple[str, ...] | None = None
    patient_id: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A resource that was found; its text stays in the database's answer."""

    resource_type: str
    resource_id: str
    distance: float
    """Cosine distance of its nearest chunk, 0 to 2."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    hits: tuple[Hit, ...]
    """Nearest first."""
    way: str
    """How it was found, as `search_settings.sql` names the ways."""
    seconds: float
    """From the beginning of the transaction to its end: the choice of the way included."""
    statement_seconds: float
    """Of the search's own statement."""


def prepare(connection: connection_module.Connection) -> None:
    """Let a connection take vectors as parameters."""
    connection.adapters.register_dumper(pgvector.Vector, _VectorDumper)


async def nearest(
    connection: connection_module.Connection,
    wanted: Search,
    *,
    exact: bool = False,
    limit_ms: int = 0,
) -> Found:
    """Return the nearest resources, found the way that the bots take.

    Args:
        connection: after `prepare`, in no transaction.
        wanted: the search.
        exact: compare with every row, whatever the bots would do.
        limit_ms: time limit of each statement; 0: none.

    Raises:
        errors.MedbotsError: the database refused, or no table has vectors of that length.
    """
    chunks = wanted.limit * CHUNKS_A_RESOURCE
    types = None if wanted.types is None else list(wanted.types)
    vector = pgvector.Vector(list(map(float, wanted.vector)))
    size = len(wanted.vector)
    began = time.perf_counter()
    with connection_module.translated():
        async with connection.transaction():
            settings = await queries.run(
                connection,
                "search_settings",
                limit_ms,
                wanted.project_id,
                wanted.model_version,
                types,
                size,
                wanted.patient_id is not None,
                chunks,
            )
            generation, dimensions, way = (await settings.fetchone() or (None, [], ""))[:3]
            if generation is None:
                raise _other_length(size, dimensions)
            if exact and way != "patient":
                way = EXACT
            name = {"patient": "search_patient", EXACT: "search_exact"}.get(way, "search_project")
            last = wanted.patient_id if way == "patient" else chunks
            chosen = time.perf_counter()
            values = (
                vector,
                wanted.project_id,
                wanted.model_version,
                types,
                None,
                None,
                None,
                _EVERYTHING,
                wanted.limit,
                last,
            )
            cursor = await queries.run(connection, name, *values, table=generation)
            rows = await cursor.fetchall()
            if name == "search_project" and rows and rows[0][6] < chunks:
                # The index gave up before it had enough, and has left some out.
                cursor = await queries.run(connection, "search_exact", *values, table=generation)
                rows = await cursor.fetchall()
            hits = tuple([Hit(row[0], row[1], float(row[5])) for row in rows])
            ended = time.perf_counter()
    return Found(hits, way, time.perf_counter() - began, ended - chosen)


def _other_length(size: int, dimensions: Sequence[int]) -> errors.MedbotsError:
    if not dimensions:
        return errors.DatabaseError(
            f"there is no embedding store here: no {table.NAME}", hint="medbots db init"
        )
    held = " and ".join(str(one) for one in dimensions)
    return errors.DatabaseError(
        f"the store holds vectors of {held} dimensions, not {size}",
        hint="set EMBEDDING_DIM (models.embedding.dimension in the manifest) to what it holds",
    )
