"""Poolers between the owner's commands and the server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from medbots import errors, secret
from medbots.database import lock
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
