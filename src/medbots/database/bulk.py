"""Writes the rows of many resources at once, by the rules of the Embedding Bot."""

from __future__ import annotations

import array
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pgvector
from pgvector import psycopg as pgvector_psycopg

from medbots.database import queries
from medbots.database.connection import Connection
from medbots.database.inventory import Store
from medbots.inventory import Embedded, Text

_COLUMNS = {
    "fhir_resource_id": "uuid",
    "version_id": "text",
    "patient_id": "uuid",
    "content_type": "text",
    "content_section": "text",
    "chunk_index": "int4",
    "chunk_count": "int4",
    "content_text": "text",
    "content_hash": "text",
    "embedding": "halfvec",
    "resource_updated_at": "timestamptz",
}


class Writer:
    """Writes to a store.

    Nothing replaces a later version, or revives what was withdrawn since: each statement judges
    that itself, under the locks of its resources.
    """

    def __init__(self, connection: Connection, store: Store) -> None:
        self._connection = connection
        self._store = store
        self._registered = False

    async def refresh(self, kind: str, texts: Sequence[Text]) -> set[str]:
        """Let rows of an unchanged text stand for its new version; return whose text is another."""
        if not texts:
            return set()
        ids = [one.version.id for one in texts]
        async with self._store.alone(kind, ids):
            cursor = await self._store.run(
                "bulk_refresh",
                kind,
                self._store.model,
                ids,
                [one.version.version for one in texts],
                [one.version.updated for one in texts],
                [one.patient for one in texts],
                [one.hash for one in texts],
            )
            return {name async for name, standing in cursor if standing == "different"}

    async def write(self, kind: str, embedded: Sequence[Embedded]) -> None:
        """Make the rows of each resource those of its version, all or none."""
        if not embedded:
            return
        async with self._store.working():
            await self._register()
            await queries.run(self._connection, "bulk_batch")
            await self._copy(embedded)
            # Everything is there before anybody has to wait for it.
            await self._store.run("bulk_lock", kind, [one.text.version.id for one in embedded])
            await self._store.run("bulk_write", kind, self._store.model)

    async def withdraw(self, kind: str, texts: Sequence[Text]) -> None:
        """Delete the rows of versions that must not be found, and mark those versions."""
        if not texts:
            return
        versions = [one.version for one in texts]
        async with self._store.alone(kind, [one.id for one in versions]) as turn:
            await turn.withdraw(versions)

    async def _register(self) -> None:
        if not self._registered:
            await pgvector_psycopg.register_vector_async(self._connection)
            self._registered = True

    async def _copy(self, embedded: Sequence[Embedded]) -> None:
        names = ", ".join(_COLUMNS)
        statement = f"COPY medbots_batch ({names}) FROM STDIN (FORMAT BINARY)"
        async with (
            self._connection.cursor() as cursor,
            cursor.copy(statement.encode()) as copy,
        ):
            copy.set_types(list(_COLUMNS.values()))
            for row in _rows(embedded):
                await copy.write_row(row)


def _rows(embedded: Sequence[Embedded]) -> Iterator[tuple[Any, ...]]:
    for one in embedded:
        text, version = one.text, one.text.version
        for index, (chunk, vector) in enumerate(zip(text.chunks, one.vectors, strict=True)):
            kind, section, content = chunk
            yield (
                uuid.UUID(version.id),
                version.version,
                uuid.UUID(text.patient) if text.patient else None,
                kind,
                section,
                index,
                len(text.chunks),
                content,
                text.hash,
                half(vector),
                version.updated,
            )


def half(vector: Sequence[float]) -> pgvector.HalfVector:
    """Return a vector in half precision, rounded as the database rounds it: by way of a float."""
    return pgvector.HalfVector(array.array("f", vector).tolist())
