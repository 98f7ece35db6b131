"""The rows and tombstones of single records, for the checks that fire a bot."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg

from medbots import assets, errors
from medbots.checks import polling


@dataclass(frozen=True, slots=True)
class Row:
    """What a check wants to know of one row; its text is never read."""

    dimension: int
    model_version: str


class Rows:
    """One project's part of the embedding tables, over the owner's connection."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], project_id: str) -> None:
        self._connection = connection
        self._project_id = project_id

    async def of(self, record: str) -> list[Row]:
        """Return the rows of a record, such as `Condition/<id>`."""
        found = await self._execute("resource_rows", *record.split("/"))
        return [Row(*values) for values in await found.fetchall()]

    async def delete(self, record: str) -> None:
        """Delete the rows of a record."""
        await self._execute("delete_resource", *record.split("/"))

    async def clear_tombstone(self, record: str) -> bool:
        """Delete the tombstone of a record; return whether there was one."""
        return (await self._execute("clear_tombstone", *record.split("/"))).rowcount > 0

    @contextlib.asynccontextmanager
    async def alone(self, limit: float) -> AsyncIterator[None]:
        """Hold the project's turn to fire: what carries the tag then is nobody's any more.

        Raises:
            errors.ConflictError: another run did not end within `limit` seconds.
        """

        async def acquired() -> bool | None:
            found = await self._lock("pg_try_advisory_lock")
            return found or None

        if not await polling.until(acquired, limit):
            raise errors.ConflictError(
                f"another medbots verify has been firing in this project for {limit:g} s",
                hint="run the command again when it has ended",
            )
        try:
            yield
        finally:
            await self._lock("pg_advisory_unlock")

    async def _lock(self, function: str) -> bool:
        cursor = psycopg.AsyncRawCursor(self._connection)
        await cursor.execute(
            f"SELECT {function}(hashtextextended('medbots/fire/' || $1, 0))".encode(),
            [self._project_id],
        )
        row = await cursor.fetchone()
        return bool(row and row[0])

    async def _execute(self, name: str, *values: str) -> psycopg.AsyncRawCursor[Any]:
        text = (assets.sql() / "queries" / f"{name}.sql").read_bytes()
        cursor = psycopg.AsyncRawCursor(self._connection)
        await cursor.execute(text, [self._project_id, *values])
        return cursor
