"""Poolers between the owner's commands and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import psycopg
import pytest
from psycopg import sql

from medbots import errors, secret
from medbots.database import builds, connection, lock, watch
from tests.support import pooler, store
from tests.support import postgres as support


@pytest.fixture(autouse=True)
def _sockets(postgres: support.Database) -> Iterator[None]:
    """A pooler listens on loopback; the database is there before."""
    with support.sockets_allowed():
        yield


def _behind(database: support.Database, port: int) -> secret.Secret:
    parts = psycopg.conninfo.conninfo_to_dict(database.url.reveal())
    user, password, name = parts["user"], parts["password"], parts["dbname"]
    return secret.Secret(f"postgresql://{user}:{password}@127.0.0.1:{port}/{name}")


def _server(database: support.Database) -> tuple[str, int]:
    parts = psycopg.conninfo.conninfo_to_dict(database.url.reveal())
    return str(parts["host"]), int(str(parts["port"]))


async def test_one_that_changes_sessions_is_refused(postgres: support.Database) -> None:
    """Before anything is set in a session, it is said why, and what to set instead."""
    async with pooler.running(*_server(postgres), whole_sessions=False) as port:
        url = _behind(postgres, port)
        with pytest.raises(errors.DatabaseError, match="gives each transaction another") as caught:
            async with store.connected(url):
                pass
        assert "pool_mode = session" in (caught.value.hint or "")
        async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as other:
            cursor = await other.execute("SHOW statement_timeout")
            assert await cursor.fetchone() == ("0",)


async def test_one_that_keeps_sessions_serves(postgres: support.Database) -> None:
    """Locks and settings hold by it: the store is made as without it."""
    async with pooler.running(*_server(postgres), whole_sessions=True) as port:
        url = _behind(postgres, port)
        steps = await store.initialised(url)
        assert {one.action.value for one in steps} >= {"create"}
        async with store.connected(url) as connected, lock.alone(connected, 1):
            with pytest.raises(errors.DatabaseError, match="another run changes this database"):
                async with store.connected(url) as second, lock.alone(second, 0.1):
                    pass


class _Heard(watch.Watch):
    """Hears how far a build is, over a connection of its own."""

    def __init__(self, url: secret.Secret) -> None:
        self.url = url
        self.phases: list[str] = []

    def second(self) -> AbstractAsyncContextManager[connection.Connection]:
        """Connect once more."""
        return store.connected(self.url)

    def progress(self, found: watch.Progress) -> None:
        """Note the phase."""
        self.phases.append(found.phase)


async def test_a_build_behind_one_is_seen(postgres: support.Database) -> None:
    """How far it is, is asked of the session that builds, whatever process a pooler told."""
    async with pooler.running(*_server(postgres), whole_sessions=True) as port:
        url = _behind(postgres, port)
        await store.initialised(url)
        heard = _Heard(url)
        async with (
            store.connected(url) as owner,
            await psycopg.AsyncConnection.connect(postgres.url.reveal()) as older,
        ):
            await older.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            await older.execute("SELECT count(*) FROM clinical_embeddings")
            definition = sql.SQL("ON clinical_embeddings (created_at)")
            build = asyncio.create_task(
                builds.create(owner, "an_idx", definition, rows=1, watch=heard)
            )
            await asyncio.sleep(1)
            await older.rollback()
            await build
        assert "waiting for old snapshots" in heard.phases
        assert heard.phases[-1] == watch.DONE
