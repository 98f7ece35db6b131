"""Statements that lock a table whole, without making everybody wait behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import psycopg
from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import watch as watch_module

T = TypeVar("T")

_ATTEMPTS = 120
_PAUSE = 0.5
_SHORT, _LONG = "400ms", "1500ms"
"""How long searches may queue behind who waits for a statement under way. Autovacuum gives way only
to who waits for more than a second (`deadlock_timeout`): now and then that long."""
_LONG_EVERY = 10


async def briefly(
    work: Callable[[str], Awaitable[T]],
    *,
    attempts: int = _ATTEMPTS,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Do something that locks a table, again and again until the lock is to be had.

    Whoever waits for such a lock makes all that come after wait too: so it waits only briefly for
    the statements under way, gives up its place, and tries again, for two minutes.

    Args:
        work: one transaction; is given its `lock_timeout`.
        attempts: how many there are.
        pause: waits between them, so many seconds.

    Raises:
        psycopg.errors.LockNotAvailable: there was no moment without a long transaction; or the
            `errors.DatabaseError` that `work` made of it.
    """
    for attempt in range(1, attempts + 1):
        try:
            return await work(_SHORT if attempt % _LONG_EVERY else _LONG)
        except (psycopg.errors.LockNotAvailable, errors.DatabaseError) as error:
            said = error if isinstance(error, psycopg.Error) else error.__cause__
            if attempt == attempts or not isinstance(said, psycopg.errors.LockNotAvailable):
                raise
        await pause(_PAUSE)
    raise AssertionError("no attempt at all")


async def execute(
    connection: connection_module.Connection,
    label: str,
    statement: sql.Composed,
    watch: watch_module.Watch,
) -> None:
    """Tell a statement that locks a table, and execute it as `briefly` does, in a transaction.

    Raises:
        errors.DatabaseError: there was no moment without a long transaction.
    """

    async def executed(lock_timeout: str) -> None:
        async with transaction(connection, lock_timeout):
            await watch_module.execute(connection, label, statement, watch)

    await briefly(executed)


@contextlib.asynccontextmanager
async def transaction(
    connection: connection_module.Connection, lock_timeout: str
) -> AsyncIterator[None]:
    """Open a transaction that waits so long for a lock."""
    async with connection.transaction():
        await connection.execute("SELECT set_config('lock_timeout', %s, true)", [lock_timeout])
        yield
