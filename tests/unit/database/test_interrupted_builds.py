"""Index builds that are really interrupted, watched, or run by somebody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from medbots import errors, secret
from medbots.database import builds, connection, indexes, keys, leftovers, schema, watch
from tests.support import postgres as support
from tests.support import store

ACTIVE = "embedding-model/4/none"
FILL = f"""
INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, version_id,
  content_type, chunk_index, chunk_count, content_text, content_hash, model_version, embedding,
  resource_updated_at)
SELECT gen_random_uuid(), 'Condition', gen_random_uuid(), 'v', 'note', 0, 1, 'text', 'h',
  '{ACTIVE}', ARRAY[random(), random(), random(), 1]::vector::halfvec, now()
FROM generate_series(1, 2000)
"""  # noqa: S608
HNSW = f"""
CREATE INDEX CONCURRENTLY clinical_embeddings_embedding_idx ON clinical_embeddings
  USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
  WHERE model_version = '{ACTIVE}'
"""


@pytest.fixture(scope="module")
def filled(postgres_server: support.Server) -> Iterator[str]:
    """The name of a database with every index and 2,000 rows, to make copies of."""
    with postgres_server.database() as template:
        asyncio.run(_fill(template))
        yield template.name


@pytest.fixture
def postgres(postgres_server: support.Server, filled: str) -> Iterator[support.Database]:
    """A copy of it."""
    with postgres_server.database(filled) as database:
        yield database


async def _fill(database: support.Database) -> None:
    async with store.connected(database.url) as owner:
        async for _ in schema.migrate(owner, store.wish("")):
            pass
        await owner.execute(f"DROP INDEX {indexes.NAME}".encode())
        await owner.execute(FILL.encode())
    await _migrate(database)


async def _migrate(database: support.Database, watcher: watch.Watch = watch.SILENT) -> list[Any]:
    async with store.connected(database.url) as owner:
        steps = schema.migrate(owner, store.wish(""), wait_seconds=20, watch=watcher)
        return [(one.key, one.action.value) async for one in steps if one.action != "unchanged"]


async def _indexes(database: support.Database) -> dict[str, bool]:
    async with store.connected(database.url) as owner:
        cursor = await owner.execute(
            "SELECT indexrelid::regclass::text, indisvalid AND indisready FROM pg_index "
            "WHERE indrelid = 'clinical_embeddings'::regclass ORDER BY 1"
        )
        return dict(await cursor.fetchall())


SOUND = {
    "clinical_embeddings_chunk_key": True,
    "clinical_embeddings_embedding_idx": True,
    "clinical_embeddings_patient_idx": True,
    "clinical_embeddings_pkey": True,
}


@contextlib.asynccontextmanager
async def _standing_in_the_way(database: support.Database, how: str) -> AsyncIterator[None]:
    """Keep a transaction open for which a concurrent build has to wait, in a phase of its own."""
    isolation = "REPEATABLE READ" if how == "snapshot" else "READ COMMITTED"
    async with store.connected(database.url) as other:
        await other.execute(f"BEGIN ISOLATION LEVEL {isolation}".encode())
        if how == "writer":
            await other.execute("UPDATE clinical_embeddings SET content_text = 'new'")
        elif how == "snapshot":
            await other.execute("SELECT 1")
        else:
            await other.execute("SELECT count(*) FROM clinical_embeddings")
        yield
        await other.execute("COMMIT")


async def _phase(owner: connection.Connection) -> tuple[int, str] | None:
    cursor = await owner.execute("SELECT pid, phase FROM pg_stat_progress_create_index")
    return await cursor.fetchone()


async def _begun(
    database: support.Database, statement: str, phase: str
) -> tuple[asyncio.Task[None], int]:
    """Start a build in a session of its own; return it once it is in a phase."""

    async def run() -> None:
        async with store.connected(database.url) as builder:
            await builder.execute("SELECT set_config('lock_timeout', '0', false)")
            await builder.execute(statement.encode())

    task = asyncio.create_task(run())
    async with store.connected(database.url) as owner:
        while True:
            assert not task.done(), task.exception()
            found = await _phase(owner)
            if found is not None and found[1].startswith(phase):
                return task, found[0]
            await asyncio.sleep(0.01)


REINDEX = "REINDEX INDEX CONCURRENTLY"
CREATE_PATIENT = (
    "CREATE INDEX CONCURRENTLY clinical_embeddings_patient_idx ON clinical_embeddings "
    "(project_id, patient_id)"
)


@pytest.mark.parametrize(
    ("end", "first", "statement", "way", "phase", "left", "made"),
    [
        (
            "pg_cancel_backend",
            f"DROP INDEX {indexes.NAME}",
            HNSW,
            "snapshot",
            "building index",
            indexes.NAME,
            [(indexes.NAME, "create")],
        ),
        (
            "pg_terminate_backend",
            f"DROP INDEX {keys.PATIENT}",
            CREATE_PATIENT,
            "writer",
            "waiting for writers before build",
            keys.PATIENT,
            [(keys.PATIENT, "create")],
        ),
        (
            "pg_cancel_backend",
            "SELECT 1",
            f"{REINDEX} {indexes.NAME}",
            "snapshot",
            "building index",
            f"{indexes.NAME}_ccnew",
            [(f"{indexes.NAME}_ccnew", "delete")],
        ),
        (
            "pg_terminate_backend",
            "SELECT 1",
            f"{REINDEX} {keys.KEY}",
            "snapshot",
            "waiting for old snapshots",
            f"{keys.KEY}_ccnew",
            [(f"{keys.KEY}_ccnew", "delete")],
        ),
        (
            "pg_cancel_backend",
            "SELECT 1",
            f"{REINDEX} {keys.KEY}",
            "reader",
            "waiting for readers before marking dead",
            f"{keys.KEY}_ccold",
            [(f"{keys.KEY}_ccold", "delete")],
        ),
    ],
    ids=["create hnsw", "create btree", "reindex hnsw", "reindex key, new", "reindex key, old"],
)
async def test_an_interrupted_build_is_finished(
    postgres: support.Database,
    end: str,
    first: str,
    statement: str,
    way: str,
    phase: str,
    left: str,
    made: list[Any],
) -> None:
    """Cut in the midst of a concurrent build, the next run leaves every index valid, none over."""
    async with store.connected(postgres.url) as owner:
        await owner.execute(first.encode())
        async with _standing_in_the_way(postgres, way):
            building, pid = await _begun(postgres, statement, phase)
            await owner.execute(f"SELECT {end}(%s)".encode(), [pid])
            with pytest.raises(psycopg.Error):
                await building
        assert [one.name for one in await leftovers.find(owner)] == [left]
        assert await _migrate(postgres) == made
        assert await leftovers.find(owner) == ()
    assert await _indexes(postgres) == SOUND
    assert await _migrate(postgres) == []


async def test_an_interrupted_key_is_finished(postgres: support.Database) -> None:
    """A key whose build was cut, or that never became the constraint, becomes it by the next."""
    unique = (
        f"CREATE UNIQUE INDEX CONCURRENTLY {keys.KEY} ON clinical_embeddings (project_id, "
        "fhir_resource_type, fhir_resource_id, model_version, chunk_index)"
    )
    async with store.connected(postgres.url) as owner:
        drop = f"ALTER TABLE clinical_embeddings DROP CONSTRAINT {keys.KEY}".encode()
        await owner.execute(drop)
        async with _standing_in_the_way(postgres, "writer"):
            building, pid = await _begun(postgres, unique, "waiting for writers")
            await owner.execute("SELECT pg_cancel_backend(%s)", [pid])
            with pytest.raises(psycopg.errors.QueryCanceled):
                await building
        assert await _migrate(postgres) == [(keys.KEY, "create")]
        await owner.execute(drop)
        await owner.execute(unique.encode())
        await owner.execute(
            f"ALTER TABLE clinical_embeddings DROP CONSTRAINT {keys.CHECK}".encode()
        )
        assert await _migrate(postgres) == [(keys.KEY, "create"), (keys.CHECK, "create")]
        assert await keys.inspect(owner) == keys.Keys(True, True, True, True)
    assert await _indexes(postgres) == SOUND


async def test_a_build_of_somebody_else_is_waited_for(postgres: support.Database) -> None:
    """What another session builds is no left-over: once it is ready, there is nothing to do."""
    async with store.connected(postgres.url) as owner:
        await owner.execute(f"DROP INDEX {keys.PATIENT}".encode())
    async with _standing_in_the_way(postgres, "writer"):
        theirs, _ = await _begun(postgres, CREATE_PATIENT, "waiting for writers")
        recorder = Recorder(postgres.url)
        ours = asyncio.create_task(_migrate(postgres, recorder))
        await asyncio.sleep(0.5)
        assert not theirs.done()
        assert not ours.done()
        (told,) = recorder.waits
        assert f"builds index {keys.PATIENT} (pid " in told
    await theirs
    assert await ours == []
    assert await _indexes(postgres) == SOUND


async def test_a_build_of_somebody_else_is_refused_by_name(
    postgres: support.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that does not end is named with its process, and nothing of it is touched."""
    monkeypatch.setattr(builds, "WAIT_SECONDS", 0.2)
    async with _standing_in_the_way(postgres, "reader"):
        theirs, pid = await _begun(postgres, f"{REINDEX} {indexes.NAME}", "waiting for readers")
        with pytest.raises(errors.DatabaseError) as caught:
            await _migrate(postgres)
        assert f"index {indexes.NAME} (pid {pid}, user postgres" in caught.value.message
        assert "waiting for readers before marking dead; waited 0.2 s" in caught.value.message
        assert caught.value.hint == (
            f"run it again when that has ended; to end it: SELECT pg_cancel_backend({pid})"
        )
    await theirs
    assert await _migrate(postgres) == []


async def test_an_owner_without_powers_sees_the_builds_of_others(
    postgres: support.Database,
) -> None:
    """Who may not see what another role builds still sees that it builds on the table."""
    async with store.connected(postgres.url) as admin:
        await admin.execute("CREATE ROLE plain_owner LOGIN PASSWORD 'x'")
        async with _standing_in_the_way(postgres, "writer"):
            theirs, pid = await _begun(postgres, f"{REINDEX} {indexes.NAME}", "waiting for writers")
            async with store.connected(postgres.url_as("plain_owner", "x")) as owner:
                found = await builds.others(owner, ["public.clinical_embeddings", "public.nothing"])
                assert [one.pid for one in found] == [pid]
                assert await builds.others(owner, ["public.clinical_embedding_tombstones"]) == ()
        await theirs


async def test_an_index_of_another_model_that_is_left_over_goes(
    postgres: support.Database,
) -> None:
    """Though the model in use is served, what every write pays for without use is dropped."""
    async with store.connected(postgres.url) as owner:
        other = HNSW.replace(indexes.NAME, "other_idx").replace(ACTIVE, "other/4/none")
        await owner.execute(other.encode())
        await owner.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'other_idx'::regclass"
        )
        assert (await leftovers.find(owner))[0].ours
        assert await _migrate(postgres) == []
        assert await leftovers.find(owner) == ()
    assert await _indexes(postgres) == SOUND


async def test_an_index_of_the_users_own_stays(postgres: support.Database) -> None:
    """An invalid index that is not ours is shown and kept; so is the user's valid one."""
    async with store.connected(postgres.url) as owner:
        await owner.execute("CREATE INDEX by_text ON clinical_embeddings (content_text)")
        await owner.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_text'::regclass"
        )
        assert await _migrate(postgres) == []
        (found,) = await leftovers.find(owner)
    assert (found.name, found.kind, found.copy_of, found.building) == (
        "by_text",
        "btree",
        None,
        False,
    )


class Recorder(watch.Watch):
    """Keeps what it hears."""

    def __init__(self, url: secret.Secret) -> None:
        self.url = url
        self.heard: list[watch.Progress] = []
        self.waits: list[str] = []
        self._news = asyncio.Event()
        self.told: list[tuple[str, str]] = []

    def statement(self, label: str, text: str, summary: str = "") -> None:
        """Keep a statement."""
        self.told.append((label, text))

    def waiting(self, reason: str) -> None:
        """Keep for what is waited."""
        self.waits.append(reason)

    def progress(self, found: watch.Progress) -> None:
        """Keep a progress."""
        self.heard.append(found)
        self._news.set()

    async def until(self, enough: Callable[[list[watch.Progress]], bool]) -> None:
        """Wait until what was heard is enough."""
        async with asyncio.timeout(20):
            while not enough(self.heard):
                self._news.clear()
                await self._news.wait()

    def second(self) -> AbstractAsyncContextManager[connection.Connection] | None:
        """Connect once more."""
        return store.connected(self.url)


async def test_a_build_tells_how_far_it_is(postgres: support.Database) -> None:
    """A build that waits for a writer says so, with how many; at its end it is done."""
    recorder = Recorder(postgres.url)
    async with store.connected(postgres.url) as owner:
        await owner.execute(f"DROP INDEX {indexes.NAME}".encode())
    async with _standing_in_the_way(postgres, "writer"):
        building = asyncio.create_task(_migrate(postgres, recorder))
        what = f"index {indexes.NAME}"
        waiting = watch.Progress(what, "waiting for writers before build", 0, 1)
        await recorder.until(lambda heard: waiting in heard)
    await building
    assert recorder.heard[-1] == watch.Progress(what, watch.DONE, 1, 1)
    assert any(label == what and "CONCURRENTLY" in text for label, text in recorder.told)


@pytest.mark.parametrize("how", ["refused", "cut"])
async def test_a_look_that_fails_lets_the_build_go_on(
    postgres: support.Database, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Without a second connection, or when it is lost, the build ends well and no end is told."""
    async with store.connected(postgres.url) as owner:
        await owner.execute(f"DROP INDEX {indexes.NAME}".encode())
        parts = conninfo.conninfo_to_dict(postgres.url.reveal()) | {"user": "nobody"}
        wrong = secret.Secret(conninfo.make_conninfo("", **parts))
        recorder = Recorder(wrong if how == "refused" else postgres.url)
        async with _standing_in_the_way(postgres, "writer"):
            building = asyncio.create_task(_migrate(postgres, recorder))
            if how == "cut":
                await recorder.until(bool)
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE '%index build of a session%' AND pid <> pg_backend_pid() "
                    "AND datname = current_database()"
                )
            await asyncio.sleep(0.5)
        assert await building == [(indexes.NAME, "create")]
    assert watch.DONE not in {one.phase for one in recorder.heard}
    assert await _indexes(postgres) == SOUND
