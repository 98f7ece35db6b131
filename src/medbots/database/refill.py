"""Rows of one model made from those of others: what is missing, its texts, and the writing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pgvector
import pgvector.psycopg
import psycopg

from medbots.database import connection as connection_module
from medbots.database import extension, generations, queries
from medbots.database import table as table_module
from medbots.reembedding import Behind, Made, Resource, Text

Connect = Callable[[], AbstractAsyncContextManager[connection_module.Connection]]

_SOURCE = "public.source_embeddings"
"""What stands in the queries for the table that is read."""


@dataclass(slots=True)
class Refill:
    """The rows of one project that a model is to have, in the table that they are to be in."""

    project_id: str
    model_version: str
    """Of the model to come."""
    target: str
    """Another name after the switch."""
    connect: Connect
    """As the owner, each time a connection of its own."""

    async def behind(self) -> list[Behind]:
        """Return what is missing, in the order of type and id; nothing where there is no table.

        Of several models that have embedded a resource, the latest counts.
        """
        async with self._connected() as connection:
            return await behind(connection, self.project_id, self.model_version, self.target)

    async def clear_withdrawn(self) -> None:
        """Remove the rows of resources that are gone."""
        async with self._connected() as connection:
            await queries.run(
                connection,
                "reembed_withdrawn",
                self.project_id,
                self.model_version,
                table=self.target,
            )

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Give a connection of its own to read and write by."""
        async with self._connected() as connection:
            await pgvector.psycopg.register_vector_async(connection)
            yield Worker(self, connection)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[connection_module.Connection]:
        async with self.connect() as connection:
            await extension.use(connection)
            await connection.execute("SET statement_timeout = '15min'")
            yield connection


class Worker:
    """Reads and writes batches of resources; each batch is of one table, model and type."""

    def __init__(self, refill: Refill, connection: connection_module.Connection) -> None:
        self._refill = refill
        self._connection = connection

    async def read(self, batch: Sequence[Behind]) -> list[Resource]:
        """Return the texts of a batch; what is gone meanwhile is left out."""
        first, project = batch[0], self._refill.project_id
        ids = [one.id for one in batch]
        values = (project, first.kind, first.model_version, ids, self._refill.model_version)
        rows = await (await self._run("reembed_read", first.table, *values)).fetchall()
        found: dict[str, list[tuple[Any, ...]]] = {}
        for row in rows:
            found.setdefault(row[1], []).append(row)
        return [_resource(one, found[one.id]) for one in batch if one.id in found]

    async def write(self, batch: Sequence[Made]) -> int:
        """Write what was made of a batch, all or none; return how many resources that were.

        The others have changed since they were read, or a bot was faster: nothing is written of
        them.
        """
        if not batch:
            return 0
        first = batch[0].resource.behind
        project, model = self._refill.project_id, self._refill.model_version
        every = [made.resource.behind for made in batch]
        ids = [one.id for one in every]
        times = ([one.updated_at for one in every], [one.created_at for one in every])
        with connection_module.translated(doing="writing new vectors"):
            async with self._connection.transaction():
                await self._connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                await queries.run(self._connection, "bulk_lock", project, first.kind, ids)
                values = (project, first.kind, first.model_version, model, ids, *times)
                rows = await self._run("reembed_current", first.table, *values)
                current = {name async for (name,) in rows}
                kept = [made for made in batch if made.resource.behind.id in current]
                await self._replace(first, [made for made in kept if made.vectors is not None])
                await self._refresh(first, [made for made in kept if made.vectors is None])
        return len(kept)

    async def _replace(self, first: Behind, batch: list[Made]) -> None:
        if not batch:
            return
        rows, vectors, hashes = [], [], []
        for made in batch:
            for text, vector in zip(made.resource.texts, made.vectors or (), strict=True):
                rows.append(text.row)
                vectors.append(pgvector.HalfVector(vector))
                hashes.append(made.content_hash)
        model = self._refill.model_version
        await self._run("reembed_write", first.table, model, rows, vectors, hashes)
        ids, counts = _counts(made.resource for made in batch)
        project = self._refill.project_id
        await self._run("reembed_surplus", first.table, project, first.kind, model, ids, counts)

    async def _refresh(self, first: Behind, batch: list[Made]) -> None:
        if batch:
            ids, _ = _counts(made.resource for made in batch)
            names = (self._refill.project_id, first.kind, first.model_version)
            model = self._refill.model_version
            await self._run("reembed_refresh", first.table, *names, model, ids)

    async def _run(self, name: str, source: str, *values: object) -> queries.Cursor:
        return await _run(self._connection, name, source, self._refill.target, *values)


async def behind(
    connection: connection_module.Connection, project_id: str, model_version: str, target: str
) -> list[Behind]:
    """Return the resources that other models have embedded, and this one has not, or not so late.

    Where the target does not exist yet, that is all of them.
    """
    latest: dict[tuple[str, str], Behind] = {}
    existing = [one.name for one in await generations.find(connection)]
    for source in existing:
        there = target if target in existing else source
        rows = await _run(connection, "reembed_behind", source, there, project_id, model_version)
        async for row in rows:
            one = Behind(source, *row)
            known = latest.get((one.kind, one.id))
            if known is None or _when(known) < _when(one):
                latest[one.kind, one.id] = one
    return sorted(latest.values(), key=lambda one: (one.kind, one.table, one.model_version, one.id))


async def _run(
    connection: connection_module.Connection, name: str, source: str, target: str, *values: object
) -> queries.Cursor:
    """Execute a query on two tables, whose names are among medbots' own."""
    cursor: queries.Cursor = psycopg.AsyncRawCursor(connection)
    text = queries.text(name).replace(table_module.NAME, target).replace(_SOURCE, source)
    with connection_module.translated():
        await cursor.execute(text.encode(), values)
    return cursor


def _when(one: Behind) -> tuple[Any, ...]:
    # The last two decide between rows of the same times, the same way each time.
    return one.updated_at, one.created_at, one.table, one.model_version


def _counts(resources: Iterable[Resource]) -> tuple[list[str], list[int]]:
    pairs = [(one.behind.id, len(one.texts)) for one in resources]
    return [name for name, _ in pairs], [count for _, count in pairs]


def _resource(one: Behind, rows: Sequence[tuple[Any, ...]]) -> Resource:
    texts = tuple(Text(row[0], row[2], row[3], row[4]) for row in rows)
    hashes = {row[5] for row in rows}
    return Resource(one, texts, hashes.pop() if len(hashes) == 1 else "", rows[0][6])
