"""The store beside the server: compared, written in bulk, cleared, by the rules of the bot."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from medbots import errors
from medbots.database import bulk, checkpoints, inventory
from medbots.database.connection import Connection
from medbots.inventory import Embedded, Standing, Text, Version
from tests.support import postgres as support
from tests.support import store as support_store

MODEL = "embedding-model/4/none"
OLD = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NEW = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
KIND = "Condition"
PATIENT = str(uuid.uuid4())

_NEXT = """
CREATE TABLE clinical_embeddings_next (LIKE clinical_embeddings INCLUDING ALL);
ALTER TABLE clinical_embeddings_next ALTER embedding TYPE halfvec(2)
"""

pytestmark = pytest.mark.enable_socket


class Stand:
    """A store that has been initialised."""

    def __init__(self, connection: Connection, project: str = support_store.PROJECT) -> None:
        self.connection = connection
        self.store = inventory.Store(connection, project, MODEL, 4)
        self.writer = bulk.Writer(connection, self.store)

    async def write(self, *texts: Text) -> None:
        """Write texts, each chunk with a vector of its number."""
        await self.writer.write(KIND, [embedded(one) for one in texts])

    async def rows(self, name: str) -> list[tuple[Any, ...]]:
        """Return version, number, count, text and vector of each row."""
        cursor = await self.connection.execute(
            "SELECT version_id, chunk_index, chunk_count, content_text, embedding::text"
            " FROM clinical_embeddings WHERE fhir_resource_id = %s ORDER BY chunk_index",
            [name],
        )
        return await cursor.fetchall()

    async def tombstones(self) -> list[tuple[Any, ...]]:
        """Return id, version and time of each."""
        cursor = await self.connection.execute(
            "SELECT fhir_resource_id::text, version_id, deleted_at"
            " FROM clinical_embedding_tombstones"
        )
        return await cursor.fetchall()

    async def standing(self, version: Version) -> Standing:
        """Return how the store stands to one version."""
        return (await self.store.compare(KIND, [version]))[version.id]


def version(name: str | None = None, number: str = "v1", at: dt.datetime = OLD) -> Version:
    """Return a version of a resource."""
    return Version(name or str(uuid.uuid4()), number, at)


def text(of: Version, *contents: str, digest: str = "hash") -> Text:
    """Return a text of some chunks."""
    chunks = tuple(("structured", "Section", one) for one in contents)
    return Text(of, PATIENT, chunks, digest if chunks else None)


def embedded(one: Text) -> Embedded:
    """Return a text with its vectors."""
    return Embedded(one, tuple([1.0, float(place), 0.1, 0.0] for place in range(len(one.chunks))))


@pytest.fixture
async def stand(postgres: support.Database) -> AsyncIterator[Stand]:
    """A store that has been initialised."""
    await support_store.initialised(postgres.url)
    async with support_store.connected(postgres.url) as connection:
        yield Stand(connection)


async def test_what_is_written_is_embedded(stand: Stand) -> None:
    """Rows stand for their version: chunks in order, vectors in half precision."""
    one = version()
    await stand.write(text(one, "first", "second"))
    assert await stand.standing(one) is Standing.EMBEDDED
    assert await stand.rows(one.id) == [
        ("v1", 0, 2, "first", "[1,0,0.099975586,0]"),
        ("v1", 1, 2, "second", "[1,1,0.099975586,0]"),
    ]


async def test_each_standing(stand: Stand) -> None:
    """Missing, stale, ahead, withheld, blocked: told apart by version and time."""
    missing, stale, ahead, withheld, blocked = (version() for _ in range(5))
    await stand.write(text(stale, "a"), text(replace(ahead, version="v2", updated=NEW), "a"))
    await stand.writer.withdraw(KIND, [text(withheld)])
    async with stand.store.alone(KIND, [blocked.id]) as turn:
        await turn.remove([blocked.id], NEW)
    given = [missing, replace(stale, version="v2", updated=NEW), ahead, withheld, blocked]
    found = await stand.store.compare(KIND, given)
    assert [found[one.id] for one in given] == [
        Standing.MISSING,
        Standing.STALE,
        Standing.AHEAD,
        Standing.WITHHELD,
        Standing.BLOCKED,
    ]
    later = replace(withheld, version="v2", updated=NEW)
    assert await stand.standing(later) is Standing.MISSING


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM clinical_embeddings WHERE chunk_index = 1",
        "UPDATE clinical_embeddings SET content_hash = 'x' WHERE chunk_index = 1",
        "UPDATE clinical_embeddings SET version_id = 'x' WHERE chunk_index = 1",
    ],
)
async def test_a_chunk_set_that_is_not_whole_is_stale(stand: Stand, damage: str) -> None:
    """A chunk that is lost or of another make spoils its resource."""
    one = version()
    await stand.write(text(one, "first", "second"))
    await stand.connection.execute(damage.encode())
    assert await stand.standing(one) is Standing.STALE


async def test_a_shorter_version_leaves_no_chunk(stand: Stand) -> None:
    """A version with fewer chunks replaces all of the one before it, and clears a tombstone."""
    one = version()
    await stand.write(text(one, "a", "b", "c"))
    async with stand.store.alone(KIND, [one.id]) as turn:
        await turn.remove([one.id], OLD)
    await stand.write(text(one, "a", "b", "c"))
    await stand.write(text(replace(one, version="v2", updated=NEW), "d"))
    assert [row[:4] for row in await stand.rows(one.id)] == [("v2", 0, 1, "d")]
    assert await stand.tombstones() == []


async def test_nothing_replaces_what_is_later(stand: Stand) -> None:
    """An older version changes no row of a later one, nor of a resource that has gone since."""
    later, gone, other = version(number="v2", at=NEW), version(), version()
    await stand.write(text(later, "new"))
    async with stand.store.alone(KIND, [gone.id]) as turn:
        await turn.remove([gone.id], NEW)
    old = replace(later, version="v1", updated=OLD)
    await stand.write(text(old, "old"), text(gone, "old"), text(other, "other"))
    assert await stand.writer.refresh(KIND, [text(old, "old"), text(gone, "old")]) == set()
    await stand.writer.withdraw(KIND, [text(old)])
    assert [row[3] for row in await stand.rows(later.id)] == ["new"]
    assert await stand.rows(gone.id) == []
    assert [row[3] for row in await stand.rows(other.id)] == ["other"]


async def test_what_another_model_has_of_a_later_version_stays(stand: Stand) -> None:
    """A version that must not be found takes no row of a later one, whichever model made that."""
    one = version()
    late = Stand(stand.connection)
    late.store.model = "other-model/4/none"
    await stand.write(text(one, "old"))
    await late.write(text(replace(one, version="v2", updated=NEW), "new"))
    await stand.writer.withdraw(KIND, [text(one)])
    assert [row[3] for row in await stand.rows(one.id)] == ["new"]
    assert await stand.tombstones() == [(one.id, "v1", OLD)]
    async with stand.store.alone(KIND, [one.id]) as turn:
        assert await turn.remove([one.id], OLD) == 1
    assert await stand.rows(one.id) == []


async def test_an_unchanged_text_keeps_its_vectors(stand: Stand) -> None:
    """A version of the same text: the rows stand for it at once, and no vector is asked for."""
    same, changed = version(), version()
    await stand.write(text(same, "a"), text(changed, "a"))
    now = [replace(one, version="v2", updated=NEW) for one in (same, changed)]
    texts = [text(now[0], "a"), text(now[1], "b", digest="other")]
    assert await stand.writer.refresh(KIND, texts) == {changed.id}
    assert await stand.standing(now[0]) is Standing.EMBEDDED
    assert await stand.standing(now[1]) is Standing.STALE


async def test_a_writer_of_one_resource_is_waited_for(
    stand: Stand, postgres: support.Database
) -> None:
    """While somebody holds a resource's lock, the batch waits; then it sees what was written."""
    one = version()
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws('/', 'clinical_embeddings', %s, %s, %s), 0))"  # noqa: E501
    async with support_store.connected(postgres.url) as other:
        second = Stand(other)
        async with other.transaction():
            key = [support_store.PROJECT, KIND, one.id]
            await other.execute(lock.replace("%s", "%s::text").encode(), key)
            waiting = asyncio.ensure_future(stand.write(text(one, "old")))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await second.write(text(replace(one, version="v2", updated=NEW), "new"))
        await waiting
    assert [row[3] for row in await stand.rows(one.id)] == ["new"]


async def test_keys_go_page_by_page(stand: Stand) -> None:
    """Each resource once, in order, of the one type and project."""
    some = [version() for _ in range(7)]
    await stand.write(*(text(one, "a", "b") for one in some))
    await stand.writer.write("Observation", [embedded(text(version(), "a"))])
    await Stand(stand.connection, support_store.OTHER_PROJECT).write(text(version(), "a"))
    first = await stand.store.keys(KIND, None, 4)
    rest = await stand.store.keys(KIND, first[-1], 4)
    assert [*first, *rest] == sorted(one.id for one in some)
    assert await stand.store.keys(KIND, rest[-1], 4) == []


async def test_a_removal_is_of_every_model(stand: Stand) -> None:
    """An orphan loses the rows of former models too, and a tombstone stays."""
    one, other = version(), version()
    await stand.write(text(one, "a"))
    former = inventory.Store(stand.connection, support_store.PROJECT, "old/4/none", 4)
    await bulk.Writer(stand.connection, former).write(KIND, [embedded(text(one, "a"))])
    assert await stand.store.models() == [(MODEL, 1), ("old/4/none", 1)]
    async with stand.store.alone(KIND, [one.id, other.id]) as turn:
        assert await turn.remove([one.id, other.id], NEW) == 1
    assert await stand.rows(one.id) == []
    assert {(name, at) for name, _, at in await stand.tombstones()} == {
        (one.id, NEW),
        (other.id, NEW),
    }


async def test_tables_are_told_apart_by_the_length_of_their_vectors(stand: Stand) -> None:
    """While the length is being changed each model has its table; orphans go from both."""
    for statement in _NEXT.split(";"):
        await stand.connection.execute(statement.encode())
    one = version()
    await stand.write(text(one, "a"))
    store = inventory.Store(stand.connection, support_store.PROJECT, "m/2/none", 2)
    assert (await store.compare(KIND, [one]))[one.id] is Standing.MISSING
    short = Embedded(text(one, "a"), ([1.0, 0.5],))
    await bulk.Writer(stand.connection, store).write(KIND, [short])
    assert (await store.compare(KIND, [one]))[one.id] is Standing.EMBEDDED
    assert await stand.store.models() == [(MODEL, 1), ("m/2/none", 1)]
    assert await store.keys(KIND, None, 9) == [one.id]
    async with stand.store.alone(KIND, [one.id]) as turn:
        assert await turn.remove([one.id], NEW) == 1
    assert await store.models() == []


async def test_what_is_lifted_can_be_written(stand: Stand) -> None:
    """A store that is ahead of a server restored from a backup takes its versions again."""
    blocked, ahead = version(), version()
    await stand.write(text(replace(ahead, version="v9", updated=NEW), "lost"))
    async with stand.store.alone(KIND, [blocked.id]) as turn:
        await turn.remove([blocked.id], NEW)
    async with stand.store.alone(KIND, [blocked.id, ahead.id]) as turn:
        await turn.lift([blocked, ahead])
    await stand.write(text(blocked, "a"), text(ahead, "b"))
    assert await stand.standing(blocked) is Standing.EMBEDDED
    assert await stand.standing(ahead) is Standing.EMBEDDED


async def test_other_dimensions_and_no_table_are_told(postgres: support.Database) -> None:
    """Without a table the cure is db init; with one of another length, verify tells more."""
    async with support_store.connected(postgres.url) as connection:
        with pytest.raises(errors.DatabaseError, match="no embedding tables") as caught:
            await Stand(connection).standing(version())
        assert caught.value.hint == "medbots db init"
    await support_store.initialised(postgres.url)
    async with support_store.connected(postgres.url) as connection:
        store = inventory.Store(connection, support_store.PROJECT, "m/8/none", 8)
        with pytest.raises(errors.DatabaseError, match="vectors of 4 dimensions"):
            await store.models()


async def test_marks_are_kept_by_their_arguments(stand: Stand) -> None:
    """A mark comes back to a run with the same arguments, of the same project and model."""
    kept = checkpoints.Checkpoints(stand.connection, support_store.PROJECT, MODEL)
    await kept.save("a", KIND, {"phase": "embed"})
    await kept.save("a", KIND, {"phase": "sweep"})
    found, at = await kept.load("a")
    assert (found, at is not None) == ({KIND: {"phase": "sweep"}}, True)
    assert await kept.load("b") == ({}, None)
    other = checkpoints.Checkpoints(stand.connection, support_store.OTHER_PROJECT, MODEL)
    await other.clear()
    assert (await kept.load("a"))[0]
    await kept.clear()
    assert await kept.load("a") == ({}, None)


async def test_one_run_at_a_time(stand: Stand, postgres: support.Database) -> None:
    """A second run in the project is refused while the first one works, and not after it."""
    own = checkpoints.Checkpoints(stand.connection, support_store.PROJECT, MODEL)
    async with support_store.connected(postgres.url) as connection:
        other = checkpoints.Checkpoints(connection, support_store.PROJECT, MODEL)
        async with own.alone():
            with pytest.raises(errors.ConflictError):
                async with other.alone():
                    pass
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(other.alone())


async def test_bots_have_no_right_to_the_marks(postgres: support.Database) -> None:
    """The bots' role may not even read how far a reconciliation is."""
    secrets = support_store.Secrets()
    await support_store.initialised(postgres.url, secrets)
    assert secrets.url is not None
    async with support_store.connected(secrets.url) as bot:
        cursor = await bot.execute(
            "SELECT has_table_privilege('public.medbots_reconciliations', 'SELECT')"
        )
        assert await cursor.fetchone() == (False,)
