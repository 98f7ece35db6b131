"""The deployment guide's side: its table, its indexes in its order, its way to search."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import pgvector
import psycopg

from medbots.bench import data, side
from medbots.database import connection as connection_module
from medbots.database import elsewhere

_TABLE = """
CREATE TABLE IF NOT EXISTS public.clinical_embeddings (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  fhir_resource_type VARCHAR(100) NOT NULL,
  fhir_resource_id UUID NOT NULL,
  patient_id UUID,
  content_type VARCHAR(50),
  chunk_index INTEGER DEFAULT 0,
  content_text TEXT,
  embedding VECTOR({dimension}),
  model_version VARCHAR(100),
  created_at TIMESTAMPTZ DEFAULT NOW(),
  UNIQUE (fhir_resource_id, chunk_index)
)"""
INDEXES = (
    # On a table that is still empty: the centroids are guesses.
    """CREATE INDEX ON public.clinical_embeddings USING ivfflat (embedding vector_cosine_ops)
    WITH (lists = 100)""",
    """CREATE INDEX idx_embeddings_resource ON public.clinical_embeddings
    (fhir_resource_type, fhir_resource_id)""",
    "CREATE INDEX idx_embeddings_patient ON public.clinical_embeddings (patient_id)",
)
UPSERT = """
INSERT INTO public.clinical_embeddings (
  fhir_resource_type, fhir_resource_id, patient_id, content_type, chunk_index, content_text,
  embedding, model_version
) VALUES ($1, $2, $3, 'text', $4, $5, $6, $7)
ON CONFLICT (fhir_resource_id, chunk_index) DO UPDATE SET
  content_text = EXCLUDED.content_text,
  embedding = EXCLUDED.embedding,
  model_version = EXCLUDED.model_version,
  created_at = NOW()"""
_SEARCH = """
SELECT fhir_resource_type, fhir_resource_id, patient_id, content_text,
  1 - (embedding <=> $1::vector) AS similarity
FROM public.clinical_embeddings{where}
ORDER BY embedding <=> $1::vector
LIMIT {limit}"""
_COLUMNS = {
    "fhir_resource_type": "varchar",
    "fhir_resource_id": "uuid",
    "patient_id": "uuid",
    "content_type": "varchar",
    "chunk_index": "int4",
    "content_text": "text",
    "embedding": "vector",
    "model_version": "varchar",
}


async def create(connection: elsewhere.Connection, dimension: int = data.DIMENSION) -> None:
    """Run what the guide's initialisation runs; it may be run again."""
    await connection.execute(_TABLE.format(dimension=dimension))
    for statement in INDEXES:
        await connection.execute(statement)


class Guide:
    """The guide's table in a scratch schema (a `side.Side`)."""

    def __init__(self, connection: elsewhere.Connection) -> None:
        """Take a connection that is `side.prepare`d, to a schema where `create` has run."""
        self.connection = connection

    async def load(self, rows: Sequence[data.Row]) -> float:
        """COPY rows into the table, with its indexes in place."""
        return await side.copy(
            self.connection,
            _COLUMNS,
            (
                (
                    row.resource_type,
                    row.resource_id,
                    row.patient_id,
                    "text",
                    0,
                    row.text,
                    pgvector.Vector(row.vector),
                    side.MODEL,
                )
                for row in rows
            ),
        )

    async def everything(self, query: data.Query) -> side.Timed:
        """Search all rows, through the IVFFlat index with its one probe."""
        return await self._search(query, "")

    async def rare(self, query: data.Query) -> side.Timed:
        """Search the rare type."""
        return await self._search(query, "\nWHERE fhir_resource_type = $2", data.RARE)

    async def patient(self, query: data.Query) -> side.Timed:
        """Search one patient."""
        return await self._search(query, "\nWHERE patient_id = $2", query.patient_id)

    async def exact(self, query: data.Query) -> side.Timed:
        """Search all rows by comparing with each, in this layout."""
        await self.connection.execute("SET enable_indexscan = off")
        try:
            return await self._search(query, "")
        finally:
            await self.connection.execute("RESET enable_indexscan")

    async def probing(self, query: data.Query, probes: int) -> side.Timed:
        """Search all rows with more probes than the guide's one."""
        await self.connection.execute(f"SET ivfflat.probes = {probes:d}")
        try:
            return await self._search(query, "")
        finally:
            await self.connection.execute("RESET ivfflat.probes")

    async def _search(self, query: data.Query, where: str, *values: str | uuid.UUID) -> side.Timed:
        statement = self.connection.place(_SEARCH.format(where=where, limit=side.LIMIT))
        given = (side.vector(query.vector), *values)
        cursor = psycopg.AsyncRawCursor(self.connection)
        began = time.perf_counter()
        with connection_module.translated():
            await cursor.execute(statement.encode(), given)
            rows = await cursor.fetchall()
        seconds = time.perf_counter() - began
        return side.Timed(frozenset(row[1] for row in rows), seconds, seconds)
