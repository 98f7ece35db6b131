"""Two stores that do the same: the deployment guide's, and medbots'. Each scenario runs on both."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg

from medbots.database import connection, queries
from tests.support import postgres as support
from tests.support import store

MODEL = store.wish().model_version
VECTOR = "[1,2,3,4]"
_MADE = "2024-01-01T00:00:00Z"


@dataclass(frozen=True)
class Resource:
    """A record, with the same id in whichever store."""

    type: str = "Condition"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Store(Protocol):
    """A store of embeddings."""

    insert: str
    """Adds one row: `%s` chunk index, `%s` vector."""

    async def init(self) -> None:
        """Make it, or make sure of it."""
        ...

    async def ingest(
        self, resource: Resource, texts: Sequence[str], model: str = MODEL, vector: str = VECTOR
    ) -> None:
        """Store the present chunks of a record."""
        ...

    async def search(self, model: str = MODEL, vector: str = VECTOR) -> list[str]:
        """Return the texts of the nearest records."""
        ...

    async def by_index(self) -> list[str]:
        """Return the texts of all rows that the vector index finds."""
        ...

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        """Return rows of the database."""
        ...


class _Database:
    def __init__(self, database: support.Database) -> None:
        self.database = database

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[connection.Connection]:
        async with store.connected(self.database.url) as made:
            yield made

    async def by_index(self) -> list[str]:
        async with self.connected() as made:
            for setting in ("enable_seqscan = off", "enable_sort = off", "ivfflat.probes = 100"):
                await made.execute(f"SET {setting}".encode())
            cursor = await made.execute(
                "SELECT content_text FROM clinical_embeddings WHERE model_version = %s "
                "ORDER BY embedding <=> '[1,2,3,4]' LIMIT 100",
                [MODEL],
            )
            return [str(text) async for (text,) in cursor]

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        async with self.connected() as made:
            cursor = await made.execute(query.encode(), values or None)
            return await cursor.fetchall() if cursor.description else []


class Guide(_Database):
    """The guide's table, and the statements that its key and its columns allow."""

    insert = (
        "INSERT INTO clinical_embeddings (fhir_resource_type, fhir_resource_id, content_text, "
        "chunk_index, embedding, model_version) VALUES "
        "('Condition', '00000000-0000-4000-8000-000000000001', 'raw', %s, %s, "
        "'embedding-model/4/none')"
    )

    async def init(self) -> None:
        """Run the guide's script as psql does: it goes on after an error."""
        async with self.connected() as made:
            for statement in store.GUIDE.split(";"):
                if statement.strip():
                    with contextlib.suppress(psycopg.errors.DuplicateTable):
                        await made.execute(statement.encode())

    async def ingest(
        self, resource: Resource, texts: Sequence[str], model: str = MODEL, vector: str = VECTOR
    ) -> None:
        """Insert each chunk, or update the one with the same key."""
        async with self.connected() as made:
            for number, text in enumerate(texts):
                await made.execute(
                    "INSERT INTO clinical_embeddings (fhir_resource_type, fhir_resource_id, "
                    "content_type, chunk_index, content_text, embedding, model_version) "
                    "VALUES (%s, %s, 'note', %s, %s, %s, %s) "
                    "ON CONFLICT (fhir_resource_id, chunk_index) DO UPDATE SET "
                    "fhir_resource_type = excluded.fhir_resource_type, "
                    "content_text = excluded.content_text, embedding = excluded.embedding, "
                    "model_version = excluded.model_version",
                    [resource.type, resource.id, number, text, vector, model],
                )

    async def search(self, model: str = MODEL, vector: str = VECTOR) -> list[str]:
        """Order by distance; a model is nothing that the guide's search asks for."""
        del model
        rows = await self.fetch(
            "SELECT content_text FROM clinical_embeddings ORDER BY embedding <=> %s::vector "
            "LIMIT 10",
            vector,
        )
        return [str(text) for (text,) in rows]


class Ours(_Database):
    """The store as `db init` makes it, written to and searched by the bots' queries."""

    insert = (
        "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, "
        "version_id, content_type, content_text, content_hash, chunk_count, resource_updated_at, "
        "chunk_index, embedding, model_version) VALUES "
        "('11111111-1111-4111-8111-111111111111', 'Condition', "
        "'00000000-0000-4000-8000-000000000001', '1', 'note', 'raw', 'h', 1, now(), %s, %s, "
        "'embedding-model/4/none')"
    )

    async def init(self) -> None:
        """Run `db init`."""
        await store.initialised(self.database.url)

    async def ingest(
        self, resource: Resource, texts: Sequence[str], model: str = MODEL, vector: str = VECTOR
    ) -> None:
        """Do what the Embedding Bot does: nothing where the text is the same."""
        key = (store.PROJECT, resource.type, resource.id)
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        async with self.connected() as made, made.transaction():
            await queries.run(made, "resource_lock", *key)
            state = await queries.run(made, "resource_state", *key, model, _MADE)
            (stored, *_) = await state.fetchone() or (None,)
            if stored == digest:
                await queries.run(made, "refresh_version", *key, model, "1", _MADE, None)
                return
            count = len(texts)
            columns = (["note"] * count, ["Text"] * count, list(texts), [vector] * count)
            version = ("1", None, model, digest, _MADE)
            await queries.run(made, "upsert_chunks", *key, *version, *columns)
            await queries.run(made, "delete_surplus_chunks", *key, model, count)

    async def search(self, model: str = MODEL, vector: str = VECTOR) -> list[str]:
        """Search as the bots do."""
        async with self.connected() as made, made.transaction():
            given = (5000, store.PROJECT, model, None, store.DIMENSION, False, 40)
            settings = await queries.run(made, "search_settings", *given)
            way = (await settings.fetchone() or ("", [], ""))[2]
            found = await queries.run(
                made,
                "search_exact" if way == "exact" else "search_project",
                *(vector, store.PROJECT, model, None, None, None, None, 2.0, 10, 40),
            )
            return [str(row[4]) async for row in found]
