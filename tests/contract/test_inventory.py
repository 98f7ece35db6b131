"""One suite for the port `Store` of the inventory: on the one in memory, and on Postgres."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from medbots.database import bulk, inventory
from medbots.embeddings.inventory import Store
from medbots.inventory import Embedded, Standing, Text, Version
from tests.support import inventory as fakes
from tests.support import postgres as support
from tests.support import store as support_store
from tests.support.inventory import KIND, START, version

MODEL = "embedding-model/4/none"
LATER = START + dt.timedelta(days=1)

pytestmark = pytest.mark.enable_socket


class Subject:
    """A store under test, and a way to put rows and marks of withheld versions into it."""

    def __init__(self, store: Store, writer: bulk.Writer | None) -> None:
        self.store = store
        self._writer = writer

    async def embed(self, *versions: Version) -> None:
        """Let rows stand for versions."""
        if isinstance(self.store, fakes.FakeStore):
            self.store.rows |= {one.id: one for one in versions}
        elif self._writer is not None:
            texts = [Text(one, None, (("note", "S", "text"),), "hash") for one in versions]
            vectors = ([1.0, 0.0, 0.0, 0.0],)
            await self._writer.write(KIND, [Embedded(one, vectors) for one in texts])

    async def withhold(self, one: Version) -> None:
        """Mark a version that must not be found."""
        if isinstance(self.store, fakes.FakeStore):
            self.store.rows.pop(one.id, None)
            self.store.tombstones[one.id] = one
        elif self._writer is not None:
            await self._writer.withdraw(KIND, [Text(one, None, (), None)])

    async def remove(self, *versions: Version, until: dt.datetime = LATER) -> int:
        """Remove resources under their locks."""
        ids = [one.id for one in versions]
        async with self.store.alone(KIND, ids) as turn:
            return await turn.remove(ids, until)

    async def standing(self, one: Version) -> Standing:
        """Return how the store stands to a version."""
        return (await self.store.compare(KIND, [one]))[one.id]


@pytest.fixture(params=["memory", "postgres"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Both stores, empty."""
    if request.param == "memory":
        yield Subject(fakes.FakeStore(), None)
        return
    database: support.Database = request.getfixturevalue("postgres")
    await support_store.initialised(database.url)
    async with support_store.connected(database.url) as connection:
        store = inventory.Store(connection, support_store.PROJECT, MODEL, 4)
        yield Subject(store, bulk.Writer(connection, store))


async def test_standings(subject: Subject) -> None:
    """Every way in which a store can stand to a version."""
    given = [version(one) for one in range(6)]
    missing, same, stale, ahead, withheld, gone = given
    old = START - dt.timedelta(days=1)
    await subject.embed(same, replace(stale, version="v0", updated=old))
    await subject.embed(replace(ahead, version="v9", updated=LATER), gone)
    await subject.withhold(withheld)
    assert await subject.remove(gone) == 1
    found = await subject.store.compare(KIND, given)
    assert [found[one.id] for one in (missing, same, stale, ahead, withheld, gone)] == [
        Standing.MISSING,
        Standing.EMBEDDED,
        Standing.STALE,
        Standing.AHEAD,
        Standing.WITHHELD,
        Standing.BLOCKED,
    ]
    assert await subject.store.compare(KIND, []) == {}


async def test_a_version_after_the_mark_is_missing(subject: Subject) -> None:
    """What was withheld or gone comes back with a later version."""
    one = version(0)
    await subject.withhold(one)
    assert await subject.standing(replace(one, version="v2", updated=LATER)) is Standing.MISSING


async def test_keys_in_order(subject: Subject) -> None:
    """Keys come in order, after the one that is named, as many as asked for."""
    given = [version(one) for one in range(5)]
    await subject.embed(*reversed(given))
    ids = [one.id for one in given]
    assert await subject.store.keys(KIND, None, 2) == ids[:2]
    assert await subject.store.keys(KIND, ids[1], 9) == ids[2:]
    assert await subject.store.keys(KIND, ids[-1], 9) == []
    assert await subject.store.keys("Observation", None, 9) == []


async def test_what_is_removed_has_no_key(subject: Subject) -> None:
    """Only what had rows is counted; a second removal counts nothing."""
    given = [version(0), version(1)]
    await subject.embed(given[0])
    assert await subject.remove(*given) == 1
    assert await subject.remove(*given) == 0
    assert await subject.store.keys(KIND, None, 9) == []


async def test_what_is_lifted_is_no_longer_in_the_way(subject: Subject) -> None:
    """A later row is stale then, and a later tombstone gone."""
    blocked, ahead = version(0), version(1)
    await subject.remove(blocked)
    await subject.embed(replace(ahead, version="v9", updated=LATER))
    async with subject.store.alone(KIND, [blocked.id, ahead.id]) as turn:
        await turn.lift([blocked, ahead])
    assert await subject.standing(blocked) is Standing.MISSING
    assert await subject.standing(ahead) is Standing.STALE


async def test_the_time_goes_on_under_the_locks(subject: Subject) -> None:
    """What is read under the locks is read after the time that was told."""
    async with subject.store.alone(KIND, [version(0).id]) as turn:
        first, second = await turn.now(), await turn.now()
    assert first.tzinfo is not None
    assert first <= second
    if not isinstance(subject.store, fakes.FakeStore):
        assert first < second
