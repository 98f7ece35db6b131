"""medbots' side: the migrations, the index builds and the named queries that ship."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Sequence

import pgvector

from medbots.bench import data, side
from medbots.database import (
    builds,
    elsewhere,
    indexes,
    migrations,
    queries,
    search,
    type_indexes,
)

_COLUMNS = {
    "project_id": "uuid",
    "fhir_resource_type": "varchar",
    "fhir_resource_id": "uuid",
    "version_id": "text",
    "patient_id": "uuid",
    "content_type": "varchar",
    "chunk_index": "int4",
    "chunk_count": "int4",
    "content_text": "text",
    "content_hash": "text",
    "embedding": "halfvec",
    "model_version": "varchar",
    "resource_updated_at": "timestamptz",
}
_THEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


async def create(
    connection: elsewhere.Connection,
    dimension: int = data.DIMENSION,
    model_version: str = side.MODEL,
) -> None:
    """Run the migrations that ship; they may be run again."""
    settings = {
        "medbots.dimension": str(dimension),
        "medbots.project_id": side.PROJECT,
        "medbots.model_version": model_version,
        "medbots.model_alias": "",
    }
    async for _ in migrations.migrate(connection, settings):
        pass


class Ours:
    """medbots' table in a scratch schema (a `side.Side`)."""

    def __init__(self, connection: elsewhere.Connection) -> None:
        """Take a connection that is `side.prepare`d, to a schema where `create` has run."""
        self.connection = connection
        search.prepare(connection)

    async def load(self, rows: Sequence[data.Row]) -> float:
        """COPY rows into the table, with whatever indexes are in place."""
        project = uuid.UUID(side.PROJECT)
        return await side.copy(
            self.connection,
            _COLUMNS,
            (
                (
                    project,
                    row.resource_type,
                    row.resource_id,
                    "1",
                    row.patient_id,
                    "text",
                    0,
                    1,
                    row.text,
                    f"{row.number:064}",
                    pgvector.HalfVector(row.vector),
                    side.MODEL,
                    _THEN,
                )
                for row in rows
            ),
        )

    async def build(self) -> float:
        """Build the model's index over the rows that are there; return the seconds."""
        began = time.perf_counter()
        await indexes.ensure(self.connection, side.MODEL)
        seconds = time.perf_counter() - began
        await side.unlimited(self.connection)
        return seconds

    async def build_types(self) -> None:
        """Build the indexes of rare types, where their rows warrant one."""
        async for _ in type_indexes.ensure(self.connection, side.MODEL):
            pass
        await side.unlimited(self.connection)

    async def drop(self) -> None:
        """Drop the model's index."""
        await builds.drop(self.connection, indexes.NAME, concurrently=False)

    async def everything(self, query: data.Query) -> side.Timed:
        """Search all rows as the bots do."""
        return await self._search(query)

    async def rare(self, query: data.Query) -> side.Timed:
        """Search the rare type as the bots do."""
        return await self._search(query, types=(data.RARE,))

    async def patient(self, query: data.Query) -> side.Timed:
        """Search one patient as the bots do."""
        return await self._search(query, patient_id=str(query.patient_id))

    async def exact(self, query: data.Query) -> side.Timed:
        """Search all rows by comparing with each, in this layout."""
        return await self._search(query, exact=True)

    async def reaching(self, query: data.Query, candidates: int) -> side.Timed:
        """Search all rows with another list of candidates than the bots' 100."""
        await self.connection.execute(f"SET hnsw.ef_search = {candidates:d}")
        began = time.perf_counter()
        cursor = await queries.run(
            self.connection,
            "search_project",
            side.vector(query.vector),
            side.PROJECT,
            side.MODEL,
            *(None, None, None, None, 2.0, side.LIMIT, side.LIMIT),
        )
        rows = await cursor.fetchall()
        seconds = time.perf_counter() - began
        await self.connection.execute("RESET hnsw.ef_search")
        return side.Timed(frozenset(uuid.UUID(row[1]) for row in rows), seconds, seconds)

    async def _search(
        self,
        query: data.Query,
        *,
        types: tuple[str, ...] | None = None,
        patient_id: str | None = None,
        exact: bool = False,
    ) -> side.Timed:
        wanted = search.Search(
            side.PROJECT,
            side.MODEL,
            query.vector.tolist(),
            side.LIMIT,
            types,
            patient_id,
        )
        found = await search.nearest(self.connection, wanted, exact=exact)
        ids = frozenset(uuid.UUID(hit.resource_id) for hit in found.hits)
        return side.Timed(ids, found.statement_seconds, found.seconds)
