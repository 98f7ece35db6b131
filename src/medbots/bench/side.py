"""What the two sides of the comparison have in common."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pgvector
from pgvector import psycopg as pgvector_psycopg

from medbots.bench import data
from medbots.database import connection as connection_module
from medbots.database import elsewhere

PROJECT = "11111111-1111-4111-8111-111111111111"
MODEL = f"embedding-model/{data.DIMENSION}/none"
LIMIT = data.NEIGHBOURS


@dataclass(frozen=True, slots=True)
class Timed:
    """Resources that a search found, and how long it took."""

    found: frozenset[uuid.UUID]
    seconds: float
    """Of the search's statement."""
    whole: float
    """With its transaction and, on medbots' side, the choice of the way."""


class Side(Protocol):
    """A schema with rows in it, and its searches."""

    connection: elsewhere.Connection

    async def load(self, rows: Sequence[data.Row]) -> float:
        """COPY rows into the table; return the seconds."""
        ...

    async def everything(self, query: data.Query) -> Timed:
        """Search all rows the default way."""
        ...

    async def rare(self, query: data.Query) -> Timed:
        """Search the rare type the default way."""
        ...

    async def patient(self, query: data.Query) -> Timed:
        """Search one patient the default way."""
        ...

    async def exact(self, query: data.Query) -> Timed:
        """Search all rows by comparing with each."""
        ...


async def prepare(connection: elsewhere.Connection) -> None:
    """Let a connection take vectors, work as long as it must, and use one core a statement."""
    await pgvector_psycopg.register_vector_async(connection)
    await unlimited(connection)
    await connection.execute("SET max_parallel_workers_per_gather = 0")


async def unlimited(connection: elsewhere.Connection) -> None:
    """Lift the time limit of statements, which every build sets again."""
    await connection.execute("SET statement_timeout = 0")


async def copy(
    connection: elsewhere.Connection,
    columns: dict[str, str],
    rows: Iterable[Sequence[object]],
) -> float:
    """COPY rows into `clinical_embeddings`; return the seconds.

    Args:
        connection: after `prepare`.
        columns: their names with their types.
        rows: one value a column.
    """
    began = time.perf_counter()
    names = ", ".join(columns)
    statement = f"COPY {connection.schema}.clinical_embeddings ({names}) FROM STDIN (FORMAT BINARY)"
    with connection_module.translated(doing="COPY"):
        async with connection.cursor() as cursor, cursor.copy(statement.encode()) as target:
            target.set_types(list(columns.values()))
            for row in rows:
                await target.write_row(row)
    return time.perf_counter() - began


async def size(connection: elsewhere.Connection) -> int:
    """Return the bytes of the table with its indexes and TOAST."""
    cursor = await connection.execute(
        "SELECT pg_total_relation_size('public.clinical_embeddings'::regclass)"
    )
    row = await cursor.fetchone()
    return int(row[0])


def vector(values: data.Vectors) -> pgvector.Vector:
    """Return a vector as a parameter in binary form."""
    return pgvector.Vector(values)
