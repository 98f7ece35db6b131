"""What locks a table whole: it never makes those wait who come after it."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from medbots import errors
from medbots.database import connection, generations, keys, table_lock
from tests.support import postgres as support
from tests.support import store

SEARCH = "SELECT count(*) FROM public.clinical_embeddings"
WITHDRAW = "DELETE FROM public.clinical_embeddings_next"


async def _longest(url: str, until: asyncio.Task[object]) -> float:
    """Search again and again until a task ends; return how long the slowest search took."""
    longest = 0.0
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as searching:
        while not until.done():
            began = time.perf_counter()
            await searching.execute(SEARCH)
            longest = max(longest, time.perf_counter() - began)
            await asyncio.sleep(0.02)
    return longest


async def test_searches_go_on_while_a_project_joins_behind_a_long_transaction(
    postgres: support.Database,
) -> None:
    """`db init` of a second project waits for a dump of the table, and no search waits for it."""
    url = postgres.url.reveal()
    await store.initialised(postgres.url)
    async with await psycopg.AsyncConnection.connect(url) as dump:
        await dump.execute(SEARCH)
        joining = asyncio.create_task(
            store.initialised(postgres.url, wanted=store.wish(store.OTHER_PROJECT))
        )
        searching = asyncio.create_task(_longest(url, joining))
        await asyncio.sleep(2)
        assert not joining.done()
        await dump.rollback()
        steps = await joining
    assert await searching < 1.2
    assert [one.action for one in steps if one.kind == "role"] == ["create", "create"]


async def test_deletions_go_on_while_a_table_is_dropped_behind_a_long_transaction(
    postgres: support.Database,
) -> None:
    """Bots delete from every table that there is, also from one that is about to go."""
    url = postgres.url.reveal()
    await store.initialised(postgres.url)
    async with (
        store.connected(postgres.url) as owner,
        await psycopg.AsyncConnection.connect(url) as dump,
    ):
        await generations.make_next(owner, 8)
        await dump.execute("SELECT count(*) FROM public.clinical_embeddings_next")
        dropping = asyncio.create_task(generations.drop(owner, generations.NEXT))
        await asyncio.sleep(1)
        assert not dropping.done()
        started = time.perf_counter()
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as bot:
            await bot.execute(WITHDRAW)
        assert time.perf_counter() - started < 1.5
        await dump.rollback()
        await dropping
        assert [one.name for one in await generations.find(owner)] == [generations.CURRENT]


@pytest.mark.parametrize("lost", [keys.KEY, keys.CHECK])
async def test_searches_go_on_while_a_constraint_is_mended(
    postgres: support.Database, lost: str
) -> None:
    """A key or check that is missing comes back beside a dump, and no search waits for it."""
    url = postgres.url.reveal()
    await store.initialised(postgres.url)
    async with (
        store.connected(postgres.url) as owner,
        await psycopg.AsyncConnection.connect(url) as dump,
    ):
        # No snapshot that outlives its statement: it would keep an index from being built.
        await dump.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
        await owner.execute(f"ALTER TABLE clinical_embeddings DROP CONSTRAINT {lost}".encode())
        await dump.execute(SEARCH)
        mending = asyncio.create_task(store.initialised(postgres.url))
        searching = asyncio.create_task(_longest(url, mending))
        await asyncio.sleep(2)
        assert not mending.done()
        await dump.rollback()
        steps = await mending
    assert await searching < 1.2
    assert lost in {one.key for one in steps if one.action.value == "create"}


async def test_a_transaction_that_does_not_end(postgres: support.Database) -> None:
    """After the last attempt it is said that another session has the lock; nothing is changed."""
    url = postgres.url.reveal()
    await store.initialised(postgres.url)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with (
        await psycopg.AsyncConnection.connect(url) as dump,
        store.connected(postgres.url) as made,
    ):
        await dump.execute(SEARCH)

        async def work(limit: str) -> None:
            async with made.transaction():
                await made.execute("SELECT set_config('lock_timeout', %s, true)", [limit])
                await made.execute("LOCK TABLE public.clinical_embeddings")

        with pytest.raises(psycopg.errors.LockNotAvailable):
            await table_lock.briefly(work, attempts=3, pause=pause)
        with pytest.raises(errors.DatabaseError, match="lock timeout"), connection.translated():
            await table_lock.briefly(work, attempts=1, pause=pause)
    assert len(pauses) == 2


async def test_another_failure_is_not_tried_again() -> None:
    """Only a lock that was not to be had is waited for."""
    calls: list[str] = []

    async def work(limit: str) -> None:
        calls.append(limit)
        raise errors.NotAllowedError("no")

    with pytest.raises(errors.NotAllowedError):
        await table_lock.briefly(work)
    assert len(calls) == 1
