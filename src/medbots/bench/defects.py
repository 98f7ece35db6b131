"""What goes wrong in a store that nobody sees fail: counted, on either side, by the same acts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import Sequence
from typing import Protocol

import psycopg

from medbots.bench import guide, ours, side
from medbots.database import connection as connection_module
from medbots.database import elsewhere, indexes, queries

DIMENSION = 4
_MODEL = f"embedding-model/{DIMENSION}/none"
_WHEN = "2026-01-01T00:00:00Z"
_RESOURCES = 20
_FLUSH_SINCE = 150000


class Store(Protocol):
    """A store that records are put into."""

    connection: elsewhere.Connection

    async def init(self) -> None:
        """Make its tables and indexes; may be called again."""
        ...

    async def ingest(self, kind: str, resource: uuid.UUID, texts: Sequence[str]) -> None:
        """Embed a resource whose text falls into these chunks."""
        ...


async def count(store: Store) -> dict[str, int]:
    """Return how often each thing goes wrong; all are 0 in a store that is right.

    `store` is in a scratch schema of its own, which is empty.
    """
    await store.init()
    return {
        "staleChunks": await stale_chunks(store),
        "crossTypeOverwrites": await cross_type_overwrites(store),
        "deadTuples": await dead_tuples(store),
        "extraIndexes": await extra_indexes(store),
    }


async def stale_chunks(store: Store) -> int:
    """Embed a resource of five chunks, then a version of two; return the chunks left over."""
    resource = uuid.uuid4()
    await store.ingest("Condition", resource, [f"before {number}" for number in range(5)])
    await store.ingest("Condition", resource, ["after 0", "after 1"])
    return await _number(
        store,
        "SELECT count(*) FROM public.clinical_embeddings "
        "WHERE fhir_resource_id = %s AND content_text NOT LIKE 'after%%'",
        resource,
    )


async def cross_type_overwrites(store: Store) -> int:
    """Embed two resources of different types that have one id; return how many are lost."""
    resource = uuid.uuid4()
    for kind in ("Condition", "Observation"):
        await store.ingest(kind, resource, [f"text of the {kind}"])
    kept = await _number(
        store,
        "SELECT count(DISTINCT content_text) FROM public.clinical_embeddings "
        "WHERE fhir_resource_id = %s",
        resource,
    )
    return 2 - kept


async def dead_tuples(store: Store) -> int:
    """Embed the same resources twice; return the dead row versions that the second time left."""
    resources = [uuid.uuid4() for _ in range(_RESOURCES)]
    for resource in resources:
        await store.ingest("Observation", resource, ["unchanged"])
    before = await _killed(store)
    for resource in resources:
        await store.ingest("Observation", resource, ["unchanged"])
    return await _killed(store) - before


async def extra_indexes(store: Store) -> int:
    """Initialise again; return the indexes that this added."""
    statement = (
        "SELECT count(*) FROM pg_index WHERE indrelid = 'public.clinical_embeddings'::regclass"
    )
    before = await _number(store, statement)
    # What it made until it failed stays.
    with contextlib.suppress(psycopg.errors.DuplicateTable, psycopg.errors.DuplicateObject):
        await store.init()
    return await _number(store, statement) - before


async def _killed(store: Store) -> int:
    if store.connection.info.server_version >= _FLUSH_SINCE:
        await store.connection.execute("SELECT pg_stat_force_next_flush()")
    else:
        # Counts go out at the end of a statement, half a second after the last ones.
        await asyncio.sleep(1)
        await store.connection.execute("SELECT 1")
    return await _number(
        store,
        "SELECT n_tup_upd + n_tup_del FROM pg_stat_user_tables "
        "WHERE relid = 'public.clinical_embeddings'::regclass",
    )


async def _number(store: Store, statement: str, *values: object) -> int:
    cursor = await store.connection.execute(statement, values or None)
    row = await cursor.fetchone()
    return int(row[0])


def _vector(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "[" + ",".join(str(byte + 1) for byte in digest[:DIMENSION]) + "]"


class GuideStore:
    """The guide's initialisation and upsert (a `Store`)."""

    def __init__(self, connection: elsewhere.Connection) -> None:
        """Take a connection to an empty scratch schema."""
        self.connection = connection

    async def init(self) -> None:
        """Run what the guide's script runs."""
        await guide.create(self.connection, DIMENSION)

    async def ingest(self, kind: str, resource: uuid.UUID, texts: Sequence[str]) -> None:
        """Upsert each chunk by the guide's key."""
        for place, text in enumerate(texts):
            cursor = psycopg.AsyncRawCursor(self.connection)
            values = (kind, resource, None, place, text, _vector(text), "embedding-model")
            await cursor.execute(self.connection.place(guide.UPSERT).encode(), values)


class OurStore:
    """The migrations, the index and the bots' own statements (a `Store`)."""

    def __init__(self, connection: elsewhere.Connection) -> None:
        """Take a connection to an empty scratch schema."""
        self.connection = connection

    async def init(self) -> None:
        """Run what `db init` runs of it."""
        await ours.create(self.connection, DIMENSION, _MODEL)
        await indexes.ensure(self.connection, _MODEL)

    async def ingest(self, kind: str, resource: uuid.UUID, texts: Sequence[str]) -> None:
        """Do what the Embedding Bot does with a version, in its order."""
        key = (side.PROJECT, kind, str(resource))
        content = hashlib.sha256("\n".join(texts).encode()).hexdigest()
        version = hashlib.sha256(content.encode()).hexdigest()[:8]
        with connection_module.translated():
            async with self.connection.transaction():
                await queries.run(self.connection, "resource_lock", *key)
                cursor = await queries.run(self.connection, "resource_state", *key, _MODEL, _WHEN)
                standing = await cursor.fetchone()
                if standing and standing[0] == content:
                    await queries.run(
                        self.connection, "refresh_version", *key, _MODEL, version, _WHEN, None
                    )
                    return
                vectors = ",".join(f'"{_vector(text)}"' for text in texts)
                await queries.run(
                    self.connection,
                    "upsert_chunks",
                    *key,
                    version,
                    None,
                    _MODEL,
                    content,
                    _WHEN,
                    ["text"] * len(texts),
                    ["section"] * len(texts),
                    list(texts),
                    f"{{{vectors}}}",
                )
                await queries.run(
                    self.connection, "delete_surplus_chunks", *key, _MODEL, len(texts)
                )
