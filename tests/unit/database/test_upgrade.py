"""From the guide's table, and from every earlier version, with rows and with writers meanwhile."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from medbots import secret
from medbots.database import connection, indexes, keys, leftovers, migrations, queries, schema
from tests.support import postgres as support
from tests.support import store

ACTIVE = "embedding-model/4/none"
LATEST = len(migrations.packaged())
WRITERS = 4
SIZES = [pytest.param(2_000, id="2k"), pytest.param(20_000, id="20k", marks=pytest.mark.full)]

GUIDE_ROW = (
    "INSERT INTO clinical_embeddings (fhir_resource_type, fhir_resource_id, patient_id, "
    "content_type, chunk_index, content_text, embedding, model_version) VALUES "
    "('Condition', %s, %s, 'note', 0, %s, %s, 'embedding-model') "
    "ON CONFLICT (fhir_resource_id, chunk_index) DO UPDATE SET content_text = "
    "excluded.content_text, embedding = excluded.embedding"
)
OUR_ROW = (
    "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, "
    "patient_id, version_id, content_type, chunk_index, chunk_count, content_text, content_hash, "
    f"embedding, model_version, resource_updated_at) SELECT '{store.PROJECT}', 'Condition', %s, "
    f"%s, 'v', 'note', 0, 1, %s, 'h', %s, '{ACTIVE}', now()"
)
SETTINGS = {
    "medbots.dimension": "4",
    "medbots.project_id": store.PROJECT,
    "medbots.model_version": ACTIVE,
    "medbots.model_alias": "embedding-model",
}


@dataclass
class Writer:
    """Somebody who inserts, updates, deletes and searches, and knows what was acknowledged."""

    number: int
    guide: bool
    """Whether it writes as the guide's bots do."""
    rows: dict[uuid.UUID, str] = field(default_factory=dict)
    """Text by resource, of the rows that nobody else touches."""
    written: int = 0
    refused: list[str] = field(default_factory=list)
    """What the table did not take while it had another shape."""

    async def work(self, url: secret.Secret, stop: asyncio.Event) -> None:
        """Go on until `stop`, one statement after the other."""
        chance = random.Random(self.number)  # noqa: S311
        async with store.connected(url) as session:
            while not stop.is_set():
                try:
                    await self._one(session, chance)
                except psycopg.Error as error:
                    if error.sqlstate is None:
                        raise
                    self.refused.append(str(error))
                    self.guide = not self.guide
                # A program that ingests does not spin: on two cores the others must get on too.
                await asyncio.sleep(0.002)

    async def _one(self, session: connection.Connection, chance: random.Random) -> None:
        kind = chance.choice(("insert", "insert", "update", "delete", "search"))
        if kind == "search":
            await session.execute(
                "SELECT id FROM clinical_embeddings ORDER BY embedding <=> '[1,2,3,4]' LIMIT 5"
            )
            return
        if kind == "insert":
            resource, text = uuid.UUID(int=chance.getrandbits(128)), f"new {chance.random()}"
            statement = GUIDE_ROW if self.guide else OUR_ROW
            await session.execute(statement.encode(), [resource, resource, text, _vector(text)])
            self.rows[resource] = text
        else:
            resource = chance.choice(list(self.rows))
            if kind == "update":
                text = f"changed {chance.random()}"
                await session.execute(
                    "UPDATE clinical_embeddings SET content_text = %s, embedding = %s::vector "
                    "WHERE fhir_resource_id = %s",
                    [text, _vector(text), resource],
                )
                self.rows[resource] = text
            else:
                await session.execute(
                    "DELETE FROM clinical_embeddings WHERE fhir_resource_id = %s", [resource]
                )
                del self.rows[resource]
        self.written += 1


def _vector(text: str) -> str:
    return f"[{sum(text.encode()) % 1000 + 1},{len(text)},1,0]"


async def _earlier(database: support.Database, version: int, rows: int) -> list[Writer]:
    """Make the store as it was after a version (0: the guide's table), with rows of writers."""
    writers = [Writer(number, guide=version < 2) for number in range(WRITERS)]
    async with store.connected(database.url) as owner:
        await owner.execute(store.GUIDE.encode())
        known = migrations.packaged()[:version]
        # After 1 the table is still the guide's.
        if version > 1:
            async for _ in migrations.migrate(owner, SETTINGS, known):
                pass
        async with owner.cursor() as cursor:
            values = []
            for number in range(rows):
                resource, text = uuid.uuid4(), f"row {number}"
                writers[number % WRITERS].rows[resource] = text
                values.append([resource, resource, text, _vector(text)])
            async with owner.transaction():
                await cursor.executemany((OUR_ROW if version > 1 else GUIDE_ROW).encode(), values)
        if version == 1:
            async for _ in migrations.migrate(owner, SETTINGS, known):
                pass
    return writers


async def _fetch(database: support.Database, query: str) -> list[Any]:
    async with store.connected(database.url) as owner:
        return await (await owner.execute(query.encode())).fetchall()


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("version", range(LATEST + 1))
async def test_nothing_is_lost(postgres: support.Database, version: int, rows: int) -> None:
    """Rows are those that were acknowledged, to the last; indexes, roles and history are right."""
    writers = await _earlier(postgres, version, rows)
    stop = asyncio.Event()
    secrets = store.Secrets()
    working = [asyncio.create_task(one.work(postgres.url, stop)) for one in writers]
    await asyncio.sleep(0.1)
    steps = await store.initialised(postgres.url, secrets)
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*working)

    assert all(one.written > 5 for one in writers)
    expected = Counter(
        (resource, text, _vector(text)) for one in writers for resource, text in one.rows.items()
    )
    found = await _fetch(
        postgres, "SELECT fhir_resource_id, content_text, embedding::text FROM clinical_embeddings"
    )
    assert Counter(tuple(row) for row in found) == expected
    assert await _fetch(postgres, "SELECT to_regclass('clinical_embeddings_set_aside')") == [
        (None,)
    ]
    # Where the table has its columns already, nobody is refused for a moment.
    assert version < 2 or [one.refused for one in writers] == [[]] * WRITERS
    await _sound(postgres, secrets, len(expected))
    done = {step.key: step.action for step in steps}
    assert done["0002_adopt_guide_table"] == ("adopt" if version < 2 else "unchanged")
    again = await store.initialised(postgres.url, secrets)
    assert {step.action for step in again} == {schema.Action.UNCHANGED}


async def _sound(database: support.Database, secrets: store.Secrets, rows: int) -> None:
    """Assert that keys and indexes are valid, and that the bots see their rows and no others."""
    async with store.connected(database.url) as owner:
        assert await keys.inspect(owner) == keys.Keys(True, True, True, True)
        index = indexes.of_model(await indexes.find(owner), ACTIVE)
        assert index is not None
        assert index.valid
        assert await leftovers.find(owner) == ()
        assert len(await migrations.history(owner)) == LATEST
        # Every row is in the key and in the index, and nothing else is.
        await owner.execute("SET enable_seqscan = off")
        counted = await owner.execute(
            "SELECT count(*) FROM clinical_embeddings WHERE project_id = %s", [store.PROJECT]
        )
        assert await counted.fetchone() == (rows,)
    other = store.Secrets()
    await store.initialised(database.url, other, store.wish(store.OTHER_PROJECT))
    for mine, count in ((secrets, rows), (other, 0)):
        async with store.connected(mine.url or secret.Secret("")) as bot:
            counted = await bot.execute("SELECT count(*) FROM clinical_embeddings")
            assert await counted.fetchone() == (count,)
    async with store.connected(secrets.url or secret.Secret("")) as bot:
        cursor = await queries.run(
            bot, "resource_state", store.PROJECT, "Condition", str(uuid.uuid4()), ACTIVE, "now"
        )
        assert await cursor.fetchone() == (None, False, False)


async def test_every_index_of_a_table_with_rows_is_built_beside_it(
    postgres: support.Database,
) -> None:
    """While the key of an adopted table is built, who reads and writes it is not kept waiting."""
    await _earlier(postgres, 2, 2_000)
    async with store.connected(postgres.url) as writer:
        await writer.execute("SELECT set_config('lock_timeout', '2s', false)")
        async with writer.transaction():
            await writer.execute("UPDATE clinical_embeddings SET content_text = content_text")
            building = asyncio.create_task(store.initialised(postgres.url))
            await _building(postgres, writer.info.backend_pid)
            assert not building.done()
            async with store.connected(postgres.url) as another:
                await another.execute("SELECT set_config('lock_timeout', '2s', false)")
                resource = uuid.uuid4()
                values = [resource, resource, "beside", _vector("beside")]
                await another.execute(OUR_ROW.encode(), values)
                counted = await another.execute("SELECT count(*) FROM clinical_embeddings")
                assert await counted.fetchone() == (2_001,)
        made = {step.key for step in await building if step.action is schema.Action.CREATE}
    assert {keys.KEY, keys.CHECK, keys.PATIENT, indexes.NAME} <= made


async def _building(database: support.Database, pid: int) -> None:
    """Return once a concurrent build waits for the transaction of a session."""
    async with store.connected(database.url) as onlooker, asyncio.timeout(20):
        while True:
            cursor = await onlooker.execute(
                "SELECT FROM pg_stat_progress_create_index WHERE command = "
                "'CREATE INDEX CONCURRENTLY' AND current_locker_pid = %s",
                [pid],
            )
            if await cursor.fetchone() is not None:
                return
            await asyncio.sleep(0.02)


async def test_rows_that_break_the_key_are_told(postgres: support.Database) -> None:
    """Doubles that came in before the key stop the run, and the next one goes on without them."""
    await _earlier(postgres, 2, 10)
    double = (
        "INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, "
        "version_id, content_type, chunk_index, chunk_count, content_text, content_hash, "
        "embedding, model_version, resource_updated_at) SELECT project_id, fhir_resource_type, "
        "fhir_resource_id, version_id, content_type, chunk_index, chunk_count, 'double', "
        "content_hash, embedding, model_version, resource_updated_at FROM clinical_embeddings "
        "LIMIT 1"
    )
    async with store.connected(postgres.url) as owner:
        await owner.execute(double.encode())
        with pytest.raises(Exception, match="could not create unique index") as caught:
            await store.initialised(postgres.url)
        assert "GROUP BY" in (getattr(caught.value, "hint", "") or "")
        await owner.execute("DELETE FROM clinical_embeddings WHERE content_text = 'double'")
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as owner:
        assert await leftovers.find(owner) == ()
        assert (await keys.inspect(owner)).key
