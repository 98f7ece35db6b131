"""The lock under which one run at a time changes a database's schema and roles."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import queries
from medbots.database import watch as watch_module

_KEY = 0x6D65_6462_6F74_7301
"""Any number that no other program is likely to lock: the letters `medbots` and 01."""

_POLL_SECONDS = 0.2


@contextlib.asynccontextmanager
async def alone(
    connection: connection_module.Connection,
    wait_seconds: float,
    watch: watch_module.Watch = watch_module.SILENT,
) -> AsyncIterator[None]:
    """Hold the lock; Postgres itself lets go of it when the session ends, however it ends.

    The wait asks again and again instead of standing in the queue: a waiting statement would keep
    the holder's concurrent index build from ending.

    Raises:
        errors.DatabaseError: somebody else holds it for longer than `wait_seconds`; says who.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    told = False
    while True:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [_KEY])
        if await cursor.fetchone() == (True,):
            break
        if loop.time() > deadline:
            raise await _held(connection, wait_seconds)
        if not told and (holder := await _holder(connection)):
            watch.waiting(f"waiting for another run that changes this database: {holder[1]}")
            told = True
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if not connection.broken and not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s)", [_KEY])


async def _holder(connection: connection_module.Connection) -> tuple[int, str] | None:
    """Return the process that holds the lock, and what is known of it."""
    row = await (await queries.run(connection, "lock_holder", _KEY)).fetchone()
    if row is None:
        return None
    pid, user, program, client, seconds = row
    return pid, (
        f"pid {pid}, user {user}, program {program or 'unnamed'}, "
        f"from {client or 'the server itself'}, connected for {seconds} s"
    )


async def _held(
    connection: connection_module.Connection, wait_seconds: float
) -> errors.DatabaseError:
    holder = await _holder(connection)
    if holder is None:
        return errors.DatabaseError("another run has just ended", hint="run it again")
    pid, known = holder
    return errors.DatabaseError(
        f"another run changes this database: {known}; waited {wait_seconds:g} s",
        hint=f"wait until it has ended; if it hangs: SELECT pg_terminate_backend({pid})",
    )
