"""Poolers between here and the server: one that changes sessions takes a run's locks from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from medbots import errors

_SECONDS = 5.0
"""How long a second connection may take: a pooler may have no session left for it."""


async def refuse(
    connection: psycopg.AsyncConnection[Any],
    again: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]],
    setting: str,
) -> None:
    """Raise where each transaction of a connection may go to another session of the server.

    Locks and settings of a session would stay with sessions that are other programs' next. A
    server tells its own process when one connects; a pooler in between tells some other number.
    Then a second connection decides: that both are in the same session, only such a pooler does.

    Args:
        connection: as it was opened; nothing has been set in its session.
        again: opens another one, the same way.
        setting: names where the URL came from.

    Raises:
        errors.DatabaseError: it is so.
    """
    first = await session(connection)
    if first == connection.info.backend_pid:
        return
    second: psycopg.AsyncConnection[Any] | None = None
    try:
        async with asyncio.timeout(_SECONDS):
            second = await again()
            shared = await session(second) == first
    except (psycopg.Error, TimeoutError, OSError):
        return
    finally:
        if second is not None:
            await second.close()
    if shared:
        raise errors.DatabaseError(
            f"{setting} leads to a pooler that gives each transaction another session: a run's "
            "locks and settings would stay behind in sessions of others",
            hint=f"let {setting} lead to Postgres itself, or to the pooler's port for whole "
            "sessions (pool_mode = session); the bots may use this one (MEDBOTS_BOT_DATABASE_URL)",
        )


async def session(connection: psycopg.AsyncConnection[Any]) -> int:
    """Return the process id of the session that a statement runs in, whatever a pooler told."""
    cursor = await connection.execute("SELECT pg_backend_pid()")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
